# SPDX-License-Identifier: Apache-2.0
"""What one simulator shows of a block, and where two simulators differ."""

import dataclasses
import hashlib
import time
from collections.abc import Sequence

import numpy as np

from ...cosim.job import Idle, Load, Reset
from ...cosim.result import SimResult
from ..configurations import NamedBlock
from ..regression import Scenario, suite
from .simulators import Simulator

__all__ = ["differences", "facts", "observe"]

# Seeds frames, their order, and pauses.
SEED = 11
# The scenario that every simulator runs has at least as many frames: one frame shows little, and a large netlist in
# Icarus Verilog is too slow for many.
FEW = 3


def observe(block: NamedBlock, simulator: Simulator, scenarios: Sequence[Scenario] | None = None) -> dict:
    """Run the regression, or only `scenarios`, in a simulator.

    The result is JSON-serialisable: ``beats`` that came out, ``cycles``, ``build_seconds``, ``run_seconds``,
    ``left_out`` (names of scenarios that were too long), ``scenarios`` (the :func:`facts` by name).
    """
    scenarios = suite(block.config, block.parameters, seed=SEED) if scenarios is None else scenarios
    # One is always run: it has several frames, and a sink that takes them.
    shortest = min(scenarios, key=lambda one: (len(one.job.frames) < FEW or _is_lost(one.job), _length(one.job)))
    chosen = [one for one in scenarios if _length(one.job) <= simulator.most or one is shortest]
    start = time.perf_counter()
    simulate = simulator.prepare(block)
    built = time.perf_counter()
    results = {one.name: (one, simulate(dataclasses.replace(one.job, occupancy=True))) for one in chosen}
    return {
        "beats": sum(section["delivered"] for _, result in results.values() for section in result.sections),
        "cycles": sum(result.cycles for _, result in results.values()),
        "build_seconds": round(built - start, 2),
        "run_seconds": round(sum(result.run_seconds for _, result in results.values()), 2),
        "left_out": [one.name for one in scenarios if one not in chosen],
        "scenarios": {name: facts(scenario, result) for name, (scenario, result) in results.items()},
    }


def _length(job):
    """About how many cycles a job takes, without those in which it waits for output."""
    # A job that ends in a reset does not wait for its output.
    pace = 1 - (job.stall_in if _is_lost(job) else max(job.stall_in, job.stall_out))
    beats = sum(len(frame.beats) for frame in job.frames)
    beats += sum(len(step.words) for step in job.steps if isinstance(step, Load))
    return beats / pace + sum(step.cycles for step in job.steps if isinstance(step, Idle))


def _is_lost(job):
    return isinstance(job.steps[-1], Reset)


def facts(scenario: Scenario, result: SimResult) -> dict:
    """Everything that must be the same in each simulator; JSON-serialisable.

    ``failures`` come from the comparison with the golden model. ``outputs`` is a hash of every element by frames,
    ``occupancy`` a hash of the beats inside in each cycle, and so of the cycles in which beats enter and leave.
    ``sections`` have their cycles.
    """
    outputs = b"".join(len(output).to_bytes(8, "little") + output.tobytes() for output in result.outputs)
    occupancy = hashlib.sha256(np.ascontiguousarray(result.occupancy, np.int64)).hexdigest()
    return {"failures": scenario.failures(result), "outputs": hashlib.sha256(outputs).hexdigest(),
            "occupancy": occupancy, "sections": result.sections, "status": result.status,
            "snapshots": result.snapshots, "cycles": result.cycles}


def differences(reference: dict, other: dict) -> list[str]:
    """Where `other`, of :func:`observe`, differs from `reference` or fails by itself: texts, none if both agree."""
    texts = []
    for name, actual in other["scenarios"].items():
        expected = reference["scenarios"][name]
        texts += [f"{name}: {text}" for text in actual["failures"]]
        texts += [f"{name}: {what}: {_first(expected[what], value)}" for what, value in actual.items()
                  if what != "failures" and value != expected[what]]
    return texts


def _first(expected, actual):
    """The first difference of two facts, in a few words."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        key = next(key for key in {**expected, **actual} if expected.get(key) != actual.get(key))
        return f"{key}: {_first(expected.get(key), actual.get(key))}"
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        index = next(i for i, pair in enumerate(zip(expected, actual, strict=True)) if pair[0] != pair[1])
        return f"number {index}: {_first(expected[index], actual[index])}"
    return f"{actual} instead of {expected}"
