"""The stepped activation unit equals the gateware in every output and every cycle."""

import dataclasses
import itertools
import random

import pytest
from amaranth.sim import Simulator

from systolic import isa
from systolic.gateware.activation.unit import ActivationUnit as Gateware
from systolic.tpu_config import tpu_preset
from systolic_sim.cycles.activation_unit import ActivationUnit

LANES = {lanes: dataclasses.replace(tpu_preset("tpu_4x4"), lanes=lanes) for lanes in (1, 2, 3, 4)}
COLS, BUFFER = 4, 8192
# Cycles to look at what comes after an error.
AFTER = 60


def reach(counts, strides, count):
    """Least and largest place of some loops' accesses of ``count`` bytes."""
    ends = [(steps - 1) * stride for steps, stride in zip(counts, strides, strict=True)]
    return sum(min(end, 0) for end in ends), sum(max(end, 0) for end in ends) + count


def region(rng, counts, strides, channels, slack):
    """Base, size and start such that all accesses are inside; with ``slack`` -1 one byte is not."""
    low, high = reach(counts, strides, channels)
    size = high - low + slack
    base = rng.randrange(BUFFER - max(size, 1))
    return base, max(size, 1), base - low


def positive(rng):
    return rng.randrange(20)


def signed(rng):
    return rng.randrange(-20, 20)


def random_operation(rng, wrong=0.0):
    """An instruction, legal but for the size of a region with probability ``wrong``."""
    def slack():
        return -1 if rng.random() < wrong else rng.choice([0, 0, 1, 5])
    name = rng.choice(["activate", "activate", "pool", "add", "load_table"])
    if name == "load_table":
        return isa.operation(name, from_base=rng.randrange(BUFFER - 256))
    x_count, y_count = rng.choice([(1, 1), (1, 3), (2, 2), (5, 1), (3, 4)])
    values = {"x_count": x_count, "y_count": y_count, "x_stride": positive(rng), "y_stride": positive(rng),
              "channels": rng.randint(1, COLS if name == "activate" else 9),
              "parameters": rng.randrange(BUFFER - 64)}
    outputs = y_count, x_count
    values["base"], values["size"], _ = region(
        rng, outputs, (values["y_stride"], values["x_stride"]), values["channels"], slack())
    if name == "activate":
        values["per_channel"] = rng.randrange(2)
        needed = 16 * (values["channels"] if values["per_channel"] else 1)
        values["parameters_size"] = max(1, needed + rng.choice([slack(), 0, 0, 0]))
        return isa.operation(name, **values)
    step = signed if name == "pool" else positive
    values |= {"from_x_stride": step(rng), "from_y_stride": step(rng)}
    strides = [values["from_y_stride"], values["from_x_stride"]]
    if name == "pool":
        window = {"kx_count": rng.randint(1, 3), "ky_count": rng.randint(1, 3), "kx_stride": signed(rng),
                  "ky_stride": signed(rng)}
        values |= window | {"maximum": rng.randrange(2)}
        strides += [window["ky_stride"], window["kx_stride"]]
        values["from_base"], values["from_size"], values["start"] = region(
            rng, (*outputs, window["ky_count"], window["kx_count"]), strides, values["channels"], slack())
    else:
        values |= {"other_x_stride": positive(rng), "other_y_stride": positive(rng)}
        values["from_base"], values["from_size"], _ = region(rng, outputs, strides, values["channels"], slack())
        values["other_base"], values["other_size"], _ = region(
            rng, outputs, (values["other_y_stride"], values["other_x_stride"]), values["channels"], slack())
    return isa.operation(name, **(values | in_place(rng, name, values) if rng.random() < 0.4 else values))


def in_place(rng, name, values):
    """What puts the output over the first input."""
    window = {"kx_count": 1, "ky_count": 1, "start": values["base"]} if name == "pool" else {}
    return window | {f"from_{field}": values[field] for field in ("base", "size", "x_stride", "y_stride")}


def leaving(rng):
    """An activate with a region too small by a byte."""
    x_count = rng.randint(1, 9)
    return isa.operation("activate", x_count=x_count, x_stride=4, channels=4, size=4 * x_count - 1, parameters=4096)


