"""The trained network in the formats of the array: everything but the matrix products.

::

    pixels ──▶ inputs ──▶ x @ w ──▶ outputs ──▶ x @ w ──▶ outputs ──▶ ... ──▶ logits
                            ▲          │
                   the array's work    bias, ReLU, back to the format of the inputs

int8: an activation q stands for ``scale * (q - zero_point)``, a weight for a scale of its column times itself;
sums return to int8 through :func:`~systolic_sim.golden.requantise.requantise`, rounding ``single``. bf16: rounded
to nearest even; bias and ReLU in float32.
"""

import dataclasses

import numpy as np

from systolic.compiler import quantise
from systolic_sim.golden import bf16
from systolic_sim.golden.requantise import requantise

__all__ = ["Bf16Network", "Int8Network", "classify"]


def classify(network, pixels, product):
    """Classes of images.

    Parameters
    ----------
    network : Int8Network or Bf16Network
    pixels : uint8 array [M, 784]
    product : callable(layer, x, w) -> sums
        Multiplies x [M, K] and w [K, N] in the network's format; ``layer`` counts from 0.

    Returns
    -------
    int array [M]
    """
    x = network.inputs(pixels)
    for number, layer in enumerate(network.layers):
        x = layer.outputs(product(number, x, layer.weights))
    return x.argmax(axis=1)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Int8Layer:
    """``weights`` int8 [K, N]; ``scale`` of sums, its bias with the inputs' zero point."""

    weights: np.ndarray
    scale: quantise.Requantisation

    def outputs(self, sums):
        """int8 [M, N] from int32 sums."""
        scale = self.scale
        return requantise(sums + scale.bias, scale.multiplier, scale.shift, **scale.fields)


class Int8Network:
    """A network quantised after its training.

    Weights are symmetric with a scale for each column, activations have one scale and zero point a layer. An
    input is its pixel less 128, so nothing is lost there; zero after a ReLU is -128.

    Parameters
    ----------
    mlp : Mlp
        For inputs from 0 to 1.
    pixels : uint8 array [n, 784]
        Images from which the ranges of the activations are taken.

    Members
    -------
    layers : list
        Each with ``weights`` int8 [K, N], and ``outputs`` from sums to the next inputs.
    """

    def __init__(self, mlp, pixels):
        scale = 1 / 255, -128
        self.layers = []
        activations = mlp.activations(pixels / np.float32(255))[1:]
        for w, b, values in zip(mlp.weights, mlp.biases, activations, strict=True):
            weights, weight_scale = quantise.symmetric(w)
            inputs, scale = scale, quantise.range_scale(values)
            # Hidden layers have no negative values: their zero is the lowest number, and clamping is the ReLU.
            self.layers.append(_Int8Layer(weights=weights, scale=quantise.dense(
                weights, b, weight_scale=weight_scale, inputs=inputs, outputs=scale)))

    @staticmethod
    def inputs(pixels):
        """int8 [M, 784] from pixels."""
        return (pixels ^ np.uint8(128)).view(np.int8)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Bf16Layer:
    """``weights`` uint16 bits [K, N]; ``bias`` float32 [N]; ``hidden``: ReLU and bf16 follow."""

    weights: np.ndarray
    bias: np.ndarray
    hidden: bool

    def outputs(self, sums):
        """bf16 bits [M, N], or of the last layer float32 logits, from fp32 bits."""
        outputs = sums.view(np.float32) + self.bias
        return bf16.from_float32(np.maximum(outputs, 0)) if self.hidden else outputs


class Bf16Network:
    """A network rounded to bf16, sums and biases in float32.

    An input is its pixel, 0 to 255, which bf16 holds exactly; the first layer's weights are smaller for it.

    Parameters
    ----------
    mlp : Mlp
        For inputs from 0 to 1.

    Members
    -------
    layers : list
        Each with ``weights`` uint16 bits [K, N], and ``outputs`` from sums to the next inputs.
    """

    def __init__(self, mlp):
        weights = [mlp.weights[0] / np.float32(255), *mlp.weights[1:]]
        last = len(weights) - 1
        self.layers = [_Bf16Layer(weights=bf16.from_float32(w), bias=b, hidden=layer < last)
                       for layer, (w, b) in enumerate(zip(weights, mlp.biases, strict=True))]

    @staticmethod
    def inputs(pixels):
        """bf16 bits [M, 784] from pixels."""
        return bf16.from_float32(pixels.astype(np.float32))
