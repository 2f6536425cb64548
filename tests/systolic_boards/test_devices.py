"""The table of devices holds together."""

import argparse
import dataclasses

import pytest

from systolic.commands import options
from systolic.tpu_config import tpu_preset
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


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("preset", ["tpu_8x8", "tpu_16x16"])
def test_a_tpu_is_made_for_its_device(name, preset):
    """Results are those of the preset: only its Impl is another. Multipliers find as many blocks as there are."""
    target, tpu = device(name), tpu_preset(preset)
    made = target.implement(tpu)
    assert dataclasses.replace(made, matrix=tpu.matrix) == tpu and made.matrix.arch == tpu.matrix.arch
    mappings = made.matrix.row_mappings
    if name.startswith("ecp5"):
        used = mappings.count("ecp5_dsp") * tpu.matrix.arch.cols + 4 * tpu.lanes + 1
        free = target.resources["DSP"] - used
        assert set(mappings) <= {"ecp5_dsp", "ecp5_lut"} and made.matrix.impl.memory == "ecp5_block"
        assert free >= 0 or "ecp5_dsp" not in mappings
        assert free < tpu.matrix.arch.cols or "ecp5_lut" not in mappings
    else:
        assert set(mappings) == {"generic"}


def test_what_is_given_is_not_changed():
    parser = argparse.ArgumentParser()
    options.add_config_arguments(parser)
    options.add_tpu_arguments(parser)
    implement = device("ecp5-85f").implement
    made = options.tpu_from(parser.parse_args(["--tpu", "tpu_8x8"]), implement)
    assert (made.name, made.matrix.impl.multiplier) == ("tpu_8x8", "ecp5_dsp")
    given = options.tpu_from(parser.parse_args(["--tpu", "tpu_8x8", "--memory-stages", "2"]), implement)
    assert (given.matrix.impl.multiplier, given.matrix.impl.memory_stages) == ("generic", 2)


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
