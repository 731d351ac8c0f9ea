# SPDX-License-Identifier: Apache-2.0
"""Requantisation of MAC accumulators to the next stage's number format."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import counter, delay
from .config import GUARD_BITS
from .latency import product_latency, record_ahead, requantise_latency, requantise_limbs
from .multiplier import multiply_limbs

__all__ = ["Record", "Requantise"]


class Record(data.StructLayout):
    """A channel's requantisation constants in the record memory. The bias includes half of the result's LSB."""

    def __init__(self, config):
        super().__init__({
            "multiplier": unsigned(config.multiplier_bits), "shift": unsigned(3), "bias": signed(config.requant_bits),
        })
        assert self.size == config.record_bits


class Requantise(wiring.Component):
    """``round((saturate(floor(acc * multiplier / 2 ** shift)) + bias) / 2 ** GUARD_BITS)``, one accumulator a cycle.

    Accumulators come tile by tile, layer 1's CR outputs before layer 2's C. Counting them gives the record's address.

    Members
    -------
    i_start, i_outputs : In
        This many accumulators come, one a cycle, the first of them ``record_ahead`` cycles later.
    i : In
        The accumulator.
    record_address : Out
    record : In
        ``ram_latency`` of the number of records after its address.
    o_valid, o_layer, o_index, o : Out
        The value, its layer (0 or 1) and its number in the layer, ``requantise_latency`` cycles after the accumulator.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "i_start": In(1), "i_outputs": In(range(config.macs + 1)), "i": In(signed(config.acc_bits)),
            "record_address": Out(range(config.squeeze + config.channels)), "record": In(Record(config)),
            "o_valid": Out(1), "o_layer": Out(1), "o_index": Out(range(max(config.squeeze, config.channels))),
            "o": Out(signed(config.requant_bits + 1 - GUARD_BITS)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        reads, layer2, index = self._address(m)
        parts = requantise_limbs(config)
        late = product_latency(*parts)
        wait = record_ahead(config) - 1
        layer = delay(m, layer2, wait + late, name="layer")
        product = multiply_limbs(m, self.i, self.record.multiplier, parts)
        value = self._shift(m, product, delay(m, self.record.shift, late, name="shift"), layer)
        bias = delay(m, self.record.bias, late + 2, name="bias")
        total = Signal(signed(config.requant_bits + 1), reset_less=True)
        m.d.sync += total.eq(value + bias)
        latency = wait + requantise_latency(config)
        m.d.comb += [
            self.o.eq(total >> GUARD_BITS),
            self.o_valid.eq(delay(m, reads, latency, name="valid", reset_less=False)),
            self.o_layer.eq(delay(m, layer, 3, name="late_layer")),
            self.o_index.eq(delay(m, index, latency, name="index")),
        ]
        return m

    def _address(self, m):
        """Read the records; returns 'a record is read', its layer and its number in the layer."""
        config = self.config
        left, reads = Signal(range(config.macs + 1)), Signal()
        with m.If(self.i_start):
            m.d.sync += [left.eq(self.i_outputs), reads.eq(1)]
        with m.Elif(reads):
            m.d.sync += [left.eq(left - 1), reads.eq(left != 1)]
        layer2, layer_end = Signal(), Signal()
        index = Signal.like(self.o_index)
        address, last = counter(m, config.squeeze + config.channels, reads, name="record")
        m.d.comb += [self.record_address.eq(address),
                     layer_end.eq(last | (~layer2 & (address == config.squeeze - 1)))]
        with m.If(reads):
            m.d.sync += [index.eq(Mux(layer_end, 0, index + 1)), layer2.eq(layer2 ^ layer_end)]
        return reads, layer2, index

    def _shift(self, m, product, shift, layer):
        """``product >> shift``, then saturated to ``requant_bits``: two cycles."""
        bits = self.config.requant_bits
        shifted = Signal(signed(bits), reset_less=True)
        negative, too_large = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += negative.eq(product < 0)
        with m.Switch(Cat(shift, layer)):
            for number, shifts in enumerate(self.config.shifts):
                for i, n in enumerate(shifts):
                    # The value fits if all bits above are copies of its sign.
                    above = (product >> n)[bits - 1:]
                    with m.Case(i | number << 3):
                        m.d.sync += [shifted.eq(product >> n), too_large.eq(above.any() & ~above.all())]
        value = Signal(signed(bits), reset_less=True)
        high = (1 << (bits - 1)) - 1
        m.d.sync += value.eq(Mux(too_large, Mux(negative, ~high, high), shifted))
        return value
