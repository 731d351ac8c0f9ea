# SPDX-License-Identifier: Apache-2.0
"""The records of finished tiles that wait for their gates."""

from amaranth.hdl import Assert, Cat, Const, Mux, Signal

from ..config import Context
from ..timing import TILES_UNDER_WAY
from .checks import around

__all__ = ["Records"]


class Records:
    """The records of finished tiles, the oldest first: whether each is valid, and its distance from the head."""

    def __init__(self, m, ingress, inside, buffer, head, place, count, at_start):
        """`at_start`: no beat of the oldest tile was read. The tile buffer has `count` beats."""
        depth = buffer.depth
        words = [(ingress.tile_valid, ingress.tile.as_value())]
        self.level, first = inside["tiles/level"], inside["tiles/head"]
        for i in range(TILES_UNDER_WAY):
            words.append((self.level > i, inside.word(m, "tiles/storage", (first + i)[:2])))
        self.entries, reached, older = [], 0, Const(0)
        fine, proper = [], []
        for i, (valid, word) in enumerate(words):
            reach = Signal(range(depth + 1), name=f"reach_{i}")
            m.d.comb += reach.eq(around(word[:-2] + depth - head, depth) + 1 if depth > 1 else 1)
            self.entries.append((valid, reach, word[-1]))
            fine.append(~valid | ((reach > reached) & (word[:-2] < depth)))
            proper.append(~valid | ~(older | at_start) | (word[-2] == (reach == reached + 1)))
            reached, older = Mux(valid, reach, reached), older | valid
        tail, comes = inside["tiles/tail"], reached + place.number == count
        if buffer.config.context.streams:
            # Beats of the tile that comes may have been read.
            comes = (reached <= count) & (place.first == ((reached == count) & (older | at_start)))
        if buffer.config.context is Context.WINDOW:
            # But not before its window has ended.
            comes &= (place.row == sum(buffer.config.window)) | (
                reached + place.row * place.row_words + place.number == count)
        m.d.comb += [
            Assert(Cat(fine).all(), "tiles end one after the other"),
            Assert(Cat(proper).all(), "tiles of a single beat are known"),
            Assert(comes, "beats are those of finished tiles and of the one that comes"),
            Assert(tail == (first + self.level)[:2], "records are where they are counted"),
            Assert((inside["tiles/head_last"] == (first == TILES_UNDER_WAY - 1))
                   & (inside["tiles/tail_last"] == (tail == TILES_UNDER_WAY - 1)),
                   "pointers of records know where they wrap"),
        ]

    def at(self, ahead):
        """Whether the beat after `ahead` others ends a tile, and whether that tile ends its frame."""
        here = [valid & (reach == ahead + 1) for valid, reach, _ in self.entries]
        return Cat(here).any(), Cat(h & last for h, (_, _, last) in zip(here, self.entries, strict=True)).any()
