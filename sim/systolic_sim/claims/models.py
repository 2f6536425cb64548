"""Claims about trained models: whose bytes they have, and how long they take."""

import contextlib
import dataclasses

import numpy as np

from systolic.compiler.compiled import TpuStep
from systolic.compiler.evaluate import evaluate, execute
from systolic.compiler.frontends import read_model
from systolic.compiler.lowering import compile_graph
from systolic.compiler.match import Match
from systolic.runtime import load
from systolic.tpu_config import tpu_preset
from systolic_sim.emulator import Emulator
from systolic_sim.programs import single_operators
from systolic_sim.programs.networks import Network
from systolic_sim.programs.rearrangements import REARRANGEMENTS, rearrangement
from systolic_sim.programs.tflite_models import OPERATORS, random_model
from systolic_sim.runtimes import installed, runtime

from . import real_models, roundings
from .table import Table

__all__ = ["CLAIMS", "run_compiled"]

TFLITE = (Match.LITERT, Match.REFERENCE, Match.MICRO)
PRESETS = ("tpu_8x8", "tpu_12x20", "tpu_16x16")

#: Random models per operator, random graphs, every so manieth of which runs on Verilog too, and inputs of each.
MODELS, GRAPHS, ON_VERILOG, INPUTS = 40, 500, 10, 4


def _inputs(graph, count, seed=0):
    rng, value = np.random.default_rng(seed), graph.values[graph.inputs[0]]
    return [rng.integers(-128, 128, value.shape).astype(np.int8) for _ in range(count)]


def _compare(content, match, count, seed):
    """Bytes that differ, and bytes."""
    graph, run = read_model(content), runtime(content, match)
    wrong = total = 0
    for x in _inputs(graph, count, seed):
        found = evaluate(graph, {graph.inputs[0]: x}, match=match)[graph.outputs[0]]
        expected = run(x)
        wrong, total = wrong + int(np.count_nonzero(found != expected)), total + expected.size
    return wrong, total


def operators(track):
    """Each operator alone, against each runtime."""
    matches = [match for match in TFLITE if match in installed()]
    rows, bad = [], 0
    for name, models in track(list(_families()), "operators"):
        cells = []
        for match in matches:
            wrong = total = 0
            for seed, content in enumerate(models):
                with contextlib.suppress(RuntimeError, ValueError):  # a runtime need not have every operator
                    here = _compare(content, match, INPUTS, seed)
                    wrong, total = wrong + here[0], total + here[1]
            bad += wrong
            cells.append(f"{wrong:,} of {total:,}")
        rows.append((name, *cells))
    return Table(title="Operators", claim="every byte is the runtime's, by `--match`",
                 columns=("operator, of random parameters", *map(str, matches)), rows=rows, holds=not bad)


