"""Products: the golden model's are right, and the comparison sees one wrong bit and one wrong cycle."""

import types

import numpy as np
import pytest

from systolic.config import Arch, Config
from systolic_sim.cycles.schedule import schedule
from systolic_sim.demo.products import Golden, Mismatch, Rtl, Tally
from systolic_sim.golden.matrix_unit import MatrixUnit

CONFIG = Config(name="little", arch=Arch(rows=3, cols=2, accumulator_depth=4))


class Model:
    """Stands for the compiled RTL: the golden model, with so many bits flipped and cycles added."""

    config = CONFIG

    def __init__(self, flip=0, late=0):
        self.flip, self.late = flip, late

    def run(self, program):
        results = MatrixUnit(CONFIG.arch).run(program)
        results[1, 1] ^= self.flip
        return results, types.SimpleNamespace(cycles=schedule(CONFIG, program).total + self.late)


@pytest.fixture
def operands():
    rng = np.random.default_rng(5)
    return rng.integers(-128, 128, (6, 7), np.int8), rng.integers(-128, 128, (7, 3), np.int8)


def test_tally(operands):
    x, w = operands
    golden = Golden(CONFIG)
    np.testing.assert_array_equal(golden(0, x, w), x.astype(int) @ w)
    np.testing.assert_array_equal(golden(1, x[:2], w), x[:2].astype(int) @ w)
    rtl = Rtl(Model(), golden.sums)
    np.testing.assert_array_equal(rtl(0, x, w), golden.sums[0])
    np.testing.assert_array_equal(rtl(1, x[:2], w), golden.sums[1])
    tally = rtl.tally
    assert (tally.products, tally.macs, tally.cells) == (2, 8 * 7 * 3, 6)
    assert (tally.bits, tally.wrong) == (8 * 3 * 32, 0)
    assert tally.rows == 8 * 3 * 2 and tally.cycles == tally.predicted > tally.rows
    assert tally.utilisation == 168 / (6 * tally.cycles) and tally.busy == 48 / tally.cycles
    assert tally.seconds > 0 and tally.speed == tally.cycles / tally.seconds
    total = Tally.total([tally, tally, tally])
    assert (total.cells, total.products, total.cycles, total.bits) == (6, 6, 3 * tally.cycles, 3 * tally.bits)
    assert total.utilisation == tally.utilisation and total.speed == pytest.approx(tally.speed)


def test_wrong_bits_end_the_run(operands):
    golden = Golden(CONFIG)
    golden(2, *operands)
    rtl = Rtl(Model(flip=0b101), golden.sums)
    with pytest.raises(Mismatch, match=r"little, layer 3: 1 of 18 sums differ .* in 2 bits; first y\[1, 1\]"):
        rtl(2, *operands)
    assert rtl.tally.wrong == 2


def test_a_wrong_cycle_ends_the_run(operands):
    golden = Golden(CONFIG)
    golden(0, *operands)
    with pytest.raises(Mismatch, match="layer 1: .* cycles, not .* as predicted"):
        Rtl(Model(late=1), golden.sums)(0, *operands)
