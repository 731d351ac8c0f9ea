# SPDX-License-Identifier: Apache-2.0
"""A small queue with a registered output."""

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import counter

__all__ = ["Queue"]


class Queue(wiring.Component):
    """A first-in, first-out queue: a small memory with an output register, so that reading it is no long path.

    A word is offered two cycles after it was written, if it is the only one. The writer must know that there is room:
    `depth` words in the memory, and one more in the output register.

    Members
    -------
    i_valid, i : In
        A word is written.
    o_valid, o_ready, o : stream
    """

    def __init__(self, *, width, depth):
        self.width, self.depth = width, depth
        super().__init__({
            "i_valid": In(1), "i": In(width), "o_valid": Out(1), "o_ready": In(1), "o": Out(width),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.storage = storage = memory.Memory(shape=self.width, depth=self.depth, init=[])
        write, read = storage.write_port(), storage.read_port(domain="comb")
        level, filled = Signal(range(self.depth + 1)), Signal()
        load = Signal()
        tail, _ = counter(m, self.depth, self.i_valid, name="tail")
        head, _ = counter(m, self.depth, load, name="head")
        m.d.comb += [
            write.en.eq(self.i_valid), write.addr.eq(tail), write.data.eq(self.i), read.addr.eq(head),
            load.eq(filled & (~self.o_valid | self.o_ready)),
        ]
        with m.If(self.i_valid & ~load):
            m.d.sync += [level.eq(level + 1), filled.eq(1)]
        with m.Elif(load & ~self.i_valid):
            m.d.sync += [level.eq(level - 1), filled.eq(level != 1)]
        with m.If(load):
            m.d.sync += [self.o.eq(read.data), self.o_valid.eq(1)]
        with m.Elif(self.o_ready):
            m.d.sync += self.o_valid.eq(0)
        return m
