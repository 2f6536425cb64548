"""The whole matrix unit in Amaranth's simulator: results under stalls, and when its streams wait."""

import dataclasses
import random
import types

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from systolic.config import Arch, Config, Impl
from systolic.gateware.matrix.matrix_unit import MatrixUnit
from systolic_sim.cycles.matrix_unit import SteppedMatrixUnit
from systolic_sim.cycles.schedule import schedule
from systolic_sim.golden.matrix_unit import MatrixUnit as GoldenMatrixUnit
from systolic_sim.golden.program import Program, matmul_program, random_program

CONFIGS = {
    "1x1": Config(arch=Arch(rows=1, cols=1, accumulator_depth=1, weight_fifo_depth=1)),
    "3x2": Config(arch=Arch(rows=3, cols=2, accumulator_depth=4, weight_fifo_depth=1),
                  impl=Impl(product_stages=0, psum_stages=2, hop_stages=2, gate_stages=1, memory_stages=2)),
    "4x5": Config(arch=Arch(rows=4, cols=5, accumulator_depth=9, weight_fifo_depth=2), impl=Impl(adder_stages=2)),
    "bf16": Config(arch=Arch(rows=2, cols=2, format="bf16", accumulator_depth=5), impl=Impl(psum_stages=3)),
    "5x3, two taps": Config(arch=Arch(rows=5, cols=3, accumulator_depth=9, weight_fifo_depth=2, taps=2)),
    "4x6, four taps": Config(arch=Arch(rows=4, cols=6, accumulator_depth=9, weight_fifo_depth=2, taps=4),
                             impl=Impl(psum_stages=2, hop_stages=2, gate_stages=1)),
    "6x4, three taps": Config(arch=Arch(rows=6, cols=4, accumulator_depth=9, weight_fifo_depth=2, taps=3),
                              impl=Impl(psum_stages=3, hop_stages=1)),
}
SMALL = CONFIGS["3x2"]


def elements(values):
    """A vector of a stream as unsigned integers."""
    return [int(value) for value in values.view(np.uint8 if values.dtype == np.int8 else np.uint16)]


def row_beats(program):
    fields = ("address", "accumulate", "switch", "last")
    fields += ("depthwise", "fills") if program.depthwise.any() or program.fills.any() else ()
    return [{"data": elements(x)} | {field: int(getattr(program, field)[n]) for field in fields}
            for n, x in enumerate(program.x)]


async def play(ctx, unit, program, *, stall=0.0, seed=0, stop=None):
    """Run a program, each stream holding back at random; handshakes by the cycle, and the results."""
    rng = random.Random(seed)
    inputs = [(unit.weights, [elements(beat) for beat in program.beats]), (unit.rows, row_beats(program))]
    accepted, taken, results, offered = [[], []], [], [], [False, False]
    waiting = None
    for cycle in range(stop or 3000):
        for k, (stream, beats) in enumerate(inputs):
            offered[k] = len(accepted[k]) < len(beats) and (offered[k] or rng.random() >= stall)
            ctx.set(stream.valid, offered[k])
            if offered[k]:
                ctx.set(stream.payload, beats[len(accepted[k])])
        ready = rng.random() >= stall
        ctx.set(unit.results.ready, ready)
        *_, weights_ready, rows_ready, valid, payload = await ctx.tick().sample(
            unit.weights.ready, unit.rows.ready, unit.results.valid, unit.results.payload.as_value())
        assert waiting is None or (valid and payload == waiting), "a result changed before it was taken"
        waiting = payload if valid and not ready else None
        for k, now in enumerate((weights_ready, rows_ready)):
            if offered[k] and now:
                accepted[k].append(cycle)
                offered[k] = False
        if valid and ready:
            taken.append(cycle)
            results.append([payload >> 32 * c & 0xFFFFFFFF for c in range(unit.config.arch.cols)])
        if stop is None and len(accepted[1]) == len(program) and len(taken) == program.last.sum():
            break
    else:
        assert stop, f"no end: {len(accepted[1])} of {len(program)} rows, {len(taken)} results"
    for stream in (unit.weights, unit.rows):
        ctx.set(stream.valid, 0)
    ctx.set(unit.results.ready, 0)
    return types.SimpleNamespace(weights=accepted[0], rows=accepted[1], taken=taken, results=results)


def golden(config, program):
    return GoldenMatrixUnit(config.arch).run(program).view(np.uint32).tolist()


def run_after_reset(simulate, config, bench):
    """Run ``bench(ctx, unit, reset)``, where ``await reset()`` resets the unit for a cycle."""
    unit, rst = MatrixUnit(config), Signal()

    async def testbench(ctx):
        async def reset():
            ctx.set(rst, 1)
            await ctx.tick()
            ctx.set(rst, 0)
        await bench(ctx, unit, reset)
    simulate(ResetInserter(rst)(unit), testbench)


