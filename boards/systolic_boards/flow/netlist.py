"""A netlist as Verilog that simulates: what synthesis made of a design, to be run in the design's place."""

import pathlib
import re
import tempfile

from . import tools

__all__ = ["verilog"]

# LUTs as an expression each, in place of the multiplexers that the cell library describes them with. ECP5 and iCE40.
_LUTS = """
module LUT4(input A, B, C, D, output Z);
  parameter [15:0] INIT = 0;
  \\$lut #(.WIDTH(4), .LUT(INIT)) _TECHMAP_REPLACE_ (.A({D, C, B, A}), .Y(Z));
endmodule
module SB_LUT4(input I0, I1, I2, I3, output O);
  parameter [15:0] LUT_INIT = 0;
  \\$lut #(.WIDTH(4), .LUT(LUT_INIT)) _TECHMAP_REPLACE_ (.A({I3, I2, I1, I0}), .Y(O));
endmodule
"""


def verilog(synthesis, family, top):
    """Verilog of a netlist with the ports of its design, for any harness of that.

    Cells are those of Yosys's own simulation library, but the blocks that :mod:`systolic_sim.rtl.primitives` has models
    of, which stay instances.

    Parameters
    ----------
    synthesis : Synthesis
        Of a part that is not alone.
    family : Family
    top : str
        Its top module.

    Returns
    -------
    str

    Raises
    ------
    ToolError
        If Yosys fails.
    """
    script = "\n".join([
        "read_json netlist.json", "delete =A:blackbox", "delete =A:whitebox",
        f"read_verilog {family.cells}", "techmap -map luts.v", f"hierarchy -top {top}", "proc", "flatten",
        "opt_expr", "opt_clean -purge", "rename -hide", "rename -enumerate -pattern _%",
        "write_verilog -noattr netlist.v",
    ]) + "\n"
    with tempfile.TemporaryDirectory(prefix="systolic-") as name:
        folder = pathlib.Path(name)
        for file, text in (("netlist.json", synthesis.netlist), ("luts.v", _LUTS), ("script.ys", script)):
            (folder / file).write_text(text)
        tools.run(tools.YOSYS, ["script.ys", "netlist.log"], folder)
        text = (folder / "netlist.v").read_text()
    # What nobody looks at, such as the data of a write that is not enabled.
    text = re.sub(r"(?<='[hb])[0-9a-fx]+", lambda digits: digits[0].replace("x", "0"), text)
    # Of memories that begin with zeros, as those of the models do.
    return re.sub(r" +\.INITVAL_\w+\(320'h0+\),?\n", "", text)
