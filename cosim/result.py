# SPDX-License-Identifier: Apache-2.0
"""The result of a job's run, the same for all test benches."""

import dataclasses

import numpy as np

from ..hdl.errors import ToolFailure
from .taps import Difference

__all__ = ["ModelError", "SimResult", "SimulationError", "findings"]


class SimulationError(ToolFailure):
    """The simulator failed: it crashed, could not start, or did not run the test. The text ends with its last lines."""


class ModelError(SimulationError):
    """The simulated design failed: it has no stable state, or it ended the simulation."""


@dataclasses.dataclass(frozen=True)
class SimResult:
    """The result of a run. ``failures`` is empty if everything was right; the other fields are valid in any case.

    ``first_mismatches`` are dicts of frame, row, column, channel, expected and got. ``outputs`` has the output beats of
    each frame (uint8, (n, bytes of tdata)), as many as came; ``Job.elements`` gives their integers. ``sections`` has
    figures for each section, from one reset to the next. Of the last section there are ``total_cycles`` (first beat
    offered to last beat out, both counted), ``first_output_latency`` (first beat in to first beat out),
    ``steady_throughput`` (beats out per cycle between the first and the last) and ``in_stall_cycles`` (a beat was
    offered and not taken), None if too little came out.
    ``status`` has the final values of the status ports, ``snapshots`` those that steps took. ``peak_in_flight`` is the
    largest number of beats accepted and not delivered, ``occupancy`` that number in each cycle, if requested.
    ``difference`` is the first wrong value of a stage, if known.
    """

    failures: list
    mismatches: int
    compared: int
    first_mismatches: list
    outputs: list
    sections: list
    status: dict
    snapshots: dict
    peak_in_flight: int
    occupancy: np.ndarray
    cycles: int
    run_seconds: float
    cpu_seconds: float
    difference: Difference | None = None

    @property
    def ok(self):
        """Whether there are no failures."""
        return not self.failures

    @property
    def cycles_per_second(self):
        """Simulated cycles per second, without the simulator's start."""
        return self.cycles / self.run_seconds

    def _last(self, name):
        return self.sections[-1][name]

    total_cycles = property(lambda self: self._last("total"))
    first_output_latency = property(lambda self: self._last("first_output_latency"))
    steady_throughput = property(lambda self: self._last("steady_throughput"))
    in_stall_cycles = property(lambda self: self._last("in_stall_cycles"))


def findings(bench):
    """Fields of a SimResult, except outputs, occupancy and times, of a test bench that has run; JSON-serialisable."""
    board = bench.scoreboard
    return {"failures": bench.failures + board.texts() + bench.violations, "mismatches": board.mismatches,
            "compared": board.compared, "first_mismatches": board.first, "sections": bench.sections,
            "status": bench.status, "snapshots": bench.snapshots, "peak_in_flight": bench.peak, "cycles": bench.cycle}
