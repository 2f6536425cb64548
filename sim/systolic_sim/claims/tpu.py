"""The claims about the whole TPU, each measured on the compiled Verilog unless it says otherwise.

Functions as in :mod:`systolic_sim.claims.matrix_unit`.
"""

import collections
import concurrent.futures
import functools
import json
import subprocess
import sys

import numpy as np

from systolic import isa
from systolic.compiler import Builder, layers
from systolic.compiler.layout import Layout
from systolic.compiler.quantise import Requantisation
from systolic.config import Arch, Config, Impl
from systolic.host import Driver
from systolic.tpu_config import TPU_PRESETS, TpuConfig, tpu_preset
from systolic_sim.claims.bandwidth import STREAMS, share
from systolic_sim.claims.check import compare, compare_illegal
from systolic_sim.claims.table import Table
from systolic_sim.cycles.tpu import predict
from systolic_sim.emulator import Emulator
from systolic_sim.programs.illegal import KINDS
from systolic_sim.programs.workloads import WORKLOADS
from systolic_sim.rtl.tpu import TpuRtl

__all__ = ["CLAIMS"]

_LATENCY = 20


def _run_layer(tpu, rtl, layout, place, x, padding):
    """Image and counters of a layer alone, and whether all bytes and counters are as predicted.

    Three programs: the first brings input and parameter records into the buffer, the second is the layer itself, whose
    counters they are, the third writes the output to memory.
    """
    builder = Builder(tpu)
    tensor = builder.load(builder.input("x", layout, x, fill=padding))
    layer = place(builder)
    builder.end()
    out = layer(builder, tensor)
    builder.end()
    builder.store(out, builder.output("y", out.layout))
    builder.end()
    image = builder.image()
    emulator, memory = Emulator(tpu, image.memory()), image.memory()
    rtl.reset()
    rtl.connect(memory, latency=_LATENCY)
    counters, exact = [], True
    for program in image.programs:
        emulator.run_at(program.address, program.length)
        counters.append(Driver(rtl).run(program.address, program.length).counters)
        predicted = predict(tpu, program.operations, latency=_LATENCY).counters
        exact &= all(value == predicted.get(name, 0) for name, value in counters[-1].items())
    return image, counters[1], bool(exact and np.array_equal(memory, emulator.memory))


def _requantisation(rng, channels):
    return Requantisation(bias=rng.integers(-9999, 9999, channels), shift=np.full(channels, -9),
                          multiplier=rng.integers(1 << 30, 1 << 31, channels))


def convolution(track):
    """3 x 3, 16 x 16 x 64 to 64, from the doorbell to the interrupt."""
    rows, holds = [], True
    for name, goal in track((("tpu_16x16", 95), ("tpu_8x8", 90), ("tpu_12x20", 90)), "convolution"):
        tpu, rng = tpu_preset(name), np.random.default_rng(1)
        arch = tpu.matrix.arch
        x, w = (rng.integers(-128, 128, shape, np.int8) for shape in ((16, 16, 64), (3, 3, 64, 64)))
        place = functools.partial(layers.convolution, w=w, scale=_requantisation(rng, 64), padding=3, even=True)
        layer, counters, exact = _run_layer(tpu, TpuRtl(tpu), Layout.of(*x.shape, border=layers.border(3)), place, x, 3)
        cycles = counters["cycles"]
        part = 100 * layer.macs / (arch.rows * arch.cols * cycles)
        holds &= exact and part >= goal
        stalls = (f"{100 * counters[state] / cycles:.2f}"
                  for state in ("active", "weight_stall", "weight_shift", "non_matrix"))
        rows.append((name, f"{cycles:,}", f"{part:.2f} %", f"{goal} %", *stalls, "all bytes, all counters" if exact
                     else "WRONG"))
    return Table(
        title="Convolution", holds=holds, rows=rows,
        claim="a 3 x 3 convolution of 16 x 16 x 64 to 64 channels reaches at least 95 % of R x C MACs per cycle on "
              "16 x 16 cells and 90 % on 8 x 8 and 12 x 20, from doorbell to interrupt. The input is in the unified "
              f"buffer, weights stream at 8 bytes per cycle from a memory with a latency of {_LATENCY} cycles, and "
              "results are requantised into the unified buffer. All bytes match the emulator, all counters the cycle "
              "model",
        columns=("TPU", "cycles", "of peak MACs", "goal", "active %", "weight stall %", "weight shift %",
                 "non-matrix %", "exact"))


