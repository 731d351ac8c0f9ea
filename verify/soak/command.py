# SPDX-License-Identifier: Apache-2.0
"""`tiled-se soak`: streams through random blocks by the million beats; their results and a table of them."""

import dataclasses
import functools
import os
import time

from ...batch import Campaign, Local, ToolReason
from ...cosim.tools import BuildError
from ...gen.files import json_bytes, output_folder, write_all
from ...hdl.config import ConfigError
from ..options import SoakOptions
from .streaming import identity, stream_through
from .summary import failed, summarise, table

__all__ = ["soak"]

RESULTS, FILE, ONLY = "configurations", "soak.json", "only.json"


def soak(options: SoakOptions) -> bool:
    """Stream at least `options.beats` beats through `options.builds` random blocks.

    The folder gets ``soak.json``, or ``only.json`` where ``only`` is given. Results of configurations are kept there,
    and the next run does not repeat those that are right. ``options.only`` has the numbers (as texts) of configurations
    to run alone, again, and with their Verilog and simulations kept.

    Returns whether nothing was lost or wrong, and as many beats came out as were asked for. Raises ConfigError or
    UsageError, before anything is written, where an option is wrong or packages are missing; BuildError where no block
    at all could be built.
    """
    name = FILE if options.only is None else ONLY
    folder = output_folder(options, [name])
    numbers = _numbers(options)
    start = time.monotonic()
    results, reasons = _stream(options, folder, numbers, os.path.join(folder, name))
    if reasons and not results and all(isinstance(reason, ToolReason) for reason in reasons.values()):
        raise BuildError(next(iter(reasons.values())))
    summary = summarise(options, [results[number] for number in sorted(results)], reasons)
    write_all(folder, {name: json_bytes(summary)})
    print(table(summary))
    print(f"{'took':<12}{(time.monotonic() - start) / 60:.1f} minutes")
    print(f"wrote       {os.path.join(folder, name)}")
    enough = options.only is not None or summary["beats"] >= options.beats
    if not enough:
        print(f"{'failed':<12}{summary['beats']:,} beats came out, of {options.beats:,}")
    return enough and not summary["failed"]


def _numbers(options):
    """The numbers of the configurations to run."""
    for text in options.only or ():
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) < options.builds):
            raise ConfigError("only", text, f"must be the number of a configuration, less than BUILDS={options.builds}")
    return range(options.builds) if options.only is None else sorted(set(map(int, options.only)))


@dataclasses.dataclass(eq=False)
class _Task:
    """A configuration's number, and what the progress shows of it."""

    number: int
    text: str = ""

    def __str__(self):
        return f"configuration {self.number}{self.text}"


def _stream(options, folder, numbers, output):
    """Run the configurations `numbers`: their results, and why configurations have none or wrong ones, by number."""
    share = -(-options.beats // options.builds)
    alone = options.only is not None

    def job(task):
        keep = os.path.join(folder, f"only-{task.number}") if alone else None
        return functools.partial(stream_through, options.seed, task.number, share, keep)

    def judge(task, result):
        sums = {name: sum(found[name] for found in campaign.results.values()) for name in ("beats", "lost", "wrong")}
        task.text = (f": {result['block']}; {result['beats']:,} beats, so far {sums['beats']:,}, "
                     f"{sums['lost']:,} lost, {sums['wrong']:,} wrong")
        return (result["faults"] or ["beats lost or wrong"])[0] if failed(result) else None

    campaign = Campaign([_Task(number) for number in numbers], f"configurations of {share:,} beats at least",
                        None if alone else os.path.join(folder, RESULTS),
                        lambda task: [options.seed, task.number, share], identity)
    campaign.run(job, Local(options.jobs), judge=judge, shown=folder, outputs=[output])
    return ({task.number: result for task, result in campaign.results.items()},
            {task.number: reason for task, reason in campaign.failures.items() if task not in campaign.results})
