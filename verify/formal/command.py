# SPDX-License-Identifier: Apache-2.0
"""`tiled-se prove`: every proof and every planted fault, a table, and prove.json."""

import functools
import itertools
import os
import time

from ...batch import Campaign, Local, Progress
from ...gen.files import json_bytes, output_folder, write_all
from ..options import ProveOptions
from .source import select
from .table import complaint, passed, table
from .task import ERROR, ProofTask, attempt
from .tools import check_tools, versions

__all__ = ["RESULT", "prove"]

RESULT = "prove.json"


def prove(options: ProveOptions) -> bool:
    """Prove everything, print a table, and write ``prove.json`` and a waveform for each property that fails.

    Returns whether everything is proved, every situation is reached and every fault is found. ``options.only`` has
    names of components or proofs. Raises ConfigError ("only") for an unknown name, ToolError where a tool is missing.
    """
    folder = output_folder(options, [RESULT])
    selected = select(options.only)
    check_tools()
    start = time.monotonic()
    proofs = _tasks(selected)
    faults = [[ProofTask(component, number, index, f"{proof.name}: {fault.name}")
               for index, fault in enumerate(proof.faults)] for component, number, proof in selected]
    # Proofs take longest, and so come first.
    campaign = Campaign([*proofs, *itertools.chain(*faults)])
    # An earlier run may have had traces of other proofs.
    outputs = [RESULT, *map(_trace, _tasks(select(None)))]
    campaign.run(lambda task: functools.partial(attempt, task), Local(options.jobs),
                 judge=lambda task, record: complaint(record), outputs=[os.path.join(folder, name) for name in outputs],
                 progress=functools.partial(Progress, timed=True))
    records = {task: {"verdict": ERROR, "seconds": None, "reason": reason, "trace": None}
               for task, reason in campaign.failures.items()} | campaign.results
    traces = {_trace(task): record["trace"].encode() for task, record in records.items() if record["trace"]}
    records = {task: record | {"trace": record["trace"] and _trace(task)} for task, record in records.items()}
    documents = []
    for (component, _, proof), task, tasks in zip(selected, proofs, faults, strict=True):
        planted = [{"name": fault.name, "file": fault.file, "breaks": fault.breaks} | records[its]
                   for fault, its in zip(proof.faults, tasks, strict=True)]
        documents.append({"name": proof.name, "component": component, "method": proof.method, "depth": proof.depth,
                          "why": proof.why} | records[task] | {"faults": planted})
    document = {"tools": versions(), "seconds": round(time.monotonic() - start, 1), "proofs": documents}
    files = {**traces, RESULT: json_bytes(document)}
    write_all(folder, files)
    print(table(documents))
    print(f"wrote       {', '.join(os.path.join(folder, name) for name in files)}")
    return passed(documents)


def _tasks(selected):
    return [ProofTask(component, number, None, proof.name) for component, number, proof in selected]


def _trace(task):
    return f"{task.component}-{task.proof}.vcd"
