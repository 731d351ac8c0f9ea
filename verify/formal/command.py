# SPDX-License-Identifier: Apache-2.0
"""`tiled-se prove`: every proof and every fault, a table, and prove.json."""

import contextlib
import os
import time

from ...batch import Local
from ...gen.files import json_bytes, output_folder, write_all
from ..options import ProveOptions
from .run import Run, select
from .table import table
from .tools import check_tools, versions
from .work import FOUND, PROVED

__all__ = ["prove"]

RESULT = "prove.json"


def prove(options: ProveOptions) -> bool:
    """Prove, and write ``prove.json`` into the folder, with a waveform of each property that fails.

    Parameters
    ----------
    options : ProveOptions
        ``only``: names of components or proofs, None for all. ``jobs``: how many at a time, None for all cores.

    Returns
    -------
    bool
        Whether all is proved, every situation is reached and every fault found.

    Raises
    ------
    ConfigError
        ("only") for a name that there isn't.
    ToolError
        Where a tool is missing.
    """
    folder = output_folder(options)
    run = Run(select(options.only))
    check_tools()
    # Beside a run that was interrupted, what an earlier one has written would pass for its result.
    with contextlib.suppress(OSError):
        os.remove(os.path.join(folder, RESULT))
    start = time.monotonic()
    run.go(Local(options.jobs))
    proofs = run.documents()
    document = {"tools": versions(), "seconds": round(time.monotonic() - start, 1), "proofs": proofs}
    files = {**run.traces(), RESULT: json_bytes(document)}
    write_all(folder, files)
    print(table(proofs))
    print(f"wrote       {', '.join(os.path.join(folder, name) for name in files)}")
    return all(proof["verdict"] == PROVED and all(fault["verdict"] == FOUND for fault in proof["faults"])
               for proof in proofs)
