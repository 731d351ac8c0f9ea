# SPDX-License-Identifier: Apache-2.0
"""A table of constants with registers after it. A technology can replace it."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay
from .latency import ram_latency

__all__ = ["Rom"]


class Rom(wiring.Component):
    """Word `raddr` of `words`, integers of `width` bits, ``latency`` cycles later: ``ram_latency`` of their number.

    It is logic with registers, of which synthesis may make a block RAM. So it is no memory that needs initial contents.
    """

    def __init__(self, *, width, words):
        self.width, self.words, self.depth = width, tuple(words), len(words)
        self.latency = ram_latency(self.depth)
        super().__init__({"raddr": In(max(1, (self.depth - 1).bit_length())), "rdata": Out(width)})

    def elaborate(self, platform):
        return self.logic() if platform is None else platform.rom(self)

    def logic(self):
        """The table for any technology."""
        m = Module()
        word = Signal(self.width, name="word", reset_less=True)
        with m.Switch(self.raddr):
            for address, value in enumerate(self.words):
                with m.Case(address):
                    m.d.sync += word.eq(value)
        m.d.comb += self.rdata.eq(delay(m, word, self.latency - 1, name="stage"))
        return m
