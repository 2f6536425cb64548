"""From real scales to what the hardware computes with: multipliers and shifts, biases, zero points.

A number q of int8 stands for ``scale * (q - zero_point)``. What a multiplier and a shift then do to a sum is defined
by the golden model and docs/numerics.md; here is only how they are chosen.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .errors import CompileError
from .layout import records

__all__ = ["Addition", "Requantisation", "addition", "average", "average_multiplier", "dense", "fold_bias", "identity",
           "quantise_multiplier", "range_scale", "symmetric"]

_SHIFTS = (-31, 30)
_INT32 = np.iinfo(np.int32)

#: Bits by which ``add`` shifts its inputs left.
_ADD_SHIFT = 20

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def quantise_multiplier(real: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """Multiplier and shift nearest to a real scale.

    Parameters
    ----------
    real : float or float array
        Scales from 0 to below 2**30 - 1/4. Those too small for any result but 0 become multiplier 0.

    Returns
    -------
    multiplier : int64 array
        0, or from 2**30 to 2**31 - 1.
    shift : int64 array
        Powers of two, negative to the right: from -31 to 30.

    Raises
    ------
    CompileError
        If a scale is negative, not a number, or too large.
    """
    real = np.asarray(real, np.float64)
    if not np.all((real >= 0) & (real < 2**30 - 0.25)):
        raise CompileError(f"scale must be from 0 to below 2**30 - 1/4, not {real}")
    fraction, shift = np.frexp(real)
    multiplier = np.floor(fraction * 2**31 + 0.5).astype(np.int64)
    carry = multiplier == 2**31
    multiplier, shift = np.where(carry, 2**30, multiplier), shift + carry.astype(np.int64)
    small = shift < _SHIFTS[0]
    return np.where(small, 0, multiplier), np.where(small, 0, shift)


def average_multiplier(count: int) -> tuple[int, int]:
    """Multiplier and shift with which a sum becomes the average of ``count`` pixels, halves away from zero.

    1 / count, rounded up always: rounding ``single`` takes halves up, and by that little negative ones fall below.

    Parameters
    ----------
    count : int
        From 1 to 255 * 255.

    Raises
    ------
    CompileError
        If the count is out of range.
    """
    if not 1 <= count <= 255 * 255:
        raise CompileError(f"count must be from 1 to {255 * 255}, not {count}")
    shift = 1 - (count - 1).bit_length()
    return (1 << 31 - shift) // count + 1, shift


def range_scale(values: npt.ArrayLike) -> tuple[float, int]:
    """Scale and zero point with which int8 covers the values and 0."""
    values = np.asarray(values)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 1e-6)
    scale = (high - low) / 255
    return scale, int(np.rint(-128 - low / scale))


def symmetric(w: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Weights as int8 from -127 to 127, and a scale for each output, which is the last axis."""
    largest: npt.NDArray[np.floating] = np.abs(w).reshape(-1, w.shape[-1]).max(axis=0)
    scale = np.maximum(largest.astype(np.float64), 1e-12) / 127
    return np.rint(w / scale).astype(np.int8), scale


def fold_bias(bias: npt.ArrayLike, scale: npt.ArrayLike, weights: npt.NDArray[np.int8],
              zero_point: int) -> npt.NDArray[np.int32]:
    """The bias of sums of ``q * weights``: the real one in their scale, less what the inputs' zero point adds.

    Parameters
    ----------
    bias : float array [N]
    scale : float array [N]
        Of the sums: the inputs' scale times the weights'.
    weights : int8 array [..., N]
    zero_point : int
        Of the inputs.

    Raises
    ------
    CompileError
        If a bias is beyond 32 bits.
    """
    inputs = weights.reshape(-1, weights.shape[-1]).sum(axis=0, dtype=np.int64)
    folded: FloatArray = np.rint(np.asarray(bias) / np.asarray(scale)) - zero_point * inputs
    if not np.all((folded >= _INT32.min) & (folded <= _INT32.max)):
        raise CompileError(f"bias must be from -2**31 to 2**31 - 1 in the scale of the sums, not {folded.min():.0f} to "
                           f"{folded.max():.0f}")
    result: npt.NDArray[np.int32] = folded.astype(np.int32)
    return result


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Requantisation:
    """How sums become int8: for each output channel, or for all of them, a bias and a scale.

    Parameters
    ----------
    bias, multiplier, shift : int array [N] or int
        The multiplier of rounding ``fp32`` is the scale itself, a float array.
    zero_point : int
        Added after scaling.
    low, high : int
        Bounds of the output: where an activation function such as ReLU is.
    """

    bias: npt.ArrayLike
    multiplier: npt.ArrayLike
    shift: npt.ArrayLike = 0
    zero_point: int = 0
    low: int = -128
    high: int = 127

    def records(self, channels: Sequence[int] | None = None) -> bytes:
        """Parameter records of these channels, in this order; or of all there are.

        Raises
        ------
        CompileError
            If there is no such channel.
        """
        arrays = np.broadcast_arrays(*map(np.asarray, (self.bias, self.multiplier, self.shift)))
        if channels is None:
            return records(*arrays)
        count = arrays[0].size
        if not arrays[0].ndim:
            return records(*(np.full(len(channels), array) for array in arrays))
        if count <= max(channels):
            raise CompileError(f"bias, multiplier and shift must be of {max(channels) + 1} channels, not {count}")
        return records(*(array[list(channels)] for array in arrays))

    @property
    def fields(self) -> dict[str, int]:
        """What activation instructions take beside the records."""
        return {"zero_point": self.zero_point, "low": self.low, "high": self.high}


def identity() -> Requantisation:
    """Sums as they are, saturated."""
    return Requantisation(bias=0, multiplier=1 << 30, shift=1)


def average(count: int) -> Requantisation:
    """Sums of ``count`` pixels to their average; see :func:`average_multiplier`."""
    multiplier, shift = average_multiplier(count)
    return Requantisation(bias=0, multiplier=multiplier, shift=shift)


def dense(weights: npt.NDArray[np.int8], bias: npt.ArrayLike, *, weight_scale: npt.ArrayLike,
          inputs: tuple[float, int], outputs: tuple[float, int], low: int = -128, high: int = 127) -> Requantisation:
    """Requantisation of a product, be it of a dense layer or of a convolution.

    Parameters
    ----------
    weights : int8 array [..., N]
    bias : float array [N]
    weight_scale : float array [N]
    inputs, outputs : (float, int)
        Scale and zero point of what goes in and of what comes out.
    low, high : int
        Bounds of the output.
    """
    scale = inputs[0] * np.asarray(weight_scale)
    multiplier, shift = quantise_multiplier(scale / outputs[0])
    return Requantisation(bias=fold_bias(bias, scale, weights, inputs[1]), multiplier=multiplier, shift=shift,
                          zero_point=outputs[1], low=low, high=high)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Addition(Requantisation):
    """How the elementwise sum of two inputs becomes int8: three records, of each input and of the sum."""


def addition(first: tuple[float, int], second: tuple[float, int], outputs: tuple[float, int], *, low: int = -128,
             high: int = 127) -> Addition:
    """The addition of TFLite, from scale and zero point of both inputs and of the output."""
    twice = 2 * max(first[0], second[0])
    real = first[0] / twice, second[0] / twice, twice / (2**_ADD_SHIFT * outputs[0])
    multiplier, shift = quantise_multiplier(real)
    bias = np.array([-first[1] << _ADD_SHIFT, -second[1] << _ADD_SHIFT, 0])
    return Addition(bias=bias, multiplier=multiplier, shift=shift, zero_point=outputs[1], low=low, high=high)
