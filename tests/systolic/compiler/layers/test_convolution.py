"""Convolutions and dense layers: against numpy, and on the compiled hardware."""

import functools

import numpy as np
import pytest

from systolic.compiler import Builder, CompileError, Tensor
from systolic.compiler.layers import border, convolution, dense
from systolic.compiler.layout import Layout
from systolic.host import Driver
from systolic.tpu_config import tpu_preset
from systolic_sim.cycles.tpu import predict
from systolic_sim.rtl.tpu import TpuRtl

TPU = tpu_preset("tpu_4x4")


def random_case(rng, size, kernel, inputs, outputs):
    return (rng.integers(-128, 128, (*size, inputs), np.int8),
            rng.integers(-128, 128, (kernel, kernel, inputs, outputs), np.int8))


def names(builder, name):
    return sum(each.name == name for program in builder.image().programs for each in program)


# On 11 columns, 13 output channels leave two, which are computed for 2 x 2 pixels at once; not on 5 x 7 pixels.
@pytest.mark.parametrize("kernel, inputs, outputs, size", [
    (3, 6, 8, (6, 6)), (1, 4, 5, (6, 6)), (5, 3, 2, (6, 6)), (3, 4, 13, (6, 6)), (3, 4, 13, (5, 7)), (3, 7, 22, (4, 6)),
    (1, 9, 3, (6, 6)), (2, 5, 13, (4, 4)), (4, 1, 1, (3, 3))])
def test_convolution(tpu, run, reference, kernel, inputs, outputs, size):
    rng = np.random.default_rng(7)
    x, w = random_case(rng, size, kernel, inputs, outputs)
    scale, padding = reference.scale(rng, outputs), int(rng.integers(-128, 128))
    even = not (size[0] % 2 or size[1] % 2)
    place = functools.partial(convolution, w=w, scale=scale, padding=padding, even=even)
    y, builder = run(tpu, place, x, border=border(kernel), padding=padding)
    np.testing.assert_array_equal(y, reference.convolution(x, w, scale, padding=padding))
    assert builder.macs == y.size * kernel**2 * inputs
    rest = outputs % tpu.matrix.arch.cols
    in_blocks = even and 0 < 4 * rest <= tpu.matrix.arch.cols
    assert names(builder, "pool") == (4 * names(builder, "read_weights") if in_blocks else 0)


@pytest.mark.parametrize("step, before, kernel", [(1, None, 3), (2, 0, 3), (2, 1, 3), (2, None, 2), (3, 2, 5)])
def test_without_a_border(tpu, run, reference, step, before, kernel):
    """The row reader pads, in x as in y; the map may have any gaps between its pixels."""
    rng = np.random.default_rng(8)
    x, w = random_case(rng, (7, 6), kernel, 5, 9)
    scale = reference.scale(rng, 9)
    options = {"step": step, "before": before, "padding": -77}
    place = functools.partial(convolution, w=w, scale=scale, bordered=False, **options)
    for x_stride in (None, 8):
        y, _ = run(tpu, place, x, x_stride=x_stride)
        np.testing.assert_array_equal(y, reference.convolution(x, w, scale, **options))


@pytest.mark.parametrize("step, before", [(2, 0), (2, 1), (3, None)])
def test_steps_on_a_map_with_a_border(tpu, run, reference, step, before):
    rng = np.random.default_rng(9)
    x, w = random_case(rng, (6, 7), 3, 4, 6)
    scale, options = reference.scale(rng, 6), {"step": step, "before": before, "padding": 9}
    y, _ = run(tpu, functools.partial(convolution, w=w, scale=scale, **options), x, border=(1, 2), padding=9)
    np.testing.assert_array_equal(y, reference.convolution(x, w, scale, **options))


@pytest.mark.parametrize("outputs, even", [(5, False), (5, True)])
def test_more_rows_than_accumulators(run, reference, outputs, even):
    """In parts of nearly one size; pairs of rows stay together. On 4 columns, 5 outputs leave one."""
    rng = np.random.default_rng(10)
    x, w = random_case(rng, (10, 18), 3, 2, outputs)
    scale = reference.scale(rng, outputs)
    y, builder = run(TPU, functools.partial(convolution, w=w, scale=scale, even=even), x, border=border(3))
    np.testing.assert_array_equal(y, reference.convolution(x, w, scale))
    program, = builder.image().programs
    counts = [each.y_count for each in program if each.name == "matrix_multiply"]
    assert counts == ([1, 2] * 5 if even else [3, 3, 3, 1])
    assert names(builder, "read_weights") == (5 if even else 4)


def test_rows_that_are_too_long(reference):
    builder, rng = Builder(TPU), np.random.default_rng(11)
    layer = convolution(builder, np.zeros((1, 1, 1, 1), np.int8), reference.scale(rng, 1))
    with pytest.raises(CompileError, match="width must be at most 64, for which there are accumulators, not 65"):
        layer(builder, builder.tensor(Layout.of(1, 65, 1)))


