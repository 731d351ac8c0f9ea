# SPDX-License-Identifier: Apache-2.0
"""The control logic of the whole block, with any excite that keeps its contract.

A stand-in replaces excite, and gives a tile's gates after any time. `wiring` proves which data the wires carry.
"""

import functools

from amaranth.hdl import Assert, Cover, Module, Mux, Signal

from ..config import Config, Context
from ..latency import READABLE
from ..timing import GATE_TILES, QUEUE, TILES_UNDER_WAY, Timing
from .checks import around, later, watch
from .ingress import frames, sums, tiles
from .own_gates import own_gates
from .place import place_of, tiling_name
from .position import at_place
from .proof import Fault, Proof
from .records import Records
from .scale import pipeline
from .stand_in import block_of
from .tile_buffer import readable

__all__ = ["PROOFS"]

_MOVES = "a beat moves while the source offers and the sink takes"
_DRAINS = "what is finished comes out while the sink takes, whether or not the source offers"


def _tile_words(config):
    """Beats of a full tile of strips, or of patches of one row."""
    return config.k * config.columns * config.groups


def _most(buffer):
    """Most beats that the tile buffer can hold: the limit of tiles may be reached before it is full."""
    if buffer.config.context is Context.WINDOW:
        return buffer.depth
    return min(buffer.depth, TILES_UNDER_WAY * _tile_words(buffer.config))


def _buffer(m, buffer, inside, count):
    """The tile buffer's invariants, and the assumptions of its own proof about writer and reader."""
    depth, head = buffer.depth, inside["head"]
    allowed, written = Signal(), Signal()
    m.d.sync += [allowed.eq(buffer.ready), written.eq(buffer.write), count.eq(count + buffer.write - buffer.read)]
    m.d.comb += [
        Assert(~buffer.write | allowed, "beats are taken only where the tile buffer had room"),
        Assert(~buffer.read | (count > written), "beats are read only where there are some"),
        Assert(count <= depth, "there are never more beats than places"),
        Assert((inside["level"] == count) & (inside["full"] == (count == depth))
               & (inside["almost"] == (count == depth - 1)) & (buffer.empty == (count == 0)),
               "the tile buffer's level is known"),
        Assert((buffer.tail == around(head + count, depth)) & (buffer.ahead == around(head + 1, depth))
               & (head < depth) & (buffer.tail < depth), "the tile buffer's pointers are known"),
        Assert((inside["write_pointer_last"] == (buffer.tail == depth - 1))
               & (inside["ahead_last"] == (buffer.ahead == depth - 1)), "the pointers know where they wrap"),
        Cover((count == _most(buffer)) & buffer.read, "the tile buffer holds as much as it ever does, and is read"),
    ]
    if buffer.config.context.streams:
        readable(m, buffer, inside, count)


