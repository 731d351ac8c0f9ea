# SPDX-License-Identifier: Apache-2.0
"""The activation between the two layers."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay, saturate
from .config import GUARD_BITS
from .latency import COMBINE, MULTIPLY, mid_latency
from .multiplier import Multiplier
from .tables import MID_EXTRA, mid_table

__all__ = ["MidStage"]


class MidStage(wiring.Component):
    """Turns a requantised value into a hidden value, one a cycle, in ``mid_latency`` cycles.

    relu, relu6 and identity are a saturation; relu6 has a scale with 6 at the top of the range. silu and hardswish are
    relu minus an even function, for which a table has piecewise quadratics. No full-width multiplication is needed.
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
        late = delay(m, value, mid_latency(config) - COMBINE, name="value")
        difference = Signal(signed(config.operand_bits + 1), reset_less=True)
        m.d.sync += [difference.eq(Mux(late > 0, late, 0) - correction), self.o.eq(saturate(difference, self.shape))]

    def _correction(self, m, magnitude):
        """``relu(a) - mid(a)`` of a magnitude, by Horner's rule with two multiplications."""
        config = self.config
        bits = config.hidden_frac - config.segment_bits
        c0, c1, c2 = self._table(m, magnitude, bits)
        offset = delay(m, magnitude[:bits], 1, name="offset")
        m.submodules.square = square = Multiplier(c2.shape(), unsigned(bits))
        slope = Signal(signed(max(len(c1), len(c2)) + 2))
        m.submodules.line = line = Multiplier(slope.shape(), unsigned(bits))
        correction = Signal(signed(max(len(c0), len(slope)) + 1), reset_less=True)
        m.d.comb += [
            square.i_a.eq(c2), square.i_b.eq(offset),
            slope.eq(delay(m, c1, MULTIPLY, name="c1") + (square.o >> bits)),
            line.i_a.eq(slope), line.i_b.eq(delay(m, offset, MULTIPLY, name="offset_late")),
        ]
        # Half a step of the result is added to the table's constants, so that truncation rounds to nearest.
        m.d.sync += correction.eq((delay(m, c0, 2 * MULTIPLY, name="c0") + (line.o >> bits)) >> MID_EXTRA)
        return correction

    def _table(self, m, magnitude, bits):
        """The coefficients of a magnitude's segment."""
        config = self.config
        half = 1 << (MID_EXTRA - 1)
        table = [(a0 + half, a1, a2)
                 for a0, a1, a2 in mid_table(config.mid, config.hidden_frac, config.segment_bits, config.mid_range)]
        coefficients = [self._coefficient(column, f"c{i}") for i, column in enumerate(zip(*table, strict=True))]
        m.d.sync += [c.eq(beyond) for c, beyond in zip(coefficients, (half, 0, 0), strict=True)]
        with m.If(magnitude < (config.mid_range << config.hidden_frac)):
            with m.Switch(magnitude >> bits):
                for i, values in enumerate(table):
                    if i << bits < 1 << config.operand_bits:
                        with m.Case(i):
                            m.d.sync += [c.eq(value) for c, value in zip(coefficients, values, strict=True)]
        return coefficients

    @staticmethod
    def _coefficient(column, name):
        low, high = min(column), max(column)
        return Signal(signed(max(low.bit_length(), high.bit_length()) + 1), name=name, reset_less=True)
