# SPDX-License-Identifier: Apache-2.0
"""Packets on a line of bytes, framed as in RFC 1055."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from protocol import END, ESC, ESC_END, ESC_ESC
from uart import Received

__all__ = ["Decoder", "Encoder", "Octet"]


class Octet(data.Struct):
    """A byte of a packet. ``last``: it is the last one; ``error``, valid then: a byte of the packet was not right."""

    byte: 8
    last: 1
    error: 1


class Decoder(wiring.Component):
    """Packets from the bytes of a line; empty ones are left out.

    A byte is held until the next one, or END, tells whether it is the last of its packet.
    """

    def __init__(self):
        super().__init__({"i": In(stream.Signature(Received)), "o": Out(stream.Signature(Octet))})

    def elaborate(self, platform):
        m = Module()
        byte = self.i.payload.byte
        held, holds, escaped, wrong = Signal(8), Signal(), Signal(), Signal()
        end, escape, error = byte == END, byte == ESC, Signal()
        escapes = ~escaped & escape
        m.d.comb += [
            error.eq(self.i.payload.error | escaped & (byte != ESC_END) & (byte != ESC_ESC)),
            self.o.valid.eq(self.i.valid & holds & ~escapes),
            self.o.payload.byte.eq(held), self.o.payload.last.eq(end), self.o.payload.error.eq(wrong | error),
            self.i.ready.eq(~self.o.valid | self.o.ready),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [escaped.eq(escapes), wrong.eq(wrong | error)]
            with m.If(end):
                m.d.sync += [holds.eq(0), wrong.eq(0)]
            with m.Elif(~escapes):
                m.d.sync += [holds.eq(1), held.eq(Mux(escaped, Mux(byte == ESC_END, END, ESC), byte))]
        return m


class Encoder(wiring.Component):
    """The bytes of a line from packets, each with END after it. The octets' ``error`` is ignored."""

    def __init__(self):
        super().__init__({"i": In(stream.Signature(Octet)), "o": Out(stream.Signature(unsigned(8)))})

    def elaborate(self, platform):
        m = Module()
        byte = self.i.payload.byte
        escape = (byte == END) | (byte == ESC)
        done = Signal()
        m.d.comb += [self.o.valid.eq(self.i.valid), self.i.ready.eq(self.o.ready & done)]
        with m.FSM():
            with m.State("BYTE"):
                m.d.comb += [self.o.payload.eq(Mux(escape, ESC, byte)), done.eq(~escape & ~self.i.payload.last)]
                with m.If(self.o.valid & self.o.ready & ~done):
                    m.next = "END"
                    with m.If(escape):
                        m.next = "ESCAPED"
            with m.State("ESCAPED"):
                m.d.comb += [self.o.payload.eq(Mux(byte == END, ESC_END, ESC_ESC)), done.eq(~self.i.payload.last)]
                with m.If(self.o.valid & self.o.ready):
                    m.next = "BYTE"
                    with m.If(~done):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [self.o.payload.eq(END), done.eq(1)]
                with m.If(self.o.valid & self.o.ready):
                    m.next = "BYTE"
        return m
