# SPDX-License-Identifier: Apache-2.0
"""Ingress takes beats only if there is room, counts finished tiles, and hands over the sums of each descriptor once.

The proof assumes what its neighbours' proofs show: the tile buffer's `room` is right, a tile is released only if it is
offered, and the memory of sums is in use from the cycle after excite starts.
"""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cat, Const, Cover, Module, Mux, Signal

from ..arithmetic import counter
from ..config import Config, Context
from ..ingress import Ingress
from ..timing import TILES_UNDER_WAY, Timing
from .place import place_of, tiling_name
from .position import at_place, is_log
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS", "copied", "frames", "neighbours", "started", "sums", "tiles"]


def started(ingress, config):
    """'Excite starts with a descriptor'."""
    return ingress.start if config.context is Context.CAUSAL else ingress.flush


def neighbours(m, ingress, config, depth, least=0):
    """The source, a tile buffer of `depth` words with any reader, and excite, which holds sums for `least` cycles.

    Returns the cycles since excite's last start, saturated after `least`.
    """
    level, read, held, start = Signal(range(depth + 1)), Signal(), Signal(), started(ingress, config)
    age = Signal(range(least + 2), init=least + 1)
    tail, tail_last = counter(m, depth, ingress.take, name="tail")
    m.d.sync += [
        level.eq(level + ingress.take - read),
        held.eq((held | start) & ~(held & (age >= least) & AnySeq(1))),
        age.eq(Mux(start, 1, age + (age <= least))),
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


def copied(m, ingress, config, place, age):
    """The accumulator copies sums out, a group a cycle, from `flush` on, which was `age` cycles ago at the last start.

    Returns 'a group is copied', the group, and 'the sums of the last start were copied'.
    """
    copies, now, index = Signal(), Signal(), Signal(range(config.groups))
    with m.If(started(ingress, config)):
        m.d.sync += copies.eq(ingress.flush)
    m.d.comb += [
        now.eq(ingress.flush | (copies & (age < config.groups))), index.eq(Mux(ingress.flush, 0, age)),
        Assert(~now | (place.number <= index), "no beat comes before its sum is copied"),
    ]
    needs = place.counted & ~place.first_pixel
    if config.context.running:
        m.d.comb += Assert(~(ingress.take & now & needs) | (ingress.group == index),
                           "a beat that needs its sum is taken in step with the copy")
    else:
        m.d.comb += Assert(~(now & needs), "sums are copied before beats come that need them")
    return now, index, copies


def tiles(m, config, ingress, inside, place):
    """Finished tiles never exceed their places, and each has the address of its last beat."""
    queue, count, ends = inside["tiles"], Signal(range(TILES_UNDER_WAY + 1)), place.ends
    m.d.sync += count.eq(count + ends - ingress.release)
    level = inside["tiles/level"]
    m.d.comb += [
        Assert(inside["count"] == count, "the count of finished tiles is that of the queue"),
        Assert(count == level + ingress.tile_valid, "finished tiles are in the queue"),
        Assert(~ends | (count != TILES_UNDER_WAY), "no tile ends without a place in the queue"),
        Assert(~ends | (queue.i_valid & (queue.i == Cat(ingress.tail, place.first, ingress.i_last))),
               "a tile's record is the address of its last beat, whether it has but one, and its tlast"),
        Assert(ends | ~queue.i_valid, "no record without a tile"),
        Assert((count <= TILES_UNDER_WAY) & (inside["tiles/filled"] == (level != 0)),
               "filled tells whether there are tiles"),
        # Each tile has at least one beat in the tile buffer.
        Cover(count == min(TILES_UNDER_WAY, Timing(config).buffer_words), "as many tiles under way as there can be"),
    ]


def sums(m, ingress, inside, config, place):
    """Sums are handed over once for each descriptor, when excite can take them, and before they change.

    Returns 'a descriptor is due, and its sums wait' and, for a prior without sums, 'it waits'.
    """
    if config.context is Context.CAUSAL:
        return _causal(m, ingress, inside, config, place)
    owed, rows, words, cut = Signal(), Signal(range(config.most_rows + 1)), Signal.like(ingress.words), Signal()
    due, was_busy = place.hand_over, Signal()
    m.d.sync += [owed.eq(due | (owed & ~ingress.flush)), was_busy.eq(ingress.busy)]
    reached = Mux(place.first_pixel, place.number % config.groups + 1, config.groups)
    with m.If(due):
        m.d.sync += [rows.eq(place.rows), words.eq(Mux(place.counted, reached, 0)
                                                   if config.context is Context.WINDOW else reached),
                     cut.eq(ingress.i_last & ~place.row_end)]
    running = config.context.running
    own = (ingress.rows["count"] == rows) & is_log(ingress.rows) if running else ingress.rows == rows
    m.d.comb += [
        Assert(~ingress.flush | owed, "sums are handed over once a descriptor"),
        Assert(~ingress.flush | ingress.sums_free, "sums are handed over only when excite can take them"),
        Assert(~(ingress.flush & cut) | ~was_busy, "those of a cut frame only when none is under way"),
        Assert(~owed | ((place.number == 0) & (config.context.running | place.first_pixel | ~place.counted)),
               "sums wait until the next beats come"),
        Assert(~(ingress.take & owed) | ingress.flush, "no beat is taken while sums wait"),
        Assert(~owed | (own & (ingress.words == words)), "rows and words are the descriptor's own"),
        Assert((inside["waiting"] == (owed & ~ingress.flush)) & (~owed | (inside["cut"] == cut)),
               "what waits is known, and whether it was cut"),
        Cover(owed & ingress.flush & due, "sums are complete while those before are handed over"),
    ]
    if config.context is not Context.TILE:
        m.d.comb += Assert(ingress.counted == place.counted, "the beats are known that are averaged")
    if place.row_words > 1:
        m.d.comb += Cover(ingress.flush & cut & (words == 1), "sums of a single beat are handed over")
    return owed, Const(0)


def _causal(m, ingress, inside, config, place):
    """A tile's descriptor is due before its first beat is; with its frame's first beat, if that is the same beat."""
    prior, owed, rows = Signal(), Signal(), Signal(range(config.most_rows + 1))
    start, flush = ingress.start, ingress.flush
    m.d.sync += [prior.eq(place.frame_start | (prior & ~start)), owed.eq(place.hand_over | (owed & ~flush))]
    with m.If(place.hand_over):
        m.d.sync += rows.eq(place.rows)
    number = Mux(flush, rows, config.prior_rows)
    m.d.comb += [
        Assert(~start | prior | owed, "excite starts once a tile"),
        Assert(flush == (start & ~prior), "sums are handed over unless a frame starts, and then after the prior"),
        Assert(~flush | owed, "sums are handed over once a descriptor"),
        Assert(~start | ingress.sums_free, "sums are handed over only when excite can take them"),
        Assert(~owed | (place.number == 0), "sums wait until the next beats come"),
        Assert(~(ingress.take & (prior | owed)) | (start & ~(prior & owed)), "no beat is taken while sums wait"),
        Assert(~start | ((ingress.rows["count"] == number) & is_log(ingress.rows)
                         & (ingress.words == Mux(flush, config.groups, 0))), "rows and words are the descriptor's own"),
        Assert((inside["waiting_prior"] == (prior & ~start)) & (inside["waiting_sums"] == (owed & ~flush)),
               "what waits is known"),
        Assert(~owed | (inside["rows"]["count"] == rows) & is_log(inside["rows"]), "the rows of waiting sums are kept"),
        Assert(ingress.counted == place.counted, "the beats are known that are averaged"),
    ]
    if config.tile_words == 1:
        m.d.comb += [
            Cover(prior & owed, "a tile's prior and the next one's sums are due with the same beat"),
            Cover(start & ~flush & place.hand_over, "sums are complete while a frame starts"),
        ]
    return owed, prior


def frames(m, ingress, config, place):
    """Frames begin and end where they should; returns 'a frame has begun, and no other may begin'."""
    in_frame, error, admitted = Signal(), Signal(), Signal()
    m.d.sync += admitted.eq(ingress.admit)
    with m.If(ingress.take):
        m.d.sync += in_frame.eq(~ingress.i_last)
        with m.If(ingress.i_last & ~place.row_end):
            m.d.sync += error.eq(1)
    m.d.comb += [
        Assert(ingress.in_frame == in_frame, "a frame goes from its first beat to tlast"),
        Assert(ingress.error == error, "the error rises with a tlast off a row's end, and stays"),
        Assert(~(ingress.take & ~in_frame) | admitted, "no frame starts that was not admitted"),
        Assert(in_frame == ~place.fresh, "a frame's first beat comes outside of one"),
    ]
    return in_frame & ~admitted


def _progress(m, config, ingress, inside, now, waiting):
    """`ready` rises within three cycles if nothing prevents it. `waiting`: two descriptors wait for excite."""
    clear, since = Signal(), Signal(range(3))
    in_step = ~now if config.context.running else 1
    m.d.comb += clear.eq(ingress.room & ingress.admit & ingress.sums_free & ~ingress.busy
                         & (inside["count"] < TILES_UNDER_WAY - 1) & ~waiting & in_step)
    m.d.sync += since.eq(Mux(clear & ~ingress.ready, since + (since != 2), 0))
    m.d.comb += Assert((since != 2) | ingress.ready, "ready comes when nothing is in its way")


def _model(config):
    m = Module()
    depth = Timing(config).buffer_words
    ingress = Ingress(config, range(depth))
    m.submodules.ingress = inside = Inside(ingress)
    age = neighbours(m, ingress, config, depth, config.groups)
    m.d.comb += ingress.busy.eq(AnySeq(1))
    place = place_of(m, config, ingress.take, ingress.i_last)
    at_place(m, config, inside["position"], inside.part("position"), place)
    tiles(m, config, ingress, inside, place)
    owed, prior = sums(m, ingress, inside, config, place)
    now, index, _ = copied(m, ingress, config, place, age)
    if config.context.running:
        m.d.comb += ingress.copying.eq(now & (index != config.groups - 1))
        if config.groups > 1:
            m.d.comb += Cover(ingress.take & now & (index == config.groups - 1) & ~place.first_pixel,
                              "a beat is taken with the last sum that is copied")
    if config.context is Context.CAUSAL:
        m.d.comb += Cover(inside["waiting_sums"], "sums wait")
    goes_on = frames(m, ingress, config, place)
    m.d.comb += Cover(ingress.take & goes_on, "a frame that has begun goes on without being admitted")
    _progress(m, config, ingress, inside, now, owed & prior)
    return m


_PLACE = "no tile ends without a place in the queue"
_ROWS = (
    Fault("those of a cut tile don't wait for one under way", "ingress.py", "free & ~(cut & self.busy)", "free",
          "those of a cut frame only when none is under way"),
    Fault("ready does not look at sums that wait", "ingress.py", "& self._sums_written(m, position)",
          "& (self._sums_written(m, position) | 1)", "no beat is taken while sums wait"),
    Fault("a frame may start at any time", "ingress.py", "(goes_on | self.admit)", "1",
          "no frame starts that was not admitted"),
    Fault("a tile of a single pixel counts as one of a single beat", "ingress.py",
          "Cat(self.tail, position.first_beat, self.i_last)", "Cat(self.tail, position.first_pixel, self.i_last)",
          "a tile's record is the address of its last beat, whether it has but one, and its tlast"),
    Fault("a tile that is cut in its first pixel has a word less", "ingress.py", "self.words.eq(position.group + 1)",
          "self.words.eq(position.group)", "rows and words are the descriptor's own"),
    Fault("sums that had to wait are handed over again", "ingress.py", "waiting.eq(0)", "waiting.eq(1)",
          "sums are handed over once a descriptor"),
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
_STEP = "a beat that needs its sum is taken in step with the copy"
_CUMULATIVE = (
    Fault("the next tile waits for no copy", "ingress.py", "return self._sums(m, position) & self._in_step(position)",
          "return self._sums(m, position)", _STEP, depth=30),
    Fault("a beat follows the copy by a cycle", "ingress.py", "~self.copying | self.take |",
          "~self.copying | self.i_valid |", _STEP, depth=30),
    Fault("the first pixel of each tile is taken out of step", "ingress.py", "| position.first_pixel\n",
          "| position.first_beat\n", _STEP, depth=30),
)
_CAUSAL = (
    Fault("a frame's last tile hands over sums", "position.py", "ends = ends & ~self.i_last", "pass",
          "excite starts once a tile"),
    Fault("sums go before the prior", "ingress.py", "& free & ~position.frame_start & ~waiting_prior)", "& free)",
          "sums are handed over unless a frame starts, and then after the prior"),
    Fault("the prior has the rows of the sums", "ingress.py", "Mux(alone, config.prior_rows, rows[\"count\"])",
          "rows[\"count\"]", "rows and words are the descriptor's own"),
    Fault("sums are free in the cycle in which excite starts", "ingress.py", "self.sums_free & ~self.start",
          "self.sums_free", "sums are handed over only when excite can take them"),
    Fault("beats are taken while the prior waits", "ingress.py",
          "~((position.frame_start | waiting_prior) & ~prior | (", "~((", "no beat is taken while sums wait"),
)
_WINDOW = (
    Fault("a frame without a row in the window has the words that it has reached", "ingress.py",
          "with m.If(~position.counted):", "with m.If(0):", "rows and words are the descriptor's own"),
    Fault("sums are complete with each tile", "ingress.py", "complete = position.hand_over",
          "complete = position.tile_end", "no beat is taken while sums wait"),
)
_PATCHES = (
    Fault("the rightmost patch has the others' row count", "patch_position.py", "config.last_columns != config.columns",
          "False", "rows and words are the descriptor's own"),
)
_SHAPE = {"channels": 3, "squeeze": 1, "slack": 1}
_SIZES = (
    (Config(k=2, width=2, channels=3, squeeze=1, slack=1), _ROWS),
    (Config(k=3, width=1, channels=3, squeeze=1, lanes=3, slack=0), _ONE),
    (Config(k=1, width=1, channels=3, squeeze=1, lanes=3, slack=4), _BEATS),
    (Config(k=1, tile_width=2, width=3, **_SHAPE), _PATCHES),
    (Config(context=Context.CUMULATIVE, max_rows=3, k=1, width=2, **_SHAPE), _CUMULATIVE),
    (Config(context=Context.CUMULATIVE, max_rows=5, prior_rows=1, k=2, width=1, lanes=3, **_SHAPE), ()),
    (Config(context=Context.CAUSAL, max_rows=3, prior_rows=1, k=1, width=1, lanes=3, **_SHAPE), _CAUSAL),
    (Config(context=Context.CAUSAL, max_rows=2, prior_rows=3, k=2, width=1, **_SHAPE), ()),
    (Config(context=Context.WINDOW, window=(1, 2), k=1, width=1, **_SHAPE), _WINDOW),
    (Config(context=Context.WINDOW, window=(0, 1), k=1, width=2, lanes=3, **_SHAPE), ()),
)
PROOFS = tuple(Proof(f"ingress {tiling_name(c)} width={c.width} groups={c.groups}", functools.partial(_model, c),
                     depth=3, faults=faults, cover=25) for c, faults in _SIZES)
