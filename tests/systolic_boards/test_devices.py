"""The table of devices holds together."""

import pytest

from systolic_boards.devices import DEVICES, DeviceError, device
from systolic_boards.flow.guards import claim


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_is_complete(name):
    target = device(name)
    assert target.name == name
    assert set(target.pins) == ({"clk"} if target.family.free else {"clk", "si", "so"})
    assert set(target.resources) == set(target.family.weights) == {"LUT", "FF", "DSP", "BRAM"}
    assert "{port}" in target.family.pin and "{pin}" in target.family.pin
    assert {"{chip}", "{bitstream}"} <= set(target.family.packing)


def test_unknown_device_is_named():
    with pytest.raises(DeviceError, match=r"device must be one of ecp5-12f, .*, not 'ecp6'"):
        device("ecp6")


@pytest.mark.parametrize("name, cells, expected", [
    ("ecp5-85f", {"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 2, "TRELLIS_FF": 7, "MULT18X18D": 4, "DP16KD": 1,
                  "PDPW16KD": 2, "PFUMX": 5}, {"LUT": 28, "FF": 7, "DSP": 4, "BRAM": 3}),
    ("ice40-up5k", {"SB_LUT4": 9, "SB_CARRY": 4, "SB_DFF": 1, "SB_DFFESR": 2, "SB_MAC16": 3, "SB_RAM40_4K": 1},
     {"LUT": 9, "FF": 3, "DSP": 3, "BRAM": 1}),
    ("gowin-gw1nr-9c", {"LUT1": 1, "LUT4": 2, "ALU": 3, "DFF": 4, "DFFE": 5, "MULT9X9": 6, "MULT18X18": 1, "SDPB": 2,
                        "MUX2_LUT5": 9}, {"LUT": 6, "FF": 9, "DSP": 8, "BRAM": 2}),
])
def test_cells_become_resources(name, cells, expected):
    assert device(name).family.count(cells) == expected


def test_claims_stay_below_the_data_sheet():
    target = device("ecp5-85f")
    assert claim(240.0, {"LUT4": 1}, target) == (240.0, "")
    fmax, note = claim(240.0, {"MULT18X18D": 64}, target)
    assert fmax == 225.0 and "240.0 MHz" in note and "MULT18X18D no more than 225 MHz" in note
    assert claim(120.0, {"MULT18X18D": 64}, target) == (120.0, "")
    assert claim(400.0, {"MULT9X9": 1}, device("gowin-gw2a-18c"))[1] == "paths through MULT9X9 are not timed"
