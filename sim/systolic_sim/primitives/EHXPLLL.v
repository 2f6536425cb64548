// ECP5: PLL with feedback from its first output. Times in nanoseconds: for benches with a time scale.
module EHXPLLL #(
    parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 8, CLKOP_CPHASE = 0,
    parameter CLKOP_ENABLE = "ENABLED", FEEDBK_PATH = "CLKOP"
) (
    input      CLKI, CLKFB, RST, STDBY,
    output     CLKOP,
    output reg LOCK
);
    reg clk = 0;
    reg [3:0] edges = 0;
    realtime last = 0, half = 0;
    assign CLKOP = clk;
    initial LOCK = 0;

    always @(posedge CLKI) begin
        half = ($realtime - last) * CLKI_DIV / CLKFB_DIV / 2;
        last = $realtime;
        if (edges != 15) edges <= edges + 1;
        LOCK <= edges == 15 && !RST && !STDBY;
    end

    always begin
        wait (edges > 2);
        #(half) clk = ~clk;
    end

`ifndef SYNTHESIS
    initial if (FEEDBK_PATH != "CLKOP" || CLKOP_ENABLE != "ENABLED") begin $display("EHXPLLL: no model of this mode"); $stop; end
`endif
endmodule
