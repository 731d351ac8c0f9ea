# SPDX-License-Identifier: Apache-2.0
"""A memory with a write port and a registered read port. All components use it, and a technology can replace it."""

from amaranth.hdl import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import delay
from .latency import ram_latency

__all__ = ["Ram"]


class Ram(wiring.Component):
    """Simple dual-port memory of `depth` words of `width` bits; its ``latency`` is ``ram_latency(depth)``.

    With `init`, a sequence of words, the memory is a ROM, and its write port has no effect.

    Members
    -------
    we, waddr, wdata : In
        Writes at the clock edge.
    re, raddr : In
    rdata : Out
        The word at ``raddr``, valid ``latency`` cycles after ``re`` and only then. Undefined if that address is written
        in the cycle of ``re``.
    """

    def __init__(self, *, width, depth, init=None):
        self.width, self.depth, self.init = width, depth, init
        self.latency = ram_latency(depth)
        # A port needs at least one bit: the address of a memory of one word is always 0.
        self.address_bits = max(1, (depth - 1).bit_length())
        super().__init__({
            "we": In(1), "waddr": In(self.address_bits), "wdata": In(width),
            "re": In(1), "raddr": In(self.address_bits), "rdata": Out(width),
        })

    def elaborate(self, platform):
        if platform is not None and self.init is None:
            return platform.ram(self)
        m = Module()
        storage = memory.Memory(shape=self.width, depth=self.depth, init=self.init or [])
        m.submodules.storage = storage
        read = storage.read_port()
        m.d.comb += [read.en.eq(self.re), read.addr.eq(self.raddr),
                     self.rdata.eq(delay(m, read.data, self.latency - 1, name="stage"))]
        if self.init is None:
            write = storage.write_port()
            m.d.comb += [write.en.eq(self.we), write.addr.eq(self.waddr), write.data.eq(self.wdata)]
        return m