def test_dense(tpu, run, reference):
    rng = np.random.default_rng(12)
    x, w = rng.integers(-128, 128, (1, 20, 19), np.int8), rng.integers(-128, 128, (19, 13), np.int8)
    scale = reference.scale(rng, 13)
    y, builder = run(tpu, functools.partial(dense, w=w, scale=scale), x, x_stride=32)
    np.testing.assert_array_equal(y[0], reference.requantised(x[0].astype(np.int32) @ w.astype(np.int32), scale))
    assert builder.macs == 20 * w.size


def test_into_a_part_of_a_map(tpu, run, reference):
    """The output may have a border of its own and other channels beside it, which stay as they are."""
    rng = np.random.default_rng(13)
    x, w = random_case(rng, (4, 4), 3, 3, 5)
    scale = reference.scale(rng, 5)
    filled = rng.integers(-128, 128, (4, 4, 9), np.int8)

    def place(builder):
        layer = convolution(builder, w, scale, padding=1, even=True)

        def into(builder, x):
            layout = Layout.of(4, 4, 9, border=(1, 1))
            whole = builder.load(builder.input("filled", layout, filled, fill=55))
            layer(builder, x, whole.slice(2, 5))
            return whole
        return into

    y, _ = run(tpu, place, x, border=border(3), padding=1)
    expected = filled.copy()
    expected[..., 2:7] = reference.convolution(x, w, scale, padding=1)
    np.testing.assert_array_equal(y, expected)


def test_two_layers_one_after_the_other(tpu, run, reference):
    """The first writes between the border of the second's input, which was put there before."""
    rng = np.random.default_rng(14)
    x, first = random_case(rng, (5, 4), 3, 3, 6)
    second = rng.integers(-128, 128, (3, 3, 6, 7), np.int8)
    scales = reference.scale(rng, 6), reference.scale(rng, 7)

    def place(builder):
        layers = [convolution(builder, w, scale, padding=3) for w, scale in zip((first, second), scales, strict=True)]
        layout = Layout.of(5, 4, 6, border=border(3))
        middle = builder.load(builder.input("border", layout, np.zeros((5, 4, 6)), fill=3))

        def both(builder, x):
            layers[0](builder, x, middle)
            builder.free(x)
            return layers[1](builder, middle)
        return both

    y, _ = run(tpu, place, x, border=border(3), padding=3)
    middle = reference.convolution(x, first, scales[0], padding=3)
    np.testing.assert_array_equal(y, reference.convolution(middle, second, scales[1], padding=3))


@pytest.mark.parametrize("layout, options, message", [
    (Layout.of(4, 4, 3, border=(1, 1)), {}, "x and out must have 2 and 5 channels, not 3 and 5"),
    (Layout.of(4, 4, 2, border=(1, 0)), {}, "x must have a border of 1 and 1 pixels and no gaps, not of 1 and 0 and"),
    (Layout.of(4, 4, 2, border=(1, 1), x_stride=3), {}, "not of 1 and 1 and gaps of 1 bytes"),
    (Layout.of(4, 5, 2, border=(1, 1)), {"even": True}, "out must be even in height and width, not 4 x 5")])
def test_inputs_it_is_not_for(reference, layout, options, message):
    builder, rng = Builder(TPU), np.random.default_rng(15)
    layer = convolution(builder, np.zeros((3, 3, 2, 5), np.int8), reference.scale(rng, 5), **options)
    with pytest.raises(CompileError, match=message):
        layer(builder, Tensor(0, layout))


def test_weights_it_is_not_for(reference):
    builder, rng = Builder(TPU), np.random.default_rng(16)
    with pytest.raises(CompileError, match=r"w must be \[kernel, kernel, inputs, outputs\], not \[3, 2, 1, 1\]"):
        convolution(builder, np.zeros((3, 2, 1, 1), np.int8), reference.scale(rng, 1))
    with pytest.raises(CompileError, match="must be of 4 channels, not 3"):
        convolution(builder, np.zeros((1, 1, 1, 4), np.int8), reference.scale(rng, 3))


def test_on_the_hardware(reference):
    """Bytes as in numpy, counters as predicted, and the array hardly ever idle."""
    rng = np.random.default_rng(9)
    x, w = random_case(rng, (6, 6), 3, 8, 8)
    scale = reference.scale(rng, 8)
    builder = Builder(TPU)
    layer = convolution(builder, w, scale, padding=5, even=True)
    tensor = builder.load(builder.input("x", Layout.of(6, 6, 8, border=border(3)), fill=5))
    builder.end()
    out = layer(builder, tensor)
    builder.end()
    builder.store(out, builder.output("y", out.layout))
    builder.end()
    image, rtl = builder.image(0x1040), TpuRtl(TPU)
    rtl.connect(np.zeros(image.end, np.uint8), latency=6)
    driver = Driver(rtl)
    driver.load(image, x=x)
    outputs, outcomes = driver.execute(image)
    np.testing.assert_array_equal(outputs["y"], reference.convolution(x, w, scale, padding=5))
    for program, outcome in zip(image.programs, outcomes, strict=True):
        predicted = predict(TPU, program.operations, latency=6).counters
        assert {name: value for name, value in outcome.counters.items() if value} == {
            name: value for name, value in predicted.items() if value}
    assert image.macs / (16 * outcomes[1].counters["cycles"]) > 0.8
