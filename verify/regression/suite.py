# SPDX-License-Identifier: Apache-2.0
"""The regression suite of a block: frames, stalls, cuts, resets and parameter streams, with their expected results.

Co-simulations, other simulators, the synthesised netlist and mutants all replay these scenarios.
"""

import functools
from collections.abc import Collection

import numpy as np

from ...hdl.config import Config
from ...hdl.parameters import Parameters
from ...hdl.timing import Timing
from .loads import LoadScenarios
from .scenario import Scenario
from .scenarios import STALLS

__all__ = ["suite"]


def suite(config: Config, parameters: Parameters, *, seed: int = 1, beats: int = 0,
          indices: Collection[int] | None = None) -> tuple[Scenario, ...]:
    """A block's scenarios. Those that are short and find most faults come first.

    `parameters` are baked in, or loaded. `seed` decides the frames, their order, and the pauses. Each scenario with
    whole frames has at least `beats` beats, and all of its frames. With `indices`, only these scenarios are made,
    counted from 0; their data may differ from those in the whole suite.
    """
    block = LoadScenarios(config, parameters, np.random.default_rng(seed), seed)
    makers = [functools.partial(block.frames, stalls, beats) for stalls in STALLS]
    makers += [functools.partial(block.cuts, stalls) for stalls in STALLS]
    makers += [block.pauses, block.counted, block.blocked, block.crowded]
    makers += [functools.partial(block.resets, stalls) for stalls in STALLS[:2]]
    makers += [block.resets_after_a_tile, block.spaced]
    if config.context.running and Timing(config).full_rate:
        # Else the source also has to wait for other reasons.
        makers.append(block.out_of_step)
    if config.loadable:
        makers += [block.reloads, block.reloads_in_time, block.reloads_at_once, block.reload_after_beats,
                   block.reloads_after_two, block.refused, block.foreign, block.padded, block.many_parameters,
                   block.segmented]
    return tuple(make() for index, make in enumerate(makers) if indices is None or index in indices)
