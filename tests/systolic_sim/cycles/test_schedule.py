"""Cycle model against a simulation of the same rules, one cycle after the other."""

import dataclasses
import time
import types

import numpy as np
import pytest

from systolic.config import Arch, Config, Impl, preset
from systolic_sim.cycles.schedule import fill, schedule
from systolic_sim.golden.program import Program, matmul_program, random_program


def simulate(config, program):
    """Injections, acceptances, entries and results, from registers that are looked at once a cycle."""
    rows, n = config.arch.rows, len(program)
    to_offer, fifo, shadow = len(program.tiles) * rows, [], 0
    injections, accepted, entered, results = [], [], [], []
    in_flight, last_touch, cycle = [], {}, 0
    while len(entered) < n or in_flight:
        room, gate_room = len(fifo) < config.weight_fifo_rows, len(accepted) - len(entered) < 2
        waiting = len(entered) < len(accepted)
        if waiting:
            i = len(entered)
            switch, address = program.switch[i] or i == 0, program.address[i]
            ready = not switch or shadow == rows
            if program.accumulate[i] and address in last_touch:
                ready &= cycle >= last_touch[address] + config.turnaround
            if ready:
                entered.append(cycle)
                last_touch[address] = cycle
                if switch:
                    shadow = 0
                if program.last[i]:
                    in_flight.append(cycle - 1 + config.latency)
        if fifo and fifo[0] + config.weight_latency <= cycle and shadow < rows:
            fifo.pop(0)
            shadow += 1
            injections.append(cycle)
        if to_offer and room:
            to_offer -= 1
            fifo.append(cycle)
        if in_flight and in_flight[0] == cycle:
            results.append(in_flight.pop(0))
        if gate_room and len(accepted) < n:
            accepted.append(cycle)
        cycle += 1
    return injections, accepted, entered, results


def check(config, program):
    """The prediction is what the simulation did, as far as the simulation went."""
    predicted = schedule(config, program)
    injections, accepted, entered, results = simulate(config, program)
    assert predicted.accepted.tolist() == accepted
    assert predicted.entered.tolist() == entered
    assert predicted.results.tolist() == results
    assert predicted.injections[:len(injections)].tolist() == injections
    assert predicted.total == max(accepted + results) + 1


def random_config(rng):
    format = str(rng.choice(["int8", "bf16"]))
    rows, cols = (int(size) for size in rng.integers(1, 7, 2))
    arch = Arch(rows=rows, cols=cols, format=format, weight_fifo_depth=int(rng.integers(1, 4)),
                accumulator_depth=rows + int(rng.integers(0, 12)))
    return Config(arch=arch, impl=Impl(
        product_stages=int(rng.integers(0, 4)), hop_stages=int(rng.integers(1, 3)),
        gate_stages=int(rng.integers(2)), adder_stages=int(rng.integers(1, 3)),
        psum_stages=int(rng.integers(*(1, 5) if format == "int8" else (3, 9))),
        memory_stages=int(rng.integers(1, 3))))


def tall_program(arch, tiles, rows):
    """That many rows on each tile, none of which waits for another."""
    n = tiles * rows
    return Program(
        tiles=np.zeros((tiles, arch.rows, arch.cols), np.int8), x=np.zeros((n, arch.rows), np.int8),
        address=np.arange(n) % arch.accumulator_depth, accumulate=np.zeros(n, bool),
        switch=np.arange(n) % rows == 0, last=np.ones(n, bool))


@pytest.mark.parametrize("seed", range(20))
def test_random_programs(seed):
    rng = np.random.default_rng(seed)
    for _ in range(8):
        config = random_config(rng)
        max_rows = int(rng.choice([1, 2, 3 * config.arch.rows]))
        check(config, random_program(config.arch, rng, max_rows=max_rows))


def test_other_latencies():
    """Numbers that no configuration has: rules that those do not make bite."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        real = random_config(rng)
        config = types.SimpleNamespace(
            arch=real.arch, latency=int(rng.integers(2, 12)), turnaround=int(rng.integers(1, 9)),
            weight_latency=int(rng.integers(1, 6)),
            weight_fifo_rows=real.weight_fifo_rows)
        check(config, random_program(real.arch, rng, tiles=int(rng.integers(1, 10))))


@pytest.mark.parametrize("rows", [1, 3, 8, 11])
def test_no_cycle_lost(rows):
    """With as many rows on a tile as a tile has, every cycle takes a row; with fewer, loading shows."""
    config = preset("int8_8x8")
    predicted = schedule(config, tall_program(config.arch, 9, rows))
    waits = 0 if rows >= 8 else 8 * (8 - rows)
    assert predicted.cycles == 9 * rows + waits + fill(config)
    assert predicted.utilisation == 9 * rows / predicted.cycles


def test_one_small_product():
    """8x8x8 on 8x8: two cycles to the first injection, the tile, the rows, the way through."""
    config = preset("int8_8x8")
    square = np.ones((8, 8), np.int8)
    predicted = schedule(config, matmul_program(config.arch, square, square))
    assert predicted.injections.tolist() == list(range(2, 10))
    assert predicted.entered.tolist() == list(range(10, 18))
    assert predicted.accepted.tolist() == [0, 1, *range(11, 17)]
    assert predicted.total == config.weight_latency + 8 - 1 + 8 + config.latency


def test_accumulating_waits_for_the_turnaround():
    config = preset("bf16_4x4")
    program = dataclasses.replace(
        tall_program(config.arch, 1, 5), address=np.array([3, 3, 1, 3, 3]),
        accumulate=np.array([False, True, False, True, True]))
    steps = np.diff(schedule(config, program).entered)
    assert steps.tolist() == [config.turnaround, 1, config.turnaround - 1, config.turnaround]


def test_unused_tiles():
    """A tile that no row switches to is loaded, and those behind it stay in the FIFO."""
    config = preset("ice40_4x4")
    program = dataclasses.replace(tall_program(config.arch, 1, 6), tiles=np.zeros((3, 4, 4), np.int8))
    assert schedule(config, program).injections.tolist() == [2, 3, 4, 5, 6, 7, 8, 9]


def test_first_row_switches_unasked():
    config = preset("ice40_4x4")
    program = tall_program(config.arch, 2, 5)
    unasked = dataclasses.replace(program, switch=program.switch & (np.arange(10) > 0))
    assert schedule(config, unasked).accepted.tolist() == schedule(config, program).accepted.tolist()


def test_no_results():
    config = preset("ice40_4x4")
    program = dataclasses.replace(tall_program(config.arch, 1, 6), last=np.zeros(6, bool))
    predicted = schedule(config, program)
    assert len(predicted.results) == 0
    assert predicted.cycles == 6


def test_errors():
    config = preset("ice40_4x4")
    program = tall_program(config.arch, 2, 5)
    with pytest.raises(ValueError, match="program must switch from 1 to 1 times, not 2"):
        schedule(config, dataclasses.replace(program, tiles=program.tiles[:1]))
    empty = {name: getattr(program, name)[:0] for name in ("x", "address", "accumulate", "switch", "last", "depthwise",
                                                           "fills")}
    with pytest.raises(ValueError, match="not 0"):
        schedule(config, dataclasses.replace(program, **empty))


def test_quick():
    config = preset("int8_16x16")
    program = tall_program(config.arch, 1000, 100)
    start = time.process_time()
    schedule(config, program)
    assert time.process_time() - start < 1
