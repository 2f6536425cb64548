"""The claims about the matrix unit, each measured on the generated Verilog.

Nothing here is taken from a model alone: cycles, results and utilisation come from the RTL, compiled by Verilator;
what the golden models predict stands beside it. Each function takes ``track(items, label)``, which yields the items
and shows progress, and returns a :class:`~systolic_sim.claims.command.Table`.
"""

import dataclasses
import itertools
import json
import subprocess
import sys

import numpy as np

from systolic.config import Arch, Config, Impl, preset
from systolic.formats import number_format
from systolic_sim.claims.table import Table
from systolic_sim.cycles.schedule import schedule
from systolic_sim.golden.formats import golden
from systolic_sim.golden.matrix_unit import MatrixUnit
from systolic_sim.golden.program import Program, matmul_program, random_program, untile
from systolic_sim.rtl.matrix_unit import MatrixUnitRtl

__all__ = ["CLAIMS"]


def _operands(config, rng, m, k, n):
    """Random x [m, k] and w [k, n] in the configuration's format."""
    return (golden(config.arch.format).ordinary(rng, shape) for shape in ((m, k), (k, n)))


def utilisation(track):
    """M x 64 x 64 on an 8x8 array, from the first row in to the last result out."""
    rows, holds = [], True
    for name, least in (("int8_8x8", {64: 99.0, 256: 99.8}), ("bf16_8x8", {64: 98.0, 256: 99.5})):
        config = preset(name)
        rtl = MatrixUnitRtl(config)
        for m, goal in track(least.items(), f"utilisation of {name}"):
            x, w = _operands(config, np.random.default_rng(m), m, 64, 64)
            program = matmul_program(config.arch, x, w)
            results, run = _run_loaded(rtl, program)
            cycles = int(run.accepted["results"][-1] - run.accepted["rows"][0]) + 1
            exact = np.array_equal(untile(config.arch, results, m, 64), _product(config, x, w))
            part = 100 * m * 64 * 64 / (64 * cycles)
            holds &= exact and part >= goal
            rows.append((name, f"{m} x 64 x 64", f"{cycles:,}", f"{m * 64:,}", f"{part:.2f} %", f"{goal} %",
                         "all bits" if exact else "WRONG"))
    return Table(
        title="Utilisation", holds=holds, rows=rows,
        claim="8x8 int8 reaches at least 99 % of R x C MACs per cycle for M = K = N = 64, and 99.8 % for M = 256, with "
              "the first tile loaded and the next tiles in the weight FIFO",
        columns=("array", "M x K x N", "cycles", "rows", "utilisation", "goal", "exact"))


def _run_loaded(rtl, program):
    """Run a program whose first tiles are loaded, or in the weight FIFO, before its first row is offered."""
    arch, tiles = rtl.config.arch, program.tiles
    ahead = min(len(tiles), arch.weight_fifo_depth)
    rtl.rtl.run({"weights": {"data": program.beats[:ahead * arch.rows]}}, {"results": 1},
                stop_after_cycles=ahead * arch.rows + rtl.config.weight_latency)
    return rtl.run(dataclasses.replace(program, tiles=tiles[ahead:]), reset=False)


def _product(config, x, w):
    """The whole product by the golden model: the order of tiles matters in bf16."""
    return untile(config.arch, MatrixUnit(config.arch).run(matmul_program(config.arch, x, w)), len(x), w.shape[1])


def _even_program(config, rng, m, tiles, accumulate):
    """``tiles`` products of m rows each, which overwrite the same entries or accumulate on them in twos."""
    arch = config.arch
    x, w = _operands(config, rng, m * tiles, arch.rows, arch.cols * tiles)
    first, second = np.arange(m * tiles) % m, np.arange(m * tiles) // m
    return Program(tiles=np.stack(np.split(w, tiles, axis=1)), x=x, address=first % arch.accumulator_depth,
                   accumulate=accumulate & (second % 2 == 1), switch=first == 0, last=np.ones(m * tiles, bool))


