"""The host's registers and the counters behind them."""

import random

import pytest
from amaranth.sim import Simulator

from systolic import registers
from systolic.gateware.host.control import ControlRegisters
from systolic.gateware.host.counters import Counters
from systolic.tpu_config import tpu_preset

OKAY, SLVERR = 0, 2


class Host:
    """An AXI4-Lite manager that holds back at random."""

    def __init__(self, ctx, axi, seed=0, hold=0.3):
        self.ctx, self.axi, self.hold = ctx, axi, hold
        self.random = random.Random(seed)

    async def _handshake(self, valid, ready):
        """Offer until taken, from a random cycle on; the cycles that takes."""
        while self.random.random() < self.hold:
            await self.ctx.tick()
        self.ctx.set(valid, 1)
        *_, taken = await self.ctx.tick().sample(ready)
        for _ in range(40):
            if taken:
                break
            *_, taken = await self.ctx.tick().sample(ready)
        assert taken
        self.ctx.set(valid, 0)

    async def write(self, name, value, strobe=15):
        address = registers.address(name) if isinstance(name, str) else name
        axi, ctx = self.axi, self.ctx
        ctx.set(axi.awaddr, address)
        ctx.set(axi.wdata, value)
        ctx.set(axi.wstrb, strobe)
        first, second = self.random.sample([axi.awvalid, axi.wvalid], 2)
        # In either order, but taken together.
        ctx.set(first, 1)
        while self.random.random() < self.hold:
            *_, early = await ctx.tick().sample(axi.awready | axi.wready)
            assert not early
        await self._handshake(second, axi.awready & axi.wready)
        ctx.set(first, 0)
        return await self._answer(axi.bvalid, axi.bready, axi.bresp)

    async def read(self, name):
        axi = self.axi
        self.ctx.set(axi.araddr, registers.address(name) if isinstance(name, str) else name)
        await self._handshake(axi.arvalid, axi.arready)
        return await self._answer(axi.rvalid, axi.rready, axi.rdata, axi.rresp)

    async def _answer(self, valid, ready, *payload):
        """The payload, which must not change before it is taken."""
        offered = None
        for _ in range(60):
            take = self.random.random() >= self.hold
            self.ctx.set(ready, take)
            _, _, there, _, *now = await self.ctx.tick().sample(valid, ready, *payload)
            assert offered is None or there and offered == now
            offered = now if there else None
            if there and take:
                self.ctx.set(ready, 0)
                return now[0] if len(now) == 1 else tuple(now)
        raise AssertionError("no answer")

    async def count(self, name):
        low, _ = await self.read(f"{name}_LO")
        high, _ = await self.read(f"{name}_HI")
        return high << 32 | low


@pytest.fixture
def dut():
    return ControlRegisters(tpu_preset("tpu_12x20"))


def test_reset_values_and_what_can_be_written(simulate, dut):
    """Each field holds what is written to it if it can be written, and its reset value before."""
    inside = {"SHAPE": 20 << 16 | 12, "STATUS": 1, "BUFFER": 65536, "UNITS": 3 << 16 | 10, "SUMS": 3 << 24 | 256,
              "BUS": 8, "CONFIGURATION": tpu_preset("tpu_12x20").build}

    async def testbench(ctx):
        host = Host(ctx, dut.s_axi)
        for each in registers.registers():
            reset = sum((field.reset or 0) << field.low for field in each.fields)
            reset = inside.get(each.name, reset)
            if each.name.endswith(("_LO", "_HI")):
                reset = 0
            assert await host.read(each.name) == (reset, OKAY), each.name
            if each.name == "CONTROL":
                continue
            writable = sum(field.mask for field in each.fields if field.access == "read, write")
            for value in (0xFFFFFFFF, 0, 0xDEADBEEF):
                assert await host.write(each.name, value) == OKAY
                assert await host.read(each.name) == (value & writable | reset & ~writable, OKAY), each.name
    simulate(dut, testbench)


