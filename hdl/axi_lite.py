# SPDX-License-Identifier: Apache-2.0
"""An AXI4-Lite subordinate, which turns transactions into accesses of 32-bit registers."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ADDRESS_BITS", "AxiLite", "axi_lite_members"]

# The smallest range that interconnects give a subordinate: 4 KiB.
ADDRESS_BITS = 12
# Address bits that select a byte of a register; they are ignored.
BYTE_BITS = 2
OKAY, SLVERR = 0b00, 0b10


def axi_lite_members(prefix=""):
    """The members of a subordinate's AXI4-Lite port, each name after `prefix`."""
    return {f"{prefix}{name}": member for name, member in {
        "awaddr": In(ADDRESS_BITS), "awprot": In(3), "awvalid": In(1), "awready": Out(1),
        "wdata": In(32), "wstrb": In(4), "wvalid": In(1), "wready": Out(1),
        "bresp": Out(2), "bvalid": Out(1), "bready": In(1),
        "araddr": In(ADDRESS_BITS), "arprot": In(3), "arvalid": In(1), "arready": Out(1),
        "rdata": Out(32), "rresp": Out(2), "rvalid": Out(1), "rready": In(1),
    }.items()}


class AxiLite(wiring.Component):
    """Accepts address and data of a write in any order, and one write and one read at a time.

    Both sides are apart from each other, and each makes an access every two cycles at most. Every input reaches only
    registers, and every output comes from one, perhaps inverted: no path goes through.

    Members
    -------
    awaddr .. rready
        AXI4-Lite. The protection bits are ignored.
    write, write_word, data, strobes : Out
        A write in this cycle: number of the register, its new value, and which of its bytes are meant.
    write_error : In
        The write has no effect, and is answered by SLVERR.
    read_word : Out
        Number of the register to read. It holds until it was read; reading has no side effect.
    read_data, read_error : In
        What it holds, in the same cycle; there is no such register.
    """

    def __init__(self):
        word = ADDRESS_BITS - BYTE_BITS
        super().__init__({
            **axi_lite_members(),
            "write": Out(1), "write_word": Out(word), "data": Out(32), "strobes": Out(4), "write_error": In(1),
            "read_word": Out(word), "read_data": In(32), "read_error": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        self._writes(m)
        self._reads(m)
        return m

    def _writes(self, m):
        address_held, data_held = Signal(), Signal()
        m.d.comb += [
            self.awready.eq(~address_held), self.wready.eq(~data_held),
            self.write.eq(address_held & data_held & ~self.bvalid),
        ]
        with m.If(self.awvalid & self.awready):
            m.d.sync += [address_held.eq(1), self.write_word.eq(self.awaddr[BYTE_BITS:])]
        with m.If(self.wvalid & self.wready):
            m.d.sync += [data_held.eq(1), self.data.eq(self.wdata), self.strobes.eq(self.wstrb)]
        with m.If(self.bready):
            m.d.sync += self.bvalid.eq(0)
        with m.If(self.write):
            m.d.sync += [address_held.eq(0), data_held.eq(0), self.bvalid.eq(1),
                         self.bresp.eq(Mux(self.write_error, SLVERR, OKAY))]

    def _reads(self, m):
        held = Signal()
        m.d.comb += self.arready.eq(~held)
        with m.If(self.arvalid & self.arready):
            m.d.sync += [held.eq(1), self.read_word.eq(self.araddr[BYTE_BITS:])]
        with m.If(self.rready):
            m.d.sync += self.rvalid.eq(0)
        with m.If(held & ~self.rvalid):
            m.d.sync += [held.eq(0), self.rvalid.eq(1), self.rdata.eq(self.read_data),
                         self.rresp.eq(Mux(self.read_error, SLVERR, OKAY))]
