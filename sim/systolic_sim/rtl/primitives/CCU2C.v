// ECP5: two bits of a carry chain. Where the LUT of a half does not propagate the carry, it generates the value of
// its lowest four bits at (A, B).
module CCU2C #(
    parameter [15:0] INIT0 = 16'h0000,
    parameter [15:0] INIT1 = 16'h0000,
    parameter INJECT1_0 = "YES",
    parameter INJECT1_1 = "YES"
) (
    input  CIN,
    input  A0, B0, C0, D0,
    input  A1, B1, C1, D1,
    output S0, S1, COUT
);
    wire propagate0 = INIT0[{D0, C0, B0, A0}];
    wire propagate1 = INIT1[{D1, C1, B1, A1}];
    wire generate0 = INIT0[{2'b00, B0, A0}];
    wire generate1 = INIT1[{2'b00, B1, A1}];
    wire carry = propagate0 ? CIN : generate0;
    assign S0 = propagate0 ^ CIN;
    assign S1 = propagate1 ^ carry;
    assign COUT = propagate1 ? carry : generate1;

`ifndef SYNTHESIS
    initial if (INJECT1_0 != "NO" || INJECT1_1 != "NO") begin $display("CCU2C: no model of INJECT1 = YES"); $stop; end
`endif
endmodule
