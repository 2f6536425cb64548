"""ULX3S with an ECP5 12F: eight LEDs and a serial port."""

from amaranth_boards.ulx3s import ULX3S_12F_Platform

from ..board import Board
from ..clocks import Ecp5Pll
from ..devices import device

BOARD = Board(
    name="ulx3s_12f", title="ULX3S 12F", platform=ULX3S_12F_Platform, device=device("ecp5-12f"),
    clock=Ecp5Pll("clk25", 25, 100),
    leds={"pass": ("led", 0), "fail": ("led", 1), "alive": ("led", 7)}, uart=("uart", 0), baud=3_000_000,
    program="openFPGALoader -b ulx3s {bitstream}")
