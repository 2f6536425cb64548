"""Compiled TPU, emulator and cycle model on the same random programs."""

import dataclasses

import pytest

from systolic import verilog
from systolic.config import Impl
from systolic.gateware.sequencer.scoreboard import Scoreboard
from systolic.tpu_config import tpu_preset
from systolic_sim.claims.check import CheckError, compare, compare_hazard, compare_illegal
from systolic_sim.programs.illegal import KINDS
from systolic_sim.rtl.tpu import TpuRtl

TPU = tpu_preset("tpu_4x4")


@pytest.fixture(scope="module")
def rtl():
    return TpuRtl(TPU)


@pytest.mark.parametrize("seed", range(12))
def test_bytes_counters_and_cycles(rtl, seed):
    """Against memories of several latencies and bandwidths."""
    options = {"latency": (1, 4, 30)[seed % 3], "bytes_per_cycle": (None, None, None, 1.5)[seed % 4]}
    assert compare(TPU, seed, rtl=rtl, **options).cycles > 400


@pytest.mark.parametrize("seed", range(100, 112))
def test_bytes_with_stalls(rtl, seed):
    stalls = (0.1, 0.5, {"r": 0.8}, {"w": 0.6, "b": 0.9})[seed % 4]
    compare(TPU, seed, rtl=rtl, stalls=stalls)


@pytest.mark.parametrize("kind", KINDS)
def test_illegal_programs(rtl, kind):
    """The documented error at the documented instruction, and all is well after a restart; with and without stalls."""
    for seed, stalls in ((3, 0.0), (4, 0.4)):
        assert compare_illegal(TPU, kind, seed, rtl=rtl, stalls=stalls).error == KINDS[kind][0]


@pytest.mark.parametrize("seed", range(40))
def test_hazard_programs(rtl, seed):
    """Halt, an error or the watchdog, at the instruction that the emulator says: at any latency and with stalls."""
    options = {"latency": (1, 10, 40)[seed % 3], "stalls": (0, 0, 0.4)[seed // 3 % 3]}
    compare_hazard(TPU, seed, rtl=rtl, **options)


@pytest.mark.parametrize("kilobytes", [8, 64, 256])
def test_on_the_primitives_of_an_ecp5(kilobytes):
    """Products in DSP blocks; banks in block RAM of 9, 4 and 1 bits, of all that a bank is split into."""
    impl = Impl(multiplier="ecp5_dsp", product_stages=2, memory="ecp5_block", memory_stages=3)
    config = dataclasses.replace(TPU, matrix=dataclasses.replace(TPU.matrix, impl=impl), buffer_size=1024 * kilobytes)
    rtl = TpuRtl(config)
    for seed in range(3):
        compare(config, seed, rtl=rtl)


def test_a_scoreboard_that_misses_conflicts_is_found_out(monkeypatch):
    def blind(self, platform):
        m = build(self, platform)
        m.d.comb += self.conflict.eq(0)
        return m
    build = Scoreboard.build
    monkeypatch.setattr(Scoreboard, "build", blind)
    rtl = TpuRtl(TPU, design=verilog.generate(TPU))
    with pytest.raises(CheckError, match="bytes of memory differ"):
        for seed in range(5):
            compare(TPU, seed, rtl=rtl, latency=30, timing=False)
