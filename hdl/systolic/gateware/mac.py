"""Multiply-accumulate in each number format: ``psum + a * w``, fully pipelined.

All share one signature and one rule of timing, so the grid need not know the format: the product may take
``product_stages`` cycles longer than the psum, hence ``o`` is ``psum`` of L cycles ago plus the product of
``a`` and ``w`` of L + ``product_stages`` cycles ago.
"""

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib.wiring import In, Out

from ..config import Format
from .float import FloatAdder, Operand, OperandDecoder, Psum, Term
from .shared import Shared, place
from .skew import delay

__all__ = ["Bf16Mac", "Int8Mac", "Mac", "mac", "operand_shape", "psum_shape", "recode", "zero_psum"]


def operand_shape(arch):
    """Shape of a weight or activation inside the array."""
    return signed(8) if arch.format is Format.INT8 else Operand


def psum_shape(arch):
    """Shape of a psum inside the array."""
    return signed(arch.psum_width) if arch.format is Format.INT8 else Psum


def zero_psum(arch):
    """The bits of the psum that a column starts from."""
    return Const(0, arch.psum_width) if arch.format is Format.INT8 else Psum.const({"exponent": 1}).as_value()


def recode(m, arch, elements):
    """A vector of a stream in the form the array works with, element 0 lowest; combinational, in module ``m``."""
    if arch.format is Format.INT8:
        return elements.as_value()
    decoders = [place(m, f"decoder_{k}", OperandDecoder()) for k in range(elements.shape().length)]
    m.d.comb += [decoder.i.eq(bits) for decoder, bits in zip(decoders, elements, strict=True)]
    return Cat(decoder.o for decoder in decoders)


class Mac(Shared):
    """What every multiply-accumulate has in common.

    Parameters
    ----------
    config : Config
        Format, ``product_stages`` and ``psum_stages``.

    Members
    -------
    a, w : In(operand_shape(arch))
        Activation and weight.
    psum : In(psum_shape(arch))
        Psum from the row above.
    o : Out(psum_shape(arch))
        Psum to the row below.
    """

    def __init__(self, config):
        self.config = config
        self.module_name = f"{config.name}_mac"
        operand, psum = operand_shape(config.arch), psum_shape(config.arch)
        super().__init__({"a": In(operand), "w": In(operand), "psum": In(psum), "o": Out(psum)})


class Int8Mac(Mac):
    """Signed 8 x 8 bit product; the psum is wide enough never to overflow."""

    def build(self, platform):
        m = Module()
        impl = self.config.impl
        product = Signal(signed(16))
        m.d.comb += product.eq(self.a * self.w)
        product = delay(m, product, impl.product_stages, "product_delayed")
        total = Signal.like(self.o)
        m.d.comb += total.eq(self.psum + product)
        m.d.comb += self.o.eq(delay(m, total, impl.psum_stages, "total_delayed"))
        return m


class Bf16Mac(Mac):
    """Fused: the product is exact, the sum rounded once, to fp32."""

    def build(self, platform):
        m = Module()
        impl = self.config.impl
        product = delay(m, self._product(m), impl.product_stages, "product_delayed")
        adder = place(m, "adder", FloatAdder(stages=impl.psum_stages))
        m.d.comb += [adder.term.eq(product), adder.psum.eq(self.psum), self.o.eq(adder.o)]
        return m

    def _product(self, m):
        a, w = self.a, self.w
        product = Signal(Term)
        nan = Signal()
        inf = Signal()
        sign = Signal()
        m.d.comb += [
            nan.eq(a.nan | w.nan | (a.inf & ~w.mantissa.any()) | (w.inf & ~a.mantissa.any())),
            inf.eq(a.inf | w.inf),
            sign.eq(a.mantissa[-1] ^ w.mantissa[-1]),
            product.mantissa.eq((a.mantissa * w.mantissa).shift_left(8)),
            product.exponent.eq(a.exponent + w.exponent + 128),
            product.pos.eq(nan | (inf & ~sign)),
            product.neg.eq(nan | (inf & sign)),
        ]
        return product


def mac(config):
    """The multiply-accumulate of the configuration's format."""
    return {Format.INT8: Int8Mac, Format.BF16: Bf16Mac}[config.arch.format](config)
