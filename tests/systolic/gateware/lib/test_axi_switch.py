"""The switch of the memory bus: two masters at once, each reads what it wrote."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from systolic.gateware.lib.axi import INCR
from systolic.gateware.lib.axi_switch import AxiSwitch
from systolic.gateware.lib.on_chip_memory import OnChipMemory

BYTES, SIZE, BURSTS = 4, 512, 40


@pytest.mark.parametrize("seed", range(4))
def test_two_masters(seed):
    """Bursts of both, up to three reads under way, with pauses on every channel; nobody waits for ever."""
    m = Module()
    m.submodules.switch = switch = AxiSwitch(bus_bytes=BYTES)
    m.submodules.memory = storage = OnChipMemory(size=2 * SIZE, bus_bytes=BYTES)
    wiring.connect(m, switch.bus, storage.bus)
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    done = [0, 0]
    for number, bus in enumerate(switch.masters):
        simulator.add_testbench(_master(bus, number, done, random.Random(f"{seed} {number}")))
    for cycles in range(1000, 20_000, 1000):
        simulator.run_until(cycles * 1e-6)
        if done == [BURSTS, BURSTS]:
            return
    raise AssertionError(f"bursts that came to an end: {done}")


def _master(bus, number, done, rng):
    base = number * SIZE

    async def testbench(ctx):
        words = [0] * (SIZE // BYTES)
        for _ in range(BURSTS):
            first = rng.randrange(len(words))
            beats = rng.randint(1, min(9, len(words) - first))
            await (write if rng.random() < 0.5 else read)(ctx, words, first, beats)
            await ctx.tick().repeat(rng.choice([1, 1, 5, 30]))
            done[number] += 1

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
        left = rng.randint(1, 3)
        expected = list(range(first, first + beats)) * left
        ctx.set(bus.ar.payload, {"addr": base + BYTES * first, "len": beats - 1, "size": 2, "burst": INCR})
        while expected:
            ctx.set(bus.ar.valid, left > 0)
            ctx.set(bus.r.ready, rng.random() < 0.7)
            *_, addressed, taken, data, last = await ctx.tick().sample(
                bus.ar.valid & bus.ar.ready, bus.r.valid & bus.r.ready, bus.r.payload.data, bus.r.payload.last)
            left -= addressed
            if taken:
                at = expected.pop(0)
                assert (data, last) == (words[at], at == first + beats - 1)
        ctx.set(bus.r.ready, 0)
    return testbench
