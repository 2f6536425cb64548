"""ULX3S with an ECP5 85F: as with a 12F, but for the device and what fits on it."""

import dataclasses

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from ..devices import device
from . import ulx3s_12f

BOARD = dataclasses.replace(
    ulx3s_12f.BOARD, name="ulx3s_85f", title="ULX3S 85F", platform=ULX3S_85F_Platform, device=device("ecp5-85f"))
