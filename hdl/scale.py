# SPDX-License-Identifier: Apache-2.0
"""Scale: every beat of a finished tile times its gates."""

from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay, round_shift
from .config import GATE_FRAC
from .timing import CREDITS, SCALE

__all__ = ["Scale"]


class Scale(wiring.Component):
    """Reads finished tiles from the tile buffer and multiplies them by their gates.

    A beat is read only when the output FIFO has a place for it, so the pipeline never stalls, and ``o_ready`` reaches
    no further than that FIFO's counters.

    Members
    -------
    tile_valid, tile_end, tile_last : In
        A finished tile, the address of its last beat, and whether it ends its frame.
    release : Out
        The tile's last beat is being read.
    head, read : In, Out
        The tile buffer's read address; read it.
    group : Out
        The group whose gates are to be read with it.
    x, gates : In
        Data (working range) and gates, a cycle after ``read``.
    zero : In
        The working range's zero point.
    o_valid, o_ready, o_data, o_last : stream
        Outputs in the working range.
    idle : Out
        No beat is under way.
    """

    def __init__(self, config, address_shape):
        self.config = config
        working = data.ArrayLayout(signed(8), config.lanes)
        super().__init__({
            "tile_valid": In(1), "tile_end": In(address_shape), "tile_last": In(1), "release": Out(1),
            "head": In(address_shape), "read": Out(1), "group": Out(range(config.groups)),
            "x": In(working), "gates": In(data.ArrayLayout(unsigned(config.gate_bits), config.lanes)),
            "zero": In(signed(8)),
            "o_valid": Out(1), "o_ready": In(1), "o_data": Out(working), "o_last": Out(1),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.fifo = output = fifo.SyncFIFO(width=8 * config.lanes + 1, depth=CREDITS)
        credits = Signal(range(CREDITS + 1), init=CREDITS)
        m.d.comb += [
            self.read.eq(self.tile_valid & (credits != 0)),
            self.release.eq(self.read & (self.head == self.tile_end)),
            self.idle.eq(credits == CREDITS),
        ]
        m.d.sync += credits.eq(credits - self.read + (self.o_valid & self.o_ready))
        with m.If(self.read):
            m.d.sync += self.group.eq(self.group + 1)
            with m.If((self.group == config.groups - 1) | self.release):
                m.d.sync += self.group.eq(0)

        m.d.comb += [
            output.w_en.eq(delay(m, self.read, SCALE - 1, name="valid", reset_less=False)),
            output.w_data.eq(Cat(self._multiply(m), delay(m, self.release & self.tile_last, SCALE - 1, name="last"))),
            self.o_valid.eq(output.r_rdy), output.r_en.eq(self.o_ready & output.r_rdy),
            Cat(self.o_data, self.o_last).eq(output.r_data),
        ]
        return m

    def _multiply(self, m):
        """Deviation from zero times gate, rounded, zero added back: two cycles after the data.

        A gate is at most 1, so that the result lies between zero point and x: it can't leave 8 bits.
        """
        results = []
        for lane in range(self.config.lanes):
            product = Signal(signed(9 + self.config.gate_bits), name=f"product_{lane}", reset_less=True)
            result = Signal(signed(8), name=f"result_{lane}", reset_less=True)
            m.d.sync += [
                product.eq((self.x[lane] - self.zero) * self.gates[lane]),
                result.eq(round_shift(product, GATE_FRAC) + self.zero),
            ]
            results.append(result)
        return Cat(results)
