"""Multiply-accumulate in each number format: ``psum + a * w``, fully pipelined.

All share one signature and one rule of timing, so the grid need not know the format.
"""

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib.wiring import In, Out

from ..config import Format
from .float import FloatAdder, Operand, OperandDecoder, Psum, Term
from .multiplier import multiplier
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
    mapping : str
        How its multiplier is mapped.

    Members
    -------
    a, a_held, switch, w : In
        Activation, the same one cycle later, and what makes the shadow weight ``w`` the active one: see
        :class:`~systolic.gateware.multiplier.Multiplier`.
    psum : In(psum_shape(arch))
        Psum from the row above, ``product_stages`` + 1 cycles after ``a``.
    o : Out(psum_shape(arch))
        Psum to the row below, L cycles after ``psum``.
    """

    def __init__(self, config, mapping):
        self.config = config
        self.mapping = mapping
        self.module_name = f"{config.name}_{mapping}_mac"
        operand, psum = operand_shape(config.arch), psum_shape(config.arch)
        super().__init__({"a": In(operand), "a_held": In(operand), "switch": In(1), "w": In(operand),
                          "psum": In(psum), "o": Out(psum)})

    def _multiply(self, m, a, a_held, w):
        unit = place(m, "multiplier", multiplier(self.mapping, width=len(w), stages=self.config.impl.product_stages))
        m.d.comb += [unit.a.eq(a), unit.a_held.eq(a_held), unit.switch.eq(self.switch), unit.w.eq(w)]
        return unit.o


class Int8Mac(Mac):
    """Signed 8 x 8 bit product; the psum is wide enough never to overflow."""

    def build(self, platform):
        m = Module()
        total = Signal.like(self.o)
        m.d.comb += total.eq(self.psum + self._multiply(m, self.a, self.a_held, self.w))
        m.d.comb += self.o.eq(delay(m, total, self.config.impl.psum_stages, "total_delayed"))
        return m


class Bf16Mac(Mac):
    """Fused: the product is exact, the sum rounded once, to fp32."""

    def build(self, platform):
        m = Module()
        impl = self.config.impl
        mantissa = self._multiply(m, self.a.mantissa, self.a_held.mantissa, self.w.mantissa)
        adder = place(m, "adder", FloatAdder(stages=impl.psum_stages))
        scale = delay(m, self._scale(m), impl.product_stages, "scale_delayed")
        m.d.comb += [
            adder.term.mantissa.eq(mantissa.shift_left(8)),
            adder.term.exponent.eq(scale.exponent), adder.term.pos.eq(scale.pos), adder.term.neg.eq(scale.neg),
            adder.psum.eq(self.psum), self.o.eq(adder.o),
        ]
        return m

    def _scale(self, m):
        """All of the product but its mantissa."""
        active = Signal(Operand, reset_less=True)
        with m.If(self.switch):
            m.d.sync += active.eq(self.w)
        a, w = self.a_held, active
        scale = Signal(Term)
        nan = Signal()
        inf = Signal()
        sign = Signal()
        m.d.comb += [
            nan.eq(a.nan | w.nan | (a.inf & ~w.mantissa.any()) | (w.inf & ~a.mantissa.any())),
            inf.eq(a.inf | w.inf),
            sign.eq(a.mantissa[-1] ^ w.mantissa[-1]),
            scale.exponent.eq(a.exponent + w.exponent + 128),
            scale.pos.eq(nan | (inf & ~sign)),
            scale.neg.eq(nan | (inf & sign)),
        ]
        return scale


def mac(config, mapping):
    """The multiply-accumulate of the configuration's format."""
    return {Format.INT8: Int8Mac, Format.BF16: Bf16Mac}[config.arch.format](config, mapping)
