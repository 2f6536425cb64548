"""bf16 products and fp32 sums, recoded so that a cell needs no sign logic.

Operands are recoded once, at the edge of the array; psums stay recoded until they leave the result FIFO::

    bf16  16 bits  ->  Operand  20 bits   mantissa * 2**(exponent - 7)
    fp32  32 bits  <-  Psum     35 bits   mantissa * 2**(exponent - 127 - 23)

Mantissas are two's complement, so a sum of either sign is one addition. Rounding to nearest even does not depend on
the sign either: truncation of a two's complement number is a floor, and the remainder is not negative. Subnormals are
no special case: the exponent range is wide enough to normalise operands, and limiting the normalising shift keeps
psums at exponent 1 or above. Infinities and NaN are two sticky flags beside the number.
"""

import types

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from ..shared import Shared

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


def _alike(bits):
    """Whether all ``bits`` are the same."""
    return (bits[1:] ^ bits[:-1]) == 0


class FloatAdder(Shared):
    """Adds a term to a psum, rounding once.

    Eight steps, seven shown; ``stages`` of them end in a register, the last one always unless ``registered`` is false::

        term ──▶┌─────────┐  ┌──────┐  ┌───────────┐  ┌─────┐  ┌───────────────┐  ┌────────────────┐  ┌───────┐
                │ compare │─▶│ swap │─▶│ align far │─▶│ add │─▶│ normalise far │─▶│ normalise near │─▶│ round │─▶ o
        psum ──▶└─────────┘  └──────┘  │ and near  │  └─────┘  └───────────────┘  └────────────────┘  └───────┘
                                       └───────────┘

    Far is by 16 and 8 places, near by 4 and 2; the shifts by one place begin the steps that follow, ahead of their
    carry chains.

    The smaller number is shifted right below four guard bits and a sticky bit. Four are enough although a
    product may lack its leading bit: cancelling more than two bits takes a shift of at most two, and then
    nothing is lost. It travels as its bits' difference from its sign, so that zeros are shifted in.

    The sum is shifted left while its highest bits are all the same and the exponent stays at 1 or above. Tests are
    made for either outcome of the test before them: so they take one step instead of one after the other.

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
        What to add. Of exponent 257 or more it must be normalised as products are, but for the flags.
    psum : In(Psum)
        What to add to.
    o : Out(Psum)
        The sum, L cycles later; one pair a cycle.
    """

    # The steps that end in a register, by number of stages.
    CUTS = {
        3: ("align_near", "normalise_far", "round"),
        4: ("swap", "add", "normalise_near", "round"),
        5: ("swap", "add", "normalise_far", "normalise_near", "round"),
        6: ("swap", "align_near", "add", "normalise_far", "normalise_near", "round"),
        7: ("compare", "swap", "align_near", "add", "normalise_far", "normalise_near", "round"),
        8: ("compare", "swap", "align_far", "align_near", "add", "normalise_far", "normalise_near", "round"),
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

        def step(name, values, *kept):
            """The values, and those kept from the step before, as signals behind a register if the step ends in one."""
            values = values | {key: getattr(s, key) for key in kept}
            signals = {key: Signal.like(value, name=f"{name}_{key}", reset_less=True)
                       for key, value in values.items()}
            domain = m.d.sync if name in cuts else m.d.comb
            domain += [signals[key].eq(value) for key, value in values.items()]
            return types.SimpleNamespace(**signals)

        s = None
        s = step("compare", self._compare())
        s = step("swap", self._swap(s))
        s = step("align_far", self._align(m, s, (4, 3)), "large", "sign", "exponent", "pos", "neg")
        s = step("align_near", self._align(m, s, (2, 1)), "large", "sign", "exponent", "pos", "neg")
        s = step("add", self._add(m, s), "exponent", "pos", "neg")
        s = step("normalise_far", self._normalise_far(m, s), "exponent", "pos", "neg")
        s = step("normalise_near", self._normalise_near(m, s), "exponent")
        s = step("round", self._round(s))
        m.d.comb += [self.o.mantissa.eq(s.mantissa), self.o.exponent.eq(s.exponent),
                     self.o.pos.eq(s.pos), self.o.neg.eq(s.neg)]
        return m

    def _compare(self):
        """Which exponent is larger, and whether the term is beyond what any psum could bring back."""
        term, psum = self.term, self.psum
        return {
            "difference": term.exponent - psum.exponent,
            "term": term.mantissa, "term_exponent": term.exponent[:9],
            "psum": psum.mantissa, "psum_exponent": psum.exponent,
            "huge": ~term.exponent[-1] & term.exponent[8] & term.exponent[:8].any(),
            "pos": term.pos | psum.pos, "neg": term.neg | psum.neg,
        }

    def _swap(self, s):
        """The numbers by exponent, and the distance between them.

        The complement of a negative difference is one less than the distance: then the term enters a place lower.
        """
        psum_wins = s.difference[-1]
        distance = (s.difference ^ psum_wins.replicate(len(s.difference)))[:-1]
        sign = Mux(psum_wins, s.term[-1], s.psum[-1])
        overflow = s.huge & ~s.pos & ~s.neg
        return {
            "large": Mux(psum_wins, s.psum, s.term),
            "small": Cat(sign.replicate(self.GUARD - 1),
                         Mux(psum_wins, s.term, s.psum.shift_left(1))[:25] ^ sign.replicate(25)),
            "sign": sign, "lost": Const(0, 0),
            "shift": distance[:5] | distance[5:].any().replicate(5),
            "exponent": Mux(psum_wins, s.psum_exponent, s.term_exponent),
            "pos": s.pos | (overflow & ~s.term[-1]), "neg": s.neg | (overflow & s.term[-1]),
        }

    def _align(self, m, s, bits):
        """The smaller number shifted right by these bits of the distance; of each, whether it lost a set bit."""
        small, lost = s.small, s.lost
        for bit in bits:
            places, by = 1 << bit, s.shift[bit]
            lost = Cat(lost, by & (small[:places] ^ s.sign.replicate(places)).any())
            shifted = Signal.like(small, name=f"align_{places}")
            m.d.comb += shifted.eq(Mux(by, small >> places, small))
            small = shifted
        return {"small": small, "lost": lost, "shift": s.shift[:bits[-1]]}

    def _add(self, m, s):
        """The sum above a sticky bit, and what its exponent allows."""
        last = self._align(m, s, (0,))
        small = Cat(last["small"] ^ s.sign.replicate(len(s.small)), s.sign).as_signed()
        total = s.large.shift_left(self.GUARD) + small
        e = s.exponent
        return {
            "sum": Cat(last["lost"].any(), total),
            "from_16": e[4:].any(), "from_32": e[5:].any(),
            # 253 to 256: whether the sum overflows depends on its shift and on rounding.
            "edge": e[8] | (e[2:8].all() & e[:2].any()),
        }

    def _normalise_far(self, m, s):
        """By 16 and 8 places. ``free``: no shift left to do could take the exponent below 1."""
        v, e = s.sum, s.exponent
        by_8, by_16, head = Signal(name="by_8"), Signal(name="by_16"), Signal(name="head_alike")
        m.d.comb += [
            head.eq(_alike(v[22:31])),
            by_16.eq(head & _alike(v[14:23]) & s.from_16),
            by_8.eq(Mux(by_16, _alike(v[6:15]) & (s.from_32 | e[3]), head & (s.from_16 | e[3]))),
        ]
        return {
            "sum": Mux(by_8, Mux(by_16, v << 24, v << 8), Mux(by_16, v << 16, v))[:31],
            "shift": Cat(by_8, by_16),
            "free": Mux(by_16, s.from_32, s.from_16) | (e[3] & ~by_8),
            "edge": s.edge & ~by_8 & ~by_16,
        }

    def _normalise_near(self, m, s):
        """By 4 and 2 places, and whether by one more."""
        v, e, free = s.sum, s.exponent, s.free
        by_4, by_2, by_1 = Signal(name="by_4"), Signal(name="by_2"), Signal(name="by_1")
        m.d.comb += [
            by_4.eq(_alike(v[26:31]) & (free | e[2])),
            by_2.eq(Mux(by_4, _alike(v[24:27]) & (free | e[1]), _alike(v[28:31]) & (free | e[1] | e[2]))),
            by_1.eq(Mux(by_2,
                        Mux(by_4, _alike(v[23:25]) & (free | e[0]), _alike(v[27:29]) & (free | e[0] | e[2])),
                        Mux(by_4, _alike(v[25:27]) & (free | e[:2].any()), _alike(v[29:31]) & (free | e[:3].any())))),
        ]
        # k places, 0 to 3 for exponents of 253 to 256, would leave an exponent of 254.
        k = (e[:2] - 1)[:2]
        edge = s.edge & ~by_4 & ~s.pos & ~s.neg
        some, more = edge & (k[1] == by_2), edge & ((k[1] & ~by_2) | ((k[1] == by_2) & k[0]))
        return {
            "sum": Mux(by_2, Mux(by_4, v << 6, v << 2), Mux(by_4, v << 4, v))[:31],
            "shift": Cat(by_1, by_2, by_4, s.shift),
            "pos": Cat(some & ~v[-1], s.pos | (more & ~v[-1])),
            "neg": Cat(some & v[-1], s.neg | (more & v[-1])),
        }

    def _round(self, s):
        """Mantissa, exponent and flags of the normalised sum, rounded to nearest even.

        One carry chain has all of it: a carry out of a positive number's fraction leaves its leading one as it is and
        counts the exponent up. Not normalised are zero and subnormals, of exponent 1.
        """
        v, by_1 = s.sum, s.shift[0]
        fraction, top, sign = Mux(by_1, v[5:28], v[6:29]), Mux(by_1, v[28], v[29]), v[30]
        half, rest = Mux(by_1, v[4], v[5]), (v[:4].any(), v[4] & ~by_1)
        # 1 - shift: with no redundant sign bit the sum is one place above a psum's mantissa.
        less = Cat(~by_1, (s.shift[k] ^ s.shift[1:k].any() for k in range(1, 5)), s.shift[1:].any().replicate(4))
        # Three bits make the carry half & (rest | odd).
        total = (Cat(Const(3, 2), half, fraction, top, s.exponent)
                 + Cat(*rest, Mux(by_1, v[4] & v[5], v[5] & v[6]), Const(0, 24), less))[3:]
        carried, exponent = total[23], total[24:32]

        lowest = ~fraction.any() & ~top & ~(half & Cat(rest).any())
        return {
            "mantissa": Cat(total[:23], Mux(sign, carried, top | carried), sign & ~(top & ~carried)),
            "exponent": Mux(sign ^ top, exponent, 1),
            "pos": self._overflows(s.pos, by_1, exponent[0]),
            "neg": self._overflows(s.neg, by_1, lowest),
        }

    def _overflows(self, flag, by_1, full):
        """A flag, from its code at the end of normalisation; ``full``: the mantissa is too large for exponent 254."""
        return Mux(flag[0], Mux(flag[1], ~by_1 | full, ~by_1 & full), flag[1])