def depthwise(track):
    """3 x 3 on 16 x 16 x 64, from the doorbell to the interrupt."""
    rows, holds = [], True
    for name in track(("tpu_16x16",), "depthwise convolution"):
        tpu, rng = tpu_preset(name), np.random.default_rng(2)
        limit = min(tpu.matrix.arch.rows, tpu.matrix.arch.cols)
        x, w = (rng.integers(-128, 128, shape, np.int8) for shape in ((16, 16, 64), (3, 3, 64)))
        place = functools.partial(layers.depthwise, w=w, scale=_requantisation(rng, 64), padding=-5)
        layer, counters, exact = _run_layer(tpu, TpuRtl(tpu), Layout.of(*x.shape), place, x, -5)
        done = layer.macs / counters["cycles"]
        holds &= exact and done >= 0.9 * limit
        rows.append((name, f"{counters['cycles']:,}", f"{done:.2f}", str(limit), f"{100 * done / limit:.1f} %", "90 %",
                     "all bytes, all counters" if exact else "WRONG"))
    return Table(
        title="Depthwise convolution", holds=holds, rows=rows,
        claim="a 3 x 3 depthwise convolution of 16 x 16 x 64 reaches at least 90 % of its limit, min(R, C) MACs per "
              "cycle (one vector of the unified buffer), from doorbell to interrupt",
        columns=("TPU", "cycles", "MACs per cycle", "limit", "of the limit", "goal", "exact"))


def _machines(count):
    """Presets and odd machines, the same each time."""
    yield from map(tpu_preset, ("tpu_4x4", "tpu_8x8", "tpu_12x20"))
    rng, taps = np.random.default_rng(5), np.random.default_rng(6)
    for number in range(count - 3):
        rows, cols = (int(size) for size in rng.integers(1, 10, 2))
        depth = rows + int(rng.integers(8, 60))
        unit = Config(
            arch=Arch(rows=rows, cols=cols, accumulator_depth=depth, weight_fifo_depth=int(rng.integers(1, 4)),
                      result_fifo_depth=int(rng.integers(0, 2 * depth)),
                      taps=int(taps.integers(2, min(rows, 5) + 1)) if rows > 1 else 0),
            impl=Impl(psum_stages=int(rng.integers(1, 3)), product_stages=int(rng.integers(0, 3)),
                      hop_stages=int(rng.integers(1, 3)), memory_stages=int(rng.integers(1, 3))))
        yield TpuConfig(matrix=unit, lanes=int(rng.integers(1, cols + 1)), buffer_size=int(rng.integers(16, 129)) * 64,
                        bus_bytes=4 << int(rng.integers(0, 5)), burst_beats=int(rng.integers(1, 33)),
                        reads_in_flight=int(rng.integers(1, 9)), name=f"tpu_{number}")


def _shape(tpu):
    arch = tpu.matrix.arch
    return f"{arch.rows} x {arch.cols}, {tpu.lanes} lane{'s' * (tpu.lanes > 1)}, {8 * tpu.bus_bytes} bits"


def random_programs(track, configs=10, programs=60):
    """Each against a memory of fixed latency, then with every channel of the bus stalling at random."""
    rows, total = [], collections.Counter()
    for tpu in track(list(_machines(configs)), "random programs"):
        rtl, count = TpuRtl(tpu, optimise=False), collections.Counter()
        for seed in range(programs):
            options = {"latency": (1, 4, 10, 30)[seed % 4], "bytes_per_cycle": (None, None, 1.5)[seed % 3]}
            exact = compare(tpu, seed, rtl=rtl, **options)
            compare(tpu, seed, rtl=rtl, stalls=(0.1, 0.4, 0.7)[seed % 3])
            count += collections.Counter(instructions=exact.instructions, bytes=exact.bytes, cycles=exact.cycles)
        total += count
        rows.append((_shape(tpu), str(programs), *(f"{count[name]:,}" for name in ("instructions", "bytes", "cycles")),
                     "0", "0"))
    rows.append((f"**{configs} machines**", f"**{configs * programs}**",
                 *(f"**{total[name]:,}**" for name in ("instructions", "bytes", "cycles")), "**0**", "**0**"))
    return Table(
        title="Random programs", rows=rows, holds=configs >= 8 and configs * programs >= 500,
        claim="on legal programs, every byte of memory matches the emulator, and every counter and cycle matches the "
              "cycle model, for memories of several latencies and bandwidths. Every byte also matches with all bus "
              "channels stalling at random. The first mismatch aborts the run with an error",
        columns=("machine", "programs, each run twice", "instructions", "bytes compared", "cycles compared",
                 "wrong bytes", "wrong counters"))


def illegal_programs(track):
    """Every kind of error there is, on several machines."""
    machines = list(map(tpu_preset, ("tpu_4x4", "tpu_8x8", "tpu_12x20")))
    ended = {code: collections.Counter() for code in isa.ErrorCode}
    for tpu in track(machines, "illegal programs"):
        rtl = TpuRtl(tpu, optimise=False)
        for kind in KINDS:
            ended[compare_illegal(tpu, kind, 3, rtl=rtl).error]["plain"] += 1
            ended[compare_illegal(tpu, kind, 4, rtl=rtl, stalls=0.4).error]["stalls"] += 1
    rows = [(str(code), str(sum(error == code for error, _ in KINDS.values())), str(count["plain"]),
             str(count["stalls"])) for code, count in ended.items()]
    total = sum(count.total() for count in ended.values())
    rows.append(("**all**", f"**{len(KINDS)}**", *(f"**{sum(count[how] for count in ended.values())}**"
                                                  for how in ("plain", "stalls"))))
    return Table(
        title="Errors", rows=rows, holds=total >= 300 and all(count.total() for count in ended.values()),
        claim="every illegal program and every bus fault ends with the documented error at the instruction that the "
              "emulator names, and a legal program runs after the restart. None hangs. The first mismatch aborts the "
              "run with an error",
        columns=("error", "kinds", "cases", "cases with bus stalls"))


