// iCE40 UP5K: two signed 8 x 8 bit multipliers, registered at the inputs and behind the multipliers.
module SB_MAC16 #(
    parameter [0:0] MODE_8x8 = 1'b0, A_SIGNED = 1'b0, B_SIGNED = 1'b0, A_REG = 1'b0, B_REG = 1'b0,
    parameter [0:0] TOP_8x8_MULT_REG = 1'b0, BOT_8x8_MULT_REG = 1'b0,
    parameter [1:0] TOPOUTPUT_SELECT = 2'b00, BOTOUTPUT_SELECT = 2'b00
) (
    input         CLK, CE,
    input  [15:0] C, A, B, D,
    input         AHOLD, BHOLD, CHOLD, DHOLD, IRSTTOP, IRSTBOT, ORSTTOP, ORSTBOT, OLOADTOP, OLOADBOT,
    input         ADDSUBTOP, ADDSUBBOT, OHOLDTOP, OHOLDBOT, CI, ACCUMCI, SIGNEXTIN,
    output [31:0] O
);
    reg signed [7:0] a_top, a_bottom, b_top, b_bottom;
    reg signed [15:0] top, bottom;
    assign O = {top, bottom};

    always @(posedge CLK)
        if (CE) begin
            {a_top, a_bottom} <= A;
            {b_top, b_bottom} <= B;
            top <= a_top * b_top;
            bottom <= a_bottom * b_bottom;
        end

`ifndef SYNTHESIS
    initial if (!MODE_8x8 || !A_SIGNED || !B_SIGNED || !A_REG || !B_REG || !TOP_8x8_MULT_REG || !BOT_8x8_MULT_REG
                || TOPOUTPUT_SELECT != 2 || BOTOUTPUT_SELECT != 2) begin $display("SB_MAC16: no model of this mode"); $stop; end
    always @(posedge CLK)
        if (AHOLD || BHOLD || IRSTTOP || IRSTBOT || ORSTTOP || ORSTBOT) begin $display("SB_MAC16: no model of these controls"); $stop; end
`endif
endmodule
