"""What a correct program does not do to the unified buffer, though no machine minds: read bytes that nobody wrote, and
overwrite results that nobody read."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolic.errors import UserError

__all__ = ["StrictError", "Watch"]

_NEVER = -1


class StrictError(UserError, RuntimeError):
    """A program reads bytes that were never written."""


class Watch:
    """Watches bytes of the unified buffer.

    Results are what the activation unit writes. That one is lost is reported, since a network need not need all that it
    computes: of an instruction whose results are overwritten, nothing was read by then. What is loaded may be
    overwritten unread: a border filled whole, of which the middle is then computed.

    Parameters
    ----------
    size : int
        Bytes of the buffer.

    Members
    -------
    lost : list of str
        A line for each instruction of the program that overwrites results of another, of which nothing was read.
    """

    def __init__(self, size: int) -> None:
        self._writer = np.full(size, _NEVER, np.int64)
        self._needed = np.zeros(size, np.bool_)
        self.lost: list[str] = []
        self._heard = set[int]()  # instructions of whose results something was read

    def begin(self) -> None:
        """A program begins: the writers of an earlier one have no numbers in it, and their results may be old."""
        self._needed[:] = False
        self._heard.clear()
        self.lost.clear()

    def read(self, address: ArrayLike, index: int, name: str) -> None:
        """Instruction ``index`` reads bytes.

        Raises
        ------
        StrictError
            If one of them was never written.
        """
        places = np.asarray(address).reshape(-1)
        self.require(places[self._writer[places] == _NEVER], index, name)
        self.touch(places)

    def touch(self, address: ArrayLike) -> NDArray[np.bool_]:
        """Bytes are read, some of which may not matter: which of them were never written."""
        places = np.asarray(address, np.int64)
        self._heard.update(np.unique(self._writer[places[self._needed[places]]]).tolist())
        self._needed[places] = False
        never: NDArray[np.bool_] = self._writer[places] == _NEVER
        return never

    def require(self, never: NDArray[np.int64], index: int, name: str) -> None:
        """Raise StrictError if there are bytes that matter, and were never written."""
        if never.size:
            raise StrictError(f"instruction {index} ({name}) reads {_bytes(never)} of the unified buffer, never "
                              "written")

    def write(self, address: ArrayLike, index: int, name: str, *, result: bool) -> None:
        """Instruction ``index`` writes bytes."""
        places = np.asarray(address).reshape(-1)
        over = places[self._needed[places]]
        for writer in sorted({*self._writer[over].tolist()} - self._heard):
            self.lost.append(f"instruction {index} ({name}) overwrites {_bytes(over[self._writer[over] == writer])} of "
                             f"the unified buffer, results of instruction {writer}, of which nothing was read")
        self._writer[places] = index
        self._needed[places] = result


def _bytes(places: NDArray[np.int64]) -> str:
    """How many bytes, and the first."""
    return f"{'byte' if places.size == 1 else f'{places.size} bytes from'} {int(places.min()):#x}"
