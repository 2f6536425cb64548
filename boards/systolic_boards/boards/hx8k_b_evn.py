"""iCE40-HX8K breakout board: no multipliers on the chip, eight LEDs and a serial port."""

from amaranth_boards.ice40_hx8k_b_evn import ICE40HX8KBEVNPlatform

from ..board import Board
from ..clocks import Ice40CorePll
from ..devices import device

BOARD = Board(
    name="hx8k_b_evn", title="iCE40HX8K-B-EVN", platform=ICE40HX8KBEVNPlatform, device=device("ice40-hx8k"),
    clock=Ice40CorePll("clk12", 12, 72),
    leds={"pass": ("led", 0), "fail": ("led", 1), "alive": ("led", 7)}, uart=("uart", 0),
    program="iceprog -S {bitstream}")
