// SPDX-License-Identifier: Apache-2.0
// Sends a parameter file from a ROM to a block's w_axis, once after reset.
module loader #(
    parameter int WORDS = 2,  // of 32 bits, 2 at least: parameters.stream_words of the block's manifest.json
    parameter FILE = "block.params.hex"
) (
    input  logic        clk, rst,
    output logic [31:0] w_axis_tdata,
    output logic        w_axis_tvalid, w_axis_tlast,
    input  logic        w_axis_tready,
    input  logic        status_loaded, status_load_error,  // of the block
    output logic        loaded, failed                     // until reset
);
    typedef enum logic [2:0] {READ, SEND, CHECK, LOADED, FAILED} state_t;
    localparam int BITS = $clog2(WORDS);
    localparam logic [BITS-1:0] LAST = BITS'(WORDS - 1);

    logic [31:0] rom [0:WORDS-1];
    initial $readmemh(FILE, rom);

    state_t state;
    logic [BITS-1:0] address;

    assign w_axis_tvalid = state == SEND;
    assign w_axis_tlast = address == LAST;
    assign loaded = state == LOADED;
    assign failed = state == FAILED;

    always_ff @(posedge clk) begin
        w_axis_tdata <= rom[address];
        case (state)
            READ: state <= SEND;
            SEND: if (w_axis_tready) begin
                state <= w_axis_tlast ? CHECK : READ;
                if (!w_axis_tlast) address <= address + 1'b1;
            end
            // The block has taken the last word, and tells a few cycles later what it thinks of the stream.
            CHECK: if (status_load_error) state <= FAILED;
                   else if (status_loaded) state <= LOADED;
            default: ;
        endcase
        if (rst) begin
            state <= READ;
            address <= '0;
        end
    end
endmodule