@pytest.mark.parametrize("name", CONFIGS)
def test_random_programs(simulate, name):
    """Results equal the golden model's whatever the stalls, and without any, cycles equal the cycle model's."""
    config, rng = CONFIGS[name], np.random.default_rng(len(name))
    programs = [random_program(config.arch, rng, tiles=int(rng.integers(1, 5))) for _ in range(8)]

    async def bench(ctx, unit, reset):
        for n, program in enumerate(programs):
            played = await play(ctx, unit, program, stall=(0, 0.3, 0, 0.7)[n % 4], seed=n)
            assert played.results == golden(config, program)
            if n % 2 == 0:
                predicted = schedule(config, program)
                assert played.rows == predicted.accepted.tolist()
                assert played.taken == predicted.results.tolist()
            await reset()
    run_after_reset(simulate, config, bench)


@pytest.mark.parametrize("name", CONFIGS)
def test_products_lose_no_cycle(simulate, name):
    """M rows and more tiles than the FIFO holds, weights and all: R + 2 cycles, one for each row, and the fill."""
    config = CONFIGS[name]
    arch = config.arch
    m, tiles, rng = max(arch.rows, config.turnaround), 6, np.random.default_rng(3)
    m = min(m, arch.accumulator_depth)
    x, w = (rng.integers(-128, 128, shape, np.int8) for shape in ((m, arch.rows * 2), (arch.rows * 2, arch.cols * 3)))
    if arch.format.name == "bf16":
        x, w = x.astype(np.uint16) & 0x3FFF, w.astype(np.uint16) & 0x3FFF
    program = matmul_program(arch, x, w)

    async def bench(ctx, unit, reset):
        played = await play(ctx, unit, program)
        assert played.results == golden(config, program)
        if m >= config.turnaround:
            # The first two rows wait at the gate for their weights.
            first = config.weight_latency + arch.rows - 1
            assert played.rows == [0, 1, *range(first + 2, first + m * tiles)]
            assert played.taken[-1] == first + m * tiles - 1 + config.latency
    run_after_reset(simulate, config, bench)


@pytest.mark.parametrize("name", CONFIGS)
def test_reset_in_mid_flight(simulate, name):
    """Whatever is on its way, after a cycle of reset the next program runs as the first one would."""
    config, rng = CONFIGS[name], np.random.default_rng(11)

    async def bench(ctx, unit, reset):
        for n in range(10):
            interrupted = random_program(config.arch, rng, tiles=4)
            stop = int(rng.integers(1, 2 * config.latency + 6 * config.arch.rows))
            await play(ctx, unit, interrupted, stall=0.4 * (n % 2), seed=n, stop=stop)
            await reset()
            assert not ctx.get(unit.results.valid)
            program = random_program(config.arch, rng, tiles=2)
            played = await play(ctx, unit, program)
            assert played.results == golden(config, program)
            assert played.rows == schedule(config, program).accepted.tolist()
            await reset()
    run_after_reset(simulate, config, bench)


@pytest.mark.parametrize("name", CONFIGS)
def test_latency_of_one_row(simulate, name):
    """Weights into the array ``weight_latency`` after their beat; a result ``latency`` after a row that waits not."""
    config, rows = CONFIGS[name], CONFIGS[name].arch.rows
    program = random_program(config.arch, np.random.default_rng(1), tiles=1, max_rows=1)
    assert len(program) == 1 and program.last[0]

    async def bench(ctx, unit, reset):
        played = await play(ctx, unit, program)
        assert played.weights == list(range(rows)) and played.rows == [0]
        assert played.taken == [rows - 1 + config.weight_latency + config.latency]
        await reset()
        await load(ctx, unit, program.beats)
        await ctx.tick().repeat(config.weight_latency)
        played = await play(ctx, unit, dataclasses.replace(program, tiles=program.tiles[:0]))
        assert played.rows == [0] and played.taken == [config.latency]
    run_after_reset(simulate, config, bench)


def simple(config, n, **columns):
    """n rows of ones; the weights of tile t are all t + 1."""
    arch, tiles = config.arch, columns.pop("tiles", 1)
    fields = {"address": np.arange(n) % arch.accumulator_depth, "accumulate": np.zeros(n, bool),
              "switch": np.arange(n) == 0, "last": np.ones(n, bool)}
    weights = np.ones((tiles, arch.rows, arch.cols), np.int8) * np.arange(1, tiles + 1, dtype=np.int8)[:, None, None]
    return Program(tiles=weights, x=np.ones((n, arch.rows), np.int8),
                   **fields | {name: np.array(value) for name, value in columns.items()})


