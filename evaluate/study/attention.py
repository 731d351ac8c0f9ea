# SPDX-License-Identifier: Apache-2.0
"""What stands in the blocks of a network: nothing, squeeze-and-excite, or a tiling of it that fits every map."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ...golden import TiledSE, mean_descriptors, tile_se
from ...golden.batches import run_batches
from ...hdl.config import Context, Order, Tiling
from .networks import SqueezeExcite

__all__ = ["MIDDLE", "NONE", "SE", "Attention", "BlockMap", "attended", "block_maps", "buffer_elements", "priors_of"]

# The window in the middle of each map.
MIDDLE = "middle"
# Rows of the paper's windows.
WINDOW_ROWS = 7


class BlockMap(NamedTuple):
    """The size of a block's feature map."""

    channels: int
    height: int
    width: int


@dataclasses.dataclass(frozen=True)
class Attention:
    """What stands in every block, with the fields of a row of study.json.

    ``context`` is "none", "se" or that of a tiling. ``k`` None is the whole map. ``window`` is MIDDLE or, like
    ``0:7``, first row and number of rows.
    """

    context: str
    k: int | None = None
    tile_w: int | None = None
    order: str = Order.ROWS.value
    window: str | None = None
    prior_rows: int = 0

    @property
    def kind(self) -> str:
        """The field ``attention`` of a row."""
        return self.context if self.context in ("none", "se") else "tse"

    @property
    def fields(self) -> dict:
        """Fields of a row of study.json."""
        return {"attention": self.kind, **dataclasses.asdict(self)}

    def __str__(self) -> str:
        """As a part of a file's name; strips and patches as the paper calls them."""
        if self.kind != "tse":
            return self.context
        if self.window is not None:
            return f"window-{self.window.replace(':', '+')}"
        size = "all" if self.k is None else str(self.k)
        if self.context != Context.TILE.value:
            return f"{self.context}-{size}"
        across = "W" if self.tile_w is None else str(self.tile_w)
        return f"tile-{size}x{across}" if self.order == Order.ROWS.value else f"tile-Hx{size}"

    def tiling(self, height: int, width: int) -> Tiling:
        """The tiling of a map of `height` x `width`: tiles and windows are no larger than the map."""
        order = Order(self.order)
        lines, across = (height, width) if order is Order.ROWS else (width, height)
        if self.context == "se":
            return Tiling(k=height)
        k = lines if self.k is None else min(self.k, lines)
        if self.window is not None:
            return Tiling(k=lines, context=Context.WINDOW, window=self._window(lines))
        tile_w = None if self.tile_w is None else min(self.tile_w, across)
        return Tiling(k=k, context=Context(self.context), tile_width=tile_w, prior_rows=self.prior_rows, order=order)

    def _window(self, lines: int) -> tuple[int, int]:
        if self.window == MIDDLE:
            return max(0, lines - WINDOW_ROWS) // 2, min(WINDOW_ROWS, lines)
        assert self.window is not None
        first, count = map(int, self.window.split(":"))
        return min(first, lines - 1), min(count, lines - min(first, lines - 1))


NONE, SE = Attention("none"), Attention("se")


def block_maps(network: nn.Module, frame: torch.Tensor) -> dict[str, BlockMap]:
    """The map of each squeeze-and-excite block of `network` by its name, for a `frame` (1, C, H, W)."""
    maps = {}

    def add(name: str, x: torch.Tensor) -> None:
        maps[name] = BlockMap(*x.shape[1:])

    run_batches(network, [frame], {module: functools.partial(add, name) for name, module in network.named_modules()
                                   if isinstance(module, SqueezeExcite | TiledSE)})
    return maps


def attended(network: nn.Module, attention: Attention, maps: Mapping[str, BlockMap], stage: str | None = None,
             priors: Mapping[str, np.ndarray] | None = None) -> nn.Module:
    """`network` with `attention` in its squeeze-and-excite blocks, of which `maps` has the sizes; changed in place.

    With `stage`, only in the blocks of that stage. `priors` are those of :func:`mean_descriptors`; without them the
    prior is 0.
    """
    names = [name for name in maps if stage is None or name.startswith(f"{stage}.")]
    if attention.context == "none":
        for name in names:
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, nn.Identity())
    elif attention.context != "se":
        tilings = {name: attention.tiling(maps[name].height, maps[name].width) for name in names}
        # A test shows that the blocks are recognised as what they are.
        tile_se(network, tilings, check=False, priors=priors if attention.prior_rows else None)
    return network


def buffer_elements(attention: Attention, maps: Mapping[str, BlockMap], stage: str | None = None) -> int:
    """The elements that wait for their gates, in all blocks together; those outside of `stage` have the whole map."""
    if attention.context == "none":
        return 0
    total = 0
    for name, (channels, height, width) in maps.items():
        own = attention if stage is None or name.startswith(f"{stage}.") else SE
        line = width if own.order == Order.ROWS.value else height
        total += own.tiling(height, width).waiting(line) * channels
    return total


def priors_of(network: nn.Module, frames: torch.Tensor) -> dict[str, np.ndarray]:
    """The prior of each block from `frames` (N, C, H, W)."""
    return mean_descriptors(network, frames.split(256))
