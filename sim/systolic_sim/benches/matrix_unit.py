"""cocotb tests of the matrix unit: run by :mod:`systolic_sim.benches.runner`, on any simulator."""

import dataclasses
import json
import os
import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from systolic.config import Arch, Config, Impl
from systolic_sim.benches.agents import Sink, Source, elements, integers
from systolic_sim.cycles import schedule as cycles
from systolic_sim.golden.formats import golden
from systolic_sim.golden.matrix_unit import MatrixUnit
from systolic_sim.golden.program import Program, random_program

PATIENCE = 2000   # cycles without a handshake after which a test gives up, beyond the fill


def read_config():
    """The configuration that the runner wrote down for this simulation."""
    with open(os.environ["SYSTOLIC_BENCH"]) as file:
        plain = json.load(file)
    return Config(name=plain["name"], arch=Arch(**plain["arch"]), impl=Impl(**plain["impl"]))


class Bench:
    """The matrix unit between two sources and a sink, fresh from reset.

    Members
    -------
    config, arch
        What is simulated.
    weights, rows, results
        The agents.
    rng : numpy.random.Generator
        Seeded by the test's name and the runner's seed.
    """

    def __init__(self, dut):
        self.dut = dut
        self.config = read_config()
        self.arch = self.config.arch
        self.rng = np.random.default_rng(random.getrandbits(64))
        fields = ["data", *(["address"] if self.arch.address_width else []), "accumulate", "switch", "last"]
        self.weights = Source(dut, "weights", ["data"], self.rng)
        self.rows = Source(dut, "rows", fields, self.rng)
        self.results = Sink(dut, "results", ["data"], self.rng)
        self._edge = RisingEdge(dut.clk)

    @property
    def agents(self):
        return self.weights, self.rows, self.results

    @classmethod
    async def start(cls, dut):
        """Bench with a running clock, after reset."""
        bench = cls(dut)
        Clock(dut.clk, 2, unit="step").start(start_high=False)
        await bench.reset()
        return bench

    async def reset(self):
        """Reset for one cycle."""
        for agent in self.agents:
            agent.quiet()
        self.dut.rst.value = 1
        await self._edge
        self.dut.rst.value = 0

    def offer(self, program):
        """Put a program on the streams; :meth:`step` and :meth:`finish` run it."""
        columns = [integers(program.x), program.address.tolist() if self.arch.address_width else None,
                   program.accumulate.tolist(), program.switch.tolist(), program.last.tolist()]
        self.weights.start([(beat,) for beat in integers(program.beats)])
        self.rows.start(list(zip(*(column for column in columns if column is not None), strict=True)))
        self.results.start(int(program.last.sum()))
        self.cycle = 0
        for agent in self.agents:
            agent.drive()

    async def step(self, count=1):
        """Run that many cycles."""
        for _ in range(count):
            await self._edge
            for agent in self.agents:
                agent.sample(self.cycle)
            for agent in self.agents:
                agent.drive()
            self.cycle += 1

    async def finish(self):
        """Run until every beat has been handed over; returns the results [n, C]."""
        left, idle = None, 0
        while any(agent.left for agent in self.agents):
            await self.step()
            before, left = left, [agent.left for agent in self.agents]
            idle = idle + 1 if left == before else 0
            assert idle < PATIENCE + self.config.latency, \
                f"stuck in cycle {self.cycle} with {left} beats left on weights, rows and results"
        dtype = np.dtype(self.arch.format.result_dtype)
        return elements([beat[0] for beat in self.results.beats], dtype, self.arch.cols)

    async def check(self, program):
        """Run a program from reset on, and compare its results, which no more may follow, with the golden ones."""
        await self.reset()
        self.offer(program)
        results = await self.finish()
        np.testing.assert_array_equal(results, MatrixUnit(self.arch).run(program))
        await self.step(2 * self.config.latency)
        assert not self.results.offered, "one result too many"

    async def check_cycles(self, program):
        """The same without stalls, and every handshake in the cycle it is predicted for."""
        for agent in self.agents:
            agent.stall = 0.0
        await self.check(program)
        schedule = cycles.schedule(self.config, program)
        np.testing.assert_array_equal(self.rows.accepted, schedule.accepted)
        np.testing.assert_array_equal(self.results.accepted, schedule.results)
        return schedule

    def operands(self, *shape):
        """Random weights or activations."""
        return golden(self.arch.format).ordinary(self.rng, shape)

    def program(self, tiles, rows, *, address=None, accumulate=False, last=True, x=None, w=None):
        """Program of so many tiles with so many rows each; by default each row is a product of its own."""
        n = tiles * rows

        def whole(value, dtype):
            return np.broadcast_to(np.asarray(value, dtype), n).copy()

        return Program(
            tiles=self.operands(tiles, self.arch.rows, self.arch.cols) if w is None else w,
            x=self.operands(n, self.arch.rows) if x is None else x,
            address=whole(np.arange(n) % self.arch.accumulator_depth if address is None else address, np.int64),
            accumulate=whole(accumulate, bool), switch=np.arange(n) % rows == 0, last=whole(last, bool))


