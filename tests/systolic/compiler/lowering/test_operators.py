"""Every operator alone, on machines of all shapes: each byte that numpy has, without help of the host."""

import numpy as np
import pytest

from systolic.compiler.graph import operators as op
from systolic.compiler.match import Match
from systolic.tpu_config import tpu_preset

from ..conftest import MACHINES
from .graphs import SAME, Draft, assert_exact, on_host

NONE = ((0, 0), (0, 0))


def flat(d, x):
    n, *rest = d.shape(x)
    return d.alike(op.Reshape(), x, (n, int(np.prod(rest))))


def sliced(d, x, begin, end, strides=None):
    strides = strides or (1,) * len(begin)
    shape = [-(-(e - b) // s) for b, e, s in zip(begin, end, strides, strict=True)]
    return d.alike(op.Slice(begin=begin, end=end, strides=strides), x, shape)


def concatenated(d, axis, *names):
    shape = list(d.shape(names[0]))
    shape[axis] = sum(d.shape(name)[axis] for name in names)
    return d.node(op.Concatenate(axis=axis), names, shape)


def padded(d, x, padding):
    zero = d.values[x].scale[1]
    return d.alike(op.Pad(padding=padding, value=zero), x, [sum(pad) + length for pad, length in zip(
        padding, d.shape(x), strict=True)])


def per_channel(d, channels):
    return d.constant(d.rng.integers(-128, 128, channels).astype(np.int8), [0.04], zero=3)


CASES = {
    "conv": ((1, 6, 7, 5), lambda d, x: d.conv(x, 9)),
    "conv 1 x 1": ((1, 6, 7, 5), lambda d, x: d.conv(x, 9, kernel=(1, 1), padding=NONE)),
    "conv one channel": ((1, 9, 8, 1), lambda d, x: d.conv(x, 6, kernel=(5, 3), strides=(2, 2))),
    "conv rectangular": ((1, 9, 8, 3), lambda d, x: d.conv(x, 4, kernel=(2, 5), strides=(1, 3),
                                                         padding=((1, 0), (2, 3)))),
    "conv dilated": ((1, 9, 8, 3), lambda d, x: d.conv(x, 4, dilations=(2, 3), padding=((2, 2), (3, 3)))),
    "conv dilated, rows": ((1, 9, 8, 3), lambda d, x: d.conv(x, 4, dilations=(3, 1), padding=((3, 3), (0, 0)))),
    "conv valid": ((1, 6, 7, 5), lambda d, x: d.conv(x, 9, padding=NONE)),
    "conv clamped": ((1, 6, 7, 5), lambda d, x: d.conv(x, 9, low=-30, high=44)),
    "conv batch": ((3, 5, 4, 4), lambda d, x: d.conv(x, 5)),
    "conv tall": ((1, 40, 7, 3), lambda d, x: d.conv(x, 4)),
    "conv wide": ((1, 3, 90, 2), lambda d, x: d.conv(x, 4)),
    "conv conv": ((1, 12, 8, 3), lambda d, x: d.conv(d.conv(x, 8), 6, strides=(2, 2))),
    "conv, table": ((1, 6, 7, 5), lambda d, x: d.unary(d.conv(x, 9), "logistic")),
    "depthwise": ((1, 6, 7, 5), lambda d, x: d.depthwise(x)),
    "depthwise strides": ((1, 9, 8, 19), lambda d, x: d.depthwise(x, strides=(2, 1))),
    "depthwise dilated": ((1, 9, 8, 4), lambda d, x: d.depthwise(x, dilations=(2, 2), padding=((2, 2), (2, 2)))),
    "depthwise tall": ((1, 11, 4, 9), lambda d, x: d.depthwise(x)),
    "depthwise wide": ((1, 4, 13, 20), lambda d, x: d.depthwise(x, strides=(1, 2))),
    "depthwise, five pixels": ((1, 12, 6, 5), lambda d, x: d.depthwise(x, kernel=(5, 3), padding=((2, 2), (1, 1)))),
    "depthwise, seven pixels": ((1, 6, 15, 5), lambda d, x: d.depthwise(x, kernel=(1, 7), strides=(1, 3),
                                                                     padding=((0, 0), (0, 2)))),
    "depthwise, four pixels": ((1, 9, 8, 5), lambda d, x: d.depthwise(x, kernel=(4, 4), padding=NONE)),
    "depthwise, two outputs a channel": ((1, 6, 7, 5), lambda d, x: d.depthwise(x, multiplier=2)),
    "transposed": ((1, 4, 5, 3), lambda d, x: d.transposed(x, 7)),
    "transposed, padded": ((1, 4, 5, 3), lambda d, x: d.transposed(x, 7, kernel=(4, 4), padding=SAME)),
    "transposed, far": ((1, 4, 5, 3), lambda d, x: d.transposed(x, 4, kernel=(2, 2), strides=(3, 3))),
    "dense": ((1, 30), lambda d, x: d.dense(x, 50)),
    "dense per channel": ((1, 30), lambda d, x: d.dense(x, 50, per_channel=True)),
    "dense batch": ((7, 30), lambda d, x: d.dense(x, 12)),
    "dense of maps": ((2, 3, 4, 9), lambda d, x: d.dense(x, 5)),
    "dense dense": ((1, 40), lambda d, x: d.dense(d.dense(d.dense(x, 80), 8), 80)),
    "add": ((1, 6, 7, 5), lambda d, x: d.add(d.conv(x, 5), x)),
    "add twice": ((1, 6, 7, 5), lambda d, x: d.add(x, x)),
    "add of many channels": ((1, 8, 8, 40), lambda d, x: d.add(d.conv(x, 40), d.conv(x, 40, kernel=(1, 1),
                                                                                      padding=NONE))),
    "add per channel": ((1, 6, 7, 5), lambda d, x: d.add(x, per_channel(d, 5))),
    "add a number": ((1, 6, 7, 5), lambda d, x: d.add(x, per_channel(d, 1))),
    "multiply by a number": ((1, 6, 7, 5), lambda d, x: d.node(op.Mul(), (x, per_channel(d, 1)), d.shape(x))),
    "subtract from a number": ((1, 6, 7, 5), lambda d, x: d.node(op.Sub(), (per_channel(d, 1), x), d.shape(x))),
    "subtract": ((1, 6, 7, 5), lambda d, x: d.node(op.Sub(), (d.conv(x, 5), x), d.shape(x))),
    "subtract per channel": ((1, 6, 7, 5), lambda d, x: d.node(op.Sub(), (x, per_channel(d, 5)), d.shape(x))),
    "subtract from a constant": ((2, 3, 4, 5), lambda d, x: d.node(op.Sub(), (per_channel(d, 5), x), d.shape(x))),
    "average": ((1, 6, 8, 5), lambda d, x: d.pool(op.AveragePool, x, (2, 4), (2, 4))),
    "average over the edge": ((1, 7, 8, 5), lambda d, x: d.pool(op.AveragePool, x, (3, 3), (2, 2), SAME)),
    "average of all": ((1, 8, 8, 40), lambda d, x: d.pool(op.AveragePool, d.conv(x, 40), (8, 8))),
    "maximum": ((1, 6, 8, 5), lambda d, x: d.pool(op.MaxPool, x, (2, 2), (2, 2))),
    "maximum over the edge": ((1, 7, 8, 5), lambda d, x: d.pool(op.MaxPool, x, (3, 3), (2, 2), ((0, 1), (1, 1)))),
    "reshape": ((1, 6, 7, 5), lambda d, x: d.dense(flat(d, d.conv(x, 4)), 11)),
    "pad": ((1, 5, 6, 3), lambda d, x: padded(d, d.unary(x, "relu"), ((0, 0), (1, 2), (3, 0), (0, 0)))),
    "pad channels": ((1, 5, 6, 3), lambda d, x: padded(d, x, ((0, 0), (0, 0), (0, 0), (2, 1)))),
    "pad before conv": ((1, 7, 6, 3), lambda d, x: d.conv(padded(d, x, ((0, 0), (0, 1), (0, 1), (0, 0))), 5,
                                                         strides=(2, 2), padding=NONE)),
    "concatenate": ((1, 5, 6, 3), lambda d, x: concatenated(d, 3, d.conv(x, 4), x, d.unary(x, "abs"))),
    "concatenate rows": ((1, 5, 6, 3), lambda d, x: concatenated(d, 1, x, d.conv(x, 3))),
    "slice": ((1, 9, 8, 6), lambda d, x: d.conv(sliced(d, x, (0, 1, 2, 1), (1, 9, 8, 5), (1, 2, 3, 1)), 4)),
    "slice out": ((1, 9, 8, 6), lambda d, x: sliced(d, d.conv(x, 6), (0, 2, 0, 2), (1, 9, 8, 5), (1, 1, 2, 1))),
    "slice of channels, depthwise": ((1, 6, 7, 9), lambda d, x: d.depthwise(sliced(d, d.conv(x, 9), (0, 0, 0, 3),
                                                                                  (1, 6, 7, 8)))),
    "resize": ((1, 4, 5, 3), lambda d, x: d.alike(op.ResizeNearest(), x, (1, 8, 15, 3))),
    "relu": ((1, 6, 7, 5), lambda d, x: d.unary(x, "relu")),
    "leaky relu": ((2, 6, 7, 5), lambda d, x: d.unary(d.conv(x, 5), "leaky_relu", alpha=0.2)),
    "other scale": ((4, 30), lambda d, x: d.unary(x, "requantise")),
    "tables behind each other": ((1, 6, 7, 5), lambda d, x: d.unary(d.unary(d.conv(x, 9), "tanh"), "hard_swish")),
    "two readers": ((1, 8, 8, 5), lambda d, x: (lambda y: d.add(d.conv(y, 5), d.unary(y, "relu")))(d.conv(x, 5))),
}

ALL = {**MACHINES, **{name: tpu_preset(name) for name in ("tpu_8x8", "tpu_12x20", "tpu_16x16")}}


@pytest.mark.parametrize("tpu", ALL)
@pytest.mark.parametrize("case", CASES)
def test_operator(case, tpu):
    shape, make = CASES[case]
    d = Draft(seed=len(case))
    y = make(d, d.input(*shape))
    compiled = assert_exact(d.graph(y), ALL[tpu], runs=2)
    assert not on_host(compiled)


@pytest.mark.parametrize("match", [Match.REFERENCE, Match.MICRO, Match.ONNXRUNTIME])
@pytest.mark.parametrize("case", ["conv", "depthwise", "transposed", "dense", "dense per channel", "add", "average",
                                  "conv, table", "leaky relu", "subtract", "subtract from a number", "concatenate"])
def test_operator_as_other_runtimes(case, match):
    shape, make = CASES[case]
    d = Draft(seed=len(case))
    assert_exact(d.graph(make(d, d.input(*shape))), tpu_preset("tpu_8x8"), match=match, runs=2)


HOST = {
    "multiply": lambda d, x: d.node(op.Mul(), (x, d.conv(x, 5)), d.shape(x)),
    "softmax": lambda d, x: d.node(op.Softmax(), (d.conv(x, 5),), d.shape(x), scale=1 / 256, zero=-128),
    "transpose": lambda d, x: d.alike(op.Transpose(permutation=(0, 2, 1, 3)), x, (1, 7, 6, 5)),
}


@pytest.mark.parametrize("case", HOST)
def test_host_between_programs(case):
    """What the TPU cannot do cuts the model, and has a reason."""
    d = Draft()
    y = d.conv(HOST[case](d, d.conv(d.input(1, 6, 7, 5), 5)), 4)
    compiled = assert_exact(d.graph(y), tpu_preset("tpu_8x8"), runs=2)
    (step,) = [step for step in compiled.steps if hasattr(step, "reason")]
    assert step.reason and len(compiled.image.programs) == 2


def test_states_live_from_run_to_run():
    """A window over the last four inputs, as in streaming models."""
    d = Draft()
    x = d.input(1, 1, 1, 6)
    scale, zero = d.values[x].scale
    d.states["window"] = d.rng.integers(-128, 128, (1, 3, 1, 6)).astype(np.int8)
    old = d.node(op.ReadVariable(variable="window"), (), (1, 3, 1, 6), scale=scale, zero=zero)
    every = d.node(op.Concatenate(axis=1), (old, x), (1, 4, 1, 6), scale=scale, zero=zero)
    new = sliced(d, every, (0, 1, 0, 0), (1, 4, 1, 6))
    y = d.conv(every, 7, kernel=(4, 1), padding=NONE)
    d.nodes.append(type(d.nodes[0])(name="assign", operator=op.AssignVariable(variable="window"), inputs=(new,),
                                    outputs=()))
    for tpu in ALL.values():
        assert not on_host(assert_exact(d.graph(y), tpu, runs=6))
