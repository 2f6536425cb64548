"""Multipliers: one behaviour, mapped to the resources of a device.

A multiplier holds the active weights of its columns. All have the signature and the timing of :class:`Multiplier`, so
the grid does not depend on the mapping. :class:`GenericMultiplier` is the specification of the others.
"""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out

from ..delay import delay
from ..shared import Shared
from .ecp5_carry import carry_chain

__all__ = ["Ecp5DspMultiplier", "Ecp5LutMultiplier", "GenericMultiplier", "GowinDspMultiplier",
           "Ice40DspMultiplier", "MULTIPLIERS", "Multiplier"]


class Multiplier(Shared):
    """Signed products of activations and active weights, of ``lanes`` columns side by side.

    Parameters
    ----------
    width : int
        Bits of a factor.
    stages : int
        Registers behind the multiplication, ``product_stages``.

    Members
    -------
    a : In, lanes of ``width`` bits
        Activations.
    a_held : In, lanes of ``width`` bits
        The same one cycle later, from the registers that hand them on to the next columns.
    switch : In, lanes of 1 bit
        From the activation now at ``a`` on, the weight is the one now at ``w``.
    w : In, lanes of ``width`` bits
        The shadow weights.
    o : Out, lanes of 2 * ``width`` bits
        The products, ``stages`` + 1 cycles after their activations.
    """

    mapping: str
    lanes = 1

    def __init__(self, *, width, stages):
        self.width = width
        self.stages = stages
        self.module_name = f"{self.mapping}_multiplier_{width}_{stages}"
        factors = In(width * self.lanes)
        super().__init__({"a": factors, "a_held": factors, "switch": In(self.lanes), "w": factors,
                          "o": Out(2 * width * self.lanes)})

    def _active(self, m):
        """The active weight, in a register beside ``a_held``; of a multiplier with one lane."""
        active = Signal(signed(self.width), reset_less=True)
        with m.If(self.switch):
            m.d.sync += active.eq(self.w)
        return active


class GenericMultiplier(Multiplier):
    """A behavioural product: synthesis maps it."""

    mapping = "generic"

    def build(self, platform):
        m = Module()
        full = Signal(signed(2 * self.width))
        m.d.comb += full.eq(self.a_held.as_signed() * self._active(m))
        m.d.comb += self.o.eq(delay(m, full, self.stages, "full_delayed"))
        return m


class Ecp5DspMultiplier(Multiplier):
    """A MULT18X18D of the ECP5 with its own registers; the active weight is its input register B.

    The hop from a DSP block into the fabric takes 2 to 3 ns: a second stage catches the product there, ahead of
    the adder.
    """

    mapping = "ecp5_dsp"

    def build(self, platform):
        m = Module()
        ports = {"i_CLK0": ClockSignal(), "i_CE0": Const(1), "i_CE1": self.switch, "i_RST0": Const(0),
                 "i_SIGNEDA": Const(1), "i_SIGNEDB": Const(1), "i_SOURCEA": Const(0), "i_SOURCEB": Const(0)}
        full = Signal(36)
        for name, factor in (("A", self.a), ("B", self.w)):
            wide = Signal(signed(18), name=f"{name.lower()}_wide")
            m.d.comb += wide.eq(factor.as_signed())
            ports |= {f"i_{name}{bit}": wide[bit] for bit in range(18)}
        ports |= {f"o_P{bit}": full[bit] for bit in range(36)}
        m.submodules.dsp = Instance(
            "MULT18X18D", **ports,
            p_REG_INPUTA_CLK="CLK0", p_REG_INPUTA_CE="CE0", p_REG_INPUTA_RST="RST0",
            p_REG_INPUTB_CLK="CLK0", p_REG_INPUTB_CE="CE1", p_REG_INPUTB_RST="RST0",
            p_REG_PIPELINE_CLK="NONE", p_REG_OUTPUT_CLK="CLK0", p_REG_OUTPUT_CE="CE0", p_REG_OUTPUT_RST="RST0",
            p_CLK0_DIV="ENABLED", p_GSR="DISABLED", p_SOURCEB_MODE="B_SHIFT", p_MULT_BYPASS="DISABLED",
            p_RESETMODE="SYNC")
        m.d.comb += self.o.eq(delay(m, full[:len(self.o)], self.stages - 1, "full_delayed"))
        return m


