# SPDX-License-Identifier: Apache-2.0
"""The activation after the second layer."""

from amaranth.hdl import Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay, round_shift, saturate
from .config import GUARD_BITS
from .latency import ADDERS, factor_limbs, gate_limbs, ram_latency, table_latency
from .multiplier import multiply_limbs
from .quadratic import look_up, quadratic
from .tables import gate_format, gate_table

__all__ = ["GateStage"]


class GateStage(wiring.Component):
    """Turns a requantised value into a gate, one a cycle, in ``gate_latency`` cycles.

    Gates are from 0 to ``gate_top``, in steps of ``2 ** -gate_frac``. ``logit`` is the argument of the gate function,
    ``LOGIT`` cycles after ``i``. A block that ``rescales`` multiplies its gates by ``factor``, which has
    ``factor_bits`` fractional bits; it stays constant while gates are computed.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "i": In(signed(config.requant_bits + 1 - GUARD_BITS)), "logit": Out(signed(config.logit_bits)),
            "o": Out(unsigned(config.gate_bits)),
            **({"factor": In(unsigned(config.factor_bits + 1))} if config.rescales else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.logit.eq(saturate(self.i, self.logit.shape()))
        gate = Signal.like(self.o, name="before_factor", reset_less=True) if self.config.rescales else self.o
        m.d.sync += gate.eq(self._tabulated(m) if self.config.gate.table else self._clamped())
        if self.config.rescales:
            product = multiply_limbs(m, gate, self.factor, factor_limbs(self.config), name="rescale")
            m.d.sync += self.o.eq(round_shift(product, self.config.factor_bits))
        return m

    def _clamped(self):
        """The gate of a hard sigmoid, whose logit is in steps of the gate. The least gate of a residual is half."""
        top = self.config.gate_top
        low, high = round(top / 2) if self.config.residual else 0, round(top)
        return Mux(self.logit > high, high, Mux(self.logit < low, low, self.logit))

    def _tabulated(self, m):
        bits, form = self.config.logit_bits - 1, gate_format(self.config)
        saturated = saturate(self.i, self.logit.shape())
        # The most negative logit's magnitude needs one more bit than all others.
        inverted, magnitude = Signal(bits, reset_less=True), Signal(bits + 1, reset_less=True)
        m.d.sync += [inverted.eq(saturated[:bits] ^ saturated[bits].replicate(bits)),
                     magnitude.eq(inverted + self.logit[bits])]
        # Half a step of the result is added to the constants, so that truncation rounds to nearest.
        table = [(first + (1 << (form.extra - 1)), *others)
                 for first, *others in gate_table(form, self.config.gate_top, self.config.residual)]
        if form.quadratic:
            positive = self._parabola(m, table, magnitude)
        else:
            coefficients = self._table(m, table, magnitude, bits)
            offset = delay(m, magnitude[:form.offset_bits], 1, name="offset")
            positive = self._line(m, *coefficients, offset) >> form.extra
        top = self.config.gate_top
        whole = round(3 * top / 2) if self.config.residual else round(top)
        negative = delay(m, self.logit < 0, table_latency(self.config) - 1, name="negative")
        return Mux(negative, whole - positive, positive)

    def _parabola(self, m, table, magnitude):
        """The gate of a magnitude by quadratic segments. That beyond the last segment is taken as the largest in it."""
        form = gate_format(self.config)
        within = magnitude[:-1] | magnitude[-1].replicate(len(magnitude) - 1)
        coefficients = look_up(m, table, within[form.offset_bits:])
        offset = delay(m, within[:form.offset_bits], ram_latency(form.segments), name="offset")
        return quadratic(m, coefficients, offset, form.extra, gate_limbs(self.config), name="positive")

    def _table(self, m, table, magnitude, bits):
        """The coefficients of a linear segment. The magnitude beyond the last segment gives the largest gate."""
        form = gate_format(self.config)
        last = table[-1][0] + table[-1][1] * ((1 << form.offset_bits) - 1)
        columns = list(zip(*table, strict=True))
        columns[0] = (*columns[0], last)
        coefficients = [Signal(range(max(column) + 1), name=f"c{i}", reset_less=True)
                        for i, column in enumerate(columns)]
        with m.Switch(magnitude[form.offset_bits:bits]):
            for i, numbers in enumerate(table):
                with m.Case(i):
                    m.d.sync += [c.eq(number) for c, number in zip(coefficients, numbers, strict=True)]
        with m.If(magnitude[bits]):
            m.d.sync += [c.eq(number) for c, number in zip(coefficients, (last, 0), strict=True)]
        return coefficients

    @staticmethod
    def _line(m, c0, c1, offset):
        """``c0 + c1 * offset``, ``ADDERS`` cycles later. Adders do it: a DSP block would be used for 15 bits only."""
        terms = [Mux(bit, c1, 0) << i for i, bit in enumerate(offset)] + [c0]
        for level in range(ADDERS):
            if len(terms) % 2:
                terms.append(Const(0, 0))
            sums = [Signal((a + b).shape(), name=f"sum_{level}_{i}", reset_less=True)
                    for i, (a, b) in enumerate(zip(terms[::2], terms[1::2], strict=True))]
            m.d.sync += [s.eq(a + b) for s, a, b in zip(sums, terms[::2], terms[1::2], strict=True)]
            terms = sums
        total, = terms
        return total
