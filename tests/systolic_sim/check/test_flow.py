"""What can get stuck, one row, tile or instruction around the point where it does: emulator, cycle model, hardware."""

import subprocess
import sys
import time

import numpy as np
import pytest

from systolic import isa
from systolic.config import Arch, Config
from systolic.gateware.matrix.row_reader import RowReader
from systolic.isa import ErrorCode, operation
from systolic.tpu_config import TPU_PRESETS, TpuConfig, tpu_preset
from systolic_sim.check.accesses import access_faults
from systolic_sim.check.flow import Flow
from systolic_sim.check.units import Limits
from systolic_sim.claims.check import compare_any
from systolic_sim.cycles.row_reader import RowReader as SteppedRowReader
from systolic_sim.emulator import Emulator, EmulatorError
from systolic_sim.programs.hazard import hazard_program
from systolic_sim.programs.random import Case, random_program
from systolic_sim.rtl.tpu import TpuRtl

# More rows than columns and a wide bus; a row of weights in three bus words, and no more results than are in flight.
ODD = TpuConfig(matrix=Config(arch=Arch(
    rows=5, cols=3, accumulator_depth=48, result_fifo_depth=48, weight_fifo_depth=1)),
                lanes=2, buffer_size=16 * 256, bus_bytes=16, burst_beats=4, reads_in_flight=2, name="odd")
THIN = TpuConfig(matrix=Config(arch=Arch(rows=3, cols=10, accumulator_depth=20, weight_fifo_depth=2)),
                 lanes=4, buffer_size=16 * 256, bus_bytes=4, burst_beats=3, reads_in_flight=2, name="thin")
MACHINES = {each.name: each for each in (ODD, THIN, tpu_preset("tpu_4x4"))}
AT, SIZE = 0x6000, 512
HALT, SYNC = operation("halt"), operation("sync")


@pytest.fixture(scope="module", params=MACHINES)
def machine(request):
    config = MACHINES[request.param]
    return config, TpuRtl(config)


def weights(tpu, count, *, memory=0x1000, diagonal=0, missing=0):
    size = tpu.tile_bytes(diagonal=bool(diagonal))
    return operation("read_weights", memory=memory, tile_count=count, memory_size=count * size - missing,
                     diagonal=diagonal)


