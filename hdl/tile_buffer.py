# SPDX-License-Identifier: Apache-2.0
"""The tile buffer, in which beats wait for their gates."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import counter, delay
from .latency import READABLE
from .ram import Ram
from .timing import Timing

__all__ = ["TileBuffer"]


class TileBuffer(wiring.Component):
    """Circular buffer for the beats of a tile and a slack.

    The reader knows how far it may read from the address of a finished tile's last beat, so the buffer does not say
    whether it has a word to read. Only where tiles are read before they have ended it does.

    Members
    -------
    ready : Out
        There is room in the next cycle.
    write : In
        A beat is taken. Allowed only if ``ready`` was high in the previous cycle.
    i : In
        The beat, a cycle later; it is then written. The beat that it replaces was read before that cycle, so no word is
        written to the address that is read.
    tail : Out
        The address of the next beat to be written.
    read : In
        Read the oldest beat.
    ahead : Out
        The address of the beat after the oldest.
    o : Out
        The beat, ``ram_latency(depth)`` cycles after ``read``.
    peak : Out
        The largest number of beats ever held.
    empty : Out
        No beat is held.
    readable, head : Out
        CAUSAL and WINDOW only: the oldest beat was taken ``READABLE`` cycles ago or earlier; its address.
    """

    def __init__(self, config):
        self.config = config
        self.depth = depth = Timing(config).buffer_words
        super().__init__({
            "ready": Out(1), "write": In(1), "i": In(config.data.bits * config.lanes), "tail": Out(range(depth)),
            "read": In(1), "ahead": Out(range(depth), init=1 % depth), "o": Out(config.data.bits * config.lanes),
            "peak": Out(range(depth + 1)), "empty": Out(1),
            **({"readable": Out(1), "head": Out(range(depth))} if config.context.streams else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.ram = ram = Ram(width=len(self.i), depth=self.depth)
        tail, _ = counter(m, self.depth, self.write, name="write_pointer")
        # `ahead` is a counter, and the read pointer follows it: a tile's end is compared with `ahead`, a word early.
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
        if self.config.context.streams:
            m.d.comb += self.head.eq(head)
            self._readable(m)
        return m

    def _readable(self, m):
        """Count the words that may be read."""
        arrives = delay(m, self.write, READABLE - 1, name="arrives", reset_less=False)
        count = Signal(range(self.depth + 1))
        m.d.sync += [
            count.eq(count + arrives - self.read),
            self.readable.eq(arrives | (count > 1) | ((count == 1) & ~self.read)),
        ]

    def _level(self, m):
        """Count the words; 'full' and 'one less than full' are registers, so that `ready` needs no comparison."""
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
