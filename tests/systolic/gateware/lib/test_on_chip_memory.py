"""The on-chip memory: bytes written and read back, strobes, errors, pace."""

import random

import pytest

from systolic.errors import ConfigError
from systolic.gateware.lib.axi import INCR, OKAY, SLVERR
from systolic.gateware.lib.on_chip_memory import OnChipMemory


async def write(ctx, bus, rng, address, words, strobes, pace=1.0, burst=INCR, size=None):
    """One burst; its response and the cycles it took. Data may come before the address."""
    bus_bytes = len(bus.w.payload.strb)
    size = bus_bytes.bit_length() - 1 if size is None else size
    ctx.set(bus.aw.payload, {"addr": address, "len": len(words) - 1, "size": size, "burst": burst})
    addressed, sent = False, 0
    for cycle in range(1000):
        if not ctx.get(bus.aw.valid):
            ctx.set(bus.aw.valid, not addressed and rng.random() < pace)
        if not ctx.get(bus.w.valid):
            ctx.set(bus.w.valid, sent < len(words) and rng.random() < pace)
        if sent < len(words):
            ctx.set(bus.w.payload, {"data": words[sent], "strb": strobes[sent], "last": sent == len(words) - 1})
        ctx.set(bus.b.ready, rng.random() < pace)
        taken_aw, taken_w = (ctx.get(each.valid) and ctx.get(each.ready) for each in (bus.aw, bus.w))
        response = ctx.get(bus.b.payload.resp) if ctx.get(bus.b.valid) and ctx.get(bus.b.ready) else None
        await ctx.tick()
        if taken_aw:
            addressed = True
            ctx.set(bus.aw.valid, 0)
        if taken_w:
            sent += 1
            ctx.set(bus.w.valid, 0)
        if response is not None:
            assert addressed and sent == len(words)
            ctx.set(bus.b.ready, 0)
            return response, cycle
    raise AssertionError("no response")


async def read(ctx, bus, rng, bursts, pace=1.0, burst=INCR):
    """Bursts (address, beats), addressed as early as they can be; (word, response, last, cycle) of each beat."""
    size, pending, got = len(bus.w.payload.strb).bit_length() - 1, list(bursts), []
    want = sum(beats for _, beats in bursts)
    for cycle in range(4000):
        if pending and not ctx.get(bus.ar.valid):
            address, beats = pending[0]
            ctx.set(bus.ar.payload, {"addr": address, "len": beats - 1, "size": size, "burst": burst})
            ctx.set(bus.ar.valid, rng.random() < pace)
        ctx.set(bus.r.ready, rng.random() < pace)
        taken = ctx.get(bus.ar.valid) and ctx.get(bus.ar.ready)
        if ctx.get(bus.r.valid) and ctx.get(bus.r.ready):
            beat = ctx.get(bus.r.payload)
            got.append((beat.data, beat.resp, beat.last, cycle))
        await ctx.tick()
        if taken:
            pending.pop(0)
            ctx.set(bus.ar.valid, 0)
        if len(got) == want:
            return got
    raise AssertionError("beats are missing")