def test_strobes(simulate, dut):
    async def testbench(ctx):
        host, expected = Host(ctx, dut.s_axi), 0
        for _ in range(20):
            value, strobe = host.random.getrandbits(32), host.random.getrandbits(4)
            await host.write("PROGRAM_ADDRESS", value, strobe)
            mask = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)
            expected = expected & ~mask | value & mask
            assert await host.read("PROGRAM_ADDRESS") == (expected, OKAY)
            assert ctx.get(dut.sequencer.address) == expected
    simulate(dut, testbench)


def test_addresses_without_a_register(simulate, dut):
    known = {each.address for each in registers.registers()}

    async def testbench(ctx):
        host = Host(ctx, dut.s_axi, hold=0)
        for address in range(0, 1 << registers.ADDRESS_WIDTH, 4):
            answer = OKAY if address in known else SLVERR
            assert (await host.read(address))[1] == answer
            if address not in known:
                assert await host.write(address, 0xFFFFFFFF) == answer
    simulate(dut, testbench)


@pytest.mark.parametrize("running, stopped, bus_dead, start, restart", [
    (0, 0, 0, ["start"], []), (1, 0, 0, ["busy_error"], []), (0, 1, 0, [], ["restart"]), (0, 1, 1, [], [])])
def test_control_pulses(simulate, dut, running, stopped, bus_dead, start, restart):
    """One pulse of one cycle for each write, and only in the state that it belongs to."""
    seen = []

    async def testbench(ctx):
        host = Host(ctx, dut.s_axi)
        ctx.set(dut.sequencer.running, running)
        ctx.set(dut.sequencer.stopped, stopped)
        ctx.set(dut.sequencer.bus_dead, bus_dead)
        for value, strobe, expected in ((1, 15, start), (2, 15, restart), (3, 15, start + restart), (0, 15, []),
                                        (3, 14, []), (0xFFFFFFFC, 15, [])):
            seen.clear()
            assert await host.write("CONTROL", value, strobe) == OKAY
            await ctx.tick().repeat(3)
            assert seen == expected
            assert await host.read("STATUS") == ((not running and not stopped) | running << 1 | stopped << 2, OKAY)

    async def watch(ctx):
        ports = {"start": dut.sequencer.start, "restart": dut.restart, "busy_error": dut.sequencer.busy_error}
        async for _, _, *values in ctx.tick().sample(*ports.values()):
            seen.extend(name for name, value in zip(ports, values, strict=True) if value)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_process(watch)
    simulator.add_testbench(testbench)
    simulator.run()


def test_what_the_core_says_is_shown(simulate, dut):
    async def testbench(ctx):
        host = Host(ctx, dut.s_axi)
        sequencer = dut.sequencer
        for name, port, width in (("ERROR_CODE", sequencer.error_code, 4), ("ERROR_INDEX", sequencer.error_index, 16),
                                  ("DEBUG_TAG", sequencer.debug_tag, 32)):
            for value in ((1 << width) - 1, 5):
                ctx.set(port, value)
                assert await host.read(name) == (value, OKAY)
        ctx.set(dut.sequencer.bus_dead, 1)
        dead = registers.register("ERROR_CODE").field("bus_dead").mask
        assert await host.read("ERROR_CODE") == (dead | 5, OKAY)
        for name, port in (("PROGRAM_LENGTH", dut.sequencer.length), ("WATCHDOG", dut.sequencer.watchdog)):
            await host.write(name, 0x1234)
            assert ctx.get(port) == 0x1234
    simulate(dut, testbench)


