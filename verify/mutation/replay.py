# SPDX-License-Identifier: Apache-2.0
"""Replaying a regression on mutants: which run notices each, and by what."""

import dataclasses
import faulthandler
import os

from ...cosim.result import ModelError
from ..regression import suite
from ..regression.parameters import centred, pinned, spread

__all__ = ["KINDS", "PHASES", "Kill", "Replay", "further", "kind_of", "order", "replay"]

KINDS = ("data", "stages", "protocol", "hang", "status", "memory", "occupancy", "cycles", "crash")
CRASH = "crash"
# The regression, and what is tried on those that it has not noticed.
PHASES = ("regression", "further")
# A run takes a fraction of a second; only a model that goes round in circles within a cycle takes longer.
_LIMIT_SECONDS = 120
# Of what is tried on those that the regression has not noticed: beats in all, sets of parameters, and sets of which a
# few frames are enough.
_BEATS, _SETS, _PINNED = 64_000, 64, 192
# The regression's runs with whole frames, and with cut ones, that nothing stalls.
_FURTHER = (0, 3)
_REGRESSIONS = {}


@dataclasses.dataclass(frozen=True)
class Kill:
    """What noticed a mutant: a run's name, what it said, of what kind that is (``KINDS``), and in which phase."""

    run: str
    kind: str
    said: str
    phase: str


@dataclasses.dataclass(frozen=True, eq=False)
class Replay:
    """What is replayed on each mutant of a block.

    Attributes
    ----------
    block : str
        Names the block among all whose mutants a process works on.
    model : Model
    config : Config
    vectors : tuple of (Parameters, int, int)
        What the regression is made of, once for each: parameters, seed, beats.
    runs : tuple of int
        The runs to replay, by their places in a regression, in the order to try.
    phase : str
        One of ``PHASES``.
    """

    block: str
    model: object
    config: object
    vectors: tuple
    runs: tuple
    phase: str = "regression"


def further(replay):
    """A Replay for what `replay` has not noticed: more frames, where nothing stalls; faults in low bits take them.

    A loadable block gets them with parameters that lie far apart, a different set each time.
    """
    parameters = replay.vectors[0][0]
    if not replay.config.loadable:
        return dataclasses.replace(replay, vectors=((parameters, 2, _BEATS),), runs=_FURTHER, phase="further")
    makers = (spread, centred) * (_SETS // 2) + (pinned,) * _PINNED
    vectors = tuple((make(replay.config, parameters, seed), seed, 0 if make is pinned else _BEATS // _SETS)
                    for seed, make in enumerate(makers, 2))
    return dataclasses.replace(replay, vectors=vectors, runs=_FURTHER, phase="further")


def _runs(replay):
    """The runs, in order, made once in a process."""
    key = (replay.block, *(vector[1:] for vector in replay.vectors))
    if key not in _REGRESSIONS:
        found = []
        for parameters, seed, beats in replay.vectors:
            made = suite(replay.config, parameters, seed=seed, beats=beats, indices=replay.runs)
            by_place = dict(zip(sorted(replay.runs), made, strict=True))
            found += [(by_place[place], seed) for place in replay.runs]
        _REGRESSIONS[key] = found
    return _REGRESSIONS[key]


def order(model, config, parameters, seed):
    """Places of the regression's runs, the shortest first, and what they find wrong in the block as it is: texts."""
    runs = suite(config, parameters, seed=seed)
    results = [model.run(run.job, seed=seed, golden_stages=run.stages) for run in runs]
    wrong = [f"{run.name}: {text}" for run, result in zip(runs, results, strict=True) for text in run.failures(result)]
    return tuple(sorted(range(len(runs)), key=lambda i: results[i].cycles)), wrong


def replay(vectors, number):
    """The :class:`Kill` of mutant `number` by the first run of a Replay that notices it; None if none does.

    A mutant whose model never ends takes its process with it, which is for the caller to notice.

    Raises
    ------
    SimulationError
        The model has gone from the cache.
    """
    runs = _runs(vectors)
    with open(os.devnull, "w") as nowhere:
        for run, seed in runs:
            faulthandler.dump_traceback_later(_LIMIT_SECONDS, exit=True, file=nowhere)
            try:
                found = run.failures(vectors.model.run(run.job, seed=seed, select=number, golden_stages=run.stages))
            except ModelError as error:
                return Kill(run.name, CRASH, str(error).splitlines()[0], vectors.phase)
            finally:
                faulthandler.cancel_dump_traceback_later()
            if found:
                return Kill(run.name, kind_of(found[0]), found[0], vectors.phase)
    return None


def kind_of(failure):
    """The kind of a regression's failure, one of ``KINDS``."""
    origin, _, text = failure.partition(": ")
    if origin in ("stages", "status", "memory", "occupancy", "cycles"):
        return origin
    if "hang:" in text:
        return "hang"
    return "data" if "differ" in text or "output has" in text else "protocol"
