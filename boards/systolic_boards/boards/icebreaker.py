"""iCEBreaker: an iCE40 UP5K, two LEDs and a serial port."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from ..board import Board
from ..clocks import Ice40Pll
from ..devices import device

BOARD = Board(
    name="icebreaker", title="iCEBreaker v1.0", platform=ICEBreakerPlatform, device=device("ice40-up5k"),
    clock=Ice40Pll("clk12", 12, 45),
    leds={"pass": ("led_g", 0), "fail": ("led_r", 0)}, uart=("uart", 0),
    program="openFPGALoader -b ice40_generic {bitstream}")
