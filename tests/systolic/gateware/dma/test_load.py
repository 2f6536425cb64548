"""The loader: what is in the buffer afterwards, its bursts, its errors, its pace."""

import collections
import random

import pytest

from systolic import isa
from systolic.config import Arch, Config
from systolic.gateware.dma.load import Loader
from systolic.tpu_config import TpuConfig

BUFFER, MEMORY = 4096, 4 * 4096

#: bus_bytes, burst_beats, reads_in_flight
BUSES = [(4, 1, 1), (4, 256, 4), (8, 16, 8), (16, 5, 3)]


def make(bus_bytes, burst_beats=16, reads_in_flight=8):
    return TpuConfig(matrix=Config(arch=Arch(rows=4, cols=4)), lanes=1, buffer_size=BUFFER, bus_bytes=bus_bytes,
                     burst_beats=burst_beats, reads_in_flight=reads_in_flight)


def transfer(rng, config):
    """An operation of up to 1,200 bytes, inside memory and buffer."""
    row_count, row_bytes = rng.choice([(1, rng.randint(1, 1200)), (rng.randint(2, 9), rng.randint(1, 100))])
    step = config.bus_bytes
    stride, memory_stride = rng.randint(0, 120), rng.randrange(1 + 300 // step) * step
    memory_size, size = (row_count - 1) * memory_stride + row_bytes, (row_count - 1) * stride + row_bytes
    return isa.operation(
        "read_host_memory", row_count=row_count, row_bytes=row_bytes,
        memory=rng.randrange((MEMORY - memory_size) // step) * step, memory_stride=memory_stride,
        memory_size=memory_size, base=rng.randrange(BUFFER - size + 1), stride=stride, size=size)


class Bench:
    """A loader between a memory and a buffer that take their time.

    Parameters
    ----------
    rates : tuple of float
        How often memory takes a request, memory has a beat, and the buffer takes a write.
    latency : int
        Cycles from request to beat, at least.
    faulty : int or None
        The beat, counted from 0, with which the bus reports an error.
    """

    def __init__(self, config, rng, *, rates=(1, 1, 1), latency=4, faulty=None):
        self.config, self.rng, self.rates, self.latency, self.faulty = config, rng, rates, latency, faulty
        self.memory, self.buffer = rng.randbytes(MEMORY), bytearray(BUFFER)
        self.requests, self.writes, self.dones, self.errors = [], [], [], []
        self.stop_at = None

    def run(self, simulate, operations, cycles=20000):
        """Until all is done, an error occurs or the cycles are over, and 100 more."""
        self.dut = Loader(self.config)
        self.commands = collections.deque(enumerate(operations))
        self.beats = collections.deque()

        async def testbench(ctx):
            end = cycles
            for cycle in range(cycles):
                self._step(ctx, cycle)
                await ctx.tick()
                if self.errors or len(self.dones) == len(operations):
                    end = min(end, cycle + 100)
                if cycle >= end:
                    break
        simulate(self.dut, testbench)
        return self

    def _step(self, ctx, cycle):
        dut, ready = self.dut, [self.rng.random() < rate for rate in self.rates]
        ctx.set(dut.stop, self.stop_at is not None and cycle >= self.stop_at)
        ctx.set(dut.request.ready, ready[0])
        ctx.set(dut.write.ready, ready[2])
        ctx.set(dut.sequencer.command.valid, bool(self.commands))
        if self.commands:
            index, operation = self.commands[0]
            words = int.from_bytes(isa.encode([operation]), "little")
            ctx.set(dut.sequencer.command.payload, {"index": index + 7, "words": words})
            if ctx.get(dut.sequencer.command.ready):
                self.commands.popleft()
        self._answer(ctx, cycle, ready[1])
        if ctx.get(dut.request.valid) and ready[0]:
            self._ask(ctx.get(dut.request.payload), cycle)
        if ctx.get(dut.write.valid) and ready[2]:
            write = ctx.get(dut.write.payload)
            assert 1 <= write.count <= self.config.bus_bytes
            self.buffer[write.address:write.address + write.count] = write.data.to_bytes(
                self.config.banks, "little")[:write.count]
            assert len(self.buffer) == BUFFER
            self.writes.append(cycle)
        if ctx.get(dut.sequencer.done):
            self.dones.append((cycle, len(self.writes)))
        error = ctx.get(dut.sequencer.error)
        if error.valid:
            self.errors.append((error.code, error.index - 7))

    def _ask(self, request, cycle):
        bus_bytes = self.config.bus_bytes
        first, last = request.address, request.address + request.beats * bus_bytes - 1
        assert first % bus_bytes == 0 and first // 4096 == last // 4096
        assert 1 <= request.beats <= self.config.burst_beats
        self.requests.append((cycle, first, request.beats))
        for beat in range(request.beats):
            at = (first + beat * bus_bytes) % MEMORY
            self.beats.append((cycle + self.latency, self.memory[at:at + bus_bytes], beat == request.beats - 1))

    def _answer(self, ctx, cycle, willing):
        port = self.dut.beat
        valid = bool(self.beats) and self.beats[0][0] <= cycle and willing
        ctx.set(port.valid, valid)
        if valid:
            _, word, last = self.beats.popleft()
            ctx.set(port.data, int.from_bytes(word, "little"))
            ctx.set(port.last, last)
            ctx.set(port.error, self.faulty == 0)
            self.faulty = None if self.faulty is None else self.faulty - 1


@pytest.mark.parametrize("rates", [(1, 1, 1), (0.4, 0.9, 0.8), (0.9, 0.7, 0.4)])
@pytest.mark.parametrize("bus", BUSES)
def test_copies(simulate, bus, rates):
    """Every byte where it belongs and no other touched; dones in order, none before its last write."""
    rng, config = random.Random(str((bus, rates))), make(*bus)
    operations = [transfer(rng, config) for _ in range(5)]
    bench = Bench(config, rng, rates=rates)
    want, ends = bytearray(BUFFER), []
    for each in operations:
        for row in range(each.row_count):
            at, start = each.base + row * each.stride, each.memory + row * each.memory_stride
            want[at:at + each.row_bytes] = bench.memory[start:start + each.row_bytes]
        ends.append((ends or [0])[-1] + each.row_count * -(-each.row_bytes // config.bus_bytes))
    bench.run(simulate, operations)
    assert bench.buffer == want
    assert not bench.errors and len(bench.writes) == ends[-1]
    assert [writes >= end for (_, writes), end in zip(bench.dones, ends, strict=True)] == [True] * len(ends)


@pytest.mark.parametrize("values", [
    {"size": 99}, {"stride": 61}, {"stride": -1}, {"memory_size": 95}, {"memory_stride": 64},
    {"memory": 2**32 - 64}, {"memory": 2**32 - 32}, {"row_bytes": 2**24 - 1}, {"stride": 2**23 - 1},
])
def test_rows_outside_their_regions(simulate, values):
    """``region`` with the instruction's index; the first row, if inside, may be there, no other byte is touched."""
    good = {"memory": 0, "memory_stride": 56, "memory_size": 96, "base": 32, "stride": 60, "size": 100,
            "row_count": 2, "row_bytes": 40}
    operations = [isa.operation("read_host_memory", **each) for each in (good, good | values)]
    bench = Bench(make(8), random.Random(1)).run(simulate, operations)
    assert bench.errors == [(isa.ErrorCode.REGION, 1)] and len(bench.dones) <= 1
    allowed = {*range(32, 72), *range(92, 132)}
    assert all(not byte or at in allowed for at, byte in enumerate(bench.buffer))
    assert all(address < 96 or address >= 2**32 - 64 for _, address, _ in bench.requests)


def test_last_bytes_of_memory(simulate):
    operation = isa.operation("read_host_memory", memory=2**32 - 64, memory_size=64, size=64, row_bytes=64)
    bench = Bench(make(8), random.Random(1)).run(simulate, [operation])
    assert not bench.errors and bench.buffer[:64] == bench.memory[-64:]


@pytest.mark.parametrize("faulty, index", [(0, 0), (7, 0), (8, 1), (19, 1)])
def test_bus_error(simulate, faulty, index):
    """``bus_read`` with the index of the instruction whose beat it was; nothing from that beat on is written."""
    operations = [isa.operation("read_host_memory", memory_size=64, size=64, row_bytes=64),
                  isa.operation("read_host_memory", memory_size=100, base=100, size=100, row_bytes=100)]
    bench = Bench(make(8), random.Random(1), faulty=faulty).run(simulate, operations)
    assert bench.errors == [(isa.ErrorCode.BUS_READ, index)]
    assert len(bench.dones) == index and len(bench.writes) == faulty


def test_stop(simulate):
    """No request after it but the one on offer; what was asked for is still written."""
    operation = isa.operation("read_host_memory", memory_size=4096, size=4096, row_bytes=4096)
    bench = Bench(make(8), random.Random(1), rates=(0.1, 1, 1))
    bench.stop_at = 60
    bench.run(simulate, [operation], cycles=1500)
    assert len([cycle for cycle, _, _ in bench.requests if cycle > 60]) <= 1
    assert len(bench.writes) == sum(beats for _, _, beats in bench.requests) < 512


@pytest.mark.parametrize("bus", [(8, 16, 8), (8, 32, 2), (64, 64, 8)])
def test_full_rate(simulate, bus):
    """A write each cycle, from the first to the last of several instructions; memory takes 20 cycles, the DMA 4."""
    operations = [isa.operation("read_host_memory", memory=64 * step, memory_size=4000, size=4000, row_bytes=4000)
                  for step in range(3)]
    bench = Bench(make(*bus), random.Random(1), latency=24).run(simulate, operations)
    assert bench.writes == [*range(bench.writes[0], bench.writes[0] + 3 * -(-4000 // bus[0]))]


def test_burst_every_three_cycles(simulate):
    """However short the rows are."""
    operation = isa.operation("read_host_memory", memory_size=160, memory_stride=8, size=100, stride=5, row_count=20,
                              row_bytes=5)
    bench = Bench(make(8), random.Random(1)).run(simulate, [operation])
    cycles = [cycle for cycle, _, _ in bench.requests]
    assert cycles == [*range(cycles[0], cycles[0] + 60, 3)]
