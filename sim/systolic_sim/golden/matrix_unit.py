"""The matrix unit: weight tiles and a program's rows in, results out, without a notion of time."""

import collections

import numpy as np

from systolic_sim.golden.formats import golden

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

    def __init__(self, arch):
        self.arch = arch
        self._format = golden(arch.format)
        self.accumulators = np.zeros((arch.accumulator_depth, arch.cols), arch.format.result_dtype)
        self._written = np.zeros(arch.accumulator_depth, bool)
        self._active = None
        self._queue = collections.deque()

    def load(self, tile):
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

    def run(self, program):
        """Load a program's tiles, then run its rows: see :meth:`load` and :meth:`rows`."""
        for tile in program.tiles:
            self.load(tile)
        return self.rows(program)

    def rows(self, program):
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
            If a row switches with no tile queued, accumulates on an entry never written, or addresses an
            entry that does not exist; the message names the row. The state is then as before.
        """
        if np.shape(program.x)[1:] != (self.arch.rows,):
            raise ValueError(f"x must be [n, {self.arch.rows}], not {list(np.shape(program.x))}")
        if len(program) == 0:
            return self.accumulators[:0].copy()
        switch = program.switch.copy()
        switch[0] |= self._active is None
        visits = _visits(program.address)
        self._check(program, switch, visits)
        return self._accumulate(program, self._psums(program.x, switch), visits)[program.last]

    def _check(self, program, switch, visits):
        outside = (program.address < 0) | (program.address >= self.arch.accumulator_depth)
        _refuse(outside, f"addresses outside the {self.arch.accumulator_depth} accumulators")
        _refuse(switch & (np.cumsum(switch) > len(self._queue)), "switches with no tile queued")
        fresh = ~self._written[program.address]
        fresh[np.concatenate(visits[1:] or [[]]).astype(int)] = False
        _refuse(program.accumulate & fresh, "accumulates on an entry that was never written")

    def _psums(self, x, switch):
        """psums [n, C] of all rows, each through the tile that is active by then."""
        blocks = []
        for block in np.split(np.arange(len(x)), np.flatnonzero(switch)):
            if len(block):
                if switch[block[0]]:
                    self._active = self._queue.popleft()
                blocks.append(self._format.matmul(x[block], self._active))
        return np.concatenate(blocks)

    def _accumulate(self, program, psums, visits):
        """Sums [n, C] in the accumulators right after each row."""
        sums = psums.copy()
        for now in visits:
            onto = now[program.accumulate[now]]
            sums[onto] = self._format.add(self.accumulators[program.address[onto]], psums[onto])
            self.accumulators[program.address[now]] = sums[now]
        self._written[program.address] = True
        return sums


def _visits(address):
    """Rows grouped so that the k-th group holds every entry's k-th visitor: none twice in a group."""
    order = np.argsort(address, kind="stable")
    position = np.arange(len(address))
    first = np.diff(address[order], prepend=address[order[0]] - 1) != 0
    visit = np.empty_like(position)
    visit[order] = position - np.maximum.accumulate(np.where(first, position, 0))
    groups = np.cumsum(np.bincount(visit))[:-1]
    return np.split(np.argsort(visit, kind="stable"), groups)


def _refuse(wrong, what):
    if wrong.any():
        raise ValueError(f"row {np.flatnonzero(wrong)[0]} {what}")
