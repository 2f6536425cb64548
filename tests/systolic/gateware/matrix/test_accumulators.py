"""The accumulators: what is summed up, when it comes out, and how soon it can be added to."""

import random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from systolic.config import Arch, Config, Impl
from systolic.gateware.matrix.accumulators import Accumulators
from systolic_sim.golden import bf16

CONFIGS = {
    "int8": Config(arch=Arch(rows=2, cols=3, accumulator_depth=5)),
    "int8, two memory stages": Config(arch=Arch(rows=2, cols=3, accumulator_depth=5), impl=Impl(memory_stages=2)),
    "int8, two adder stages": Config(arch=Arch(rows=2, cols=3, accumulator_depth=5), impl=Impl(adder_stages=2)),
    "one entry": Config(arch=Arch(rows=1, cols=1, accumulator_depth=1)),
    "bf16": Config(arch=Arch(rows=2, cols=2, format="bf16", accumulator_depth=12), impl=Impl(psum_stages=3)),
    "bf16, two memory stages": Config(arch=Arch(rows=2, cols=2, format="bf16", accumulator_depth=12),
                                      impl=Impl(psum_stages=5, memory_stages=2)),
}
ALL = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def command(address, accumulate=False, last=True):
    return {"address": address, "accumulate": accumulate, "last": last}


