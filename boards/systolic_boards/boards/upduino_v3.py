"""UPduino v3: an iCE40 UP5K and a three-colour LED; no serial port is wired."""

from amaranth_boards.upduino_v3 import UpduinoV3Platform

from ..board import Board
from ..clocks import Hfosc
from ..devices import device

BOARD = Board(
    name="upduino_v3", title="UPduino v3", platform=UpduinoV3Platform, device=device("ice40-up5k"),
    clock=Hfosc(mhz=24),
    leds={"pass": ("rgb_led", 0, "g"), "fail": ("rgb_led", 0, "r"), "alive": ("rgb_led", 0, "b")},
    program="iceprog {bitstream}", note="on-chip oscillator, 24 MHz +-10 %")
