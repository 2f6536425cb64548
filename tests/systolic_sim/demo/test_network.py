"""Quantisation: both formats stay close to the float network, layer by layer."""

import numpy as np
import pytest

from systolic_sim.demo.network import Bf16Network, Int8Network, classify
from systolic_sim.demo.training import Mlp
from systolic_sim.golden import bf16, int8


@pytest.fixture
def mlp():
    """Columns of very different scales, biases that matter."""
    rng = np.random.default_rng(2)
    shapes = [(20, 16), (16, 12), (12, 5)]
    scales = [10.0 ** rng.uniform(-1, 1, n) for _, n in shapes]
    weights = [rng.normal(size=shape) * scale for shape, scale in zip(shapes, scales, strict=True)]
    biases = [2 * rng.normal(size=len(scale)) * scale for scale in scales]
    return Mlp([w.astype(np.float32) for w in weights], [b.astype(np.float32) for b in biases])


@pytest.fixture
def pixels():
    return np.random.default_rng(3).integers(0, 256, (300, 20), np.uint8)


def test_inputs_are_exact():
    pixels = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(Int8Network.inputs(pixels)[0], np.arange(-128, 128))
    np.testing.assert_array_equal(bf16.to_float32(Bf16Network.inputs(pixels))[0], np.arange(256))


def test_int8_layers_follow_the_float_network(mlp, pixels):
    """Every layer's int8 outputs, read as numbers, are within its rounding of the float outputs."""
    network = Int8Network(mlp, pixels)
    x, expected = network.inputs(pixels), mlp.activations(pixels / np.float32(255))[1:]
    for layer, values in zip(network.layers, expected, strict=True):
        x = layer.outputs(int8.matmul(x, layer.weights))
        scale = (values.max() - min(values.min(), 0)) / 255
        error = (x.astype(float) - layer.scale.zero_point) * scale - values
        assert np.abs(error).mean() < 1.5 * scale and np.abs(error).max() < 12 * scale
    assert [layer.scale.zero_point for layer in network.layers[:2]] == [-128, -128]
    assert network.layers[2].scale.zero_point > -128
    for layer in network.layers:
        np.testing.assert_array_equal(np.abs(layer.weights.astype(int)).max(axis=0), 127)


def test_int8_of_weights_that_are_exact():
    """Whole numbers throughout: only the outputs are rounded, and not more than once."""
    rng = np.random.default_rng(4)
    weights = rng.integers(-127, 128, (30, 8))
    weights[0] = 127
    bias = rng.integers(-2000, 2000, 8)
    pixels = rng.integers(0, 256, (100, 30), np.uint8)
    values = pixels.astype(int) @ weights + 255 * bias
    network = Int8Network(Mlp([weights.astype(np.float32)], [bias.astype(np.float32)]), pixels)
    layer = network.layers[0]
    outputs = layer.outputs(int8.matmul(network.inputs(pixels), layer.weights))
    scale = (values.max() - values.min()) / 255
    np.testing.assert_allclose(outputs.astype(int) - layer.scale.zero_point, values / scale, atol=0.51)


def test_bf16_follows_the_float_network(mlp, pixels):
    network, seen = Bf16Network(mlp), []

    def product(layer, x, w):
        seen.append((layer, x.dtype, w.dtype))
        return bf16.matmul(x, w)

    classes = classify(network, pixels, product)
    assert seen == [(layer, np.uint16, np.uint16) for layer in range(3)]
    x, values = network.inputs(pixels), mlp.activations(pixels / np.float32(255))[-1]
    for layer in network.layers:
        x = layer.outputs(bf16.matmul(x, layer.weights))
    np.testing.assert_allclose(x, values, atol=0.02 * np.abs(values).max())
    assert x.dtype == np.float32 and np.mean(classes == values.argmax(axis=1)) > 0.95


def test_int8_classes(mlp, pixels):
    classes = classify(Int8Network(mlp, pixels), pixels, lambda layer, x, w: int8.matmul(x, w))
    assert np.mean(classes == mlp.classify(pixels / np.float32(255))) > 0.9
