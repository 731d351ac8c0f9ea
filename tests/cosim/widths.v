// SPDX-License-Identifier: Apache-2.0
// Passes integers on, one register deep: LANES of IN bits each go in, in a beat of 8 * IN_BYTES bits, and come out as OUT
// bits each: the low ones, or with zeros above. FAULT inverts that bit of the third beat; -1 none.
module widths (
  input clk, input rst,
  input [8*`IN_BYTES-1:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready, input s_axis_tlast,
  output [8*`OUT_BYTES-1:0] m_axis_tdata, output m_axis_tvalid, input m_axis_tready, output m_axis_tlast,
  output [15:0] status_beats);
  localparam NARROW = `IN < `OUT ? `IN : `OUT;
  reg [15:0] count;
  reg [8*`OUT_BYTES-1:0] converted, data;
  reg valid, last;
  integer lane;
  assign s_axis_tready = !valid || m_axis_tready;
  assign {m_axis_tdata, m_axis_tvalid, m_axis_tlast} = {data, valid, last};
  assign status_beats = count;
  always @* begin
    converted = 0;
    for (lane = 0; lane < `LANES; lane = lane + 1) converted[lane*`OUT +: NARROW] = s_axis_tdata[lane*`IN +: NARROW];
    if (`FAULT >= 0 && count == 2) converted[`FAULT >= 0 ? `FAULT : 0] = !converted[`FAULT >= 0 ? `FAULT : 0];
  end
  always @(posedge clk) begin
    if (s_axis_tready) valid <= s_axis_tvalid;
    if (s_axis_tready && s_axis_tvalid) begin
      data <= converted;
      last <= s_axis_tlast;
      count <= count + 16'd1;
    end
    if (rst) begin
      valid <= 0;
      count <= 0;
    end
  end
endmodule