def test_interrupts(simulate, dut):
    """Pending until cleared, each by its own bit; the line follows what is enabled; coming wins over clearing."""
    causes = [dut.sequencer.interrupted, dut.sequencer.halted, dut.sequencer.failed]

    async def testbench(ctx):
        host, pending, enabled = Host(ctx, dut.s_axi), 0, 0
        for _ in range(60):
            bits = host.random.getrandbits(3)
            choice = host.random.randrange(3)
            if choice == 0:
                for bit, cause in enumerate(causes):
                    ctx.set(cause, bits >> bit & 1)
                await ctx.tick()
                for cause in causes:
                    ctx.set(cause, 0)
                pending |= bits
            elif choice == 1:
                await host.write("INTERRUPT_ENABLE", enabled := bits)
            else:
                await host.write("INTERRUPT_STATUS", bits)
                pending &= ~bits
            await ctx.tick().repeat(2)
            assert ctx.get(dut.interrupt) == bool(pending & enabled)
            assert await host.read("INTERRUPT_STATUS") == (pending, OKAY)
        ctx.set(causes[1], 1)
        await host.write("INTERRUPT_STATUS", 7)
        ctx.set(causes[1], 0)
        assert await host.read("INTERRUPT_STATUS") == (2, OKAY)
    simulate(dut, testbench)


def test_counters_of_the_host(simulate, dut):
    """Counters hold the sums of their increments, CYCLES that of running, from a start on."""
    layout = dut.count.shape()
    names = [name for name, _ in layout]
    assert [name.upper() for name in names] == list(registers.counters()[1:])

    async def testbench(ctx):
        host = Host(ctx, dut.s_axi)
        for _ in range(2):
            await host.write("CONTROL", 1)
            ctx.set(dut.sequencer.running, 1)
            expected = dict.fromkeys(["cycles", *names], 0)
            for _ in range(200):
                for name in names:
                    value = host.random.randrange(dut.increments[name] + 1)
                    ctx.set(dut.count[name], value)
                    expected[name] += value
                expected["cycles"] += 1
                await ctx.tick()
            ctx.set(dut.sequencer.running, 0)
            for name in names:
                ctx.set(dut.count[name], 0)
            for name, value in expected.items():
                assert await host.count(name.upper()) == value, name
    simulate(dut, testbench)


def test_a_read_takes_both_halves_at_once(simulate, dut):
    """While it counts, too, low and high belong together."""
    async def testbench(ctx):
        host = Host(ctx, dut.s_axi)
        await host.write("CONTROL", 1)
        ctx.set(dut.sequencer.running, 1)
        ctx.set(dut.count.useful_macs, 240)
        last = 0
        for _ in range(30):
            low, _ = await host.read("USEFUL_MACS_LO")
            await ctx.tick().repeat(10)
            assert await host.read("USEFUL_MACS_HI") == (0, OKAY)
            assert low % 240 == 0 and low > last
            last = low
    simulate(dut, testbench)


def test_counters_reach_beyond_32_bits(simulate):
    """Increments as large as can be, added for long enough to carry into the high half; then cleared."""
    most = (1 << 31) - 1
    dut = Counters({"one": 1, "large": most})

    async def testbench(ctx):
        ctx.set(dut.increments.large, most)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        await ctx.tick().repeat(100)
        ctx.set(dut.increments.large, 0)
        values = {}
        await ctx.tick().repeat(4)
        for _ in range(dut.SLOTS):
            await ctx.tick()
            values[ctx.get(dut.slot)] = ctx.get(dut.value)
        assert values[0] == 0 and values[1] == 100 * most and values[1] >> 32
        assert len(values) == dut.SLOTS
    simulate(dut, testbench)


@pytest.mark.parametrize("phase", range(16))
def test_clear_in_any_phase(simulate, phase):
    """Whatever counter has its turn, nothing from before a clear is left, and nothing after it is lost."""
    dut = Counters({f"c{number}": 3 for number in range(16)})

    async def testbench(ctx):
        for number in range(16):
            ctx.set(dut.increments[f"c{number}"], 3)
        await ctx.tick().repeat(40 + phase)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        await ctx.tick().repeat(5 + 7 * phase)
        for number in range(16):
            ctx.set(dut.increments[f"c{number}"], 0)
        await ctx.tick().repeat(3)
        for _ in range(16):
            await ctx.tick()
            assert ctx.get(dut.value) == 3 * (5 + 7 * phase), ctx.get(dut.slot)
    simulate(dut, testbench)


def test_too_many_counters():
    with pytest.raises(ValueError, match="at most 16, not 17"):
        Counters({str(number): 1 for number in range(17)})
