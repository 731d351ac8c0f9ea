# SPDX-License-Identifier: Apache-2.0
"""One scenario of the regression: a job, what its simulation must show, and the comparison with a result."""

import dataclasses

import numpy as np

from ...cosim.job import Job, Reset
from ...cosim.result import SimResult
from ...hdl.schedule import Prediction

__all__ = ["MISUSED", "Scenario"]

# A status port that only models with checked memories have. It has a bit for each memory: 1 if the memory was read
# at the address that was written in the same cycle, or was accessed beyond its end.
MISUSED = "status_misused"


@dataclasses.dataclass(frozen=True, eq=False)
class Scenario:
    """A job, which has the expected value of every output beat, and the other results that a right block must give.

    Attributes
    ----------
    status : dict
        Expected values of status ports at the end. Ports that are not named are not checked.
    depth : int
        Words of the tile buffer, which ``status_peak_words`` can't exceed.
    snapshots : dict of str to dict
        Expected values of each snapshot: status ports, and ``accepted``, ``delivered`` and ``loaded`` in beats.
    prediction : Prediction or None
        Expected cycles; None where something stalls.
    occupancy : ndarray or None
        Given with `prediction`: beats accepted and not yet delivered after each cycle, from the first beat on.
    stages : dict
        Expected values of the stages, for a model with taps.
    in_flight : int or None
        The most beats that are accepted and not yet delivered; None where that depends on the pauses.
    """

    name: str
    job: Job
    status: dict
    depth: int
    snapshots: dict = dataclasses.field(default_factory=dict)
    prediction: Prediction | None = None
    occupancy: np.ndarray | None = None
    stages: dict = dataclasses.field(default_factory=dict)
    in_flight: int | None = None

    def failures(self, result: SimResult) -> list[str]:
        """What is wrong in a simulation's result: texts that begin with the kind of failure, none if all is right."""
        texts = [f"stream: {text}" for text in result.failures]
        if result.difference is not None:
            texts.append(f"stages: {result.difference}")
        for place, actual, expected in (("at the end", result.status, self.status), *(
                (name, result.snapshots.get(name, {}), values) for name, values in self.snapshots.items())):
            texts += [f"status: {name} is {actual.get(name)} {place}, not {value}"
                      for name, value in expected.items() if actual.get(name) != value]
        peak = result.status["status_peak_words"]
        if not 0 < peak <= self.depth and not isinstance(self.job.steps[-1], Reset):
            texts.append(f"status: status_peak_words is {peak}, of {self.depth}")
        if self.in_flight not in (None, result.peak_in_flight):
            texts.append(f"occupancy: at most {result.peak_in_flight} beats were in flight, not {self.in_flight}")
        if result.status.get(MISUSED):
            texts.append(f"memory: {MISUSED} is {result.status[MISUSED]:#b}")
        # Wrong cycles are a consequence of the failures above.
        return texts or self._cycle_failures(result, peak)

    def _cycle_failures(self, result, peak):
        if self.prediction is None:
            return []
        actual = {"total_cycles": result.total_cycles, "first_output_latency": result.first_output_latency,
                  "steady_throughput": result.steady_throughput, "peak_words": peak}
        texts = [f"cycles: {name} is {actual[name]}, predicted {expected}"
                 for name, expected in dataclasses.asdict(self.prediction).items() if actual[name] != expected]
        return texts or self._occupancy_failures(result.occupancy)

    def _occupancy_failures(self, occupancy):
        """The first cycle in which more or fewer beats are inside than predicted."""
        actual, expected = (np.trim_zeros(np.asarray(counts)) for counts in (occupancy, self.occupancy))
        if np.array_equal(actual, expected):
            return []
        shared = min(len(actual), len(expected))
        cycle = next(iter(np.flatnonzero(actual[:shared] != expected[:shared])), shared)
        got, predicted = (counts[cycle] if cycle < len(counts) else 0 for counts in (actual, expected))
        return [f"cycles: {got} beats are in flight {cycle} cycles after the first one, predicted {predicted}"]
