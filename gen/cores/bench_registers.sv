// SPDX-License-Identifier: Apache-2.0

%{constants}
  // What a driver does, over s_axil. Frames begin when it has found the block, and has loaded it if it is loadable.
  // The tasks are static: with automatic ones in the bench, Icarus Verilog 11 loses what the block's memories read.
  logic running = 0, ended = 0;
  logic [31:0] value;

  task write(input logic [11:0] address, input logic [31:0] data);
    s_axil_awaddr <= address;
    s_axil_awprot <= 0;
    s_axil_awvalid <= 1;
    s_axil_wdata <= data;
    s_axil_wstrb <= '1;
    s_axil_wvalid <= 1;
    do begin
      @(posedge clk);
      if (s_axil_awvalid && s_axil_awready) s_axil_awvalid <= 0;
      if (s_axil_wvalid && s_axil_wready) s_axil_wvalid <= 0;
    end while (!(s_axil_bvalid && s_axil_bready));
    if (s_axil_bresp !== 0) $fatal(1, "FAIL: the write of %h is answered by %b", address, s_axil_bresp);
  endtask

  task read(input logic [11:0] address);
    s_axil_araddr <= address;
    s_axil_arprot <= 0;
    s_axil_arvalid <= 1;
    do begin
      @(posedge clk);
      if (s_axil_arvalid && s_axil_arready) s_axil_arvalid <= 0;
    end while (!(s_axil_rvalid && s_axil_rready));
    if (s_axil_rresp !== 0) $fatal(1, "FAIL: the read of %h is answered by %b", address, s_axil_rresp);
    value = s_axil_rdata;
  endtask

  task check(input logic [11:0] address, input logic [31:0] expected, input string name);
    read(address);
    if (value !== expected) $fatal(1, "FAIL: %s is %h, not %h", name, value, expected);
  endtask

  task wait_for(input logic [31:0] bits);
    for (int tries = 0; tries == 0 || (value & bits) !== bits; tries++) begin
      if (tries == PATIENCE) $fatal(1, "FAIL: STATUS is %h, and lacks %h", value, bits);
      read(STATUS);
    end
  endtask

  always begin
    @(negedge rst);
    @(posedge clk);
%{identify}%{load}    running <= 1;
    @(posedge ended);
    check(STATUS, %{loaded}, "STATUS");
    read(PEAK);
    if (value == 0 || value !== 32'(status_peak_words)) $fatal(1, "FAIL: PEAK is %0d", value);
    $display("PASS: %{name}, %0d frames of %0d beats", FRAMES, BEATS);
    $finish;
  end
