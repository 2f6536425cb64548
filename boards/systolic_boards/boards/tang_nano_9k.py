"""Tang Nano 9K: a Gowin GW1NR-9C, six LEDs and a serial port."""

import dataclasses

from amaranth_boards.tang_nano_9k import TangNano9kPlatform

from ..board import Board
from ..clocks import Oscillator
from ..devices import device

# LEDs and serial port are on pins that also have a part in the configuration.
DEVICE = device("gowin-gw1nr-9c")
DEVICE = dataclasses.replace(DEVICE, packing=(*DEVICE.packing, "--sspi_as_gpio", "--mspi_as_gpio"))

BOARD = Board(
    name="tang_nano_9k", title="Tang Nano 9K", platform=TangNano9kPlatform, device=DEVICE,
    clock=Oscillator("clk27", 27),
    leds={"pass": ("led", 0), "fail": ("led", 1), "alive": ("led", 5)}, uart=("uart", 0),
    program="openFPGALoader -b tangnano9k {bitstream}")
