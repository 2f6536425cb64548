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

from systolic_sim.golden import bf16
from systolic_sim.golden.requantise import quantise_multiplier, requantise

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
    """``weights`` int8 [K, N]; ``bias`` int32 [N], with the inputs' zero point; the rest as for requantise."""

    weights: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    zero_point: int
    low: int

    def outputs(self, sums):
        """int8 [M, N] from int32 sums."""
        return requantise(sums + self.bias, self.multiplier, self.shift, zero_point=self.zero_point, low=self.low)


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
        scale, zero_point = 1 / 255, -128
        self.layers = []
        activations = mlp.activations(pixels / np.float32(255))[1:]
        for w, b, values in zip(mlp.weights, mlp.biases, activations, strict=True):
            weight_scale = np.maximum(np.abs(w).max(axis=0).astype(np.float64), 1e-12) / 127
            weights = np.rint(w / weight_scale).astype(np.int8)
            bias = np.rint(b / (scale * weight_scale)) - zero_point * weights.sum(axis=0, dtype=np.int64)
            inputs_scale, (scale, zero_point) = scale, _scale(values)
            multiplier, shift = quantise_multiplier(inputs_scale * weight_scale / scale)
            # Hidden layers have no negative values: their zero is the lowest number, and clamping is the ReLU.
            self.layers.append(_Int8Layer(weights=weights, bias=bias.astype(np.int32), multiplier=multiplier,
                                          shift=shift, zero_point=zero_point, low=-128))

    @staticmethod
    def inputs(pixels):
        """int8 [M, 784] from pixels."""
        return (pixels ^ np.uint8(128)).view(np.int8)


def _scale(values):
    """Scale and zero point with which int8 covers the values and 0."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 1e-6)
    scale = (high - low) / 255
    return scale, int(np.rint(-128 - low / scale))


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
