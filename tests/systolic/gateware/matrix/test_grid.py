"""The grid alone: waves of rows, tiles that are loaded behind the switch, in time and place."""

import numpy as np
import pytest

from systolic.config import Arch, Config, Impl
from systolic.gateware.matrix.grid import Grid
from systolic_sim.golden import bf16, int8

CONFIGS = [
    Config(arch=Arch(rows=1, cols=1)),
    Config(arch=Arch(rows=3, cols=2)),
    Config(arch=Arch(rows=1, cols=4), impl=Impl(hop_stages=3)),
    Config(arch=Arch(rows=6, cols=3), impl=Impl(product_stages=0, psum_stages=2, hop_stages=2)),
    Config(arch=Arch(rows=5, cols=2), impl=Impl(product_stages=3, psum_stages=3)),
    Config(arch=Arch(rows=17, cols=1)),
    Config(arch=Arch(rows=2, cols=2, format="bf16"), impl=Impl(psum_stages=3)),
]


def label(config):
    impl = config.impl
    return (f"{config.arch.format.name} {config.arch.rows}x{config.arch.cols} "
            f"{impl.product_stages}{impl.psum_stages}{impl.hop_stages}")


class Schedule:
    """Inputs of every cycle, by port and lane."""

    def __init__(self, config):
        self.config = config
        self.ports = {"a": {}, "w": {}, "control": {}}
        self.last = 0

    def drive(self, port, cycle, lane, value):
        assert (cycle, lane) not in self.ports[port], "two values for one place"
        self.ports[port][cycle, lane] = value
        self.last = max(self.last, cycle)

    def load(self, cycle, tile):
        """One row of weights a cycle from then on, last row first; lanes skewed by the hop."""
        rows = len(tile)
        for beat, weights in enumerate(tile[::-1]):
            self.drive("control", cycle + beat, "load", rows - 1 - beat)
            for c, weight in enumerate(weights):
                self.drive("w", cycle + beat + self.config.impl.hop_stages * c, c, weight)

    def row(self, cycle, x, switch):
        """A row whose element 0 enters in that cycle, skewed by L."""
        if switch:
            self.drive("control", cycle, "switch", 1)
        for r, value in enumerate(x):
            self.drive("a", cycle + self.config.impl.psum_stages * r, r, value)

    def vector(self, port, cycle, lanes, width, idle):
        values = (self.ports[port].get((cycle, lane), idle) for lane in range(lanes))
        return sum(int(value) << lane * width for lane, value in enumerate(values))

    def control(self, cycle):
        hops = self.ports["control"].get((cycle, "load"))
        return {"switch": (cycle, "switch") in self.ports["control"], "load": hops is not None, "hops": hops or 0}


def run(simulate, schedule):
    """psums at the foot, [cycle][column], as bits."""
    config, arch = schedule.config, schedule.config.arch
    grid = Grid(config, config.row_mappings, config.arch.taps)
    zero = 0 if arch.format.name == "int8" else 1 << 25
    top = sum(zero << c * arch.psum_width for c in range(arch.cols))
    depth = config.array_latency + 2
    got = []

    async def testbench(ctx):
        ctx.set(grid.psum, top)
        for cycle in range(schedule.last + depth):
            # Idle lanes carry junk: nothing may depend on them.
            ctx.set(grid.a, schedule.vector("a", cycle, arch.rows, arch.operand_width, cycle * 37 % 251))
            ctx.set(grid.w, schedule.vector("w", cycle, arch.cols, arch.operand_width, cycle * 91 % 241))
            ctx.set(grid.control, schedule.control(cycle))
            bits = ctx.get(grid.psum_below)
            got.append([bits >> c * arch.psum_width & (1 << arch.psum_width) - 1 for c in range(arch.cols)])
            await ctx.tick()
    simulate(grid, testbench)
    return got


def operands(config, rng, shape, recoded):
    """Numbers, and their bits on the grid's ports."""
    if config.arch.format.name == "int8":
        numbers = rng.integers(-128, 128, shape, np.int8)
        return numbers, numbers.view(np.uint8)
    numbers = bf16.from_float32(rng.standard_normal(shape).astype(np.float32))
    fields = [recoded.operand(int(number)) for number in numbers.ravel()]
    bits = [f["mantissa"] & 0x1FF | (f["exponent"] & 0x1FF) << 9 for f in fields]
    return numbers, np.array(bits).reshape(shape)


