# SPDX-License-Identifier: Apache-2.0
"""The vectors that every block is held to: frames, stalls, cuts, resets and parameter streams, with what must come.

Co-simulations, other simulators, the synthesised netlist and mutants all replay these.
"""

import functools

import numpy as np

from .scenario import MISUSED, Run
from .scenarios import STALLS, Runs

__all__ = ["MISUSED", "STALLS", "Run", "regression"]


def regression(config, parameters, *, seed=1, beats=0, places=None):
    """A block's runs, the quickest that finds most first.

    Parameters
    ----------
    config : Config
    parameters : Parameters
        What is baked in, or is loaded.
    seed : int
        Of frames, their order, and pauses.
    beats : int
        How many each of the runs with whole frames sends at least; all of its frames at least once.
    places : sequence of int, optional
        Make only these, counted from 0. They may have other data than among all.

    Returns
    -------
    tuple of Run
    """
    vectors = Runs(config, parameters, np.random.default_rng(seed), seed)
    makers = [functools.partial(vectors.frames, stalls, beats) for stalls in STALLS]
    makers += [functools.partial(vectors.cuts, stalls) for stalls in STALLS]
    makers += [vectors.pauses, vectors.counted, vectors.blocked, vectors.crowded]
    makers += [functools.partial(vectors.resets, stalls) for stalls in STALLS[:2]]
    makers += [vectors.resets_behind_a_tile, vectors.spaced]
    if config.loadable:
        makers += [vectors.reloads, vectors.reloads_in_time, vectors.reload_behind_beats,
                   vectors.reloads_behind_two, vectors.refused, vectors.foreign, vectors.padded,
                   vectors.many_parameters, vectors.segmented]
    return tuple(make() for place, make in enumerate(makers) if places is None or place in places)
