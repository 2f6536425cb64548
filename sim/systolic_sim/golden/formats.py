"""What each number format is in the golden models: one table of its arithmetic and of operands to try it with."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolic import formats
from systolic.errors import ConfigError
from systolic_sim.golden import bf16, int8

__all__ = ["GOLDEN", "GoldenFormat", "golden"]

_Array = NDArray[Any]
_Shape = int | tuple[int, ...]
_Kind = Callable[[np.random.Generator, _Shape], _Array]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class GoldenFormat:
    """A number format in numpy. Operands and results are arrays of the types that its
    :class:`~systolic.formats.NumberFormat` names.

    Parameters
    ----------
    matmul : callable(x, w) -> array [M, N]
        What the array makes of activations [M, K] and a tile [K, N]: psums, as results are.
    add : callable(acc, psum) -> array
        What the accumulators make of entries and psums.
    kinds : tuple of pairs of callables(rng, shape) -> array
        Random operands, of what kind x and of what kind w is. The first pair is the ordinary one.
    specials : array
        Operands to sprinkle among those; may be empty.
    limits : array
        Operands with which every cell reaches its limits.
    bounded : callable(array) -> array
        Random bits, as operands, made operands whose products seldom overflow.
    numbers : str
        Kinds of numpy types, as ``dtype.kind`` has them, whose numbers can be operands.
    encode : callable(array) -> array
        Numbers as operands; raises ConfigError if one is out of range.
    decode : callable(array) -> array
        Results as numbers.
    """

    matmul: Callable[[_Array, _Array], _Array]
    add: Callable[[_Array, _Array], _Array]
    kinds: tuple[tuple[_Kind, _Kind], ...]
    specials: _Array
    limits: _Array
    bounded: Callable[[_Array], _Array]
    numbers: str
    encode: Callable[[_Array], _Array]
    decode: Callable[[_Array], _Array]

    def ordinary(self, rng: np.random.Generator, shape: _Shape) -> _Array:
        """Random operands of the ordinary kind."""
        return self.kinds[0][0](rng, shape)


def golden(format: formats.NumberFormat) -> GoldenFormat:
    """The golden model of a number format.

    Raises
    ------
    ConfigError
        If there is none.
    """
    return formats.implementation(GOLDEN, format, "golden model", f"{__name__}.GOLDEN")


def _int8_any(rng: np.random.Generator, shape: _Shape) -> _Array:
    return rng.integers(-128, 128, shape, np.int8)


def _int8_extreme(rng: np.random.Generator, shape: _Shape) -> _Array:
    return rng.choice(np.array([-128, -128, 127, 0, -1, 1], np.int8), shape)


def _int8_lowest(rng: np.random.Generator, shape: _Shape) -> _Array:
    return np.full(shape, -128, np.int8)


def _int8_sparse(rng: np.random.Generator, shape: _Shape) -> _Array:
    kept: _Array = (rng.random(shape) < 0.1).astype(np.int8)
    return _int8_any(rng, shape) * kept


def _encode_int8(values: _Array) -> _Array:
    if values.min() < -128 or values.max() > 127:
        raise ConfigError(f"operands must be from -128 to 127, not from {values.min()} to {values.max()}")
    return values.astype(np.int8)


def _bf16_ordinary(rng: np.random.Generator, shape: _Shape) -> _Array:
    return bf16.from_float32(rng.standard_normal(shape, np.float32))


def _bf16_any(rng: np.random.Generator, shape: _Shape) -> _Array:
    return rng.integers(1 << 16, size=shape, dtype=np.uint16)


def _bf16_cancelling(rng: np.random.Generator, shape: _Shape) -> _Array:
    """One or two magnitudes of either sign: sums that cancel wholly, partly, or down to a tie."""
    magnitudes = np.array([0x3F80, 0x3F81, 0x3FFF, 0x3F00, 0x45FF, 0x3980], np.uint16)
    common, rare = rng.choice(magnitudes, 2)
    values = np.where(rng.random(shape) < rng.choice([0, 0.2]), rare, common)
    signed: _Array = values | _bf16_any(rng, shape) & np.uint16(0x8000)
    return signed


def _bf16_on_the_edge(rng: np.random.Generator, shape: _Shape) -> _Array:
    """Products of 2**126 to 2**128, of either sign: sums that reach the end of fp32 exactly, or stay just below."""
    return rng.choice(np.array([0x5F00, 0xDF00, 0x5F80, 0x0000], np.uint16), shape)


def _bf16_exponents(low: int, high: int) -> _Kind:
    """Kind with biased exponents from low to high, anything else at random."""
    def kind(rng: np.random.Generator, shape: _Shape) -> _Array:
        exponent = rng.integers(low, high + 1, shape, np.uint16)
        return _bf16_any(rng, shape) & np.uint16(0x807F) | exponent << np.uint16(7)
    return kind


def _bound_bf16(bits: _Array) -> _Array:
    """Exponents from 112 to 143: most products of any two bf16 numbers are infinite."""
    bounded: _Array = np.where(bits & 0x4000, bits & 0xC7FF, bits | 0x3800)
    return bounded


#: Golden models by the name of the format.
GOLDEN = {
    "int8": GoldenFormat(
        matmul=int8.matmul, add=int8.accumulate,
        kinds=((_int8_any, _int8_any), (_int8_extreme, _int8_extreme), (_int8_lowest, _int8_lowest),
               (_int8_any, _int8_extreme), (_int8_sparse, _int8_any)),
        specials=np.array([], np.int8),
        limits=np.array([-128, 127], np.int8),
        bounded=lambda bits: bits,
        numbers="iu", encode=_encode_int8, decode=lambda sums: sums),
    "bf16": GoldenFormat(
        matmul=bf16.matmul, add=bf16.add,
        kinds=((_bf16_ordinary, _bf16_ordinary), (_bf16_cancelling, _bf16_cancelling), (_bf16_any, _bf16_any),
               (_bf16_exponents(100, 154), _bf16_exponents(100, 154)),   # wide: most addends far apart
               (_bf16_exponents(187, 193), _bf16_exponents(187, 193)),   # products about the largest fp32
               (_bf16_exponents(46, 66), _bf16_exponents(46, 66)),       # products about the smallest fp32
               (_bf16_exponents(0, 1), _bf16_exponents(90, 254)),        # subnormal operands
               (_bf16_on_the_edge, _bf16_on_the_edge)),
        # Infinities, NaN quiet and signalling, zeros, subnormals, and the ends of the normal range.
        specials=np.array([0x7F80, 0xFF80, 0x7FC0, 0xFFC0, 0x7F81, 0xFFFF, 0x0000, 0x8000, 0x0001, 0x8001,
                           0x007F, 0x807F, 0x0080, 0x8080, 0x7F7F, 0xFF7F, 0x3F80, 0xBF80], np.uint16),
        limits=np.array([0x7F7F, 0xFF7F, 0x7F80, 0xFF80, 0, 0x7FC0, 1], np.uint16),
        bounded=_bound_bf16,
        numbers="f", encode=lambda values: bf16.from_float32(values.astype(np.float32)),
        decode=lambda sums: sums.view(np.float32)),
}
