"""When each row enters and each result leaves a matrix unit whose streams never stall.

Weights and rows are valid from cycle 0, and results are always accepted. Then:

* A weight beat is accepted while the weight FIFO of ``weight_fifo_rows`` beats has room. A place is free again in the
  cycle after its beat enters the array.
* A beat enters the array at the earliest ``weight_latency`` cycles later, one beat per cycle. The first beat of a tile
  enters no earlier than the cycle in which the previous tile is switched in.
* Rows are accepted in order, one per cycle, while the row gate has room for one of its two rows. A place is free again
  in the cycle after its row enters the array.
* A row enters the array at the earliest in the cycle after its acceptance, one row per cycle. A row that switches
  enters at the earliest one cycle after the last beat of its tile. A row that accumulates enters at the earliest
  ``turnaround`` cycles after the previous row with its address, rows aside that only fill a window. The result FIFO
  holds all rows in flight: since results are always accepted, no row waits for room in it.
* A result is valid ``latency`` cycles after the cycle before its row enters: after its acceptance, if it did not wait.
"""

import dataclasses

import numpy as np

__all__ = ["Schedule", "fill", "schedule"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Schedule:
    """Cycles of a program's handshakes, counted from 0.

    Parameters
    ----------
    injections : int64 array [beats]
        When each weight beat goes into the array: those of the tiles used and of one more, if there is.
    accepted : int64 array [n]
        When each row is accepted.
    entered : int64 array [n]
        When each row goes into the array.
    results : int64 array [n_last]
        When each result is handed over.
    """

    injections: np.ndarray
    accepted: np.ndarray
    entered: np.ndarray
    results: np.ndarray

    @property
    def total(self):
        """Cycles from 0 to the last row or result, both included: weights of the first tile and all."""
        return int(np.concatenate([self.accepted, self.results]).max()) + 1

    @property
    def cycles(self):
        """The same without those that the first row waits for its tile."""
        return self.total - int(self.entered[0] - 1)

    @property
    def utilisation(self):
        """Cells at work on average over :attr:`cycles`, as a part of all: rows / cycles."""
        return len(self.accepted) / self.cycles


def fill(config):
    """Cycles that a program takes beyond one a row, if no row waits and the last has a result."""
    return config.latency


def schedule(config, program):
    """Predict the cycle of every handshake.

    Parameters
    ----------
    config : Config
        The matrix unit.
    program : Program
        What it runs, from reset.

    Returns
    -------
    Schedule

    Raises
    ------
    ValueError
        If the program has no rows, or switches more often than it has tiles.
    """
    switch = np.array(program.switch, bool)
    switch[:1] = True
    tiles = int(switch.sum())
    if not 0 < tiles <= len(program.tiles):
        raise ValueError(f"program must switch from 1 to {len(program.tiles)} times, not {tiles}")
    loader = _WeightLoader(config)
    loader.load(0)
    accepted, entered, results, latest = [], [], [], {}
    columns = (column.tolist() for column in (program.address, program.accumulate, switch, program.last, program.fills))
    for address, accumulate, switches, last, fills in zip(*columns, strict=True):
        before = accepted[-1] if accepted else -1
        accepted.append(max(before, entered[-2] if len(entered) > 1 else before) + 1)
        now = max(accepted[-1], entered[-1] if entered else 0) + 1
        if switches:
            now = max(now, loader.injections[-1] + 1)
        if accumulate and address in latest:
            now = max(now, latest[address] + config.turnaround)
        if last:
            results.append(now - 1 + config.latency)
        if switches and loader.tiles < len(program.tiles):
            loader.load(now)
        if not fills:
            latest[address] = now
        entered.append(now)
    return Schedule(injections=np.array(loader.injections), accepted=np.array(accepted), entered=np.array(entered),
                    results=np.array(results, np.int64))


class _WeightLoader:
    """The weight FIFO and the shadow weights: injection cycles of one tile after the other."""

    def __init__(self, config):
        self._rows, self._latency = config.arch.rows, config.weight_latency
        self._depth = config.weight_fifo_rows
        self._accepted = -1
        self.injections = []

    @property
    def tiles(self):
        return len(self.injections) // self._rows

    def load(self, earliest):
        """Inject the next tile, its first beat not before that cycle."""
        for _ in range(self._rows):
            self._accepted += 1
            if len(self.injections) >= self._depth:
                self._accepted = max(self._accepted, self.injections[-self._depth] + 1)
            earliest = max(earliest, self._accepted + self._latency)
            self.injections.append(earliest)
            earliest += 1
