# SPDX-License-Identifier: Apache-2.0
"""The reciprocal of a row count, by serial division: where sums go on, a table of all counts would be too large."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .row_count import Rows

__all__ = ["Reciprocal"]


class Reciprocal(wiring.Component):
    """``2 ** log / count``, which is 1 or more and less than 2, rounded to ``reciprocal_bits`` bits.

    Restoring division, a bit a cycle. The quotient's leading 1, which is known beforehand, counts the cycles.

    Members
    -------
    i_start, i : In
        Divide for a row count.
    o_valid : Out
        High in one cycle, ``reciprocal_bits`` after ``i_start``. The next ``i_start`` comes later.
    o, o_log : Out
        The quotient in steps of ``2 ** (1 - reciprocal_bits)``, and the count's ``log``, from the cycle after
        ``o_valid`` to the next ``i_start``.
    """

    def __init__(self, config):
        self.config = config
        rows = Rows(config)
        super().__init__({
            "i_start": In(1), "i": In(rows), "o_valid": Out(1),
            "o": Out(unsigned(config.reciprocal_bits)), "o_log": Out(rows.members["log"]),
        })

    def elaborate(self, platform):
        m = Module()
        divisor = Signal(self.i["count"].shape(), reset_less=True)
        quotient = Signal(self.config.reciprocal_bits, reset_less=True)
        # Less than the divisor, so twice the remainder takes one bit more.
        remainder = Signal(self.i["count"].shape(), reset_less=True)
        running, rounds = Signal(), Signal(reset_less=True)
        twice, fits, done = Signal(len(remainder) + 1), Signal(), Signal()
        # Its sign is the comparison: one chain of carries a cycle.
        difference = Signal(signed(len(twice) + 1))
        m.d.comb += [
            twice.eq(remainder << 1), difference.eq(twice - divisor), fits.eq(difference >= 0), done.eq(quotient[-1]),
            self.o_valid.eq(running & done),
            self.o.eq(quotient + rounds),
        ]
        # After the last bit, `fits` is the bit that rounds.
        m.d.sync += rounds.eq(fits)
        with m.If(running & ~done):
            m.d.sync += [quotient.eq(quotient << 1 | fits), remainder.eq(Mux(fits, difference, twice))]
        with m.If(done):
            m.d.sync += running.eq(0)
        with m.If(self.i_start):
            m.d.sync += [divisor.eq(self.i["count"]), self.o_log.eq(self.i.log), quotient.eq(1), running.eq(1),
                         remainder.eq((1 << self.i.log) - self.i["count"])]
        return m