@cocotb.test()
async def latency(dut):
    """One row: it waits for the whole of its tile; a result comes config.latency cycles after a row that does not."""
    bench = await Bench.start(dut)
    schedule = await bench.check_cycles(bench.program(1, 1))
    loaded = bench.arch.rows - 1 + bench.config.weight_latency
    assert schedule.entered[0] == loaded + 1
    assert bench.results.accepted[0] == loaded + bench.config.latency
    bench.rows.stall = 1.0
    bench.offer(bench.program(1, 1))
    await bench.step(loaded + 1)
    bench.rows.stall = 0.0
    await bench.finish()
    assert bench.results.accepted[0] - bench.rows.accepted[0] == bench.config.latency


@cocotb.test()
async def first_row_switches(dut):
    """After any reset the first row takes the first tile, whether it says so or not."""
    bench = await Bench.start(dut)
    for tiles in (1, 2):
        program = bench.program(tiles, 3)
        switch = program.switch & (np.arange(len(program)) > 0)
        await bench.check_cycles(dataclasses.replace(program, switch=switch))


@cocotb.test()
async def random_programs(dut):
    """Without stalls: every result and every cycle as predicted."""
    bench = await Bench.start(dut)
    for _ in range(8):
        await bench.check_cycles(random_program(bench.arch, bench.rng))


@cocotb.test()
async def random_stalls(dut):
    """With every mixture of fast and slow streams."""
    bench = await Bench.start(dut)
    for _ in range(12):
        for agent in bench.agents:
            agent.stall = float(bench.rng.choice([0, 0.1, 0.5, 0.9]))
        await bench.check(random_program(bench.arch, bench.rng))


@cocotb.test()
async def back_to_back_switches(dut):
    """Tiles of R rows each: weights switch without a bubble."""
    bench = await Bench.start(dut)
    tiles, rows = 6, bench.arch.rows
    schedule = await bench.check_cycles(bench.program(tiles, rows))
    assert np.ptp(schedule.entered) == tiles * rows - 1
    assert schedule.cycles == tiles * rows + cycles.fill(bench.config)


@cocotb.test()
async def accumulate_chains(dut):
    """Sums onto one entry, onto two in turn, and onto all of them, over tiles."""
    bench = await Bench.start(dut)
    depth, rows = bench.arch.accumulator_depth, bench.arch.rows + 1
    for entries in {1, min(2, depth), min(rows, depth)}:
        n = np.arange(3 * rows)
        await bench.check_cycles(bench.program(3, rows, address=depth - 1 - n % entries, accumulate=n >= entries,
                                               last=n >= len(n) - entries))


