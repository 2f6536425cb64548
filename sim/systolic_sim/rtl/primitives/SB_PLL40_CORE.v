// iCE40: PLL of a clock from the fabric, simple feedback.
module SB_PLL40_CORE #(
    parameter FEEDBACK_PATH = "SIMPLE",
    parameter [3:0] DIVR = 4'd0,
    parameter [6:0] DIVF = 7'd0,
    parameter [2:0] DIVQ = 3'd0,
    parameter [2:0] FILTER_RANGE = 3'd0
) (
    input  REFERENCECLK, RESETB, BYPASS,
    output PLLOUTGLOBAL, LOCK
);
    PLL_MODEL #(.SLOWER((DIVR + 1) * (1 << DIVQ)), .FASTER(DIVF + 1)) pll (
        .i(REFERENCECLK), .enable(RESETB), .o(PLLOUTGLOBAL), .lock(LOCK));

`ifndef SYNTHESIS
    initial if (FEEDBACK_PATH != "SIMPLE" || BYPASS) begin $display("SB_PLL40_CORE: no model of this mode"); $stop; end
`endif
endmodule
