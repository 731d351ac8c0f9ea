# SPDX-License-Identifier: Apache-2.0
"""A convolution of 1 x 1 pixels to few channels, one beat of the input a cycle."""

from amaranth.hdl import Cat, EnableInserter, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beats import beats, counter, delay, lanes_of, rom
from .requantise import Requantise

__all__ = ["Projection"]


class Projection(wiring.Component):
    """The convolution of a ``quantise.Layer``: C channels in, N out, of which `lanes` make a beat.

    It has a multiplier for each output and lane, ``N * lanes``, and a requantisation for each lane. While the sums of a
    pixel leave, those of the next one are built up. So it takes a beat a cycle if N is at most C.

    Members
    -------
    i, o : beats(lanes)
    """

    def __init__(self, layer, lanes):
        self.layer, self.lanes = layer, lanes
        super().__init__({"i": In(beats(lanes)), "o": Out(beats(lanes))})

    def elaborate(self, platform):
        m = Module()
        outputs = len(self.layer.bias)
        products, requantise = Sums(self.layer, self.lanes), Requantise(self.layer, self.lanes)
        add, send = Signal(), Signal()
        m.submodules.sums = EnableInserter(add)(products)
        m.submodules.requantise = EnableInserter(send)(requantise)
        m.d.comb += [
            self.i.ready.eq(add), products.i_valid.eq(self.i.valid), products.i_last.eq(self.i.p.last),
            products.i.eq(self.i.p.lanes), send.eq(~self.o.valid | self.o.ready),
        ]
        # The sums of a finished pixel, which leave from the lower end.
        count = outputs // self.lanes
        held, last, left = Signal.like(products.o.as_value()), Signal(), Signal(range(count + 1))
        free = (left == 0) | (left == 1) & send
        m.d.comb += add.eq(~products.o_valid | free)
        with m.If(send & (left != 0)):
            m.d.sync += [held.eq(held >> self.lanes * self.layer.acc_bits), left.eq(left - 1)]
        with m.If(products.o_valid & free):
            m.d.sync += [held.eq(products.o), last.eq(products.o_last), left.eq(count)]
        m.d.comb += [
            requantise.i.eq(held), requantise.group.eq(count - left), self.o.p.lanes.eq(requantise.o),
        ]
        # What travels along with the numbers.
        flags = Cat(left != 0, last & (left == 1))
        for number in range(requantise.LATENCY):
            late = Signal(2, name=f"flags_{number + 1}")
            with m.If(send):
                m.d.sync += late.eq(flags)
            flags = late
        m.d.comb += Cat(self.o.valid, self.o.p.last).eq(flags)
        return m


class Sums(wiring.Component):
    """The sums of a pixel for all outputs, from one beat a cycle. ``o`` is there until the next pixel's are."""

    def __init__(self, layer, lanes):
        self.layer, self.lanes = layer, lanes
        super().__init__({
            "i_valid": In(1), "i_last": In(1), "i": In(lanes_of(8, lanes)),
            "o_valid": Out(1), "o_last": Out(1), "o": Out(lanes_of(layer.acc_bits, len(layer.bias))),
        })

    def elaborate(self, platform):
        m = Module()
        outputs, inputs = self.layer.weight.shape
        groups = inputs // self.lanes
        group, end = counter(m, groups, self.i_valid, name="group")
        # A row has a group's weights, output by output.
        rows = self.layer.weight.reshape(outputs, groups, self.lanes).transpose(1, 0, 2).reshape(groups, -1)
        weights = rom(m, "weights", 8, rows, group)
        x = Signal.like(self.i)
        m.d.sync += x.eq(self.i)
        flags = Cat(self.i_valid, self.i_valid & (group == 0), self.i_valid & end, self.i_last)
        valid, first, finished, last = delay(m, flags, 3, name="flags")
        for output in range(outputs):
            products = [Signal(signed(16), name=f"product_{output}_{lane}") for lane in range(self.lanes)]
            beat = Signal(signed(self.layer.acc_bits), name=f"beat_{output}")
            m.d.sync += [p.eq(x[lane] * weights[output * self.lanes + lane]) for lane, p in enumerate(products)]
            m.d.sync += beat.eq(sum(products))
            with m.If(valid):
                m.d.sync += self.o[output].eq(Mux(first, 0, self.o[output]) + beat)
        m.d.sync += [self.o_valid.eq(finished), self.o_last.eq(last)]
        return m
