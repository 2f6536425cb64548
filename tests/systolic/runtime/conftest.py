"""A compiled model made by hand: two programs, a dense layer each, and what they compute in numpy."""

import dataclasses

import numpy as np
import pytest

from systolic.compiler import Builder
from systolic.compiler.compiled import CompiledModel, TpuStep
from systolic.compiler.graph import Graph, Node, Quantisation, Value, operators
from systolic.compiler.layers import dense
from systolic.compiler.layout import Layout
from systolic.compiler.match import Match
from systolic.compiler.quantise import Requantisation
from systolic.tpu_config import tpu_preset
from systolic_sim.golden.requantise import requantise

TPU = tpu_preset("tpu_4x4")
WIDTHS = (9, 6, 5)
PIXELS = 7


@dataclasses.dataclass
class Sample:
    """The model, and its function."""

    compiled: CompiledModel
    weights: list
    scale: Requantisation

    def expected(self, x):
        for w in self.weights:
            sums = x.astype(np.int32) @ w.astype(np.int32) + np.int32(self.scale.bias)
            x = requantise(sums, self.scale.multiplier, self.scale.shift, **self.scale.fields)
        return x

    @staticmethod
    def inputs(seed, count=None):
        shape = (1, PIXELS, WIDTHS[0]) if count is None else (count, PIXELS, WIDTHS[0])
        return np.random.default_rng(seed).integers(-128, 128, shape, np.int8)


def _value(name, shape, dtype=np.int8, constant=None, scale=0.5):
    quantisation = Quantisation(scale=np.array([scale], np.float32), zero_point=np.array([3]))
    return Value(name=name, shape=shape, dtype=np.dtype(dtype), quantisation=quantisation, constant=constant)


def _graph(weights):
    """Values are named as Python would rather not have them."""
    names = ["image", "self", "the/output:0"]
    values = [_value(name, (1, PIXELS, width)) for name, width in zip(names, WIDTHS, strict=True)]
    nodes = []
    for number, w in enumerate(weights):
        bias = np.full(w.shape[1], 11, np.int32)
        values += [_value(f"w{number}", w.shape, constant=w), _value(f"b{number}", bias.shape, np.int32, bias, 1 / 3)]
        nodes.append(Node(name=f"layer{number}", operator=operators.Dense(low=-100),
                          inputs=(names[number], f"w{number}", f"b{number}"), outputs=(names[number + 1],)))
    return Graph(name="sample", values={each.name: each for each in values}, nodes=tuple(nodes), inputs=(names[0],),
                 outputs=(names[2],), states={"memory": np.arange(4, dtype=np.int8).reshape(2, 2)})


def sample(config=TPU):
    rng = np.random.default_rng(5)
    weights = [rng.integers(-127, 128, shape, np.int8) for shape in zip(WIDTHS, WIDTHS[1:], strict=False)]
    scale = Requantisation(bias=11, multiplier=1 << 30, shift=-6, zero_point=3, low=-100)
    builder, graph, steps = Builder(config), _graph(weights), []
    for number, w in enumerate(weights):
        here, there = graph.nodes[number].inputs[0], graph.nodes[number].outputs[0]
        x = builder.load(builder.input(f"{here} in", Layout.of(1, PIXELS, w.shape[0])))
        y = dense(builder, w, scale)(builder, x)
        builder.store(y, builder.output(there, y.layout))
        layers = ("", *[f"layer{number}"] * (len(builder.operations) - 1), "")
        builder.end()
        steps.append(TpuStep(program=number, inputs={here: f"{here} in"}, outputs={there: there}, layers=layers))
    compiled = CompiledModel(graph=graph, config=config, match=Match.LITERT, image=builder.image(), steps=tuple(steps))
    return Sample(compiled, weights, scale)


@pytest.fixture(name="sample")
def sample_fixture():
    return sample()