@cocotb.test()
async def extremes(dut):
    """Every cell at its limits, at once and one after the other."""
    bench = await Bench.start(dut)
    limits = golden(bench.arch.format).limits
    rows, shape = len(limits), (bench.arch.rows, bench.arch.cols)
    for weight in limits:
        x = np.repeat(limits, 2)[:, None].repeat(bench.arch.rows, axis=1)
        await bench.check(bench.program(1, 2 * rows, x=x, w=np.full((1, *shape), weight), address=0,
                                        accumulate=np.arange(2 * rows) % 4 > 0))


@cocotb.test()
async def accumulator_wraps(dut):
    """Integer sums beyond what an entry holds: for arrays high enough to get there soon, see the runner."""
    bench = await Bench.start(dut)
    limit = golden(bench.arch.format).limits.min()
    count = 2**(bench.arch.entry_width - 1) // (bench.arch.rows * int(limit)**2) + 2
    lowest = np.full((bench.arch.rows, bench.arch.cols), limit)
    await bench.check(bench.program(
        1, count, address=0, accumulate=np.arange(count) > 0, last=np.arange(count) >= count - 4,
        x=lowest[:1, :1].repeat(bench.arch.rows, axis=1).repeat(count, axis=0), w=lowest[None]))


@cocotb.test()
async def reset_in_mid_flight(dut):
    """After a reset at any moment, a program runs as if it were the first."""
    bench = await Bench.start(dut)
    for number in range(8):
        full = number % 2 == 0   # every register on the way busy, when the reset comes
        for agent in bench.agents:
            agent.stall = 0.0 if full else float(bench.rng.choice([0, 0.5]))
        await bench.reset()
        rows = 2 * bench.config.latency
        bench.offer(bench.program(2, rows) if full else random_program(bench.arch, bench.rng))
        await bench.step(int(bench.rng.integers(rows, 2 * rows) if full else bench.rng.integers(1, rows)))
        await bench.check(random_program(bench.arch, bench.rng))


@cocotb.test()
async def results_withheld(dut):
    """Nobody takes results: rows stop when as many are under way as there is room for; then all come."""
    bench = await Bench.start(dut)
    room = bench.config.result_fifo_depth
    n, entries = np.arange(room + bench.arch.rows + 5), min(4, bench.arch.accumulator_depth)
    program = bench.program(1, len(n), address=n % entries, accumulate=n >= entries)
    bench.results.stall = 1.0
    bench.offer(program)
    await bench.step(3 * (room + bench.arch.rows) + 100)
    # Two wait at the gate. The last credit is in reserve, except from a row right behind another.
    accepted = len(bench.rows.accepted) - 2
    assert accepted in (room - 1, room), f"{accepted} rows went into the array, not {room} or one less"
    bench.results.stall = 0.0
    np.testing.assert_array_equal(await bench.finish(), MatrixUnit(bench.arch).run(program))


@cocotb.test()
async def weights_withheld(dut):
    """Rows wait for their weights; weights wait for room, and fill the FIFO ahead of use."""
    bench = await Bench.start(dut)
    tiles = bench.arch.weight_fifo_depth + 6
    program = bench.program(tiles, 1)
    bench.weights.stall = 1.0
    bench.offer(program)
    await bench.step(50)
    assert len(bench.rows.accepted) == 2, "not two rows wait at the gate for weights"
    bench.weights.stall, bench.rows.stall = 0.0, 1.0
    await bench.step(2 * tiles * bench.arch.rows + 20)
    # Both have gone, and a third may have been offered before the stall.
    switched = len(bench.rows.accepted)
    assert switched in (2, 3)
    ahead = len(bench.weights.accepted) - switched * bench.arch.rows
    assert ahead == bench.arch.rows + bench.config.weight_fifo_rows, f"{ahead} rows of weights ahead"
    bench.rows.stall = 0.0
    np.testing.assert_array_equal(await bench.finish(), MatrixUnit(bench.arch).run(program))
