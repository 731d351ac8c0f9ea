# SPDX-License-Identifier: Apache-2.0
"""The shape of a block: its lines, channels, lanes and multipliers."""

import dataclasses

from .errors import ConfigError
from .tiling import MOST_ROWS, Tiling

__all__ = ["Geometry"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Geometry(Tiling):
    """What of a block's parameters has no part in its numbers; see :class:`~tiled_se.hdl.config.Config`."""

    width: int
    channels: int
    squeeze: int
    lanes: int = 1
    macs: int = 1
    slack: int | None = None

    def __post_init__(self) -> None:
        self._take_integer("k", 1, MOST_ROWS)
        super().__post_init__()
        for option, high in (("width", 1 << 16), ("channels", 1 << 16), ("squeeze", 1 << 16),
                             ("lanes", 64), ("macs", 4096)):
            self._take_integer(option, 1, high)
        if self.channels % self.lanes:
            raise ConfigError("lanes", self.lanes, f"must divide channels={self.channels}")
        if self.slack is not None:
            self._take_integer("slack", 0, 1 << 20)

    # Geometry. A "group" is the channels of one beat; a "word" is a beat's data.

    @property
    def groups(self) -> int:
        """Beats of a pixel."""
        return self.channels // self.lanes

    @property
    def tile_words(self) -> int:
        """Beats of k rows, which are a tile or a row of tiles; of the rows up to a window's end."""
        return self.tile_rows * self.width * self.groups

    @property
    def columns(self) -> int:
        """Columns of a full tile."""
        return self.tile_columns(self.width)

    @property
    def tiles_across(self) -> int:
        """Tiles side by side."""
        return self.across(self.width)

    @property
    def last_columns(self) -> int:
        """Columns of the rightmost tile, which may be narrower."""
        return self.width - (self.tiles_across - 1) * self.columns

    @property
    def banded(self) -> bool:
        """Whether tiles of several rows stand side by side, so that each row brings a part of each tile."""
        return self.k > 1 and self.tiles_across > 1

    @property
    def passes(self) -> tuple[int, int]:
        """How many passes over their inputs layer 1 and layer 2 need with ``macs`` multipliers."""
        return (-(-self.squeeze // self.macs), -(-self.channels // self.macs))

    @property
    def weight_depth(self) -> int:
        """Words of the weight memory: one for each input of each pass."""
        return self.passes[0] * self.channels + self.passes[1] * self.squeeze
