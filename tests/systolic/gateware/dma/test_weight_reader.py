"""The weight reader: the rows that come out, its errors, its pace."""

import collections
import random

import pytest

from systolic import isa
from systolic.config import Arch, Config
from systolic.gateware.dma.weight_reader import WeightReader
from systolic.tpu_config import TpuConfig

#: rows, cols, bus_bytes: several rows in a bus word, one, and one in several words.
SHAPES = [(1, 1, 4), (3, 3, 8), (5, 3, 16), (8, 8, 8), (5, 7, 8), (12, 20, 8), (3, 9, 4), (20, 6, 4)]


def make(rows, cols, bus_bytes, burst_beats=16):
    return TpuConfig(matrix=Config(arch=Arch(rows=rows, cols=cols)), lanes=1, buffer_size=4096, bus_bytes=bus_bytes,
                     burst_beats=burst_beats)


def store(config, tile):
    """Bytes in memory of rows of weights, in the order in which they come."""
    per_beat, width = config.weight_rows_per_beat, config.weight_beats_per_row * config.bus_bytes
    words = [b"".join(map(bytes, tile[start:start + per_beat])) for start in range(0, len(tile), per_beat)]
    return b"".join(word.ljust(width, b"\xEE") for word in words)


def spread(arch, row):
    """Rows, last first, of the tile whose diagonal that is."""
    return [[row[c] if c == r else 0 for c in range(arch.cols)] for r in reversed(range(arch.rows))]


def tiles(rng, config, count, diagonal, memory):
    """Puts random tiles at the end of a memory; the operation that reads them, and the rows that must come out."""
    arch, rows = config.matrix.arch, []
    first = len(memory)
    for _ in range(count):
        tile = [[rng.randrange(256) for _ in range(arch.cols)] for _ in range(1 if diagonal else arch.rows)]
        memory += store(config, tile)
        rows += spread(arch, tile[0]) if diagonal else tile
    return isa.operation("read_weights", memory=first, memory_size=len(memory) - first, tile_count=count,
                         diagonal=diagonal), rows


async def run(ctx, dut, memory, operations, rng, rates=(1, 1, 1), latency=24, faulty=None, cycles=6000):
    """Rows that come out with their cycles, dones, errors. The memory answers after ``latency`` cycles."""
    bus_bytes, beats = dut.config.bus_bytes, collections.deque()
    rows, dones, errors, commands = [], [], [], collections.deque(enumerate(operations))
    for cycle in range(cycles):
        ready = [rng.random() < rate for rate in rates]
        ctx.set(dut.request.ready, ready[0])
        ctx.set(dut.weights.ready, ready[2])
        ctx.set(dut.sequencer.command.valid, bool(commands))
        if commands:
            words = int.from_bytes(isa.encode([commands[0][1]]), "little")
            ctx.set(dut.sequencer.command.payload, {"index": commands[0][0], "words": words})
            if ctx.get(dut.sequencer.command.ready):
                commands.popleft()
        valid = bool(beats) and beats[0][0] <= cycle and ready[1]
        ctx.set(dut.beat.valid, valid)
        if valid:
            _, at, last = beats.popleft()
            ctx.set(dut.beat, {"valid": 1, "data": int.from_bytes(memory[at:at + bus_bytes], "little"), "last": last,
                               "error": at == faulty})
        if ctx.get(dut.request.valid) and ready[0]:
            request = ctx.get(dut.request.payload)
            finish = request.address + request.beats * bus_bytes
            assert 1 <= request.beats <= dut.config.burst_beats
            assert request.address // 4096 == (finish - 1) // 4096 and finish <= len(memory)
            beats.extend((cycle + latency, at, at + bus_bytes == finish)
                         for at in range(request.address, finish, bus_bytes))
        if ctx.get(dut.weights.valid) and ready[2]:
            rows.append((cycle, list(ctx.get(dut.weights.payload))))
        if ctx.get(dut.sequencer.done):
            dones.append(cycle)
        if ctx.get(dut.sequencer.error.valid):
            errors.append((ctx.get(dut.sequencer.error.code), ctx.get(dut.sequencer.error.index)))
        await ctx.tick()
        if (errors or len(dones) == len(operations)) and cycle > 150 + (rows[-1][0] if rows else 0):
            break
    return rows, dones, errors