async def rows_offered(ctx, unit, beats, cycles, *, results_ready=1):
    """Offer rows as fast as they are taken; the cycles in which they were."""
    ctx.set(unit.results.ready, results_ready)
    accepted = []
    for cycle in range(cycles):
        ctx.set(unit.rows.valid, len(accepted) < len(beats))
        ctx.set(unit.rows.payload, beats[min(len(accepted), len(beats) - 1)])
        *_, ready = await ctx.tick().sample(unit.rows.ready)
        if ready and len(accepted) < len(beats):
            accepted.append(cycle)
    ctx.set(unit.rows.valid, 0)
    return accepted


async def load(ctx, unit, beats):
    ctx.set(unit.weights.valid, 1)
    for beat in beats:
        ctx.set(unit.weights.payload, elements(beat))
        *_, ready = await ctx.tick().sample(unit.weights.ready)
        assert ready
    ctx.set(unit.weights.valid, 0)


def test_first_row_switches_unasked(simulate):
    program = simple(SMALL, 4, tiles=2, switch=[False, False, True, False])

    async def bench(ctx, unit, reset):
        for _ in range(2):
            played = await play(ctx, unit, program)
            assert [row[0] for row in played.results] == [3, 3, 6, 6]
            await reset()
    run_after_reset(simulate, SMALL, bench)


def test_switch_waits_for_its_tile(simulate):
    """Until the cycle after the tile's last weights entered the array; rows that do not switch run on."""
    config, tile = SMALL, simple(SMALL, 1).beats
    beats = row_beats(simple(config, 5, switch=[False, False, True, False, False]))

    async def bench(ctx, unit, reset):
        # Two fit into the gate.
        assert await rows_offered(ctx, unit, beats, 20) == [0, 1]
        await load(ctx, unit, tile[:-1])
        assert await rows_offered(ctx, unit, beats[2:], 20) == []
        await load(ctx, unit, tile[-1:])
        # One of the cycles of weight_latency has gone by; the first row goes one after it, and makes room in the next.
        # Then two more wait, of which the first switches.
        assert await rows_offered(ctx, unit, beats[2:], 20) == [config.weight_latency + 1, config.weight_latency + 2]
        assert not ctx.get(unit.rows.ready)
    run_after_reset(simulate, config, bench)


