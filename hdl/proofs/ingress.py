# SPDX-License-Identifier: Apache-2.0
"""Ingress takes beats only if there is room, counts finished tiles, and hands every tile's sums over once.

The proof assumes what its neighbours' proofs show: the tile buffer's `room` is right, a tile is released only if it is
offered, and the memory of sums is in use from the cycle after `flush`.
"""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cat, Cover, Module, Mux, Signal

from ..arithmetic import counter
from ..config import Config
from ..ingress import Ingress
from ..timing import TILES_UNDER_WAY, Timing
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS", "frames", "neighbours", "place", "position", "sums", "tiles"]


def neighbours(m, ingress, depth, least=0):
    """The source, a tile buffer of `depth` words with any reader, and excite, which holds sums for `least` cycles.

    Returns the cycles since the last `flush`, saturated after `least`.
    """
    level, read, held = Signal(range(depth + 1)), Signal(), Signal()
    age = Signal(range(least + 2), init=least + 1)
    tail, tail_last = counter(m, depth, ingress.take, name="tail")
    m.d.sync += [
        level.eq(level + ingress.take - read),
        held.eq((held | ingress.flush) & ~(held & (age >= least) & AnySeq(1))),
        age.eq(Mux(ingress.flush, 1, age + (age <= least))),
    ]
    m.d.comb += [
        ingress.i_valid.eq(AnySeq(1)), ingress.i_last.eq(AnySeq(1)), ingress.admit.eq(AnySeq(1)),
        read.eq(AnySeq(1) & (level != 0)), ingress.room.eq(level + ingress.take - read != depth),
        ingress.tail.eq(tail), ingress.release.eq(AnySeq(1) & ingress.tile_valid), ingress.sums_free.eq(~held),
        Assert(~ingress.take | (level != depth), "no beat is taken without room"),
        Assert(level <= depth, "the tile buffer never overflows"),
        Assert((age <= least + 1) & (held | (age > least)), "sums are held for so long at least"),
        Assert((tail < depth) & (tail_last == (tail == depth - 1)), "the tile buffer's pointer is within its depth"),
    ]
    return age


def place(m, ingress, config):
    """The beat's number in its tile, from a single counter; returns it and 'the tile ends with this beat'."""
    number, ends = Signal(range(config.tile_words)), Signal()
    m.d.comb += ends.eq(ingress.take & (ingress.i_last | (number == config.tile_words - 1)))
    with m.If(ingress.take):
        m.d.sync += number.eq(Mux(ends, 0, number + 1))
    return number, ends


