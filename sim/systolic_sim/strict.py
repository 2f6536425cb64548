"""What a correct program does not do to the unified buffer, though no machine minds: read bytes that nobody wrote, and
overwrite results that nobody read."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolic.errors import UserError

__all__ = ["StrictError", "Watch"]

_NEVER = -1


class StrictError(UserError, RuntimeError):
    """A program reads bytes that were never written, or overwrites bytes that are still needed."""


class Watch:
    """Watches bytes of the unified buffer.

    Results are what the activation unit writes. A network need not read all of them, where windows end before the map
    does; of an instruction whose results are overwritten, something must have been read. What is loaded may be
    overwritten unread: a border filled whole, of which the middle is then computed.

    Parameters
    ----------
    size : int
        Bytes of the buffer.
    """

    def __init__(self, size: int) -> None:
        self._writer = np.full(size, _NEVER, np.int64)
        self._needed = np.zeros(size, np.bool_)
        self._heard = set[int]()  # instructions of whose results something was read

    def begin(self) -> None:
        """A program begins: the writers of an earlier one have no numbers in it, and their results may be old."""
        self._needed[:] = False
        self._heard.clear()

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
        """Instruction ``index`` writes bytes.

        Raises
        ------
        StrictError
            If one of them is a result, and nothing was read of the instruction that made it.
        """
        places = np.asarray(address).reshape(-1)
        for place in places[self._needed[places]].tolist():
            if self._writer[place] not in self._heard:
                raise StrictError(f"instruction {index} ({name}) overwrites byte {place:#x} of the unified buffer, a "
                                  f"result of instruction {self._writer[place]}, of which nothing was read")
        self._writer[places] = index
        self._needed[places] = result


def _bytes(places: NDArray[np.int64]) -> str:
    """How many bytes, and the first."""
    return f"{'byte' if places.size == 1 else f'{places.size} bytes from'} {int(places.min()):#x}"
