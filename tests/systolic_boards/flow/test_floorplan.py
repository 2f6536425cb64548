"""Multipliers go where a DSP block can take them, and switches are shared as the floor plan assumes."""

import collections
import json

import pytest

from systolic.config import Arch, Config, Impl
from systolic_boards.devices import DEVICES, device
from systolic_boards.flow import floorplan, parts, synthesis

ECP5 = [target for target in DEVICES.values() if target.sites]


@pytest.mark.parametrize("target", ECP5, ids=lambda target: target.name)
def test_sites_are_the_multipliers_of_the_device(target):
    sites = [site for strip in target.sites for block in strip for site in block]
    assert len(sites) == len(set(sites)) == target.resources["DSP"]


@pytest.mark.parametrize("rows, cols", [(1, 1), (8, 8), (12, 12), (6, 26), (5, 7), (12, 3), (2, 1)])
def test_blocks_take_two_by_two_cells(rows, cols):
    strips = device("ecp5-85f").sites
    plan = floorplan.plan(rows, cols, strips)
    assert set(plan) == {(row, col) for row in range(rows) for col in range(cols)}
    assert len(set(plan.values())) == rows * cols
    block = {site: sites for strip in strips for sites in strip for site in sites}
    cells = collections.defaultdict(set)
    for (row, col), site in plan.items():
        cells[block[site]].add((row // 2, col // 2))
    assert all(len(squares) == 1 for squares in cells.values())


@pytest.mark.parametrize("rows, cols, name", [
    (12, 13, "ecp5-85f"), (2, 27, "ecp5-85f"), (6, 6, "ecp5-25f"), (4, 4, "gowin-gw2a-18c"), (0, 0, "ecp5-85f")])
def test_what_does_not_fit_is_left_to_the_placer(rows, cols, name):
    assert floorplan.plan(rows, cols, device(name).sites) == {}


@pytest.mark.parametrize("lut_rows", [0, 2])
def test_two_rows_share_their_switches_and_no_more(tmp_path, lut_rows):
    config = Config(name="plan", arch=Arch(rows=6, cols=3), impl=Impl(
        multiplier="ecp5_dsp", product_stages=2, lut_rows=lut_rows))
    part = parts.array(config)
    netlist = json.loads(synthesis.synthesise(part, device("ecp5-85f"), cache=tmp_path).netlist)
    plan = floorplan.plan(6 - lut_rows, 3, device("ecp5-85f").sites)
    place = {site: cell for cell, site in plan.items()}
    switches = collections.defaultdict(set)
    for cell in netlist["modules"]["harness"]["cells"].values():
        if cell["type"] == "MULT18X18D":
            switches[cell["connections"]["CE1"][0]].add(place.pop(cell["attributes"]["BEL"]))
    assert not place
    assert {frozenset(cells) for cells in switches.values()} == {
        frozenset((row, wave - row) for row in (top, top + 1) if 0 <= wave - row < 3)
        for top in range(0, 6 - lut_rows, 2) for wave in range(top, top + 4)}


@pytest.mark.parametrize("impl, format", [
    ({"multiplier": "ecp5_lut"}, "int8"), ({}, "int8"), ({"multiplier": "ecp5_dsp", "hop_stages": 2}, "int8"),
    ({"multiplier": "ecp5_dsp"}, "bf16")])
def test_cells_that_need_other_plans_have_none(impl, format):
    assert parts.array(Config(arch=Arch(rows=2, cols=2, format=format), impl=Impl(**impl))).multipliers == (0, 0)


def test_multipliers_of_other_modules_are_left_to_the_placer():
    names = ["unit.rows_4.row_1.cell_2.product.dsp", "unit.scale.dsp", "rows_8.row_0.cell_1.product.dsp"]
    cells = {name: {"type": "MULT18X18D", "attributes": {}} for name in names}
    netlist = json.dumps({"modules": {"top": {"cells": cells}}})
    fixed = floorplan.fix(netlist, {(5, 2): "here"})
    assert floorplan.is_fixed(fixed) and not floorplan.is_fixed(netlist)
    places = [cell["attributes"] for cell in json.loads(fixed)["modules"]["top"]["cells"].values()]
    assert places == [{"BEL": "here"}, {}, {}]