def results(config, got, cycle, recoded):
    """The psums of a row that entered in that cycle, each from the cycle in which it reaches the foot."""
    impl, arch = config.impl, config.arch
    foot = cycle + 1 + impl.product_stages + arch.rows * impl.psum_stages
    bits = [got[foot + impl.hop_stages * c][c] for c in range(arch.cols)]
    if arch.format.name == "int8":
        return [value - (value >> arch.psum_width - 1 << arch.psum_width) for value in bits]
    from systolic.gateware.lib.float import Psum
    return [recoded.fp32(Psum.from_bits(value)) for value in bits]


@pytest.mark.parametrize("config", CONFIGS, ids=label)
@pytest.mark.parametrize("count", ["as few as hide the loading", "more", "apart"])
def test_tiles_change_under_running_waves(simulate, recoded, config, count):
    """A row enters every cycle; the next tile's first weights enter together with the switch to this one."""
    rng = np.random.default_rng(7)
    rows, matmul = config.arch.rows, int8.matmul if config.arch.format.name == "int8" else bf16.matmul
    schedule, want, start = Schedule(config), [], rows
    gap = 3 if count == "apart" else 0
    block = rows if count.startswith("as few") else rows + 3
    tiles = [operands(config, rng, (rows, config.arch.cols), recoded) for _ in range(4)]
    schedule.load(0, tiles[0][1])
    for k, (tile, _) in enumerate(tiles):
        x, bits = operands(config, rng, (block, rows), recoded)
        cycles = [start + n * (1 + gap) for n in range(block)]
        for n, cycle in enumerate(cycles):
            schedule.row(cycle, bits[n], n == 0)
        if k + 1 < len(tiles):
            schedule.load(start, tiles[k + 1][1])
        want += zip(cycles, matmul(x, tile).tolist(), strict=True)
        start = cycles[-1] + 1
    got = run(simulate, schedule)
    assert [results(config, got, cycle, recoded) for cycle, _ in want] == [psums for _, psums in want]


def test_switch_right_after_the_last_weights(simulate, recoded):
    """Products of one row: the switch a cycle after the last weights, the next tile with it."""
    config = CONFIGS[1]
    rng = np.random.default_rng(8)
    schedule, want = Schedule(config), []
    for k in range(4):
        tile, bits = operands(config, rng, (3, 2), recoded)
        x, x_bits = operands(config, rng, (1, 3), recoded)
        schedule.load(3 * k, bits)
        schedule.row(3 * k + 3, x_bits[0], True)
        want.append(int8.matmul(x, tile)[0].tolist())
    got = run(simulate, schedule)
    assert [results(config, got, 3 * k + 3, recoded) for k in range(4)] == want


def test_loading_may_pause(simulate, recoded):
    """Weights that come with gaps, while the tile before is in use, make the same tile."""
    config = CONFIGS[3]
    rng = np.random.default_rng(9)
    schedule = Schedule(config)
    (first, first_bits), (second, second_bits) = (operands(config, rng, (6, 3), recoded) for _ in range(2))
    x, bits = operands(config, rng, (40, 6), recoded)
    schedule.load(0, first_bits)
    for beat in range(6):
        cycle = 6 + beat + [0, 1, 1, 4, 9, 9][beat]
        schedule.drive("control", cycle, "load", 5 - beat)
        for c in range(3):
            schedule.drive("w", cycle + 2 * c, c, second_bits[5 - beat][c])
    for n in range(40):
        schedule.row(6 + n, bits[n], n in (0, 25))
    got = run(simulate, schedule)
    want = [*int8.matmul(x[:25], first).tolist(), *int8.matmul(x[25:], second).tolist()]
    assert [results(config, got, 6 + n, recoded) for n in range(40)] == want


def test_extremes_in_every_cell(simulate, recoded):
    """-128 * -128 in 17 rows, one below another: the psum's top bit stays its sign."""
    config = CONFIGS[5]
    schedule = Schedule(config)
    schedule.load(0, np.full((17, 1), 0x80))
    for n, value in enumerate((0x80, 0x7F, 0x80)):
        schedule.row(17 + n, [value] * 17, n == 0)
    got = run(simulate, schedule)
    assert [results(config, got, 17 + n, recoded) for n in range(3)] == [[17 << 14], [-17 * 128 * 127], [17 << 14]]
