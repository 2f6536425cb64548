"""What synthesis makes of a design runs in its place, and a cell that is wrong is found."""

import re

import pytest

from systolic.config import Arch, Config, Impl
from systolic_boards.flow import netlist
from systolic_boards.netlists import command
from systolic_sim.claims.check import CheckError
from systolic_sim.rtl.matrix_unit import RtlError


def unit(multiplier):
    arch = Arch(rows=2, cols=2, accumulator_depth=16)
    return Config(name="int8_2x2", arch=arch, impl=Impl(multiplier=multiplier, product_stages=2))


@pytest.mark.parametrize("multiplier, device, blocks", [("ecp5_dsp", "ecp5-85f", 4), ("ice40_dsp", "ice40-up5k", 2)])
def test_netlist_of_a_matrix_unit(multiplier, device, blocks):
    cells, programs, results = command.check(unit(multiplier), device, programs=6)
    assert cells["DSP"] == blocks and cells["LUT"] > 200 and cells["FF"] > 300
    assert programs == 6 and results > 40


def test_a_wrong_cell_is_found(monkeypatch):
    """LUTs that look at the rows' port give the opposite."""
    def wrong(*arguments):
        first, *rest = re.split(r"(?<=16'h)(?=[0-9a-f]{4} >> \{ rows_)", correct(*arguments))
        assert rest
        return first + "".join(f"{int(text[:4], 16) ^ 0xffff:04x}{text[4:]}" for text in rest)
    correct = netlist.verilog
    monkeypatch.setattr(netlist, "verilog", wrong)
    with pytest.raises((CheckError, RtlError)):
        command.check(unit("ecp5_dsp"), "ecp5-85f", programs=3)
