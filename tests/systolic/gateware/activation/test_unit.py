"""The activation unit's writes against the golden functions, and the stated timing."""

import dataclasses
import random

import numpy as np
import pytest

from systolic import isa
from systolic.compiler.quantise import quantise_multiplier
from systolic.gateware.activation.unit import ActivationUnit
from systolic.tpu_config import tpu_preset
from systolic_sim.golden import activation as golden

LANES = {lanes: dataclasses.replace(tpu_preset("tpu_4x4"), lanes=lanes) for lanes in (1, 2, 3, 4)}
# By reads of the unified buffer that a parameter record takes.
READS = {3: LANES[4], **{reads: dataclasses.replace(LANES[4], bus_bytes=16 // reads) for reads in (1, 2)}}
COLS = 4
# Of the buffer: what is read, then parameter records, then what is written.
INPUTS, RECORDS, OUTPUTS, END = 0, 2048, 4096, 8192


class Bench:
    """Feeds instructions and sums, answers reads from a buffer, and keeps what was written."""

    def __init__(self, machine, buffer):
        self.unit = ActivationUnit(machine)
        self.latency = machine.READ_LATENCY
        self.buffer = np.append(buffer, np.zeros(64, np.uint8))
        self.writes, self.dones, self.errors, self.reads, self.taken, self.popped = [], [], [], [], [], []

    def run(self, simulate, commands, rows, *, supplied=1.0, seed=0, cycles=20_000, settle=60):
        """Until all instructions are done or an error came, and a while longer."""
        rng, unit, flying = random.Random(seed), self.unit, [None] * self.latency
        commands, rows = list(commands), list(rows)

        async def testbench(ctx):
            left, cycle, total, supply = cycles, 0, len(commands), False
            while left:
                flying.insert(0, ctx.get(unit.read.request.payload) if ctx.get(unit.read.request.valid) else None)
                self._watch(ctx, cycle, flying[0])
                read = flying.pop()
                ctx.set(unit.read.valid, read is not None)
                data = rng.getrandbits(128) if read is None else int.from_bytes(self.buffer[read:][:16], "little")
                ctx.set(unit.read.data, data)
                ctx.set(unit.sequencer.command.valid, bool(commands))
                if commands:
                    ctx.set(unit.sequencer.command.payload, commands[0])
                    if ctx.get(unit.sequencer.command.ready):
                        self.taken.append(cycle)
                        commands.pop(0)
                supply = bool(rows) and (supply or rng.random() < supplied)
                ctx.set(unit.results.valid, supply)
                ctx.set(unit.results.payload, rows[0].tolist() if supply else [rng.getrandbits(32)] * COLS)
                if supply and ctx.get(unit.results.ready):
                    self.popped.append(cycle)
                    rows.pop(0)
                    supply = False
                if len(self.dones) == total or self.errors:
                    left = min(left, settle)
                left, cycle = left - 1, cycle + 1
                await ctx.tick()
        simulate(unit, testbench)
        assert not rows or self.errors
        return self

    def _watch(self, ctx, cycle, read):
        unit, write = self.unit, self.unit.write.payload
        if read is not None:
            self.reads.append((cycle, read))
        if ctx.get(unit.write.valid):
            count = ctx.get(write.count)
            data = ctx.get(write.data) & (1 << 8 * count) - 1
            self.writes.append((cycle, ctx.get(write.address), data.to_bytes(count, "little")))
        if ctx.get(unit.sequencer.done):
            self.dones.append(cycle)
        if ctx.get(unit.sequencer.error.valid):
            self.errors.append((cycle, ctx.get(unit.sequencer.error.code), ctx.get(unit.sequencer.error.index)))

    @property
    def bytes_written(self):
        return [(address, data) for _, address, data in self.writes]


def command(operation, index=0, rounding="single"):
    word = int.from_bytes(isa.encode([operation]), "little")
    return {"index": index, "rounding": golden.ROUNDINGS.index(rounding), "words": word}


class Programs:
    """Random instructions, and the writes they should make."""

    def __init__(self, rng, lanes):
        self.rng, self.lanes = rng, lanes
        self.buffer = rng.integers(0, 256, END, np.uint8)
        self.table = np.zeros(256, np.int8)
        self.next_record = RECORDS
        self.commands, self.rows, self.want = [], [], []

    def grow(self):
        name = str(self.rng.choice(["activate", "activate", "pool", "add", "load_table"]))
        rounding = str(self.rng.choice(golden.ROUNDINGS))
        getattr(self, f"_{name}")(rounding)

    def _records(self, count, rounding, scale):
        """Records put into the buffer; sums are about ``scale`` times as large as results."""
        rng = self.rng
        real = rng.uniform(0.3, 1.5, count) / scale
        # Now and then results that 32 bits do not hold.
        real *= 10**6 if rng.random() < 0.2 else 1
        bias = rng.integers(-scale * 50, scale * 50 + 1, count)
        records = (golden.record(bias, scale=real.astype(np.float32)) if rounding == "fp32" else
                   golden.record(bias, *quantise_multiplier(real)))
        address, data = self.next_record, records.tobytes()
        self.buffer[address:address + len(data)] = np.frombuffer(data, np.uint8)
        self.next_record += len(data)
        return address, records

    def _scale(self):
        rng = self.rng
        low, high = sorted(rng.integers(-128, 128, 2).tolist())
        low, high = (low, high) if rng.random() < 0.3 else (-128, 127)
        return {"zero_point": int(rng.integers(-128, 128)), "low": low, "high": high}, bool(rng.random() < 0.4)

    def _outputs(self):
        rng = self.rng
        return {"x_count": int(rng.integers(1, 5)), "y_count": int(rng.integers(1, 4)),
                "x_stride": int(rng.integers(20)), "y_stride": int(rng.integers(20)),
                "base": OUTPUTS, "size": END - OUTPUTS}

    def _finish(self, name, y, lookup, scale, rounding, outputs, **values):
        """The instruction, and its writes of ``y`` [y, x, channels]."""
        operation = isa.operation(name, lookup=lookup, **scale, **outputs, **values)
        self.commands.append(command(operation, len(self.commands), rounding))
        for iy, ix in np.ndindex(y.shape[:2]):
            address = OUTPUTS + iy * outputs["y_stride"] + ix * outputs["x_stride"]
            for start in range(0, y.shape[2], self.lanes):
                self.want.append((address + start, y[iy, ix, start:start + self.lanes].tobytes()))

    def _activate(self, rounding):
        rng, (scale, lookup), outputs = self.rng, self._scale(), self._outputs()
        channels, per_channel, magnitude = int(rng.integers(1, COLS + 1)), int(rng.integers(2)), int(rng.integers(1, 9))
        parameters, records = self._records(channels if per_channel else 1, rounding, 10**magnitude // 100 + 1)
        sums = rng.integers(-10**magnitude, 10**magnitude, (outputs["y_count"], outputs["x_count"], COLS), np.int32)
        self.rows += list(sums.reshape(-1, COLS))
        y = golden.activate(sums[..., :channels], records, rounding=rounding, table=self.table if lookup else None,
                            **scale)
        self._finish("activate", y, lookup, scale, rounding, outputs, channels=channels, per_channel=per_channel,
                     parameters=parameters, parameters_size=records.nbytes)

    def _pixels(self, counts, strides, start, channels):
        """Bytes at start plus all loops' steps times strides; [*counts, channels]."""
        place = np.full((*counts, channels), start) + np.arange(channels)
        for axis, stride in enumerate(strides):
            shape = [-1 if k == axis else 1 for k in range(len(counts) + 1)]
            place = place + stride * np.arange(counts[axis]).reshape(shape)
        return self.buffer[place].view(np.int8)

    def _pool(self, rounding):
        rng, (scale, lookup), outputs = self.rng, self._scale(), self._outputs()
        channels, maximum, kx, ky = (int(rng.integers(low, high)) for low, high in ((1, 10), (0, 2), (1, 4), (1, 4)))
        strides = rng.integers(-30, 30, 4).tolist()
        parameters, records = self._records(1, rounding, 1 if maximum else kx * ky)
        pixels = self._pixels((outputs["y_count"], outputs["x_count"], ky, kx), strides, 1000, channels)
        y = golden.pool(pixels.reshape(*pixels.shape[:2], ky * kx, channels), records, maximum=bool(maximum),
                        rounding=rounding, table=self.table if lookup else None, **scale)
        self._finish("pool", y, lookup, scale, rounding, outputs, channels=channels, parameters=parameters,
                     maximum=maximum, kx_count=kx, ky_count=ky, start=1000, from_base=INPUTS, from_size=RECORDS,
                     **dict(zip(("from_y_stride", "from_x_stride", "ky_stride", "kx_stride"), strides, strict=True)))

    def _add(self, rounding):
        rng, (scale, lookup), outputs = self.rng, self._scale(), self._outputs()
        channels, strides = int(rng.integers(1, 10)), rng.integers(0, 30, 4).tolist()
        mode = "double" if rounding == "double" else "single"
        parameters, records = self._records(3, mode, 2)
        records["bias"][:2] = rng.integers(-255, 256, 2) << 20
        records["multiplier"][2], records["shift"][2] = quantise_multiplier(2.0**-19 * rng.uniform(0.3, 1))
        self.buffer[parameters:parameters + 48] = np.frombuffer(records.tobytes(), np.uint8)
        counts = outputs["y_count"], outputs["x_count"]
        first = self._pixels(counts, strides[:2], 100, channels)
        second = self._pixels(counts, strides[2:], 900, channels)
        y = golden.add(first, second, records, rounding=rounding, table=self.table if lookup else None, **scale)
        self._finish("add", y, lookup, scale, rounding, outputs, channels=channels, parameters=parameters,
                     from_base=100, from_size=800, other_base=900, other_size=800,
                     **dict(zip(("from_y_stride", "from_x_stride", "other_y_stride", "other_x_stride"), strides,
                                strict=True)))

    def _load_table(self, rounding):
        base = int(self.rng.integers(INPUTS, RECORDS - 256))
        self.table = self.buffer[base:base + 256].view(np.int8)
        self.commands.append(command(isa.operation("load_table", from_base=base), len(self.commands), rounding))


@pytest.mark.parametrize("machine, lanes", [*((LANES[lanes], lanes) for lanes in LANES), (READS[1], 4), (READS[2], 4)],
                         ids=[*(f"{lanes} lanes" for lanes in LANES), "a read a record", "two reads a record"])
@pytest.mark.parametrize("seed, supplied", [(0, 1), (1, 0.4), (2, 1), (3, 0.1)])
def test_random_programs(simulate, machine, lanes, seed, supplied):
    """Every write of every instruction in order, and as many dones."""
    programs = Programs(np.random.default_rng((lanes, seed)), lanes)
    for _ in range(18):
        programs.grow()
    bench = Bench(machine, programs.buffer).run(simulate, programs.commands, programs.rows, supplied=supplied)
    assert bench.bytes_written == programs.want
    assert len({data for _, data in programs.want}) > 20
    assert len(bench.dones) == len(programs.commands) and not bench.errors


def scaled(**values):
    """Fields of an instruction with its outputs and its records, all zeros, where they belong."""
    return {"base": OUTPUTS, "size": END - OUTPUTS, "parameters": RECORDS} | values


def timing(simulate, machine, operations, rows=0):
    """The bench after instructions on a buffer of zeros."""
    rows = np.zeros((rows, COLS), np.int32)
    return Bench(machine, np.zeros(END, np.uint8)).run(simulate, map(command, operations), rows)


@pytest.mark.parametrize("lanes", LANES)
def test_a_group_a_cycle_and_its_latency(simulate, lanes):
    """Rows without a gap between them, each popped with its last group; its bytes 18 cycles later."""
    operation = isa.operation("activate", **scaled(x_count=20, x_stride=4, channels=4))
    bench = timing(simulate, LANES[lanes], [operation], rows=20)
    groups = -(-4 // lanes)
    writes = [cycle for cycle, _, _ in bench.writes]
    assert writes == list(range(writes[0], writes[0] + 20 * groups))
    assert bench.popped == [cycle - 18 for cycle in writes[groups - 1::groups]]
    assert bench.dones == writes[-1:]


@pytest.mark.parametrize("name, cycles", [("pool", 12), ("add", 3)])
def test_cycles_of_pool_and_add(simulate, name, cycles):
    """A pixel a cycle, three cycles a group."""
    window = {"kx_count": 4, "ky_count": 3, "start": 0} if name == "pool" else {"other_base": 0, "other_size": 2048}
    operation = isa.operation(name, **scaled(x_count=9, channels=4, from_base=0, from_size=2048, **window))
    writes = [cycle for cycle, _, _ in timing(simulate, LANES[2], [operation]).writes]
    assert writes == list(range(writes[0], writes[0] + 18 * cycles, cycles))


@pytest.mark.parametrize("reads, per_channel, cycles", [(1, 0, 19), (1, 1, 20), (2, 0, 19), (2, 1, 24), (3, 0, 19),
                                                        (3, 1, 28)])
def test_the_next_instruction_follows_soon(simulate, reads, per_channel, cycles):
    """Its records come while the last outputs are under way: so many cycles from group to group."""
    assert READS[reads].record_reads == reads
    operation = isa.operation("activate", **scaled(x_count=5, channels=4, per_channel=per_channel,
                                                   parameters_size=64))
    bench = timing(simulate, READS[reads], [operation] * 3, rows=15)
    gaps = np.diff([cycle for cycle, _, _ in bench.writes])
    assert sorted(set(gaps.tolist())) == [1, cycles]


def region_errors():
    """Instructions with an access that leaves its region by a byte, and how many writes come before."""
    output = {"x_count": 3, "x_stride": 5, "channels": 4}
    inputs = {"from_base": 100, "from_size": 2 * 7 + 4, "from_x_stride": 7}
    others = {"other_base": 300, "other_size": 2 * 7 + 4, "other_x_stride": 7}
    pool = {"start": 100, "kx_count": 2, "kx_stride": 1}
    yield "activate", output | {"size": 13}, 2 * 2 + 1
    yield "activate", output | {"size": 4}, 2
    yield "activate", output | {"size": 1}, 0
    yield "activate", output | {"x_stride": -1}, 2
    yield "activate", output | {"size": END - OUTPUTS, "per_channel": 1, "parameters_size": 63}, 0
    yield "activate", output | {"size": END - OUTPUTS, "parameters_size": 15}, 0
    yield "pool", output | inputs | {"start": 100, "from_size": 17}, 5
    yield "pool", output | inputs | pool, 5
    yield "pool", output | inputs | {"start": 99}, 0
    yield "pool", output | inputs | {"start": 100, "size": 13}, 5
    yield "add", output | inputs | others | {"from_size": 17}, 5
    yield "add", output | inputs | others | {"other_size": 10}, 3
    yield "add", output | inputs | others | {"size": 13}, 5


def inside(address, count, base, size):
    return base <= address and address + count <= base + size


@pytest.mark.parametrize("name, values, writes", list(region_errors()))
def test_region_errors(simulate, name, values, writes):
    """The access is not made, all writes before it are, and nothing after."""
    good = isa.operation("activate", **scaled(channels=4))
    operations = [good, isa.operation(name, **scaled(**values)), good]
    bench = Bench(LANES[2], np.zeros(END, np.uint8)).run(
        simulate, [command(each, 7 + k) for k, each in enumerate(operations)], np.zeros((9, COLS), np.int32))
    assert [error[1:] for error in bench.errors] == [(isa.ErrorCode.REGION, 8)]
    assert len(bench.dones) == 1 and len(bench.writes) == 2 + writes
    size = values.get("size", END - OUTPUTS)
    assert all(inside(address, len(data), OUTPUTS, size) for address, data in bench.bytes_written[2:])
    records = RECORDS, max(16, values.get("parameters_size", 48))
    inputs = [(values[f"{side}_base"], values[f"{side}_size"]) for side in ("from", "other")
              if f"{side}_base" in values]
    for _, address in bench.reads:
        assert inside(address, LANES[2].banks, *records) or any(inside(address, 2, *region) for region in inputs)
