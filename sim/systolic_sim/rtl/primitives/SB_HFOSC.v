// iCE40 UP5K: oscillator of 48 MHz, halved as often as CLKHF_DIV says. Times in nanoseconds: for benches with a time
// scale.
module SB_HFOSC #(
    parameter CLKHF_DIV = "0b00"
) (
    input  CLKHFEN, CLKHFPU,
    output CLKHF
);
    localparam real HALF = CLKHF_DIV == "0b00" ? 10.417 : CLKHF_DIV == "0b01" ? 20.833
                         : CLKHF_DIV == "0b10" ? 41.667 : 83.333;
    reg clk = 0;
    assign CLKHF = clk & CLKHFEN & CLKHFPU;
    always #(HALF) clk = ~clk;
endmodule
