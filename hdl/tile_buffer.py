# SPDX-License-Identifier: Apache-2.0
"""The tile buffer: beats wait here for their gates."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .ram import Ram
from .timing import Timing

__all__ = ["TileBuffer"]


class TileBuffer(wiring.Component):
    """Circular buffer of a tile's beats and a slack.

    The reader knows from elsewhere how far it may read (a finished tile's last address), so nothing here depends on
    when a word has arrived.

    Members
    -------
    ready : Out
        There is room. Does not depend on what is read in the same cycle, so a word is never written to the address that
        is being read.
    write, i : In
        A beat, only while ``ready``.
    tail : Out
        The address that the next beat is written to.
    read : In
        Read the oldest beat.
    head : Out
        Its address.
    o : Out
        The beat, a cycle after ``read``, held until the next.
    peak : Out
        The most words that were ever held.
    empty : Out
    """

    def __init__(self, config):
        self.config = config
        self.depth = depth = Timing(config).buffer_words
        super().__init__({
            "ready": Out(1), "write": In(1), "i": In(8 * config.lanes), "tail": Out(range(depth)),
            "read": In(1), "head": Out(range(depth)), "o": Out(8 * config.lanes),
            "peak": Out(range(depth + 1)), "empty": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.ram = ram = Ram(width=8 * self.config.lanes, depth=self.depth)
        # From 0 to depth, both included.
        level = Signal(range(self.depth + 1))
        m.d.comb += [
            self.ready.eq(level != self.depth), self.empty.eq(level == 0),
            ram.we.eq(self.write), ram.waddr.eq(self.tail), ram.wdata.eq(self.i),
            ram.re.eq(self.read), ram.raddr.eq(self.head), self.o.eq(ram.rdata),
        ]
        with m.If(self.write):
            m.d.sync += self.tail.eq(self._next(self.tail))
        with m.If(self.read):
            m.d.sync += self.head.eq(self._next(self.head))
        with m.If(self.write & ~self.read):
            m.d.sync += level.eq(level + 1)
        with m.Elif(self.read & ~self.write):
            m.d.sync += level.eq(level - 1)
        with m.If(level > self.peak):
            m.d.sync += self.peak.eq(level)
        return m

    def _next(self, pointer):
        return Mux(pointer == self.depth - 1, 0, pointer + 1)
