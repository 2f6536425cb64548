"""The matrix unit: weight tiles and a program's rows in, results out, without a notion of time."""

import collections
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolic.config import Arch
from systolic_sim.golden.formats import golden
from systolic_sim.golden.program import Program

__all__ = ["MatrixUnit"]


class MatrixUnit:
    """Golden model of the matrix unit, as it is after reset.

    The active tile, the tiles loaded ahead and the accumulators live on from one call to the next. The
    queue of tiles has no bound: whatever the depth of the weight FIFO, the results are the same.

    Parameters
    ----------
    arch : Arch
        What to model.

    Members
    -------
    accumulators : int32 or uint32 array [accumulator_depth, C]
        Their contents now; entries that were never written are undefined.
    """

    def __init__(self, arch: Arch) -> None:
        self.arch = arch
        self._format = golden(arch.format)
        self.accumulators: NDArray[Any] = np.zeros((arch.accumulator_depth, arch.cols), arch.format.result_dtype)
        self._written = np.zeros(arch.accumulator_depth, bool)
        self._active: NDArray[Any] | None = None
        self._queue: collections.deque[NDArray[Any]] = collections.deque()
        # The latest depthwise rows, up to one less than a window.
        self._before: NDArray[Any] = np.zeros((0, arch.rows), arch.format.operand_dtype)

    def load(self, tile: ArrayLike) -> None:
        """Queue a weight tile.

        Parameters
        ----------
        tile : int8 or uint16 array [R, C]
            In natural order, row 0 first.

        Raises
        ------
        ValueError
            If it has another shape.
        """
        if np.shape(tile) != (self.arch.rows, self.arch.cols):
            raise ValueError(f"tile must be {[self.arch.rows, self.arch.cols]}, not {list(np.shape(tile))}")
        self._queue.append(np.array(tile))

    def run(self, program: Program) -> NDArray[Any]:
        """Load a program's tiles, then run its rows: see :meth:`load` and :meth:`rows`."""
        for tile in program.tiles:
            self.load(tile)
        return self.rows(program)

    def rows(self, program: Program) -> NDArray[Any]:
        """Run the rows of a program on the tiles loaded before.

        Parameters
        ----------
        program : Program
            Its rows; its tiles are not looked at.

        Returns
        -------
        int32 or uint32 array [n_last, C]
            The sums of the rows marked ``last``, in order.

        Raises
        ------
        ValueError
            If a row switches with no tile queued, accumulates on an entry never written, addresses an entry that does
            not exist, or is depthwise with too few such rows before it; the message names the row. The state is then
            as before.
        """
        if np.shape(program.x)[1:] != (self.arch.rows,):
            raise ValueError(f"x must be [n, {self.arch.rows}], not {list(np.shape(program.x))}")
        if len(program) == 0:
            return self.accumulators[:0].copy()
        switch = program.switch.copy()
        switch[0] |= self._active is None
        kept = np.flatnonzero(~program.fills)
        visits = _visits(program.address[kept])
        self._check(program, switch, kept, visits)
        psums = self._psums(program, switch)[kept]
        sums = self._accumulate(program.address[kept], program.accumulate[kept], psums, visits)
        finished: NDArray[Any] = sums[program.last[kept]]
        return finished

    def _check(self, program: Program, switch: NDArray[np.bool_], kept: NDArray[np.intp],
               visits: list[NDArray[np.intp]]) -> None:
        rows, address = np.arange(len(program)), program.address[kept]
        outside = (address < 0) | (address >= self.arch.accumulator_depth)
        _refuse(outside, kept, f"addresses outside the {self.arch.accumulator_depth} accumulators")
        _refuse(switch & (np.cumsum(switch) > len(self._queue)), rows, "switches with no tile queued")
        fresh = ~self._written[address]
        fresh[np.concatenate([*visits[1:], np.empty(0, np.intp)])] = False
        _refuse(program.accumulate[kept] & fresh, kept, "accumulates on an entry that was never written")
        early = np.cumsum(program.depthwise) + len(self._before) < max(self.arch.taps, 1)
        _refuse(program.depthwise & ~program.fills & early, rows, f"has fewer than {self.arch.taps} depthwise rows")
        _refuse(program.depthwise & (not self.arch.taps), rows, "is depthwise, but the array has no taps")

    def _psums(self, program: Program, switch: NDArray[np.bool_]) -> NDArray[Any]:
        """psums [n, C] of all rows, each through the tile that is active by then."""
        blocks, windows = [], self._windows(program)
        for block in np.split(np.arange(len(program)), np.flatnonzero(switch)):
            if len(block):
                if switch[block[0]]:
                    self._active = self._queue.popleft()
                assert self._active is not None
                psums = self._format.matmul(program.x[block], self._active)
                if windows is not None:
                    own = program.depthwise[block]
                    psums[own] = self._depthwise(program.x[block[own]], windows[block[own]], self._active)
                blocks.append(psums)
        return np.concatenate(blocks)

    def _windows(self, program: Program) -> NDArray[Any] | None:
        """The depthwise row that each row is and those before it [n, taps, R], the latest first; ``None`` without."""
        taps, own = self.arch.taps, np.flatnonzero(program.depthwise)
        if not len(own):
            return None
        rows = np.concatenate([np.zeros((taps, self.arch.rows), program.x.dtype), self._before, program.x[own]])
        self._before = rows[max(len(rows) - taps + 1, taps):]
        windows = np.zeros((len(program), taps, self.arch.rows), program.x.dtype)
        latest = np.arange(len(rows) - len(own), len(rows))
        windows[own] = rows[latest[:, None] - np.arange(taps)]
        return windows

    def _depthwise(self, x: NDArray[Any], windows: NDArray[Any], tile: NDArray[Any]) -> NDArray[Any]:
        """psums [n, C]: of the first rows of a tile channel by channel, of the others as ever."""
        taps, channels = self.arch.taps, self.arch.channels
        psums = self._format.matmul(x[:, taps:], tile[taps:])
        products = windows[:, :, :channels].astype(np.int32) * tile[:taps, :channels].astype(np.int32)
        psums[:, :channels] += products.sum(axis=1, dtype=np.int32)
        return psums

    def _accumulate(self, address: NDArray[np.intp], accumulate: NDArray[np.bool_], psums: NDArray[Any],
                    visits: list[NDArray[np.intp]]) -> NDArray[Any]:
        """Sums [n, C] in the accumulators right after each row."""
        sums = psums.copy()
        for now in visits:
            onto = now[accumulate[now]]
            sums[onto] = self._format.add(self.accumulators[address[onto]], psums[onto])
            self.accumulators[address[now]] = sums[now]
        self._written[address] = True
        return sums


def _visits(address: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Rows grouped so that the k-th group holds every entry's k-th visitor: none twice in a group."""
    if not len(address):
        return [address]
    order = np.argsort(address, kind="stable")
    position = np.arange(len(address))
    first = np.diff(address[order], prepend=address[order[0]] - 1) != 0
    visit = np.empty_like(position)
    visit[order] = position - np.maximum.accumulate(np.where(first, position, 0))
    groups = np.cumsum(np.bincount(visit))[:-1]
    return np.split(np.argsort(visit, kind="stable"), groups)


def _refuse(wrong: NDArray[np.bool_], rows: NDArray[np.intp], what: str) -> None:
    if wrong.any():
        raise ValueError(f"row {rows[wrong][0]} {what}")
