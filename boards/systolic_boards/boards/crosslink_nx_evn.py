"""CrossLink-NX evaluation board: a LIFCL-40 and its LEDs. amaranth-boards has no such board: pins are here."""

from amaranth.build import Attrs
from amaranth.build.res import ResourceManager
from amaranth_boards.resources import LEDResources

from ..board import Board
from ..clocks import Osca
from ..devices import device


class CrossLinkNxEvnPlatform(ResourceManager):
    """Pins of the self-test alone; the serial port is only there after soldering."""

    def __init__(self):
        super().__init__(LEDResources(pins="E17 F13 G13 F14 L16 L15 L20 L19", invert=True,
                                      attrs=Attrs(IO_TYPE="LVCMOS33")), [])


BOARD = Board(
    name="crosslink_nx_evn", title="CrossLink-NX EVN", platform=CrossLinkNxEvnPlatform, device=device("nexus-lifcl-40"),
    clock=Osca(mhz=90),
    leds={"pass": ("led", 0), "fail": ("led", 1), "alive": ("led", 7)},
    program="openFPGALoader -b crosslinknx_evn {bitstream}",
    note="on-chip oscillator, 90 MHz +-7 %")