def no_cycle_lost(track):
    """Products of m >= R rows on many shapes: one row per cycle, plus the fill."""
    rows, holds = [], True
    shapes = [(1, 1), (3, 5), (8, 2), (2, 8), (8, 8), (16, 16)]
    configs = [Config(arch=Arch(rows=r, cols=c, format=f, accumulator_depth=64), impl=Impl(psum_stages=stages))
               for f, shape, stages in [*(("int8", shape, 1) for shape in shapes),
                                        *(("bf16", (3, 5), stages) for stages in (3, 4, 5, 6, 7, 8)),
                                        ("bf16", (8, 4), 6)] for r, c in [shape]]
    for config in track(configs, "no cycle lost"):
        rtl = MatrixUnitRtl(config, optimise=False)
        arch, stages = config.arch, config.impl.psum_stages
        shortest = {False: arch.rows, True: max(arch.rows, config.turnaround)}
        fills = set()
        for accumulate, more, tiles in itertools.product((False, True), (0, 1, arch.rows + 1), (1, 2, 7, 12)):
            m = shortest[accumulate] + more
            _, run = _run_loaded(rtl, _even_program(config, np.random.default_rng(m), m, tiles, accumulate))
            fills.add(int(run.accepted["results"][-1] - run.accepted["rows"][0]) + 1 - m * tiles)
        bound = arch.rows * stages + arch.cols + 10
        holds &= fills == {config.latency} and config.latency <= bound
        rows.append((f"{arch.rows} x {arch.cols} {arch.format.name}", str(stages), f">= {shortest[False]}",
                     f">= {shortest[True]}", ", ".join(map(str, sorted(fills))), str(config.latency),
                     str(bound)))
    return Table(
        title="No cycle lost", holds=holds, rows=rows,
        claim="cycles = M x tiles + fill for any M >= R. If tiles accumulate on the same entries, M must also reach "
              "the turnaround of the accumulator adder, L + 1. Fill = R x L + (C - 1) x hops + product stages + adder "
              "stages + 3 <= R x L + C + 10",
        columns=("array", "L", "M", "M, accumulating", "fill measured", "predicted", "bound"))


def small_product(track):
    """8x8x8 on 8x8 from the first weight beat offered to the last result."""
    rows, holds = [], True
    for name in track(("int8_8x8", "bf16_8x8"), "one small product"):
        config = preset(name)
        x, w = _operands(config, np.random.default_rng(8), 8, 8, 8)
        _, run = MatrixUnitRtl(config).run(matmul_program(config.arch, x, w))
        measured = int(run.accepted["results"][-1]) + 1
        predicted = config.weight_latency + config.arch.rows - 1 + 8 + config.latency
        holds &= measured == predicted
        rows.append((name, str(measured), str(predicted)))
    return Table(
        title="One small product, weights included", holds=holds, rows=rows,
        claim="an 8x8x8 product on 8x8 takes weight latency + (R - 1) + M + fill cycles",
        columns=("array", "cycles", "formula"))


def _random_configs(count):
    """Configurations of every kind, the same each time."""
    rng = np.random.default_rng(2)
    for number in range(count):
        format, largest = (("int8", 12), ("int8", 12), ("bf16", 4))[number % 3]
        rows, cols = (int(size) for size in rng.integers(1, largest + 1, 2))
        low, high = number_format(format).psum_stages
        yield Config(
            arch=Arch(rows=rows, cols=cols, format=format, weight_fifo_depth=int(rng.integers(1, 5)),
                      accumulator_depth=rows + int(rng.integers(0, 40))),
            impl=Impl(psum_stages=int(rng.integers(low, high + 1)), product_stages=int(rng.integers(0, 4)),
                      hop_stages=int(rng.integers(1, 3)), memory_stages=int(rng.integers(1, 3))))


