# SPDX-License-Identifier: Apache-2.0
"""The line-buffer accumulator: a running sum for each channel."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay
from .ram import Ram

__all__ = ["Accumulator"]

# Cycles from reading a sum to where its successor can be read: with fewer groups than that in a pixel the next pixel
# would read an old sum.
RAM_TURNAROUND = 3


class Accumulator(wiring.Component):
    """Adds up each channel over a tile, then copies the sums out while the next tile's first pixel overwrites them.

    A tile's first pixel only writes, which leaves the read port free for exactly as long as copying out takes: there
    is no second bank. A copied word is read at least two cycles before its successor is written.

    Pixels of fewer than ``RAM_TURNAROUND`` groups use registers, which have no turnaround.

    Members
    -------
    i_valid, i_group, i_first, i_data : In
        A beat of working-range channels, and whether it belongs to its tile's first pixel.
    flush, flush_words : In
        Start copying out; words from ``flush_words`` on were not reached by the tile (it was cut short in its first
        pixel) and count as 0. Not before the last copy is complete: what takes the sums needs longer than that.
    busy : Out
        A sum is on its way into the memory.
    o_valid, o_group, o_sums : Out
        The sums, a group a cycle, from the cycle after ``flush`` on.
    """

    def __init__(self, config):
        self.config = config
        self.uses_registers = config.groups < RAM_TURNAROUND
        self.sums_layout = data.ArrayLayout(signed(config.sum_bits), config.lanes)
        super().__init__({
            "i_valid": In(1), "i_group": In(range(config.groups)), "i_first": In(1),
            "i_data": In(data.ArrayLayout(signed(8), config.lanes)),
            "flush": In(1), "flush_words": In(range(config.groups + 1)), "busy": Out(1),
            "o_valid": Out(1), "o_group": Out(range(config.groups)), "o_sums": Out(self.sums_layout),
        })

    def elaborate(self, platform):
        m = Module()
        count = Signal(range(self.config.groups))
        group = Signal(range(self.config.groups))
        words = Signal.like(self.flush_words)
        limit = Signal.like(self.flush_words)
        copying, more = Signal(), Signal()
        m.d.comb += [
            copying.eq(self.flush | more),
            group.eq(Mux(self.flush, 0, count)),
            limit.eq(Mux(self.flush, self.flush_words, words)),
        ]
        with m.If(self.flush):
            m.d.sync += words.eq(self.flush_words)
        with m.If(copying):
            m.d.sync += [count.eq(group + 1), more.eq(group != self.config.groups - 1)]
        m.d.sync += [self.o_valid.eq(copying), self.o_group.eq(group)]
        reached = delay(m, group < limit, 1, name="reached")
        stored = Signal(self.sums_layout)
        if self.uses_registers:
            self._registers(m, copying, group, stored)
        else:
            self._memory(m, copying, group, stored)
        with m.If(reached):
            m.d.comb += self.o_sums.eq(stored)
        return m

    def _add(self, m, old, beat, first, name):
        new = Signal(self.sums_layout, name=name)
        for lane in range(self.config.lanes):
            m.d.comb += new[lane].eq(Mux(first, 0, old[lane]) + beat[lane])
        return new

    def _registers(self, m, copying, group, stored):
        bits = self.sums_layout.size
        sums = Array(Signal(bits, name=f"sums_{i}", reset_less=True) for i in range(self.config.groups))
        old = data.View(self.sums_layout, sums[self.i_group])
        new = self._add(m, old, self.i_data, self.i_first, "new")
        with m.If(self.i_valid):
            m.d.sync += sums[self.i_group].eq(new)
        m.d.sync += stored.as_value().eq(sums[group])

    def _memory(self, m, copying, group, stored):
        m.submodules.ram = ram = Ram(width=self.sums_layout.size, depth=self.config.groups)
        valid = delay(m, self.i_valid, 1, name="valid", reset_less=False)
        first = delay(m, self.i_first, 1, name="first")
        place = delay(m, self.i_group, 1, name="place")
        beat = Signal.like(self.i_data, reset_less=True)
        m.d.sync += beat.eq(self.i_data)
        m.d.comb += [
            ram.raddr.eq(Mux(copying, group, self.i_group)),
            ram.re.eq(copying | self.i_valid),
            stored.as_value().eq(ram.rdata),
        ]
        new = self._add(m, stored, beat, first, "new")
        m.d.sync += [ram.we.eq(valid), ram.waddr.eq(place), ram.wdata.eq(new)]
        m.d.comb += self.busy.eq(valid | ram.we)
