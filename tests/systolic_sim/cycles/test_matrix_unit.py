"""The stepped model against the compiled RTL: the cycle of every handshake, and what the array does meanwhile."""

import time

import numpy as np
import pytest

from systolic.config import Arch, Config, Impl, preset
from systolic_sim.cycles.matrix_unit import SteppedMatrixUnit
from systolic_sim.cycles.schedule import schedule
from systolic_sim.golden.program import random_program
from systolic_sim.rtl.matrix_unit import MatrixUnitRtl, _seed

STREAMS = ["weights", "rows", "results"]


def _config(rows, cols, format="int8", *, accumulator_depth=16, weight_fifo_depth=2, result_fifo_depth=0, taps=0,
            **impl):
    return Config(name=f"{format}_{rows}x{cols}", impl=Impl(**impl), arch=Arch(
        rows=rows, cols=cols, format=format, weight_fifo_depth=weight_fifo_depth, result_fifo_depth=result_fifo_depth,
        accumulator_depth=accumulator_depth, taps=taps))


CONFIGS = [
    _config(1, 1, accumulator_depth=1, weight_fifo_depth=1), _config(1, 1, product_stages=0, memory_stages=2),
    _config(3, 5, psum_stages=2, hop_stages=3, gate_stages=1), _config(8, 2, memory_stages=2, weight_fifo_depth=1),
    _config(4, 4, memory="ecp5_block", memory_stages=3), _config(5, 3, result_fifo_depth=50),
    _config(3, 2, memory="ecp5_block", memory_stages=3, gate_stages=1, adder_stages=2, result_fifo_depth=600),
    _config(5, 3, taps=3), _config(4, 6, taps=4, psum_stages=2, hop_stages=3, gate_stages=1),
    _config(2, 3, "bf16"), _config(3, 2, "bf16", psum_stages=3, memory_stages=2, product_stages=1, hop_stages=2),
    _config(2, 2, "bf16", psum_stages=8, gate_stages=1, weight_fifo_depth=1),
]


class Stalls:
    """The harness's decisions to hold back: its generator, xorshift, from the same seed."""

    def __init__(self, stall, seed, name):
        self.threshold, self.state = min(int(stall * 2**32), 2**32 - 1), _seed(seed, name)

    def __call__(self):
        if self.threshold:
            self.state ^= self.state << 13 & 0xFFFFFFFF
            self.state ^= self.state >> 17
            self.state ^= self.state << 5 & 0xFFFFFFFF
        return self.state < self.threshold


def play(unit, program, stalls, seed):
    """Cycles of the handshakes, by stream, of a program in the harness."""
    holds = [Stalls(stalls[name], seed, name) for name in STREAMS]
    address = [None if fills else each for each, fills in zip(program.address.tolist(), program.fills, strict=True)]
    rows = [*zip(address, program.accumulate, program.switch, program.last, strict=True)]
    counts = len(program.beats), len(program), int(program.last.sum())
    accepted, offered = ([], [], []), [False, False]
    while any(len(done) < count for done, count in zip(accepted, counts, strict=True)):
        for k in range(2):
            offered[k] = offered[k] or len(accepted[k]) < counts[k] and not holds[k]()
        ready = len(accepted[2]) < counts[2] and not holds[2]()
        cycle, handshakes = unit.cycle, unit.step(offered[0], rows[len(accepted[1])] if offered[1] else None, ready)
        for k, taken in enumerate(handshakes):
            if taken:
                accepted[k].append(cycle)
                offered[k & 1] &= k == 2
        assert cycle < 100_000
    return dict(zip(STREAMS, accepted, strict=True))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_every_handshake_is_in_the_cycle_of_the_rtl(config):
    rtl, rng = MatrixUnitRtl(config), np.random.default_rng(1)
    for seed in range(40):
        program = random_program(config.arch, rng, max_rows=int(rng.choice([1, 2, 3 * config.arch.rows])))
        stalls = dict(zip(STREAMS, rng.choice([0, 0.2, 0.5, 0.9], 3).tolist(), strict=True))
        _, run = rtl.run(program, stalls=stalls, seed=seed)
        played = play(SteppedMatrixUnit(config), program, stalls, seed)
        assert {name: cycles.tolist() for name, cycles in run.accepted.items()} == played


def test_it_is_the_schedule_when_nothing_stalls():
    rng = np.random.default_rng(2)
    for config in CONFIGS:
        for _ in range(20):
            program = random_program(config.arch, rng)
            played = play(SteppedMatrixUnit(config), program, dict.fromkeys(STREAMS, 0), 0)
            predicted = schedule(config, program)
            assert played["rows"] == predicted.accepted.tolist()
            assert played["results"] == predicted.results.tolist()


def test_quick():
    """More than 200,000 cycles a second on a machine of its own."""
    unit, row = SteppedMatrixUnit(preset("int8_8x8")), (0, False, False, True)
    start = time.process_time()
    for _ in range(50_000):
        unit.step(True, row, True)
    assert time.process_time() - start < 1
