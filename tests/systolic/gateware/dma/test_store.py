"""The storer: what is in memory afterwards, its bursts, its errors, its pace."""

import collections
import random

import pytest

from systolic import isa
from systolic.config import Arch, Config
from systolic.gateware.dma.store import Storer
from systolic.gateware.lib.axi import INCR
from systolic.tpu_config import TpuConfig

BUFFER, MEMORY = 4096, 4 * 4096

#: bus_bytes, burst_beats
BUSES = [(4, 1), (4, 256), (8, 16), (16, 5)]


def make(bus_bytes, burst_beats=16):
    return TpuConfig(matrix=Config(arch=Arch(rows=4, cols=4)), lanes=1, buffer_size=BUFFER, bus_bytes=bus_bytes,
                     burst_beats=burst_beats)


def transfer(rng, config):
    """An operation of up to 1,200 bytes, inside memory and buffer."""
    row_count, row_bytes = rng.choice([(1, rng.randint(1, 1200)), (rng.randint(2, 9), rng.randint(1, 100))])
    step = config.bus_bytes
    stride, memory_stride = rng.randint(0, 120), rng.randrange(1 + 300 // step) * step
    memory_size, size = (row_count - 1) * memory_stride + row_bytes, (row_count - 1) * stride + row_bytes
    return isa.operation(
        "write_host_memory", row_count=row_count, row_bytes=row_bytes,
        memory=rng.randrange((MEMORY - memory_size) // step) * step, memory_stride=memory_stride,
        memory_size=memory_size, base=rng.randrange(BUFFER - size + 1), stride=stride, size=size)


class Bench:
    """A storer between a buffer and a memory that take their time.

    Parameters
    ----------
    rates : tuple of float
        How often the buffer takes a read, memory takes an address, takes a word, and has a response.
    faulty : int or None
        The response, counted from 0, that is an error.
    words_first : bool
        Memory takes no address before its burst's first word is on offer, as a slave may.
    """

    def __init__(self, config, rng, *, rates=(1, 1, 1, 1), faulty=None, words_first=False):
        self.config, self.rng, self.rates, self.faulty, self.words_first = config, rng, rates, faulty, words_first
        self.memory, self.buffer = bytearray(MEMORY), rng.randbytes(BUFFER)
        self.bursts, self.words, self.dones, self.errors = [], [], [], []
        self.stop_at = None

    def run(self, simulate, operations, cycles=20000):
        """Until all is done, an error occurs or the cycles are over, and 100 more."""
        self.dut = Storer(self.config)
        self.commands = collections.deque(enumerate(operations))
        self.reads = collections.deque([None] * self.config.READ_LATENCY)
        self.addressed, self.burst, self.answers = collections.deque(), [], 0

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
        ctx.set(dut.sequencer.command.valid, bool(self.commands))
        if self.commands:
            index, operation = self.commands[0]
            words = int.from_bytes(isa.encode([operation]), "little")
            ctx.set(dut.sequencer.command.payload, {"index": index + 7, "words": words})
            if ctx.get(dut.sequencer.command.ready):
                self.commands.popleft()
        self._read(ctx, ready[0])
        self._respond(ctx, ready[3])
        self._take(ctx, cycle, ready[1], ready[2])
        if ctx.get(dut.sequencer.done):
            self.dones.append((cycle, self.answers))
        error = ctx.get(dut.sequencer.error)
        if error.valid:
            self.errors.append((error.code, error.index - 7))
        assert ctx.get(dut.idle) == (len(self.bursts) + ctx.get(dut.bus.aw.valid) == self.answers) or self.answered

    def _read(self, ctx, ready):
        read, address = self.dut.read, self.reads.pop()
        ctx.set(read.request.ready, ready)
        ctx.set(read.valid, address is not None)
        if address is not None:
            ctx.set(read.data, int.from_bytes(self.buffer[address:][:self.config.banks], "little"))
        self.reads.appendleft(ctx.get(read.request.payload) if ready and ctx.get(read.request.valid) else None)

    def _respond(self, ctx, ready):
        b = self.dut.bus.b
        self.answered = bool(self.addressed) and self.addressed[0] == "written" and ready
        assert ctx.get(b.ready)
        ctx.set(b.valid, self.answered)
        if self.answered:
            self.addressed.popleft()
            ctx.set(b.payload.resp, 2 if self.answers == self.faulty else 0)
            self.answers += 1

    def _take(self, ctx, cycle, aw_ready, w_ready):
        aw, w, bus_bytes = self.dut.bus.aw, self.dut.bus.w, self.config.bus_bytes
        if self.words_first:
            aw_ready = aw_ready and (ctx.get(w.valid) or bool(self.burst))
        ctx.set(aw.ready, aw_ready)
        ctx.set(w.ready, w_ready)
        if ctx.get(aw.valid) and aw_ready:
            address = ctx.get(aw.payload)
            last = address.addr + (address.len + 1) * bus_bytes - 1
            assert address.burst == INCR and 1 << address.size == bus_bytes and not address.addr % bus_bytes
            assert address.len < self.config.burst_beats and address.addr // 4096 == last // 4096
            self.bursts.append((cycle, address.addr, address.len + 1))
            self.addressed.append((address.addr, address.len + 1))
        if ctx.get(w.valid) and w_ready:
            word = ctx.get(w.payload)
            self.burst.append((word.data.to_bytes(bus_bytes, "little"), word.strb))
            self.words.append((cycle, word.last))
        self._place()

    def _place(self):
        """Puts bursts in memory whose address and data are both there."""
        for position, burst in enumerate(self.addressed):
            if burst == "written" or len(self.burst) < burst[1]:
                if burst == "written":
                    continue
                return
            for offset, (data, strobes) in enumerate(self.burst[:burst[1]]):
                at = burst[0] % MEMORY + offset * self.config.bus_bytes
                for byte in range(len(data)):
                    if strobes >> byte & 1:
                        self.memory[at + byte] = data[byte]
            del self.burst[:burst[1]]
            self.addressed[position] = "written"


@pytest.mark.parametrize("rates", [(1, 1, 1, 1), (0.6, 0.1, 0.9, 0.9), (0.9, 0.9, 0.4, 0.2), (0.3, 1, 1, 1)])
@pytest.mark.parametrize("bus", BUSES)
def test_copies(simulate, bus, rates):
    """Every byte where it belongs and no other touched; last words marked; dones in order, none before its response."""
    rng, config = random.Random(str((bus, rates))), make(*bus)
    operations = [transfer(rng, config) for _ in range(4)]
    bench, want = Bench(config, rng, rates=rates, words_first=rates[0] == 0.3), bytearray(MEMORY)
    for each in operations:
        for row in range(each.row_count):
            at, start = each.memory + row * each.memory_stride, each.base + row * each.stride
            want[at:at + each.row_bytes] = bench.buffer[start:start + each.row_bytes]
    bench.run(simulate, operations)
    assert bench.memory == want and not bench.errors
    lasts = [last for beats in (beats for _, _, beats in bench.bursts) for last in [0] * (beats - 1) + [1]]
    assert [last for _, last in bench.words] == lasts
    ends = [0]
    for each in operations:
        beats = ends[-1] + each.row_count * -(-each.row_bytes // config.bus_bytes)
        ends.append(beats)
    beats, bursts = 0, []
    for count, (_, _, more) in enumerate(bench.bursts, 1):
        beats += more
        if beats in ends:
            bursts.append(count)
    assert len(bench.dones) == len(bursts) == len(operations)
    assert all(answers >= count for (_, answers), count in zip(bench.dones, bursts, strict=True))


@pytest.mark.parametrize("values", [
    {"size": 99}, {"stride": 61}, {"stride": -1}, {"memory_size": 95}, {"memory_stride": 64}, {"memory": 2**32 - 64},
    {"memory": 2**32 - 32}, {"row_bytes": 2**24 - 1},
])
def test_rows_outside_their_regions(simulate, values):
    """``region`` with the instruction's index; no other byte of memory than that of a row inside is touched."""
    good = {"memory": 0, "memory_stride": 56, "memory_size": 96, "base": 32, "stride": 60, "size": 100,
            "row_count": 2, "row_bytes": 40}
    operations = [isa.operation("write_host_memory", **each) for each in (good, good | values)]
    bench = Bench(make(8), random.Random(1)).run(simulate, operations)
    assert bench.errors == [(isa.ErrorCode.REGION, 1)] and len(bench.dones) <= 1
    assert all(address + 8 * beats <= 96 or address >= 2**32 - 64 for _, address, beats in bench.bursts)
    assert len(bench.words) == sum(beats for _, _, beats in bench.bursts)


@pytest.mark.parametrize("faulty, index", [(0, 0), (1, 0), (2, 1)])
def test_bus_error(simulate, faulty, index):
    """``bus_write`` with the index of the instruction whose burst it was; bursts begun before it are finished."""
    operations = [isa.operation("write_host_memory", memory_size=256, size=256, row_bytes=256, memory=1024 * step)
                  for step in range(3)]
    bench = Bench(make(8), random.Random(1), rates=(1, 1, 1, 0.02), faulty=faulty).run(simulate, operations)
    assert bench.errors == [(isa.ErrorCode.BUS_WRITE, index)] and len(bench.dones) == index
    assert len(bench.words) == sum(beats for _, _, beats in bench.bursts)


def test_stop(simulate):
    """No address after it but the one on offer; bursts begun are finished."""
    bench = Bench(make(8), random.Random(1), rates=(1, 0.1, 1, 1))
    bench.stop_at = 60
    bench.run(simulate, [isa.operation("write_host_memory", memory_size=4096, size=4096, row_bytes=4096)], cycles=1500)
    assert len([cycle for cycle, _, _ in bench.bursts if cycle > 60]) <= 1
    assert len(bench.words) == sum(beats for _, _, beats in bench.bursts) < 512
    assert bench.answers == len(bench.bursts)


def test_full_rate(simulate):
    """A word each cycle, from the first to the last of several instructions."""
    operations = [isa.operation("write_host_memory", memory=64 * step, memory_size=4000, size=4000, row_bytes=4000)
                  for step in range(3)]
    bench = Bench(make(8), random.Random(1)).run(simulate, operations)
    cycles = [cycle for cycle, _ in bench.words]
    assert cycles == [*range(cycles[0], cycles[0] + 3 * 500)]