def test_accumulating_row_waits_for_its_entry(simulate):
    """Until ``turnaround`` cycles after the row before on its entry, and not for other entries."""
    for config in (SMALL, CONFIGS["4x5"]):
        turn = config.turnaround
        program = simple(config, 6, address=[0, 0, 1, 0, 0, 1], accumulate=[0, 1, 0, 0, 1, 1])

        async def bench(ctx, unit, reset, config=config, program=program, turn=turn):
            played = await play(ctx, unit, program)
            start = played.taken[0]
            want = [0, turn, turn + 1, turn + 2, 2 * turn + 2, 2 * turn + 3]
            assert [cycle - start for cycle in played.taken] == want
            assert [row[0] // config.arch.rows for row in played.results] == [1, 2, 1, 1, 2, 2]
        run_after_reset(simulate, config, bench)


@pytest.mark.parametrize("name", ["1x1", "3x2", "4x5"])
def test_results_not_taken_stop_last_rows_alone(simulate, name):
    """``result_fifo_depth`` results wait, whatever the gaps between their rows; then last rows do too, others do not;
    room for one lets one go."""
    config = CONFIGS[name]
    depth = config.result_fifo_depth
    program = simple(config, depth + 5)
    beats = row_beats(program)
    silent = row_beats(simple(config, 5, switch=[False] * 5, last=[False] * 5))

    async def bench(ctx, unit, reset):
        # After a while at full rate, results leaving in the cycles in which rows come, as after reset.
        await play(ctx, unit, simple(config, 3 * depth))
        await load(ctx, unit, program.beats)
        await ctx.tick().repeat(config.arch.rows + config.weight_latency)
        assert await rows_offered(ctx, unit, beats[:depth], depth, results_ready=0) == list(range(depth))
        assert await rows_offered(ctx, unit, silent, 5, results_ready=0) == [0, 1, 2, 3, 4]
        # Two fill the gate.
        assert await rows_offered(ctx, unit, beats[depth:], 2 * depth, results_ready=0) == [0, 1]
        del beats[:depth + 2]
        for _ in range(3):
            ctx.set(unit.results.ready, 1)
            assert ctx.get(unit.results.valid)
            await ctx.tick()
            assert len(await rows_offered(ctx, unit, beats, 9, results_ready=0)) == 1
            del beats[:1]
        # The rest comes out one a cycle, with nothing missing: not the two at the gate either.
        ctx.set(unit.results.ready, 1)
        count = 0
        while ctx.get(unit.results.valid):
            count += 1
            assert ctx.get(unit.results.payload[0]) == config.arch.rows
            await ctx.tick()
        assert count == depth + 2
    run_after_reset(simulate, config, bench)


@pytest.mark.parametrize("gap", range(1, 7))
@pytest.mark.parametrize("name", ["1x1", "4x5"])
def test_the_last_room_is_taken_after_any_gap(simulate, name, gap):
    """Exactly ``result_fifo_depth`` rows go, and two wait at the gate, however far apart the last of them came."""
    config = CONFIGS[name]
    depth = config.result_fifo_depth
    program = simple(config, depth + 5)
    beats = row_beats(program)

    async def bench(ctx, unit, reset):
        await load(ctx, unit, program.beats)
        await ctx.tick().repeat(config.arch.rows + config.weight_latency)
        accepted = len(await rows_offered(ctx, unit, beats[:depth - 4], 2 * depth, results_ready=0))
        for beat in beats[accepted:]:
            accepted += len(await rows_offered(ctx, unit, [beat], 1, results_ready=0))
            ctx.set(unit.rows.valid, 0)
            await ctx.tick().repeat(gap)
        accepted += len(await rows_offered(ctx, unit, beats[accepted:], 20, results_ready=0))
        assert accepted == depth + 2
    run_after_reset(simulate, config, bench)


def test_weights_wait_when_the_fifo_is_full(simulate):
    """Rows beyond ``weight_fifo_rows`` and the tile in the shadow weights are not taken until a switch."""
    config = SMALL
    held = config.weight_fifo_rows + config.arch.rows
    program = simple(config, 1, tiles=9)

    async def bench(ctx, unit, reset):
        stopped = await play(ctx, unit, simple(config, 0, tiles=9, last=[]), stop=40)
        assert len(stopped.weights) == held
        assert await rows_offered(ctx, unit, row_beats(program), 1) == [0]
        taken = 0
        ctx.set(unit.weights.valid, 1)
        for _ in range(20):
            *_, ready = await ctx.tick().sample(unit.weights.ready)
            taken += ready
        assert taken == config.arch.rows
    run_after_reset(simulate, config, bench)


def test_bf16_overflow_half_way_down(simulate):
    """-2**127 twice is minus infinity, and stays so although 2**127 follows below."""
    config = Config(arch=Arch(rows=3, cols=1, format="bf16"), impl=Impl(psum_stages=3))
    program = matmul_program(config.arch, np.array([[0xFF00, 0xFF00, 0x7F00]], np.uint16),
                             np.full((3, 1), 0x3F80, np.uint16))

    async def bench(ctx, unit, reset):
        played = await play(ctx, unit, program)
        assert played.results == golden(config, program) == [[0xFF800000]]
    run_after_reset(simulate, config, bench)


@pytest.mark.parametrize("name", CONFIGS)
def test_status_and_outputs_are_those_of_the_stepped_model(simulate, name):
    """In every cycle, whatever the streams do, and with each of the things the array can do."""
    config, rng, seen = CONFIGS[name], np.random.default_rng(3), set()
    model, dut = SteppedMatrixUnit(config), MatrixUnit(config)
    program = random_program(config.arch, rng, tiles=25, max_rows=config.arch.rows)
    rows, left = row_beats(program), len(program.beats)

    async def testbench(ctx):
        nonlocal left
        while rows:
            offers = left > 0 and rng.random() < 0.8, rng.random() < 0.9, rng.random() < 0.9
            for signal, value in zip((dut.weights.valid, dut.rows.valid, dut.results.ready), offers, strict=True):
                ctx.set(signal, value)
            ctx.set(dut.rows.payload, rows[0])
            outputs = [ctx.get(signal) for signal in (dut.weights.ready, dut.rows.ready, dut.results.valid)]
            assert outputs == [model.weights_ready, model.rows_ready, model.results_valid]
            row = (None if rows[0].get("fills") else rows[0]["address"],
                   *(rows[0][field] for field in ("accumulate", "switch", "last")))
            weights_taken, row_taken, _ = model.step(offers[0], row if offers[1] else None, offers[2])
            left -= weights_taken
            del rows[:row_taken]
            status = {"active": model.active, "weight_stall": model.weight_stall, "weight_shift": model.weight_shift}
            assert status == {field: ctx.get(dut.status[field]) for field in status}
            seen.add(tuple(field for field, value in status.items() if value))
            await ctx.tick()
    simulate(dut, testbench)
    assert seen == {(), ("active",), ("weight_stall",), ("weight_shift",)}
