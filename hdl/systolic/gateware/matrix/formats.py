"""Number formats in gateware: a table with everything that the matrix unit needs to know of a format."""

import dataclasses
from collections.abc import Callable

from amaranth.hdl import Cat, Const, signed

from ... import formats
from ..delay import delay
from ..lib.float import FloatAdder, OperandDecoder, Psum, encode_psum
from ..shared import place
from ..vendor.multiplier import MULTIPLIERS
from .mac import Bf16Product, IntegerAdder

__all__ = ["GATEWARE", "FormatGateware", "gateware"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FormatGateware:
    """A number format in gateware. Widths are those of its :class:`~systolic.formats.NumberFormat`.

    Parameters
    ----------
    product : callable(config, mapping) -> Shared
        What multiplies in a cell: signature and timing of a :class:`~..vendor.multiplier.Multiplier`, of that mapping,
        with lanes of ``a``, ``a_held`` and ``w`` as wide as operands.
    adder : callable(config) -> Shared
        What adds in a cell: ``term``, a lane of the product, and ``psum`` to ``o``, ``psum_stages`` cycles later.
    recode : callable(m, elements) -> Value
        A vector of a stream in the form the array works with, element 0 lowest; combinational, in module ``m``.
    zero_psum : callable(arch) -> Value
        The bits of the psum that a column starts from.
    entry : callable(arch) -> shape
        Shape of an accumulator entry.
    accumulate : callable(m, config, psum, entry) -> Value
        The sum of a psum and an entry, both as bits, in the shape of an entry, ``adder_stages`` - 1 cycles later. An
        entry that is not to be added is all zeros.
    encode : callable(m, total) -> Value
        The result that an entry means; combinational, in module ``m``.
    bounded : callable(bits) -> Value
        Random bits of a stream as operands whose products seldom overflow, as ``bounded`` of the golden model does.
    """

    product: Callable
    adder: Callable
    recode: Callable
    zero_psum: Callable
    entry: Callable
    accumulate: Callable
    encode: Callable
    bounded: Callable


def gateware(format):
    """The gateware of a number format.

    Raises
    ------
    ConfigError
        If there is none.
    """
    return formats.implementation(GATEWARE, format, "gateware", f"{__name__}.GATEWARE")


def _integer_product(config, mapping):
    return MULTIPLIERS[mapping](width=config.arch.operand_width, stages=config.impl.product_stages)


def _accumulate_integers(m, config, psum, entry):
    total = (psum.as_signed() + entry.as_signed())[:len(entry)]
    return delay(m, total, config.adder_stages - 1, "sum")


def _recode_bf16(m, elements):
    decoders = [place(m, f"decoder_{k}", OperandDecoder()) for k in range(elements.shape().length)]
    m.d.comb += [decoder.i.eq(bits) for decoder, bits in zip(decoders, elements, strict=True)]
    return Cat(decoder.o for decoder in decoders)


def _accumulate_floats(m, config, psum, entry):
    adder = place(m, "adder", FloatAdder(stages=config.adder_stages, registered=False))
    psum, entry = Psum(psum), Psum(entry)
    m.d.comb += [adder.term[name].eq(psum[name]) for name in ("mantissa", "exponent", "pos", "neg")]
    # The zero of an entry that is not kept is all zeros, that of a psum has exponent 1.
    m.d.comb += [adder.psum.eq(entry), adder.psum.exponent.eq(entry.exponent | (entry.exponent == 0))]
    return adder.o


def _bound_bf16(bits):
    """Exponents from 112 to 143: most products of any two bf16 numbers are infinite."""
    elements = [bits.word_select(element, 16) for element in range(len(bits) // 16)]
    return Cat(Cat(x[:11], (~x[14]).replicate(3), x[14:]) for x in elements)


#: Gateware by the name of the format.
GATEWARE = {
    "int8": FormatGateware(
        product=_integer_product,
        adder=IntegerAdder,
        recode=lambda m, elements: elements.as_value(),
        zero_psum=lambda arch: Const(0, arch.psum_width),
        entry=lambda arch: signed(arch.entry_width),
        accumulate=_accumulate_integers,
        encode=lambda m, total: total,
        bounded=lambda bits: bits),
    "bf16": FormatGateware(
        product=Bf16Product,
        adder=lambda config: FloatAdder(stages=config.impl.psum_stages),
        recode=_recode_bf16,
        zero_psum=lambda arch: Psum.const({"exponent": 1}).as_value(),
        entry=lambda arch: Psum,
        accumulate=_accumulate_floats,
        encode=encode_psum,
        bounded=_bound_bf16),
}