def _gates(m, config, fifo, inside, excite):
    """The scale FIFO's invariants, and the assumptions of its own proof about its neighbours."""
    channel, due, trigger = excite["channel"], excite["due"], Timing(config).trigger
    taken, ready = inside["taken"], inside["ready"]
    last_group = inside["group"] == config.groups - 1 if config.groups > 1 else 1
    m.d.comb += [
        Assert(~fifo.take | fifo.free, "a place for gates is taken only where there is one"),
        Assert(~fifo.release | fifo.read, "gates are released with a read"),
        Assert(~fifo.read | fifo.tile_valid, "gates are read only where there are some"),
        Assert((taken <= GATE_TILES) & (due <= GATE_TILES), "never more tiles have a place for gates than can"),
        Assert(ready + due == taken + (channel > trigger), "gates are ready, or are due"),
        Assert(fifo.tile_valid == (ready != 0), "gates are offered when they are ready"),
        Assert(inside["channel"] == channel, "gates are counted"),
        Assert(inside["here"] == (channel == trigger), "the gate with which reading starts is known"),
        Assert(channel < config.channels, "a tile has as many gates as channels"),
        Assert((due != 0) | (channel == 0), "gates come only when they are due"),
        Assert((inside["lane"] == channel % config.lanes)
               & (inside["lane_last"] == (inside["lane"] == config.lanes - 1)), "the lane is the gate's"),
        Assert((inside["group"] == channel // config.lanes) & (inside["group_last"] == last_group),
               "the group is the gate's"),
    ]
    if _tile_words(config) > config.channels:
        # A tile of fewer beats is read before the next one's gates are there.
        m.d.comb += Cover(ready == GATE_TILES, "two tiles' gates are ready")
    return taken


def _beats(m, ingress, buffer, scale, inside, records, place, count, fifo):
    """Any beat: when it is read it ends its tile, and its frame, if and only if it did when it was taken."""
    at_start, compared = inside["at_tile_start"], inside["compared"]
    mark, watched, ahead = watch(m, ingress.take, scale.read, count)
    is_end, is_last = Signal(), Signal()
    with m.If(mark):
        m.d.sync += [is_end.eq(place.ends), is_last.eq(ingress.i_last)]
    found, last = records.at(ahead)
    read, at_end = watched & scale.read & (ahead == 0), records.entries[0][1] == 1
    m.d.comb += [
        Assert(~watched | (ahead < count), "a beat that was not read is inside"),
        Assert(~watched | ((found == is_end) & (~is_end | (last == is_last))),
               "a record is kept for each tile's last beat"),
        Assert(~(at_start & ingress.tile_valid) | (ingress.tile.single == at_end), "a tile of a single beat is known"),
        Assert(~read | (scale.release == is_end), "a tile is released with its own last beat, and with no other"),
        Assert(~(read & is_end) | (scale.tile.last == is_last), "tlast goes with the beat that it came with"),
        Assert(~(is_last & watched) | is_end, "a frame's last beat ends its tile"),
        Cover(read & is_end & is_last & (count == _most(buffer)),
              "a frame's last beat is read from a buffer as full as it gets"),
    ]
    if not buffer.config.context.streams:
        m.d.comb += [
            Assert(at_start | (ingress.tile_valid & fifo.tile_valid & (compared == at_end)),
                   "the last beat is known before it is read"),
            Assert(~scale.read | ingress.tile_valid, "beats are read of finished tiles only"),
        ]
        return
    known, (ended, before) = Signal(), (later(m, place.ends, i, f"ended_{i}") for i in (1, 2))
    m.d.sync += known.eq(ingress.tile_valid)
    head_ends, _ = records.at(0)
    valid, level = ingress.tile_valid, records.level
    taken = [later(m, ingress.take, i, f"taken_{i}") for i in (1, 2)]
    m.d.comb += [
        Assert(at_start | fifo.tile_valid & (compared == (known & at_end)) & (~known | valid),
               "the last beat is known before it is read"),
        Assert(~(buffer.readable & head_ends) | Mux(at_start, valid, known),
               "a tile's end is known a cycle before its last beat can be read, or with it if it has but one"),
        Assert(valid | (level == 0) | (ended & (level == 1)), "a record is offered in the cycle after the next"),
        Assert((~ended | taken[0]) & (~before | taken[1]), "a tile ends with a beat"),
    ]
    if place.length > 1:
        m.d.comb += Cover(scale.read & ~valid & ~at_start, "a tile is read that has not ended")


def _progress(m, block, within, due, count, under_way):
    """While the source offers and the sink takes, beats move; while the sink takes, beats with a descriptor leave."""
    given = block.m_axis_tvalid & block.m_axis_tready
    moves = (block.s_axis_tvalid & block.s_axis_tready) | given
    finished = ((due != 0) & (count != 0)) | (under_way != 0)
    quiet, silent = Signal(range(within + 2)), Signal(range(within + 2))
    m.d.sync += [
        quiet.eq(Mux(block.s_axis_tvalid & block.m_axis_tready & ~moves, quiet + (quiet <= within), 0)),
        silent.eq(Mux(block.m_axis_tready & finished & ~given, silent + (silent <= within), 0)),
    ]
    m.d.comb += [
        Assert(quiet <= within, _MOVES), Assert(silent <= within, _DRAINS),
        Cover((silent != 0) & (due == 1) & block.s_axis_tready & ~block.s_axis_tvalid,
              "the last tile is on its way while no beat is offered"),
    ]


def _within(config):
    """Cycles within which a beat moves: two for each step of the stand-in, then those to a tile's first beat."""
    steps, context = 2 + config.channels, config.context
    return (2 * steps + Timing(config).scale_latency + QUEUE + config.groups * context.running
            + READABLE * context.streams)


def _model(config, slow=True):
    m = Module()
    block, inside = block_of(m, config, slow)
    ingress, buffer, fifo, scale = (inside[name] for name in ("ingress", "buffer", "gates", "scale"))
    excite = inside.part("excite")
    place = place_of(m, config, ingress.take, ingress.i_last)
    part = inside.part("ingress")
    at_place(m, config, part["position"], part.part("position"), place)
    tiles(m, config, ingress, part, place)
    owed, prior = sums(m, ingress, part, config, place)
    frames(m, ingress, config, place)
    # Wider than the depth needs, so that it can exceed it.
    count = Signal(range(2 * buffer.depth + 2))
    _buffer(m, buffer, inside.part("tile_buffer"), count)
    taken = _gates(m, config, fifo, inside.part("scale_fifo"), excite)
    under_way = pipeline(m, scale, inside.part("scale"), Timing(config))
    records = Records(m, ingress, part, buffer, inside["tile_buffer/head"], place, count, inside["scale/at_tile_start"])
    _beats(m, ingress, buffer, scale, inside.part("scale"), records, place, count, fifo)
    due = own_gates(m, config, ingress, scale, excite, fifo, inside, taken, place, owed + prior)
    if not slow:
        _progress(m, block, _within(config), due, count, under_way)
    return m


_OWN = "a tile's beats are read with its own gates"
_JOIN = "& gates.tile_valid)"
_WRONG_GATES = (
    Fault("gates are released with every beat", "tiled_se.py", "gates.release.eq(scale.release)",
          "gates.release.eq(scale.read)", _OWN),
    Fault("gates are released a cycle late", "tiled_se.py", "gates.release.eq(scale.release)",
          'gates.release.eq(delay(m, scale.release, 1, name="late", reset_less=False))', _OWN),
    Fault("a tile is read before its gates are ready", "tiled_se.py", _JOIN, ")",
          "gates are read only where there are some"),
    Fault("excite is given sums while it holds others", "tiled_se.py", "ingress.sums_free.eq(excite.sums_free)",
          "ingress.sums_free.eq(1)", "sums are handed over only where there is a place"),
    Fault("excite is given sums while it holds others, if a tile waits", "tiled_se.py",
          "ingress.sums_free.eq(excite.sums_free)", "ingress.sums_free.eq(excite.sums_free | ingress.tile_valid)",
          "tiles keep their order"),
    Fault("every tile ends its frame", "ingress.py", "position.first_beat, self.i_last)",
          "position.first_beat, position.tile_end)", "tlast goes with the beat that it came with"),
    Fault("a tile's end is taken from the read pointer", "tiled_se.py", "ingress.tail.eq(buffer.tail)",
          "ingress.tail.eq(buffer.ahead)", "a tile is released with its own last beat, and with no other"),
    Fault("the tile buffer's room is not looked at", "tiled_se.py", "ingress.room.eq(buffer.ready)",
          "ingress.room.eq(1)", "beats are taken only where the tile buffer had room"),
    Fault("a place is not taken while one is given back", "tiled_se.py", "gates.take.eq(excite.gates_take)",
          "gates.take.eq(excite.gates_take & ~scale.release)", "every descriptor is somewhere, once", depth=30),
    Fault("a third tile's gates are let in", "tiled_se.py", "excite.gates_free.eq(gates.free)",
          "excite.gates_free.eq(1)", "a place for gates is taken only where there is one", depth=30),
)
_FULL = (
    Fault("the count of tiles wraps at exactly full", "ingress.py", "Signal(range(TILES_UNDER_WAY + 1))",
          "Signal(range(TILES_UNDER_WAY))", "no tile ends without a place in the queue", depth=30),
)
_QUEUE = (
    Fault("a credit too many", "scale.py", "depth=timing.credits - 1", "depth=timing.credits - 2",
          "the output queue never overflows", depth=35),
)
_DEADLOCK = (
    Fault("the output waits for a free place for gates, which it alone can give", "tiled_se.py", _JOIN,
          "& gates.tile_valid & gates.free)", _MOVES, depth=45),
    Fault("a tile's sums wait for tiles that wait for their gates", "tiled_se.py",
          "ingress.sums_free.eq(excite.sums_free)", "ingress.sums_free.eq(excite.sums_free & ~ingress.tile_valid)",
          _MOVES, depth=45),
    Fault("a tile comes out only while the next one comes in", "tiled_se.py", _JOIN,
          "& gates.tile_valid & self.s_axis_tvalid)", _DRAINS, depth=45),
)
_BEAT = (
    Fault("a frame's last tile hands over sums", "position.py", "ends = ends & ~self.i_last", "pass",
          "every descriptor is somewhere, once"),
    Fault("the prior goes after the sums", "ingress.py", "alone.eq(prior), self.flush.eq(sums)",
          "alone.eq(prior & ~waiting_sums), self.flush.eq(sums)", "rows and words are the descriptor's own"),
)
_EARLY = (
    Fault("a beat may be read a cycle early", "latency.py", "READABLE = 3", "READABLE = 2",
          "a tile's end is known a cycle before its last beat can be read, or with it if it has but one"),
)
_LONG = (
    Fault("a causal tile is read when it has ended", "tiled_se.py", "buffer.readable if streams else",
          "ingress.tile_valid if streams else", _MOVES, depth=45),
    Fault("a tile that is read while it comes waits for a free place for gates", "tiled_se.py", _JOIN,
          "& gates.tile_valid & gates.free)", _MOVES, depth=45),
)
_WINDOW = (
    Fault("sums are handed over again at the frame's end", "position.py", "(frame_end & ~done)", "frame_end",
          "every descriptor is somewhere, once"),
    Fault("a frame is read before its window's gates are ready", "tiled_se.py", _JOIN, ")",
          "gates are read only where there are some"),
)
_SHAPE, _SERIAL = {"width": 1, "channels": 3, "squeeze": 1, "lanes": 3}, {"channels": 2, "lanes": 1}
# Tiles of two words and of six, in a buffer that holds one and no more; tiles of a single beat.
_SIZES = (
    (Config(k=2, width=1, channels=3, squeeze=1, lanes=3, slack=1), _WRONG_GATES, _DEADLOCK),
    (Config(k=2, width=1, channels=3, squeeze=1, slack=0), _QUEUE, ()),
    (Config(k=1, width=1, channels=3, squeeze=1, lanes=3, slack=5), _FULL, ()),
    (Config(k=1, tile_width=2, slack=2, **_SHAPE | {"width": 3}), (), ()),
    (Config(context=Context.CUMULATIVE, max_rows=2, k=1, slack=2, **_SHAPE | _SERIAL), (), ()),
    (Config(context=Context.CAUSAL, prior_rows=1, max_rows=2, k=1, slack=0, **_SHAPE), _BEAT, ()),
    (Config(context=Context.CAUSAL, prior_rows=1, max_rows=2, k=3, slack=0, **_SHAPE | _SERIAL), _EARLY, _LONG),
    (Config(context=Context.WINDOW, window=(1, 1), k=1, slack=2, **_SHAPE), _WINDOW, ()),
)


def _name(config):
    return f"{tiling_name(config)} width={config.width} groups={config.groups} slack={config.slack}"


PROOFS = tuple(
    Proof(f"control {_name(c)}", functools.partial(_model, c), depth=3, faults=faults)
    for c, faults, _ in _SIZES
) + tuple(
    Proof(f"progress {_name(c)}", functools.partial(_model, c, slow=False), depth=_within(c) + 2, faults=faults)
    for c, _, faults in _SIZES
)
