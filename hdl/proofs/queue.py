# SPDX-License-Identifier: Apache-2.0
"""The queue, with a writer that writes only if there is room: every word leaves once, in order, without delay."""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Cover, Module, Signal

from ..queue import Queue
from .checks import around, held, watch
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS"]

WIDTH = 2


def _model(depth):
    m = Module()
    queue = Queue(width=WIDTH, depth=depth)
    m.submodules.queue = inside = Inside(queue)
    m.d.comb += [queue.i_valid.eq(AnySeq(1)), queue.i.eq(AnySeq(WIDTH)), queue.o_ready.eq(AnySeq(1))]
    taken = queue.o_valid & queue.o_ready
    # One word more than the memory holds is in the output register.
    count = Signal(range(depth + 2))
    m.d.sync += count.eq(count + queue.i_valid - taken)
    m.d.comb += Assume(~queue.i_valid | (count <= depth))
    left = Signal()
    m.d.sync += left.eq(count != taken)
    m.d.comb += [
        Assert(count == inside["level"] + queue.o_valid, "the level counts what was written and not yet given"),
        Assert(inside["level"] <= depth, "the memory never overflows"),
        Assert(~inside["load"] | (inside["level"] != 0), "the memory never underflows"),
        Assert(~left | queue.o_valid, "a word is offered two cycles after it was written, if none is before it"),
        Cover((count == depth + 1) & ~queue.o_ready, "full and stalled"),
        Assert(~queue.o_valid | (count != 0), "nothing is offered that was not written"),
        Cover((inside["head"] == depth - 1) & inside["load"] & queue.i_valid, "written and read, at the memory's end"),
    ]
    held(m, queue.o_valid, queue.o_ready, queue.o)
    _pointers(m, depth, inside)
    _order(m, depth, queue, inside, count, taken)
    return m


def _pointers(m, depth, inside):
    """The relations between the registers."""
    head, tail, level = inside["head"], inside["tail"], inside["level"]
    m.d.comb += [
        Assert(inside["filled"] == (level != 0), "filled tells whether there are words"),
        Assert((head < depth) & (tail < depth), "pointers are within the depth"),
        Assert(tail == around(head + level, depth), "pointers are as far apart as there are words"),
        Assert((inside["head_last"] == (head == depth - 1)) & (inside["tail_last"] == (tail == depth - 1)),
               "pointers know where they wrap"),
    ]


def _order(m, depth, queue, inside, count, taken):
    mark, watched, ahead = watch(m, queue.i_valid, taken, count)
    value, place = Signal(WIDTH), Signal(range(depth))
    with m.If(mark):
        m.d.sync += value.eq(queue.i)
    m.d.comb += place.eq(around(inside["head"] + ahead - queue.o_valid, depth))
    word = inside.word(m, "storage", place)
    at_output = queue.o_valid & (ahead == 0)
    m.d.comb += [
        Assert(~watched | (ahead < count), "a word that was not given is inside"),
        Assert(~(watched & ~at_output) | (word == value), "a word stays in the memory as it was written"),
        Assert(~(watched & at_output) | (queue.o == value), "words are given in the order in which they were written"),
        Cover(watched & at_output & (count == depth + 1), "the watched word is given from a full queue"),
    ]


_FAULTS = (
    Fault("the output register is loaded while its word waits", "queue.py",
          "load.eq(filled & (~self.o_valid | self.o_ready))", "load.eq(filled)", "payload 0 is held until ready"),
    Fault("valid goes without ready", "queue.py", "with m.Elif(self.o_ready):", "with m.Else():",
          "valid is held until ready"),
    Fault("the read pointer wraps one late", "queue.py", "counter(m, self.depth, load",
          "counter(m, self.depth + 1, load", "words are given in the order in which they were written"),
    Fault("the last word but one is taken for the last", "queue.py", "filled.eq(level != 1)", "filled.eq(level > 2)",
          "a word is offered two cycles after it was written, if none is before it"),
)
_ONE = (
    Fault("the level can't count up to the depth", "queue.py", "Signal(range(self.depth + 1)), Signal()",
          "Signal(range(self.depth)), Signal()", "nothing is offered that was not written"),
)
PROOFS = tuple(Proof(f"queue depth={depth}", functools.partial(_model, depth), faults=faults)
               for depth, faults in ((1, _ONE), (3, _FAULTS), (6, ())))
