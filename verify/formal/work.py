# SPDX-License-Identifier: Apache-2.0
"""One proof, or one of its faults, from model to verdict."""

import dataclasses
import pathlib
import tempfile
import time

from .model import write_model
from .source import faulty, proofs_of
from .tools import TRACE, check

__all__ = ["ERROR", "FAILED", "FOUND", "MISSED", "PROVED", "UNREACHED", "Task", "work"]

# Verdicts. Of a proof: PROVED, FAILED, or UNREACHED (what is assumed excludes a situation that should happen); of a
# fault FOUND or MISSED; of either ERROR, if there is none.
PROVED, FAILED, UNREACHED = "proved", "failed", "not reached"
FOUND, MISSED = "found", "not found"
ERROR = "error"


@dataclasses.dataclass(frozen=True)
class Task:
    """Proof number `proof` of a component, or number `fault` of that proof's faults; `label` is for the user."""

    component: str
    proof: int
    fault: int | None
    label: str

    def __str__(self):
        return self.label


def work(task):
    """Do it.

    Returns
    -------
    dict
        The record, as JSON has it, but for ``trace``: a failed property's waveform (VCD, a str), or None.
    """
    start = time.monotonic()
    proof = proofs_of(task.component)[task.proof]
    with tempfile.TemporaryDirectory(prefix="tiled-se-prove-") as folder:
        folder = pathlib.Path(folder)
        record = _prove(proof, folder) if task.fault is None else _seed(task, proof.faults[task.fault], folder)
    return record | {"seconds": round(time.monotonic() - start, 2)}


def _prove(proof, folder):
    model = write_model(proof.make(), folder)
    if not model.of_kind("cover"):
        raise ValueError("there is no Cover, which would show that something happens")
    checked, step = check(folder, proof.depth), ""
    if checked.passed and not proof.why:
        checked, step = check(folder, proof.depth, "induction"), "induction"
    trace = None if checked.passed else (folder / TRACE).read_text()
    reached = check(folder, proof.cover, "cover").reached
    covers = [{"name": found.name, "source": found.source, "cycle": reached.get(cell)}
              for cell, found in model.cells.items() if found.kind == "cover"]
    verdict = UNREACHED if any(cover["cycle"] is None for cover in covers) else PROVED
    return {
        "verdict": verdict if checked.passed else FAILED,
        # A step of induction that fails says less: the state that it starts from may not exist.
        "failed": [model.cells[cell].name for cell in checked.failed], "failed_in": step if not checked.passed else "",
        "properties": [{"name": found.name, "source": found.source, "constant": cell in model.constant}
                       for cell, found in model.cells.items() if found.kind == "assert"],
        "covers": covers, "trace": trace,
    }


def _seed(task, fault, folder):
    with faulty(fault) as package:
        model = write_model(proofs_of(task.component, package)[task.proof].make(), folder, only=fault.breaks)
    checked = check(folder, fault.depth)
    # The named property is the only one that is left in the model.
    found = bool([model.cells[cell].name for cell in checked.failed])
    return {"verdict": FOUND if found else MISSED, "cycle": checked.cycle if found else None, "trace": None}
