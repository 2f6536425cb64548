"""Requantisation of one lane, in the three roundings of docs/numerics.md."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from ..delay import delay
from ..lib.sums import gated_sum
from ..shared import Shared, place
from ..vendor.multiplier import Ecp5DspMultiplier, GenericMultiplier

__all__ = ["Requantise", "Scale", "decode_scale"]

# Bits of the shifter's window, those of them behind the binary point for fp32, and bits that are shifted in the scale.
_WINDOW, _FRACTION, _FINE = 36, 25, 2
_ZEROS = (1 << _FINE) - 1


class Scale(data.StructLayout):
    """A parameter record's scale as the lanes use it: ``multiplier / 2**31 * 2**s``, shifted to the right by 30 - s
    or, for fp32, by 9 - s.

    ``shift``: that, without its two lowest bits. ``multiplier``: shifted to the left by what those lack to 3, so that
    the lanes need not. ``half``: the same of a one, if the rounding is ``double`` and s negative: then a rounding comes
    before the shift.
    """

    def __init__(self):
        super().__init__({"multiplier": 31 + _ZEROS, "shift": 6 - _FINE, "half": 1 + _ZEROS})


def decode_scale(m, multiplier, shift, *, double, fp32):
    """The Scale of a parameter record.

    Parameters
    ----------
    m : Module
    multiplier : Value, 32 bits
        Q31 multiplier, or the bits of a float32.
    shift : Value, signed, 6 bits
        s; unused for fp32.
    double, fp32 : Value
        The rounding; neither: single.

    Returns
    -------
    Signal of Scale
        Combinational.
    """
    scale = Signal(Scale())
    exponent = multiplier[23:31]
    # A float is 1.f * 2**(exponent - 127). Times 2**32 it is still less than a half where the exponent is 94 or less;
    # from 135 on no sum but 0 stays below 256, nor does it with the shift of 135.
    small, large = exponent < 95, exponent > 134
    factor, less = Signal(31), Signal(_FINE)
    with m.If(fp32):
        m.d.comb += [
            factor.eq(Mux(small, 0, Cat(Const(0, 7), multiplier[:23], Const(1, 1)))),
            scale.shift.eq(Mux(large, 0, (135 - exponent) >> _FINE)), less.eq(Mux(large, _ZEROS, exponent)),
        ]
    with m.Else():
        m.d.comb += [factor.eq(multiplier), scale.shift.eq((30 - shift) >> _FINE), less.eq(shift + 1)]
    m.d.comb += [scale.multiplier.eq(factor << less), scale.half.eq((double & shift[-1] & ~fp32) << less)]
    return scale


class Requantise(Shared):
    """Adds a bias, scales, rounds; a sum a cycle. Its multipliers are DSP blocks of the ECP5 with their own registers
    if ``ecp5``, else left to synthesis.

    ::

        cycle 0        1, 2            3          4           5, 6, 7      8, 9, 10      11        12
            x or other │ fp32: to 24   │ four     │ sums of   │ window     │ round up?   │ window +  │ y
                + bias │ bits          │ products │ them      │ of a right │             │ addend    │
                                                              │ shift

    In two's complement what is cut off is a floor, so ``single`` adds the first bit cut off. ``double`` adds, ahead of
    a right shift, half of 2**31 with the sign of the sum to the product. ``fp32`` rounds half to even, and takes for a
    half what a float32 number of that size cannot tell from it: with j bits ahead of the point, 2**(j - 25) to both
    sides. Results beyond 255 are out of the range of any output: j ends at 8.

    Members
    -------
    fp32 : In
        That rounding; constant while anything is under way.
    x, other, bias : In, signed 32
        In cycle 0. ``x``, if ``take``, or else ``other``, which is zero if ``take``, plus ``bias``: a sum that wraps.
    take : In
        In cycle 0.
    scale : In, Scale
        In cycle ``SCALE``.
    addend : In, signed 32
        In cycle ``LATENCY`` - 1.
    y : Out, signed 33
        The result in cycle ``LATENCY``.
    over, under : Out
        The result without the addend was too large for y, or too small.
    """

    module_name = "requantise"
    SCALE = 2
    LATENCY = 12

    fp32: In(1)
    x: In(signed(32))
    take: In(1)
    other: In(signed(32))
    bias: In(signed(32))
    scale: In(Scale())
    addend: In(signed(32))
    y: Out(signed(33))
    over: Out(1)
    under: Out(1)

    def __init__(self, *, ecp5=False):
        self.ecp5 = ecp5
        self.multiplier = Ecp5DspMultiplier if ecp5 else GenericMultiplier
        super().__init__()

    def build(self, platform):
        m = Module()
        total = self._register(m, "total", signed(32), gated_sum(
            m, "biased", self.bias, self.x, self.take, self.other, ecp5=self.ecp5))
        product = self._multiply(m, self._round_to_float(m, total))
        window, over, sticky = self._shift(m, product, delay(m, self.scale.shift, 4, "shift"))
        negative = delay(m, product[-1], 3, "negative")
        whole, float_, up = self._round(m, window, sticky, negative)
        # A one below the integer: with ``up`` below the addend, it carries. One adder for both.
        total = gated_sum(m, "rounded_sum", Cat(up, self.addend, self.addend[-1]), Cat(Const(1, 1), whole), ~self.fp32,
                          Cat(self.fp32, float_), ecp5=self.ecp5)
        m.d.comb += [
            self.y.eq(self._register(m, "sum", signed(33), total[1:].as_signed())),
            Cat(self.over, self.under).eq(delay(m, Cat(over & ~negative, over & negative), 3, "beyond")),
        ]
        return m

    def _register(self, m, name, shape, value):
        register = Signal(shape, name=name, reset_less=True)
        m.d.sync += register.eq(value)
        return register

    def _round_to_float(self, m, total):
        """One cycle: for fp32 the sum to 24 significant bits, half to even."""
        ahead = Cat(bit ^ total[-1] for bit in total[24:31])
        # drop[d]: d bits or more are too many.
        drop = [Const(1, 1), *(ahead[d - 1:].any() & self.fp32 for d in range(1, 8)), Const(0, 1)]
        gone = self._register(m, "gone", 7, Cat(drop[1:8]))
        # A half less one unit is added, and that unit too if the number is odd.
        odd = self._register(m, "odd", 1, Cat(total[d] & drop[d] & ~drop[d + 1] for d in range(1, 8)).any())
        held = self._register(m, "held", signed(32), total)
        rounded = Signal(signed(34))
        m.d.comb += rounded.eq(Cat(Const(1, 1), held).as_signed() + Cat(odd, gone[1:]))
        return Cat(rounded[1:8] & ~gone, rounded[8:])

    def _multiply(self, m, x):
        """Four cycles: the exact product, plus what ``double`` adds. Factors for signed 18-bit multipliers.

        ``low + (cross_x + cross_m) * 2**17 + high * 2**34``; ``outer`` is low and high, which do not overlap.
        """
        rounded, multiplier, parts = self._register(m, "rounded", 33, x), self.scale.multiplier, {}
        for name, low, high in (("x", x[:17], x[17:33].as_signed()), ("m", multiplier[:17], multiplier[17:]),
                                ("held", rounded[:17], rounded[17:].as_signed())):
            for half, part in (("low", low), ("high", high)):
                parts[name, half] = Signal(signed(18), name=f"{name}_{half}")
                m.d.comb += parts[name, half].eq(part)
        low, cross_x, cross_m, high = (
            self._product(m, f"x_{a}_m_{b}", parts["x", a], parts["held", a], parts["m", b])
            for a, b in (("low", "low"), ("high", "low"), ("low", "high"), ("high", "high")))
        # A half has the sign of the sum: the one and, if that is negative, all bits above it.
        half, negative = delay(m, self.scale.half, 1, "half"), rounded[-1]
        above = Cat(half[:bit + 1].any() & negative for bit in range(len(half)))
        half = delay(m, Cat(half | Cat(0, above[:-1]), above[-1]), 1, "signed_half").as_signed()
        cross = self._register(m, "cross", signed(36), cross_x + cross_m)
        outer = Cat(low[:34], high[:33])
        upper = outer[30:].as_signed() + half
        outer = self._register(m, "outer", 67, Cat(outer[:30], upper[:37]))
        upper = outer[17:].as_signed() + cross
        return self._register(m, "product", signed(66), Cat(outer[:17], upper[:49]))

    def _product(self, m, name, x, held, scale):
        """Two cycles; ``held`` is ``x`` of the cycle before."""
        product = place(m, name, self.multiplier(width=18, stages=1))
        m.d.comb += [product.a.eq(x), product.a_held.eq(held), product.w.eq(scale), product.switch.eq(1)]
        return product.o.as_signed()

    def _shift(self, m, product, shift):
        """Three cycles: 36 bits of the product, whether they are too few, and whether ones were dropped below."""
        value, over, sticky = product, Const(0, 1), Const(0, 1)
        for stage, bits in enumerate(((5,), (4,), (3, 2))):
            for bit in bits:
                value, lost, dropped = self._halve(m, value, shift[bit - _FINE], 1 << bit)
                over, sticky = over | lost, sticky | dropped
            value = self._register(m, f"window_{stage}", signed(len(value)), value)
            over = self._register(m, f"over_{stage}", 1, over)
            sticky = self._register(m, f"sticky_{stage}", 1, sticky)
            shift = delay(m, shift, 1, f"shift_{stage}")
        return value, over, sticky

    def _halve(self, m, value, choose, distance):
        """The value, or shifted, in as many bits as still matter; whether it has more; whether ones were dropped."""
        # Shifts still to come are distance - 4 in all: a bit above those cannot come into the window any more.
        width = min(len(value), _WINDOW + distance - (1 << _FINE))
        shifted = Signal(signed(width), name=f"shifted_{distance}")
        m.d.comb += shifted.eq(Mux(choose, value >> distance, value))
        lost = Cat(bit ^ value[-1] for bit in value[width - 1:]).any() & ~choose
        return shifted, lost, value[:distance].any() & choose

    def _round(self, m, window, sticky, negative):
        """Two cycles: the integer part, that for fp32, one of the two to be used, and whether to add one to it."""
        point = _FRACTION
        ahead = Cat(bit ^ negative for bit in window[point:point + 8])
        # at[b]: 2**(j - 25) is bit b of the window or a lower one.
        at = self._register(m, "at", 9, Cat(*(~ahead[bit:].any() for bit in range(8)), Const(1, 1)))
        zeros = self._register(m, "zeros", 1, ~window[9:point - 1].any())
        ones = self._register(m, "ones", 1, window[9:point - 1].all())
        sticky = delay(m, sticky, 1, "sticky")
        held = self._register(m, "held_window", signed(len(window)), window)
        low, higher = held[:9], Cat(Const(0, 1), at[:8])
        # Above the half by no more than that bit alone, or below it by no more than that bit.
        edge = (low & at & ~higher).any() & (sticky | (low & ~at).any())
        above = zeros & ~(low & higher).any() & ~edge
        below = ones & ~(~low & at).any()
        half = held[point - 1]
        # What counts as a tie goes to the even side; else the bit of a half decides.
        up = Mux(Mux(half, above, below), held[point], half)
        float_ = self._register(m, "float", len(held) - point, held[point:] & self.fp32.replicate(len(held) - point))
        # The others keep one bit behind the point, that which is cut off first.
        return (self._register(m, "whole", signed(33), held[_ZEROS + 1:].as_signed()),
                Cat(float_, float_[-1].replicate(33 - len(float_))),
                self._register(m, "up", 1, Mux(self.fp32, up, held[_ZEROS])))
