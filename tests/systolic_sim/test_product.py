"""A product in one line: the same bits everywhere, and one line where it cannot be."""

import numpy as np
import pytest

import systolic_sim
from systolic.config import Arch, Config
from systolic.errors import ConfigError
from systolic_sim.product import TARGETS

UNITS = [Config(arch=Arch(rows=3, cols=2, format=format, accumulator_depth=5), name=f"product_{format}")
         for format in ("int8", "bf16")]


def operands(unit, m, k, n):
    rng = np.random.default_rng([m, k, n])
    if unit.arch.format.name == "int8":
        return rng.integers(-128, 128, (m, k)), rng.integers(-128, 128, (k, n), np.int8)
    return rng.standard_normal((m, k)) * 10.0 ** rng.integers(-3, 3, (m, k)), rng.standard_normal((k, n), np.float32)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 8, 5), (12, 3, 2)])
def test_all_targets_agree(unit, shape):
    """More rows than accumulators, K and N that fill no tile."""
    x, w = operands(unit, *shape)
    golden, *others = [systolic_sim.matmul(x, w, on=on, config=unit) for on in TARGETS]
    assert golden.dtype == ("int32" if unit.arch.format.name == "int8" else "float32")
    for other in others:
        np.testing.assert_array_equal(other.view(np.uint32), golden.view(np.uint32))


def test_integers_are_exact():
    x, w = operands(UNITS[0], 4, 200, 3)
    for on in ("golden", "emulator"):
        np.testing.assert_array_equal(systolic_sim.matmul(x, w, on=on), x @ w.astype(int))
    np.testing.assert_array_equal(systolic_sim.matmul([[1, 2], [3, 4]], [[5, 6], [7, 8]]), [[19, 22], [43, 50]])


def test_the_order_of_bf16_sums_is_the_arrays():
    """1 + 2**-24 - 1: lost where the 1 comes first, kept where it meets its opposite in the tile before."""
    x, w = [[1.0, -1.0, 2.0**-12]], [[1.0], [1.0], [2.0**-12]]
    assert systolic_sim.matmul(x, w)[0, 0] == 2.0**-24
    x, w = [[1.0, 2.0**-12, -1.0]], [[1.0], [2.0**-12], [1.0]]
    assert systolic_sim.matmul(x, w)[0, 0] == 0.0


@pytest.mark.parametrize("arguments, message", [
    (([[1]], [[1]], "verilog"), "on must be one of golden, emulator, rtl, not 'verilog'"),
    (([[1]], [[1]], "glden"), "did you mean golden?"),
    (([[1, 2]], [[1]]), r"x must be \[M, K\] and w \[K, N\], none of them 0, not \[1, 2\] and \[1, 1\]"),
    (([[]], np.zeros((0, 1))), "none of them 0"),
    (([[128]], [[1]]), "operands must be from -128 to 127, not from 128 to 128"),
    (([[1]], [[1.5]]), "x and w must both be integers or both be floating-point, not int64 and float64"),
    (([["a"]], [["b"]]), "x and w must both be integers or both be floating-point, not <U1 and <U1"),
])
def test_one_line_each(arguments, message):
    with pytest.raises(ConfigError, match=message):
        systolic_sim.matmul(*arguments)


def test_the_unit_must_fit():
    with pytest.raises(ConfigError, match="config must be of format int8 for int64, not bf16_4x4, which is bf16"):
        systolic_sim.matmul([[1]], [[1]], config="bf16_4x4")
    with pytest.raises(ConfigError, match="config must be one of .*: did you mean int8_8x8?"):
        systolic_sim.matmul([[1]], [[1]], config="int8_8X8")
    assert systolic_sim.matmul([[3]], [[4]], config="ice40_4x4") == 12
