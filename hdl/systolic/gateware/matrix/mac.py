"""Products and adders of a cell, with the timing of the grid.

The product of an activation is valid ``product_stages`` + 1 cycles after it, and its sum with the psum of that cycle
L cycles later.
"""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from ..delay import delay
from ..lib.float import Operand, Term
from ..shared import Shared, place
from ..vendor.multiplier import MULTIPLIERS

__all__ = ["Bf16Product", "IntegerAdder"]


class Bf16Product(Shared):
    """Exact products of bf16 operands, as terms for a :class:`~systolic.gateware.lib.float.FloatAdder`.

    Signature and timing of a :class:`~..vendor.multiplier.Multiplier`, but lanes of ``a``, ``a_held`` and ``w`` are
    :class:`~..lib.float.Operand` and lanes of ``o`` :class:`~..lib.float.Term`. The mantissas are multiplied by such a
    multiplier.
    """

    def __init__(self, config, mapping):
        self.mapping = mapping
        self.stages = config.impl.product_stages
        self.lanes = MULTIPLIERS[mapping].lanes
        self.module_name = f"bf16_{mapping}_product_{self.stages}"
        operands = In(Operand.as_shape().size * self.lanes)
        super().__init__({"a": operands, "a_held": operands, "switch": In(self.lanes), "w": operands,
                          "o": Out(Term.as_shape().size * self.lanes)})

    def build(self, platform):
        m = Module()
        unit = place(m, "multiplier", MULTIPLIERS[self.mapping](width=9, stages=self.stages))
        a, a_held, w = (data.ArrayLayout(Operand, self.lanes)(bits) for bits in (self.a, self.a_held, self.w))
        m.d.comb += [port.eq(Cat(operand.mantissa for operand in operands))
                     for port, operands in ((unit.a, a), (unit.a_held, a_held), (unit.w, w))]
        m.d.comb += unit.switch.eq(self.switch)
        terms = []
        for lane in range(self.lanes):
            terms.append(term := Signal(Term, name=f"term_{lane}"))
            scale = delay(m, self._scale(m, a_held[lane], w[lane], self.switch[lane]), self.stages, "scale_delayed")
            m.d.comb += [term.eq(scale), term.mantissa.eq(unit.o.word_select(lane, 18).as_signed().shift_left(8))]
        m.d.comb += self.o.eq(Cat(terms))
        return m

    def _scale(self, m, a, w, switch):
        """The product of ``a`` and the active weight, all but its mantissa."""
        active = Signal(Operand, reset_less=True)
        with m.If(switch):
            m.d.sync += active.eq(w)
        scale = Signal(Term)
        nan = Signal()
        inf = Signal()
        sign = Signal()
        m.d.comb += [
            # Normalised: what is not zero has one of the two highest bits.
            nan.eq(a.nan | active.nan | (a.inf & ~active.mantissa[7:].any()) | (active.inf & ~a.mantissa[7:].any())),
            inf.eq(a.inf | active.inf),
            sign.eq(a.mantissa[-1] ^ active.mantissa[-1]),
            scale.exponent.eq(a.exponent + active.exponent + 128),
            scale.pos.eq(nan | (inf & ~sign)),
            scale.neg.eq(nan | (inf & sign)),
        ]
        return scale


class IntegerAdder(Shared):
    """Adds a product to a psum that is wide enough never to overflow.

    Members
    -------
    term : In(signed(2 * operand_width))
    psum : In(signed(psum_width))
    o : Out(signed(psum_width))
        The sum, ``psum_stages`` cycles later.
    """

    def __init__(self, config):
        self.stages = config.impl.psum_stages
        width = config.arch.psum_width
        self.module_name = f"integer_adder_{width}_{self.stages}"
        super().__init__({"term": In(signed(2 * config.arch.operand_width)), "psum": In(signed(width)),
                          "o": Out(signed(width))})

    def build(self, platform):
        m = Module()
        total = Signal.like(self.o)
        m.d.comb += [total.eq(self.psum + self.term), self.o.eq(delay(m, total, self.stages, "total_delayed"))]
        return m
