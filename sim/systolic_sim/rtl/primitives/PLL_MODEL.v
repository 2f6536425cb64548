// What the models of PLLs share: a clock of the input's period times SLOWER / FASTER, and its lock. Times in nanoseconds:
// for benches with a time scale.
module PLL_MODEL #(
    parameter SLOWER = 1,
    parameter FASTER = 1
) (
    input      i, enable,
    output reg o, lock
);
    reg [3:0] edges = 0;
    realtime last = 0, half = 0;
    initial o = 0;
    initial lock = 0;

    always @(posedge i) begin
        half = ($realtime - last) * SLOWER / FASTER / 2;
        last = $realtime;
        if (edges != 15) edges <= edges + 1;
        lock <= edges == 15 && enable;
    end

    always begin
        wait (edges > 2);
        #(half) o = ~o;
    end
endmodule
