"""cocotb tests of the on-chip memory behind the AXI4 manager of cocotbext-axi, every channel paused at random."""

import json
import os
import random
import types

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBurstType, AxiMaster, AxiResp

from systolic_sim.benches.tpu_bus import PAUSES, axi_bus, pause, quieten, sample
from systolic_sim.benches.tpu_monitor import FIELDS, Monitor


class Bench:
    """The memory and its manager, fresh from reset.

    Members
    -------
    size, bus_bytes : int
    bytes : uint8 array
        What has to be in the memory.
    monitor
        Of the bus, unless :attr:`watching` is false.
    """

    def __init__(self, dut):
        quieten(dut)
        with open(os.environ["SYSTOLIC_BENCH"]) as file:
            plain = json.load(file)
        self.dut, self.size, self.bus_bytes = dut, plain["size"], plain["bus_bytes"]
        self.rng = np.random.default_rng(random.getrandbits(64))
        self.bytes = np.zeros(self.size, np.uint8)
        self.master = AxiMaster(axi_bus(dut, "s_axi"), dut.clk, dut.rst)
        read, write = self.master.read_if, self.master.write_if
        self.channels = read.ar_channel, read.r_channel, write.aw_channel, write.w_channel, write.b_channel
        self.monitor = Monitor(types.SimpleNamespace(bus_bytes=self.bus_bytes, burst_beats=256, reads_in_flight=1000,
                                                     writes_in_flight=1000))
        self.watching = True
        self._edge = RisingEdge(dut.clk)
        self._ports = {name: [getattr(dut, f"s_axi_{name}{field}") for field in ("valid", "ready", *fields)]
                       for name, fields in FIELDS.items()}
        self._watch = cocotb.start_soon(self._monitor())

    @classmethod
    async def start(cls, dut):
        """Bench with a running clock, after reset, and with every byte of the memory written."""
        Clock(dut.clk, 2, unit="step").start(start_high=False)
        dut.rst.value = 1
        for _ in range(2):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        bench = cls(dut)
        await bench.write(0, bench.size)
        return bench

    async def _monitor(self):
        while True:
            await self._edge
            if self.watching:
                self.monitor.cycle({name: self._seen(name, ports) for name, ports in self._ports.items()})

    def _seen(self, name, ports):
        valid, ready, payload = sample(ports)
        if valid and name in ("ar", "aw"):
            # A burst may begin in the middle of a word, which it has all the same.
            payload = (payload[0] // self.bus_bytes * self.bus_bytes, *payload[1:])
        return valid, ready, payload

    def pauses(self):
        """Pause each channel in a way of its own."""
        for channel in self.channels:
            rng = np.random.default_rng(self.rng.integers(2**63))
            pause(channel, PAUSES[int(rng.integers(len(PAUSES)))], rng)

    def place(self, first, size):
        """First byte and number of bytes of a transfer within a region: often few, at times nearly all."""
        word, any_count = self.bus_bytes, int(self.rng.integers(1, size))
        count = int(self.rng.choice([1, 3, word, 5 * word + 1, any_count]))
        return first + int(self.rng.integers(size - count + 1)), count

    async def write(self, address, count, **options):
        """Write random bytes; returns the response."""
        data = self.rng.integers(0, 256, count, np.uint8)
        answer = await self.master.write(address, data.tobytes(), **options)
        if answer.resp == AxiResp.OKAY:
            self.bytes[address:address + count] = data
        return answer.resp

    async def check(self, address, count):
        """Read and compare."""
        expected = self.bytes[address:address + count].tobytes()
        answer = await self.master.read(address, count)
        assert answer.resp == AxiResp.OKAY and answer.data == expected, f"{count} bytes at {address:#x} differ"


@cocotb.test()
async def one_after_the_other(dut):
    """Every byte where it was written, of bursts from one beat to 4 KB."""
    bench = await Bench.start(dut)
    for _ in range(12):
        bench.pauses()
        for _ in range(3):
            assert await bench.write(*bench.place(0, bench.size)) == AxiResp.OKAY
        for _ in range(3):
            await bench.check(*bench.place(0, bench.size))
    await bench.check(0, bench.size)
    bench.monitor.finish()
    most = min(256, 4096 // bench.bus_bytes, bench.size // bench.bus_bytes)
    for channel in ("ar", "aw"):
        assert {1, most} <= bench.monitor.bursts[channel].keys(), f"not every length on {channel}"
    for channel in ("r", "b", "w"):
        assert bench.monitor.waited[channel], f"{channel} never waited"


@cocotb.test()
async def side_by_side(dut):
    """Many writes to one half and reads from the other are under way at once; all stay in order."""
    bench = await Bench.start(dut)
    half = bench.size // 2
    for number in range(6):
        bench.pauses()
        written, read = (0, half) if number % 2 else (half, 0)
        writes = [bench.write(*bench.place(written, half)) for _ in range(12)]
        reads = [bench.check(*bench.place(read, half)) for _ in range(12)]
        tasks = [cocotb.start_soon(each) for each in (*writes, *reads)]
        for task in tasks:
            await task
    await bench.check(0, bench.size)
    bench.monitor.finish()
    for channel in FIELDS:
        assert bench.monitor.waited[channel], f"{channel} never waited"


@cocotb.test()
async def errors(dut):
    """SLVERR beyond the memory and for bursts that it does not know; none of them writes."""
    bench = await Bench.start(dut)
    bench.watching = False
    narrow, word = bench.bus_bytes.bit_length() - 2, bench.bus_bytes
    for _ in range(4):
        bench.pauses()
        for address, options in ((bench.size, {}), (2**32 - word, {}), (0, {"size": narrow}),
                                 (0, {"burst": AxiBurstType.FIXED})):
            assert await bench.write(address, word, **options) == AxiResp.SLVERR
            assert (await bench.master.read(address, word, **options)).resp == AxiResp.SLVERR
        await bench.check(0, bench.size)
