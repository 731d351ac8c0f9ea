// SPDX-License-Identifier: Apache-2.0
// Passes its input on through a FIFO of 16 beats, and does one thing wrong: the lowest byte of the first beat after a
// reset says which. Beats are counted from 0; "late" is from beat 20 on.
module \faulty.tap (input clk, input rst, input moves, input [15:0] number, input [7:0] in, input wrong);
  reg valid;
  reg [2:0] index;
  reg signed [8:0] data;
  always @(posedge clk) begin
    valid <= moves & !rst;
    index <= number[2:0];
    data <= -$signed({1'b0, in}) - wrong;
  end
endmodule

module faulty (
  input clk, input rst,
  input [15:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready, input s_axis_tlast,
  output [15:0] m_axis_tdata, output m_axis_tvalid, input m_axis_tready, output m_axis_tlast,
  input [31:0] w_axis_tdata, input w_axis_tvalid, output w_axis_tready, input w_axis_tlast,
  output status_loaded, output [15:0] status_peak_words);
  // Bits of a beat.
  localparam W = 16;
  reg [W:0] memory [0:15];
  reg [31:0] in_count, out_count;
  reg [15:0] in_frames, out_frames, stored, taken, idle, peak;
  reg [7:0] fault;
  reg stalled, loaded, repeated;
  wire [15:0] level = stored - taken;
  wire [W:0] head = memory[taken[3:0]];
  wire late = out_count >= 20;
  // A simulation that the design ends by itself.
  always @(posedge clk) if (fault == 18 && in_count == 20) $finish;
  wire in_moves = s_axis_tvalid & s_axis_tready;
  wire out_moves = m_axis_tvalid & m_axis_tready;
  wire [7:0] now = in_count == 0 ? s_axis_tdata[7:0] : fault;

  assign s_axis_tready = level < 16 && loaded && !(fault == 8 && in_count >= 20);
  assign w_axis_tready = 1;
  assign status_loaded = loaded;
  assign status_peak_words = peak;
  assign m_axis_tvalid = fault == 15 && late ? 1'bx : (level != 0 && !(fault == 7 && late && stalled) && !(fault == 11 && late))
                         || (fault == 10 && idle > 50) || (fault == 12 && in_count >= 20 && level == 0);
  assign m_axis_tlast = fault == 5 && out_count == 20 ? 1'b1 : fault == 6 ? 1'b0
                      : fault == 16 && late ? head[W] ^ stalled : head[W];
  assign m_axis_tdata = fault == 3 && out_count == 20 ? {head[W-9:0], head[W-1:W-8]}
                      : fault == 4 && late ? head[W-1:0] ^ {{W-1{1'b0}}, stalled}
                      : fault == 17 && late ? head[W-1:0] ^ {stalled, {W-1{1'b0}}}
                      : fault == 9 && out_frames == 1 && head[W] ? head[W-1:0] ^ {8'd1, {W-8{1'b0}}}
                      : fault == 14 && out_count == 20 ? {W{1'bx}}
                      : fault == 13 && out_count == 20 ? head[W-1:0] ^ 1'b1 : head[W-1:0];

  always @(posedge clk) begin
    stalled <= m_axis_tvalid & !m_axis_tready;
    idle <= out_frames == 2 ? idle + 16'd1 : 16'd0;
    if (level > peak) peak <= level;
    if (w_axis_tvalid && w_axis_tlast) loaded <= 1;
    if (in_moves) begin
      fault <= now;
      in_count <= in_count + 32'd1;
      if (!(fault == 1 && in_count == 20)) begin
        memory[stored[3:0]] <= {s_axis_tlast, s_axis_tdata};
        stored <= stored + 16'd1;
      end
    end
    if (out_moves) begin
      out_count <= out_count + 32'd1;
      out_frames <= out_frames + {15'd0, m_axis_tlast};
      repeated <= fault == 2 && late;
      if (!(fault == 2 && late && !repeated)) taken <= taken + 16'd1;
    end
    if (rst) begin
      {in_count, in_frames, out_count, out_frames, stored, taken, idle, peak} <= 0;
      {fault, stalled, loaded, repeated} <= 0;
    end
  end

  \faulty.tap tap (.clk(clk), .rst(rst), .moves(in_moves), .number(in_count[15:0]), .in(s_axis_tdata[7:0]),
                   .wrong(fault == 13 && in_count == 20));
endmodule
