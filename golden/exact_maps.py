# SPDX-License-Identifier: Apache-2.0
"""The integer model's work on whole maps in floating point, exact, in PyTorch's layout (N, C, H, W).

Integers up to 2**24 are exact in float32, and all others of a block in float64, so these functions give the integers of
:mod:`.stages`, in a fraction of the time that int64 takes.
"""

import functools
from collections.abc import Iterator

import numpy as np
import torch

from ..hdl.config import Config
from . import stages
from .block import DataFormat

__all__ = ["ExactMaps", "pieces", "real", "steps_of"]

# So many elements of a map are worked on at a time: what the processor's cache holds.
PIECE = 1 << 16


def pieces(x: torch.Tensor) -> Iterator[slice]:
    """Slices of the first axis of maps `x`, each of about PIECE elements."""
    size = max(1, PIECE // x[0].numel())
    for first in range(0, len(x), size):
        yield slice(first, first + size)


def steps_of(x: torch.Tensor, form: DataFormat) -> torch.Tensor:
    """``rint(x / scale)`` in float64: limited, these are the integers of ``form.quantise`` less the zero point."""
    return x.to(torch.float64, copy=True).div_(form.scale).round_()


def real(steps: torch.Tensor, scale: float, dtype: torch.dtype) -> torch.Tensor:
    """The real values of integers less their zero point, as ``DataFormat.dequantise`` gives them, rounded to `dtype`.
    """
    # Integers of 17 bits times a scale of 24 are exact in float64, so float32 rounds the same product.
    if steps.dtype == dtype == torch.float32 and float(np.float32(scale)) == scale:
        return steps * scale
    return (steps.double() * scale).to(dtype)


def _exact(largest: float) -> torch.dtype:
    """The type in which sums and products with integers of up to `largest` are exact."""
    return torch.float32 if largest <= 1 << 24 else torch.float64


class ExactMaps:
    """Maps of one size, (N, C, lines, length) in the order of the stream, of a block with this `config`.

    The data's integers are given as steps: less their zero point, in float32. Values for tiles are (N, tiles, C).
    """

    def __init__(self, config: Config, lines: int, device: torch.device) -> None:
        self.config, self._across = config, config.across(config.width)
        self._spans, strips = config.spans(config.width), config.strips(lines)
        self._down, self._columns = (
            torch.as_tensor(np.repeat(np.arange(len(parts)), [stop - first for first, stop in parts]), device=device)
            for parts in (strips, self._spans))
        line = np.arange(lines)
        # float32 (tiles down, lines): the lines of each tile, and those that its descriptor averages.
        self._own, self._seen = (torch.tensor(
            np.array([(first <= line) & (line < stop) for first, stop in parts], np.float32), device=device)
            for parts in (strips, config.averaged(lines)))
        self.counts = torch.as_tensor(stages.elements(lines, config), device=device).double()[:, None]

    @functools.cached_property
    def limits(self) -> tuple[int, int]:
        """The least and the largest steps of x."""
        config = self.config
        return config.data.low - config.zero_point, config.data.high - config.zero_point

    @functools.cached_property
    def y_limits(self) -> tuple[int, int]:
        """Those of y."""
        data, zero = self.config.outputs, self.config.outputs_zero_point
        return data.low - zero, data.high - zero

    # Sums and spreads go by the parts of lines, (N, C, lines, tiles across), which are few beside the elements.

    def parts(self, x: torch.Tensor, exact: bool = False) -> torch.Tensor:
        """The sums of `x`, of the maps' shape, over each tile's part of a line; `exact` for steps."""
        kind = _exact(self.config.columns * self.config.largest_deviation) if exact else x.dtype
        return torch.stack([x[..., first:stop].sum(3, dtype=kind) for first, stop in self._spans], -1)

    def line_sums(self, parts: torch.Tensor) -> torch.Tensor:
        """int64 (N, lines, tiles across, C) on the CPU: :func:`.stages.line_sums`, given the exact `parts` of steps."""
        counts = torch.tensor([stop - first for first, stop in self._spans])
        # Those are of integers in the signed range.
        return parts.permute(0, 2, 3, 1).to("cpu", torch.int64) + (counts * self.config.signed_zero_point)[:, None]

    def tile_sums(self, parts: torch.Tensor) -> torch.Tensor:
        """The sums over each tile, of any real numbers of which these are the `parts`."""
        return torch.einsum("tl,ncla->ntac", self._own.to(parts.dtype), parts).flatten(1, 2)

    def spread(self, tiles: torch.Tensor) -> torch.Tensor:
        """`tiles` for the parts of lines that they have."""
        return tiles.unflatten(1, (-1, self._across)).permute(0, 3, 1, 2).index_select(2, self._down)

    def spread_averaged(self, tiles: torch.Tensor) -> torch.Tensor:
        """For each part of a line the sum of the `tiles` whose descriptor averages it."""
        return torch.einsum("tl,ntac->ncla", self._seen.to(tiles.dtype), tiles.unflatten(1, (-1, self._across)))

    def over_line(self, parts: torch.Tensor) -> torch.Tensor:
        """`parts` for each element; of length 1, to be broadcast, if no tiles are side by side."""
        return parts if self._across == 1 else parts.index_select(3, self._columns)

    def outputs(self, steps: torch.Tensor, gates: torch.Tensor) -> torch.Tensor:
        """:func:`.stages.outputs` less their zero point, not yet limited: integers in float32.

        `gates` are integers, too, for each element. Only outputs with a format of their own can exceed their limits.
        """
        config = self.config
        half = 1 << (config.gate_frac - 1)
        kind = _exact(config.largest_deviation * round(config.gate_top) + half)
        # A power of two scales exactly, and results have at most 21 bits.
        return (steps.to(kind) * gates.to(kind)).add_(half).mul_(2.0**-config.gate_frac).floor_().float()
