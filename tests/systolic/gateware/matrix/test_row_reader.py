import dataclasses
import random

import pytest
from amaranth.sim import Simulator

from systolic import isa
from systolic.config import Config
from systolic.gateware.matrix.row_reader import RowReader
from systolic.tpu_config import TPU_PRESETS
from systolic_sim.cycles import row_reader as stepped


def operation(config, chance):
    """A random matrix_multiply whose reads are inside its region, padding aside."""
    counts = {name: chance.choice([1, 1, 2, 3]) for name in
              ("x_count", "y_count", "c_count", "n_count", "kx_count", "ky_count")}
    strides = {f"{loop}_stride": chance.randrange(30) for loop in ("x", "y", "c", "kx", "ky", "n")}
    options = {name: chance.randrange(2) for name in ("reuse", "accumulate", "finish")}
    pixels = {"first_x": chance.randrange(-2, 2), "first_y": chance.randrange(-2, 2), "width": chance.randrange(5),
              "height": chance.randrange(5), "x_step": chance.randrange(3), "y_step": chance.randrange(3),
              "kx_step": chance.randrange(3), "ky_step": chance.choice([0, 1, 2, 255])}
    if config.matrix.arch.taps and chance.random() < 0.6:
        counts["x_count"], options["depthwise"] = chance.randrange(1, 12), 1
        options["skip"] = chance.choice([0, 0, 1, 2])
    sizes = {"k_less": config.matrix.arch.rows - 1, "k_last_less": 1, "n_less": 2, "n_last_less": 0}
    return isa.operation("matrix_multiply", base=5, size=1500, start=chance.randrange(5, 40), padding=-7,
                         accumulator=chance.randrange(20), **counts, **strides, **options, **pixels, **sizes)


def expected(op, fresh, taps):
    """(address or None, entry or None, accumulate, switch, last) of each row, by the instruction's definition."""
    v, tile = op.values, 0
    for n in range(v["n_count"]):
        sums = [(ky, kx, c) for ky in range(v["ky_count"]) for kx in range(v["kx_count"]) for c in range(v["c_count"])]
        for number, (ky, kx, c) in enumerate(sums):
            entry = v["accumulator"] - 1
            for row in range(v["x_count"] * v["y_count"]):
                y, x = divmod(row, v["x_count"])
                address = v["start"] + sum(i * v[f"{loop}_stride"] for loop, i in zip(
                    ("x", "y", "c", "kx", "ky", "n"), (x, y, c, kx, ky, n), strict=True))
                px = v["first_x"] + x * v["x_step"] + kx * v["kx_step"]
                py = v["first_y"] + y * v["y_step"] + ky * v["ky_step"]
                padded = (v["width"] and not 0 <= px < v["width"]) or (v["height"] and not 0 <= py < v["height"])
                switch = row == 0 and (fresh or not (v["reuse"] and tile == 0))
                fresh = False
                fills = v["depthwise"] and (x < taps - 1 or (x - taps + 1) % (v["skip"] + 1) != 0)
                entry += not fills
                yield (None if padded else address, None if fills else entry,
                       bool((number or v["accumulate"]) and not fills), bool(switch),
                       bool(v["finish"] and number == len(sums) - 1 and not fills))
            tile += 1


@pytest.mark.parametrize("seed", range(6))
def test_rows_in_order_and_model_equal(seed):
    """Every row as the instruction says, and every output equal to the stepped model's in every cycle."""
    config, chance = TPU_PRESETS["tpu_4x4"], random.Random(seed)
    taps = (0, 2, 3)[seed // 2]
    unit = config.matrix
    config = dataclasses.replace(config, matrix=Config(arch=dataclasses.replace(unit.arch, taps=taps), impl=unit.impl))
    dut, model = RowReader(config), stepped.RowReader(config)
    operations = [operation(config, chance) for _ in range(6)]
    rows = [row for number, op in enumerate(operations) for row in expected(op, number == 0, taps)]
    due, got, done = [], [], 0

    async def testbench(ctx):
        nonlocal done
        waiting, index = list(operations), 0
        for _ in range(8 * len(rows) + 200):
            command = waiting[0] if waiting and chance.random() < 0.5 else None
            granted, ready = chance.random() < 0.8, chance.random() < 0.7
            ctx.set(dut.sequencer.command.valid, command is not None)
            if command is not None:
                ctx.set(dut.sequencer.command.payload.words, int.from_bytes(isa.encode([command]), "little"))
                ctx.set(dut.sequencer.command.payload.index, index)
            ctx.set(dut.read.request.ready, granted)
            ctx.set(dut.rows.ready, ready)
            read = ctx.get(dut.read.request.payload) if ctx.get(dut.read.request.valid) else None
            back = due.pop(0) if len(due) == config.READ_LATENCY else None
            ctx.set(dut.read.data, 0 if back is None else back)
            due.append(read if read is not None and granted else None)
            row = ctx.get(dut.rows.payload)
            shown = ((None if taps and row.fills else row.address, bool(row.accumulate), bool(row.switch),
                      bool(row.last)) if ctx.get(dut.rows.valid) else None)
            if shown and ready:
                got.append((row.data, *shown))
            assert (read, shown) == (model.read, model.row)
            for port, names in ((dut.sequencer, ("done", "moving", "busy")),
                                (dut, ("empty", "switched", "finishing", "macs"))):
                for name in names:
                    assert ctx.get(getattr(port, name)) == getattr(model, name), name
            assert ctx.get(dut.sequencer.command.ready) == model.command_ready
            assert not ctx.get(dut.sequencer.error.valid)
            done += model.done
            accepted = command is not None and model.command_ready
            model.step(None if command is None else (index, command.values), granted, ready)
            if accepted:
                waiting.pop(0)
                index += 1
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert done == len(operations) and len(got) == len(rows)
    for row, (address, *rest) in zip(got, rows, strict=True):
        data = [249] * 4 if address is None else list((address & 0xFFFFFFFF).to_bytes(4, "little"))
        assert (list(row[0]), list(row[1:])) == (data, rest)


@pytest.mark.parametrize("change,code", [
    ({"size": 30}, isa.ErrorCode.REGION), ({"start": 4}, isa.ErrorCode.REGION),
    ({"accumulator": 64}, isa.ErrorCode.ACCUMULATOR)])
def test_errors(change, code):
    """A row outside the region or beyond the accumulators is not read, and said so."""
    config = TPU_PRESETS["tpu_4x4"]
    dut = RowReader(config)
    values = {"base": 5, "size": 100, "start": 5, "x_count": 9, "x_stride": 4, **change}
    reads = []

    async def testbench(ctx):
        ctx.set(dut.sequencer.command.valid, 1)
        ctx.set(dut.sequencer.command.payload.index, 77)
        ctx.set(dut.sequencer.command.payload.words,
                int.from_bytes(isa.encode([isa.operation("matrix_multiply", **values)]), "little"))
        ctx.set(dut.read.request.ready, 1)
        ctx.set(dut.rows.ready, 1)
        await ctx.tick()
        ctx.set(dut.sequencer.command.valid, 0)
        for _ in range(40):
            if ctx.get(dut.read.request.valid):
                reads.append(ctx.get(dut.read.request.payload))
            error = ctx.get(dut.sequencer.error)
            await ctx.tick()
        assert (error.valid, error.code, error.index) == (1, code, 77)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert all(values["base"] <= address <= values["base"] + values["size"] - 4 for address in reads)
