# SPDX-License-Identifier: Apache-2.0
"""The records of finished tiles that wait for their gates."""

from amaranth.hdl import Assert, Cat, Mux, Signal

from ..timing import TILES_UNDER_WAY
from .checks import around

__all__ = ["Records"]


class Records:
    """The records of finished tiles, the oldest first: whether each is valid, and its distance from the head."""

    def __init__(self, m, ingress, inside, head, depth, number, count):
        words = [(ingress.tile_valid, ingress.tile.as_value())]
        level, first = inside["tiles/level"], inside["tiles/head"]
        for i in range(TILES_UNDER_WAY):
            words.append((level > i, inside.word(m, "tiles/storage", (first + i)[:2])))
        self.entries, reached = [], 0
        fine, proper = [], []
        for i, (valid, word) in enumerate(words):
            reach = Signal(range(depth + 1), name=f"reach_{i}")
            m.d.comb += reach.eq(around(word[:-2] + depth - head, depth) + 1 if depth > 1 else 1)
            self.entries.append((valid, reach, word[-1]))
            fine.append(~valid | ((reach > reached) & (word[:-2] < depth)))
            if i:
                proper.append(~valid | (word[-2] == (reach == reached + 1)))
            reached = Mux(valid, reach, reached)
        m.d.comb += [
            Assert(Cat(fine).all(), "tiles end one after the other"),
            Assert(Cat(proper).all(), "tiles of a single beat are known"),
            Assert(reached + number == count, "beats are those of finished tiles and of the one that comes"),
            Assert(inside["tiles/tail"] == (first + level)[:2], "records are where they are counted"),
            Assert((inside["tiles/head_last"] == (first == TILES_UNDER_WAY - 1))
                   & (inside["tiles/tail_last"] == (inside["tiles/tail"] == TILES_UNDER_WAY - 1)),
                   "pointers of records know where they wrap"),
        ]

    def at(self, ahead):
        """Whether the beat after `ahead` others ends a tile, and whether that tile ends its frame."""
        here = [valid & (reach == ahead + 1) for valid, reach, _ in self.entries]
        return Cat(here).any(), Cat(h & last for h, (_, _, last) in zip(here, self.entries, strict=True)).any()
