"""Claims about trained networks: MLPerf Tiny where its models are beside the checkout, streaming wake words, MNIST of
the ONNX zoo."""

import pathlib
import time

import numpy as np

from systolic.compiler.evaluate import evaluate
from systolic.compiler.frontends import read_model
from systolic.compiler.lowering import compile_graph
from systolic.compiler.match import Match
from systolic.runtime import load
from systolic.tpu_config import tpu_preset
from systolic_sim.cycles.tpu import predict
from systolic_sim.programs.networks import NETWORKS, network
from systolic_sim.runtimes import installed, runtime

from .table import Table

__all__ = ["compile_times", "digits", "mlperf_tiny", "streaming"]

TFLITE = (Match.LITERT, Match.REFERENCE, Match.MICRO)
PRESETS = ("tpu_8x8", "tpu_12x20", "tpu_16x16")

#: Inputs of each network: on the emulator, for all runtimes together, of tpu_16x16 and of the others; on Verilog, for
#: each runtime; steps of a stream.
EMULATED, EMULATED_ELSEWHERE, ON_VERILOG, STEPS = 201, 12, 10, 40

#: Pictures of MNIST on the emulator and on Verilog, and those the ranges are measured on.
PICTURES, PICTURES_ON_VERILOG, CALIBRATION = 5000, 20, 200

#: Multiply-accumulates up to which a network has to compile fast.
LARGE = 20_000_000

_TINY = {"ad01_int8": "anomaly detection", "kws_ref_model": "keyword spotting",
         "pretrainedResnet_quant": "image classification"}


def _tiny():
    """Name and bytes of each model that is there."""
    for file, name in _TINY.items():
        for folder in pathlib.Path(__file__).resolve().parents:
            path = folder / "shared" / "models" / f"{file}.tflite"
            if path.exists():
                yield name, path.read_bytes()


def _matches():
    return [match for match in TFLITE if match in installed()]


def _wrong(model, run, inputs):
    """Bytes that differ, and bytes."""
    wrong = total = 0
    for x in inputs:
        expected = run(x)
        wrong, total = wrong + int(np.count_nonzero(model.run(x) != expected)), total + expected.size
    return wrong, total


def _of(wrong, total):
    return f"{wrong:,} of {total:,}"


