"""Tang Nano 20K: a Gowin GW2AR-18C, six LEDs and a serial port. amaranth-boards has no such board: pins are here."""

from amaranth.build import Attrs, Clock, Pins, Resource
from amaranth.vendor import GowinPlatform
from amaranth_boards.resources import LEDResources, UARTResource

from ..board import Board
from ..clocks import Oscillator
from ..devices import device


class TangNano20kPlatform(GowinPlatform):
    """Pins of the self-test alone."""

    part = "GW2AR-LV18QN88C8/I7"
    family = "GW2AR-18C"
    default_clk = "clk27"
    resources = [
        Resource("clk27", 0, Pins("4", dir="i"), Clock(27e6), Attrs(IO_TYPE="LVCMOS33")),
        *LEDResources(pins="15 16 17 18 19 20", invert=True, attrs=Attrs(IO_TYPE="LVCMOS33")),
        UARTResource(0, rx="70", tx="69", attrs=Attrs(PULL_MODE="UP", IO_TYPE="LVCMOS33")),
    ]
    connectors: list = []


BOARD = Board(
    name="tang_nano_20k", title="Tang Nano 20K", platform=TangNano20kPlatform, device=device("gowin-gw2a-18c"),
    clock=Oscillator("clk27", 27),
    leds={"pass": ("led", 0), "fail": ("led", 1), "alive": ("led", 5)}, uart=("uart", 0),
    program="openFPGALoader -b tangnano20k {bitstream}")
