# SPDX-License-Identifier: Apache-2.0
"""A depthwise convolution of 3 x 3 pixels, one beat a cycle."""

from amaranth.hdl import EnableInserter, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .beats import beats, counter, delay, lanes_of, rom
from .requantise import Requantise
from .window import Window

__all__ = ["Depthwise"]


class Depthwise(wiring.Component):
    """The convolution of a ``quantise.Layer`` with 9 weights a channel, with stride 1 and zeros around the frame.

    It has nine multipliers and a requantisation for each lane.

    Members
    -------
    i, o : beats(lanes)
        Frames of whole rows of `width` pixels; the output has the size of the input.
    error : Out
        That of :class:`Window`.
    """

    def __init__(self, layer, width, lanes):
        self.layer, self.width, self.lanes = layer, width, lanes
        super().__init__({"i": In(beats(lanes)), "o": Out(beats(lanes)), "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.window = window = Window(self.width, len(self.layer.bias) // self.lanes, self.lanes,
                                              self.layer.x_zero)
        compute = Compute(self.layer, self.lanes)
        step = Signal()
        # All of it stands still while an output waits.
        m.submodules.compute = EnableInserter(step)(compute)
        connect(m, flipped(self.i), window.i)
        m.d.comb += [
            step.eq(~self.o.valid | self.o.ready), window.o.ready.eq(step), self.error.eq(window.error),
            compute.i_valid.eq(window.o.valid), compute.i_last.eq(window.o.p.last),
            compute.i_taps.eq(window.o.p.taps),
            self.o.valid.eq(compute.o_valid), self.o.p.last.eq(compute.o_last), self.o.p.lanes.eq(compute.o),
        ]
        return m


class Compute(wiring.Component):
    """The sum of nine products for each lane, requantised, in a pipeline without a handshake."""

    # Inputs and weights, products, sums of three, their sum.
    SUM_LATENCY = 4

    def __init__(self, layer, lanes):
        self.layer, self.lanes = layer, lanes
        super().__init__({
            "i_valid": In(1), "i_last": In(1), "i_taps": In(data.ArrayLayout(lanes_of(8, lanes), 9)),
            "o_valid": Out(1), "o_last": Out(1), "o": Out(lanes_of(8, lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        layer, lanes = self.layer, self.lanes
        groups = len(layer.bias) // lanes
        group, _ = counter(m, groups, self.i_valid, name="group")
        # A row has a group's weights, tap by tap.
        rows = layer.weight.reshape(groups, lanes, 9).transpose(0, 2, 1).reshape(groups, 9 * lanes)
        weights = rom(m, "weights", 8, rows, group)
        taps = Signal.like(self.i_taps)
        m.d.sync += taps.eq(self.i_taps)
        m.submodules.requantise = requantise = Requantise(layer, lanes)
        for lane in range(lanes):
            products = [Signal(signed(16), name=f"product_{lane}_{tap}") for tap in range(9)]
            sums = [Signal(signed(18), name=f"sum_{lane}_{row}") for row in range(3)]
            total = Signal(signed(layer.acc_bits), name=f"total_{lane}")
            m.d.sync += [p.eq(taps[tap][lane] * weights[tap * lanes + lane]) for tap, p in enumerate(products)]
            m.d.sync += [s.eq(sum(products[3 * row:3 * row + 3])) for row, s in enumerate(sums)]
            m.d.sync += total.eq(sum(sums))
            m.d.comb += requantise.i[lane].eq(total)
        latency = self.SUM_LATENCY + requantise.LATENCY
        m.d.comb += [
            requantise.group.eq(delay(m, group, self.SUM_LATENCY, name="late_group")), self.o.eq(requantise.o),
            self.o_valid.eq(delay(m, self.i_valid, latency, name="valid")),
            self.o_last.eq(delay(m, self.i_last, latency, name="last")),
        ]
        return m
