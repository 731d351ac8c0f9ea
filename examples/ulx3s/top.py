# SPDX-License-Identifier: Apache-2.0
"""The design on the board: pins, UART, packets, block."""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal
from amaranth.lib import io, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth_boards import ulx3s
from protocol import BAUD, FIFO_BYTES
from server import Server
from slip import Decoder, Encoder
from uart import Received, Receiver, Transmitter, divisor

from tiled_se.hdl.ecp5 import Ecp5
from tiled_se.hdl.technology import LEAVES_VERILOG

__all__ = ["DEVICES", "Bridge", "Top", "platform_of"]

DEVICES = {name: getattr(ulx3s, f"ULX3S_{name}_Platform") for name in ("12F", "25F", "45F", "85F")}
# The module that place and route starts from, and the prefix of the leaf modules' names.
NAME = "tiled_se_ulx3s"
# Cycles for which a LED shows a byte on the line: 84 ms at 25 MHz.
VISIBLE = 1 << 21


class Bridge(wiring.Component):
    """A block behind a UART.

    Members
    -------
    rx, tx : In, Out
        The line. Bytes are kept while the block does not take them; ``protocol`` has how many.
    leds : Out
        From bit 0: parameters are loaded; a parameter stream was refused; a frame did not end at a row's end; a packet
        was wrong in another way; two that are never lit; a byte came; a byte left.
    """

    def __init__(self, config, divisor):
        self.config, self.divisor = config, divisor
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "leds": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = Receiver(self.divisor)
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=Received.as_shape().size, depth=FIFO_BYTES)
        m.submodules.decoder = decoder = Decoder()
        m.submodules.server = server = Server(self.config)
        m.submodules.encoder = encoder = Encoder()
        m.submodules.transmitter = transmitter = Transmitter(self.divisor)
        m.d.comb += [
            receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx),
            fifo.w_data.eq(receiver.o.payload), fifo.w_en.eq(receiver.o.valid), receiver.o.ready.eq(fifo.w_rdy),
            decoder.i.payload.eq(fifo.r_data), decoder.i.valid.eq(fifo.r_rdy), fifo.r_en.eq(decoder.i.ready),
        ]
        wiring.connect(m, decoder.o, server.i)
        wiring.connect(m, server.o, encoder.i)
        wiring.connect(m, encoder.o, transmitter.i)
        lights = [self._stretched(m, stream) for stream in (receiver.o, transmitter.i)]
        m.d.comb += self.leds.eq(Cat(server.status, server.fault, 0, 0, *lights))
        return m

    @staticmethod
    def _stretched(m, stream):
        """High for some time after each transfer."""
        left = Signal(range(VISIBLE))
        with m.If(stream.valid & stream.ready):
            m.d.sync += left.eq(VISIBLE - 1)
        with m.Else():
            m.d.sync += left.eq(Mux(left == 0, 0, left - 1))
        return left != 0


class Top(Elaboratable):
    """A block on a ULX3S, at its 25 MHz clock; the UART is that of the USB connector US1."""

    def __init__(self, config):
        self.config = config

    def elaborate(self, platform):
        m = Module()
        m.submodules.bridge = bridge = Bridge(self.config, divisor(platform.default_clk_frequency, BAUD))
        uart = platform.request("uart", dir={"rx": "-", "tx": "-", "rts": "-", "dtr": "-"})
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [bridge.rx.eq(rx.i), tx.o.eq(bridge.tx)]
        for number in range(len(bridge.leds)):
            m.submodules[f"led_{number}"] = led = io.Buffer("o", platform.request("led", number, dir="-"))
            m.d.comb += led.o.eq(bridge.leds[number])
        return m


def platform_of(device):
    """The board with a `device` of ``DEVICES``, which builds memories and multipliers from the FPGA's primitives."""
    board = DEVICES[device]

    class Platform(Ecp5, board):
        def __init__(self):
            Ecp5.__init__(self, NAME)
            board.__init__(self)
            self.add_file("leaves.v", LEAVES_VERILOG.format(name=NAME))

    return Platform()
