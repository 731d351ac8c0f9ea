# SPDX-License-Identifier: Apache-2.0
"""The activation after the second layer."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay, saturate
from .config import GUARD_BITS, GateKind
from .latency import SIGMOID
from .tables import sigmoid_format, sigmoid_table

__all__ = ["GateStage"]


class GateStage(wiring.Component):
    """Turns a requantised value into a gate of 0 to ``gate_top``, one a cycle, in ``gate_latency`` cycles.

    ``logit`` is the argument of the gate function, ``LOGIT`` cycles after ``i``.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "i": In(signed(config.requant_bits + 1 - GUARD_BITS)), "logit": Out(signed(config.logit_bits)),
            "o": Out(unsigned(config.gate_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.logit.eq(saturate(self.i, self.logit.shape()))
        if self.config.gate.kind is GateKind.SIGMOID:
            self._sigmoid(m)
        else:
            low = 1 << (self.config.gate_frac - 1) if self.config.residual else 0
            high = 1 << self.config.gate_frac
            m.d.sync += self.o.eq(Mux(self.logit > high, high, Mux(self.logit < low, low, self.logit)))
        return m

    def _sigmoid(self, m):
        bits, form = self.config.logit_bits - 1, sigmoid_format(self.config)
        saturated = saturate(self.i, self.logit.shape())
        # The most negative logit's magnitude needs one more bit than all others.
        inverted, magnitude = Signal(bits, reset_less=True), Signal(bits + 1, reset_less=True)
        m.d.sync += [inverted.eq(saturated[:bits] ^ saturated[bits].replicate(bits)),
                     magnitude.eq(inverted + self.logit[bits])]
        c0, c1 = self._table(m, magnitude, bits)
        total = self._line(m, c0, c1, delay(m, magnitude[:form.offset_bits], 1, name="offset"))
        positive = total >> form.extra
        whole = (3 << (self.config.gate_frac - 1)) if self.config.residual else 1 << self.config.gate_frac
        negative = delay(m, self.logit < 0, SIGMOID - 1, name="negative")
        m.d.sync += self.o.eq(Mux(negative, whole - positive, positive))

    def _table(self, m, magnitude, bits):
        """The coefficients of a magnitude's segment. The magnitude beyond the last segment gives the largest gate."""
        # Half a step of the result is added to the constants, so that truncation rounds to nearest.
        form = sigmoid_format(self.config)
        table = [(c0 + (1 << (form.extra - 1)), c1)
                 for c0, c1 in sigmoid_table(form, self.config.gate_top, self.config.residual)]
        last = table[-1][0] + table[-1][1] * ((1 << form.offset_bits) - 1)
        c0 = Signal(range(max(last, *(a0 for a0, _ in table)) + 1), reset_less=True)
        c1 = Signal(range(max(a1 for _, a1 in table) + 1), reset_less=True)
        with m.Switch(magnitude[form.offset_bits:bits]):
            for i, (a0, a1) in enumerate(table):
                with m.Case(i):
                    m.d.sync += [c0.eq(a0), c1.eq(a1)]
        with m.If(magnitude[bits]):
            m.d.sync += [c0.eq(last), c1.eq(0)]
        return c0, c1

    @staticmethod
    def _line(m, c0, c1, offset):
        """``c0 + c1 * offset``, three cycles later. Adders do it: a DSP block would be used for 15 bits only."""
        terms = [Mux(bit, c1, 0) << i for i, bit in enumerate(offset)] + [c0]
        level = 0
        while len(terms) > 1:
            sums = [Signal((a + b).shape(), name=f"sum_{level}_{i}", reset_less=True)
                    for i, (a, b) in enumerate(zip(terms[::2], terms[1::2], strict=True))]
            m.d.sync += [s.eq(a + b) for s, a, b in zip(sums, terms[::2], terms[1::2], strict=True)]
            terms, level = sums, level + 1
        return terms[0]
