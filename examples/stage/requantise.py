# SPDX-License-Identifier: Apache-2.0
"""Accumulators to int8: a bias, a multiplier and a shift for each channel."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beats import delay, lanes_of, rom
from .quantise import HIGH, MULTIPLIER_BITS, SHIFT_BITS

__all__ = ["Requantise"]


class Requantise(wiring.Component):
    """``clamp(zero + round((acc + bias) * multiplier / 2 ** shift))`` of `lanes` accumulators, every cycle.

    Ties are rounded up. The constants are those of `layer`, a ``quantise.Layer``.

    Members
    -------
    i : In
        Accumulators of ``layer.acc_bits`` bits.
    group : In
        Which channels they are: ``lanes * group`` and the next ones.
    o : Out
        ``LATENCY`` cycles later.
    """

    LATENCY = 5

    def __init__(self, layer, lanes):
        self.layer, self.lanes = layer, lanes
        super().__init__({"i": In(lanes_of(layer.acc_bits, lanes)), "group": In(range(len(layer.bias) // lanes)),
                          "o": Out(lanes_of(8, lanes))})

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        bits = {"bias": layer.acc_bits, "multiplier": MULTIPLIER_BITS + 1, "shift": SHIFT_BITS + 1}
        rows = {"bias": layer.hardware_bias, "multiplier": layer.multiplier, "shift": layer.shift}
        bias, multiplier, shift = (rom(m, name, bits[name], rows[name].reshape(-1, self.lanes), self.group)
                                   for name in bits)
        for lane in range(self.lanes):
            acc = Signal(signed(layer.acc_bits), name=f"acc_{lane}")
            total = Signal.like(acc, name=f"total_{lane}")
            product = Signal(signed(layer.acc_bits + MULTIPLIER_BITS), name=f"product_{lane}")
            rounded = Signal.like(product, name=f"rounded_{lane}")
            # All but the last bit to go: that one rounds.
            less = delay(m, (shift[lane] - 1)[:SHIFT_BITS], 2, name=f"shift_{lane}")
            m.d.sync += [
                acc.eq(self.i[lane]),
                total.eq(acc + bias[lane]),
                product.eq(total * delay(m, multiplier[lane], 1, name=f"multiplier_{lane}")),
                rounded.eq(((product >> less) + 1) >> 1),
            ]
            y = rounded + layer.y_zero
            m.d.sync += self.o[lane].eq(Mux(y < layer.low, layer.low, Mux(y > HIGH, HIGH, y)))
        return m
