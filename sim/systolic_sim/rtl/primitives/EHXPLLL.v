// ECP5: PLL with feedback from its first output.
module EHXPLLL #(
    parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 8, CLKOP_CPHASE = 0,
    parameter CLKOP_ENABLE = "ENABLED", FEEDBK_PATH = "CLKOP"
) (
    input  CLKI, CLKFB, RST, STDBY,
    output CLKOP, LOCK
);
    PLL_MODEL #(.SLOWER(CLKI_DIV), .FASTER(CLKFB_DIV)) pll (.i(CLKI), .enable(!RST && !STDBY), .o(CLKOP), .lock(LOCK));

`ifndef SYNTHESIS
    initial if (FEEDBK_PATH != "CLKOP" || CLKOP_ENABLE != "ENABLED") begin $display("EHXPLLL: no model of this mode"); $stop; end
`endif
endmodule
