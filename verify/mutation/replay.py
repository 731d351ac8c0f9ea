# SPDX-License-Identifier: Apache-2.0
"""Replays the regression on mutants: which scenario notices each, and by what."""

import dataclasses
import faulthandler
import os

from ...cosim.result import ModelError
from ...cosim.standalone import Model
from ...hdl.config import Config
from ...hdl.parameters import Parameters
from ..regression import suite
from ..regression.parameters import centred, pinned, spread

__all__ = ["KINDS", "PHASES", "Kill", "Replay", "further", "kind_of", "other_seeds", "replay", "shortest_first"]

KINDS = ("data", "stages", "protocol", "hang", "status", "memory", "occupancy", "cycles", "crash")
CRASH = "crash"
# The regression, and what is tried on mutants that it has not noticed: the regression with other data and pauses, and
# frames with other parameters.
PHASES = ("regression", "other seeds", "further")
# A scenario takes a fraction of a second. Only a model that never leaves a cycle takes longer.
_LIMIT_SECONDS = 120
# The first of other seeds is the regression's own one, plus 1.
_OTHER_SEEDS = 4
# What is tried with other parameters: beats in all, sets of parameters, and further sets for which a few frames are
# enough.
_BEATS, _SETS, _PINNED = 64_000, 64, 192
# The regression's scenarios without stalls, of whole frames and of cut ones.
_FURTHER = (0, 3)
_SCENARIOS = {}


@dataclasses.dataclass(frozen=True)
class Kill:
    """A noticed mutant: the scenario's name, the kind of failure (one of ``KINDS``), its text, and the phase."""

    scenario: str
    kind: str
    failure: str
    phase: str


@dataclasses.dataclass(frozen=True, eq=False)
class Replay:
    """What is replayed on each mutant of a block.

    ``block`` is a name that is unique among all blocks whose mutants a process simulates. The regression is made for
    each of ``variants``: parameters, seed, beats. ``indices`` are those of the replayed scenarios in the regression, in
    the order to try. ``phase`` is one of ``PHASES``.
    """

    block: str
    model: Model
    config: Config
    variants: tuple[tuple[Parameters, int, int], ...]
    indices: tuple[int, ...]
    phase: str = "regression"


def other_seeds(first: Replay) -> Replay:
    """The Replay for mutants that `first` has not noticed: its scenarios again, with other data and pauses.

    Some faults need a beat in one cycle of a reset, or of an exchange between two components.
    """
    (parameters, seed, beats), = first.variants
    variants = tuple((parameters, seed + 1 + more, beats) for more in range(_OTHER_SEEDS))
    return dataclasses.replace(first, variants=variants, phase="other seeds")


def further(first: Replay) -> Replay:
    """The Replay for mutants that are still not noticed: more frames without stalls, for faults in low bits.

    A loadable block gets them with many different sets of parameters.
    """
    parameters = first.variants[0][0]
    if first.config.loadable:
        makers = (spread, centred) * (_SETS // 2) + (pinned,) * _PINNED
        variants = tuple((make(first.config, parameters, seed), seed, 0 if make is pinned else _BEATS // _SETS)
                         for seed, make in enumerate(makers, 2))
    else:
        variants = ((parameters, 2, _BEATS),)
    return dataclasses.replace(first, variants=variants, indices=_FURTHER, phase="further")


def _scenarios(replayed):
    """The (scenario, seed) to replay, in order; made once in a process."""
    key = (replayed.block, *(variant[1:] for variant in replayed.variants))
    if key not in _SCENARIOS:
        _SCENARIOS[key] = []
        for parameters, seed, beats in replayed.variants:
            made = suite(replayed.config, parameters, seed=seed, beats=beats, indices=replayed.indices)
            by_index = dict(zip(sorted(replayed.indices), made, strict=True))
            _SCENARIOS[key] += [(by_index[index], seed) for index in replayed.indices]
    return _SCENARIOS[key]


def shortest_first(model: Model, config: Config, parameters: Parameters, seed: int) -> tuple[tuple[int, ...], list]:
    """Indices of the regression's scenarios, the shortest first; and the failures of the block without a fault."""
    scenarios = suite(config, parameters, seed=seed)
    results = [model.run(scenario.job, seed=seed, golden_stages=scenario.stages) for scenario in scenarios]
    wrong = [f"{scenario.name}: {text}" for scenario, result in zip(scenarios, results, strict=True)
             for text in scenario.failures(result)]
    return tuple(sorted(range(len(scenarios)), key=lambda i: results[i].cycles)), wrong


def replay(replayed: Replay, number: int) -> Kill | None:
    """The :class:`Kill` of mutant `number` by the first scenario of `replayed` that notices it; None if none does.

    A mutant whose model never ends also ends its process, which the caller has to notice. Raises SimulationError where
    the model is no longer in the cache.
    """
    with open(os.devnull, "w") as nowhere:
        for scenario, seed in _scenarios(replayed):
            faulthandler.dump_traceback_later(_LIMIT_SECONDS, exit=True, file=nowhere)
            try:
                failures = scenario.failures(replayed.model.run(
                    scenario.job, seed=seed, select=number, golden_stages=scenario.stages))
            except ModelError as error:
                return Kill(scenario.name, CRASH, str(error).splitlines()[0], replayed.phase)
            finally:
                faulthandler.cancel_dump_traceback_later()
            if failures:
                return Kill(scenario.name, kind_of(failures[0]), failures[0], replayed.phase)
    return None


def kind_of(failure: str) -> str:
    """The kind of a scenario's failure, one of ``KINDS``."""
    origin, _, text = failure.partition(": ")
    if origin in ("stages", "status", "memory", "occupancy", "cycles"):
        return origin
    if "hang:" in text:
        return "hang"
    return "data" if "differ" in text or "output has" in text else "protocol"
