"""Waveforms: read from a text, and from a real run whose cells must do what the grid promises."""

import collections
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from systolic.config import Arch, Config
from systolic_sim.cycles.schedule import schedule
from systolic_sim.demo import picture, vcd
from systolic_sim.golden.program import matmul_program
from systolic_sim.rtl.matrix_unit import MatrixUnitRtl

WAVEFORM = """\
$timescale 1ps $end
$scope module TOP $end
$var wire 1 ! clk $end
$scope module dut $end
$var wire 1 ! clk $end
$var wire 4 " bus [3:0] $end
$var reg 1 # bit $end
$upscope $end
$upscope $end
$enddefinitions $end
#0
1!
b101 "
0#
#5
0!
#10
1!
b1x11 "
1#
#15
0!
#20
1#
1!
b0 "
#25
0!
#30
1!
0#
"""


def test_values_before_the_edge(tmp_path):
    path = tmp_path / "x.vcd"
    path.write_text(WAVEFORM)
    signals = vcd.read(path, lambda name: name.startswith("TOP.dut.b"))
    assert list(signals) == ["TOP.dut.bus", "TOP.dut.bit"]
    np.testing.assert_array_equal(signals["TOP.dut.bus"], [5, 11, 0])
    np.testing.assert_array_equal(signals["TOP.dut.bit"], [0, 1, 1])
    with pytest.raises(ValueError, match="no signal clock"):
        vcd.read(path, lambda name: True, clock="clock")
    with pytest.raises(ValueError, match="no cells"):
        picture.activity(path)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Two tiles of 6 rows each on a 5 x 3 grid: its rows come in blocks."""
    config = Config(name="traced", arch=Arch(rows=5, cols=3))
    rng = np.random.default_rng(6)
    x, w = rng.integers(-128, 128, (9, 5), np.int8), rng.integers(-128, 128, (5, 6), np.int8)
    program = matmul_program(config.arch, x, w)
    path = tmp_path_factory.mktemp("picture") / "x.vcd"
    MatrixUnitRtl(config, trace=True).run(program, trace=path)
    return program, schedule(config, program), picture.activity(path)


def test_cells_see_the_rows(recorded):
    """Row by row and column by column a cycle later, each activation with the weights of its tile."""
    program, predicted, activity = recorded
    length = predicted.accepted[-1] + 1
    assert activity.tile.shape == activity.value.shape == (length, 5, 3)
    for r, c in np.ndindex(5, 3):
        arrival = predicted.entered + r + c
        seen = arrival < length
        np.testing.assert_array_equal(activity.value[arrival[seen], r, c], program.x[seen, r])
        np.testing.assert_array_equal(activity.tile[arrival[seen], r, c], np.cumsum(program.switch)[seen])
        assert not activity.tile[:arrival[0], r, c].any()


def test_cells_take_their_weights(recorded):
    """R - r weights of each tile pass through row r; the working cells add up."""
    _, _, activity = recorded
    for tile in (1, 2):
        np.testing.assert_array_equal((activity.loads == tile).sum(axis=0), np.repeat([[5], [4], [3], [2], [1]], 3, 1))
    np.testing.assert_array_equal(activity.loading.sum(axis=0), [45, 45])
    np.testing.assert_array_equal(activity.working.sum(axis=1), (activity.tile > 0).sum(axis=(1, 2)))
    assert activity.working[-1].tolist() == [0, 15]


def test_drawing(recorded):
    """Every cell once in every grid, in the colour of its tile; two grids at the same cycle look the same."""
    _, _, activity = recorded
    drawing = picture.svg(activity, title="A title", subtitle=("One line", "another"), panels=4)
    root = ElementTree.fromstring(drawing)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"A title", "One line", "another", "first tile", "second tile"} <= set(texts)
    cycles = [int(text.removeprefix("cycle ")) for text in texts if re.fullmatch(r"cycle \d+", text)]
    first = [int(np.argmax((activity.tile == tile).any(axis=(1, 2)))) for tile in (1, 2)]
    assert len(cycles) == 8 and [cycles[0], cycles[4]] == first and cycles[1] - cycles[0] == 2
    cells = collections.Counter()
    for path in root.iter("{http://www.w3.org/2000/svg}path"):
        if path.get("fill") != picture._TEXT and "h" in path.get("d"):
            cells[path.get("fill")] += path.get("d").count("M")
    assert cells.total() == 8 * 15
    assert cells[picture._IDLE] == sum(int((activity.tile[cycle] == 0).sum()) for cycle in cycles)
    assert f"{int((activity.tile[cycles[1]] > 0).sum())} at work" in texts
