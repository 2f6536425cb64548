"""Colorlight 5A-75B v7.0, an LED-panel receiver with an ECP5 25F: one LED, and a serial port on the first header."""

import dataclasses

from amaranth.build import Attrs
from amaranth_boards.colorlight_5a75b_r7_0 import Colorlight_5A75B_R70Platform
from amaranth_boards.resources import UARTResource

from ..board import Board
from ..clocks import Ecp5Pll
from ..devices import device

_DEVICE = device("ecp5-25f")
DEVICE = dataclasses.replace(
    _DEVICE, name="ecp5-25f-bg256", title="Lattice ECP5 LFE5U-25F, CABGA256, speed grade 6",
    arguments=tuple({"CABGA381": "CABGA256"}.get(word, word) for word in _DEVICE.arguments))

BOARD = Board(
    name="colorlight_5a75b", title="Colorlight 5A-75B v7.0", platform=Colorlight_5A75B_R70Platform, device=DEVICE,
    # The platform's serial port shares its pin with the LED.
    resources=(UARTResource(1, rx="2", tx="1", conn=("j", 1), attrs=Attrs(IO_TYPE="LVCMOS33")),),
    clock=Ecp5Pll("clk25", 25, 100),
    leds={"verdict": ("led", 0)}, uart=("uart", 1), program="openFPGALoader -c ft232 {bitstream}",
    note="serial output on pin 1 of J1, through a 5 V buffer")
