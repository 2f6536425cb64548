// Lattice Nexus: oscillator of 450 MHz, divided by one more than HF_CLK_DIV, a decimal text, says. Times in nanoseconds:
// for benches with a time scale.
module OSCA #(
    parameter [15:0] HF_CLK_DIV = "1",
    parameter HF_OSC_EN = "ENABLED"
) (
    input  HFOUTEN, HFSDSCEN,
    output HFCLKOUT
);
    localparam TENS = HF_CLK_DIV[15:8] == 0 ? 0 : HF_CLK_DIV[15:8] - "0";
    localparam real HALF = (10 * TENS + (HF_CLK_DIV[7:0] - "0") + 1) / 0.9;
    reg clk = 0;
    assign HFCLKOUT = clk & HFOUTEN;
    always #(HALF) clk = ~clk;

`ifndef SYNTHESIS
    initial if (HF_OSC_EN != "ENABLED") begin $display("OSCA: no model of this mode"); $stop; end
`endif
endmodule
