# SPDX-License-Identifier: Apache-2.0
"""The cocotb test of simulate.py: the host's own code against the pins of the board.

The folder `BLOCK` names the block. What it prints is in ``transcript.txt``.
"""

import os
import pathlib

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import bridge
from cocotb.triggers import Timer
from host import Block, Host, HostError, session
from line import Line
from protocol import BAUD, END, ESC, Kind, Status, encode

CLOCK_PS = 40_000
BIT_PS = round(1e12 / BAUD)
# The time of a bit by the host's clock: one that is too fast brings more than the board can answer.
RATES = {"fast": 0.985, "slow": 1.015}
LEDS = {"loaded": 0, "load_error": 1, "frame_error": 2, "fault": 3}
# Lit for a moment after each byte.
ACTIVITY = (6, 7)


class Session:
    """What happens on the line, in order; each step raises AssertionError or HostError where it goes wrong."""

    def __init__(self, dut, block, say):
        self.dut, self.block, self.say = dut, block, say
        self.row_bytes = block.frames[0][0][0].nbytes

    def run(self):
        line = self._connect("fast")
        assert session(line, self.block, self.say), "a frame differs from the golden model"
        self._leds("loaded")
        for step in (self.unloaded, self.wrong, self.cut, self.spoilt, self.abandoned):
            step()
        line.close()
        line = self._connect("slow")
        self._recovers("a host with another clock")
        line.close()

    def _connect(self, name):
        """The board's line to a host with the clock of that name."""
        self.line = Line(self.dut.uart_0__rx__io, self.dut.uart_0__tx__io, round(BIT_PS * RATES[name]))
        self.host = Host(self.line, self.block)
        return self.line

    def _led(self, place):
        return bool(getattr(self.dut, f"led_{place}__io").value)

    def _leds(self, *lit):
        values = {name: self._led(place) for name, place in LEDS.items()}
        assert values == {name: name in lit for name in LEDS}, f"the LEDs are {values}"

    def _answered(self, status, act, *arguments):
        """The action must be answered with exactly this status."""
        try:
            act(*arguments)
        except HostError as error:
            complaint = str(error)
        else:
            raise AssertionError(f"{act.__name__} was answered as if nothing were wrong")
        assert self.host.status == status, f"{self.host.status!r} instead of {status!r}: {complaint}"

    def _recovers(self, what):
        """After a reset and a load, a frame is right."""
        self.host.reset()
        assert self.host.status == Status(0)
        self._leds()
        self.host.load()
        assert all(map(self._led, ACTIVITY)), "a LED does not show bytes that have just passed"
        x, y = self.block.frames[-1]
        assert np.array_equal(self.host.scale(x), y), f"the frame after {what} is wrong"
        assert not self.line.errors, self.line.errors
        self.say(f"recovered   from {what}")

    def unloaded(self):
        self.host.reset()
        # It may be longer than what the host sends without an answer.
        self._answered(Status.REFUSED, self.host.scale, self.block.frames[0][0])
        wrong = bytes([self.block.parameters[0] ^ 1]) + self.block.parameters[1:]
        self._answered(Status.LOAD_ERROR, self.host.load, wrong)
        self._leds("load_error", "fault")
        self._recovers("a frame without parameters, and parameters of another block")

    def wrong(self):
        """Packets that are none. The parameters stay."""
        # A frame of one byte.
        cut = Status.CUT * (self.block.beat_bytes > 1) | Status.FRAME_ERROR * (self.block.beat_bytes < self.row_bytes)
        for line, status in ((encode(0x21, b"what?"), Status.REFUSED), (encode(Kind.FRAME), Status.REFUSED),
                             (bytes([Kind.FRAME, ESC, 0x21, END]), Status.LINE | cut)):
            self.line.write(line)
            self._answered(Status.LOADED | status, self.host.answer, line[0], 0)
        self._recovers("an unknown packet, an empty frame, and an escape that is none")

    def cut(self):
        """A frame that ends inside of a row gives all outputs that it has inputs for, and an error."""
        if self.block.beat_bytes == self.row_bytes:
            return
        x, y = self.block.frames[-1]
        beat = x.tobytes()[:self.block.beat_bytes]
        self._answered(Status.LOADED | Status.FRAME_ERROR, self.host.send_frame, beat, 0)
        assert len(self.host.payload) * x.nbytes == len(beat) * y.nbytes
        # The error stays until a reset, and the next frame is right.
        self._answered(Status.LOADED | Status.FRAME_ERROR, self.host.scale, x)
        assert self.host.payload == y.tobytes(), "the frame after a cut one is wrong"
        self._leds("loaded", "frame_error")
        self._recovers("a frame that was cut")

    def spoilt(self):
        """A byte without its stop bit: all else of its frame arrives."""
        x, _ = self.block.frames[-1]
        data = encode(Kind.FRAME, x.tobytes())
        self.line.write(data[:2])
        self.line.write(data[2:3], stop=0)
        self.line.write(data[3:])
        self._answered(Status.LOADED | Status.LINE, self.host.answer, Kind.FRAME, x.size)
        self._recovers("a byte without a stop bit")

    def abandoned(self):
        """A host that is gone in the middle of a frame leaves nothing behind."""
        self.line.write(encode(Kind.FRAME, self.block.frames[-1][0].tobytes())[:-1])
        self.host = Host(self.line, self.block)
        self._recovers("a host that went away in the middle of a frame")


# The host waits for nothing forever: it needs no timeout of its own.
@cocotb.test()
async def run(dut):
    """All frames are bit-exact, every wrong packet is told, and what comes after it is right."""
    dut.uart_0__rx__io.value = 1
    Clock(dut.clk25_0__io, CLOCK_PS, unit="ps").start()
    await Timer(1, unit="us")
    assert not any(int(getattr(dut, f"led_{place}__io").value) for place in range(8)), "a LED is lit"
    with open("transcript.txt", "w") as transcript:
        block = Block(pathlib.Path(os.environ["BLOCK"]))
        await bridge(Session(dut, block, lambda text: print(text, file=transcript, flush=True)).run)()
