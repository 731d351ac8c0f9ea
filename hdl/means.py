# SPDX-License-Identifier: Apache-2.0
"""One channel's tile mean from a group of sums: a multiplication by a constant, no division."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import round_shift
from .latency import mean_limbs
from .multiplier import multiply_limbs
from .row_count import Rows, rows_shape

__all__ = ["Means"]


class Means(wiring.Component):
    """Selects one lane's sum and computes its tile mean, ``means_latency`` cycles after ``sums``.

    Members
    -------
    sums, lane, clear : In
        A group's sums; the lane to select; whether its sum counts as 0.
    rows : In
        As in `rows_shape`; or, where sums go on from tile to tile, the ``log`` of the row count. It stays constant
        while means are computed.
    reciprocal : In
        CUMULATIVE and CAUSAL only: that of the row count, see `Reciprocal`. It stays constant, too.
    prior : In
        Only with imaginary rows: what is added to the sum, a cycle later than ``sums``.
    o : Out
        round(sum * R / 2 ** q), with (R, q) = ``Config.reciprocal`` of the tile's rows and columns.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "sums": In(data.ArrayLayout(signed(config.sum_bits), config.lanes)),
            "lane": In(range(config.lanes)), "clear": In(1),
            "rows": In(Rows(config).members["log"] if config.context.running else rows_shape(config)),
            **({"reciprocal": In(unsigned(config.reciprocal_bits))} if config.context.running else {}),
            **({"prior": In(signed(config.prior_bits))} if config.prior_rows else {}),
            "o": Out(signed(config.operand_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        if config.context.running:
            # A count of 2 ** i has the same shift as all counts of which that is the next power of two.
            reciprocal, shift = self.reciprocal, self.rows
            shifts = [config.reciprocal(1 << i)[1] for i in range((config.most_rows - 1).bit_length() + 1)]
        else:
            reciprocal = Signal(unsigned(config.reciprocal_bits), reset_less=True)
            reciprocals = config.reciprocals
            if config.last_columns != config.columns:
                reciprocals += tuple(config.reciprocal(rows, config.last_columns) for rows in range(1, config.k + 1))
            shifts = sorted({q for _, q in reciprocals})
            shift = Signal(range(len(shifts)), reset_less=True)
            with m.Switch(self.rows):
                for i, (value, q) in enumerate(reciprocals):
                    with m.Case(i):
                        m.d.sync += [reciprocal.eq(value), shift.eq(shifts.index(q))]

        selected = Signal(signed(config.sum_bits), reset_less=True)
        m.d.sync += selected.eq(self.sums[self.lane])
        with m.If(self.clear):
            m.d.sync += selected.eq(0)
        if config.prior_rows:
            with_prior = Signal(signed(config.sum_bits), reset_less=True)
            m.d.sync += with_prior.eq(selected + self.prior)
            selected = with_prior
        product = multiply_limbs(m, selected, reciprocal, mean_limbs(config),
                                 name=None if config.context.running else "multiply")
        # Shifted by q - 1, then rounded by one more bit: the same as `round_shift` by q.
        halves = Signal(signed(config.operand_bits + 1), reset_less=True)
        with m.Switch(shift):
            for i, q in enumerate(shifts):
                with m.Case(i):
                    m.d.sync += halves.eq(product >> (q - 1) if q > 0 else product << (1 - q))
        m.d.comb += self.o.eq(round_shift(halves, 1))
        return m
