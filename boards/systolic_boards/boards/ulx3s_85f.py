"""ULX3S with an ECP5 85F: eight LEDs and a serial port."""

import dataclasses

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from .. import configs
from ..board import Board
from ..clocks import Ecp5Pll
from ..devices import device

_INT8 = Board(
    name="ulx3s_85f", title="ULX3S 85F", platform=ULX3S_85F_Platform, device=device("ecp5-85f"),
    clock=Ecp5Pll("clk25", 25, 100), config=configs.ECP5_85F_INT8,
    leds={"pass": ("led", 0), "fail": ("led", 1), "alive": ("led", 7)}, uart=("uart", 0),
    program="openFPGALoader -b ulx3s {bitstream}")
_BF16 = dataclasses.replace(_INT8, config=configs.ECP5_85F_BF16, clock=Ecp5Pll("clk25", 25, 50))
BOARDS = (_INT8, _BF16)