def exactness(track, configs=33, programs=40):
    """Random programs on random configurations, every second one with all streams stalling at random."""
    rows, wrong, late, total = [], 0, 0, 0
    for config in track(list(_random_configs(configs)), "random programs"):
        rtl = MatrixUnitRtl(config, optimise=False)
        arch, impl = config.arch, config.impl
        bits = cycles = size = 0
        for seed in range(programs):
            program = random_program(arch, np.random.default_rng(seed))
            stalls = 0.4 if seed % 2 else None
            results, run = rtl.run(program, stalls=stalls, seed=seed)
            different = results.view(np.uint32) ^ MatrixUnit(arch).run(program).view(np.uint32)
            bits += int(np.bitwise_count(different).sum())
            size += results.size
            if stalls is None:
                plan = schedule(config, program)
                cycles += (run.accepted["rows"].tolist() != plan.accepted.tolist()
                           or run.accepted["results"].tolist() != plan.results.tolist())
        wrong, late, total = wrong + bits, late + cycles, total + programs
        rows.append((f"{arch.rows} x {arch.cols} {arch.format.name}",
                     f"{impl.product_stages}/{impl.psum_stages}/{impl.hop_stages}/{impl.memory_stages}",
                     str(programs), f"{size:,}", str(bits), f"{cycles} of {programs - programs // 2}"))
    rows.append((f"**{configs} configurations**", "", f"**{total:,}**", "", f"**{wrong}**", f"**{late}**"))
    return Table(
        title="Exactness", holds=not wrong and not late, rows=rows,
        claim="random programs give no wrong bit; without stalls, every row and every result is in the predicted cycle",
        columns=("array", "stages: product/psum/hop/memory", "programs", "results", "wrong bits", "wrong cycles"))


# bf16 patterns: zeros, smallest and largest subnormals and normals, ones and neighbours, infinities, NaN.
_SPECIAL = [sign | bits for sign in (0, 0x8000) for bits in (
    0x0000, 0x0001, 0x0040, 0x007F, 0x0080, 0x0081, 0x1F80, 0x3F00, 0x3F7F, 0x3F80,
    0x3F81, 0x4000, 0x4B80, 0x5F80, 0x7F00, 0x7F7F, 0x7F80, 0x7F81, 0x7FC0, 0x7FFF)]


