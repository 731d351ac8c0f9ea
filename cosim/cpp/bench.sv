// SPDX-License-Identifier: Apache-2.0
// The block, with its streams driven by compiled code. One call at each rising edge passes the block's outputs in the
// cycle that ends, and returns its inputs for the next one. All inputs of the block are registers here, so this module
// needs no port but the clock.
//
// ports.svh, written for each block, has the macros BENCH, DUT and INSTANCE (names), IN_BITS and OUT_BITS (of tdata),
// STATUS_WIRES (declarations), STATUS_REPORT (calls of bench_status), and SELECT_PORT and SELECT_PIN: an input, constant in a run, or nothing.
`include "ports.svh"
`timescale 1ns / 1ps

module `BENCH (
    input bit clk
    `SELECT_PORT
);
  import "DPI-C" function int unsigned bench_edge(
    input int unsigned seen,
    input bit [`OUT_BITS-1:0] m_data,
    output bit [`IN_BITS-1:0] s_data,
    output int unsigned w_data
  );
  import "DPI-C" function void bench_status(
    input int unsigned port,
    input int unsigned value
  );

  // Watched from outside: rises when the script has ended.
  bit stopped  /* verilator public_flat_rd */;

  bit rst, s_axis_tvalid, s_axis_tlast, w_axis_tvalid, w_axis_tlast, m_axis_tready;
  bit [`IN_BITS-1:0] s_axis_tdata;
  bit [31:0] w_axis_tdata;
  // A block that is not loadable has no such port.
  wire w_axis_tready;
  wire s_axis_tready, m_axis_tvalid, m_axis_tlast;
  wire [`OUT_BITS-1:0] m_axis_tdata;
  `STATUS_WIRES

  `DUT `INSTANCE (.* `SELECT_PIN);

  bit [`IN_BITS-1:0] s_data;
  int unsigned w_data, drive;

  always @(posedge clk) begin
    drive = bench_edge({28'd0, w_axis_tready, m_axis_tlast, m_axis_tvalid, s_axis_tready}, m_axis_tdata, s_data, w_data);
    if (drive[7]) begin
      `STATUS_REPORT
    end
    {stopped, m_axis_tready, w_axis_tlast, w_axis_tvalid, s_axis_tlast, s_axis_tvalid, rst} <= drive[6:0];
    s_axis_tdata <= s_data;
    w_axis_tdata <= w_data;
  end
endmodule
