"""Claims about trained models: whose bytes they have, and how long they take."""

import pathlib

import numpy as np

from systolic.compiler.compiled import TpuStep
from systolic.compiler.evaluate import evaluate, execute
from systolic.compiler.frontends import read_model
from systolic.compiler.lowering import compile_graph
from systolic.compiler.match import Match
from systolic.tpu_config import tpu_preset
from systolic_sim.cycles.tpu import predict
from systolic_sim.emulator import Emulator
from systolic_sim.programs.tflite_models import OPERATORS, random_model
from systolic_sim.runtimes import installed, runtime

from .table import Table

__all__ = ["CLAIMS", "run_compiled"]

TFLITE = (Match.LITERT, Match.REFERENCE, Match.MICRO)
PRESETS = ("tpu_8x8", "tpu_12x20", "tpu_16x16")

#: Random models per operator, random graphs, and inputs of each.
MODELS, GRAPHS, INPUTS = 40, 500, 4


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
    names = [*dict.fromkeys(OPERATORS), "dense"]
    for name in track(names, "operators"):
        cells = []
        for match in matches:
            wrong = total = 0
            for seed in range(MODELS):
                content = _one(name, seed)
                here = _compare(content, match, INPUTS, seed)
                wrong, total = wrong + here[0], total + here[1]
            bad += wrong
            cells.append(f"{wrong:,} of {total:,}")
        rows.append((name, *cells))
    return Table(title="Operators", claim="every byte is the runtime's, by `--match`",
                 columns=("operator, of random parameters", *map(str, matches)), rows=rows, holds=not bad)


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
    compiled = [0, 0, 0]
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
    rows = [(f"graph in numpy against {match}", f"{total:,}", f"{wrong:,}") for match, (wrong, total) in tally.items()]
    rows.append(("compiled, on the emulator, against the graph in numpy", f"{compiled[1]:,}", f"{compiled[0]:,}"))
    bad = compiled[0] + sum(wrong for wrong, _ in tally.values())
    return Table(title="Random graphs", claim=f"{GRAPHS} graphs of one to five operators, seeds 0 to {GRAPHS - 1}: "
                 "every byte equal", columns=("comparison", "bytes", "wrong"), rows=rows, holds=not bad)


def networks(track):
    """Real networks: MLPerf Tiny where its models are beside the checkout, and MNIST of the ONNX zoo."""
    rows, bad = [], 0
    for name, content, matches in track(list(_networks()), "networks"):
        graph = read_model(content)
        for preset in PRESETS:
            config = tpu_preset(preset)
            wrong = total = 0
            for match in matches:
                made, run = compile_graph(graph, config, match=match), runtime(content, match)
                for x in _real_inputs(graph, 4):
                    expected = run(x)
                    wrong += int(np.count_nonzero(run_compiled(made, x) != expected))
                    total += expected.size
            bad += wrong
            macs, cells = made.image.macs, config.matrix.arch.rows * config.matrix.arch.cols
            cycles = sum(predict(config, list(program.operations), latency=20).cycles
                         for program in made.image.programs)
            rows.append((name, preset, f"{macs:,}", f"{cycles:,}", f"{100 * macs / (cells * cycles):.1f} %",
                         f"{sum(program.length for program in made.image.programs)}", f"{wrong} of {total:,}"))
    return Table(title="Networks", claim="every byte of the runtime's, on each machine, for each `--match`; cycles of "
                 "the cycle model, which equals the Verilog, weights from memory at a latency of 20 cycles",
                 columns=("network", "TPU", "MACs", "cycles", "utilisation", "instructions", "wrong bytes"), rows=rows,
                 holds=not bad)


def _networks():
    names = {"ad01_int8": "anomaly detection", "kws_ref_model": "keyword spotting",
             "pretrainedResnet_quant": "image classification"}
    here = [match for match in TFLITE if match in installed()]
    for file, name in names.items():
        for folder in pathlib.Path(__file__).resolve().parents:
            path = folder / "shared" / "models" / f"{file}.tflite"
            if path.exists():
                yield name, path.read_bytes(), here
    from systolic_sim.demo import mnist, zoo

    yield "MNIST, ONNX zoo", zoo.quantised_model(mnist.load()[0][:200]), [Match.ONNXRUNTIME]


def _real_inputs(graph, count):
    value = graph.values[graph.inputs[0]]
    if value.dtype == np.int8:
        return _inputs(graph, count)
    from systolic_sim.demo import mnist, zoo

    return list(zoo.pictures(mnist.load()[1][:count])[:, None])


def run_compiled(compiled, x):
    """The first output of a compiled model on the emulator, for its first input; without states."""
    emulator = Emulator(compiled.config, compiled.image.memory())
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


CLAIMS = {"operators": operators, "graphs": graphs, "networks": networks}
