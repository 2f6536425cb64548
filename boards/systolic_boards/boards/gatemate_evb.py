"""GateMate A1 evaluation board: eight LEDs, serial port on Pmod A. amaranth-boards has no such board: pins are here."""

from amaranth.build import Attrs, Clock, Connector, Pins, Resource
from amaranth.build.res import ResourceManager
from amaranth_boards.resources import LEDResources, UARTResource

from ..board import Board
from ..clocks import Oscillator
from ..devices import device


class GateMateEvbPlatform(ResourceManager):
    """Pins of the self-test alone; Amaranth has no platform for the family."""

    def __init__(self):
        super().__init__([
            Resource("clk10", 0, Pins("IO_SB_A8", dir="i"), Clock(10e6), Attrs(SCHMITT_TRIGGER="true")),
            *LEDResources(pins=" ".join(f"IO_EB_B{number}" for number in range(1, 9)), invert=True),
            UARTResource(0, rx="3", tx="2", conn=("pmod", 0)),
        ], [Connector("pmod", 0, "IO_NB_A0 IO_NB_A1 IO_NB_A2 IO_NB_A3 - - IO_NB_B0 IO_NB_B1 IO_NB_B2 IO_NB_B3 - -")])


BOARD = Board(
    name="gatemate_evb", title="GateMate A1 EVB", platform=GateMateEvbPlatform, device=device("gatemate-a1"),
    clock=Oscillator("clk10", 10),
    leds={"pass": ("led", 0), "fail": ("led", 1), "alive": ("led", 7)}, uart=("uart", 0),
    program="openFPGALoader -b gatemate_evb_jtag {bitstream}", note="serial output on pin 2 of Pmod A")