@pytest.mark.parametrize("pace", [1.0, 0.5])
@pytest.mark.parametrize("size, bus_bytes", [(4, 4), (96, 8), (4096, 8), (1024, 64)])
def test_random_bursts(simulate, size, bus_bytes, pace):
    """Like an array of bytes, strobes obeyed."""
    rng, content = random.Random(size + bus_bytes), bytearray(random.Random(1).randbytes(size // 2))
    dut = OnChipMemory(size=size, bus_bytes=bus_bytes, init=bytes(content))
    content.extend(bytes(size - len(content)))
    depth = size // bus_bytes

    async def testbench(ctx):
        for _ in range(8):
            first = rng.randrange(depth)
            beats = rng.randint(1, min(20, depth - first))
            words, strobes = ([rng.getrandbits(bits) for _ in range(beats)] for bits in (8 * bus_bytes, bus_bytes))
            response, _ = await write(ctx, dut.bus, rng, first * bus_bytes, words, strobes, pace)
            assert response == OKAY
            for at, (word, strobe) in enumerate(zip(words, strobes, strict=True), first):
                for byte in range(bus_bytes):
                    if strobe >> byte & 1:
                        content[at * bus_bytes + byte] = word >> 8 * byte & 255
            bursts = [(start * bus_bytes, rng.randint(1, min(20, depth - start)))
                      for start in (rng.randrange(depth) for _ in range(4))]
            got = await read(ctx, dut.bus, rng, bursts, pace)
            want = [(int.from_bytes(content[at:at + bus_bytes], "little"), OKAY, at == start + (beats - 1) * bus_bytes)
                    for start, beats in bursts for at in range(start, start + beats * bus_bytes, bus_bytes)]
            assert [beat[:3] for beat in got] == want
    simulate(dut, testbench)


def test_beyond_its_size(simulate):
    """SLVERR for beats beyond it, however far; what is inside is read and written, and nothing else is."""
    dut, rng = OnChipMemory(size=96, bus_bytes=8), random.Random(1)

    async def testbench(ctx):
        assert (await write(ctx, dut.bus, rng, 80, [1, 2, 3, 4], [255] * 4))[0] == SLVERR
        assert (await write(ctx, dut.bus, rng, 2**31, [5], [255]))[0] == SLVERR
        assert (await write(ctx, dut.bus, rng, 0, [6], [255]))[0] == OKAY
        got = await read(ctx, dut.bus, rng, [(0, 3), (72, 5), (2**32 - 8, 1)])
        assert [beat[0] for beat in got[:6]] == [6, 0, 0, 0, 1, 2]
        assert [beat[1] for beat in got] == [OKAY] * 6 + [SLVERR] * 3
    simulate(dut, testbench)


@pytest.mark.parametrize("burst, size", [(0, 3), (2, 3), (INCR, 2)])
def test_bursts_of_other_kinds(simulate, burst, size):
    """SLVERR for fixed, wrapping and narrow bursts, with as many beats as they should have and no write."""
    dut, rng = OnChipMemory(size=96, bus_bytes=8), random.Random(1)

    async def testbench(ctx):
        assert (await write(ctx, dut.bus, rng, 0, [7, 7], [255] * 2, burst=burst, size=size))[0] == SLVERR
        assert [beat[:3] for beat in await read(ctx, dut.bus, rng, [(0, 2)])] == [(0, OKAY, 0), (0, OKAY, 1)]
        if burst != INCR:
            got = await read(ctx, dut.bus, rng, [(0, 2)], burst=burst)
            assert [beat[1:3] for beat in got] == [(SLVERR, 0), (SLVERR, 1)]
    simulate(dut, testbench)


def test_latency_and_rate(simulate):
    """A read's first beat three cycles after its address, a write's response two after its last; no gaps."""
    dut, rng = OnChipMemory(size=4096, bus_bytes=8), random.Random(1)

    async def testbench(ctx):
        got = await read(ctx, dut.bus, rng, [(0, 16), (256, 16), (64, 16)])
        assert [beat[3] for beat in got] == [*range(3, 51)]
        # Two cycles until the burst takes words, one for each of them, two until the response.
        _, cycles = await write(ctx, dut.bus, rng, 0, [0] * 16, [255] * 16)
        assert cycles == 2 + 16 - 1 + 2
    simulate(dut, testbench)


@pytest.mark.parametrize("options, message", [
    ({"size": 12, "bus_bytes": 8}, "size must be"), ({"size": 0, "bus_bytes": 8}, "size must be"),
    ({"size": 64, "bus_bytes": 12}, "bus_bytes must be"),
    ({"size": 8, "bus_bytes": 8, "init": bytes(9)}, "init must be"),
])
def test_bad_parameters(options, message):
    with pytest.raises(ConfigError, match=message):
        OnChipMemory(**options)
