"""The switch of the memory bus: two masters at once, each reads what it wrote."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from systolic.gateware.lib.axi import INCR
from systolic.gateware.lib.axi_switch import AxiSwitch
from systolic.gateware.lib.on_chip_memory import OnChipMemory

BYTES, SIZE = 4, 512


@pytest.mark.parametrize("seed", range(4))
def test_two_masters(seed):
    """Bursts of both, up to two reads under way, with pauses on every channel; nobody waits for ever."""
    m = Module()
    m.submodules.switch = switch = AxiSwitch(bus_bytes=BYTES)
    m.submodules.memory = storage = OnChipMemory(size=2 * SIZE, bus_bytes=BYTES)
    wiring.connect(m, switch.bus, storage.bus)
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    for number, bus in enumerate(switch.masters):
        simulator.add_testbench(_master(bus, number * SIZE, random.Random(f"{seed} {number}")))
    simulator.run_until(1.0)
    for number in range(2):
        assert _done.pop(number * SIZE) == 40


_done = {}


def _master(bus, base, rng):
    async def testbench(ctx):
        words = [0] * (SIZE // BYTES)
        _done[base] = 0
        for _ in range(40):
            first = rng.randrange(len(words))
            beats = rng.randint(1, min(9, len(words) - first))
            await (write if rng.random() < 0.5 else read)(ctx, words, first, beats)
            await ctx.tick().repeat(rng.choice([1, 1, 5, 30]))
            _done[base] += 1

    async def offer(ctx, channel, **payload):
        ctx.set(channel.payload, payload)
        ctx.set(channel.valid, 1)
        await ctx.tick().until(channel.ready)
        ctx.set(channel.valid, 0)
        await ctx.tick().repeat(rng.choice([1, 1, 2]))

    async def write(ctx, words, first, beats):
        await offer(ctx, bus.aw, addr=base + BYTES * first, len=beats - 1, size=2, burst=INCR)
        for at in range(first, first + beats):
            words[at] = rng.getrandbits(8 * BYTES)
            await offer(ctx, bus.w, data=words[at], strb=15, last=at == first + beats - 1)
        ctx.set(bus.b.ready, 1)
        response, = await ctx.tick().sample(bus.b.payload.resp).until(bus.b.valid)
        ctx.set(bus.b.ready, 0)
        assert response == 0

    async def read(ctx, words, first, beats):
        bursts = rng.randint(1, 2)
        for _ in range(bursts):
            await offer(ctx, bus.ar, addr=base + BYTES * first, len=beats - 1, size=2, burst=INCR)
        for _ in range(bursts):
            await take(ctx, words, first, beats)

    async def take(ctx, words, first, beats):
        for at in range(first, first + beats):
            ctx.set(bus.r.ready, 1)
            data, last = await ctx.tick().sample(bus.r.payload.data, bus.r.payload.last).until(bus.r.valid)
            ctx.set(bus.r.ready, 0)
            assert (data, last) == (words[at], at == first + beats - 1)
            await ctx.tick().repeat(rng.choice([1, 2]))
    return testbench
