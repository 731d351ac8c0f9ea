// SPDX-License-Identifier: Apache-2.0
// Two blocks, one after the other, each with its loader. Frames wait until both blocks have their parameters.
module chain #(
    parameter STRIPS_FILE = "strips/strips.params.hex",
    parameter CAUSAL_FILE = "causal/causal.params.hex"
) (
    input  logic                   clk, rst,
    input  logic [sizes::BITS-1:0] s_axis_tdata,
    input  logic                   s_axis_tvalid, s_axis_tlast,
    output logic                   s_axis_tready,
    output logic [sizes::BITS-1:0] m_axis_tdata,
    output logic                   m_axis_tvalid, m_axis_tlast,
    input  logic                   m_axis_tready,
    output logic                   loaded,       // frames are taken
    output logic [1:0]             load_failed,  // until reset: a block has refused its parameters; bit 0 is strips
    output logic [1:0]             frame_error   // until reset: tlast came off a row's end; the same bits
);
    logic [31:0] strips_w_tdata, causal_w_tdata;
    logic [1:0] w_tvalid, w_tready, w_tlast, block_loaded, block_refused, ready;
    logic [sizes::BITS-1:0] between_tdata;
    logic between_tvalid, between_tready, between_tlast, strips_tready;

    assign loaded = &ready;
    assign s_axis_tready = strips_tready && loaded;

    loader #(.WORDS(sizes::STRIPS_WORDS), .FILE(STRIPS_FILE)) strips_loader (
        .clk, .rst, .w_axis_tdata(strips_w_tdata), .w_axis_tvalid(w_tvalid[0]), .w_axis_tready(w_tready[0]),
        .w_axis_tlast(w_tlast[0]), .status_loaded(block_loaded[0]), .status_load_error(block_refused[0]),
        .loaded(ready[0]), .failed(load_failed[0]));

    loader #(.WORDS(sizes::CAUSAL_WORDS), .FILE(CAUSAL_FILE)) causal_loader (
        .clk, .rst, .w_axis_tdata(causal_w_tdata), .w_axis_tvalid(w_tvalid[1]), .w_axis_tready(w_tready[1]),
        .w_axis_tlast(w_tlast[1]), .status_loaded(block_loaded[1]), .status_load_error(block_refused[1]),
        .loaded(ready[1]), .failed(load_failed[1]));

    // The blocks' high-water marks are left open.
    // verilator lint_off PINCONNECTEMPTY
    strips strips (
        .clk, .rst, .s_axis_tdata, .s_axis_tvalid(s_axis_tvalid && loaded), .s_axis_tready(strips_tready),
        .s_axis_tlast,
        .m_axis_tdata(between_tdata), .m_axis_tvalid(between_tvalid), .m_axis_tready(between_tready),
        .m_axis_tlast(between_tlast),
        .w_axis_tdata(strips_w_tdata), .w_axis_tvalid(w_tvalid[0]), .w_axis_tready(w_tready[0]),
        .w_axis_tlast(w_tlast[0]), .status_loaded(block_loaded[0]), .status_load_error(block_refused[0]),
        .status_frame_error(frame_error[0]), .status_peak_words());

    causal causal (
        .clk, .rst, .s_axis_tdata(between_tdata), .s_axis_tvalid(between_tvalid), .s_axis_tready(between_tready),
        .s_axis_tlast(between_tlast),
        .m_axis_tdata, .m_axis_tvalid, .m_axis_tready, .m_axis_tlast,
        .w_axis_tdata(causal_w_tdata), .w_axis_tvalid(w_tvalid[1]), .w_axis_tready(w_tready[1]),
        .w_axis_tlast(w_tlast[1]), .status_loaded(block_loaded[1]), .status_load_error(block_refused[1]),
        .status_frame_error(frame_error[1]), .status_peak_words());
    // verilator lint_on PINCONNECTEMPTY
endmodule
