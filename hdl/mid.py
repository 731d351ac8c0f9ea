# SPDX-License-Identifier: Apache-2.0
"""The activation between the two layers."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay, round_shift, saturate
from .config import GUARD
from .tables import MID_EXTRA, MID_RANGE, mid_table
from .timing import Timing

__all__ = ["MidStage"]


class MidStage(wiring.Component):
    """A requantised value to a hidden value, one a cycle, after ``Timing.mid_latency`` cycles.

    relu, relu6 and identity are a saturation: relu6's scale puts 6 at the top of the range. silu and hardswish are relu
    less an even function, from a table of piecewise quadratics: no multiplication of full width is needed.
    """

    def __init__(self, config):
        self.config = config
        self.shape = signed(config.hidden_bits) if config.mid.signed else unsigned(config.hidden_bits)
        super().__init__({"i": In(signed(config.pre_bits + 1 - GUARD)), "o": Out(self.shape)})

    def elaborate(self, platform):
        m = Module()
        if self.config.mid.tabulated:
            self._tabulated(m)
        else:
            m.d.sync += self.o.eq(saturate(self.i, self.shape))
        return m

    def _tabulated(self, m):
        config = self.config
        bits = config.hidden_frac - config.segment_bits
        table = mid_table(config.mid, config.hidden_frac, config.segment_bits)
        c0, c1, c2 = (self._coefficient(column, f"c{i}") for i, column in enumerate(zip(*table, strict=True)))

        value = Signal(signed(config.operand_bits), reset_less=True)
        magnitude = Signal(unsigned(config.operand_bits), reset_less=True)
        clipped = saturate(self.i, value.shape())
        m.d.sync += [value.eq(clipped), magnitude.eq(Mux(clipped < 0, -clipped, clipped))]

        m.d.sync += [c0.eq(0), c1.eq(0), c2.eq(0)]
        with m.If(magnitude < (MID_RANGE << config.hidden_frac)):
            with m.Switch(magnitude >> bits):
                for i, (a0, a1, a2) in enumerate(table):
                    if i << bits < 1 << config.operand_bits and (a0, a1, a2) != (0, 0, 0):
                        with m.Case(i):
                            m.d.sync += [c0.eq(a0), c1.eq(a1), c2.eq(a2)]
        offset = delay(m, magnitude[:bits], 1, name="offset")
        square = Signal(signed(len(c2) + 1), reset_less=True)
        m.d.sync += square.eq((c2 * offset) >> bits)
        slope = delay(m, c1, 1, name="c1") + square
        linear = Signal(signed(max(len(c1), len(c2)) + 2), reset_less=True)
        m.d.sync += linear.eq((slope * delay(m, offset, 1, name="offset_2")) >> bits)
        correction = Signal(signed(max(len(c0), len(linear)) + 1), reset_less=True)
        m.d.sync += correction.eq(round_shift(delay(m, c0, 2, name="c0") + linear, MID_EXTRA))
        late = delay(m, value, Timing(config).mid_latency - 2, name="value")
        m.d.sync += self.o.eq(saturate(Mux(late > 0, late, 0) - correction, self.shape))

    @staticmethod
    def _coefficient(column, name):
        low, high = min(column), max(column)
        return Signal(signed(max(low.bit_length(), high.bit_length()) + 1), name=name, reset_less=True)
