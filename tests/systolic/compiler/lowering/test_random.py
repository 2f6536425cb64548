"""Random graphs on random machines."""

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from systolic.compiler.graph import operators as op
from systolic.config import Arch, Config
from systolic.tpu_config import TpuConfig

from .graphs import Draft, assert_exact


@st.composite
def machines(draw):
    rows, cols = draw(st.integers(2, 20)), draw(st.integers(2, 20))
    depth = draw(st.sampled_from([24, 40, 128]))
    arch = Arch(rows=rows, cols=cols, accumulator_depth=depth, result_fifo_depth=depth,
                weight_fifo_depth=draw(st.integers(1, 3)))
    return TpuConfig(matrix=Config(arch=arch), lanes=draw(st.integers(1, cols)), buffer_size=1 << 17,
                     bus_bytes=draw(st.sampled_from([4, 8, 32])))


def _pads(draw, kernel):
    return tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in kernel)


def _conv(draw, d, x):
    _, height, width, _ = d.shape(x)
    kernel = draw(st.integers(1, min(height, 4))), draw(st.integers(1, min(width, 4)))
    strides, padding = (draw(st.integers(1, 3)), draw(st.integers(1, 3))), _pads(draw, kernel)
    if draw(st.booleans()):
        return d.conv(x, draw(st.integers(1, 40)), kernel, strides, padding=padding)
    return d.depthwise(x, kernel, strides, padding=padding, multiplier=draw(st.integers(1, 2)))


def _pool(draw, d, x):
    _, height, width, _ = d.shape(x)
    kernel = draw(st.integers(1, min(height, 3))), draw(st.integers(1, min(width, 3)))
    kind = draw(st.sampled_from([op.AveragePool, op.MaxPool]))
    return d.pool(kind, x, kernel, (draw(st.integers(1, 2)), draw(st.integers(1, 2))), _pads(draw, kernel))


def _unary(draw, d, x):
    return d.unary(x, draw(st.sampled_from(["relu", "tanh", "leaky_relu", "requantise", "hard_swish"])), alpha=0.2)


def _add(draw, d, x):
    """Of a map and what a convolution makes of it, or another of the same shape that is there."""
    others = [name for name in d.maps if d.shape(name) == d.shape(x)]
    _, _, _, channels = d.shape(x)
    other = draw(st.sampled_from(others)) if draw(st.booleans()) else d.conv(x, channels, (1, 1),
                                                                             padding=((0, 0), (0, 0)))
    return d.add(x, other)


def _concatenate(draw, d, x):
    n, height, width, channels = d.shape(x)
    other = d.conv(x, draw(st.integers(1, 9)))
    return d.node(op.Concatenate(axis=3), (x, other), (n, height, width, channels + d.shape(other)[3]))


def _slice(draw, d, x):
    begin = [draw(st.integers(0, length - 1)) for length in d.shape(x)[1:]]
    end = [draw(st.integers(first + 1, length)) for first, length in zip(begin, d.shape(x)[1:], strict=True)]
    strides = (1, draw(st.integers(1, 2)), draw(st.integers(1, 2)), 1)
    shape = [-(-(e - b) // s) for b, e, s in zip((0, *begin), (d.shape(x)[0], *end), strides, strict=True)]
    return d.alike(op.Slice(begin=(0, *begin), end=(d.shape(x)[0], *end), strides=strides), x, shape)


def _pad(draw, d, x):
    padding = ((0, 0), *((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(2)), (0, 0))
    return d.alike(op.Pad(padding=padding, value=draw(st.sampled_from([d.values[x].scale[1], 5]))), x,
                   [sum(pad) + length for pad, length in zip(padding, d.shape(x), strict=True)])


def _resize(draw, d, x):
    n, height, width, channels = d.shape(x)
    return d.alike(op.ResizeNearest(), x, (n, height * draw(st.integers(1, 2)), width * 2, channels))


def _transposed(draw, d, x):
    return d.transposed(x, draw(st.integers(1, 9)), (draw(st.integers(1, 3)), 2), (2, draw(st.integers(1, 3))))


STEPS = [_conv, _conv, _pool, _unary, _add, _concatenate, _slice, _pad, _resize, _transposed]


@settings(max_examples=60, deadline=None, derandomize=True, phases=[Phase.generate],
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(tpu=machines(), data=st.data(), seed=st.integers(0, 1 << 16))
def test_random_graph(tpu, data, seed):
    draw, d = data.draw, Draft(seed)
    shape = draw(st.integers(1, 2)), draw(st.integers(1, 14)), draw(st.integers(1, 12)), draw(st.integers(1, 24))
    d.maps = [d.input(*shape)]
    for _ in range(draw(st.integers(1, 6))):
        x = draw(st.sampled_from(d.maps[-2:]))
        if np.prod(d.shape(x)) > 4000:
            continue
        d.maps.append(draw(st.sampled_from(STEPS))(draw, d, x))
    x = d.maps[-1]
    if draw(st.booleans()) and np.prod(d.shape(x)) < 2000:
        x = d.dense(d.alike(op.Reshape(), x, (1, int(np.prod(d.shape(x))))), draw(st.integers(1, 50)))
    unread = {name for node in d.nodes for name in node.outputs} - {name for node in d.nodes for name in node.inputs}
    if d.nodes:
        assert_exact(d.graph(*sorted(unread)), tpu, runs=2)
