"""ULX3S with an ECP5 85F: as with a 12F, but for the device and what fits on it."""

import dataclasses

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from .. import configs
from ..clocks import Ecp5Pll
from ..devices import device
from . import ulx3s_12f

_INT8, _BF16 = (dataclasses.replace(
    unit, name="ulx3s_85f", title="ULX3S 85F", platform=ULX3S_85F_Platform, device=device("ecp5-85f"))
    for unit in ulx3s_12f.BOARDS)
BOARDS = (
    dataclasses.replace(_INT8, config=configs.ECP5_85F_INT8),
    dataclasses.replace(_BF16, config=configs.ECP5_85F_BF16, clock=Ecp5Pll("clk25", 25, 50)))
