"""Softmax on int8 codes, in fixed point as LiteRT has it, and on floats."""

import numpy as np
import numpy.typing as npt

from ..match import Match

__all__ = ["int8_softmax", "real_softmax"]

Int8Array = npt.NDArray[np.int8]
Ints = npt.NDArray[np.int64]


def real_softmax(x: npt.NDArray[np.float32], beta: float = 1.0) -> npt.NDArray[np.float32]:
    """In float32, less the largest."""
    shifted = np.exp((x - x.max(axis=-1, keepdims=True)) * np.float32(beta))
    result: npt.NDArray[np.float32] = shifted / shifted.sum(axis=-1, keepdims=True, dtype=np.float32)
    return result


def int8_softmax(x: Int8Array, beta: float, inputs: tuple[float, int], outputs: tuple[float, int],
                 match: Match) -> Int8Array:
    """Along the last axis.

    Parameters
    ----------
    x : int8 array
    beta : float
    inputs, outputs : (float, int)
        Scale and zero point.
    match : Match
    """
    if match is Match.ONNXRUNTIME:
        return _by_table(x, inputs, outputs)
    return _float_table(x, beta, inputs, outputs)


def _by_table(x: Int8Array, inputs: tuple[float, int], outputs: tuple[float, int]) -> Int8Array:
    """ONNX Runtime: a table of exponentials, as large as their sum allows, and whole codes for 1."""
    most = np.float64(np.finfo(np.float32).max / np.float32(x.shape[-1]))
    above = (np.log(most) - 5) / np.float64(np.float32(inputs[0]))
    table = np.exp((np.arange(-255, 1) + above) * np.float64(np.float32(inputs[0]))).astype(np.float32)
    terms = table[x.astype(np.int64) - x.max(axis=-1, keepdims=True) + 255]
    with np.errstate(over="ignore"):
        scaled = terms * np.floor(np.float32(1) / np.float32(outputs[0]))
    codes = np.rint(scaled / terms.sum(axis=-1, keepdims=True, dtype=np.float32)) + outputs[1]
    result: Int8Array = np.clip(codes, -128, 127).astype(np.int8)
    return result


def _float_table(x: Int8Array, beta: float, inputs: tuple[float, int], outputs: tuple[float, int]) -> Int8Array:
    """LiteRT: a table of exponentials in float32, summed in order."""
    table = np.exp(np.float32(-inputs[0] * beta) * np.arange(256, dtype=np.float32)).astype(np.float32)
    terms = table[x.max(axis=-1, keepdims=True).astype(np.int64) - x]
    sums = np.zeros(x.shape[:-1], np.float32)
    for k in range(x.shape[-1]):
        sums = (sums + terms[..., k]).astype(np.float32)
    scaled = (terms * (np.float32(1) / (sums * np.float32(outputs[0])))[..., None]).astype(np.float32)
    result: Int8Array = np.clip(np.rint(scaled) + outputs[1], -128, 127).astype(np.int8)
    return result
