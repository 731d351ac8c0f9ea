# SPDX-License-Identifier: Apache-2.0
"""The tilings that a block may have, with the memory that `build` gives each, and the change of its gates."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...gen.block_spec import BlockSpec, assemble
from ...gen.data import Input, weights_of
from ...gen.options import block_options
from ...golden.block import DataFormat
from ...hdl.config import ConfigError, DataType
from ...hdl.sizing import lanes_within, memory_bits
from ...hdl.tiling import Tiling
from ...hdl.timing import Timing
from ...network.calibration.agreement import agreement
from ...network.calibration.own_numbers import own_block, own_options
from ...network.commands.sensitivity import CONTEXTS
from ...network.match.match import NetworkBlock

__all__ = ["Candidate", "sized_candidates", "tilings", "untiled_bits", "with_changes"]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A tiling of a block, sized as `build` does: its lanes and multipliers, and the bits of its memories without
    weights. ``full_rate`` tells whether it takes a beat a cycle. ``change`` is the root mean square of what the tiling
    changes in the block's outputs, relative to these; None if that was not measured.
    """

    tiling: Tiling
    bits: int
    lanes: int
    macs: int
    full_rate: bool
    change: float | None = None


def tilings(block: NetworkBlock, ks: Sequence[int]) -> Iterator[Tiling]:
    """Strips of each of `ks` rows that are fewer than the map's, and of all; and running means for tiles of `ks` rows.
    """
    fewer = [k for k in ks if k < block.height]
    for k in (*fewer, block.height):
        yield Tiling(k=k)
    for about in CONTEXTS:
        for k in fewer:
            yield Tiling(k=k, **about)


def sized_candidates(block: NetworkBlock, options: Any, maps: np.ndarray) -> list[Candidate]:
    """A candidate for each of :func:`tilings`, not yet with its change.

    `options` are those of `plan`; `maps`, float32 (N, H, W, C), give the format of the data, and `block` has their mean
    as its prior. Those with less than full rate are left out if there are others and the options leave the slack of the
    tile buffer open. Raises ConfigError where none can be built.
    """
    data = _data(block, options, maps)
    found, failure = [], None
    for tiling in tilings(block, options.ks):
        try:
            config = _assembled(block, tiling, options, data).config
        except ConfigError as error:
            failure = failure or error
            continue
        found.append(Candidate(tiling, memory_bits(config), config.lanes, config.macs, Timing(config).full_rate))
    if failure and not found:
        raise failure
    fast = [candidate for candidate in found if candidate.full_rate]
    return fast if fast and options.slack is None else found


def with_changes(block: NetworkBlock, candidates: Sequence[Candidate], maps: np.ndarray) -> list[Candidate]:
    """`candidates` with their change on `maps`, as `sensitivity` measures it; `block` has its prior."""
    return [dataclasses.replace(candidate, change=agreement(block, candidate.tiling, maps)
                                .output_change) for candidate in candidates]


def untiled_bits(block: NetworkBlock, options: Any) -> int:
    """The bits of all elements of the block's map, in the network's own format or that of the options."""
    data = block.numbers.x.data if block.numbers.x else DataType.parse(options.dtype or "int8")
    return data.bits * block.height * block.width * block.channels


def _data(block: NetworkBlock, options: Any, maps: np.ndarray) -> Input:
    data_format = block.numbers.x
    try:
        data_format = data_format or DataFormat.calibrate(float(maps.min()), float(maps.max()),
                                                          DataType.parse(options.dtype or "int8"))
    except ConfigError as error:
        raise ConfigError("calibration", options.calibration, f"block {block.name}: {error.allowed}") from None
    integers = data_format.quantise(np.asarray(maps[:1])).astype(data_format.data.numpy)
    return Input("the maps", "x", integers, data_format)


def _assembled(block: NetworkBlock, tiling: Tiling, options: Any, data: Input) -> BlockSpec:
    form = own_block(block)
    if not tiling.prior_rows:
        form = dataclasses.replace(form, prior=None)
    return assemble(block_options(
        options, **vars(tiling), **own_options(block, vars(options)), name="tiled_se",
        lanes=options.lanes and lanes_within(block.channels, options.lanes)), weights_of(form, block.numbers.y), data)
