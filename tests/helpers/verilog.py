# SPDX-License-Identifier: Apache-2.0
"""Verilog that tests build without the generator."""

__all__ = ["WIRE_THROUGH"]

WIRE_THROUGH = """
module wire_through(input clk, input rst, input [7:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready,
    input s_axis_tlast, output [7:0] m_axis_tdata, output m_axis_tvalid, input m_axis_tready, output m_axis_tlast);
  assign {m_axis_tdata, m_axis_tvalid, m_axis_tlast} = {s_axis_tdata, s_axis_tvalid, s_axis_tlast};
  assign s_axis_tready = m_axis_tready;
endmodule
"""