def multiply(tpu, rows, *, tiles=1, **values):
    """So many rows of a tile, or last rows of sums if it finishes: as few rows a tile as do it."""
    depth = tpu.matrix.arch.accumulator_depth
    sums = next(count for count in range(1, rows + 1) if rows % count == 0 and rows // count <= depth)
    return operation("matrix_multiply", **{"size": SIZE, "x_count": rows // sums, "n_count": sums, "c_count": tiles}
                     | values)


def activate(rows, *, base=0, **values):
    return operation("activate", base=base, size=1, x_count=rows, parameters=SIZE, **values)


def product(tpu, rows, *more, **values):
    """All tiles, loads of all bytes, and a multiply that finishes so many rows."""
    op = multiply(tpu, rows, finish=1, **values)
    return [operation("read_host_memory", memory=0, memory_size=SIZE + 64, size=SIZE + 64, row_bytes=SIZE + 64),
            weights(tpu, op.n_count * op.c_count), op, *more]


# Each kind: a program of a size, and the largest size at which it halts.

def results_held_by_a_conflict(tpu, n):
    """activate writes where the multiply still reads."""
    return [*product(tpu, n), activate(n), HALT]


def results_held_by_a_sync(tpu, n):
    return [*product(tpu, n), SYNC, activate(n), HALT]


def results_held_by_a_third_multiply(tpu, n):
    """Two are in flight."""
    more = [multiply(tpu, 1, reuse=1), multiply(tpu, 1, reuse=1)]
    return [*product(tpu, n), *more, activate(n, base=1024), HALT]


def results_held_behind_an_activate(tpu, n):
    """Of all but the last five sums: what it takes makes room."""
    return [*product(tpu, n + 5), activate(5, base=1024), SYNC, activate(n, base=1024), HALT]


def rows_without_a_tile_before_a_sync(tpu, n):
    return [*product(tpu, 1)[:1], multiply(tpu, n, n_count=1, x_count=n), SYNC, weights(tpu, 1), HALT]


def rows_without_a_tile_before_a_load(tpu, n):
    """It overwrites what they were made of."""
    load = product(tpu, 1)[0]
    return [load, multiply(tpu, n, n_count=1, x_count=n), load, weights(tpu, 1), HALT]


def rows_without_a_tile_before_an_error(tpu, n):
    """The row after n that are right is outside the region, and reported if it is got at."""
    rows = tpu.matrix.arch.rows
    return [*product(tpu, 1)[:1], operation("matrix_multiply", size=rows + n - 1, x_count=n + 2, x_stride=1), HALT]


def tiles_before_a_sync(tpu, n):
    return [weights(tpu, n), SYNC, multiply(tpu, 1, tiles=n), HALT]


def tiles_across_pages_before_a_sync(tpu, n):
    """Bursts end where pages do."""
    return [weights(tpu, n, memory=0x2000 - 5 * tpu.bus_bytes), SYNC, multiply(tpu, 1, tiles=n), HALT]


def diagonals_before_a_sync(tpu, n):
    return [weights(tpu, n, diagonal=1), SYNC, multiply(tpu, 1, tiles=n), HALT]


def tiles_before_a_third_read(tpu, n):
    """Two reads are in flight; behind the third, the multiply that would make room."""
    return [weights(tpu, n), weights(tpu, 1), weights(tpu, 1), multiply(tpu, 1, tiles=n + 2), HALT]


def tiles_in_small_reads(tpu, n):
    return [*[weights(tpu, 1)] * n, multiply(tpu, 1, tiles=n), HALT]


def tiles_after_a_switch(tpu, n):
    """One tile in use, and rows of the next product at the gate for want of room."""
    results = Limits(tpu).results
    op = multiply(tpu, results + 1, finish=1, size=SIZE)
    return [*product(tpu, 1)[:1], weights(tpu, op.n_count), op, weights(tpu, n), SYNC, activate(results + 1, base=1024),
            multiply(tpu, 1, tiles=n), HALT]


RESULTS = {
    results_held_by_a_conflict: lambda tpu: Limits(tpu).results + Limits(tpu).rows,
    results_held_by_a_sync: lambda tpu: Limits(tpu).results + 2,
    results_held_by_a_third_multiply: lambda tpu: Limits(tpu).results + Limits(tpu).rows,
    results_held_behind_an_activate: lambda tpu: Limits(tpu).results + 2,
    rows_without_a_tile_before_a_sync: lambda tpu: 2,
    rows_without_a_tile_before_a_load: lambda tpu: 18,
}
TILES = [tiles_before_a_sync, tiles_across_pages_before_a_sync, diagonals_before_a_sync, tiles_before_a_third_read,
         tiles_in_small_reads, tiles_after_a_switch]


def case_of(program):
    rng = np.random.default_rng(0)
    code = np.frombuffer(isa.encode(program), np.uint8)
    memory = rng.integers(0, 256, AT + code.size, np.uint8)
    memory[SIZE:SIZE + 16] = np.frombuffer(np.array([0, 1 << 30, -4, 0], "<i4").tobytes(), np.uint8)
    memory[AT:] = code
    return Case(program=program, memory=memory, address=AT, spare=0, window=(0, SIZE))


def errors(tpu, program):
    return Flow(tpu).run(isa.encode(program)).errors


def agree(tpu, rtl, program):
    """Everybody agrees on the end, whatever the latency and the stalls; its error."""
    case = case_of(program)
    ends = {compare_any(tpu, case, rtl=rtl, latency=latency, stalls=stalls, seed=seed).error
            for seed, (latency, stalls) in enumerate([(1, 0), (30, 0), (10, 0.5), (10, {"r": 0.9})])}
    assert len(ends) == 1
    return ends.pop()


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
def test_rows_and_results_around_their_room(machine, kind):
    tpu, rtl = machine
    most = RESULTS[kind](tpu)
    for size in range(max(1, most - 2), most + 4):
        assert agree(tpu, rtl, kind(tpu, size)) == (None if size <= most else ErrorCode.WATCHDOG), size


@pytest.mark.parametrize("kind", TILES, ids=lambda kind: kind.__name__)
def test_tiles_around_their_room(machine, kind):
    """How many there is room for depends on bursts: wherever the model has the end, hardware has it too."""
    tpu, rtl = machine
    most = next(size for size in range(1, 400) if errors(tpu, kind(tpu, size + 1)))
    for size in range(max(1, most - 1), most + 3):
        assert agree(tpu, rtl, kind(tpu, size)) == (None if size <= most else ErrorCode.WATCHDOG), size


@pytest.mark.parametrize("shift", range(1, 9, 2))
def test_tiles_at_every_place_in_a_page(machine, shift):
    tpu, rtl = machine

    def program(size):
        return [weights(tpu, size, memory=0x1800 + shift * 3 * tpu.bus_bytes), SYNC, multiply(tpu, 1, tiles=size), HALT]
    most = next(size for size in range(1, 400) if errors(tpu, program(size + 1)))
    assert agree(tpu, rtl, program(most)) is None
    assert agree(tpu, rtl, program(most + 1)) == ErrorCode.WATCHDOG


def test_an_error_is_met_by_the_row_after_those_that_wait(machine):
    tpu, rtl = machine
    for good in range(12, 18):
        program = rows_without_a_tile_before_an_error(tpu, good)
        assert agree(tpu, rtl, program) == (ErrorCode.REGION if good <= Limits(tpu).rows else ErrorCode.WATCHDOG)


def test_an_error_is_met_by_the_tile_after_those_that_wait(machine):
    """A tile that is not in its region, behind so many that fit or do not."""
    tpu, rtl = machine
    met = []
    for good in range(1, 400):
        program = [weights(tpu, good), weights(tpu, 1, missing=1), HALT]
        met.append(errors(tpu, program)[0][0])
        if met[-1] == ErrorCode.WATCHDOG:
            break
    for size in range(max(1, good - 2), good + 3):
        assert agree(tpu, rtl, [weights(tpu, size), weights(tpu, 1, missing=1), HALT]) == (
            ErrorCode.REGION if size < good else ErrorCode.WATCHDOG), size


@pytest.mark.parametrize("program, expected", [
    ([activate(1), HALT], (ErrorCode.WATCHDOG, 1)),
    ([activate(1), activate(1), operation("load_table"), HALT], (ErrorCode.WATCHDOG, 2)),
    ([activate(1), operation("read_host_memory", memory_size=1, size=1, row_bytes=1), HALT], (ErrorCode.WATCHDOG, 1)),
    ([activate(1), SYNC, operation("set_configuration", rounding=3)], (ErrorCode.WATCHDOG, 1)),
    # What the sequencer gets to is its own error, whatever waits.
    ([activate(1), operation("set_configuration", rounding=3)], (ErrorCode.FIELD, 1)),
    ([activate(1), activate(2)], (ErrorCode.END, 2)), ([activate(1)], (ErrorCode.END, 1)),
    # Its second region is not looked at before the first is free, and none as long as its unit is full.
    ([activate(1), operation("pool", base=0, size=1, from_base=1, from_size=2**31)], (ErrorCode.BUFFER, 1)),
    ([activate(1), operation("write_host_memory", memory_size=1, base=0, size=2**31, row_bytes=1)],
     (ErrorCode.BUFFER, 1)),
    ([activate(1), activate(1), operation("load_table", from_base=2**31)], (ErrorCode.WATCHDOG, 2)),
    ([activate(1, base=64), operation("matrix_multiply", base=64, size=2**31)], (ErrorCode.BUFFER, 1)),
])
def test_where_the_sequencer_stands(machine, program, expected):
    tpu, rtl = machine
    assert errors(tpu, program) == [expected]
    assert agree(tpu, rtl, program) == expected[0]


def test_what_comes_late_comes(machine):
    """Sums before their product, products before their tiles; with the rounding of the instruction, not of the day."""
    tpu, rtl = machine
    load, tiles, op = product(tpu, 6)
    store = operation("write_host_memory", memory=0x800, memory_size=64, base=1024, size=64, row_bytes=64)
    clear = operation("read_host_memory", memory=0, memory_size=64, base=1024, size=64, row_bytes=64)
    late = [activate(6, base=1024), operation("set_configuration", rounding=2), operation("nop"), op, tiles]
    assert agree(tpu, rtl, [load, clear, *late, store, HALT]) is None


def test_errors_side_by_side():
    """The first in the program is reported, and all are known; one behind a wait for the first is none."""
    tpu = tpu_preset("tpu_4x4")
    transfer = operation("read_host_memory", memory_size=1, size=8, row_bytes=8)
    short = operation("pool", base=64, size=8, channels=8, from_base=64, start=64, from_size=7, parameters=128)
    wrong = operation("set_configuration", rounding=3)
    for program, expected in (
        ([transfer, short, wrong], [(ErrorCode.REGION, 0), (ErrorCode.REGION, 1), (ErrorCode.FIELD, 2)]),
        ([short, SYNC, wrong], [(ErrorCode.REGION, 0)]), ([transfer, transfer, HALT], [(ErrorCode.REGION, 0)]),
        ([transfer, transfer, transfer, wrong], [(ErrorCode.REGION, 0)]),
    ):
        with pytest.raises(EmulatorError) as error:
            Emulator(tpu, np.zeros(4096, np.uint8)).run(program)
        assert error.value.possible == set(expected) and (error.value.code, error.value.index) == expected[0]


def test_bus_error_and_region_of_one_unit():
    """Bursts are asked for ahead, so the error of a later row may come first; none comes after its own unit's."""
    tpu = tpu_preset("tpu_4x4")
    silent = operation("read_host_memory", memory=8192, memory_size=8, size=8, row_bytes=8)
    short = operation("read_host_memory", memory_size=1, size=8, row_bytes=8)
    for program, expected in (([silent, short], {(7, 0), (5, 1)}), ([silent, silent], {(7, 0)}),
                              ([short, silent], {(5, 0)})):
        with pytest.raises(EmulatorError) as error:
            Emulator(tpu, np.zeros(4096, np.uint8)).run([*program, HALT])
        assert error.value.possible == expected


def test_the_room_is_that_of_the_hardware():
    assert RowReader.QUEUE == SteppedRowReader.QUEUE == Limits(tpu_preset("tpu_4x4")).rows - Limits.GATE


# Random programs have no data area for tpu_v1.
@pytest.mark.parametrize("name", sorted(TPU_PRESETS.keys() - {"tpu_v1"}))
def test_random_legal_programs_flow(name):
    tpu = tpu_preset(name)
    for seed in range(20):
        assert errors(tpu, random_program(tpu, seed).program) == []


def test_counts_are_of_no_matter():
    """The largest loops there are take no longer than small ones."""
    tpu = tpu_preset("tpu_v1")
    most = {"x_count": 2048, "c_count": 65535, "n_count": 65535, "kx_count": 255, "ky_count": 255}
    op = operation("matrix_multiply", finish=1, size=2**16, x_stride=16, **most)
    take = operation("activate", base=2**20, size=2**16, x_count=65535, y_count=65535, parameters=2**17)
    start = time.process_time()
    tiles = operation("read_weights", memory_size=2**32 - 1, tile_count=65535)
    flow = Flow(tpu).run(isa.encode([tiles, op, take, HALT]))
    assert flow.errors == [(ErrorCode.WATCHDOG, 3)] and flow.stuck.waits_for == "tile"
    assert time.process_time() - start < 1


def test_no_amaranth():
    code = "import sys, systolic_sim.check.flow, systolic_sim.emulator; sys.exit('amaranth' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_hazard_programs_are_of_all_kinds():
    """A good part halts; and the sequencer waits in each way for each thing that there is to wait for."""
    ends, reasons = [], set()
    for tpu in MACHINES.values():
        for seed in range(300):
            flow = Flow(tpu).run(isa.encode(hazard_program(tpu, seed).program))
            ends.append(flow.errors[0][0] if flow.errors else None)
            reasons |= {(flow.stuck.reason, flow.stuck.waits_for)} if flow.stuck else set()
    assert ends.count(None) > 300 and ends.count(ErrorCode.WATCHDOG) > 200
    assert {ErrorCode.LEFTOVER, ErrorCode.END, ErrorCode.REGION, ErrorCode.BUFFER, ErrorCode.FIELD} <= set(ends)
    assert reasons >= {(reason, each) for reason in ("quiet", "unit", "conflict")
                       for each in ("tile", "results", "room for results", "room for weights")}


def test_accesses_of_large_instructions_need_no_memory_of_their_size():
    tpu = tpu_preset("tpu_8x8")
    pool = operation("pool", size=2**15, x_count=65535, y_count=65535, from_size=8, channels=1, y_stride=1)
    start = time.process_time()
    assert access_faults(tpu, pool)[0].error == ErrorCode.REGION
    assert time.process_time() - start < 2
