# SPDX-License-Identifier: Apache-2.0
"""Beats of several bytes from single bytes, and back. The first byte is in the low bits."""

from amaranth.hdl import Cat, Const, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Packer", "Unpacker", "beat"]


def beat(size):
    """The layout of a beat of `size` bytes: ``data``, and ``last`` for the last one."""
    return data.StructLayout({"data": unsigned(8 * size), "last": 1})


class Packer(wiring.Component):
    """Beats of `size` bytes.

    If the last byte does not complete a beat, zeros do, and ``cut`` is high while that beat is offered.
    """

    def __init__(self, size):
        self.size = size
        super().__init__({"i": In(stream.Signature(beat(1))), "o": Out(stream.Signature(beat(size))), "cut": Out(1)})

    def elaborate(self, platform):
        m = Module()
        # Bytes before the newest, which is at the top of those that count; ``place`` is the newest one's.
        size, i, o = self.size, self.i, self.o
        place = Signal(range(size))
        earlier = Signal(8 * (size - 1))
        full = Signal()
        m.d.comb += [
            full.eq(place == size - 1), self.cut.eq(i.payload.last & ~full),
            o.valid.eq(i.valid & (full | i.payload.last)), o.payload.last.eq(i.payload.last),
            i.ready.eq(o.ready | ~(full | i.payload.last)),
        ]
        with m.Switch(place):
            for number in range(size):
                with m.Case(number):
                    m.d.comb += o.payload.data.eq(Cat(earlier[:8 * number], i.payload.data, Const(0, 8 * size)))
        with m.If(i.valid & i.ready):
            m.d.sync += place.eq(place + 1)
            for number in range(size - 1):
                with m.If(place == number):
                    m.d.sync += earlier[8 * number:8 * number + 8].eq(i.payload.data)
            with m.If(full | i.payload.last):
                m.d.sync += place.eq(0)
        return m


class Unpacker(wiring.Component):
    """Single bytes of beats of `size` bytes."""

    def __init__(self, size):
        self.size = size
        super().__init__({"i": In(stream.Signature(beat(size))), "o": Out(stream.Signature(beat(1)))})

    def elaborate(self, platform):
        m = Module()
        place = Signal(range(self.size))
        final = place == self.size - 1
        m.d.comb += [
            self.o.valid.eq(self.i.valid), self.o.payload.data.eq(self.i.payload.data.word_select(place, 8)),
            self.o.payload.last.eq(self.i.payload.last & final), self.i.ready.eq(self.o.ready & final),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += place.eq(place + 1)
            with m.If(final):
                m.d.sync += place.eq(0)
        return m
