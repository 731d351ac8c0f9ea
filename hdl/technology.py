# SPDX-License-Identifier: Apache-2.0
"""The leaf modules, memory and multiplier, and their replacement for a technology.

The generic leaves are behavioural, parameterised Verilog modules at the end of the generated file. Synthesis tools
infer block RAM and DSP blocks from them; an ASIC flow replaces them by its macros. If a technology's tools don't infer
what is needed, its class builds the leaves from primitives (``hdl.ecp5``).
"""

from collections.abc import Iterable

from amaranth.hdl import ClockSignal, Instance, Module

from .styles import DSP_STYLES, RAM_STYLES

__all__ = ["LEAVES_VERILOG", "Technology", "leaves"]

LEAVES_VERILOG = """\
// One write port, one read port: data come LATENCY cycles after their address. Replace it by a macro of your technology
// where you like: the block never reads an address in the cycle in which it is written, and relies on no initial
// contents. The second register is a block RAM's own output register, the third is for several blocks' data to meet.
module {name}_ram #(
    parameter integer WIDTH = 8,
    parameter integer DEPTH = 2,
    parameter integer ADDRESS = 1,
    parameter integer LATENCY = 1
) (
    input clk,
    input we,
    input [ADDRESS-1:0] waddr,
    input [WIDTH-1:0] wdata,
    input re,
    input [ADDRESS-1:0] raddr,
    output [WIDTH-1:0] rdata
);
    (* no_rw_check *)
    reg [WIDTH-1:0] mem [0:DEPTH-1];
    always @(posedge clk) begin
        if (we) mem[waddr] <= wdata;
    end
    genvar i;
    generate
        for (i = 1; i <= LATENCY; i = i + 1) begin : stage
            reg [WIDTH-1:0] word;
            if (i == 1) begin : first
                always @(posedge clk) if (re) word <= mem[raddr];
            end else begin : later
                always @(posedge clk) word <= stage[i-1].word;
            end
        end
    endgenerate
    assign rdata = stage[LATENCY].word;
endmodule

// A multiplier with registers before and after it, those of a DSP block. Replace it like the memory.
module {name}_mul #(
    parameter integer A_WIDTH = 18,
    parameter integer B_WIDTH = 18,
    parameter integer A_SIGNED = 1,
    parameter integer B_SIGNED = 1
) (
    input clk,
    input [A_WIDTH-1:0] a,
    input [B_WIDTH-1:0] b,
    output [A_WIDTH+B_WIDTH-1:0] p
);
    reg signed [A_WIDTH:0] a_in;
    reg signed [B_WIDTH:0] b_in;
    reg signed [A_WIDTH+B_WIDTH-1:0] product;
    always @(posedge clk) begin
        a_in <= $signed({{A_SIGNED != 0 ? a[A_WIDTH-1] : 1'b0, a}});
        b_in <= $signed({{B_SIGNED != 0 ? b[B_WIDTH-1] : 1'b0, b}});
        product <= a_in * b_in;
    end
    assign p = $unsigned(product);
endmodule
"""


def leaves(name: str, ram_styles: Iterable[str] = (), dsp_style: str | None = None) -> str:
    """The leaf modules of top `name`: the RAM, one RAM more for each of `ram_styles`, and the multiplier."""
    text = LEAVES_VERILOG.format(name=name)
    memory, product = "    reg [WIDTH-1:0] mem ", "    reg signed [A_WIDTH+B_WIDTH-1:0] product;"
    ram = text[text.index(f"module {name}_ram "):text.index("endmodule")] + "endmodule\n"
    if dsp_style:
        text = text.replace(product, f"    {DSP_STYLES[dsp_style]}\n{product}")
    for style in ram_styles:
        text += "\n" + ram.replace(f"module {name}_ram ", f"module {name}_ram_{style} ").replace(
            memory, f"    {RAM_STYLES[style]}\n{memory}")
    return text


class Technology:
    """Elaboration for Verilog: memories and multipliers become instances of the leaf modules.

    An object of this class is the ``platform`` of elaboration. Without a platform (Amaranth's simulator) the components
    are plain Amaranth. Subclasses override :meth:`ram`, :meth:`rom` and :meth:`multiplier`. `top` is the top module's
    name, the prefix of the leaves' names.
    """

    name = "generic"

    def __init__(self, top):
        self.top = top

    def ram(self, ram):
        """A memory, which is the leaf.

        Returns an elaboratable for `ram`, a :class:`~tiled_se.hdl.ram.Ram` without initial contents.
        """
        m = Module()
        m.submodules.leaf = Instance(
            f"{self.top}_ram", p_WIDTH=ram.width, p_DEPTH=ram.depth, p_ADDRESS=ram.address_bits, p_LATENCY=ram.latency,
            i_clk=ClockSignal(), i_we=ram.we, i_waddr=ram.waddr, i_wdata=ram.wdata,
            i_re=ram.re, i_raddr=ram.raddr, o_rdata=ram.rdata)
        return m

    def rom(self, rom):
        """A memory with constant contents.

        Returns an elaboratable for `rom`, a :class:`~tiled_se.hdl.rom.Rom`.
        """
        return rom.logic()

    def multiplier(self, multiplier):
        """A multiplier, which is the leaf.

        Returns an elaboratable for `multiplier`, a :class:`~tiled_se.hdl.multiplier.Multiplier`.
        """
        m = Module()
        a, b = multiplier.i_a, multiplier.i_b
        m.submodules.leaf = Instance(
            f"{self.top}_mul", p_A_WIDTH=len(a), p_B_WIDTH=len(b),
            p_A_SIGNED=int(a.shape().signed), p_B_SIGNED=int(b.shape().signed),
            i_clk=ClockSignal(), i_a=a, i_b=b, o_p=multiplier.o)
        return m
