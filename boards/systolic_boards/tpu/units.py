"""The TPUs that boards hold, each with memory on the chip."""

import dataclasses
import typing

from systolic.tpu_config import TpuConfig, tpu_preset

from ..board import Board, board

__all__ = ["UNITS", "Unit"]


class Unit(typing.NamedTuple):
    """A TPU on a board.

    ``mhz`` is what its clock is set to, ``None`` for the board's own; ``others`` are fields of the board that it sets.
    """

    config: TpuConfig
    memory_size: int
    mhz: float | None = None
    others: dict = {}

    def board(self, name: str) -> Board:
        """The board as this TPU has it."""
        target = dataclasses.replace(board(name), **self.others)
        return target if self.mhz is None else target.at(self.mhz)


# Of 56 block RAMs 24 are its memory.
_ECP5_25F = tpu_preset("tpu_4x4"), 49152

#: By the board's name.
UNITS = {
    # The serial port that can be listened to is that of LED and button.
    "colorlight_5a75b": Unit(*_ECP5_25F, 75, {"uart": ("uart", 0), "leds": {}}),
    "orangecrab_25f": Unit(*_ECP5_25F, 96),
    "tang_nano_20k": Unit(tpu_preset("tpu_4x4"), 32768),
    "ulx3s_12f": Unit(*_ECP5_25F, 75),
    "ulx3s_85f": Unit(tpu_preset("tpu_8x8"), 131072, 75),
}
