"""cocotb tests of a whole TPU between a memory and a host: run by :mod:`systolic_sim.benches.runner`.

Every channel of both buses is paused at random, with a generator of its own. Bytes and counters are the emulator's, and
a monitor looks at every cycle of the buses.
"""

import json
import os
import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiResp

from systolic import isa, registers
from systolic.config import Arch, Config, Impl
from systolic.host import AsyncDriver
from systolic.tpu_config import TpuConfig
from systolic_sim.benches.tpu_bus import CHANNELS, PAUSES, HostLink, Memory, pause, quieten, sample
from systolic_sim.benches.tpu_monitor import FIELDS, Monitor
from systolic_sim.benches.tpu_transfers import PAGE, Transfers, code
from systolic_sim.emulator import Emulator, EmulatorError
from systolic_sim.programs.illegal import illegal_program
from systolic_sim.programs.random import random_program

PATIENCE = 200_000   # cycles after which a program that has not ended never will
LIGHT = (0.0, 0.1, 0.5)   # pauses where there is not much to be had from more of them


def read_config():
    """The unit that the runner wrote down for this simulation."""
    with open(os.environ["SYSTOLIC_BENCH"]) as file:
        plain = json.load(file)
    unit = plain.pop("matrix")
    unit = Config(name=unit["name"], arch=Arch(**unit["arch"]), impl=Impl(**unit["impl"]))
    return TpuConfig(matrix=unit, **plain)


