"""bf16 products and fp32 sums, recoded so that a cell needs no sign logic.

Operands are recoded once, at the array's edge; psums stay recoded until they leave the result FIFO::

    bf16  16 bits  ->  Operand  20 bits   mantissa * 2**(exponent - 7)
    fp32  32 bits  <-  Psum     35 bits   mantissa * 2**(exponent - 127 - 23)

Mantissas are two's complement, so a sum of either sign is one addition, rounded to nearest even as it
stands: a two's complement number cut off is a floor, and what is cut off a fraction, whatever the sign.
Subnormals need no case of their own: operands are normalised by an exponent range wide enough, and psums are
kept from falling below exponent 1 by limiting the normalising shift. Infinities and NaN are two sticky flags
that travel beside the number.
"""

import types

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from .shared import Shared

__all__ = ["FloatAdder", "Operand", "OperandDecoder", "Psum", "Term", "encode_psum"]


class Operand(data.Struct):
    """A bf16 number, recoded: zero, or a normalised mantissa, ``128 <= abs(mantissa) < 256``.

    Zero has an exponent so low that its products never outweigh a psum.
    """

    mantissa: signed(9)
    exponent: signed(9)
    nan: 1
    inf: 1


class Psum(data.Struct):
    """An fp32 number, recoded: ``-2**24 <= mantissa < 2**24``, exponent 1 to 254 biased as in fp32.

    ``pos`` and ``neg`` are sticky: alone they mean an infinity of that sign, together NaN. Zero and
    subnormals have exponent 1. The negative power of two -2**24 may stand for -2**23 of the next exponent.
    """

    mantissa: signed(25)
    exponent: 8
    pos: 1
    neg: 1


class Term(data.Struct):
    """What is added to a psum: the same scale as :class:`Psum`, of an exponent that may leave its range."""

    mantissa: signed(25)
    exponent: signed(11)
    pos: 1
    neg: 1


