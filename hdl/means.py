# SPDX-License-Identifier: Apache-2.0
"""One channel's tile mean from a group of sums: a multiplication by a constant, no division."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import round_shift
from .multiplier import Multiplier

__all__ = ["Means"]


class Means(wiring.Component):
    """Selects one lane's sum and computes its tile mean, ``MEANS`` cycles after ``sums``.

    Members
    -------
    sums, lane, clear, rows : In
        A group's sums; the lane to select; whether its sum counts as 0; the tile's rows, less one, which stay constant
        while its means are computed.
    o : Out
        round(sum * R / 2 ** q), with (R, q) = ``Config.reciprocals`` of the row count.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "sums": In(data.ArrayLayout(signed(config.sum_bits), config.lanes)),
            "lane": In(range(config.lanes)), "clear": In(1), "rows": In(range(config.k)),
            "o": Out(signed(config.operand_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        reciprocal = Signal(unsigned(config.reciprocal_bits), reset_less=True)
        shifts = sorted({q for _, q in config.reciprocals})
        shift = Signal(range(len(shifts)), reset_less=True)
        with m.Switch(self.rows):
            for i, (value, q) in enumerate(config.reciprocals):
                with m.Case(i):
                    m.d.sync += [reciprocal.eq(value), shift.eq(shifts.index(q))]

        m.submodules.multiply = multiply = Multiplier(signed(config.sum_bits), reciprocal.shape())
        selected = Signal(signed(config.sum_bits), reset_less=True)
        m.d.sync += selected.eq(self.sums[self.lane])
        with m.If(self.clear):
            m.d.sync += selected.eq(0)
        m.d.comb += [multiply.i_a.eq(selected), multiply.i_b.eq(reciprocal)]
        # Shifted by q - 1, then rounded by one more bit: the same as `round_shift` by q.
        halves = Signal(signed(config.operand_bits + 1), reset_less=True)
        with m.Switch(shift):
            for i, q in enumerate(shifts):
                with m.Case(i):
                    m.d.sync += halves.eq(multiply.o >> (q - 1) if q > 0 else multiply.o << (1 - q))
        m.d.comb += self.o.eq(round_shift(halves, 1))
        return m
