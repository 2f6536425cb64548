"""Number formats: what each one is, in figures that configurations, gateware and models share.

What a format does is in two tables, one of gateware (:mod:`systolic.gateware.matrix.formats`) and one of golden models
(``systolic_sim.golden.formats``). A format is known once it is in :data:`FORMATS`, and complete once both have it;
whoever needs what is missing raises the error of :func:`implementation`.
"""

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

from .errors import ConfigError, require, require_int, require_one_of

__all__ = ["BF16", "FORMATS", "INT8", "NumberFormat", "implementation", "number_format"]

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NumberFormat:
    """A number format of weights and activations, and of the sums of their products.

    Parameters
    ----------
    name : str
        What users call it.
    width : int
        Bits of a weight or activation on the streams: whole bytes.
    operand_width : int
        Bits of the same inside the array, where it may be recoded.
    psum_bits : int
        Bits of a psum inside an array of one row.
    psum_grows : bool
        A psum gets ceil(log2(R)) bits more, so that no sum of R products overflows.
    accumulator_width : int or None
        Bits of an accumulator entry. ``None``: those of a psum.
    result_width : int
        Bits of a result on the streams.
    psum_stages : tuple of int
        Least and most psum stages of a cell.
    default_psum_stages : int
        Psum stages when nobody asks for a number.
    cell_adder : bool
        The accumulators add with the adder of a cell, in L cycles; if not, in ``Impl.adder_stages``.
    taps : bool
        Arrays may have taps for depthwise products.
    dense : bool
        A cell is little more than its multiplier, so blocks of multipliers can be placed side by side.
    multipliers : tuple of str
        Multiplier mappings that its products can have: values of ``Impl.multiplier``.
    units : tuple of str
        Machines whose other units take its sums: ``"tpu_v1"``, where the activation unit requantises int32 sums.
    wraps : bool
        The accumulators hold integers and wrap.
    operand_dtype, result_dtype : str
        Numpy types that hold an operand and a result: numbers, or bit patterns as unsigned integers.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    name: str
    width: int
    operand_width: int
    psum_bits: int
    psum_grows: bool
    accumulator_width: int | None
    result_width: int
    psum_stages: tuple[int, int]
    default_psum_stages: int
    cell_adder: bool
    taps: bool
    dense: bool
    multipliers: tuple[str, ...]
    units: tuple[str, ...]
    wraps: bool
    operand_dtype: str
    result_dtype: str

    def __post_init__(self) -> None:
        require(self.name.isidentifier() and self.name.isascii(), "name", "an identifier", self.name)
        for parameter in ("width", "result_width"):
            value = getattr(self, parameter)
            require(isinstance(value, int) and value > 0 and value % 8 == 0, parameter, "a multiple of 8", value)
        for parameter in ("operand_width", "psum_bits"):
            require_int(parameter, getattr(self, parameter), 1)
        low, high = self.psum_stages
        require_int("psum_stages", low, 1)
        require_int("psum_stages", high, low)
        require_int("default_psum_stages", self.default_psum_stages, low, high)

    @property
    def bytes(self) -> int:
        """Bytes of a weight or activation on the streams and in memory."""
        return self.width // 8

    def psum_width(self, rows: int) -> int:
        """Bits of a psum inside an array of so many rows."""
        return self.psum_bits + ((rows - 1).bit_length() if self.psum_grows else 0)

    def entry_width(self, rows: int) -> int:
        """Bits of an accumulator entry below an array of so many rows."""
        return self.psum_width(rows) if self.accumulator_width is None else self.accumulator_width


#: Signed products of at most 2**14, which 16 bits hold; int32 sums.
INT8 = NumberFormat(
    name="int8", width=8, operand_width=8, psum_bits=16, psum_grows=True, accumulator_width=32, result_width=32,
    psum_stages=(1, 4), default_psum_stages=1, cell_adder=False, taps=True, dense=True,
    multipliers=("generic", "ecp5_dsp", "ecp5_lut", "ice40_dsp", "gowin_dsp"), units=("tpu_v1",), wraps=True,
    operand_dtype="int8", result_dtype="int32")

#: Operands and fp32 sums are recoded inside, see :mod:`systolic.gateware.lib.float`: a psum is a 25-bit mantissa, an
#: 8-bit exponent and two flags.
BF16 = NumberFormat(
    name="bf16", width=16, operand_width=20, psum_bits=35, psum_grows=False, accumulator_width=None, result_width=32,
    psum_stages=(3, 8), default_psum_stages=6, cell_adder=True, taps=False, dense=False,
    multipliers=("generic", "ecp5_dsp", "gowin_dsp"), units=(), wraps=False,
    operand_dtype="uint16", result_dtype="uint32")

#: Every format by name.
FORMATS: dict[str, NumberFormat] = {format.name: format for format in (INT8, BF16)}


def number_format(name: object) -> NumberFormat:
    """The format of that name.

    Raises
    ------
    ConfigError
        If there is none; the message lists those there are.
    """
    require_one_of("format", FORMATS, name)
    return FORMATS[str(name)]


def implementation(table: Mapping[str, _T], format: NumberFormat, what: str, where: str) -> _T:
    """What a table has for a format.

    Parameters
    ----------
    table : mapping of str
        Implementations by the name of the format.
    format : NumberFormat
    what, where : str
        What the table holds and how to find it, for the error message.

    Raises
    ------
    ConfigError
        If the table lacks the format.
    """
    if format.name not in table:
        raise ConfigError(f"format {format.name!r} has no {what}: add it to {where}")
    return table[format.name]