def position(m, ingress, inside, config, number, ends):
    """The position's counters are the digits of that number."""
    groups, width = config.groups, config.width
    group, column, row = (inside[f"position/{name}"] for name in ("group_count", "column", "row"))
    m.d.comb += [
        Assert(number < config.tile_words, "a tile has no more beats than k rows"),
        Assert((group == number % groups) & (column == number // groups % width) & (row == number // groups // width),
               "group, column and row are the digits of a beat's number in its tile"),
        Assert(Cat(inside[f"position/{name}_last"] for name in ("group_count", "column", "row"))
               == Cat(group == groups - 1, column == width - 1, row == config.k - 1), "the last of each is known"),
        Assert((ingress.first_pixel == (number < groups)) & (inside["position"].first_beat == (number == 0)),
               "first beat and first pixel are known"),
        Assert(inside["position"].tile_end == ends, "a tile ends with its k-th row or with the frame"),
    ]


def tiles(m, config, ingress, inside, number, ends):
    """Finished tiles never exceed their places, and each has the address of its last beat."""
    queue, count = inside["tiles"], Signal(range(TILES_UNDER_WAY + 1))
    m.d.sync += count.eq(count + ends - ingress.release)
    level = inside["tiles/level"]
    m.d.comb += [
        Assert(inside["count"] == count, "the count of finished tiles is that of the queue"),
        Assert(count == level + ingress.tile_valid, "finished tiles are in the queue"),
        Assert(~ends | (count != TILES_UNDER_WAY), "no tile ends without a place in the queue"),
        Assert(~ends | (queue.i_valid & (queue.i == Cat(ingress.tail, number == 0, ingress.i_last))),
               "a tile's record is the address of its last beat, whether it has but one, and its tlast"),
        Assert(ends | ~queue.i_valid, "no record without a tile"),
        Assert((count <= TILES_UNDER_WAY) & (inside["tiles/filled"] == (level != 0)),
               "filled tells whether there are tiles"),
        # Each tile has at least one beat in the tile buffer.
        Cover(count == min(TILES_UNDER_WAY, Timing(config).buffer_words), "as many tiles under way as there can be"),
    ]


def sums(m, ingress, inside, config, number, ends):
    """Every finished tile's sums are handed over once, when excite can take them, before the next tile's first beat."""
    row = config.width * config.groups
    owed, rows, words, cut = Signal(), Signal.like(ingress.rows), Signal.like(ingress.words), Signal()
    was_busy = Signal()
    m.d.sync += [owed.eq(ends | (owed & ~ingress.flush)), was_busy.eq(ingress.busy)]
    with m.If(ends):
        m.d.sync += [rows.eq(number // row), words.eq(Mux(number < config.groups, number + 1, config.groups)),
                     cut.eq(number % row != row - 1)]
    m.d.comb += [
        Assert(~ingress.flush | owed, "sums are handed over once a tile"),
        Assert(~ingress.flush | ingress.sums_free, "sums are handed over only when excite can take them"),
        Assert(~(ingress.flush & cut) | ~was_busy, "those of a cut tile only when none is under way"),
        Assert(~owed | (number == 0), "sums wait between two tiles"),
        Assert(~(ingress.take & owed) | ingress.flush, "no beat is taken while a tile's sums wait"),
        Assert(~owed | ((ingress.rows == rows) & (ingress.words == words)), "rows and words are the tile's own"),
        Assert((inside["waiting"] == (owed & ~ingress.flush)) & (~owed | (inside["cut"] == cut)),
               "what waits is known, and whether it was cut"),
        Cover(owed & ingress.flush & ends, "a tile ends while the one before it is handed over"),
    ]
    if row > 1:
        m.d.comb += Cover(ingress.flush & cut & (words == 1), "a tile cut to a single beat is handed over")
    return owed


def frames(m, ingress, config, number):
    """Frames begin and end where they should; returns 'a frame has begun, and no other may begin'."""
    in_frame, error, admitted = Signal(), Signal(), Signal()
    row = config.width * config.groups
    m.d.sync += admitted.eq(ingress.admit)
    with m.If(ingress.take):
        m.d.sync += in_frame.eq(~ingress.i_last)
        with m.If(ingress.i_last & (number % row != row - 1)):
            m.d.sync += error.eq(1)
    m.d.comb += [
        Assert(ingress.in_frame == in_frame, "a frame goes from its first beat to tlast"),
        Assert(ingress.error == error, "the error rises with a tlast off a row's end, and stays"),
        Assert(~(ingress.take & ~in_frame) | admitted, "no frame starts that was not admitted"),
    ]
    return in_frame & ~admitted


def _progress(m, ingress, inside):
    """`ready` rises within three cycles if nothing prevents it."""
    clear, since = Signal(), Signal(range(3))
    m.d.comb += clear.eq(ingress.room & ingress.admit & ingress.sums_free & ~ingress.busy
                         & (inside["count"] < TILES_UNDER_WAY - 1))
    m.d.sync += since.eq(Mux(clear & ~ingress.ready, since + (since != 2), 0))
    m.d.comb += Assert((since != 2) | ingress.ready, "ready comes when nothing is in its way")


def _model(config):
    m = Module()
    depth = Timing(config).buffer_words
    ingress = Ingress(config, range(depth))
    m.submodules.ingress = inside = Inside(ingress)
    neighbours(m, ingress, depth)
    m.d.comb += ingress.busy.eq(AnySeq(1))
    number, ends = place(m, ingress, config)
    position(m, ingress, inside, config, number, ends)
    tiles(m, config, ingress, inside, number, ends)
    sums(m, ingress, inside, config, number, ends)
    goes_on = frames(m, ingress, config, number)
    m.d.comb += Cover(ingress.take & goes_on, "a frame that has begun goes on without being admitted")
    _progress(m, ingress, inside)
    return m


_PLACE = "no tile ends without a place in the queue"
_ROWS = (
    Fault("those of a cut tile don't wait for one under way", "ingress.py", "free & ~(cut & self.busy)", "free",
          "those of a cut tile only when none is under way"),
    Fault("ready does not look at sums that wait", "ingress.py", "self._sums(m, position) &",
          "(self._sums(m, position) | 1) &", "no beat is taken while a tile's sums wait"),
    Fault("a frame may start at any time", "ingress.py", "(goes_on | self.admit)", "1",
          "no frame starts that was not admitted"),
    Fault("a tile of a single pixel counts as one of a single beat", "ingress.py",
          "Cat(self.tail, position.first_beat, self.i_last)", "Cat(self.tail, position.first_pixel, self.i_last)",
          "a tile's record is the address of its last beat, whether it has but one, and its tlast"),
    Fault("a tile that is cut in its first pixel has a word less", "ingress.py", "self.words.eq(position.group + 1)",
          "self.words.eq(position.group)", "rows and words are the tile's own"),
    Fault("sums that had to wait are handed over again", "ingress.py", "waiting.eq(0)", "waiting.eq(1)",
          "sums are handed over once a tile"),
    Fault("a frame ends with each of its tiles", "ingress.py", "goes_on.eq(~self.i_last)",
          "goes_on.eq(~position.tile_end)", "a frame goes from its first beat to tlast"),
    Fault("the error rises with every frame", "ingress.py", "with m.If(position.cut):",
          "with m.If(self.take & self.i_last):", "the error rises with a tlast off a row's end, and stays"),
)
_BEATS = (
    Fault("the count of tiles wraps at exactly full", "ingress.py", "Signal(range(TILES_UNDER_WAY + 1))",
          "Signal(range(TILES_UNDER_WAY))", _PLACE),
    Fault("a tile that ends in this cycle is not counted", "ingress.py",
          "((count == TILES_UNDER_WAY - 1) & position.tile_end)", "0", _PLACE),
    Fault("sums are free in the cycle in which they are handed over", "ingress.py", "self.sums_free & ~self.flush",
          "self.sums_free", "sums are handed over only when excite can take them"),
)
_ONE = (
    Fault("room is not looked at", "ingress.py", "self.ready.eq(self.room &", "self.ready.eq(",
          "no beat is taken without room"),
)
_SIZES = (
    (Config(k=2, width=2, channels=3, squeeze=1, slack=1), _ROWS),
    (Config(k=3, width=1, channels=3, squeeze=1, lanes=3, slack=0), _ONE),
    (Config(k=1, width=1, channels=3, squeeze=1, lanes=3, slack=4), _BEATS),
)
PROOFS = tuple(Proof(f"ingress k={c.k} width={c.width} groups={c.groups}", functools.partial(_model, c), faults=faults,
                     cover=25) for c, faults in _SIZES)