async def play(ctx, unit, rows):
    """Outputs by the cycle, None where there is none, for a row (command, psums as an integer) or None a cycle."""
    config, got = unit.config, []
    for cycle in range(len(rows) + config.turnaround + 1):
        row = rows[cycle] if cycle < len(rows) else None
        ctx.set(unit.command.valid, row is not None)
        ctx.set(unit.command.payload, row[0] if row else command(0))
        # Between rows psums are whatever the array has: they must not matter.
        late = cycle - config.impl.memory_stages
        row = rows[late] if 0 <= late < len(rows) else None
        ctx.set(unit.psums, row[1] if row else (1 << len(unit.psums)) // 3)
        *_, valid, payload = await ctx.tick().sample(unit.o.valid, unit.o.payload)
        got.append(payload if valid else None)
    return got


def run(simulate, config, rows):
    """Outputs in the cycle of their rows."""
    unit, got = Accumulators(config), []

    async def testbench(ctx):
        got.extend(await play(ctx, unit, rows))
    simulate(unit, testbench)
    latency = config.impl.memory_stages + config.adder_stages - 1
    assert got[:latency] == [None] * latency
    return got[latency:][:len(rows)]


def random_psums(config, rng, recoded):
    """Sums as numpy has them, and the bits of the port."""
    arch, elements, port = config.arch, [], 0
    for c in range(arch.cols):
        if arch.format.name == "int8":
            element = rng.choice([rng.getrandbits(arch.psum_width), 1 << arch.psum_width - 1])
            bits = element
            element -= (element >> arch.psum_width - 1) << arch.psum_width
        else:
            element = rng.choice([rng.getrandbits(32), 0x3F800000 ^ rng.getrandbits(26) ^ rng.getrandbits(1) << 31,
                                  rng.getrandbits(25) | rng.getrandbits(1) << 31])
            fields = recoded.psum(element)
            bits = (fields["mantissa"] & 0x1FFFFFF | fields["exponent"] << 25
                    | fields["pos"] << 33 | fields["neg"] << 34)
        elements.append(element)
        port |= bits << c * arch.psum_width
    return elements, port


def add(config, entry, psums):
    if config.arch.format.name == "int8":
        return [((a + b + 2**31) & 0xFFFFFFFF) - 2**31 for a, b in zip(entry, psums, strict=True)]
    return bf16.add(np.array(entry, np.uint32), np.array(psums, np.uint32)).tolist()


def output(config, elements):
    return sum((element & 0xFFFFFFFF) << 32 * c for c, element in enumerate(elements))


@ALL
def test_random_rows(simulate, recoded, config):
    """One row a cycle or fewer: overwritten, accumulated, and sent on in the stated cycle if they are last."""
    rng = random.Random(1)
    entries, recent, rows, want = {}, [], [], []
    for _ in range(250):
        address = rng.randrange(config.arch.accumulator_depth)
        busy = address in recent[len(recent) - config.turnaround + 1:]
        if rng.random() < 0.1:
            rows.append(None)
            want.append(None)
            recent.append(None)
            continue
        accumulate = address in entries and not busy and rng.random() < 0.7
        last = rng.random() < 0.6
        psums, port = random_psums(config, rng, recoded)
        zero = [0] * config.arch.cols
        entries[address] = add(config, entries[address] if accumulate else zero, psums)
        rows.append((command(address, accumulate, last), port))
        want.append(output(config, entries[address]) if last else None)
        recent.append(address)
    assert sum(row is not None and row[0]["accumulate"] for row in rows) > 20
    assert run(simulate, config, rows) == want


@ALL
def test_turnaround_is_exact(simulate, recoded, config):
    """A sum can be added to ``turnaround`` cycles later; one cycle less, and the entry is still the old one."""
    one, two = (1, 2) if config.arch.format.name == "int8" else (0x3F800000, 0x40000000)
    old = 5 if config.arch.format.name == "int8" else 0x40A00000

    def row(value, accumulate):
        port = value
        if config.arch.format.name != "int8":
            fields = recoded.psum(value)
            port = fields["mantissa"] | fields["exponent"] << 25
        ports = sum(port << c * config.arch.psum_width for c in range(config.arch.cols))
        return command(0, accumulate), ports

    def distance(cycles):
        gap = [None] * (cycles - 1)
        settle = [None] * config.turnaround
        out = run(simulate, config, [row(old, False), *settle, row(one, False), *gap, row(two, True)])
        return out[-1] & 0xFFFFFFFF
    assert distance(config.turnaround) == add(config, [one], [two])[0]
    if config.turnaround > 1:
        assert distance(config.turnaround - 1) == add(config, [old], [two])[0]


def test_int32_wraps(simulate):
    """The largest psum of 256 rows, until the sum comes round, and the smallest."""
    config = Config(arch=Arch(rows=256, cols=1, accumulator_depth=256))
    for psum in (2**22, -2**22, 2**23 - 1):
        count = 2**32 // abs(psum) + 2
        rows = [(command(7, n > 0), psum & 0xFFFFFF) for n in range(count) for _ in range(1)]
        spaced = [row for each in rows for row in (each, None)]
        out = [o for o in run(simulate, config, spaced) if o is not None]
        assert out == [(n + 1) * psum & 0xFFFFFFFF for n in range(count)]


def test_every_entry_is_its_own(simulate):
    config = CONFIGS["int8"]
    addresses = [*range(5), *range(5), 3, 1, 4, 0, 2]
    rows = [(command(address, n >= 5), n + 1) for n, address in enumerate(addresses)]
    sums, want = {}, []
    for n, address in enumerate(addresses):
        sums[address] = sums.get(address, 0) + n + 1
        want.append(sums[address])
    assert run(simulate, config, rows) == want


@pytest.mark.parametrize("name", ["int8, two memory stages", "bf16", "bf16, two memory stages"])
def test_reset_forgets_rows_on_their_way_but_not_the_sums(simulate, recoded, name):
    """Wherever they are: the row is not written and does not come out."""
    config = CONFIGS[name]
    unit, rst = Accumulators(config), Signal()
    int8 = config.arch.format.name == "int8"

    def port(number):
        fields = recoded.psum(number)
        return number if int8 else fields["mantissa"] | fields["exponent"] << 25
    old, one, sum = (40, 2, 42) if int8 else (0x40000000, 0x3F800000, 0x40400000)

    async def testbench(ctx):
        for cycle in range(1, config.turnaround - 1):
            await play(ctx, unit, [(command(2), port(old))])
            ctx.set(unit.command.valid, 1)
            ctx.set(unit.command.payload, command(2))
            await ctx.tick()
            ctx.set(unit.command.valid, 0)
            for _ in range(cycle - 1):
                await ctx.tick()
            ctx.set(rst, 1)
            await ctx.tick()
            ctx.set(rst, 0)
            assert not any(await play(ctx, unit, [None] * 5))
            out = [o for o in await play(ctx, unit, [(command(2, True), port(one))]) if o is not None]
            assert [o & 0xFFFFFFFF for o in out] == [sum]
    simulate(ResetInserter(rst)(unit), testbench)
