"""The self-test in Amaranth's simulator: what it sends, what it makes of the results, and when it says so."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from systolic.config import Arch, Config
from systolic.gateware.matrix.matrix_unit import MatrixUnit
from systolic_boards.selftest.pattern import TILES, expected, program, random_bytes, signature, sizes
from systolic_boards.selftest.selftest import DIGITS, DecimalCounter, Random, SelfTest


def config(format="int8", rows=2, cols=3, depth=6):
    return Config(arch=Arch(rows=rows, cols=cols, format=format, accumulator_depth=depth))


def simulate(dut, testbench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def verdict(unit, patience=16, **options):
    """Passed, failed and the digits of a self-test with a matrix unit behind it, or with nothing."""
    test = SelfTest(config(), patience=patience, **options)
    m = Module()
    m.submodules.test = test
    if unit:
        m.submodules.unit = unit = MatrixUnit(config())
        wiring.connect(m, test.weights, unit.weights)
        wiring.connect(m, test.rows, unit.rows)
        wiring.connect(m, unit.results, test.results)
    seen = []

    async def testbench(ctx):
        cycles = 0
        while not ctx.get(test.passed | test.failed):
            await ctx.tick()
            cycles += 1
            assert cycles < 5000
        seen.extend([ctx.get(test.passed), ctx.get(test.failed), f"{ctx.get(test.digits):021x}", cycles])

    simulate(m, testbench)
    return seen


def test_right_results_pass():
    passed, failed, digits, cycles = verdict(True, expected=expected(config()))
    assert (passed, failed) == (1, 0)
    rows, counted, found = int(digits[:6]), int(digits[6:13]), digits[13:]
    assert rows == len(program(config())) and int(found, 16) == expected(config())
    assert cycles - 20 <= counted <= cycles and rows < counted < 3 * rows


def test_one_flipped_weight_bit_fails():
    passed, failed, digits, _ = verdict(True, expected=expected(config()), fault=True)
    assert (passed, failed) == (0, 1) and int(digits[-8:], 16) != expected(config())


def test_another_signature_fails():
    assert verdict(True, expected=expected(config()) ^ 1)[:2] == [0, 1]


def test_a_unit_that_hangs_fails():
    passed, failed, digits, cycles = verdict(False, expected=0, patience=7)
    assert (passed, failed) == (0, 1) and 128 <= cycles < 160 and int(digits[:6]) == 0


@pytest.mark.parametrize("format", ["int8", "bf16"])
def test_it_sends_the_program(format):
    """Beat by beat; what has been offered stays until it is taken."""
    unit = config(format)
    test = SelfTest(unit, expected=0)
    arch, want = unit.arch, program(unit)
    weights, rows = [], []

    async def testbench(ctx):
        offered = {}
        for cycle in range(20 * len(want)):
            for name, stream, seen in (("weights", test.weights, weights), ("rows", test.rows, rows)):
                ready = cycle % 3 != 1
                ctx.set(stream.ready, ready)
                valid, beat = ctx.get(stream.valid), ctx.get(stream.payload.as_value())
                assert offered.get(name, beat) == beat and (valid or name not in offered), (name, cycle)
                offered.pop(name, None)
                if valid and ready:
                    seen.append(beat)
                elif valid:
                    offered[name] = beat
            await ctx.tick()

    simulate(test, testbench)
    width, size = arch.format.width, arch.format.width // 8
    assert weights == [int.from_bytes(beat.tobytes(), "little") for beat in want.beats]
    assert [row & (1 << width * arch.rows) - 1 for row in rows] == [
        int.from_bytes(x.tobytes(), "little") for x in want.x]
    flags = np.array([row >> size * 8 * arch.rows for row in rows])
    depth = arch.address_width
    assert np.array_equal(flags & (1 << depth) - 1, want.address)
    for bit, name in enumerate(("accumulate", "switch", "last")):
        assert np.array_equal(flags >> depth + bit & 1, getattr(want, name)), name


def test_bf16_operands_are_in_the_middle_of_the_range():
    want = program(config("bf16"))
    exponents = np.concatenate([want.x.ravel(), want.tiles.ravel()]) >> 7 & 0xFF
    assert exponents.min() == 112 and exponents.max() == 143


def test_every_entry_and_every_size_is_used():
    unit = config(rows=3, depth=40)
    want = program(unit)
    assert sizes(unit) == (40, 1, unit.turnaround, 4)
    assert set(want.address) == set(range(40)) and want.switch.sum() == TILES == len(want.tiles)


def test_signature_takes_in_every_bit():
    results = np.random.default_rng(1).integers(-2**31, 2**31, (50, 5), np.int32)
    right = signature(results)
    for row, column, bit in ((0, 0, 0), (49, 4, 31), (20, 2, 17)):
        wrong = results.copy()
        wrong[row, column] ^= np.int32(-2**31 if bit == 31 else 1 << bit)
        assert signature(wrong) != right
    assert signature(results[:, [1, 0, 2, 3, 4]]) != right and signature(results[[1, 0, *range(2, 50)]]) != right


def test_random_is_xorshift32():
    """Marsaglia, Xorshift RNGs (2003): shifts 13, 17, 5."""
    dut, seen = Random(48, 5), []

    async def testbench(ctx):
        ctx.set(dut.step, 1)
        for _ in range(20):
            seen.append(ctx.get(dut.o))
            await ctx.tick()

    simulate(dut, testbench)
    assert seen == [int.from_bytes(beat.tobytes(), "little") for beat in random_bytes(20, 48, 5)]
    value = seen[0] & 0xFFFFFFFF
    value ^= value << 13 & 0xFFFFFFFF
    value ^= value >> 17
    value ^= value << 5 & 0xFFFFFFFF
    assert seen[1] & 0xFFFFFFFF == value


def test_decimal_counter():
    dut = DecimalCounter(3)

    async def testbench(ctx):
        for count in (7, 4, 88, 3, 899):
            ctx.set(dut.i, 1)
            await ctx.tick().repeat(count)
            ctx.set(dut.i, 0)
            await ctx.tick().repeat(3)
        assert f"{ctx.get(dut.o):x}" == "1"

    simulate(dut, testbench)
    assert sum(DIGITS.values()) == 13
