"""Convolutions and fully connected layers."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph import Graph, Node
from ..graph.operators import AveragePool, Conv2D, DepthwiseConv2D, MaxPool, TransposeConv2D
from ..match import Match, product
from .requantise import requantised

__all__ = ["conv", "dense", "depthwise", "transposed", "windows"]

Int8Array = npt.NDArray[np.int8]


def windows(x: npt.NDArray[Any], kernel: tuple[int, int], operator: Conv2D | DepthwiseConv2D | AveragePool | MaxPool,
            fill: int) -> npt.NDArray[Any]:
    """View [N, H, W, kernel_y, kernel_x, C] of the pixels under each window; outside of the map they are ``fill``."""
    dilations = getattr(operator, "dilations", (1, 1))
    padded = np.pad(x, ((0, 0), *operator.padding, (0, 0)), constant_values=fill)
    n, height, width, channels = padded.shape
    size = [(length - (k - 1) * far - 1) // step + 1 for length, k, far, step in zip(
        (height, width), kernel, dilations, operator.strides, strict=True)]
    s = padded.strides
    return np.lib.stride_tricks.as_strided(
        padded, (n, *size, *kernel, channels),
        (s[0], s[1] * operator.strides[0], s[2] * operator.strides[1], s[1] * dilations[0], s[2] * dilations[1], s[3]),
        writeable=False)


def _matmul(x: npt.NDArray[Any], w: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Exact: sums are below 2**53."""
    return (x.astype(np.float64) @ w.astype(np.float64)).astype(np.int64)


def conv(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """Conv2D."""
    x, w, _ = values
    assert isinstance(node.operator, Conv2D)
    pixels = windows(x, w.shape[:2], node.operator, graph.operands(node)[0].scale[1])
    sums = _matmul(pixels.reshape(*pixels.shape[:3], -1), w.reshape(-1, w.shape[3]))
    return requantised(sums, product(graph, node, match))


def depthwise(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """DepthwiseConv2D."""
    x, w, _ = values
    assert isinstance(node.operator, DepthwiseConv2D)
    pixels = windows(x, w.shape[:2], node.operator, graph.operands(node)[0].scale[1])
    split = w.reshape(*w.shape[:2], x.shape[3], node.operator.multiplier)
    sums = np.einsum("nhwyxc,yxcm->nhwcm", pixels.astype(np.int64), split.astype(np.int64))
    return requantised(sums.reshape(*sums.shape[:3], -1), product(graph, node, match))


def transposed(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """TransposeConv2D: each input pixel adds a kernel to the output."""
    x, w, _ = values
    operator = node.operator
    assert isinstance(operator, TransposeConv2D)
    n, height, width, outputs = graph.results(node)[0].shape
    (top, _), (left, _) = operator.padding
    # Products alone of pixels less the zero point; requantisation folds that of whole kernels in, so it is put back.
    zero = graph.operands(node)[0].scale[1]
    room = [(length - 1) * step + k for length, step, k in zip(x.shape[1:3], operator.strides, w.shape[:2],
                                                              strict=True)]
    sums = np.zeros((n, max(room[0], height + top), max(room[1], width + left), outputs), np.int64)
    for ky in range(w.shape[0]):
        for kx in range(w.shape[1]):
            here = _matmul(x.astype(np.int64) - zero, w[ky, kx])
            sums[:, ky:ky + (x.shape[1] - 1) * operator.strides[0] + 1:operator.strides[0],
                 kx:kx + (x.shape[2] - 1) * operator.strides[1] + 1:operator.strides[1]] += here
    whole = zero * w.reshape(-1, outputs).sum(axis=0, dtype=np.int64)
    return requantised(sums[:, top:top + height, left:left + width] + whole, product(graph, node, match))


def dense(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """Dense."""
    x, w, _ = values
    return requantised(_matmul(x, w), product(graph, node, match))
