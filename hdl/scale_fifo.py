# SPDX-License-Identifier: Apache-2.0
"""The per-tile scale FIFO: gates of two tiles, one being used while the other is being made."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .ram import Ram
from .timing import GATE_TILES

__all__ = ["ScaleFifo"]


class ScaleFifo(wiring.Component):
    """Takes gates a channel a cycle, gives them a group a cycle as often as the tile has pixels.

    A tile's gates can be read when all of them are there: a first pixel that waits for single gates would have gaps.

    Members
    -------
    free, take : Out, In
        A place for another tile; it is taken. Gates of a taken place must then come.
    i_valid, i : In
        Gates, channel 0 first.
    tile_valid : Out
        The oldest tile's gates are complete.
    read, group : In
        Read a group of the oldest tile.
    release : In
        The oldest tile is read for the last time in this cycle.
    o : Out
        The gates, a cycle after ``read``, held until the next.
    """

    def __init__(self, config):
        self.config = config
        self.layout = data.ArrayLayout(unsigned(config.gate_bits), config.lanes)
        super().__init__({
            "free": Out(1), "take": In(1), "i_valid": In(1), "i": In(unsigned(config.gate_bits)),
            "tile_valid": Out(1), "read": In(1), "group": In(range(config.groups)), "release": In(1),
            "o": Out(self.layout),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.ram = ram = Ram(width=self.layout.size, depth=GATE_TILES * config.groups)
        taken, complete = Signal(range(GATE_TILES + 1)), Signal(range(GATE_TILES + 1))
        finished = self._write(m, ram)
        m.d.comb += [self.free.eq(taken != GATE_TILES), self.tile_valid.eq(complete != 0)]
        m.d.sync += [
            taken.eq(taken + self.take - self.release),
            complete.eq(complete + finished - self.release),
        ]
        second = Signal()
        with m.If(self.release):
            m.d.sync += second.eq(~second)
        m.d.comb += [
            ram.re.eq(self.read), ram.raddr.eq(self.group + Mux(second, config.groups, 0)),
            self.o.as_value().eq(ram.rdata),
        ]
        return m

    def _write(self, m, ram):
        """Collect a group's gates and write them; returns 'a tile's last group is written'."""
        config = self.config
        lane, address = Signal(range(config.lanes)), Signal(range(GATE_TILES * config.groups))
        earlier = Signal((config.lanes - 1) * config.gate_bits, reset_less=True)
        word = Cat(earlier, self.i)
        finished = Signal()
        m.d.comb += [
            ram.we.eq(self.i_valid & (lane == config.lanes - 1)), ram.waddr.eq(address), ram.wdata.eq(word),
            finished.eq(ram.we & ((address == config.groups - 1) | (address == GATE_TILES * config.groups - 1))),
        ]
        with m.If(self.i_valid):
            m.d.sync += [earlier.eq(word[config.gate_bits:]), lane.eq(Mux(ram.we, 0, lane + 1))]
        with m.If(ram.we):
            m.d.sync += address.eq(Mux(address == GATE_TILES * config.groups - 1, 0, address + 1))
        return finished
