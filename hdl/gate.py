# SPDX-License-Identifier: Apache-2.0
"""The activation behind the second layer."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay, round_shift, saturate
from .config import GATE_FRAC, GUARD, GateKind
from .tables import SIGMOID_EXTRA, SIGMOID_SEGMENT, sigmoid_table
from .timing import Timing

__all__ = ["GateStage"]


class GateStage(wiring.Component):
    """A requantised value to a gate of 0 to ``2 ** GATE_FRAC``, one a cycle, after ``Timing.gate_latency`` cycles.

    ``logit`` is the value that enters the gate function, in the cycle of ``i``.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "i": In(signed(config.pre_bits + 1 - GUARD)), "logit": Out(signed(config.logit_bits)),
            "o": Out(unsigned(config.gate_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.logit.eq(saturate(self.i, self.logit.shape()))
        if self.config.gate.kind is GateKind.SIGMOID:
            self._sigmoid(m)
        else:
            low = 1 << (GATE_FRAC - 1) if self.config.residual else 0
            high = 1 << GATE_FRAC
            m.d.sync += self.o.eq(Mux(self.logit > high, high, Mux(self.logit < low, low, self.logit)))
        return m

    def _sigmoid(self, m):
        table = sigmoid_table(self.config.residual)
        magnitude = Signal(unsigned(self.config.logit_bits - 1), reset_less=True)
        absolute = Mux(self.logit < 0, -self.logit, self.logit)
        m.d.sync += magnitude.eq(saturate(absolute, magnitude.shape()))
        negative = delay(m, self.logit < 0, Timing(self.config).gate_latency - 1, name="negative")

        c0, c1 = (Signal(range(max(column) + 1), name=f"c{i}", reset_less=True)
                  for i, column in enumerate(zip(*table, strict=True)))
        with m.Switch(magnitude >> SIGMOID_SEGMENT):
            for i, (a0, a1) in enumerate(table):
                with m.Case(i):
                    m.d.sync += [c0.eq(a0), c1.eq(a1)]
        offset = delay(m, magnitude[:SIGMOID_SEGMENT], 1, name="offset")
        total = Signal(range((1 << (GATE_FRAC + SIGMOID_EXTRA)) + (1 << SIGMOID_EXTRA)), reset_less=True)
        m.d.sync += total.eq(c0 + c1 * offset)
        positive = round_shift(total, SIGMOID_EXTRA)
        whole = (3 << (GATE_FRAC - 1)) if self.config.residual else 1 << GATE_FRAC
        m.d.sync += self.o.eq(Mux(negative, whole - positive, positive))