class Bench:
    """A TPU with memory, driver and monitor, fresh from reset.

    Members
    -------
    unit
        What is simulated.
    memory, link, driver, monitor
        Around it.
    rng : numpy.random.Generator
        Seeded by the test's name and the runner's seed.
    """

    def __init__(self, dut):
        quieten(dut)
        self.dut, self.config = dut, read_config()
        self.rng = np.random.default_rng(random.getrandbits(64))
        self.memory, self.monitor = Memory(dut), Monitor(self.config)
        self.link = HostLink(dut, self.memory)
        self.driver = AsyncDriver(self.link, limit=PATIENCE)
        self.channels = self.link.channels | self.memory.channels
        self._edge = RisingEdge(dut.clk)
        self._ports = {name: self._find("m_axi", name, fields) for name, fields in FIELDS.items()}
        self._ports |= {"s_r": self._find("s_axi", "r", ("data", "resp")),
                        "s_b": self._find("s_axi", "b", ("resp",))}
        self._watch = cocotb.start_soon(self._monitor())

    def _find(self, bus, channel, fields):
        return [getattr(self.dut, f"{bus}_{channel}{name}") for name in ("valid", "ready", *fields)]

    @classmethod
    async def start(cls, dut):
        """Bench with a running clock, after reset, and with every byte of the unified buffer written."""
        Clock(dut.clk, 2, unit="step").start(start_high=False)
        dut.rst.value = 1
        for _ in range(2):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        bench = cls(dut)
        await bench.fill()
        return bench

    async def reset(self):
        """Reset for two cycles; the buses' other ends forget what is under way, too."""
        self.dut.rst.value = 1
        await self.step(2)
        self.dut.rst.value = 0
        await self.step()

    async def _monitor(self):
        while True:
            await self._edge
            if int(self.dut.rst.value):
                self.monitor.reset()
            else:
                self.monitor.cycle({name: sample(ports) for name, ports in self._ports.items()})

    async def step(self, count=1):
        """Run that many cycles."""
        for _ in range(count):
            await self._edge

    def pauses(self, kinds=PAUSES, channels=CHANNELS):
        """Pause each of the channels in one of those ways."""
        for name in channels:
            rng = np.random.default_rng(self.rng.integers(2**63))
            pause(self.channels[name], kinds[int(rng.integers(len(kinds)))], rng)

    async def fill(self):
        """Write the whole unified buffer: the simulator does not know what is in it at first."""
        size, word = self.config.buffer_size, self.config.bus_bytes
        operations = [isa.operation("read_host_memory", memory=0, memory_size=size, size=size, row_bytes=size),
                      isa.operation("halt")]
        memory = np.concatenate([self.bytes(-(-size // isa.BYTES) * isa.BYTES), code(operations)])
        self.memory.connect(memory)
        await self.start_program(len(memory) - 2 * isa.BYTES, 2)
        outcome = await self.halted()
        assert outcome.counters["bytes_read"] == -(-size // word) * word

    def bytes(self, count):
        """Random ones."""
        return self.rng.integers(0, 256, count, np.uint8)

    async def start_program(self, address, length, *, watchdog=5_000):
        """Ring the doorbell, with all interrupts enabled and none pending."""
        await self.driver.start(address, length, watchdog=watchdog)

    async def ended(self):
        """Wait for the end of a program; returns the outcome."""
        outcome = await self.driver.finish()
        self.monitor.finish()
        return outcome

    async def halted(self):
        """The same, and it has to be ``halt``."""
        outcome = await self.ended()
        shown = outcome.check().error_code, outcome.bus_dead
        assert shown == (0, False), f"error {shown[0]}, bus dead {shown[1]} after halt"
        return outcome

    async def check(self, operations, memory, address):
        """Run a program; memory and all counters that do not depend on time have to be the emulator's."""
        emulator = Emulator(self.config, memory.copy())
        emulator.run_at(address, len(operations))
        self.memory.connect(memory)
        await self.start_program(address, len(operations))
        outcome = await self.halted()
        wrong = np.flatnonzero(memory != emulator.memory)
        assert not len(wrong), f"{len(wrong)} bytes differ, the first at {wrong[0]:#x}: " \
                               f"{memory[wrong[0]]} instead of {emulator.memory[wrong[0]]}"
        counters = outcome.counters
        assert {name: counters[name] for name in emulator.counters} == emulator.counters
        assert sum(counters[name] for name in ("active", "weight_stall", "weight_shift", "non_matrix")) \
            == counters["cycles"]
        assert bool(outcome.interrupts) == bool(emulator.interrupts)
        assert await self.driver.read("DEBUG_TAG") == emulator.debug_tag


@cocotb.test()
async def transfers(dut):
    """Bursts of one beat to the longest, around all edges: every byte where it belongs, none elsewhere."""
    bench = await Bench.start(dut)
    longest = bench.config.burst_beats
    for kinds in ((0.0,), (0.5,), (0.9,), PAUSES, PAUSES):
        program = Transfers(bench.config, bench.rng, pairs=10)
        bench.pauses(kinds)
        await bench.check(program.operations, program.memory, program.address)
    for channel in ("ar", "aw"):
        assert {1, 2, longest} <= bench.monitor.bursts[channel].keys(), f"not every length on {channel}"
        assert bench.monitor.page_ends[channel], f"no burst on {channel} that ends where 4 KB do"
        assert bench.monitor.waited[channel], f"{channel} never waited"
    assert bench.monitor.waited["w"] and bench.monitor.waited["s_r"] and bench.monitor.waited["s_b"]


@cocotb.test()
async def random_programs(dut):
    """All units at work, with every mixture of fast and slow channels."""
    bench = await Bench.start(dut)
    for kinds in ((0.0,), (0.9,), *[PAUSES] * 4):
        case = random_program(bench.config, int(bench.rng.integers(2**32)), length=8)
        bench.pauses(kinds)
        # The programs are those of a matrix unit without a tile.
        await bench.reset()
        await bench.check(case.program, case.memory, case.address)


@cocotb.test()
async def withheld(dut):
    """A channel that stands still for long: the TPU waits, and goes on when it moves again."""
    bench = await Bench.start(dut)
    most = bench.config.reads_in_flight
    for channel in ("ar", "r", "aw", "w", "b"):
        operations, memory, expected = there_and_back(bench)
        bench.memory.connect(memory)
        await bench.start_program(2 * PAGE, len(operations))
        await silence(bench, channel)
        await bench.step(400)
        assert not int(dut.irq.value), f"ended without {channel}"
        if channel == "r":
            assert bench.monitor.reads == most, f"{bench.monitor.reads} reads in flight, not {most}"
        if channel == "b":
            writes = bench.config.writes_in_flight
            assert bench.monitor.writes == writes, f"{bench.monitor.writes} writes in flight, not {writes}"
        pause(bench.channels[channel], 0.0, None)
        await bench.halted()
        np.testing.assert_array_equal(memory, expected)


def there_and_back(bench):
    """Operations that copy words of memory, a burst each; memory with their code at 2 * PAGE; memory after them."""
    word = bench.config.bus_bytes
    rows = max(bench.config.reads_in_flight, bench.config.writes_in_flight) + 20
    size = rows * word
    transfer = {"memory_size": size, "size": size, "row_count": rows, "row_bytes": word, "memory_stride": word,
                "stride": word}
    operations = [isa.operation("read_host_memory", memory=0, **transfer),
                  isa.operation("write_host_memory", memory=PAGE, **transfer), isa.operation("halt")]
    memory = np.concatenate([bench.bytes(2 * PAGE), code(operations)])
    expected = memory.copy()
    expected[PAGE:PAGE + size] = memory[:size]
    return operations, memory, expected


async def silence(bench, channel):
    """Wait for the first burst of that direction, but for fetches from 2 * PAGE on, and stop the channel."""
    dut = bench.dut
    begun = dut.m_axi_arvalid if channel in ("ar", "r") else dut.m_axi_awvalid
    while not int(begun.value) or begun is dut.m_axi_arvalid and int(dut.m_axi_araddr.value) >= PAGE:
        await bench.step()
    pause(bench.channels[channel], 1.0, None)


@cocotb.test()
async def dead_bus(dut):
    """A channel that stands still for ever: the TPU stops, but withdraws nothing; once all is answered, it works."""
    bench = await Bench.start(dut)
    dead = registers.register("ERROR_CODE").field("bus_dead").mask
    stopped = registers.register("STATUS").field("stopped").mask
    for channel in ("ar", "r", "aw", "w", "b"):
        operations, memory, _ = there_and_back(bench)
        bench.memory.connect(memory)
        await bench.start_program(2 * PAGE, len(operations), watchdog=300)
        await silence(bench, channel)
        if bench.rng.random() < 0.5:
            await bench.step(int(bench.rng.integers(200)))
            await bench.driver.ring()
        assert await bench.driver.interrupted() == {"error"}
        error = await bench.driver.read("ERROR_CODE")
        codes = isa.ErrorCode.WATCHDOG, isa.ErrorCode.BUSY
        assert error & ~dead in codes and error & dead, f"{channel}: error {error}"
        await bench.driver.write_ones("CONTROL", "restart")
        await bench.step(100)
        assert await bench.driver.read("STATUS") == stopped, f"restart with bursts unanswered on {channel}"
        pause(bench.channels[channel], 0.0, None)
        await bench.step(400)
        assert await bench.driver.read("ERROR_CODE") == error & ~dead
        bench.monitor.finish()
        await bench.driver.restart()
        program = Transfers(bench.config, bench.rng, pairs=2)
        await bench.check(program.operations, program.memory, program.address)


@cocotb.test()
async def interrupts(dut):
    """The line follows status and enable; the driver clears it, and what is not enabled is silent."""
    bench = await Bench.start(dut)
    bench.pauses((0.5, "runs"))
    operations = [isa.operation("interrupt"), isa.operation("nop"), isa.operation("halt")]
    bench.memory.connect(code(operations).copy())
    for enabled in ((), ("program",), ("halt",), ("program", "halt")):
        await bench.start_program(0, len(operations))
        await bench.driver.write_ones("INTERRUPT_ENABLE", *enabled)
        while not await bench.driver.read("STATUS") & registers.register("STATUS").field("idle").mask:
            pass
        await bench.step(4)
        assert int(dut.irq.value) == bool(enabled)
        status = registers.register("INTERRUPT_STATUS")
        for cause in ("program", "halt"):
            assert await bench.driver.read("INTERRUPT_STATUS") & status.field(cause).mask
            await bench.driver.write_ones("INTERRUPT_STATUS", cause)
            await bench.step(4)
            left = {"program": {"halt"}, "halt": set()}[cause]
            assert int(dut.irq.value) == bool(left & set(enabled))
        assert not await bench.driver.read("INTERRUPT_STATUS")
    bench.monitor.finish()


@cocotb.test()
async def host_registers(dut):
    """Registers keep what is written, byte by byte; other addresses answer SLVERR and change nothing."""
    bench = await Bench.start(dut)
    await bench.driver.write("INTERRUPT_ENABLE", 0)
    fields = {each.address: sum(field.mask for field in each.fields) for each in registers.registers()
              if each.name in ("INTERRUPT_ENABLE", "PROGRAM_ADDRESS", "PROGRAM_LENGTH", "WATCHDOG")}
    known = {each.address for each in registers.registers()}
    values = {address: await bench.link.read_at(address, 4) for address in fields}
    values = {address: bytearray(answer.data) for address, answer in values.items()}
    for number in range(60):
        if number % 10 == 0:
            bench.pauses()
        if bench.rng.random() < 0.2:
            address = 4 * int(bench.rng.integers(64))
            if address not in known:
                assert (await bench.link.write_at(address, bench.bytes(4).tobytes())).resp == AxiResp.SLVERR
                assert (await bench.link.read_at(address, 4)).resp == AxiResp.SLVERR
        address = int(bench.rng.choice(list(fields)))
        first, last = sorted(int(each) for each in bench.rng.integers(1, 5, 2))
        data = bench.bytes(last - first + 1).tobytes()
        mask = fields[address].to_bytes(4, "little")
        for index, byte in enumerate(data, first - 1):
            values[address][index] = byte & mask[index]
        assert (await bench.link.write_at(address + first - 1, data)).resp == AxiResp.OKAY
        address = int(bench.rng.choice(list(fields)))
        assert (await bench.link.read_at(address, 4)).data == values[address]


FAULTS = [f"{name}: {what}" for name in ("read_host_memory", "read_weights", "write_host_memory", "fetch")
          for what in ("SLVERR", "DECERR")] + ["write_host_memory: beyond memory"]


@cocotb.test()
async def bus_errors(dut):
    """The documented error at the documented instruction; the bus comes to rest, and after a restart all is well."""
    bench = await Bench.start(dut)
    for kind in FAULTS:
        case = illegal_program(bench.config, kind, int(bench.rng.integers(2**16)))
        faults = [(each.first, each.last) for each in case.faults]
        try:
            Emulator(bench.config, case.memory.copy(), faults=faults).run_at(case.address, case.length)
            raise AssertionError(f"{kind}: the emulator finds nothing wrong")
        except EmulatorError as error:
            expected = error
        bench.pauses(LIGHT)
        bench.memory.connect(case.memory, case.faults)
        await bench.start_program(case.address, case.length)
        outcome = await bench.ended()
        assert not outcome.halted, f"{kind}: ended with halt"
        found = outcome.error_code, outcome.error_index
        assert found == (expected.code, expected.index), f"{kind}: {found} instead of {expected}"
        assert await bench.driver.read("STATUS") == registers.register("STATUS").field("stopped").mask
        await bench.driver.restart()
        program = Transfers(bench.config, bench.rng, pairs=2)
        await bench.check(program.operations, program.memory, program.address)
    assert {("r", each) for each in AxiResp if each & 2} | {("b", each) for each in AxiResp if each & 2} \
        <= bench.monitor.responses.keys()


@cocotb.test()
async def reset_in_mid_flight(dut):
    """After a reset at any moment, a program runs as if it were the first."""
    bench = await Bench.start(dut)
    for _ in range(4):
        bench.pauses(LIGHT)
        case = random_program(bench.config, int(bench.rng.integers(2**32)), length=3)
        bench.memory.connect(case.memory.copy())
        await bench.start_program(case.address, len(case.program))
        await bench.step(int(bench.rng.integers(1, 600)))
        await bench.reset()
        await bench.check(case.program, case.memory, case.address)
