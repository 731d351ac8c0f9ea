# SPDX-License-Identifier: Apache-2.0
"""The reciprocal of a row count, by serial division: where sums go on, a table of all counts would be too large."""

from amaranth.hdl import Module, Mux, Signal, unsigned
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
        High in one cycle, ``reciprocal_bits`` after ``i_start``. The result stays until the next ``i_start``.
    o, o_log : Out
        The quotient in steps of ``2 ** (1 - reciprocal_bits)``, and the count's ``log``.
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
        running = Signal()
        twice, fits, done = Signal(len(remainder) + 1), Signal(), Signal()
        m.d.comb += [
            twice.eq(remainder << 1), fits.eq(twice >= divisor), done.eq(quotient[-1]),
            self.o_valid.eq(running & done),
            # After the last bit, `fits` is the bit that rounds.
            self.o.eq(quotient + fits),
        ]
        with m.If(running & ~done):
            m.d.sync += [quotient.eq(quotient << 1 | fits), remainder.eq(twice - Mux(fits, divisor, 0))]
        with m.If(done):
            m.d.sync += running.eq(0)
        with m.If(self.i_start):
            m.d.sync += [divisor.eq(self.i["count"]), self.o_log.eq(self.i.log), quotient.eq(1), running.eq(1),
                         remainder.eq((1 << self.i.log) - self.i["count"])]
        return m
