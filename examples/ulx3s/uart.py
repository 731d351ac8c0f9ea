# SPDX-License-Identifier: Apache-2.0
"""A UART: 8 data bits, no parity, one stop bit."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["Received", "Receiver", "Transmitter", "divisor"]

# Clock cycles of a bit: a bit's middle must be found. And the tolerance of both sides' clocks together is about 5 %.
LEAST_DIVISOR, MOST_ERROR = 4, 0.02


class Received(data.Struct):
    """A byte from the line; ``error`` if its stop bit was 0, or if bytes before it were lost."""

    byte: 8
    error: 1


def divisor(frequency, baud):
    """Clock cycles of a bit. ValueError where the clock of `frequency` Hz has no rate within 2 % of `baud`."""
    cycles = max(round(frequency / baud), 1)
    if cycles < LEAST_DIVISOR or abs(frequency / cycles / baud - 1) > MOST_ERROR:
        raise ValueError(f"baud={baud}: must be at most a {LEAST_DIVISOR}th of {frequency:.0f} Hz, and within "
                         f"{MOST_ERROR:.0%} of that clock divided by an integer")
    return cycles


class Receiver(wiring.Component):
    """Bytes from the line `rx`, which may be asynchronous. Each bit is read at its middle.

    ``o`` shows a byte for one cycle and cannot wait: a byte that is not taken is lost, and the next has ``error``.
    """

    def __init__(self, divisor):
        self.divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(Received))})

    def elaborate(self, platform):
        m = Module()
        line, lost = Signal(init=1), Signal()
        m.submodules.synchronise = FFSynchronizer(self.rx, line, init=1)
        timer, bit, shift = Signal(range(self.divisor)), Signal(range(9)), Signal(8)
        m.d.sync += self.o.valid.eq(0)
        with m.If(self.o.valid):
            m.d.sync += lost.eq(~self.o.ready)
        m.d.sync += timer.eq(timer - 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [timer.eq(self.divisor // 2 - 1), bit.eq(0)]
                with m.If(~line):
                    m.next = "START"
            with m.State("START"):
                with m.If(timer == 0):
                    m.d.sync += timer.eq(self.divisor - 1)
                    # A short pulse is noise.
                    m.next = "IDLE"
                    with m.If(~line):
                        m.next = "BITS"
            with m.State("BITS"):
                with m.If(timer == 0):
                    m.d.sync += [timer.eq(self.divisor - 1), bit.eq(bit + 1)]
                    with m.If(bit < 8):
                        m.d.sync += shift.eq(Cat(shift[1:], line))
                    with m.Else():
                        m.d.sync += [self.o.valid.eq(1), self.o.payload.byte.eq(shift),
                                     self.o.payload.error.eq(~line | lost)]
                        m.next = "STOP"
            with m.State("STOP"):
                # A line that stays low is a break, and no row of zeros.
                with m.If(line):
                    m.next = "IDLE"
        return m


class Transmitter(wiring.Component):
    """Sends the bytes of ``i`` on the line `tx`."""

    def __init__(self, divisor):
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(unsigned(8))), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        timer, bits, shift = Signal(range(self.divisor)), Signal(range(11)), Signal(9, init=0x1FF)
        last = Signal()
        m.d.comb += [last.eq((bits == 1) & (timer == 0)), self.i.ready.eq((bits == 0) | last)]
        with m.If(bits != 0):
            m.d.sync += timer.eq(timer - 1)
            with m.If(timer == 0):
                m.d.sync += [self.tx.eq(shift[0]), shift.eq(Cat(shift[1:], 1)), bits.eq(bits - 1),
                             timer.eq(self.divisor - 1)]
        with m.If(self.i.valid & self.i.ready):
            # The start bit goes out at once; the stop bit follows the byte.
            m.d.sync += [self.tx.eq(0), shift.eq(Cat(self.i.payload, 1)), bits.eq(10), timer.eq(self.divisor - 1)]
        return m
