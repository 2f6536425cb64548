"""Every mapping onto primitives: the Verilog that is synthesized, on models of them, against the golden model."""

import dataclasses

import numpy as np
import pytest

from systolic.config import Arch, Config, Impl
from systolic.tpu_config import tpu_preset
from systolic_boards.devices import device
from systolic_sim.claims.check import compare, compare_illegal
from systolic_sim.cycles import schedule as cycles
from systolic_sim.golden.matrix_unit import MatrixUnit
from systolic_sim.golden.program import Program, random_program
from systolic_sim.programs.illegal import KINDS
from systolic_sim.rtl.matrix_unit import MatrixUnitRtl
from systolic_sim.rtl.primitives import models_for
from systolic_sim.rtl.tpu import TpuRtl

MAPPINGS = [("generic", stages) for stages in range(4)] + [
    (mapping, stages) for mapping in ("ecp5_dsp", "ecp5_lut", "ice40_dsp", "gowin_dsp") for stages in (1, 2, 3)]


@pytest.mark.parametrize("mapping, stages", MAPPINGS)
def test_all_pairs_of_int8(mapping, stages):
    config = Config(arch=Arch(rows=1, cols=2), impl=Impl(multiplier=mapping, product_stages=stages))
    values = np.arange(-128, 128, dtype=np.int8)
    program = Program(
        tiles=np.stack([values, values[::-1]], 1)[:, None], x=np.tile(values, 256)[:, None],
        address=np.zeros(65536, int), accumulate=np.zeros(65536, bool),
        switch=np.arange(65536) % 256 == 0, last=np.ones(65536, bool))
    results, _ = MatrixUnitRtl(config).run(program)
    wide = values.astype(np.int32)
    assert np.array_equal(results[:, 0], np.multiply.outer(wide, wide).ravel())
    assert np.array_equal(results[:, 1], np.multiply.outer(wide[::-1], wide).ravel())


@pytest.mark.parametrize("rows, cols, lanes, roundings", [(8, 8, 4, 3), (5, 6, 3, 2), (3, 4, 4, 1)])
def test_a_whole_tpu_for_the_ecp5(rows, cols, lanes, roundings):
    """Sums and comparisons in carry chains, scaling in DSP blocks, memories in block RAM: every byte, counter and
    cycle, and every kind of error."""
    base = tpu_preset("tpu_8x8")
    arch = dataclasses.replace(base.matrix.arch, rows=rows, cols=cols)
    tpu = device("ecp5-85f").implement(dataclasses.replace(
        base, lanes=lanes, roundings=roundings, matrix=Config(arch=arch, name="ecp5_unit"), name=f"ecp5_{rows}x{cols}"))
    rtl = TpuRtl(tpu, optimise=False)
    for seed in range(8):
        compare(tpu, seed, rtl=rtl, latency=(1, 4, 10, 30)[seed % 4], bytes_per_cycle=(None, 1.5)[seed % 2])
        compare(tpu, seed, rtl=rtl, stalls=(0.1, 0.4, 0.7)[seed % 3])
    for kind in KINDS:
        compare_illegal(tpu, kind, 3, rtl=rtl)


def test_all_pairs_of_addresses():
    """The row gate compares them in carry chains: a row waits for those before it, of equal address, and no others."""
    depth = 512
    config = Config(arch=Arch(rows=1, cols=1, accumulator_depth=depth),
                    impl=Impl(memory="ecp5_block", memory_stages=3, gate_stages=1))
    address = np.concatenate([np.insert(np.arange(a, depth), np.arange(depth - a), a) for a in range(depth)])
    pairs = np.unique(address[:-1] * depth + address[1:])
    assert len(pairs) == depth**2 - 1  # all but the last address with the first
    rng = np.random.default_rng(0)
    n = len(address) + depth
    program = Program(
        tiles=np.ones((1, 1, 1), np.int8), x=rng.integers(-128, 128, (n, 1), np.int8),
        address=np.concatenate([np.arange(depth), address]), accumulate=np.arange(n) >= depth,
        switch=np.arange(n) == 0, last=np.ones(n, bool))
    results, run = MatrixUnitRtl(config).run(program)
    assert np.array_equal(results, MatrixUnit(config.arch).run(program))
    assert run.cycles == cycles.schedule(config, program).total


@pytest.mark.parametrize("format, impl", [
    ("int8", {"multiplier": "ecp5_dsp", "product_stages": 2, "lut_rows": 2}),
    ("int8", {"multiplier": "ecp5_dsp", "product_stages": 2, "lut_rows": 5}),
    ("int8", {"multiplier": "ecp5_dsp", "memory": "ecp5_block", "memory_stages": 3}),
    ("int8", {"multiplier": "ice40_dsp", "hop_stages": 2}),
    ("int8", {"multiplier": "gowin_dsp", "product_stages": 3}),
    ("bf16", {"multiplier": "gowin_dsp", "product_stages": 3}),
    ("bf16", {"multiplier": "ecp5_dsp", "product_stages": 2, "psum_stages": 4}),
    ("bf16", {"memory": "ecp5_block", "memory_stages": 3, "psum_stages": 3}),
])
def test_random_programs(format, impl):
    config = Config(arch=Arch(rows=5, cols=3, format=format), impl=Impl(**impl))
    rtl = MatrixUnitRtl(config)
    for seed in range(20):
        program = random_program(config.arch, np.random.default_rng(seed))
        results, _ = rtl.run(program, stalls=0.3 if seed % 2 else None, seed=seed)
        assert np.array_equal(results, MatrixUnit(config.arch).run(program))


def test_models_are_of_what_is_instantiated():
    assert models_for("module m;\n  CCU2C #(\n  ) x (\n") .count("endmodule") == 1
    assert "module SB_MAC16" in models_for("  SB_MAC16 #(\n.MODE_8x8(1))\n") and not models_for("  SB_IO x (\n")
