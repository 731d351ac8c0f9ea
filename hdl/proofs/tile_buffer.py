# SPDX-License-Identifier: Apache-2.0
"""The tile buffer, with a writer that obeys `ready` and a reader that reads only held beats: each once, in order."""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal

from ..arithmetic import delay
from ..config import Config, Context
from ..latency import READABLE, ram_latency
from ..tile_buffer import TileBuffer
from .checks import around, later, watch
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS", "readable"]

# Solvers take long to fill deeper buffers.
SMALL = 8


def _model(config):
    m = Module()
    buffer = TileBuffer(config)
    m.submodules.buffer = inside = Inside(buffer)
    m.d.comb += [buffer.write.eq(AnySeq(1)), buffer.read.eq(AnySeq(1)), buffer.i.eq(AnySeq(len(buffer.i)))]
    # Wider than the depth needs, so that it can exceed it.
    count = Signal(range(2 * buffer.depth + 2))
    m.d.sync += count.eq(count + buffer.write - buffer.read)
    allowed, written = Signal(), Signal()
    m.d.sync += [allowed.eq(buffer.ready), written.eq(buffer.write)]
    m.d.comb += [
        Assume(~buffer.write | allowed),
        # A beat that was taken in the previous cycle is written in this one.
        Assume(~buffer.read | (buffer.readable if config.context.streams else count > written)),
    ]
    if config.context.streams:
        readable(m, buffer, inside, count)
        m.d.comb += Assert(~buffer.read | (count > written), "beats are read only where there are some")
    _level(m, buffer, inside, count)
    _pointers(m, buffer.depth, buffer, inside, count)
    _order(m, buffer, inside, count)
    return m


def readable(m, buffer, inside, count):
    """The beats that were taken ``READABLE`` cycles ago or earlier, of `count` beats."""
    recent = [later(m, buffer.write, i, f"written_{i}") for i in range(1, READABLE)]
    old = Signal.like(count, name="old")
    m.d.comb += [
        old.eq(count - sum(recent)),
        Assert(sum(recent) <= count, "beats that were just taken are held"),
        Assert((inside["count"] == old) & (buffer.readable == (old != 0)),
               "the beats that may be read were taken early enough"),
        Assert(buffer.head == inside["head"], "the oldest beat's address is known"),
    ]


def _level(m, buffer, inside, count):
    depth, most, before = buffer.depth, Signal.like(buffer.peak), Signal.like(buffer.peak)
    m.d.sync += [most.eq(Mux(count > most, count, most)), before.eq(buffer.peak)]
    m.d.comb += [
        Assert(count <= depth, "there are never more beats than places"),
        Assert(buffer.ready == (count + buffer.write - buffer.read != depth),
               "ready is low only where the next cycle has no room"),
        Assert(inside["level"] == count, "the level is beats written less beats read"),
        Assert(inside["full"] == (count == depth), "full tells of no place"),
        Assert(inside["almost"] == (count == depth - 1), "almost tells of one place"),
        Assert(buffer.empty == (count == 0), "empty tells of no beat"),
        Assert(buffer.peak == most, "the peak is the highest level of an earlier cycle"),
        Assert((before <= buffer.peak) & (buffer.peak <= depth), "the peak never wraps"),
    ]
    if depth <= SMALL:
        m.d.comb += [
            Cover((count == depth) & (buffer.peak == depth) & buffer.read, "full, and read"),
            Cover((buffer.peak == depth) & buffer.empty, "empty again after being full"),
        ]


def _pointers(m, depth, buffer, inside, count):
    head, tail, ahead, ram = inside["head"], buffer.tail, buffer.ahead, inside["ram"]
    m.d.comb += [
        Assert((head < depth) & (tail < depth) & (ahead < depth), "pointers are within the depth"),
        Assert(tail == around(head + count, depth), "pointers are as far apart as there are beats"),
        Assert(ahead == around(head + 1, depth), "the pointer ahead is one ahead"),
        Assert((inside["write_pointer_last"] == (tail == depth - 1)) & (inside["ahead_last"] == (ahead == depth - 1)),
               "pointers know where they wrap"),
        Assert(~(ram.we & ram.re) | (ram.waddr != ram.raddr), "no word is written to the address that is being read"),
    ]
    if 1 < depth <= SMALL:
        m.d.comb += Cover(ram.we & ram.re & (ram.waddr == depth - 1), "the last address is written while one is read")


