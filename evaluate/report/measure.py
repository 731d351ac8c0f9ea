# SPDX-License-Identifier: Apache-2.0
"""Memory and latency of both forms of a block, off the elaborated netlist, each measured once and kept."""

import functools

from ...batch.local import Local
from ...batch.pool import run_all
from ...batch.progress import Progress
from ...batch.store import Store
from ...gen.fields import text_of
from ...gen.options import BlockOptions
from ...hdl.sizing import DEFAULT_LANES, lanes_within
from ..measure import finished, work
from ..tasks import OPTIONS, Kind, Task

__all__ = ["Netlist", "forms", "measure"]

LOST = "the sources were changed while it was measured; what was measured is not theirs"


class Netlist(Task):
    """The :class:`Task` to generate a block and read its memories; its text has the hardware's variables only."""

    def __str__(self):
        return " ".join(f"{OPTIONS[name].variable}={text_of(value)}" for name, value in self._said()
                        if name not in ("height", "frames"))


def forms(block, options):
    """Tasks for the original form of `block` and for the tiled one: the same where a tile holds the map.

    `options` has K and what sizes the hardware; LANES is the most, of which the largest divisor of C is taken.
    """
    return tuple(_task(block, min(k, block.height), options) for k in (block.height, options.k))


def _task(block, k, options):
    # No frame enters the hardware; a small one keeps high maps within what a simulation could hold.
    return Netlist(Kind.MEMORY, BlockOptions(
        k=k, width=block.width, channels=block.channels, squeeze=block.squeeze, height=1, frames=1,
        lanes=lanes_within(block.channels, options.lanes or DEFAULT_LANES), macs=options.macs, slack=options.slack,
        sram_overhead=options.sram_overhead, **dict(block.form)))


def measure(tasks, folder, jobs):
    """Measure those of `tasks` that `folder` doesn't have, `jobs` at a time.

    Returns
    -------
    tuple
        Results and failures: dicts of task to the measurement's figures, and to what went wrong.
    """
    store = Store(folder)
    tasks = list(dict.fromkeys(tasks))
    missing = [task for task in tasks if finished(task, store) is None]
    kept = len(tasks) - len(missing)
    print(f"{len(tasks)} designs to generate, {kept} of them finished before; {jobs} at a time; results in {folder}",
          flush=True)
    failures = {}
    if missing:
        with Progress(len(tasks), kept) as progress:
            failures = run_all(missing, lambda task: functools.partial(work, task, folder), Local(jobs), progress)
    results = {task: result for task in tasks if (result := finished(task, store)) is not None}
    return results, failures | {task: LOST for task in tasks if task not in results and task not in failures}
