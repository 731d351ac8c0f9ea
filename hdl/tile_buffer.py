# SPDX-License-Identifier: Apache-2.0
"""The tile buffer: beats wait here for their gates."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import counter, delay
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
        There will be room in the next cycle, whatever happens in this one.
    write : In
        A beat is taken: only if ``ready`` was high in the cycle before.
    i : In
        The beat, a cycle later; it is written then. Its place may have been read in the cycle before it was taken, at
        the latest: a word is never written to the address that is being read.
    tail : Out
        The address that the next beat gets.
    read : In
        Read the oldest beat.
    ahead : Out
        The address of the oldest but one.
    o : Out
        The beat, ``ram_latency(depth)`` cycles after ``read``.
    peak : Out
        The most words that were ever held.
    empty : Out
    """

    def __init__(self, config):
        self.config = config
        self.depth = depth = Timing(config).buffer_words
        super().__init__({
            "ready": Out(1), "write": In(1), "i": In(8 * config.lanes), "tail": Out(range(depth)),
            "read": In(1), "ahead": Out(range(depth), init=1 % depth), "o": Out(8 * config.lanes),
            "peak": Out(range(depth + 1)), "empty": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.ram = ram = Ram(width=8 * self.config.lanes, depth=self.depth)
        tail, _ = counter(m, self.depth, self.write, name="write_pointer")
        # The read pointer runs after a counter that is a word ahead, with which a tile's end is seen a word before.
        head, ahead_last = Signal(range(self.depth)), Signal(init=self.depth <= 2)
        with m.If(self.read):
            m.d.sync += [head.eq(self.ahead), self.ahead.eq(self.ahead + 1),
                         ahead_last.eq(self.ahead == self.depth - 2 if self.depth > 1 else 1)]
            with m.If(ahead_last):
                m.d.sync += self.ahead.eq(0)
        m.d.comb += [
            self.tail.eq(tail),
            ram.we.eq(delay(m, self.write, 1, name="we", reset_less=False)),
            ram.waddr.eq(delay(m, tail, 1, name="waddr")), ram.wdata.eq(self.i),
            ram.re.eq(self.read), ram.raddr.eq(head), self.o.eq(ram.rdata),
        ]
        self._level(m)
        return m

    def _level(self, m):
        """How many words there are, and whether there is room: full and one less are registers of their own."""
        level = Signal(range(self.depth + 1))
        full, almost, empty = Signal(), Signal(init=self.depth == 1), Signal(init=1)
        more, fewer = Signal(), Signal()
        m.d.comb += [
            more.eq(self.write & ~self.read), fewer.eq(self.read & ~self.write),
            self.ready.eq(~((full & ~self.read) | (almost & more))), self.empty.eq(empty),
        ]
        m.d.sync += full.eq(~self.ready)
        with m.If(more):
            m.d.sync += [level.eq(level + 1), almost.eq(level == self.depth - 2 if self.depth > 1 else 0), empty.eq(0)]
        with m.Elif(fewer):
            m.d.sync += [level.eq(level - 1), almost.eq(full), empty.eq(level == 1)]
        with m.If(level > self.peak):
            m.d.sync += self.peak.eq(level)
