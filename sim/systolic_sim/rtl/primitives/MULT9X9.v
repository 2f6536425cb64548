// Gowin: signed 9 x 9 bit multiplier with a register at the output and, both or none, at the inputs.
module MULT9X9 #(
    parameter [0:0] AREG = 1'b0, BREG = 1'b0, OUT_REG = 1'b0, PIPE_REG = 1'b0,
    parameter [0:0] ASIGN_REG = 1'b0, BSIGN_REG = 1'b0, SOA_REG = 1'b0,
    parameter MULT_RESET_MODE = "SYNC"
) (
    input         CLK, CE, RESET,
    input  [8:0]  A, B, SIA, SIB,
    input         ASIGN, BSIGN, ASEL, BSEL,
    output [17:0] DOUT
);
    reg signed [8:0] a_register, b_register;
    reg signed [17:0] product;
    wire signed [8:0] a = AREG ? a_register : A;
    wire signed [8:0] b = BREG ? b_register : B;
    assign DOUT = product;

    always @(posedge CLK)
        if (CE) begin
            a_register <= A;
            b_register <= B;
            product <= a * b;
        end

`ifndef SYNTHESIS
    initial if (AREG != BREG || !OUT_REG || PIPE_REG || ASIGN_REG || BSIGN_REG || SOA_REG || MULT_RESET_MODE != "SYNC")
        begin $display("MULT9X9: no model of these registers"); $stop; end
    always @(posedge CLK)
        if (RESET || ASEL || BSEL || !ASIGN || !BSIGN || SIA != 0 || SIB != 0)
            begin $display("MULT9X9: no model of these controls"); $stop; end
`endif
endmodule
