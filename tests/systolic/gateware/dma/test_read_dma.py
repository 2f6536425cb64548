"""The read DMA: whose burst comes next, whose beat it is, and how many are under way."""

import collections
import random

import pytest

from systolic.config import Arch, Config
from systolic.gateware.dma.read_dma import ReadDma
from systolic.gateware.lib.axi import INCR
from systolic.tpu_config import TpuConfig

CLIENTS = ("fetch", "weights", "load")


def make(reads_in_flight):
    return ReadDma(TpuConfig(matrix=Config(arch=Arch(rows=4, cols=4)), lanes=1, buffer_size=4096,
                             reads_in_flight=reads_in_flight))


class Bench:
    """Three clients and a memory, at random.

    Parameters
    ----------
    asks : tuple of float
        How often each client asks.
    rates : tuple of float
        How often memory takes an address and has a beat.
    """

    def __init__(self, dut, rng, asks, rates, most_beats=9):
        self.dut, self.rng, self.asks, self.rates, self.most_beats = dut, rng, asks, rates, most_beats
        self.offers = dict.fromkeys(CLIENTS)
        self.asked = {client: collections.deque() for client in CLIENTS}
        self.words, self.bursts, self.open, self.beats = collections.deque(), [], 0, collections.Counter()
        self.held = None
        self.stop = False

    async def step(self, ctx):
        dut, rng = self.dut, self.rng
        for client, rate in zip(CLIENTS, self.asks, strict=True):
            self._client(ctx, client, rng.random() < rate)
        ar, ar_ready = dut.bus.ar, rng.random() < self.rates[0]
        ctx.set(ar.ready, ar_ready)
        ctx.set(dut.stop, self.stop)
        valid, address = ctx.get(ar.valid), ctx.get(ar.payload)
        assert ctx.get(dut.idle) == (self.open == 0 and not valid)
        if self.held:
            assert valid and (address.addr, address.len) == self.held
        self.held = (address.addr, address.len) if valid and not ar_ready else None
        self._memory(ctx)
        if valid and ar_ready:
            assert address.burst == INCR and address.size == 3
            self.bursts.append((address.addr, address.len + 1))
            self.words.extend((address.addr + 8 * beat, beat == address.len) for beat in range(address.len + 1))
            self.open += 1
        assert self.open <= dut.config.reads_in_flight
        await ctx.tick()

    def _client(self, ctx, client, asks):
        stream, beat = getattr(self.dut, client), getattr(self.dut, f"{client}_beat")
        if ctx.get(beat.valid):
            address, last = self.asked[client].popleft()
            assert ctx.get(beat.data) == address * 3 and ctx.get(beat.last) == last
            assert ctx.get(beat.error) == (address % 5 == 0)
            self.beats[client] += 1
        if self.offers[client] is None and asks:
            self.offers[client] = 8 * self.rng.randrange(2**20), self.rng.randint(1, self.most_beats)
        offer = self.offers[client]
        ctx.set(stream.valid, offer is not None)
        if offer:
            ctx.set(stream.payload, {"address": offer[0], "beats": offer[1]})
            if ctx.get(stream.ready):
                self.asked[client].extend((offer[0] + 8 * beat, beat == offer[1] - 1) for beat in range(offer[1]))
                self.offers[client] = None

    def _memory(self, ctx):
        r = self.dut.bus.r
        assert ctx.get(r.ready)
        valid = bool(self.words) and self.rng.random() < self.rates[1]
        ctx.set(r.valid, valid)
        if valid:
            address, last = self.words.popleft()
            self.open -= last
            bad = address % 5 == 0
            ctx.set(r.payload, {"data": address * 3, "last": last, "resp": self.rng.choice([2, 3] if bad else [0, 1])})


@pytest.mark.parametrize("rates", [(1, 1), (0.3, 1), (1, 0.3), (0.5, 0.8)])
@pytest.mark.parametrize("reads_in_flight", [1, 2, 5, 8])
def test_beats_find_their_client(simulate, reads_in_flight, rates):
    """Data, last and error of every beat, in order; never more bursts under way than allowed; all come."""
    dut = make(reads_in_flight)
    bench = Bench(dut, random.Random(str((rates, reads_in_flight))), (0.02, 0.05, 0.1), rates)

    async def testbench(ctx):
        for _ in range(700):
            await bench.step(ctx)
        bench.asks = (0, 0, 0)
        for _ in range(400):
            await bench.step(ctx)
        assert not any(bench.asked.values()) and ctx.get(dut.idle)
        assert min(bench.beats[client] for client in CLIENTS) > 10
    simulate(dut, testbench)


def test_priority(simulate):
    """A burst of fetch goes before one of weights, that before one of load, whoever asked first."""
    dut = make(8)

    async def testbench(ctx):
        ctx.set(dut.stop, 1)
        for number, client in enumerate(reversed(CLIENTS)):
            stream = getattr(dut, client)
            ctx.set(stream.payload, {"address": 8 * number, "beats": 1})
            ctx.set(stream.valid, 1)
            await ctx.tick()
            ctx.set(stream.valid, 0)
        ctx.set(dut.stop, 0)
        ctx.set(dut.bus.ar.ready, 1)
        seen = []
        for _ in range(10):
            await ctx.tick()
            if ctx.get(dut.bus.ar.valid):
                seen.append(ctx.get(dut.bus.ar.payload.addr))
        assert seen == [16, 8, 0]
    simulate(dut, testbench)


def test_stop(simulate):
    """No address is offered after it but the one on offer; beats under way still come; then it is idle."""
    dut = make(8)
    bench = Bench(dut, random.Random(1), (0.1, 0.1, 0.5), (0.5, 0.5))

    async def testbench(ctx):
        for _ in range(200):
            await bench.step(ctx)
        bench.stop = True
        before = len(bench.bursts) + ctx.get(dut.bus.ar.valid)
        for _ in range(200):
            await bench.step(ctx)
        assert len(bench.bursts) == before and not bench.words and ctx.get(dut.idle)
    simulate(dut, testbench)


def test_latency_and_rate(simulate):
    """An address two cycles after its request, a beat one cycle after R; a client's burst every two cycles."""
    dut = make(8)
    bench = Bench(dut, random.Random(1), (0, 0, 1), (1, 1), most_beats=3)

    async def testbench(ctx):
        await bench.step(ctx)
        assert not ctx.get(dut.bus.ar.valid)
        await bench.step(ctx)
        assert ctx.get(dut.bus.ar.valid)
        await bench.step(ctx)
        await bench.step(ctx)
        assert ctx.get(dut.load_beat.valid)
        beats, bursts = bench.beats["load"], len(bench.bursts)
        for _ in range(20):
            await bench.step(ctx)
        assert len(bench.bursts) == bursts + 10 and bench.beats["load"] >= beats + 18
    simulate(dut, testbench)
