# SPDX-License-Identifier: Apache-2.0
"""The scale FIFO holds the gates of two tiles: those in use, and those of the next tile."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import counter, delay
from .ram import Ram
from .timing import DEVIATE, GATE_TILES, Timing

__all__ = ["ScaleFifo"]


class ScaleFifo(wiring.Component):
    """Takes gates, one channel a cycle, and gives them, one group a cycle, once for each pixel of the tile.

    A tile can be read as soon as the rest of its gates is sure to arrive in time, so that its first pixel has no gaps.

    Members
    -------
    free, take : Out, In
        There is a place for another tile's gates; it is taken. The gates must then come at the pace of ``Timing``.
    i_valid, i : In
        Gates, channel 0 first.
    tile_valid : Out
        The oldest tile's gates can be read, one group a cycle.
    read, group : In
        Read a group of the oldest tile.
    release : In
        The oldest tile is read for the last time in this cycle.
    o : Out
        The gates, ``Timing.read_latency + DEVIATE`` cycles after ``read``.
    """

    # `released` are the members that tell which gates are not read again, in the place of ``release``.
    def __init__(self, config, released=None):
        self.config = config
        self.layout = data.ArrayLayout(unsigned(config.gate_bits), config.lanes)
        super().__init__({
            "free": Out(1), "take": In(1), "i_valid": In(1), "i": In(unsigned(config.gate_bits)),
            "tile_valid": Out(1), "read": In(1), "group": In(range(config.groups)),
            "o": Out(self.layout),
        } | (released or {"release": In(1)}))

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.ram = ram = Ram(width=self.layout.size, depth=GATE_TILES * config.groups)
        taken, ready = Signal(range(GATE_TILES + 1)), Signal(range(GATE_TILES + 1))
        safe = self._write(m, ram)
        m.d.comb += self.free.eq(taken != GATE_TILES)
        m.d.sync += [
            taken.eq(taken + self.take - self.release),
            ready.eq(ready + safe - self.release),
            self.tile_valid.eq(safe | (ready > 1) | ((ready == 1) & ~self.release)),
        ]
        second = Signal()
        with m.If(self.release):
            m.d.sync += second.eq(~second)
        self._read(m, ram, Mux(second, config.groups, 0))
        return m

    def _read(self, m, ram, origin):
        """Read a group of the gates that start at address `origin`.

        Gates must not be earlier than the tile buffer's data. Delaying the address takes fewer registers. The place of
        a released tile is written again much later.
        """
        wait = Timing(self.config).read_latency + DEVIATE - ram.latency
        m.d.comb += [
            ram.re.eq(delay(m, self.read, wait, name="re", reset_less=False)),
            ram.raddr.eq(delay(m, self.group + origin, wait, name="raddr")),
            self.o.as_value().eq(ram.rdata),
        ]

    def _write(self, m, ram):
        """Collect the gates of a group and write them; returns 'the tile may be read from the next cycle on'."""
        config = self.config
        group_end = Signal()
        _, last_lane = counter(m, config.lanes, self.i_valid, name="lane")
        address, _ = counter(m, Timing(config).gate_places * config.groups, group_end, name="address")
        _, last_group = counter(m, config.groups, group_end, name="group")
        earlier = Signal((config.lanes - 1) * config.gate_bits, reset_less=True)
        word = Cat(earlier, self.i)
        with m.If(self.i_valid):
            m.d.sync += earlier.eq(word[config.gate_bits:])
        m.d.comb += [
            group_end.eq(self.i_valid & last_lane),
            ram.we.eq(group_end), ram.waddr.eq(address), ram.wdata.eq(word),
        ]
        return self._safe(m, group_end & last_group)

    def _safe(self, m, tile_end):
        """Whether the gate after which reading may start arrives; the comparison is made one gate ahead."""
        trigger = Timing(self.config).trigger
        channel = Signal(range(self.config.channels))
        here = Signal(init=trigger == 0)
        with m.If(self.i_valid):
            m.d.sync += [channel.eq(channel + 1), here.eq(channel == trigger - 1 if trigger else 0)]
            with m.If(tile_end):
                m.d.sync += [channel.eq(0), here.eq(trigger == 0)]
        return self.i_valid & here