_MEASURE = r"""
import json, os, re, time
from systolic.tpu_config import tpu_preset
from systolic.verilog import generate
start = time.perf_counter()
design = generate(unit("tpu_v1"))
seconds, processor = time.perf_counter() - start, sum(os.times()[:4])
peak = int(re.search(r"VmHWM:\s*(\d+)", open("/proc/self/status").read())[1]) / 1024
from systolic_sim.rtl.toolchain import lint
text, warnings = design.verilog, lint(design.verilog, design.name)
print(json.dumps([seconds, processor, peak, len(text), text.count("endmodule"), len(warnings)]))
"""


def elaboration(track):
    """TPU v1, in a process of its own."""
    rows = []
    for _ in track((1,), "elaboration"):
        done = subprocess.run([sys.executable, "-c", _MEASURE], check=True, capture_output=True, text=True)
        seconds, processor, memory, length, modules, warnings = json.loads(done.stdout)
        rows.append(("tpu_v1", f"{processor:.1f}", f"{seconds:.1f}", f"{memory:.0f}", f"{length:,}",
                     str(modules), str(warnings)))
    return Table(
        title="Elaboration", holds=processor <= 20 and length <= 3_000_000 and not warnings, rows=rows,
        claim="a TPU with 256 x 256 cells and 24 MiB of unified buffer takes at most 20 s of CPU time, including "
              "imports, and 3 MB of Verilog; Verilator's lint of all 65,536 cells reports no warning",
        columns=("TPU", "CPU seconds", "seconds", "MB", "bytes of Verilog", "modules",
                 "warnings"))


_LATENCIES = 10, 20, 50, 100, 200, 400


def bandwidth(track):
    """Streams on slow memories, by the cycle model rather than the Verilog."""
    rows, holds = [], True
    for tpu in track(list(TPU_PRESETS.values()), "bandwidth"):
        holds &= tpu.covered_latency >= 200
        for kind in STREAMS:
            shares = {latency: share(tpu, kind, latency) for latency in _LATENCIES}
            holds &= all(part >= 0.95 for latency, part in shares.items() if latency <= tpu.covered_latency)
            bursts = tpu.writes_in_flight if kind == "store" else tpu.reads_in_flight
            rows.append((tpu.name, kind, f"{bursts} x {tpu.longest_burst}", str(tpu.covered_latency),
                         *(f"{100 * part:.1f}" for part in shares.values())))
    return Table(
        title="Bandwidth by latency of memory", holds=holds, rows=rows,
        claim="streams of weights and activations, in both directions, use at least 95 % of the memory bus up to the "
              "latency that the bursts in flight cover, at least 200 cycles on every preset; by the cycle model",
        columns=("TPU", "stream", "bursts x beats in flight", "covered latency, cycles",
                 *(f"% at {latency}" for latency in _LATENCIES)))


#: Of TPU v1, ISCA 2017.
_CLOCK, _BANDWIDTH = 700e6, 34e9
_STATES = ("active", "weight_stall", "weight_shift", "non_matrix")


def _counters(number):
    tpu = tpu_preset("tpu_v1")
    return predict(tpu, WORKLOADS[number].program(tpu), latency=100, bytes_per_cycle=_BANDWIDTH / _CLOCK).counters


def workloads(track):
    """The networks of the TPU paper on the preset of its size: by the cycle model rather than the Verilog."""
    arch, rows = tpu_preset("tpu_v1").matrix.arch, []
    cells = arch.rows * arch.cols
    with concurrent.futures.ProcessPoolExecutor() as pool:
        # The longest first: the last is several times as long as any other.
        futures = [pool.submit(_counters, number) for number in reversed(range(len(WORKLOADS)))][::-1]
        done = [future.result() for future in track(futures, "the TPU paper's workloads")]
    for each, counters in zip(WORKLOADS, done, strict=True):
        cycles = counters["cycles"]
        shares = {state: 100 * counters[state] / cycles for state in _STATES}
        ours = shares | {"useful": 100 * each.macs / (cells * cycles), "tops": 2e-12 * each.macs * _CLOCK / cycles}
        rows.append((each.name, f"{cycles:,}", *(f"{ours[name]:.1f} / {each.paper[name]}"
                                                 for name in (*_STATES, "useful", "tops"))))
    return Table(
        title="The TPU paper's workloads", rows=rows, holds=len(rows) == len(WORKLOADS),
        claim="the cycle model executes the six networks of the paper's Table 1 on the preset of TPU v1, at 700 MHz "
              "and 34 GB/s; figures are ours / the paper's Table 3",
        columns=("network", "cycles", "active %", "weight stall %", "weight shift %", "non-matrix %", "useful MACs %",
                 "TOPS"))


CLAIMS = {claim.__name__: claim for claim in (
    convolution, depthwise, bandwidth, random_programs, illegal_programs, elaboration, workloads)}
