"""Where a board's clock comes from: an oscillator on a pin, a PLL behind one, or an oscillator on the chip."""

import dataclasses
import itertools

from amaranth.hdl import Const, Instance, Signal

__all__ = ["Ecp5Pll", "Hfosc", "Ice40CorePll", "Ice40Pll", "Osca", "Oscillator"]


@dataclasses.dataclass(frozen=True)
class Oscillator:
    """The clock as it comes.

    Parameters
    ----------
    resource : str
        Name of the pin's resource in the platform.
    pin_mhz : float
        Its frequency.
    """

    resource: str | None
    pin_mhz: float

    @property
    def mhz(self):
        """Frequency that comes out."""
        return self.pin_mhz

    def build(self, m, pin):
        """Clock and, where there is one, the signal that it has settled; ``pin`` is the port."""
        return pin, None


@dataclasses.dataclass(frozen=True)
class _Pll(Oscillator):
    """A PLL that multiplies the clock of a pin by an integer or a fraction.

    Parameters
    ----------
    mhz_out : float
        Frequency wanted, to be met exactly.
    """

    mhz_out: float

    @property
    def mhz(self):
        return self.mhz_out

    def _dividers(self, settings, output, oscillator, low, high):
        """The setting that gives the frequency, with the oscillator nearest to the middle of its range.

        ``output`` and ``oscillator`` are their frequencies in multiples of the pin's, as functions of a setting.
        """
        fitting = [setting for setting in settings if low <= self.pin_mhz * oscillator(*setting) <= high
                   and abs(self.pin_mhz * output(*setting) - self.mhz_out) < 1e-6]
        if not fitting:
            raise ValueError(f"{type(self).__name__} cannot make {self.mhz_out:g} MHz of {self.pin_mhz:g} MHz")
        return min(fitting, key=lambda setting: abs(self.pin_mhz * oscillator(*setting) - (low + high) / 2))


class Ecp5Pll(_Pll):
    """EHXPLLL of the ECP5, phase detector from 10 MHz on, oscillator from 400 to 800 MHz (FPGA-DS-02012)."""

    @property
    def dividers(self):
        """CLKI_DIV, CLKFB_DIV and CLKOP_DIV."""
        references = range(1, int(self.pin_mhz / 10) + 1)
        return self._dividers(itertools.product(references, range(1, 81), range(1, 81)),
                              lambda i, f, o: f / i, lambda i, f, o: f * o / i, 400, 800)

    def build(self, m, pin):
        reference, feedback, divider = self.dividers
        clock, locked = Signal(name="pll_clk"), Signal(name="pll_locked")
        m.submodules.pll = Instance(
            "EHXPLLL", p_CLKI_DIV=reference, p_CLKFB_DIV=feedback, p_CLKOP_DIV=divider, p_CLKOP_CPHASE=divider - 1,
            p_CLKOP_ENABLE="ENABLED", p_FEEDBK_PATH="CLKOP", a_FREQUENCY_PIN_CLKI=f"{self.pin_mhz:g}",
            a_FREQUENCY_PIN_CLKOP=f"{self.mhz_out:g}", a_ICP_CURRENT="12", a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1", a_MFG_GMCREF_SEL="2",
            i_CLKI=pin, i_CLKFB=clock, i_RST=Const(0), i_STDBY=Const(0), o_CLKOP=clock, o_LOCK=locked)
        return clock, locked


class Ice40Pll(_Pll):
    """SB_PLL40_PAD of the iCE40, oscillator from 533 to 1066 MHz (FPGA-TN-02052)."""

    primitive = "SB_PLL40_PAD", "i_PACKAGEPIN"

    @property
    def dividers(self):
        """DIVR, DIVF and DIVQ."""
        return self._dividers(itertools.product(range(1), range(64), range(1, 7)),
                              lambda r, f, q: (f + 1) / (r + 1) / 2**q, lambda r, f, q: (f + 1) / (r + 1), 533, 1066)

    def build(self, m, pin):
        reference, feedback, power = self.dividers
        clock, locked = Signal(name="pll_clk"), Signal(name="pll_locked")
        name, input_port = self.primitive
        m.submodules.pll = Instance(
            name, p_FEEDBACK_PATH="SIMPLE", p_DIVR=Const(reference, 4), p_DIVF=Const(feedback, 7),
            p_DIVQ=Const(power, 3), p_FILTER_RANGE=Const(1, 3), i_RESETB=Const(1), i_BYPASS=Const(0),
            o_PLLOUTGLOBAL=clock, o_LOCK=locked, **{input_port: pin})
        return clock, locked


class Ice40CorePll(Ice40Pll):
    """SB_PLL40_CORE, for a clock that comes from a pin without a PLL of its own."""

    primitive = "SB_PLL40_CORE", "i_REFERENCECLK"


class Hfosc(Oscillator):
    """SB_HFOSC of the iCE40 UP5K: 48 MHz, give or take a tenth, halved as often as wanted."""

    def __init__(self, *, mhz):
        super().__init__(None, mhz)

    def build(self, m, pin):
        halvings = {48: 0, 24: 1, 12: 2, 6: 3}[self.pin_mhz]
        clock = Signal(name="hfosc_clk")
        m.submodules.hfosc = Instance("SB_HFOSC", p_CLKHF_DIV=f"0b{halvings:02b}", i_CLKHFEN=Const(1),
                                      i_CLKHFPU=Const(1), o_CLKHF=clock)
        return clock, None


class Osca(Oscillator):
    """OSCA of the Lattice Nexus: 450 MHz, give or take 7 %, divided by 2 to 256."""

    def __init__(self, *, mhz):
        super().__init__(None, mhz)

    def build(self, m, pin):
        clock = Signal(name="osca_clk")
        m.submodules.osca = Instance("OSCA", p_HF_CLK_DIV=str(round(450 / self.pin_mhz) - 1), p_HF_OSC_EN="ENABLED",
                                     i_HFOUTEN=Const(1), i_HFSDSCEN=Const(0), o_HFCLKOUT=clock)
        return clock, None
