# SPDX-License-Identifier: Apache-2.0
"""The one memory: a write port and a registered read port. A technology's own can stand in for it."""

import dataclasses

from amaranth.hdl import ClockSignal, Instance, Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Ram", "RtlPlatform", "RAM_VERILOG"]

# The leaf that Verilog is generated with: Amaranth would write a memory's initial contents out row by row. Reading an
# address in the cycle of its write is undefined, and the block never does it: no read-during-write logic is needed.
RAM_VERILOG = """\
// One write port, one registered read port. Replace it by a macro of your technology where you like: the block never
// reads an address in the cycle in which it writes it, and relies on no initial contents.
module {name} #(
    parameter WIDTH = 8,
    parameter DEPTH = 2,
    parameter ADDRESS = 1
) (
    input clk,
    input we,
    input [ADDRESS-1:0] waddr,
    input [WIDTH-1:0] wdata,
    input re,
    input [ADDRESS-1:0] raddr,
    output reg [WIDTH-1:0] rdata
);
    (* no_rw_check *)
    reg [WIDTH-1:0] mem [0:DEPTH-1];
    always @(posedge clk) begin
        if (we) mem[waddr] <= wdata;
        if (re) rdata <= mem[raddr];
    end
endmodule
"""


@dataclasses.dataclass(frozen=True)
class RtlPlatform:
    """Elaboration for Verilog: memories become instances of ``ram_module``."""

    ram_module: str


class Ram(wiring.Component):
    """Simple dual-port memory.

    Parameters
    ----------
    width, depth : int
    init : sequence of int, optional
        Contents; makes it a ROM, whose write port is not connected.

    Members
    -------
    we, waddr, wdata : In
        Writes at the clock edge.
    re, raddr : In
    rdata : Out
        What ``raddr`` held, a cycle after ``re``; held while ``re`` is low. Undefined where that address is written in
        the cycle of the read.
    """

    def __init__(self, *, width, depth, init=None):
        self.width, self.depth, self.init = width, depth, init
        # An address of no bits can't be a port: a memory of one word has an address that is always 0.
        self.address_bits = max(1, (depth - 1).bit_length())
        super().__init__({
            "we": In(1), "waddr": In(self.address_bits), "wdata": In(width),
            "re": In(1), "raddr": In(self.address_bits), "rdata": Out(width),
        })

    def elaborate(self, platform):
        m = Module()
        if isinstance(platform, RtlPlatform) and self.init is None:
            m.submodules.ram = Instance(
                platform.ram_module, p_WIDTH=self.width, p_DEPTH=self.depth, p_ADDRESS=self.address_bits,
                i_clk=ClockSignal(), i_we=self.we, i_waddr=self.waddr, i_wdata=self.wdata,
                i_re=self.re, i_raddr=self.raddr, o_rdata=self.rdata)
            return m
        storage = memory.Memory(shape=self.width, depth=self.depth, init=self.init or [])
        m.submodules.storage = storage
        read = storage.read_port()
        m.d.comb += [read.en.eq(self.re), read.addr.eq(self.raddr), self.rdata.eq(read.data)]
        if self.init is None:
            write = storage.write_port()
            m.d.comb += [write.en.eq(self.we), write.addr.eq(self.waddr), write.data.eq(self.wdata)]
        return m
