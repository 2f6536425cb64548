// ECP5: block RAM of 512 x 36 bits, or of up to 9 bits, written on port A and read on port B, through the output registers
// or without them. 36 bits are written in parts of 9.
module DP16KD #(
    parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", GSR = "ENABLED",
    parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000", CLKAMUX = "CLKA", CLKBMUX = "CLKB"
) (
    input  DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9, DIA10, DIA11, DIA12, DIA13, DIA14, DIA15, DIA16, DIA17,
    input  DIB0, DIB1, DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8, DIB9, DIB10, DIB11, DIB12, DIB13, DIB14, DIB15, DIB16, DIB17,
    input  ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8, ADA9, ADA10, ADA11, ADA12, ADA13,
    input  ADB0, ADB1, ADB2, ADB3, ADB4, ADB5, ADB6, ADB7, ADB8, ADB9, ADB10, ADB11, ADB12, ADB13,
    input  CLKA, CEA, OCEA, WEA, RSTA, CSA0, CSA1, CSA2, CLKB, CEB, OCEB, WEB, RSTB, CSB0, CSB1, CSB2,
    output DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12, DOA13, DOA14, DOA15, DOA16, DOA17,
    output DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9, DOB10, DOB11, DOB12, DOB13, DOB14, DOB15, DOB16, DOB17
);
    localparam WIDE = DATA_WIDTH_A == 36;
    localparam SHIFT = WIDE ? 5 : DATA_WIDTH_A == 9 ? 3 : DATA_WIDTH_A == 4 ? 2 : DATA_WIDTH_A == 2 ? 1 : 0;
    reg [DATA_WIDTH_A-1:0] memory [0:(1<<14-SHIFT)-1];
    reg [DATA_WIDTH_A-1:0] data, o;
    wire [DATA_WIDTH_A-1:0] read = REGMODE_A == "OUTREG" ? o : data;
    wire [35:0] shown = WIDE ? read : {read, 18'd0};
    wire [13:0] write_address = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] read_address = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0, DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} = shown;

    wire [35:0] written = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
                           DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
    integer part;
    always @(posedge CLKA)
        for (part = 0; part < (WIDE ? 4 : 1); part = part + 1)
            if (CEA && WEA && (!WIDE || write_address[part]))
                memory[write_address[13:SHIFT]][(WIDE ? 9 : DATA_WIDTH_A)*part+:WIDE ? 9 : DATA_WIDTH_A]
                    <= written[(WIDE ? 9 : DATA_WIDTH_A)*part+:WIDE ? 9 : DATA_WIDTH_A];
    always @(posedge CLKB) begin
        if (CEB) data <= memory[read_address[13:SHIFT]];
        if (OCEB) o <= data;
    end

`ifndef SYNTHESIS
    initial if ((DATA_WIDTH_A != 36 && DATA_WIDTH_A != 9 && DATA_WIDTH_A != 4 && DATA_WIDTH_A != 2 && DATA_WIDTH_A != 1)
                || DATA_WIDTH_B != DATA_WIDTH_A || REGMODE_B != REGMODE_A || CSDECODE_A != "0b000"
                || CSDECODE_B != "0b000" || CLKAMUX != "CLKA" || CLKBMUX != "CLKB")
        begin $display("DP16KD: no model of this mode"); $stop; end
    always @(posedge CLKA)
        if (WEB || CSA0 || CSA1 || CSA2 || CSB0 || CSB1 || CSB2 || RSTA || RSTB)
            begin $display("DP16KD: no model of these controls"); $stop; end
`endif
endmodule