class Ecp5LutMultiplier(Multiplier):
    """Carry chains of the ECP5, two partial products an adder.

    ::

        a * w = (a * w[0] + a * w[1] << 1)           one LUT and one carry a bit: a CCU2C half adds
              + (a * w[2] + a * w[3] << 1) << 2      (A & B) + (C & D), propagating (A & B) ^ (C & D)
              + (a * w[4] + a * w[5] << 1) << 4      and generating A & B
              + (a * w[6] - a * w[7] << 1) << 6

    72 LUT for 8 x 8 bits, a quarter of what synthesis makes of a product. One stage is a register at the output, the
    second one behind the pairs, the third between the last two additions.
    """

    mapping = "ecp5_lut"

    # Of a CCU2C half: propagates (A & B) ^ (C & D), generates A & B.
    _ADD_PRODUCTS = 0x7888
    # Propagates ~(A & B) ^ (C & D), generates ~(A & B): with a carry in, subtracts A & B.
    _SUBTRACT_PRODUCTS = 0x8777
    # Propagates A ^ B if C = 0 and D = 1, generates A.
    _ADD = 0x96AA

    def build(self, platform):
        m = Module()
        active = self._active(m)
        pairs = [self._pair(m, active, bit) for bit in range(0, self.width, 2)]
        if self.stages > 1:
            pairs = [delay(m, pair, 1, f"pair_{k}") for k, pair in enumerate(pairs)]
        halves = [self._sum(m, f"half_{k}", pairs[2 * k], pairs[2 * k + 1], 2) for k in range(2)]
        if self.stages > 2:
            halves = [delay(m, half, 1, f"half_{k}") for k, half in enumerate(halves)]
        product = self._sum(m, "total", *halves, 4)
        m.d.comb += self.o.eq(delay(m, product, min(self.stages, 1), "product"))
        return m

    def _pair(self, m, active, bit):
        """``a * (active[bit] + 2 * active[bit + 1])``; the highest bit of the weight counts negative."""
        low = Cat(self.a_held, self.a_held[-1].replicate(2))
        high = Cat(Const(0, 1), self.a_held, self.a_held[-1])
        terms = [(self._ADD_PRODUCTS, low[k], active[bit], high[k], active[bit + 1]) for k in range(len(low))]
        if bit < self.width - 2:
            return carry_chain(m, f"pair_{bit // 2}", terms, 0)
        terms = [(self._SUBTRACT_PRODUCTS, c, d, a, b) for _, a, b, c, d in terms]
        return carry_chain(m, f"pair_{bit // 2}", terms, 1)

    def _sum(self, m, name, low, high, shift):
        """``low + high << shift``. Instantiated, for synthesis would merge the sums into slower and larger trees."""
        high_part = [low[min(k + shift, len(low) - 1)] for k in range(len(high))]
        terms = [(self._ADD, a, b, Const(0, 1), Const(1, 1)) for a, b in zip(high_part, high, strict=True)]
        return Cat(low[:shift], carry_chain(m, name, terms, 0)).as_signed()


class Ice40DspMultiplier(Multiplier):
    """An SB_MAC16 of the iCE40 UP5K as two 8 x 8 bit multipliers, registered at its inputs and behind the multipliers.

    Both lanes share one hold input, but switch one hop apart: the active weights are in the fabric, and the block
    registers what they are about to be.
    """

    mapping = "ice40_dsp"
    lanes = 2

    def build(self, platform):
        m = Module()
        next_active = Signal.like(self.w)
        active = Signal.like(self.w, reset_less=True)
        m.d.sync += active.eq(next_active)
        for lane in range(self.lanes):
            m.d.comb += next_active.word_select(lane, self.width).eq(
                Mux(self.switch[lane], self.w.word_select(lane, self.width), active.word_select(lane, self.width)))
        products = Signal.like(self.o)
        zero = {f"i_{port}": Const(0) for port in (
            "AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT", "OLOADTOP", "OLOADBOT",
            "ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT", "CI", "ACCUMCI", "SIGNEXTIN")}
        m.submodules.dsp = Instance(
            "SB_MAC16", i_CLK=ClockSignal(), i_CE=Const(1), i_A=self.a, i_B=next_active, i_C=Const(0, 16),
            i_D=Const(0, 16), o_O=products, **zero,
            p_MODE_8x8=Const(1, 1), p_A_SIGNED=Const(1, 1), p_B_SIGNED=Const(1, 1), p_A_REG=Const(1, 1),
            p_B_REG=Const(1, 1), p_TOP_8x8_MULT_REG=Const(1, 1), p_BOT_8x8_MULT_REG=Const(1, 1),
            p_TOPOUTPUT_SELECT=Const(2, 2), p_BOTOUTPUT_SELECT=Const(2, 2))
        m.d.comb += self.o.eq(delay(m, products, self.stages - 1, "product_delayed"))
        return m


class GowinDspMultiplier(Multiplier):
    """A MULT9X9 of Gowin with its own registers.

    Place and route times no path from, to or through the block: with all stages there is none but wires. One stage is
    the block's output register, the second a register in the fabric behind it, ahead of the adder, the third the
    block's input registers. They share one clock enable, so the active weight is in the fabric.
    """

    mapping = "gowin_dsp"

    def build(self, platform):
        m = Module()
        inputs = Const(int(self.stages > 2), 1)
        factors = {"A": self.a_held.as_signed(), "B": self._active(m)}
        wide = {name: Signal(signed(9), name=f"{name.lower()}_wide") for name in factors}
        m.d.comb += [wide[name].eq(factor) for name, factor in factors.items()]
        full = Signal(18)
        m.submodules.dsp = Instance(
            "MULT9X9", i_CLK=ClockSignal(), i_CE=Const(1), i_RESET=Const(0), i_A=wide["A"], i_B=wide["B"],
            i_SIA=Const(0, 9), i_SIB=Const(0, 9), i_ASIGN=Const(1), i_BSIGN=Const(1), i_ASEL=Const(0),
            i_BSEL=Const(0), o_DOUT=full, p_AREG=inputs, p_BREG=inputs, p_OUT_REG=Const(1, 1),
            p_PIPE_REG=Const(0, 1), p_ASIGN_REG=Const(0, 1), p_BSIGN_REG=Const(0, 1), p_SOA_REG=Const(0, 1),
            p_MULT_RESET_MODE="SYNC")
        m.d.comb += self.o.eq(delay(m, full[:len(self.o)], min(self.stages, 2) - 1, "full_delayed"))
        return m


MULTIPLIERS = {kind.mapping: kind for kind in (
    GenericMultiplier, Ecp5DspMultiplier, Ecp5LutMultiplier, Ice40DspMultiplier, GowinDspMultiplier)}
