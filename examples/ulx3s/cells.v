// SPDX-License-Identifier: Apache-2.0
// Models of the ECP5 primitives that Amaranth puts at the pins, for simulation. Block RAM and multiplier have theirs in
// verify/simulators/ecp5_cells.v.

module IB (input I, output O);
    assign O = I;
endmodule

module OBZ (input I, input T, output O);
    assign O = T ? 1'bz : I;
endmodule

// The registers of the design have their initial values from the bitstream: the global reset adds nothing to that.
module FD1S3AX #(parameter GSR = "ENABLED") (input CK, input D, output reg Q);
    initial Q = 0;
    always @(posedge CK) Q <= D;
endmodule

module SGSR (input CLK, input GSR);
endmodule
