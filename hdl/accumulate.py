# SPDX-License-Identifier: Apache-2.0
"""The line-buffer accumulator: a running sum for each channel."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import counter, delay
from .config import Context
from .latency import ram_latency
from .ram import Ram

__all__ = ["Accumulator", "turnaround", "uses_registers"]


def turnaround(config):
    """Cycles from the read of a sum in its RAM to the first cycle in which the updated sum can be read.

    With fewer groups a pixel, the next pixel would read an old sum.
    """
    return ram_latency(config.groups) + 3


def uses_registers(config):
    """Whether the sums are in registers, because a pixel has too few groups for a RAM."""
    return config.groups < turnaround(config)


class Accumulator(wiring.Component):
    """Adds up each channel over a tile, then copies the sums out while the next tile's first pixel overwrites them.

    A tile's first pixel only writes. The read port is then free for exactly as long as copying takes, so no second bank
    is needed. Each word is copied before it is overwritten. Where sums go on from tile to tile, the next tile's first
    pixel reads them, in step with the copy: one read serves both (see `Ingress`).

    The sums are in a RAM, or in registers if a pixel has fewer groups than the RAM's read-modify-write takes cycles.

    Members
    -------
    i_valid, i_group, i_first : In
        A beat is taken; its group in the pixel; whether it belongs to the first pixel of its sums.
    i_data : In
        The beat's channels in the signed range, a cycle later.
    flush : In
        Start copying out. The last copy must be complete; excite, which takes the sums, needs longer than a copy.
    busy : Out
        A sum is on its way into the memory.
    copying : Out
        Where sums go on from tile to tile or from row to row: a word is copied in the next cycle, too.
    o_valid, o_group, o_sums : Out
        The sums, one group a cycle, from ``ram_latency(groups)`` cycles after ``flush``.
    i_sums : In
        With ``resumes`` only: what a first pixel's beat is added to, ``ram_latency(groups)`` cycles after the beat.
    """

    def __init__(self, config, *, resumes=False):
        self.config, self.resumes = config, resumes
        self.latency = ram_latency(config.groups)
        self.sums_layout = data.ArrayLayout(signed(config.sum_bits), config.lanes)
        super().__init__({
            "i_valid": In(1), "i_group": In(range(config.groups)), "i_first": In(1),
            "i_data": In(data.ArrayLayout(signed(config.data.bits), config.lanes)), "flush": In(1), "busy": Out(1),
            "o_valid": Out(1), "o_group": Out(range(config.groups)), "o_sums": Out(self.sums_layout),
            **({"copying": Out(1)} if config.context.running or resumes else {}),
            **({"i_sums": In(self.sums_layout)} if resumes else {}),
        })

    def elaborate(self, platform):
        m = Module()
        more, copying = Signal(), Signal()
        count, last = counter(m, self.config.groups, copying, name="copy")
        m.d.comb += copying.eq(self.flush | more)
        with m.If(copying):
            m.d.sync += more.eq(~last)
        if self.config.context.running or self.resumes:
            m.d.comb += self.copying.eq(copying & ~last)
        m.d.comb += [
            self.o_valid.eq(delay(m, copying, self.latency, name="copying", reset_less=False)),
            self.o_group.eq(delay(m, count, self.latency, name="copied")),
        ]
        (self._registers if uses_registers(self.config) else self._memory)(m, copying, count)
        return m

    def _start(self):
        """The sums before a first pixel."""
        return self.i_sums.as_value() if self.resumes else 0

    def _add(self, m, old, beat):
        new = Signal(self.sums_layout)
        m.d.comb += [new[lane].eq(old[lane] + beat[lane]) for lane in range(self.config.lanes)]
        return new

    def _registers(self, m, copying, group):
        """Sums in registers, updated in the cycle after the beat; a word is copied in that cycle at the latest."""
        bits = self.sums_layout.size
        # They keep their names, by which the inventory of memories knows them.
        sums = Array(Signal(bits, name=f"sums_{i}", reset_less=True, attrs={"keep": 1})
                     for i in range(self.config.groups))
        first, place = delay(m, self.i_first, 1, name="first"), delay(m, self.i_group, 1, name="place")
        new = self._add(m, data.View(self.sums_layout, Mux(first, self._start(), sums[place])), self.i_data)
        with m.If(delay(m, self.i_valid, 1, name="valid", reset_less=False)):
            m.d.sync += sums[place].eq(new)
        m.d.comb += self.o_sums.as_value().eq(sums[self.o_group])

    def _memory(self, m, copying, group):
        """Sums in a RAM: read, cleared if a tile starts, added to, written."""
        m.submodules.ram = ram = Ram(width=self.sums_layout.size, depth=self.config.groups)
        reads = self.i_valid
        if self.config.context is Context.CAUSAL:
            # A cut frame's sums are not handed over: the next frame may start while they are still written.
            reads = reads & ~self.i_first
        m.d.comb += [
            ram.raddr.eq(Mux(copying, group, self.i_group)), ram.re.eq(copying | reads),
            self.o_sums.as_value().eq(ram.rdata),
        ]
        old = Signal(self.sums_layout, reset_less=True)
        m.d.sync += old.as_value().eq(ram.rdata)
        # Maps to the register's synchronous reset: no logic in front of the adders.
        with m.If(delay(m, self.i_first, self.latency, name="first")):
            m.d.sync += old.as_value().eq(self._start())
        beat = data.View(self.i_data.shape(), delay(m, self.i_data.as_value(), self.latency, name="beat"))
        new = self._add(m, old, beat)
        under_way = [self.i_valid]
        for i in range(self.latency + 2):
            under_way.append(delay(m, under_way[-1], 1, name=f"valid_{i}", reset_less=False))
        m.d.sync += ram.wdata.eq(new)
        m.d.comb += [
            ram.we.eq(under_way[-1]), self.busy.eq(Cat(under_way[1:]).any()),
            ram.waddr.eq(delay(m, self.i_group, self.latency + 2, name="place")),
        ]
