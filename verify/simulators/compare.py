# SPDX-License-Identifier: Apache-2.0
"""What one simulator shows of a block, and where two of them differ."""

import dataclasses
import hashlib
import time

import numpy as np

from ...cosim.job import Idle, Load, Reset
from ..regression import suite

__all__ = ["ask", "differences", "facts"]

# Of frames, their order, and pauses.
SEED = 11
# The run that is always made has as many frames at least: one shows little, and many take too long for a large netlist
# in Icarus Verilog.
FEW = 3


def ask(block, simulator, most=None, runs=None):
    """Run the regression's vectors.

    Parameters
    ----------
    block : Block
    simulator : Simulator
    most : int, optional
        Instead of the simulator's own.
    runs : sequence of Run, optional
        Instead of the whole regression.

    Returns
    -------
    dict
        JSON-serialisable: ``beats`` that came out, ``cycles``, ``build_seconds``, ``run_seconds``, ``left_out`` (names
        of runs that were too long), ``runs`` (by name, of :func:`facts`).
    """
    most = simulator.most if most is None else most
    runs = suite(block.config, block.parameters, seed=SEED) if runs is None else runs
    # One is always run, and not one of a single frame or of which nothing comes out.
    shortest = min(runs, key=lambda run: (len(run.job.frames) < FEW or _is_lost(run.job), _length(run.job)))
    chosen = [run for run in runs if _length(run.job) <= most or run is shortest]
    start = time.perf_counter()
    simulate = simulator.prepare(block)
    built = time.perf_counter()
    results = {run.name: (run, simulate(dataclasses.replace(run.job, occupancy=True))) for run in chosen}
    return {
        "beats": sum(section["delivered"] for _, result in results.values() for section in result.sections),
        "cycles": sum(result.cycles for _, result in results.values()),
        "build_seconds": round(built - start, 2),
        "run_seconds": round(sum(result.run_seconds for _, result in results.values()), 2),
        "left_out": [run.name for run in runs if run not in chosen],
        "runs": {name: facts(run, result) for name, (run, result) in results.items()},
    }


def _length(job):
    """About how many cycles a job takes, without what it waits for."""
    # A job that ends in a reset waits for nothing that would come out.
    pace = 1 - (job.stall_in if _is_lost(job) else max(job.stall_in, job.stall_out))
    beats = sum(len(frame.beats) for frame in job.frames)
    beats += sum(len(step.words) for step in job.steps if isinstance(step, Load))
    return beats / pace + sum(step.cycles for step in job.steps if isinstance(step, Idle))


def _is_lost(job):
    return isinstance(job.steps[-1], Reset)


def facts(run, result):
    """All that must be the same in each simulator: JSON-serialisable.

    ``failures`` are against the golden model; ``outputs`` stands for every element, by frames; ``occupancy`` for the
    beats that are inside in each cycle, and so for the cycle in which each comes and goes; ``sections`` have their
    cycles.
    """
    digest = hashlib.sha256()
    for output in result.outputs:
        digest.update(len(output).to_bytes(8, "little") + output.tobytes())
    occupancy = hashlib.sha256(np.ascontiguousarray(result.occupancy, np.int64)).hexdigest()
    return {"failures": run.failures(result), "outputs": digest.hexdigest(), "occupancy": occupancy,
            "sections": result.sections, "status": result.status, "snapshots": result.snapshots,
            "cycles": result.cycles}


def differences(reference, other):
    """Texts: where `other`, of :func:`ask`, differs from `reference` or fails by itself; none if all agree."""
    found = []
    for name, shown in other["runs"].items():
        wanted = reference["runs"][name]
        found += [f"{name}: {text}" for text in shown["failures"]]
        found += [f"{name}: {what}: {_first(wanted[what], value)}" for what, value in shown.items()
                  if what != "failures" and value != wanted[what]]
    return found


def _first(wanted, got):
    """The first difference of two facts, in a few words."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        key = next(key for key in {**wanted, **got} if wanted.get(key) != got.get(key))
        return f"{key}: {_first(wanted.get(key), got.get(key))}"
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        number = next(i for i, pair in enumerate(zip(wanted, got, strict=True)) if pair[0] != pair[1])
        return f"number {number}: {_first(wanted[number], got[number])}"
    return f"{got} instead of {wanted}"
