"""Matrix unit model against a row-at-a-time interpreter, and its errors."""

import numpy as np
import pytest

from systolic.config import Arch
from systolic_sim.golden import bf16, int8
from systolic_sim.golden.matrix_unit import MatrixUnit
from systolic_sim.golden.program import Program, random_program

ARITHMETIC = {"int8": (int8.matmul, int8.accumulate), "bf16": (bf16.matmul, bf16.add)}


def interpret(arch, program):
    """Results of a program, one row after the other."""
    matmul, add = ARITHMETIC[arch.format.name]
    tiles, tile, acc, results, window = iter(program.tiles), None, {}, [], []
    for i in range(len(program)):
        tile = next(tiles) if program.switch[i] or tile is None else tile
        psum = matmul(program.x[i:i + 1], tile)[0]
        if program.depthwise[i]:
            window = [program.x[i].tolist(), *window[:arch.taps - 1]]
            psum = np.array([sum(int(tile[r, c]) * ((window[r][c] if c < arch.rows else 0) if r < arch.taps else
                                                    int(program.x[i, r])) for r in range(arch.rows))
                             for c in range(arch.cols)], np.int32) if len(window) == arch.taps else None
        if program.fills[i]:
            continue
        address = program.address[i]
        acc[address] = add(acc[address], psum) if program.accumulate[i] else psum
        if program.last[i]:
            results.append(acc[address])
    return np.array(results)


def small(**columns):
    """Three rows of ones on a 1x1 array, unless said otherwise; the weights are 2, 3 and 4."""
    none = np.zeros(3, bool)
    fields = {"address": np.zeros(3, int), "accumulate": none, "switch": none, "last": ~none}
    fields |= {name: np.array(column) for name, column in columns.items()}
    return Program(tiles=np.array([[[2]], [[3]], [[4]]], np.int8), x=np.ones((3, 1), np.int8), **fields)


ARCH = Arch(rows=1, cols=1, accumulator_depth=2)


@pytest.mark.parametrize("format", ["int8", "bf16"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 2), (4, 4, 9), (7, 2, 40)], ids=str)
def test_random_programs(shape, format):
    rows, cols, depth = shape
    arch = Arch(rows=rows, cols=cols, accumulator_depth=depth, format=format)
    rng = np.random.default_rng(rows)
    for _ in range(15):
        program = random_program(arch, rng)
        np.testing.assert_array_equal(MatrixUnit(arch).run(program), interpret(arch, program), strict=True)


@pytest.mark.parametrize("shape", [(2, 2, 6, 2), (3, 5, 3, 2), (6, 4, 9, 3), (4, 4, 20, 4)], ids=str)
def test_depthwise_programs(shape):
    rows, cols, depth, taps = shape
    arch, seen = Arch(rows=rows, cols=cols, accumulator_depth=depth, taps=taps), 0
    rng = np.random.default_rng(rows)
    for _ in range(25):
        program = random_program(arch, rng)
        seen += (program.depthwise & ~program.fills).sum()
        np.testing.assert_array_equal(MatrixUnit(arch).run(program), interpret(arch, program), strict=True)
    assert seen > 50


def test_depthwise_windows_live_on():
    """Three taps on channel 1 of two; the rows of another kind between them do not count."""
    unit = MatrixUnit(Arch(rows=3, cols=2, taps=3))
    unit.load(np.array([[0, 1], [0, 10], [0, 100]], np.int8))
    yes = np.ones(2, bool)
    fields = {"address": np.zeros(2, int), "accumulate": ~yes, "switch": ~yes, "tiles": np.zeros((0, 3, 2), np.int8)}
    assert not len(unit.rows(Program(x=np.array([[9, 1, 9], [9, 2, 9]], np.int8), last=~yes, depthwise=yes, fills=yes,
                                     **fields)))
    done = unit.rows(Program(x=np.array([[0, 0, 0], [9, 3, 9]], np.int8), last=yes, depthwise=~yes | [False, True],
                             **fields))
    assert done.tolist() == [[0, 0], [0, 123]]


def test_accumulators_wrap():
    """-128 * -128 in 64 rows, accumulated until int32 overflows."""
    arch = Arch(rows=64, cols=1)
    n = 2**11 + 1
    program = Program(tiles=np.full((1, 64, 1), -128, np.int8), x=np.full((n, 64), -128, np.int8),
                      address=np.full(n, 5), accumulate=np.arange(n) > 0, switch=np.arange(n) == 0,
                      last=np.ones(n, bool))
    results = MatrixUnit(arch).run(program)
    assert results[-3:].ravel().tolist() == [2**31 - 2**20, -2**31, -2**31 + 2**20]


def test_first_row_switches_unasked():
    unit = MatrixUnit(ARCH)
    assert unit.run(small()).ravel().tolist() == [2, 2, 2]
    assert unit.rows(small(switch=[False, True, False])).ravel().tolist() == [2, 3, 3]


def test_state_lives_on():
    unit = MatrixUnit(ARCH)
    unit.load(np.array([[5]], np.int8))
    unit.load(np.array([[7]], np.int8))
    before = small(address=[0, 0, 1], accumulate=[False, True, False])
    assert unit.rows(before).ravel().tolist() == [5, 10, 5]
    again = small(address=[0, 1, 1], accumulate=[True] * 3, switch=[False, True, False],
                  last=[True, False, True])
    assert unit.rows(again).ravel().tolist() == [15, 19]
    assert unit.accumulators.ravel().tolist() == [15, 19]


@pytest.mark.parametrize("columns, message", [
    ({"switch": [True, True, False]}, "row 1 switches with no tile queued"),
    ({"accumulate": [False, True, True], "address": [0, 0, 1]}, "row 2 accumulates on an entry that was"),
    ({"accumulate": [True, False, False]}, "row 0 accumulates on an entry"),
    ({"address": [0, 2, 0]}, "row 1 addresses outside the 2 accumulators"),
    ({"address": [0, 0, -1]}, "row 2 addresses outside")])
def test_errors_name_the_row_and_change_nothing(columns, message):
    unit = MatrixUnit(ARCH)
    unit.load(np.array([[5]], np.int8))
    with pytest.raises(ValueError, match=message):
        unit.rows(small(**columns))
    assert unit.rows(small()).ravel().tolist() == [5, 5, 5]


def test_an_entry_written_is_not_another():
    unit = MatrixUnit(ARCH)
    unit.run(small())
    with pytest.raises(ValueError, match="row 1 accumulates"):
        unit.rows(small(address=[0, 1, 0], accumulate=[True] * 3))


def test_no_tile_at_all():
    with pytest.raises(ValueError, match="row 0 switches with no tile queued"):
        MatrixUnit(ARCH).rows(small())


def test_shapes():
    unit = MatrixUnit(Arch(rows=2, cols=3))
    with pytest.raises(ValueError, match=r"tile must be \[2, 3\], not \[3, 2\]"):
        unit.load(np.zeros((3, 2), np.int8))
    with pytest.raises(ValueError, match=r"x must be \[n, 2\], not \[3, 1\]"):
        unit.rows(small())
