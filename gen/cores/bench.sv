// SPDX-License-Identifier: Apache-2.0
// To run it where the files are, by Verilator or by Icarus Verilog:
//   $ verilator --binary --timing -CFLAGS -std=c++20 --top-module %{name}_tb %{name}.v %{name}_tb.sv
//   $ obj_dir/V%{name}_tb
//
//   $ iverilog -g2012 -o bench -s %{name}_tb %{name}.v %{name}_tb.sv
//   $ vvp bench
// It ends with a line PASS, or with $fatal and another exit status than 0.
module %{name}_tb #(
  parameter X_FILE = "%{name}.x.hex",  // a beat a line
  parameter Y_FILE = "%{name}.y.hex",
%{words_file}  parameter int FRAMES = 2  // the same frame again and again, back to back
);
  localparam int BEATS = %{beats};
  // Nothing may move for as long as the block computes gates.
  localparam int PATIENCE = %{patience};

  logic [%{x_high}:0] x [0:BEATS-1];
  logic [%{y_high}:0] y [0:BEATS-1];
  logic clk = 0, rst = 1;
  logic [3:0] resetting = '1;
%{signals}
%{instance}
  // The bits of a linear feedback shift register: each stream pauses in a quarter of the cycles.
  logic [31:0] pauses = 32'h1;
  logic waiting = 0, last = 0;
  logic [%{y_high}:0] shown = 0;
  int sent = 0, received = 0, idle = 0;
%{load_state}
  initial begin
    $readmemh(X_FILE, x);
    $readmemh(Y_FILE, y);
%{load_read}  end

%{software}  always #5 clk = ~clk;
  always @(posedge clk) begin
    resetting <= resetting << 1;
    rst <= resetting[3];
  end

  // What the block must keep to, looked at before each rising edge has an effect.
  always @(posedge clk) if (!rst) begin
    if (^{s_axis_tready, m_axis_tvalid%{known}} === 1'bx) $fatal(1, "FAIL: a handshake is unknown");
    if (waiting && !(m_axis_tvalid && m_axis_tdata === shown && m_axis_tlast === last))
      $fatal(1, "FAIL: output beat %0d has changed while it waited", received);
    waiting <= m_axis_tvalid && !m_axis_tready;
    shown <= m_axis_tdata;
    last <= m_axis_tlast;
    if (m_axis_tvalid && m_axis_tready) begin
      if (received == FRAMES * BEATS) $fatal(1, "FAIL: more beats come out than go in");
      if (m_axis_tdata !== y[received % BEATS])
        $fatal(1, "FAIL: output beat %0d is %h, not %h", received, m_axis_tdata, y[received % BEATS]);
      if (m_axis_tlast !== (received % BEATS == BEATS - 1)) $fatal(1, "FAIL: tlast of output beat %0d", received);
      received <= received + 1;
    end
    if (status_frame_error !== 0) $fatal(1, "FAIL: status_frame_error");
%{load_check}    idle <= (s_axis_tvalid && s_axis_tready) || (m_axis_tvalid && m_axis_tready)%{load_moves} ? 0 : idle + 1;
    if (idle == PATIENCE) begin
      // As long again after the last beat: one too many would have come.
      if (received != FRAMES * BEATS) $fatal(1, "FAIL: only %0d of %0d beats came out", received, FRAMES * BEATS);
%{at_end}    end
  end

  // What the bench drives.
  always @(posedge clk) if (!rst) begin
    pauses <= {pauses[30:0], pauses[31] ^ pauses[21] ^ pauses[1] ^ pauses[0]};
    m_axis_tready <= pauses[3:2] != 0;
    if (%{may_send}(!s_axis_tvalid || s_axis_tready)) begin
      if (sent < FRAMES * BEATS && pauses[8:7] != 0) begin
        s_axis_tvalid <= 1;
        s_axis_tdata <= x[sent % BEATS];
        s_axis_tlast <= sent % BEATS == BEATS - 1;
        sent <= sent + 1;
      end else begin
        s_axis_tvalid <= 0;
        s_axis_tdata <= 'x;
        s_axis_tlast <= 'x;
      end
    end
%{load_drive}  end
endmodule
