// SPDX-License-Identifier: Apache-2.0
// Models of the two ECP5 primitives that yosys has none of, in the modes in which hdl/ecp5.py and yosys use them, from
// Lattice's memory and sysDSP usage guides (FPGA-TN-02204, FPGA-TN-02205). Pins are scalars, as in the vendor's library.
// What is not modelled is refused: a build that uses it doesn't simulate.

// True dual port: A writes, B reads; a word of 36 bits takes both ports' data pins (A's are the low half).
module DP16KD (
    input CLKA, CLKB, CEA, CEB, OCEA, OCEB, WEA, WEB, RSTA, RSTB, CSA0, CSA1, CSA2, CSB0, CSB1, CSB2,
    input ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8, ADA9, ADA10, ADA11, ADA12, ADA13,
    input ADB0, ADB1, ADB2, ADB3, ADB4, ADB5, ADB6, ADB7, ADB8, ADB9, ADB10, ADB11, ADB12, ADB13,
    input DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9, DIA10, DIA11, DIA12, DIA13, DIA14, DIA15, DIA16,
    input DIA17, DIB0, DIB1, DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8, DIB9, DIB10, DIB11, DIB12, DIB13, DIB14, DIB15,
    input DIB16, DIB17,
    output DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12, DOA13, DOA14, DOA15, DOA16,
    output DOA17, DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9, DOB10, DOB11, DOB12, DOB13, DOB14, DOB15,
    output DOB16, DOB17
);
    parameter DATA_WIDTH_A = 18;
    parameter DATA_WIDTH_B = 18;
    parameter REGMODE_A = "NOREG";
    parameter REGMODE_B = "NOREG";
    parameter RESETMODE = "SYNC";
    parameter WRITEMODE_A = "NORMAL";
    parameter WRITEMODE_B = "NORMAL";
    parameter GSR = "DISABLED";
    parameter [319:0] INITVAL_00 = 320'bx, INITVAL_01 = 320'bx, INITVAL_02 = 320'bx, INITVAL_03 = 320'bx;
    parameter [319:0] INITVAL_04 = 320'bx, INITVAL_05 = 320'bx, INITVAL_06 = 320'bx, INITVAL_07 = 320'bx;
    parameter [319:0] INITVAL_08 = 320'bx, INITVAL_09 = 320'bx, INITVAL_0A = 320'bx, INITVAL_0B = 320'bx;
    parameter [319:0] INITVAL_0C = 320'bx, INITVAL_0D = 320'bx, INITVAL_0E = 320'bx, INITVAL_0F = 320'bx;
    parameter [319:0] INITVAL_10 = 320'bx, INITVAL_11 = 320'bx, INITVAL_12 = 320'bx, INITVAL_13 = 320'bx;
    parameter [319:0] INITVAL_14 = 320'bx, INITVAL_15 = 320'bx, INITVAL_16 = 320'bx, INITVAL_17 = 320'bx;
    parameter [319:0] INITVAL_18 = 320'bx, INITVAL_19 = 320'bx, INITVAL_1A = 320'bx, INITVAL_1B = 320'bx;
    parameter [319:0] INITVAL_1C = 320'bx, INITVAL_1D = 320'bx, INITVAL_1E = 320'bx, INITVAL_1F = 320'bx;
    parameter [319:0] INITVAL_20 = 320'bx, INITVAL_21 = 320'bx, INITVAL_22 = 320'bx, INITVAL_23 = 320'bx;
    parameter [319:0] INITVAL_24 = 320'bx, INITVAL_25 = 320'bx, INITVAL_26 = 320'bx, INITVAL_27 = 320'bx;
    parameter [319:0] INITVAL_28 = 320'bx, INITVAL_29 = 320'bx, INITVAL_2A = 320'bx, INITVAL_2B = 320'bx;
    parameter [319:0] INITVAL_2C = 320'bx, INITVAL_2D = 320'bx, INITVAL_2E = 320'bx, INITVAL_2F = 320'bx;
    parameter [319:0] INITVAL_30 = 320'bx, INITVAL_31 = 320'bx, INITVAL_32 = 320'bx, INITVAL_33 = 320'bx;
    parameter [319:0] INITVAL_34 = 320'bx, INITVAL_35 = 320'bx, INITVAL_36 = 320'bx, INITVAL_37 = 320'bx;
    parameter [319:0] INITVAL_38 = 320'bx, INITVAL_39 = 320'bx, INITVAL_3A = 320'bx, INITVAL_3B = 320'bx;
    parameter [319:0] INITVAL_3C = 320'bx, INITVAL_3D = 320'bx, INITVAL_3E = 320'bx, INITVAL_3F = 320'bx;
    // The lowest address pins of wide words are byte enables.
    localparam LOW = DATA_WIDTH_A == 36 ? 5 : DATA_WIDTH_A == 18 ? 4 : DATA_WIDTH_A == 9 ? 3 : DATA_WIDTH_A == 4 ? 2
                   : DATA_WIDTH_A == 2 ? 1 : 0;
    localparam [3:0] BYTES = DATA_WIDTH_A == 36 ? 4'hf : DATA_WIDTH_A == 18 ? 4'h3 : 4'h0;

    wire [13:0] write = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] read = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
    wire [35:0] in = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3,
                      DIB2, DIB1, DIB0, DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6,
                      DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
    reg [DATA_WIDTH_A-1:0] memory [0:(16384 >> LOW)-1];
    reg [DATA_WIDTH_A-1:0] latched, out;

    initial begin
        if (DATA_WIDTH_A != DATA_WIDTH_B || REGMODE_A != "OUTREG" || REGMODE_B != "OUTREG" || RESETMODE != "SYNC"
            || WRITEMODE_A != "NORMAL" || WRITEMODE_B != "NORMAL") begin
            $display("DP16KD: a mode that is not modelled");
            $finish;
        end
    end
    // Of initial contents each 20 bits hold 18: two bytes of 9, of which words of 4 bits and less leave the ninth unused.
    localparam BYTE = DATA_WIDTH_A < 9 ? 8 : 9;
    localparam [20479:0] CONTENTS = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38,
        INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30,
        INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28,
        INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20,
        INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
        INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10,
        INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
        INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01, INITVAL_00
    };
    integer place;
    initial begin
        for (place = 0; place < 2048 * BYTE; place = place + 1)
            memory[place / DATA_WIDTH_A][place % DATA_WIDTH_A]
                = CONTENTS[place / BYTE / 2 * 20 + place / BYTE % 2 * 9 + place % BYTE];
    end
    // Ties of the real cell that the model relies on.
    wire tied = CEA & OCEA & OCEB & ~(WEB | RSTA | RSTB | CSA0 | CSA1 | CSA2 | CSB0 | CSB1 | CSB2)
              & ((write[3:0] & BYTES) == BYTES);
    always @(posedge CLKA) if (WEA && tied) memory[write >> LOW] <= in[DATA_WIDTH_A-1:0];
    always @(posedge CLKB) begin
        if (CEB) latched <= tied ? memory[read >> LOW] : {DATA_WIDTH_A{1'bx}};
        out <= latched;
    end
    // Narrow words come out of port B; of wide ones port A has the low half.
    wire [35:0] pins = DATA_WIDTH_A == 36 ? out : {out, 18'd0};
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1,
            DOB0, DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2,
            DOA1, DOA0} = pins;
endmodule

// With registers in front and behind, all at CLK0; or without any, as yosys makes wide multipliers of several.
module MULT18X18D (
    input A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17,
    input B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16, B17,
    input C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, C16, C17,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CLK1, CLK2, CLK3, CE0, CE1, CE2, CE3, RST0, RST1, RST2, RST3,
    output P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17, P18, P19, P20, P21, P22, P23,
    output P24, P25, P26, P27, P28, P29, P30, P31, P32, P33, P34, P35
);
    parameter REG_INPUTA_CLK = "NONE";
    parameter REG_INPUTB_CLK = "NONE";
    parameter REG_PIPELINE_CLK = "NONE";
    parameter REG_OUTPUT_CLK = "NONE";
    parameter SOURCEB_MODE = "B_SHIFT";
    parameter RESETMODE = "SYNC";
    parameter GSR = "ENABLED";
    wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    localparam REGISTERS = REG_INPUTA_CLK == "CLK0" && REG_INPUTB_CLK == "CLK0" && REG_OUTPUT_CLK == "CLK0";
    localparam BARE = REG_INPUTA_CLK == "NONE" && REG_INPUTB_CLK == "NONE" && REG_OUTPUT_CLK == "NONE";
    reg signed [18:0] a_in, b_in;
    reg signed [35:0] product;
    initial begin
        if (!(REGISTERS || BARE) || REG_PIPELINE_CLK != "NONE" || RESETMODE != "SYNC"
            || (REGISTERS && GSR != "DISABLED")) begin
            $display("MULT18X18D: a mode that is not modelled");
            $finish;
        end
    end
    wire tied = CE0 & ~(RST0 | SOURCEA | SOURCEB);
    wire signed [18:0] a_wide = {SIGNEDA & a[17], a}, b_wide = {SIGNEDB & b[17], b};
    wire signed [35:0] full = a_in * b_in, bare = a_wide * b_wide;
    always @(posedge CLK0) begin
        a_in <= a_wide;
        b_in <= b_wide;
        product <= tied ? full : 36'bx;
    end
    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14,
            P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = BARE ? bare : product;
endmodule
