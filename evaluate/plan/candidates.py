# SPDX-License-Identifier: Apache-2.0
"""What a block may have: its tiling and its outputs' format, with the memory that `build` gives it and what changes."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...gen.block_spec import BlockSpec, assemble
from ...gen.data import Input, weights_of
from ...gen.options import block_options
from ...hdl.config import ConfigError, DataType
from ...hdl.sizing import lanes_within, memory_bits
from ...hdl.tiling import Tiling
from ...hdl.timing import Timing
from ...network.calibration.agreement import agreement
from ...network.calibration.own_numbers import own_block, own_options
from ...network.commands.sensitivity import CONTEXTS
from ...network.match.match import NetworkBlock
from ..saturation import clipped_outputs
from .outputs import OutputFormat, OutputSource

__all__ = ["Candidate", "sized_candidates", "tilings", "untiled_bits", "with_changes", "with_clipped"]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A tiling of a block and a format of its outputs, sized as `build` does: its lanes and multipliers, and the bits
    of its memories without weights. ``full_rate`` tells whether it takes a beat a cycle.

    Measured, ``gate_change`` is the ``mean`` and ``max`` magnitude of what the tiling changes in the gates, over
    channels and pixels, and ``output_change`` the root mean square of what it changes in the outputs, relative to
    these; else None. ``clipped`` is the share of the outputs in this tiling that their format clips, as
    :func:`with_clipped` measures it; None for outputs without a format of their own, too.
    """

    tiling: Tiling
    outputs: OutputFormat
    bits: int
    lanes: int
    macs: int
    full_rate: bool
    gate_change: dict[str, float] | None = None
    output_change: float | None = None
    clipped: float | None = None

    @property
    def change(self) -> float:
        """The mean change of the gates, with the rounding of the outputs as such a change."""
        return self.gate_change["mean"] + self.outputs.rounding

    @property
    def figures(self) -> dict:
        """JSON-serialisable."""
        return {"memory_bits": self.bits, "change": self.change, "gate_change": self.gate_change,
                "output_change": self.output_change, **self.outputs.figures, "clipped": self.clipped,
                "lanes": self.lanes, "macs": self.macs, "full_rate": self.full_rate}


def tilings(block: NetworkBlock, ks: Sequence[int]) -> Iterator[Tiling]:
    """Strips of each of `ks` rows that are fewer than the map's, and of all; and running means for tiles of `ks` rows.
    """
    fewer = [k for k in ks if k < block.height]
    for k in (*fewer, block.height):
        yield Tiling(k=k)
    for about in CONTEXTS:
        for k in fewer:
            yield Tiling(k=k, **about)


def sized_candidates(block: NetworkBlock, options: Any, formats: Sequence[OutputFormat]) -> list[Candidate]:
    """A candidate for each of :func:`tilings` with each of `formats`, not yet with its change.

    `options` are those of `plan`; `block` has the mean of its maps as its prior. Those with less than full rate are
    left out if there are others and the options leave the slack of the tile buffer open. Raises ConfigError where none
    can be built.
    """
    found, failure = [], None
    for tiling in tilings(block, options.ks):
        for outputs in formats:
            try:
                config = _assembled(block, tiling, options, outputs).config
            except ConfigError as error:
                failure = failure or error
                continue
            found.append(Candidate(tiling, outputs, memory_bits(config), config.lanes, config.macs,
                                   Timing(config).full_rate))
    if failure and not found:
        raise failure
    fast = [candidate for candidate in found if candidate.full_rate]
    return fast if fast and options.slack is None else found


def with_changes(block: NetworkBlock, candidates: Sequence[Candidate], maps: np.ndarray) -> list[Candidate]:
    """`candidates` with their changes on `maps`, float32 (N, H, W, C); `block` has its prior."""

    @functools.cache
    def changes(tiling: Tiling) -> dict:
        found = agreement(block, tiling, maps)
        return {"gate_change": {name: found.gate_difference[name] for name in ("mean", "max")},
                "output_change": found.output_change}

    return [dataclasses.replace(candidate, **changes(candidate.tiling)) for candidate in candidates]


def with_clipped(block: NetworkBlock, candidate: Candidate, options: Any, maps: np.ndarray) -> Candidate:
    """`candidate` with what its format of the outputs clips on `maps`; all as :func:`sized_candidates` got them."""
    found = clipped_outputs(_assembled(block, candidate.tiling, options, candidate.outputs), maps)
    return dataclasses.replace(candidate, clipped=found and found["clipped"])


def untiled_bits(block: NetworkBlock, options: Any) -> int:
    """The bits of all elements of the block's map, in the network's own format or that of the options."""
    data = block.numbers.x.data if block.numbers.x else DataType.parse(options.dtype or "int8")
    return data.bits * block.height * block.width * block.channels


def _assembled(block: NetworkBlock, tiling: Tiling, options: Any, outputs: OutputFormat) -> BlockSpec:
    form, data = own_block(block), outputs.x.data
    if not tiling.prior_rows:
        form = dataclasses.replace(form, prior=None)
    # Its shape and format decide the hardware, not its numbers.
    frame = np.broadcast_to(np.zeros((), data.numpy), (1, block.height, block.width, block.channels))
    y_format = None if outputs.source is OutputSource.INPUT else outputs.y
    return assemble(block_options(
        options, **vars(tiling), **own_options(block, vars(options) | outputs.given), name="tiled_se",
        lanes=options.lanes and lanes_within(block.channels, options.lanes)), weights_of(form, y_format),
        Input("the maps", "x", frame, outputs.x))
