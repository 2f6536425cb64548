"""Programs: cutting products into tiles, and what random programs promise."""

import numpy as np
import pytest

from systolic.config import Arch
from systolic_sim.golden import bf16
from systolic_sim.golden.matrix_unit import MatrixUnit
from systolic_sim.golden.program import Program, matmul_program, random_program, untile

ARCHES = [(1, 1, 1), (3, 5, 3), (8, 2, 11), (4, 4, 16), (5, 7, 64)]
PRODUCTS = [(1, 1, 1), (7, 3, 5), (16, 8, 4), (33, 20, 13), (50, 9, 30)]


def arch_of(shape, format="int8"):
    rows, cols, depth = shape
    return Arch(rows=rows, cols=cols, accumulator_depth=depth, format=format)


@pytest.mark.parametrize("shape", ARCHES, ids=str)
@pytest.mark.parametrize("product", PRODUCTS, ids=str)
def test_int8_product(shape, product):
    arch, (m, k, n) = arch_of(shape), product
    rng = np.random.default_rng(k)
    x, w = rng.integers(-128, 128, (m, k), np.int8), rng.integers(-128, 128, (k, n), np.int8)
    program = matmul_program(arch, x, w)
    assert program.switch.sum() == len(program.tiles)
    y = untile(arch, MatrixUnit(arch).run(program), m, n)
    np.testing.assert_array_equal(y, x.astype(np.int64) @ w.astype(np.int64))


@pytest.mark.parametrize("shape", ARCHES, ids=str)
@pytest.mark.parametrize("product", PRODUCTS, ids=str)
def test_bf16_product(shape, product):
    arch, (m, k, n) = arch_of(shape, "bf16"), product
    rng = np.random.default_rng(k)
    x, w = (bf16.from_float32(rng.standard_normal(size, np.float32)) for size in ((m, k), (k, n)))
    x[rng.random(x.shape) < 0.02] = 0x7F80
    y = bf16.matmul(x[:, :arch.rows], w[:arch.rows])
    for low in range(arch.rows, k, arch.rows):
        y = bf16.add(y, bf16.matmul(x[:, low:low + arch.rows], w[low:low + arch.rows]))
    np.testing.assert_array_equal(untile(arch, MatrixUnit(arch).run(matmul_program(arch, x, w)), m, n), y)


def test_order_of_issue():
    """Two tiles along N, two blocks of three and one rows, two tiles along K."""
    x, w = np.arange(1, 13).reshape(4, 3).astype(np.int8), np.ones((3, 2), np.int8)
    program = matmul_program(Arch(rows=2, cols=1, accumulator_depth=3), x, w)
    half = [0, 1, 2, 0, 1, 2, 0, 0]
    assert program.address.tolist() == half + half
    second = [False] * 3 + [True] * 3 + [False, True]
    assert program.accumulate.tolist() == program.last.tolist() == second + second
    assert np.flatnonzero(program.switch).tolist() == [0, 3, 6, 7, 8, 11, 14, 15]
    assert program.x[:8].tolist() == [[1, 2], [4, 5], [7, 8], [3, 0], [6, 0], [9, 0], [10, 11], [12, 0]]
    assert program.tiles[:2].tolist() == [[[1], [1]], [[1], [0]]]


def test_beats_are_last_row_first():
    tiles = np.arange(12, dtype=np.int8).reshape(2, 3, 2)
    none = np.zeros(0, bool)
    program = Program(tiles=tiles, x=np.zeros((0, 3), np.int8), address=np.zeros(0, int), accumulate=none,
                      switch=none, last=none)
    assert program.beats.tolist() == [[4, 5], [2, 3], [0, 1], [10, 11], [8, 9], [6, 7]]


@pytest.mark.parametrize("format", ["int8", "bf16"])
@pytest.mark.parametrize("shape", ARCHES, ids=str)
def test_random_programs_are_legal(shape, format):
    arch = arch_of(shape, format)
    rng = np.random.default_rng(0)
    for _ in range(30):
        program = random_program(arch, rng)
        starts = np.flatnonzero(program.switch)
        counts = np.diff(starts, append=len(program))
        assert starts[0] == 0 and len(starts) == len(program.tiles)
        assert 1 <= counts.min() and counts.max() <= 3 * arch.rows
        assert program.x.dtype == program.tiles.dtype == (np.int8 if format == "int8" else np.uint16)
        assert len(MatrixUnit(arch).run(program)) == program.last.sum() >= 1


def test_random_programs_reach_the_corners():
    arch = arch_of((4, 4, 16))
    rng = np.random.default_rng(1)
    programs = [random_program(arch, rng, tiles=8, max_rows=5) for _ in range(50)]
    assert all(len(program.tiles) == 8 and len(program) <= 40 for program in programs)
    accumulate = np.concatenate([program.accumulate for program in programs])
    assert 0.2 < accumulate.mean() < 0.8
    assert any((program.tiles[t] == -128).all() for program in programs for t in range(8))
    floats = [random_program(arch_of((4, 4, 16), "bf16"), rng) for _ in range(50)]
    results = np.concatenate([MatrixUnit(arch_of((4, 4, 16), "bf16")).run(p) for p in floats])
    magnitudes = results & 0x7FFFFFFF
    # Zeros, subnormals, normal numbers, infinities, NaN.
    kinds = np.searchsorted([1, 1 << 23, 0x7F800000, 0x7F800001], magnitudes.ravel(), side="right")
    assert (np.bincount(kinds, minlength=5) > 0.01 * kinds.size).all(), np.bincount(kinds)


def test_the_same_seed_is_the_same_program():
    one, two = (random_program(arch_of((3, 5, 3), "bf16"), np.random.default_rng(7)) for _ in range(2))
    for name in ("tiles", "x", "address", "accumulate", "switch", "last"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_errors():
    arch, x = arch_of((4, 4, 16)), np.zeros((2, 3), np.int8)
    with pytest.raises(ValueError, match=r"do not fit: \[2, 3\] and \[2, 3\]"):
        matmul_program(arch, x, x)
    with pytest.raises(ValueError, match="do not fit"):
        matmul_program(arch, x[:0], x.T)
    with pytest.raises(ValueError, match=r"results must be \[2, 4\], not \[3, 4\]"):
        untile(arch, np.zeros((3, 4)), 2, 4)
    flags = np.zeros(2, bool)
    with pytest.raises(ValueError, match=r"last must be \[2\], not \[1\]"):
        Program(tiles=np.zeros((1, 3, 3)), x=x, address=flags, accumulate=flags, switch=flags, last=flags[:1])
    with pytest.raises(ValueError, match=r"tiles must be \[T, R, C\]"):
        Program(tiles=np.zeros((3, 3)), x=x, address=flags, accumulate=flags, switch=flags, last=flags)