def _order(m, buffer, inside, count):
    ram = inside["ram"]
    mark, watched, ahead = watch(m, buffer.write, buffer.read, count)
    value, place = Signal.like(buffer.i), Signal(range(buffer.depth))
    marked = later(m, mark, 1, "marked")
    with m.If(marked):
        m.d.sync += value.eq(buffer.i)
    m.d.comb += place.eq(around(inside["head"] + ahead, buffer.depth))
    word = inside.word(m, "ram/storage", place)
    m.d.comb += [
        Assert(~watched | (ahead < count), "a beat that was not read is inside"),
        Assert(~(watched & marked) | (ram.we & (ram.waddr == place)), "a beat is written to its place"),
        Assert(~(watched & ~marked) | (word == value), "a beat stays in the memory as it was written"),
    ]
    latency = ram_latency(buffer.depth)
    given = later(m, watched & buffer.read & (ahead == 0), latency, "given")
    late = delay(m, value, latency, name="late")
    m.d.comb += [
        Assert(~given | (buffer.o == late), "beats are given in the order in which they were written"),
        Cover(given & (count == min(buffer.depth, SMALL) - 1), "the watched beat is given while others wait"),
    ]


_FAULTS = (
    Fault("full is a cycle late", "tile_buffer.py", "full.eq(~self.ready)", "full.eq(level == self.depth)",
          "there are never more beats than places"),
    Fault("almost full is forgotten when a beat is read", "tile_buffer.py", "almost.eq(full)", "almost.eq(0)",
          "there are never more beats than places"),
    Fault("the read pointer wraps one late", "tile_buffer.py", "self.ahead == self.depth - 2",
          "self.ahead == self.depth - 1", "beats are given in the order in which they were written"),
    Fault("the address is a cycle early", "tile_buffer.py", 'delay(m, tail, 1, name="waddr")', "tail",
          "beats are given in the order in which they were written"),
    Fault("empty with two beats, of which one is read", "tile_buffer.py", "empty.eq(level == 1)",
          "empty.eq(level <= 2)", "empty tells of no beat"),
)
_FOUR = (
    Fault("the level can't count up to the depth", "tile_buffer.py", "level = Signal(range(self.depth + 1))",
          "level = Signal(range(self.depth))", "the peak is the highest level of an earlier cycle"),
    Fault("the peak can't count up to the depth", "tile_buffer.py", '"peak": Out(range(depth + 1))',
          '"peak": Out(range(depth))', "the peak never wraps"),
    Fault("the last place but one is not looked at", "tile_buffer.py", "| (almost & more)", "| 0",
          "no word is written to the address that is being read"),
)
_STREAMS = (
    Fault("a beat may be read a cycle early", "tile_buffer.py", "self.write, READABLE - 1", "self.write, READABLE - 2",
          "the beats that may be read were taken early enough"),
    Fault("a beat may be read again", "tile_buffer.py", "(count > 1) | ((count == 1) & ~self.read)", "(count != 0)",
          "beats are read only where there are some"),
)


def _proof(depth, faults, **fields):
    """Of a block whose tile buffer has `depth` words."""
    config = Config(**{"k": 1, "width": 1, "channels": 1, "squeeze": 1} | fields)
    context = "" if config.context is Context.TILE else f"context={config.context.value} "
    return Proof(f"tile buffer {context}depth={depth}", functools.partial(_model, config),
                 cover=2 * min(depth, SMALL) + 8, faults=faults)


PROOFS = tuple(_proof(depth, faults, slack=depth - 1) for depth, faults in (
    (1, ()), (2, ()), (3, ()), (4, _FOUR), (5, _FAULTS), (6, ()), (33, ()))) + tuple(
    _proof(depth, faults, slack=depth - least, **fields) for depth, least, faults, fields in (
        (1, 1, (), {"context": Context.WINDOW, "window": (0, 1)}),
        (3, 2, (), {"context": Context.WINDOW, "window": (1, 1)}),
        (4, READABLE + 1, _STREAMS, {"context": Context.CAUSAL, "prior_rows": 1}),
        (35, READABLE + 1, (), {"context": Context.CAUSAL, "prior_rows": 1})))
