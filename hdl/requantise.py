# SPDX-License-Identifier: Apache-2.0
"""From a MAC accumulator to the next stage's number format."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay, round_shift, saturate
from .config import GUARD, MULTIPLIER_BITS
from .timing import REQUANTISE

__all__ = ["Record", "Requantise"]


class Record(data.StructLayout):
    """A channel's requantisation constants, as the record memory holds them."""

    def __init__(self, config):
        super().__init__({
            "multiplier": unsigned(MULTIPLIER_BITS), "shift": unsigned(3), "bias": signed(config.pre_bits),
        })
        assert self.size == config.record_bits


class Requantise(wiring.Component):
    """``round((saturate(floor(acc * multiplier / 2 ** shift)) + bias) / 2 ** GUARD)``, an accumulator a cycle.

    Accumulators come tile by tile, layer 1's CR outputs before layer 2's C; a counter of them addresses the records.

    Members
    -------
    i_valid, i : In
        Accumulators.
    record_address : Out
    record : In
        A cycle after its address.
    o_valid, o_layer, o_index, o : Out
        The value, its layer (0 or 1) and its place in the layer, ``REQUANTISE`` cycles after the accumulator.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "i_valid": In(1), "i": In(signed(config.acc_bits)),
            "record_address": Out(range(config.squeeze + config.channels)), "record": In(Record(config)),
            "o_valid": Out(1), "o_layer": Out(1), "o_index": Out(range(max(config.squeeze, config.channels))),
            "o": Out(signed(config.pre_bits + 1 - GUARD)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        layer2 = Signal()
        index = Signal.like(self.o_index)
        with m.If(self.i_valid):
            m.d.sync += [self.record_address.eq(self.record_address + 1), index.eq(index + 1)]
            with m.If(index == Mux(layer2, config.channels - 1, config.squeeze - 1)):
                m.d.sync += [index.eq(0), layer2.eq(~layer2)]
                with m.If(layer2):
                    m.d.sync += self.record_address.eq(0)

        # Registers before and behind the multiplier, and one more for a wide one's own adders.
        acc = delay(m, self.i, 1, name="acc")
        product = Signal(signed(config.acc_bits + MULTIPLIER_BITS + 1), reset_less=True)
        m.d.sync += product.eq(acc * self.record.multiplier)
        product = delay(m, product, 1, name="product")
        selected = delay(m, Cat(self.record.shift, delay(m, layer2, 1, name="shift_layer")), 2, name="selected")
        bias = delay(m, self.record.bias, 3, name="bias")

        shifted = Signal(signed(config.acc_bits + MULTIPLIER_BITS + 1 - min(map(min, config.shifts))))
        with m.Switch(selected):
            for layer, shifts in enumerate(config.shifts):
                for i, shift in enumerate(shifts):
                    with m.Case(i | layer << 3):
                        m.d.comb += shifted.eq(product >> shift)
        value = Signal(signed(config.pre_bits), reset_less=True)
        total = Signal(signed(config.pre_bits + 1), reset_less=True)
        m.d.sync += [value.eq(saturate(shifted, value.shape())), total.eq(value + bias)]
        m.d.comb += [
            self.o.eq(round_shift(total, GUARD)),
            self.o_valid.eq(delay(m, self.i_valid, REQUANTISE, name="valid", reset_less=False)),
            self.o_layer.eq(delay(m, layer2, REQUANTISE, name="layer")),
            self.o_index.eq(delay(m, index, REQUANTISE, name="index")),
        ]
        return m
