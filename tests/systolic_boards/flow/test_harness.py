"""The out-of-context harness: what it does, and what it refuses."""

import random
import subprocess

import pytest

from systolic_boards.flow.harness import Port, harness
from systolic_boards.flow.synthesis import read_ports
from systolic_sim.rtl import toolchain

DESIGN = """
module unit(input clk, input rst, input [4:0] a, input signed [6:0] b, output reg [8:0] s, output p);
  always @(posedge clk) s <= rst ? 0 : $signed({1'b0, a}) + b;
  assign p = ^a;
endmodule
"""
PORTS = [Port("clk", "input", 1), Port("rst", "input", 1), Port("a", "input", 5), Port("b", "input", 7),
         Port("s", "output", 9), Port("p", "output", 1)]

BENCH = """
module bench;
  reg clk = 0, si;
  wire so;
  reg [0:199] bits = 200'b{bits};
  integer k;
  harness harness(clk, si, so);
  initial for (k = 0; k < 200; k = k + 1) begin
    si = bits[k]; #1 clk = 1; #1 clk = 0; $write("%b", so);
  end
endmodule
"""


def test_ports_are_read_from_verilog_and_rtlil():
    assert sorted(read_ports({"design.v": DESIGN}, "unit"), key=str) == sorted(PORTS, key=str)
    rtlil = "module \\m\n  wire width 3 input 1 \\i\n  wire output 2 \\o\n  connect \\o \\i [0]\nend\n"
    assert read_ports({"design.il": rtlil}, "m") == [Port("i", "input", 3), Port("o", "output", 1)]
    with pytest.raises(toolchain.ToolError, match="there is no module other, only unit"):
        read_ports({"design.v": DESIGN}, "other")
    with pytest.raises(toolchain.ToolError, match="pyosys: .*syntax error"):
        read_ports({"design.v": "module ;"}, "unit")


def test_text_is_clean():
    assert not toolchain.lint(DESIGN + harness("unit", PORTS), "harness", "UNUSEDSIGNAL", "DECLFILENAME",
                              "WIDTHEXPAND")


def model(bits):
    """What comes out of ``so``, from the description: ``None`` until everything has been written once."""
    depth, outputs = 13, []
    shift, capture, s, q = [0] * depth, [0] * depth, 0, [0] * 10
    tree = [[0] * 3, [0]]
    for bit in bits:
        number = sum(value << k for k, value in enumerate(capture))
        rst, a, b = number & 1, number >> 1 & 31, number >> 6 & 127
        o = [s >> k & 1 for k in range(9)] + [a.bit_count() & 1]
        tree = [[sum(q[k:k + 4]) & 1 for k in range(0, 10, 4)], [sum(tree[0]) & 1]]
        q = o
        s = 0 if rst else (a + b - (b >> 6 << 7)) & 511
        shift, capture = [bit, *shift[:-1]], [1 - value for value in shift]
        outputs.append(tree[1][0])
    return outputs


@pytest.mark.needs("icarus")
def test_behaviour(tmp_path):
    bits = random.Random(1).choices((0, 1), k=200)
    text = DESIGN + harness("unit", PORTS) + BENCH.format(bits="".join(map(str, bits)))
    (tmp_path / "bench.v").write_text(text)
    subprocess.run(["iverilog", "-g2005", "-o", "bench.vvp", "bench.v"], cwd=tmp_path, check=True)
    printed = subprocess.run(["vvp", "-n", "bench.vvp"], cwd=tmp_path, check=True, capture_output=True, text=True)
    fill = 20
    assert printed.stdout[fill:200] == "".join(map(str, model(bits)))[fill:]


@pytest.mark.parametrize("ports, message", [
    (PORTS[1:], "module unit has no input clk"),
    (PORTS[:1] + PORTS[4:], "needs an input beside clk and an output"),
    (PORTS[:4], "needs an input beside clk and an output"),
    ([*PORTS, Port("z", "inout", 1)], "port z of unit must be an input or an output, not inout"),
])
def test_refusals(ports, message):
    with pytest.raises(ValueError, match=message):
        harness("unit", ports)
