"""iCESugar: an iCE40 UP5K, a three-colour LED and a serial port."""

from amaranth_boards.icesugar import ICESugarPlatform

from ..board import Board
from ..clocks import Ice40Pll
from ..devices import device

BOARD = Board(
    name="icesugar", title="iCESugar v1.5", platform=ICESugarPlatform, device=device("ice40-up5k"),
    clock=Ice40Pll("clk12", 12, 45),
    leds={"pass": ("led_g", 0), "fail": ("led_r", 0), "alive": ("led_b", 0)}, uart=("uart", 0),
    program="icesprog {bitstream}")
