# SPDX-License-Identifier: Apache-2.0
"""A job with what it must show, and what of that a simulation does not."""

import dataclasses

import numpy as np

from ...cosim.job import Job, Reset
from ...hdl.schedule import Prediction

__all__ = ["MISUSED", "Run"]

# A status port that models with checked memories have: a bit for each that was read where it was written in the same
# cycle, or beyond its end.
MISUSED = "status_misused"


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A job with what it must show.

    Attributes
    ----------
    name : str
    job : Job
        With every beat that must come out.
    status : dict
        Status ports at the end; those that are not named are not looked at.
    snapshots : dict of str to dict
        The same for snapshots, by their names; ``accepted``, ``delivered`` and ``loaded`` count beats.
    depth : int
        Words of the tile buffer, which ``status_peak_words`` can't pass.
    prediction : Prediction or None
        Of the cycles; None where something stalls.
    occupancy : ndarray or None
        With it, beats that are accepted and not yet delivered after each cycle, from the first one's.
    stages : dict
        What the stages must compute, for a model with taps.
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

    def failures(self, result):
        """What of a simulation's result is wrong: texts that begin with what kind of thing it is; none if all is right.

        Parameters
        ----------
        result : SimResult
        """
        found = [f"stream: {text}" for text in result.failures]
        if result.difference is not None:
            found.append(f"stages: {result.difference}")
        for place, got, wanted in (("at the end", result.status, self.status), *(
                (name, result.snapshots.get(name, {}), wanted) for name, wanted in self.snapshots.items())):
            found += [f"status: {name} is {got.get(name)} {place}, not {value}"
                      for name, value in wanted.items() if got.get(name) != value]
        peak = result.status["status_peak_words"]
        if not 0 < peak <= self.depth and not isinstance(self.job.steps[-1], Reset):
            found.append(f"status: status_peak_words is {peak}, of {self.depth}")
        if self.in_flight not in (None, result.peak_in_flight):
            found.append(f"occupancy: at most {result.peak_in_flight} beats were in flight, not {self.in_flight}")
        if result.status.get(MISUSED):
            found.append(f"memory: {MISUSED} is {result.status[MISUSED]:#b}")
        # What is found wrong above is why the cycles are.
        return found or self._cycles(result, peak)

    def _cycles(self, result, peak):
        if self.prediction is None:
            return []
        got = {"total_cycles": result.total_cycles, "first_output_latency": result.first_output_latency,
               "steady_throughput": result.steady_throughput, "peak_words": peak}
        found = [f"cycles: {name} is {got[name]}, predicted {wanted}"
                 for name, wanted in dataclasses.asdict(self.prediction).items() if got[name] != wanted]
        return found or self._beats(result.occupancy)

    def _beats(self, occupancy):
        """The first cycle in which more or fewer beats are inside than predicted."""
        got, wanted = (np.trim_zeros(np.asarray(one)) for one in (occupancy, self.occupancy))
        if np.array_equal(got, wanted):
            return []
        shared = min(len(got), len(wanted))
        at = next(iter(np.flatnonzero(got[:shared] != wanted[:shared])), shared)
        return [f"cycles: {_at(got, at)} beats are in flight {at} cycles behind the first one, predicted "
                f"{_at(wanted, at)}"]


def _at(counts, cycle):
    return counts[cycle] if cycle < len(counts) else 0