def _leading_zeros(bits):
    """Zeros above the highest one of ``bits``, which must be a power of two in number and not all zero."""
    if len(bits) == 1:
        return Const(0, 0)
    low, high = bits[:len(bits) // 2], bits[len(bits) // 2:]
    return Cat(Mux(high.any(), _leading_zeros(high), _leading_zeros(low)), ~high.any())


class OperandDecoder(Shared):
    """The :class:`Operand` that 16 bits of bf16 mean; combinational."""

    module_name = "bf16_decoder"
    i: In(16)
    o: Out(Operand)

    def build(self, platform):
        m = Module()
        fraction, exponent, sign = self.i[:7], self.i[7:15], self.i[15]
        subnormal, special = exponent == 0, exponent == 255
        shift = Signal(3)
        magnitude = Signal(8)
        m.d.comb += [
            shift.eq(_leading_zeros(Cat(fraction, 0))),
            magnitude.eq(Mux(subnormal, fraction << shift, Cat(fraction, 1))),
            self.o.mantissa.eq(Mux(sign, -magnitude, magnitude)),
            self.o.nan.eq(special & fraction.any()),
            self.o.inf.eq(special & ~fraction.any()),
        ]
        with m.If(~subnormal):
            m.d.comb += self.o.exponent.eq(exponent - 127)
        with m.Elif(fraction.any()):
            m.d.comb += self.o.exponent.eq(-126 - shift)
        with m.Else():
            m.d.comb += self.o.exponent.eq(-256)
        return m


def encode_psum(m, psum):
    """The 32 bits of fp32 that a :class:`Psum` means, NaN canonical; combinational, in module ``m``."""
    sign = psum.mantissa[-1]
    magnitude = Signal(25)
    fraction = Signal(23)
    exponent = Signal(8)
    m.d.comb += [
        magnitude.eq(Mux(sign, -psum.mantissa, psum.mantissa)),
        fraction.eq(magnitude),
        exponent.eq(Mux(magnitude[24], psum.exponent + 1, Mux(magnitude[23], psum.exponent, 0))),
    ]
    infinity = Cat(Const(0, 23), Const(255, 8), psum.neg)
    return Mux(psum.pos & psum.neg, 0x7FC00000,
               Mux(psum.pos | psum.neg, infinity, Cat(fraction, exponent, sign)))


class FloatAdder(Shared):
    """Adds a term to a psum, rounding once.

    Seven steps; ``stages`` of them end in a register, the last one always unless ``registered`` is false; with eight
    stages there is one more between the halves of the alignment::

        term ──▶┌─────────┐  ┌──────┐  ┌───────┐  ┌─────┐  ┌───────┐  ┌───────────┐  ┌───────┐
                │ compare │─▶│ swap │─▶│ align │─▶│ add │─▶│ count │─▶│ normalise │─▶│ round │─▶ o
        psum ──▶└─────────┘  └──────┘  └───────┘  └─────┘  └───────┘  └───────────┘  └───────┘

    The smaller number is shifted right below four guard bits and a sticky bit. Four are enough although a
    product may lack its leading bit: cancelling more than two bits takes a shift of at most two, and then
    nothing is lost.

    Parameters
    ----------
    stages : int
        L, 3 to 8.
    registered : bool
        Whether the last step ends in a register; if not, the sum is combinational in cycle L - 1, for a memory
        that registers it.

    Members
    -------
    term : In(Term)
        What to add.
    psum : In(Psum)
        What to add to.
    o : Out(Psum)
        The sum, L cycles later; one pair a cycle.
    """

    # The steps that end in a register, by number of stages.
    CUTS = {
        3: ("align", "count", "round"),
        4: ("swap", "add", "normalise", "round"),
        5: ("swap", "add", "count", "normalise", "round"),
        6: ("swap", "align", "add", "count", "normalise", "round"),
        7: ("compare", "swap", "align", "add", "count", "normalise", "round"),
        8: ("compare", "swap", "coarse", "align", "add", "count", "normalise", "round"),
    }
    GUARD = 4

    def __init__(self, *, stages, registered=True):
        self.stages = stages
        self.registered = registered
        self.module_name = f"float_adder_{stages}" + ("" if registered else "_unregistered")
        super().__init__({"term": In(Term), "psum": In(Psum), "o": Out(Psum)})

    def build(self, platform):
        m = Module()
        cuts = set(self.CUTS[self.stages]) - (set() if self.registered else {"round"})

        def step(name, **values):
            """The values as signals called after the step, behind a register if the step ends in one."""
            signals = {key: Signal.like(value, name=f"{name}_{key}", reset_less=True)
                       for key, value in values.items()}
            domain = m.d.sync if name in cuts else m.d.comb
            domain += [signals[key].eq(value) for key, value in values.items()]
            return types.SimpleNamespace(**signals)

        s = step("compare", difference=self.term.exponent - self.psum.exponent,
                 term=self.term.mantissa, term_exponent=self.term.exponent[:9],
                 psum=self.psum.mantissa, psum_exponent=self.psum.exponent,
                 pos=self.term.pos | self.psum.pos, neg=self.term.neg | self.psum.neg)

        # The complement of a negative difference is one less than the distance: then the term enters a place lower.
        psum_wins = s.difference[-1]
        distance = s.difference[:11] ^ psum_wins.replicate(11)
        s = step("swap", large=Mux(psum_wins, s.psum, s.term),
                 small=Mux(psum_wins, s.term, s.psum.shift_left(1)),
                 exponent=Mux(psum_wins, s.psum_exponent, s.term_exponent),
                 shift=distance[:5] | distance[5:].any().replicate(5), pos=s.pos, neg=s.neg)

        value, sticky = self._shift_right(m, s.small.shift_left(self.GUARD - 1), Const(0, 1), s.shift, (4, 3))
        s = step("coarse", large=s.large, small=value, sticky=sticky, shift=s.shift[:3], exponent=s.exponent,
                 pos=s.pos, neg=s.neg)
        value, sticky = self._shift_right(m, s.small, s.sticky, s.shift, (2, 1, 0))
        s = step("align", large=s.large, small=value, sticky=sticky, exponent=s.exponent, pos=s.pos, neg=s.neg)

        total = s.large.shift_left(self.GUARD) + s.small
        s = step("add", sum=Cat(s.sticky, total).as_signed(), limit=self._limit(s.exponent),
                 exponent=s.exponent, pos=s.pos, neg=s.neg)

        # The highest bit that differs from the one above it, or where the exponent would fall below 1.
        limits = Cat(s.limit[8 + (29 - place) // 8] & s.limit[(29 - place) % 8] for place in range(30))
        leading = (s.sum[:-1] ^ s.sum[1:]) | limits
        s = step("count", sum=s.sum, shift=_leading_zeros(Cat(Const(3, 2), leading)), zero=s.sum == 0,
                 exponent=s.exponent, pos=s.pos, neg=s.neg)

        # With no redundant sign bit the sum is one place above a psum's mantissa, hence the one.
        exponent = Mux(s.zero, 1, s.exponent + 1 - s.shift)[:9]
        s = step("normalise", sum=(s.sum << s.shift)[:len(s.sum)].as_signed(), exponent=exponent, pos=s.pos, neg=s.neg)

        s = step("round", **self._round(s))
        m.d.comb += [self.o.mantissa.eq(s.mantissa), self.o.exponent.eq(s.exponent),
                     self.o.pos.eq(s.pos), self.o.neg.eq(s.neg)]
        return m

    def _shift_right(self, m, value, sticky, shift, bits):
        """``value`` shifted right by those ``bits`` of ``shift``, and whether it or ``sticky`` lost a set bit."""
        for bit in bits:
            lost = value[:min(1 << bit, len(value))].any()
            shifted = Signal.like(value, name=f"align_{1 << bit}")
            sticky_next = Signal(name=f"align_{1 << bit}_sticky")
            m.d.comb += [shifted.eq(Mux(shift[bit], value.shift_right(1 << bit), value)),
                         sticky_next.eq(sticky | (shift[bit] & lost))]
            value, sticky = shifted, sticky_next
        return value, sticky

    def _limit(self, exponent):
        """Where the normalising shift has to stop, an exponent below 32: its lower three bits and the rest, decoded."""
        return Cat(*((exponent[:3] == value) for value in range(8)), *((exponent[3:] == value) for value in range(4)))

    def _round(self, s):
        """Mantissa, exponent and flags of the normalised sum, rounded to nearest even.

        Rounding carries out of the mantissa only from all ones, into a power of two: one bit to set.
        """
        sign, mantissa, half, rest = s.sum[30], s.sum[6:30], s.sum[5], s.sum[:5].any()
        increment = half & (rest | mantissa[0])
        rounded = (mantissa + increment)[:24]
        carry = ~sign & mantissa.all() & increment
        lowest = sign & ~mantissa.any() & ~increment
        overflow = ((s.exponent >= 255) | ((s.exponent == 254) & (carry | lowest))) & ~s.pos & ~s.neg
        return {
            "mantissa": Cat(rounded[:23], rounded[23] | carry, sign & ~(mantissa.all() & increment)).as_signed(),
            "exponent": (s.exponent + carry)[:8],
            "pos": s.pos | (overflow & ~sign),
            "neg": s.neg | (overflow & sign),
        }
