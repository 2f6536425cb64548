"""Compiled models on the emulator: every byte of the graph in numpy, and programs that the checker has nothing to say
of."""

import dataclasses

import numpy as np
import pytest

from systolic import isa
from systolic.compiler.compiled import TpuStep
from systolic.compiler.evaluate import evaluate, execute
from systolic.compiler.frontends import read_model
from systolic.compiler.lowering import compile_graph
from systolic.compiler.match import Match
from systolic.host import Driver
from systolic.tpu_config import tpu_preset
from systolic_sim.check.program import check_program
from systolic_sim.claims.models import run_compiled
from systolic_sim.cycles.tpu import predict
from systolic_sim.programs.networks import NETWORKS, network
from systolic_sim.programs.rearrangements import REARRANGEMENTS, rearrangement
from systolic_sim.programs.tflite_models import TfliteModel, random_model
from systolic_sim.rtl.tpu import TpuRtl

from .conftest import NAMES, inputs, mlperf_tiny

PRESETS = ("tpu_4x4", "tpu_8x8", "tpu_12x20", "tpu_16x16")
MATCHES = (Match.LITERT, Match.REFERENCE)


def check(graph, config, match, count, seed=0):
    compiled = compile_graph(graph, config, match=match)
    for program in compiled.image.programs:
        assert check_program(config, isa.encode(program.operations)) == []
    for step in compiled.steps:
        if isinstance(step, TpuStep):
            assert len(step.layers) == compiled.image.programs[step.program].length
    for x in inputs(graph, count, seed):
        expected = evaluate(graph, {graph.inputs[0]: x}, match=match)[graph.outputs[0]]
        np.testing.assert_array_equal(run_compiled(compiled, x), expected)
    return compiled


@pytest.mark.parametrize("first", range(0, 64, 8))
def test_random_models(first):
    for seed in range(first, first + 8):
        graph = read_model(random_model(np.random.default_rng(seed)))
        check(graph, tpu_preset(PRESETS[seed % 4]), MATCHES[seed // 4 % 2], 2, seed)


@pytest.mark.parametrize("preset", PRESETS)
def test_wide_windows(preset):
    """Large kernels on maps of odd sizes, that are loaded in pieces."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        model = TfliteModel(rng)
        x = model.activation((1, *map(int, rng.integers(9, 40, 2)), int(rng.integers(1, 9))))
        graph = read_model(model.file([x], [model.wide(model.wide(x))]))
        check(graph, tpu_preset(preset), Match.LITERT, 1, seed)


@pytest.mark.parametrize("preset", PRESETS[1:])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, preset):
    compiled = check(read_model(network(name)), tpu_preset(preset), Match.LITERT, 1)
    on_host = {step.node.kind for step in compiled.steps if not isinstance(step, TpuStep)}
    assert on_host <= {"Softmax", "Mul", "Transpose"}


@pytest.mark.parametrize("preset", PRESETS)
def test_rearrangements(preset):
    for name in REARRANGEMENTS:
        check(read_model(rearrangement(name)), tpu_preset(preset), Match.LITERT, 1)


@pytest.mark.needs("mlperf_tiny")
@pytest.mark.parametrize("preset", PRESETS[1:])
@pytest.mark.parametrize("match", MATCHES)
@pytest.mark.parametrize("name", NAMES)
def test_mlperf_tiny(name, match, preset):
    check(read_model(mlperf_tiny(name)), tpu_preset(preset), match, 2)


@pytest.mark.needs("mlperf_tiny")
@pytest.mark.parametrize("name", NAMES)
def test_mlperf_tiny_on_verilog(name):
    """Ten inputs one after the other: the bytes of the graph in numpy, in the cycles of the cycle model."""
    config, graph = tpu_preset("tpu_8x8"), read_model(mlperf_tiny(name))
    compiled, rtl = compile_graph(graph, config), TpuRtl(config)
    memory = compiled.image.memory()
    rtl.connect(memory, latency=20)
    driver, (step, *rest) = Driver(rtl), compiled.steps
    program = compiled.image.programs[step.program]
    expected = predict(config, list(program.operations), latency=20).counters
    for x in inputs(graph, 10):
        values = {graph.inputs[0]: x}
        variable = compiled.image.inputs[step.inputs[graph.inputs[0]]]
        memory[variable.address:variable.region.end] = np.frombuffer(variable.pack(x), np.uint8)
        assert driver.run(program.address, program.length).counters == expected
        for value, output in step.outputs.items():
            values[value] = compiled.image.output(memory, output).reshape(graph.values[value].shape)
        for each in rest:
            values |= execute(graph, each.node, values, match=compiled.match)
        np.testing.assert_array_equal(values[graph.outputs[0]], evaluate(graph, {graph.inputs[0]: x})[graph.outputs[0]])


@pytest.mark.needs("mlperf_tiny")
@pytest.mark.parametrize("kilobytes", [48, 24, 14])
def test_maps_larger_than_the_buffer(kilobytes):
    """They pass through it in bands: exact, and no byte much more often than it must."""
    graph = read_model(mlperf_tiny("pretrainedResnet_quant"))
    check(graph, dataclasses.replace(tpu_preset("tpu_16x16"), buffer_size=kilobytes * 1024), Match.LITERT, 1)


@pytest.mark.needs("mlperf_tiny")
@pytest.mark.parametrize("name, lanes, most", [
    ("pretrainedResnet_quant", 8, 60_300), ("pretrainedResnet_quant", 16, 56_500), ("kws_ref_model", 8, 31_600),
    ("ad01_int8", 8, 36_300)])
def test_cycles(name, lanes, most):
    config = dataclasses.replace(tpu_preset("tpu_16x16"), lanes=lanes)
    compiled = compile_graph(read_model(mlperf_tiny(name)), config)
    assert sum(predict(config, list(program.operations), latency=20).cycles
               for program in compiled.image.programs) <= most
