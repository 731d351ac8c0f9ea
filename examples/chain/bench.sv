// SPDX-License-Identifier: Apache-2.0
// Sends frames.hex and compares what comes out with expected.hex. Both sides pause at random.
module bench;
    logic clk, rst;
    initial begin
        clk = 0;
        forever #5 clk = !clk;
    end
    initial begin
        rst = 1;
        #32 rst = 0;
    end

    logic [sizes::BITS-1:0] s_axis_tdata, m_axis_tdata;
    logic s_axis_tvalid, s_axis_tlast, s_axis_tready, m_axis_tvalid, m_axis_tlast, m_axis_tready, loaded;
    logic [1:0] load_failed, frame_error;
    chain dut (.*);

    int frames, outputs, sent, received, idle;
    logic [sizes::BITS:0] beat, expected;
    initial begin
        frames = $fopen("frames.hex", "r");
        outputs = $fopen("expected.hex", "r");
    end

    always @(posedge clk) begin
        m_axis_tready <= $urandom % 4 != 0;
        idle <= rst || s_axis_tvalid && s_axis_tready || m_axis_tvalid && m_axis_tready ? 0 : idle + 1;
        if (rst || !s_axis_tvalid || s_axis_tready) begin
            s_axis_tvalid <= 0;
            if (!rst && $urandom % 4 != 0)
                if ($fscanf(frames, "%h", beat) == 1) begin
                    {s_axis_tlast, s_axis_tdata, s_axis_tvalid} <= {beat, 1'b1};
                    sent <= sent + 1;
                end
        end
        if (!rst && m_axis_tvalid && m_axis_tready) begin
            received <= received + 1;
            if ($fscanf(outputs, "%h", expected) != 1) $fatal(1, "beat %0d is one too many", received);
            if ({m_axis_tlast, m_axis_tdata} !== expected)
                $fatal(1, "beat %0d is %h, expected %h", received, {m_axis_tlast, m_axis_tdata}, expected);
        end
        if (load_failed != 0) $fatal(1, "parameters refused: strips %b, causal %b", load_failed[0], load_failed[1]);
        if (frame_error != 0) $fatal(1, "a frame ends within a row");
        if (!rst && s_axis_tready && !loaded) $fatal(1, "a frame is taken before the parameters");
        if (idle == 1000) begin  // a beat too many would have come
            if (sent == 0 || received != sent || $fscanf(outputs, "%h", expected) == 1)
                $fatal(1, "loaded %b, %0d beats sent, %0d received, more expected", loaded, sent, received);
            $display("%0d beats, all as expected", received);
            $finish;
        end
        if (rst) {sent, received} <= 0;
    end
endmodule