def outputs(ctx, unit):
    """What the gateware shows in this cycle, as the model has it."""
    read, write, port, error = unit.read.request, unit.write, unit.sequencer, unit.sequencer.error
    return {
        "command_ready": ctx.get(port.command.ready), "results_ready": ctx.get(unit.results.ready),
        "done": ctx.get(port.done), "busy": ctx.get(port.busy), "moving": ctx.get(port.moving),
        "error": (ctx.get(error.code), ctx.get(error.index)) if ctx.get(error.valid) else None,
        "read": ctx.get(read.payload) if ctx.get(read.valid) else None,
        "write": ((ctx.get(write.payload.address), ctx.get(write.payload.count)) if ctx.get(write.valid) else None)}


def compare(machine, operations, rng, *, offered, supplied, cycles):
    """Both side by side until all is done, or an error and some more cycles; the number of dones, and the error."""
    unit, model = Gateware(machine), ActivationUnit(machine)
    waiting, seen = list(enumerate(operations, 1000)), {"done": 0, "error": None}

    async def testbench(ctx):
        left, command = cycles, None
        while left and seen["done"] < len(operations):
            if command is None and waiting and rng.random() < offered:
                command = waiting.pop(0)
            sums = rng.random() < supplied
            ctx.set(unit.sequencer.command.valid, command is not None)
            if command is not None:
                word = int.from_bytes(isa.encode([command[1]]), "little")
                ctx.set(unit.sequencer.command.payload, {"index": command[0], "rounding": 0, "words": word,
                                                         "in_place": any(isa.overlaps(command[1]))})
            ctx.set(unit.results.valid, sums)
            want = {name: getattr(model, name) for name in outputs(ctx, unit)}
            assert outputs(ctx, unit) == want
            taken = command is not None and model.command_ready
            model.step(command, sums)
            seen["done"] += want["done"]
            seen["error"] = seen["error"] or want["error"]
            command = None if taken else command
            left = min(left, AFTER) - 1 if seen["error"] else left - 1
            await ctx.tick()
    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return seen["done"], seen["error"]


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("offered, supplied", [(1, 1), (0.05, 1), (1, 0.3)])
def test_legal_programs(lanes, offered, supplied):
    rng = random.Random(lanes)
    operations = [random_operation(rng) for _ in range(12)]
    operations = [each for each in operations if not over_itself(each)]
    done, error = compare(LANES[lanes], operations, rng, offered=offered, supplied=supplied, cycles=20_000)
    assert done == len(operations) and error is None


def over_itself(operation):
    """Whether an output begins before the end of the one before it, in place."""
    values = operation.values
    if not any(isa.overlaps(operation)):
        return False
    places = [y * values["y_stride"] + x * values["x_stride"]
              for y in range(values["y_count"]) for x in range(values["x_count"])]
    return any(after < before + values["channels"] for before, after in itertools.pairwise(places))


@pytest.mark.parametrize("lanes", LANES)
def test_outputs_in_place_walk_upwards(lanes):
    """The first one that begins before the end of the one before it is the error."""
    rng, seen = random.Random(lanes), set()
    for _ in range(40):
        values = {"x_count": rng.randint(1, 4), "y_count": rng.randint(1, 3), "x_stride": rng.randrange(8),
                  "y_stride": rng.randrange(20), "channels": rng.randint(1, 6), "base": 100, "size": 500,
                  "other_base": 1000, "other_size": 500, "parameters": 4000}
        name = rng.choice(["pool", "add"])
        names = {field.name for field in isa.operation(name).instruction.fields}
        values = {field: value for field, value in (values | in_place(rng, name, values)).items() if field in names}
        operation = isa.operation(name, **values)
        done, error = compare(LANES[lanes], [operation], rng, offered=1, supplied=1, cycles=2_000)
        assert (done, error) == ((0, (isa.ErrorCode.OVERLAP, 1000)) if over_itself(operation) else (1, None)), operation
        seen.add(error)
    assert len(seen) == 2


@pytest.mark.parametrize("seed", range(24))
def test_errors(seed):
    """Until a region is left, and what is shown after that."""
    rng = random.Random(seed)
    operations = [random_operation(rng, wrong=0.4) for _ in range(8)] + [leaving(rng)]
    done, error = compare(LANES[rng.choice(list(LANES))], operations, rng, offered=0.9, supplied=0.9, cycles=20_000)
    assert error in ((isa.ErrorCode.REGION, 1000 + done), (isa.ErrorCode.OVERLAP, 1000 + done))