def float_macs(track, random_rows=40_000):
    """Fused multiply-adds against numpy: all special values three at a time, then random numbers of any size."""
    config = Config(arch=Arch(rows=2, cols=4, format="bf16"), name="bf16_2x4")
    rtl = MatrixUnitRtl(config)
    special = np.array(_SPECIAL, np.uint16)
    psum, a = (grid.ravel() for grid in np.meshgrid(special, special))
    # Row 0 brings a psum into the column, 1.0 times a value; row 1 is the multiply-add under test.
    one = np.full(4, 0x3F80, np.uint16)
    batches = [(np.stack([psum, a], 1), np.stack([one, w])) for w in special.reshape(-1, 4)]
    rng = np.random.default_rng(3)
    for span in (8, 24, 60, 120, 255):
        x, w = (_random_bf16(rng, span, shape) for shape in ((random_rows, 2), (2, 4)))
        batches.append((x, w))
    counts = {"special": [0, 0], "random": [0, 0]}
    for number, (x, w) in enumerate(track(batches, "bf16 multiply-adds")):
        results, _ = rtl.run(matmul_program(config.arch, x, w))
        kind = counts["special" if number < len(special) // 4 else "random"]
        kind[0] += x.shape[0] * 8
        kind[1] += int(np.bitwise_count(untile(config.arch, results, len(x), 4) ^ _numpy_columns(x, w)).sum())
    return Table(
        title="bf16 multiply-adds", holds=not counts["special"][1] + counts["random"][1],
        rows=[(f"all triples of {len(special)} special values", f"{counts['special'][0]:,}", str(counts["special"][1])),
              ("random numbers in five exponent ranges", f"{counts['random'][0]:,}", str(counts["random"][1]))],
        claim="no bit differs from numpy, which computes exact product and sum in float64 and rounds once to float32",
        columns=("operands", "multiply-adds", "wrong bits"))


def _random_bf16(rng, span, shape):
    """Random bf16 patterns of any sign, with exponents from a range of that many in the middle."""
    low = max(0, 127 - span // 2)
    fields = rng.integers(0, 2, shape) << 15 | rng.integers(low, low + span, shape) << 7 | rng.integers(0, 128, shape)
    return fields.astype(np.uint16)


def _numpy_columns(x, w):
    """fp32 bits of x [M, 2] @ w [2, N], top to bottom: written for this check, apart from the golden models."""
    with np.errstate(all="ignore"):
        x, w = ((bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64) for bits in (x, w))
        total = np.zeros((x.shape[0], w.shape[1]))
        for k in range(x.shape[1]):
            total = (x[:, k, None] * w[k] + total).astype(np.float32).astype(np.float64)
    # Adding +0 turns -0, the sign of zero that the contract does not have, into +0.
    bits = (total.astype(np.float32) + np.float32(0)).view(np.uint32)
    return np.where(np.isnan(total), np.uint32(0x7FC00000), bits)


_MEASURE = r"""
import json, re, sys, time
from systolic.config import Arch, Config
from systolic.verilog import generate
size = int(sys.argv[1])
start = time.perf_counter()
design = generate(Config(arch=Arch(rows=size, cols=size, accumulator_depth=max(512, 16 * size))))
seconds = time.perf_counter() - start
peak = int(re.search(r"VmHWM:\s*(\d+)", open("/proc/self/status").read())[1]) / 1024
print(json.dumps([seconds, peak, len(design.verilog), design.verilog.count("endmodule")]))
"""


def elaboration(track):
    """Seconds, memory and text of square int8 arrays, each in a process of its own."""
    rows, holds = [], True
    for size in track((8, 16, 32, 64, 128, 256), "elaboration"):
        done = subprocess.run([sys.executable, "-c", _MEASURE, str(size)], check=True, capture_output=True, text=True)
        seconds, memory, length, modules = json.loads(done.stdout)
        holds &= seconds <= 10 and memory <= 1000 and length <= 1_000_000
        rows.append((f"{size} x {size}", f"{seconds:.2f}", f"{memory:.0f}", f"{length:,}", str(modules)))
    return Table(
        title="Elaboration", holds=holds, rows=rows,
        claim="256 x 256 int8 takes at most 10 s, 1 GB of memory and 1 MB of Verilog",
        columns=("int8 array", "seconds", "MB", "bytes of Verilog", "modules"))


def speed(track):
    """Cycles per second of the compiled model that Python drives, everything included."""
    rows, fast = [], True
    for name, goal in track((("int8_16x16", 300_000), ("int8_8x8", 0), ("bf16_8x8", 0)), "simulation speed"):
        config = preset(name)
        x, w = _operands(config, np.random.default_rng(1), 1000, 8 * config.arch.rows, 4 * config.arch.cols)
        program, rtl = matmul_program(config.arch, x, w), MatrixUnitRtl(config)
        rates = sorted(run.cycles / run.seconds for _, run in (rtl.run(program) for _ in range(5)))
        fast &= rates[2] >= goal
        rows.append((name, f"{schedule(config, program).total:,}", *(f"{rates[i]:,.0f}" for i in (0, 2, 4)),
                     f"{goal:,}" if goal else ""))
    return Table(
        title="Simulation speed", holds=fast, rows=rows,
        claim="at least 300,000 cycles per second on a 16x16 int8 array",
        columns=("array", "cycles", "cycles/s min", "median", "max", "goal"))


CLAIMS = {claim.__name__: claim for claim in (
    utilisation, no_cycle_lost, small_product, exactness, float_macs, elaboration, speed)}
