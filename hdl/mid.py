# SPDX-License-Identifier: Apache-2.0
"""The activation between the two layers."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay, saturate
from .config import GUARD_BITS
from .data_type import INT8
from .latency import COMBINE, mid_latency, mid_limbs, mid_rows, mid_table_latency
from .quadratic import coefficient, look_up, quadratic
from .tables import MID_EXTRA, mid_table

__all__ = ["MidStage"]


class MidStage(wiring.Component):
    """Turns a requantised value into a hidden value, one a cycle, in ``mid_latency`` cycles.

    A clamp is a saturation; relu6 has a scale with 6 at the top of the range. Tabulated ones, such as silu, are relu
    minus an even function, for which a table has piecewise quadratics. No full-width multiplication is needed.
    """

    def __init__(self, config):
        self.config = config
        self.shape = signed(config.hidden_bits) if config.mid.signed else unsigned(config.hidden_bits)
        super().__init__({"i": In(signed(config.requant_bits + 1 - GUARD_BITS)), "o": Out(self.shape)})

    def elaborate(self, platform):
        m = Module()
        if self.config.mid.tabulated:
            self._tabulated(m)
        else:
            m.d.sync += self.o.eq(saturate(self.i, self.shape))
        return m

    def _tabulated(self, m):
        config = self.config
        value = Signal(signed(config.operand_bits), reset_less=True)
        magnitude = Signal(unsigned(config.operand_bits), reset_less=True)
        m.d.sync += [value.eq(saturate(self.i, value.shape())), magnitude.eq(Mux(value < 0, -value, value))]
        correction = self._correction(m, magnitude)
        late = delay(m, value, mid_latency(config) - COMBINE - 1, name="value")
        difference = Signal(signed(config.operand_bits + 1), reset_less=True)
        m.d.sync += [difference.eq(Mux(late > 0, late, 0) - correction), self.o.eq(saturate(difference, self.shape))]

    def _correction(self, m, magnitude):
        """``relu(a) - mid(a)`` of a magnitude."""
        config = self.config
        bits, latency = config.hidden_frac - config.segment_bits, mid_table_latency(config)
        # Half a step of the result is added to the table's constants, so that truncation rounds to nearest.
        half = 1 << (MID_EXTRA - 1)
        table = [(a0 + half, a1, a2)
                 for a0, a1, a2 in mid_table(config.mid, config.hidden_frac, config.segment_bits, config.mid_range)]
        offset = magnitude[:bits]
        if config.data.bits > INT8.bits:
            # Beyond the table the correction is 0: that of c0 = half with an offset of 0.
            beyond = magnitude >= (config.mid_range << config.hidden_frac)
            offset = Mux(beyond, 0, offset)
            c0, *others = look_up(m, table[:mid_rows(config)], magnitude[bits:])
            coefficients = [Mux(delay(m, beyond, latency, name="beyond"), half, c0), *others]
        else:
            coefficients = self._table(m, table, half, magnitude, bits)
        offset = delay(m, offset, latency, name="offset")
        return quadratic(m, coefficients, offset, MID_EXTRA, mid_limbs(config), name="correction")

    def _table(self, m, table, half, magnitude, bits):
        """The coefficients of a magnitude's segment, in registers."""
        config = self.config
        coefficients = [coefficient(column, f"c{i}") for i, column in enumerate(zip(*table, strict=True))]
        m.d.sync += [c.eq(beyond) for c, beyond in zip(coefficients, (half, 0, 0), strict=True)]
        with m.If(magnitude < (config.mid_range << config.hidden_frac)):
            with m.Switch(magnitude >> bits):
                for i, values in enumerate(table):
                    if i << bits < 1 << config.operand_bits:
                        with m.Case(i):
                            m.d.sync += [c.eq(value) for c, value in zip(coefficients, values, strict=True)]
        return coefficients
