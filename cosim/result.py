# SPDX-License-Identifier: Apache-2.0
"""What a run of a job showed, whichever bench ran it."""

import dataclasses

import numpy as np

from ..hdl.errors import ToolFailure
from .taps import Difference

__all__ = ["ModelError", "SimResult", "SimulationError", "findings"]


class SimulationError(ToolFailure):
    """The simulator itself failed: it crashed, could not start, or did not run the test. Ends with its last lines."""


class ModelError(SimulationError):
    """The model of the design failed: it found no stable state, or the design has ended the simulation."""


@dataclasses.dataclass(frozen=True)
class SimResult:
    """What a run showed. ``failures`` is empty if everything was right; the other figures hold either way.

    ``first_mismatches`` are dicts of frame, row, column, channel, wanted and got; ``outputs`` has each frame's beats
    (uint8, (n, lanes)), as many as came. ``sections`` has figures from one reset to the next, and ``total_cycles``
    (first beat offered to last beat out, both counted), ``first_output_latency`` (first beat in to first beat out),
    ``steady_throughput`` (beats out per cycle between the first and the last) and ``in_stall_cycles`` (a beat was
    offered and not taken) are those of the last section, None where too little came out. ``status`` has the status
    ports' final values, ``snapshots`` what was asked for. ``peak_in_flight`` is the largest number of beats accepted
    and not delivered, ``occupancy`` that number in each cycle, if it was asked for. ``difference`` names the first
    stage that went wrong, if that is known.
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
        """Whether nothing at all was wrong."""
        return not self.failures

    @property
    def cycles_per_second(self):
        """Simulated cycles a second, without the simulator's start."""
        return self.cycles / self.run_seconds

    def _last(self, name):
        return self.sections[-1][name]

    total_cycles = property(lambda self: self._last("total"))
    first_output_latency = property(lambda self: self._last("first_output_latency"))
    steady_throughput = property(lambda self: self._last("steady_throughput"))
    in_stall_cycles = property(lambda self: self._last("in_stall_cycles"))


def findings(bench):
    """Of a bench that has run (:class:`.compiled.Compiled` or a like), a SimResult's fields but outputs, occupancy
    and times; JSON-serialisable."""
    board = bench.scoreboard
    return {"failures": bench.failures + board.texts() + bench.violations, "mismatches": board.mismatches,
            "compared": board.compared, "first_mismatches": board.first, "sections": bench.sections,
            "status": bench.status, "snapshots": bench.snapshots, "peak_in_flight": bench.peak, "cycles": bench.cycle}