def _families():
    """Models by what they are of."""
    for name in (*dict.fromkeys(OPERATORS), "dense"):
        yield name, [_one(name, seed) for seed in range(MODELS)]
    for name in single_operators.OPERATORS:
        yield name, [single_operators.one(name, seed) for seed in range(MODELS // 4)]
    for name in REARRANGEMENTS:
        if name != "dilation by blocks":  # the blocks of tflite-micro are others
            yield name, [rearrangement(name, seed) for seed in range(MODELS // 10)]


def _one(name, seed):
    """A model of one operator."""
    from systolic_sim.programs.tflite_models import TfliteModel

    rng = np.random.default_rng(seed)
    model = TfliteModel(rng)
    x = model.activation((1, int(rng.integers(2, 13)), int(rng.integers(2, 13)), int(rng.integers(1, 21))))
    return model.file([x], [getattr(model, name)(x)])


def graphs(track):
    """Random graphs: in numpy against each runtime, compiled against numpy."""
    matches = [match for match in TFLITE if match in installed()]
    tally = {match: [0, 0] for match in matches}
    compiled, verilog = [0, 0, 0], [0, 0]
    for seed in track(range(GRAPHS), "random graphs"):
        content = random_model(np.random.default_rng(seed))
        for match in matches:
            wrong, total = _compare(content, match, 2, seed)
            tally[match][0] += wrong
            tally[match][1] += total
        graph, match = read_model(content), matches[seed % len(matches)]
        made = compile_graph(graph, tpu_preset(PRESETS[seed % 3]), match=match)
        for x in _inputs(graph, 1, seed):
            expected = evaluate(graph, {graph.inputs[0]: x}, match=match)[graph.outputs[0]]
            compiled[0] += int(np.count_nonzero(run_compiled(made, x) != expected))
            compiled[1] += expected.size
            compiled[2] += sum(not isinstance(step, TpuStep) for step in made.steps)
            if seed % ON_VERILOG == 0:
                verilog[0] += int(np.count_nonzero(load(made, on="rtl").run(x) != expected))
                verilog[1] += expected.size
    rows = [(f"graph in numpy against {match}", f"{total:,}", f"{wrong:,}") for match, (wrong, total) in tally.items()]
    rows.append(("compiled, on the emulator, against the graph in numpy", f"{compiled[1]:,}", f"{compiled[0]:,}"))
    rows.append((f"every {ON_VERILOG}th, on Verilog, against the graph in numpy", f"{verilog[1]:,}", f"{verilog[0]:,}"))
    bad = compiled[0] + verilog[0] + sum(wrong for wrong, _ in tally.values())
    return Table(title="Random graphs", claim=f"{GRAPHS} graphs of one to five operators, seeds 0 to {GRAPHS - 1}: "
                 "every byte equal", columns=("comparison", "bytes", "wrong"), rows=rows, holds=not bad)


def larger_than_the_buffer(track):
    """What does not fit: a single map, maps and weights together, weights alone."""
    rows, bad = [], False
    for name, content, kilobytes in track(_large(), "larger than the buffer"):
        graph, config = read_model(content), dataclasses.replace(tpu_preset("tpu_16x16"), buffer_size=kilobytes * 1024)
        model, run = load(compile_graph(graph, config), on="emulator"), runtime(content, Match.LITERT)
        (x,) = _inputs(graph, 1)
        wrong = int(np.count_nonzero(model.run(x) != run(x)))
        moved = sum(outcome.counters[each] for outcome in model.outcomes for each in ("bytes_read", "bytes_written"))
        must = _must_move(graph, config)
        bad |= bool(wrong) or moved > 1.3 * must
        rows.append((name, f"{kilobytes} KB", f"{must:,}", f"{moved:,}", f"{moved / must:.2f}", f"{wrong:,}"))
    return Table(title="Larger than the buffer", claim="every byte of LiteRT's, and at most 1.3 times the bytes moved "
                 "that must move: inputs, outputs, weights for each so many pixels as there are accumulators, maps "
                 "larger than the buffer there and back", columns=("network", "buffer", "bytes that must move",
                                                                   "bytes moved", "ratio", "wrong bytes"), rows=rows,
                 holds=not bad)


def _large():
    def model(shape, build):
        made = Network(np.random.default_rng(1))
        x = made.tensor(shape, scale=1 / 50, zero=3)
        return made.file([x], [build(made, x)])
    yield "3x3 on a map of 192 x 128 x 16", model((1, 192, 128, 16), lambda m, x: m.conv(x, 16, relu=1)), 64
    yield "two of them, strides of 2", model((1, 192, 128, 16), lambda m, x: m.conv(m.conv(x, 24, stride=2), 24)), 64
    yield "sum of two maps", model((1, 192, 128, 16), lambda m, x: m.binary("ADD", x, m.conv(x, 16, 1))), 64
    yield "fully connected, 4,096 to 512 to 100", model((1, 4096), lambda m, x: m.dense(m.dense(x, 512), 100)), 64
    yield "three of 64 channels", model((1, 8, 8, 64), lambda m, x: m.conv(m.conv(m.conv(x, 64), 64), 64)), 32


def _must_move(graph, config):
    must = sum(graph.values[name].size for name in (*graph.inputs, *graph.outputs))
    for node in graph:
        (y,) = graph.results(node)
        stripes = -(-y.size // y.shape[-1] // config.matrix.arch.accumulator_depth)
        must += stripes * sum(each.constant.size for each in graph.operands(node) if each.constant is not None)
        must += 2 * y.size * (y.name not in graph.outputs and y.size > config.buffer_size)
    return must


def run_compiled(compiled, x):
    """The first output of a compiled model on the emulator in strict mode, for its first input; without states."""
    emulator = Emulator(compiled.config, compiled.image.memory(), strict=True)
    values = {value.name: value.constant for value in compiled.graph.values.values() if value.constant is not None}
    values[compiled.graph.inputs[0]] = x
    for step in compiled.steps:
        if not isinstance(step, TpuStep):
            values |= execute(compiled.graph, step.node, values, match=compiled.match)
            continue
        for value, name in step.inputs.items():
            variable = compiled.image.inputs[name]
            emulator.memory[variable.address:variable.region.end] = np.frombuffer(variable.pack(values[value]),
                                                                                  np.uint8)
        emulator.run(list(compiled.image.programs[step.program].operations))
        for value, name in step.outputs.items():
            values[value] = compiled.image.output(emulator.memory, name).reshape(compiled.graph.values[value].shape)
    return values[compiled.graph.outputs[0]]


CLAIMS = {"roundings": roundings.roundings, "operators": operators, "graphs": graphs,
          "larger_than_the_buffer": larger_than_the_buffer,
          "mlperf_tiny": real_models.mlperf_tiny, "streaming": real_models.streaming, "digits": real_models.digits,
          "compile_times": real_models.compile_times}