@pytest.mark.parametrize("rates", [(1, 1, 1), (0.5, 0.8, 0.5)])
@pytest.mark.parametrize("rows, cols, bus_bytes", SHAPES)
def test_rows(simulate, rows, cols, bus_bytes, rates):
    """Full tiles and diagonals in turn, across 4 KB; all rows of all tiles, in order, as they are in memory."""
    rng, config = random.Random(str((rows, cols, rates))), make(rows, cols, bus_bytes, rows)
    memory = bytearray(rng.randbytes(4096 - 4 * bus_bytes))
    operations, want = zip(*[tiles(rng, config, rng.randint(1, 4), diagonal, memory)
                             for diagonal in (0, 1, 1, 0, 0, 1)], strict=True)
    dut = WeightReader(config)

    async def testbench(ctx):
        got, dones, errors = await run(ctx, dut, memory, operations, rng, rates)
        assert [row for _, row in got] == sum(want, [])
        assert len(dones) == len(operations) and not errors
    simulate(dut, testbench)


@pytest.mark.parametrize("rows, cols, bus_bytes", [(8, 8, 8), (16, 16, 8), (12, 20, 8), (8, 8, 16)])
def test_full_rate(simulate, rows, cols, bus_bytes):
    """With a memory that takes 20 cycles, and the DMA its 4: a bus word each cycle, or a row where that has several."""
    rng, config, memory = random.Random(1), make(rows, cols, bus_bytes), bytearray()
    operations, _ = zip(*[tiles(rng, config, 6, False, memory) for _ in range(3)], strict=True)
    dut = WeightReader(config)

    async def testbench(ctx):
        got, _, _ = await run(ctx, dut, memory, operations, rng)
        step = config.weight_beats_per_row
        assert [cycle for cycle, _ in got] == [*range(got[0][0], got[0][0] + 18 * rows * step, step)]
    simulate(dut, testbench)


@pytest.mark.parametrize("values", [
    {"memory_size": 3 * 64 - 1}, {"tile_count": 4}, {"memory": 2**32 - 128}, {"memory_size": 23, "diagonal": 1},
])
def test_tiles_outside_the_region(simulate, values):
    """``region`` with the instruction's index; the tiles before it may come, no other."""
    rng, config, memory = random.Random(1), make(8, 8, 8), bytearray()
    operation, want = tiles(rng, config, 3, False, memory)
    operations = [operation, isa.operation("read_weights", **operation.values | values)]
    if operations[1].memory:
        memory = _Anywhere()
        want = None
    dut = WeightReader(config)

    async def testbench(ctx):
        got, dones, errors = await run(ctx, dut, memory, operations, rng)
        assert errors == [(isa.ErrorCode.REGION, 1)] and len(dones) <= 1
        if want and not operations[1].diagonal:
            assert [row for _, row in got] == (want + want)[:len(got)]
    simulate(dut, testbench)


class _Anywhere:
    """A memory with zeros up to its last byte."""

    def __len__(self):
        return 2**32

    def __getitem__(self, where):
        return bytes(8)


@pytest.mark.parametrize("faulty, index", [(0, 0), (7 * 8, 0), (8 * 8, 1)])
def test_bus_error(simulate, faulty, index):
    """``bus_read`` with the index of the instruction whose beat it was; no row of that beat or later comes out."""
    rng, config, memory = random.Random(1), make(8, 8, 8), bytearray()
    operations, want = zip(*[tiles(rng, config, 1, False, memory) for _ in range(2)], strict=True)
    dut = WeightReader(config)

    async def testbench(ctx):
        got, dones, errors = await run(ctx, dut, memory, operations, rng, faulty=faulty)
        assert errors == [(isa.ErrorCode.BUS_READ, index)] and len(dones) == index
        assert [row for _, row in got] == sum(want, [])[:faulty // 8]
    simulate(dut, testbench)
