# SPDX-License-Identifier: Apache-2.0
"""From a group of sums to one channel's tile mean: no division, a multiplication by a constant."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay, round_shift

__all__ = ["Means"]


class Means(wiring.Component):
    """Selects a lane's sum and brings it to the grid of tile means, four cycles after ``lane``, three after ``sums``.

    Members
    -------
    lane : In
        Which of the sums, a cycle before them.
    rows : In
        Rows of the tile, less one; steady while the tile is worked on.
    sums : In
        A group's sums.
    o : Out
        round(sum * R / 2 ** q), with (R, q) = ``Config.reciprocals`` of the row count.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "lane": In(range(config.lanes)), "rows": In(range(config.k)),
            "sums": In(data.ArrayLayout(signed(config.sum_bits), config.lanes)),
            "o": Out(signed(config.operand_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        selected = Signal(signed(config.sum_bits), reset_less=True)
        m.d.sync += selected.eq(self.sums[delay(m, self.lane, 1, name="lane")])

        reciprocal = Signal(range(1 << config.reciprocal_bits), reset_less=True)
        shifts = sorted({q for _, q in config.reciprocals})
        shift = Signal(range(len(shifts)), reset_less=True)
        with m.Switch(self.rows):
            for i, (value, q) in enumerate(config.reciprocals):
                with m.Case(i):
                    m.d.sync += [reciprocal.eq(value), shift.eq(shifts.index(q))]

        product = Signal(signed(config.sum_bits + config.reciprocal_bits + 1), reset_less=True)
        m.d.sync += product.eq(selected * reciprocal)
        with m.Switch(shift):
            for i, q in enumerate(shifts):
                with m.Case(i):
                    m.d.sync += self.o.eq(round_shift(product, q))
        return m
