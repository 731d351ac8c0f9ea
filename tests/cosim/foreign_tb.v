// SPDX-License-Identifier: Apache-2.0
// A bench that knows nothing of the project: beats from a file, random pauses on both sides, X on everything that is idle.
// Plain Verilog-2001, so that any simulator takes it. The macros are set on the simulator's command line.
`timescale 1ns/1ps
module foreign_tb;
    localparam BITS = `BITS;
    localparam BEATS = `BEATS;
    localparam WORDS = `WORDS;
    reg clk = 0, rst = 1;
    always #5 clk = ~clk;

    reg [BITS:0] beats [0:BEATS-1];
    initial $readmemh(`BEATS_FILE, beats);
    integer seed = `SEED, pause_in = `PAUSE_IN, pause_out = `PAUSE_OUT;

    reg [BITS-1:0] s_data = {BITS{1'bx}};
    reg s_valid = 0, s_last = 1'bx, m_ready = 0;
    wire s_ready, m_valid, m_last;
    wire [BITS-1:0] m_data;
    wire frame_error;
    reg held = 0;
    reg [BITS:0] held_beat;
`ifdef LOADABLE
    reg [31:0] words [0:WORDS-1];
    initial $readmemh(`WORDS_FILE, words);
    integer word = 0;
    wire w_ready;
    wire w_valid = !rst && word < WORDS;
`endif

    `TOP dut (
        .clk(clk), .rst(rst),
        .s_axis_tdata(s_data), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready), .s_axis_tlast(s_last),
`ifdef LOADABLE
        .w_axis_tdata(w_valid ? words[word] : 32'bx), .w_axis_tvalid(w_valid), .w_axis_tready(w_ready),
        .w_axis_tlast(w_valid ? word == WORDS - 1 : 1'bx),
`endif
        .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready), .m_axis_tlast(m_last),
        .status_frame_error(frame_error));

    integer sent = 0, got = 0, idle = 0, out;
    initial out = $fopen(`OUT_FILE, "w");

    initial begin
        repeat (5) @(negedge clk);
        rst = 0;
    end

    // Signals change at the falling edge and are looked at just before the rising one.
    always @(negedge clk) if (!rst) begin
        if (!s_valid && sent < BEATS && $unsigned($random(seed)) % 100 >= pause_in) begin
            s_valid = 1;
            {s_last, s_data} = beats[sent];
        end
        m_ready = $unsigned($random(seed)) % 100 >= pause_out;
    end
    always @(posedge clk) if (!rst) begin
        if (m_valid === 1'bx || s_ready === 1'bx) begin
            $display("FAIL: X in the handshake at beat %0d", got);
            $finish;
        end
        if (held && (!m_valid || {m_last, m_data} !== held_beat)) begin
            $display("FAIL: output changed while it waited, at beat %0d", got);
            $finish;
        end
        held <= m_valid && !m_ready;
        held_beat <= {m_last, m_data};
        idle = idle + 1;
        if (m_valid && m_ready) begin
            $fwrite(out, "%h\n", {m_last, m_data});
            got = got + 1;
            idle = 0;
        end
        if (s_valid && s_ready) begin
            idle = 0;
            sent = sent + 1;
            s_valid <= #1 0;
            {s_last, s_data} <= #1 {BITS + 1{1'bx}};
        end
`ifdef LOADABLE
        if (w_valid && w_ready) begin
            idle = 0;
            word <= #1 word + 1;
        end
`endif
        // A while after the last beat, so that a beat too many would show.
        if (idle > `PATIENCE) begin
            $display("END: %0d beats, frame error %b", got, frame_error);
            $fclose(out);
            $finish;
        end
    end
endmodule
