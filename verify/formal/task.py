# SPDX-License-Identifier: Apache-2.0
"""One proof, or one of its planted faults, from the model to the verdict."""

import dataclasses
import pathlib
import time

from ...cosim.scratch import scratch
from .model import write_model
from .source import faulty, proofs_of
from .tools import TRACE, check_model

__all__ = ["ERROR", "FAILED", "FOUND", "MISSED", "PROVED", "UNREACHED", "ProofTask", "attempt"]

# Verdicts of a proof: PROVED, FAILED, or UNREACHED, if the assumptions exclude a situation that should happen. Of a
# fault: FOUND or MISSED. Of either: ERROR, if there is no verdict.
PROVED, FAILED, UNREACHED = "proved", "failed", "not reached"
FOUND, MISSED = "found", "not found"
ERROR = "error"


@dataclasses.dataclass(frozen=True)
class ProofTask:
    """Proof number `proof` of a component, or number `fault` of that proof's faults; `label` is what the user sees."""

    component: str
    proof: int
    fault: int | None
    label: str

    def __str__(self):
        return self.label


def attempt(task: ProofTask) -> dict:
    """The record of a task, as prove.json has it, but with a failed property's waveform as ``trace`` (VCD, or None)."""
    start = time.monotonic()
    proof = proofs_of(task.component)[task.proof]
    with scratch() as folder:
        path = pathlib.Path(folder)
        record = _prove(proof, path) if task.fault is None else _find(task, proof.faults[task.fault], path)
    return record | {"seconds": round(time.monotonic() - start, 2)}


def _prove(proof, folder):
    model = write_model(proof.make(), folder)
    if not model.of_kind("cover"):
        raise ValueError("there is no Cover, which would show that something happens")
    checked, step = check_model(folder, proof.depth), ""
    if checked.passed and not proof.why:
        checked, step = check_model(folder, proof.depth, "induction"), "induction"
    trace = None if checked.passed else (folder / TRACE).read_text()
    reached = check_model(folder, proof.cover, "cover").reached
    covers = [{"name": statement.name, "source": statement.source, "cycle": reached.get(cell)}
              for cell, statement in model.of_kind("cover").items()]
    verdict = UNREACHED if any(cover["cycle"] is None for cover in covers) else PROVED
    return {
        "verdict": verdict if checked.passed else FAILED,
        # A failed step of induction says less: the state that it starts from may be unreachable.
        "failed": [model.cells[cell].name for cell in checked.failed], "failed_in": step if not checked.passed else "",
        "properties": [{"name": statement.name, "source": statement.source, "constant": cell in model.constant}
                       for cell, statement in model.of_kind("assert").items()],
        "covers": covers, "trace": trace,
    }


def _find(task, fault, folder):
    with faulty(fault) as package:
        write_model(proofs_of(task.component, package)[task.proof].make(), folder, only=fault.breaks)
    checked = check_model(folder, fault.depth)
    # The named property is the only one in the model.
    found = bool(checked.failed)
    return {"verdict": FOUND if found else MISSED, "cycle": checked.cycle if found else None, "trace": None}
