"""Graphs written by hand, and how a compiled model runs on the emulator."""

import numpy as np

from systolic.compiler.compiled import TpuStep
from systolic.compiler.evaluate import evaluate, execute
from systolic.compiler.graph import Graph, Node, Quantisation, Value
from systolic.compiler.graph import operators as op
from systolic.compiler.graph.check import check
from systolic.compiler.lowering import compile_graph
from systolic.compiler.match import Match
from systolic_sim.emulator import Emulator

SAME = ((1, 1), (1, 1))


class Draft:
    """Grows a graph; values are named by numbers."""

    def __init__(self, seed=0):
        self.rng, self.values, self.nodes, self.states = np.random.default_rng(seed), {}, [], {}
        self.inputs = []

    def value(self, shape, *, scale=None, zero=None, dtype=np.int8):
        scale = self.rng.uniform(0.02, 0.06) if scale is None else scale
        zero = int(self.rng.integers(-20, 20)) if zero is None else zero
        quantisation = Quantisation(scale=np.float32([scale]), zero_point=np.int64([zero]))
        name = f"v{len(self.values)}"
        self.values[name] = Value(name=name, shape=tuple(shape), dtype=np.dtype(dtype), quantisation=quantisation)
        return name

    def input(self, *shape, **options):
        self.inputs.append(self.value(shape, **options))
        return self.inputs[-1]

    def constant(self, array, scale=None, axis=None, zero=0):
        scale = None if scale is None else Quantisation(scale=np.float32(scale), axis=axis,
                                                        zero_point=np.full(len(scale), zero, np.int64))
        name = f"v{len(self.values)}"
        self.values[name] = Value(name=name, shape=array.shape, dtype=array.dtype, quantisation=scale, constant=array)
        return name

    def shape(self, name):
        return self.values[name].shape

    def node(self, operator, inputs, shape, **options):
        out = self.value(shape, **options)
        self.nodes.append(Node(name=f"n{len(self.nodes)}", operator=operator, inputs=tuple(inputs), outputs=(out,)))
        return out

    def _weights(self, x, shape, outputs, *, per_channel=True):
        """Weights and bias of which sums fill the output's codes."""
        sums = np.prod(shape) // outputs if len(shape) != 3 else shape[0] * shape[1]
        size = outputs if per_channel else 1
        scale = self.rng.uniform(0.5, 1.5, size) / (30 * np.sqrt(sums))
        w = self.constant(self.rng.integers(-127, 128, shape).astype(np.int8), scale,
                          len(shape) - 1 if per_channel else None)
        return w, self.constant(self.rng.integers(-2000, 2000, outputs).astype(np.int32))

    def conv(self, x, outputs, kernel=(3, 3), strides=(1, 1), dilations=(1, 1), padding=SAME, **options):
        n, *size, channels = self.shape(x)
        w, b = self._weights(x, (*kernel, channels, outputs), outputs)
        return self.node(op.Conv2D(strides=strides, dilations=dilations, padding=padding, **options), (x, w, b),
                         (n, *_windows(size, kernel, strides, dilations, padding), outputs))

    def depthwise(self, x, kernel=(3, 3), strides=(1, 1), dilations=(1, 1), padding=SAME, multiplier=1):
        n, *size, channels = self.shape(x)
        w, b = self._weights(x, (*kernel, channels * multiplier), channels * multiplier)
        operator = op.DepthwiseConv2D(strides=strides, dilations=dilations, padding=padding, multiplier=multiplier)
        return self.node(operator, (x, w, b), (n, *_windows(size, kernel, strides, dilations, padding),
                                               channels * multiplier))

    def transposed(self, x, outputs, kernel=(3, 3), strides=(2, 2), padding=((0, 0), (0, 0))):
        n, *size, channels = self.shape(x)
        w, b = self._weights(x, (*kernel, channels, outputs), outputs)
        out = [(length - 1) * step + k - sum(pad) for length, step, k, pad in zip(
            size, strides, kernel, padding, strict=True)]
        return self.node(op.TransposeConv2D(strides=strides, padding=padding), (x, w, b), (n, *out, outputs))

    def dense(self, x, outputs, *, per_channel=False, **options):
        *before, inputs = self.shape(x)
        w, b = self._weights(x, (inputs, outputs), outputs, per_channel=per_channel)
        return self.node(op.Dense(**options), (x, w, b), (*before, outputs))

    def pool(self, kind, x, kernel, strides=(1, 1), padding=((0, 0), (0, 0))):
        n, *size, channels = self.shape(x)
        scale, zero = self.values[x].scale
        return self.node(kind(kernel=kernel, strides=strides, padding=padding), (x,),
                         (n, *_windows(size, kernel, strides, (1, 1), padding), channels), scale=scale, zero=zero)

    def alike(self, operator, x, shape):
        """A node whose output has the scale of its input."""
        scale, zero = self.values[x].scale
        return self.node(operator, (x,), shape, scale=scale, zero=zero)

    def unary(self, x, function, **options):
        return self.node(op.Unary(function=function, **options), (x,), self.shape(x))

    def add(self, a, b, **options):
        return self.node(op.Add(**options), (a, b), np.broadcast_shapes(self.shape(a), self.shape(b)))

    def graph(self, *outputs):
        graph = Graph(name="test", values=self.values, nodes=tuple(self.nodes), inputs=tuple(self.inputs),
                      outputs=outputs, states=self.states)
        check(graph)
        return graph


