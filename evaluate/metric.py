# SPDX-License-Identifier: Apache-2.0
"""The elements that a block buffers and its MACs, from its shape, as in section 3.2 of the paper.

Elements that wait are min(h, H) * min(w, W) * C for tiles of h x w. The multiply-accumulates (MACs) that a block adds
to its network are N * F, F for each of N tiles. Squeeze-and-excite has one tile, its whole map.
"""

import dataclasses
import re

__all__ = ["WHOLE", "Tile", "added_macs", "buffered", "parse_tile", "tiles"]


@dataclasses.dataclass(frozen=True)
class Tile:
    """A tile's rows and columns; None is as many as the map has."""

    rows: int | None = None
    columns: int | None = None

    def within(self, height, width):
        """Rows and columns of the tile in a map of `height` x `width`."""
        return (height if self.rows is None else min(self.rows, height),
                width if self.columns is None else min(self.columns, width))


WHOLE = Tile()


def parse_tile(text):
    """The :class:`Tile` that the paper writes as `text`: SE, or like 7xW, Hx7, 7x7.

    7xW-upper and 7xW-middle are single strips, whose gates are every row's: the paper counts them as whole maps.
    """
    found = re.fullmatch(r"(\d+|H)x(\d+|W)", text)
    return Tile(*(int(side) if side.isdecimal() else None for side in found.groups())) if found else WHOLE


def buffered(block, tile):
    """Elements of `block` that wait for their tile's gates: rows * columns * C of one tile."""
    rows, columns = tile.within(block.height, block.width)
    return rows * columns * block.channels


def tiles(block, tile):
    """N: the tiles of a map, of which the last of a row or column may be smaller."""
    rows, columns = tile.within(block.height, block.width)
    return -(-block.height // rows) * -(-block.width // columns)


def added_macs(block, tile):
    """N * F, where F is the MACs of both layers for one tile, 2 * C * CR."""
    return tiles(block, tile) * 2 * block.channels * block.squeeze
