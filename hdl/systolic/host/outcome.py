"""How a run ended, and how a driver fails."""

import dataclasses
from collections.abc import Mapping

from .. import isa
from ..errors import UserError

__all__ = ["HostError", "Outcome", "RegisterError", "WaitError"]


class HostError(UserError, RuntimeError):
    """A TPU does not do what a driver expects of it."""


class RegisterError(HostError):
    """A register did not answer, or answered with an error; the message has its name."""


class WaitError(HostError):
    """The interrupt did not come in time; the message has the state of the TPU."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Parameters
    ----------
    halted : bool
        By the instruction ``halt``; else by an error.
    error_code, error_index : int
        As in the registers: 0 for no error, and the number of the instruction.
    bus_dead : bool
        Stopped with bursts that memory had not answered.
    interrupts : int
        Times that the instruction ``interrupt`` was heard; several between two looks count as one.
    counters : dict of str to int
        By the registers' names in small letters.
    """

    halted: bool
    error_code: int
    error_index: int
    bus_dead: bool
    interrupts: int
    counters: Mapping[str, int]

    @property
    def error(self) -> isa.ErrorCode | None:
        """The error, or ``None``."""
        return isa.ErrorCode(self.error_code) if self.error_code else None

    @property
    def reason(self) -> str:
        """Why an error stopped the TPU, in words."""
        text = self.error.doc if self.error else "no error code"
        dead = ", and memory has not answered all bursts" if self.bus_dead else ""
        return f"{text} (error {self.error_code}){dead}"

    def check(self) -> "Outcome":
        """This outcome.

        Raises
        ------
        HostError
            If an error stopped the TPU.
        """
        if not self.halted:
            raise HostError(f"stopped at instruction {self.error_index}: {self.reason}")
        return self