def _windows(size, kernel, strides, dilations, padding):
    return [(length + sum(pad) - (k - 1) * far - 1) // step + 1 for length, k, step, far, pad in zip(
        size, kernel, strides, dilations, padding, strict=True)]


def inputs_of(graph, rng):
    """Random codes for each input."""
    return {name: rng.integers(-128, 128, graph.values[name].shape).astype(np.int8)
            if graph.values[name].dtype == np.int8 else rng.normal(size=graph.values[name].shape).astype(np.float32)
            for name in graph.inputs}


class Machine:
    """A compiled model in memory, and what executes a program there; the emulator, unless it is something else.

    The emulator refuses a program that would get stuck or make an access outside of its regions.
    """

    def __init__(self, compiled, execute=None):
        self.compiled, self.memory = compiled, compiled.image.memory()
        emulator = Emulator(compiled.config, self.memory)
        self.programs = execute or (lambda program: emulator.run(list(program)))

    def run(self, inputs):
        graph, image = self.compiled.graph, self.compiled.image
        values = {value.name: value.constant for value in graph.values.values() if value.constant is not None}
        values.update(inputs)
        for step in self.compiled.steps:
            if not isinstance(step, TpuStep):
                values.update(execute(graph, step.node, values, match=self.compiled.match))
                continue
            for name, variable in step.inputs.items():
                place = image.inputs[variable]
                self.memory[place.address:place.region.end] = np.frombuffer(place.pack(values[name]), np.uint8)
            program = image.programs[step.program]
            assert len(step.layers) == len(program)
            self.programs(program)
            for name, variable in step.outputs.items():
                values[name] = image.output(self.memory, variable).reshape(graph.values[name].shape)
        return {name: values[name] for name in graph.outputs}


def assert_exact(graph, config, *, match=Match.LITERT, runs=1, seed=1, machine=Machine):
    """Compiled, it has every byte of the graph in numpy, run after run; returns the compiled model."""
    rng, compiled, state = np.random.default_rng(seed), compile_graph(graph, config, match=match), {}
    tpu = machine(compiled)
    for _ in range(runs):
        inputs = inputs_of(graph, rng)
        expected, found = evaluate(graph, inputs, match=match, state=state), tpu.run(inputs)
        for name in graph.outputs:
            np.testing.assert_array_equal(found[name], expected[name])
    return compiled


def on_host(compiled):
    """Kinds of nodes that the host executes."""
    return [step.node.kind for step in compiled.steps if not isinstance(step, TpuStep)]
