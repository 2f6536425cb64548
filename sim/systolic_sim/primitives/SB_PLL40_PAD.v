// iCE40: PLL of a clock pin, simple feedback. Times in nanoseconds: for benches with a time scale.
module SB_PLL40_PAD #(
    parameter FEEDBACK_PATH = "SIMPLE",
    parameter [3:0] DIVR = 4'd0,
    parameter [6:0] DIVF = 7'd0,
    parameter [2:0] DIVQ = 3'd0,
    parameter [2:0] FILTER_RANGE = 3'd0
) (
    input      PACKAGEPIN, RESETB, BYPASS,
    output     PLLOUTGLOBAL,
    output reg LOCK
);
    reg clk = 0;
    reg [3:0] edges = 0;
    realtime last = 0, half = 0;
    assign PLLOUTGLOBAL = clk;
    initial LOCK = 0;

    always @(posedge PACKAGEPIN) begin
        half = ($realtime - last) * (DIVR + 1) * (1 << DIVQ) / (DIVF + 1) / 2;
        last = $realtime;
        if (edges != 15) edges <= edges + 1;
        LOCK <= edges == 15 && RESETB;
    end

    always begin
        wait (edges > 2);
        #(half) clk = ~clk;
    end

`ifndef SYNTHESIS
    initial if (FEEDBACK_PATH != "SIMPLE" || BYPASS) begin $display("SB_PLL40_PAD: no model of this mode"); $stop; end
`endif
endmodule
