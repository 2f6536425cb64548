"""OrangeCrab r0.2 with an ECP5 25F: a three-colour LED, and a serial port on the Feather's RX and TX."""

import dataclasses

from amaranth.build import Attrs
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform
from amaranth_boards.resources import UARTResource

from ..board import Board
from ..clocks import Ecp5Pll
from ..devices import device

_DEVICE = device("ecp5-25f")
DEVICE = dataclasses.replace(
    _DEVICE, name="ecp5-25f-mg285", title="Lattice ECP5 LFE5U-25F, CSFBGA285, speed grade 8",
    arguments=tuple({"CABGA381": "CSFBGA285", "6": "8"}.get(word, word) for word in _DEVICE.arguments),
    packing=(*_DEVICE.packing, "--freq", "38.8"))

BOARD = Board(
    name="orangecrab_25f", title="OrangeCrab r0.2 25F", platform=OrangeCrabR0_2_25FPlatform, device=DEVICE,
    resources=(UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33")),),
    clock=Ecp5Pll("clk", 48, 96),
    leds={"pass": ("rgb_led", 0, "g"), "fail": ("rgb_led", 0, "r"), "alive": ("rgb_led", 0, "b")}, uart=("uart", 0),
    program="dfu-suffix -v 1209 -p 5af0 -a {bitstream} && dfu-util -a 0 -D {bitstream}",
    note="serial output on pin TX of the header")