def mlperf_tiny(track):
    """The three networks on each TPU for each runtime, on emulator and Verilog."""
    rows, bad, matches = [], 0, _matches()
    cases = [(name, content, preset) for name, content in _tiny() for preset in PRESETS]
    for name, content, preset in track(cases, "MLPerf Tiny"):
        graph, config, found = read_model(content), tpu_preset(preset), {"emulator": [0, 0], "rtl": [0, 0]}
        rng, emulated = np.random.default_rng(0), EMULATED if preset == PRESETS[-1] else EMULATED_ELSEWHERE
        for number, match in enumerate(matches):
            made, run = compile_graph(graph, config, match=match), runtime(content, match)
            for on, count in (("emulator", emulated // len(matches)), ("rtl", ON_VERILOG)):
                shape = graph.values[graph.inputs[0]].shape
                inputs = rng.integers(-128, 128, (count, *shape)).astype(np.int8)
                here = _wrong(load(made, on=on), run, inputs)
                found[on] = [sum(pair) for pair in zip(found[on], here, strict=True)]
            if number == 0:
                figures = _figures(made, config)
        bad += found["emulator"][0] + found["rtl"][0]
        rows.append((name, preset, *figures, _of(*found["emulator"]), _of(*found["rtl"])))
    return Table(title="MLPerf Tiny", claim=f"every byte of the runtime's, for each `--match`: {EMULATED} inputs on "
                 f"the emulator, {EMULATED_ELSEWHERE} for the other TPUs, and {ON_VERILOG} for each runtime on "
                 "Verilog; cycles of the cycle model, which equals the Verilog, weights from memory at a latency of 20 "
                 "cycles",
                 columns=("network", "TPU", "MACs", "cycles", "utilisation", "instructions", "wrong on the emulator",
                          "wrong on Verilog"), rows=rows, holds=not bad and len(rows) == 9)


def _figures(made, config):
    macs, cells = made.image.macs, config.matrix.arch.rows * config.matrix.arch.cols
    cycles = sum(predict(config, list(program.operations), latency=20).cycles for program in made.image.programs)
    return (f"{macs:,}", f"{cycles:,}", f"{100 * macs / (cells * cycles):.1f} %",
            f"{sum(program.length for program in made.image.programs)}")


def streaming(track):
    """Models whose states live from step to step."""
    from systolic_sim.programs.wake_words import NAMES, features, wake_word

    rows, bad = [], 0
    for name in track(NAMES, "wake words"):
        content, cells = wake_word(name), []
        graph = read_model(content)
        for on, preset in (("emulator", "tpu_16x16"), ("rtl", "tpu_16x16")):
            wrong = total = 0
            for match in _matches():
                model = load(compile_graph(graph, tpu_preset(preset), match=match), on=on)
                here = _wrong(model, runtime(content, match), features(STEPS))
                wrong, total = wrong + here[0], total + here[1]
            cells.append(_of(wrong, total))
            bad += wrong
        rows.append((name, *cells))
    return Table(title="Streaming wake words", claim=f"{STEPS} steps for each `--match`, states kept: every byte",
                 columns=("model", "wrong on the emulator", "wrong on Verilog"), rows=rows, holds=not bad)


def digits(track):
    """MNIST through the convolutional network of the ONNX zoo."""
    from systolic_sim.demo import mnist, zoo

    train, test = mnist.load()
    content = zoo.quantised_model(train[:CALIBRATION])
    pixels, labels = (np.concatenate(pair) for pair in (
        (zoo.pictures(train), zoo.pictures(test)), (train.labels, test.labels)))
    run = runtime(content, Match.ONNXRUNTIME)
    graph, rows, bad = read_model(content), [], 0
    for on, preset, count in (("emulator", "tpu_16x16", PICTURES), *(
            ("rtl", preset, PICTURES_ON_VERILOG) for preset in PRESETS)):
        model = load(compile_graph(graph, tpu_preset(preset), match=Match.ONNXRUNTIME), on=on)
        wrong = total = right = expected_right = 0
        for number in track(range(count), f"MNIST on {on}"):
            x = pixels[number][None]
            found, expected = model.run(x), run(x)
            wrong, total = wrong + int(np.count_nonzero(found != expected)), total + expected.size
            right += int(found.argmax() == labels[number])
            expected_right += int(expected.argmax() == labels[number])
        bad += wrong + (right != expected_right)
        rows.append((on, preset, f"{count:,}", f"{100 * right / count:.2f} %", f"{100 * expected_right / count:.2f} %",
                     _of(wrong, total)))
    return Table(title="MNIST", claim="the network of the ONNX zoo, quantised: ONNX Runtime's accuracy, and its every "
                 "output", columns=("on", "TPU", "images", "accuracy", "accuracy of ONNX Runtime", "wrong outputs"),
                 rows=rows, holds=not bad)


def compile_times(track):
    """CPU seconds from a file's bytes to a program."""
    rows, slow = [], False
    models = {**dict(_tiny()), **{name: network(name) for name in NETWORKS}}
    for name, content in track(list(models.items()), "compile times"):
        start = time.process_time()
        made = compile_graph(read_model(content), tpu_preset("tpu_16x16"))
        seconds = time.process_time() - start
        slow |= seconds >= 2 and made.image.macs <= LARGE
        x = np.random.default_rng(0).integers(-128, 128, made.graph.values[made.graph.inputs[0]].shape).astype(np.int8)
        expected = evaluate(made.graph, {made.graph.inputs[0]: x})[made.graph.outputs[0]]
        wrong = int(np.count_nonzero(load(made, on="emulator").run(x) != expected))
        slow |= bool(wrong)
        rows.append((name, f"{made.image.macs:,}", f"{seconds:.2f} s", _of(wrong, expected.size)))
    return Table(title="Compile time", claim=f"under 2 s of one core for tpu_16x16, up to {LARGE:,} "
                 "multiply-accumulates", columns=("network", "MACs", "seconds", "wrong on the emulator"), rows=rows,
                 holds=not slow)
