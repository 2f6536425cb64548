"""The units of :class:`.flow.Flow`, and how much there is room for between them: counts of rows, tiles and beats."""

import bisect
import collections
import dataclasses

import numpy as np
from numpy.typing import NDArray

from systolic.isa import ErrorCode
from systolic.tpu_config import PAGE_BYTES
from systolic_sim.check.accesses import sums_in_x
from systolic_sim.cycles.row_reader import RowReader

__all__ = ["NEVER", "Limits", "Rows", "Sums", "Weights"]

#: When an instruction is done that runs into an error.
NEVER = float("inf")


class Limits:
    """How much there is room for between the units of a TPU.

    Parameters
    ----------
    config : TpuConfig

    Attributes
    ----------
    instructions : int
        In flight per unit: entries of the scoreboard. The next one waits at the sequencer.
    results : int
        Rows of finished sums between the gate and the activation unit: credits of the result FIFO.
    rows : int
        Rows read that have not passed the gate: two places of the gate, and the row reader's queue.
    weight_rows : int
        Rows of weights that wait for a switch: the weight FIFO, and the shadow tile.
    beats_ahead : int
        A burst of weights is asked for when so many beats at most, before it, have not left the receive FIFO.
    """

    GATE = 2

    def __init__(self, config):
        unit = config.matrix
        self.instructions = 2
        self.results = unit.result_fifo_depth
        self.rows = self.GATE + RowReader.QUEUE
        self.weight_rows = unit.weight_fifo_rows + unit.arch.rows
        self.beats_ahead = config.receive_beats - config.longest_burst


@dataclasses.dataclass(frozen=True, kw_only=True)
class Product:
    """A matrix_multiply as a part of all rows: where its rows, switches and last rows begin."""

    row: int
    switch: int
    last: int
    in_x: NDArray[np.bool_]  # which rows in x have a sum
    y_count: int
    tiles: int  # per sum
    sums: int
    switches_at_once: int
    finish: int

    @property
    def height(self):
        """Rows per tile."""
        return len(self.in_x) * self.y_count

    @property
    def sums_per_tile(self):
        return int(self.in_x.sum()) * self.y_count

    @property
    def count(self):
        return self.height * self.tiles * self.sums

    @property
    def switches(self):
        return self.tiles * self.sums - 1 + self.switches_at_once

    @property
    def lasts(self):
        return self.sums_per_tile * self.sums * self.finish

    def row_of_switch(self, number):
        return self.row + (number - self.switch + 1 - self.switches_at_once) * self.height

    def row_of_last(self, number):
        number, place = divmod(number - self.last, self.sums_per_tile)
        y, x = divmod(place, int(self.in_x.sum()))
        row = y * len(self.in_x) + int(np.flatnonzero(self.in_x)[x])
        return self.row + (number * self.tiles + self.tiles - 1) * self.height + row

    def switches_before(self, row):
        tiles = -(-(row - self.row) // self.height)
        return self.switch + max(0, tiles - 1 + self.switches_at_once)

    def lasts_before(self, row):
        tile, rest = divmod(row - self.row, self.height)
        number, tile = divmod(tile, self.tiles)
        y, x = divmod(rest, len(self.in_x))
        before = y * int(self.in_x.sum()) + int(self.in_x[:x].sum())
        return self.last + self.finish * (number * self.sums_per_tile + (before if tile == self.tiles - 1 else 0))


class Rows:
    """Rows of all products, from the row reader through the gate.

    Members
    -------
    total, switches, lasts : int
        Rows, switches and last rows of all products issued.
    gone, switched : int
        Rows, and switches among them, that have passed the gate.
    waits_for_tile : bool
        What the next one waits for; else, for room.
    """

    def __init__(self, config, fresh):
        self._config, self._fresh, self._products, self._fault = config, fresh, [], None
        self.total = self.switches = self.lasts = self.gone = self.switched = 0
        self.waits_for_tile = False

    def issue(self, index, op, faults):
        product = Product(
            row=self.total, switch=self.switches, last=self.lasts, in_x=sums_in_x(self._config, op),
            y_count=op.y_count, tiles=op.c_count * op.kx_count * op.ky_count, sums=op.n_count, finish=op.finish,
            switches_at_once=int(self._fresh or not op.reuse))
        self._fresh = False
        self._products.append(product)
        if faults and self._fault is None:
            self._fault = faults[0].error, index, self.total + faults[0].place
        self.total += product.count
        self.switches += product.switches
        self.lasts += product.lasts
        return NEVER if self._fault else self.total

    @property
    def _end(self):
        """Rows that are there to go."""
        return self._fault[2] if self._fault else self.total

    def before_switch(self, number):
        """Rows that go if there are so many tiles and all the room."""
        row = next((each.row_of_switch(number) for each in self._products if number < each.switch + each.switches),
                   self.total)
        return min(row, self._end)

    def before_last(self, number):
        """The same with room for so many last rows and all tiles."""
        row = next((each.row_of_last(number) for each in self._products if number < each.last + each.lasts), self.total)
        return min(row, self._end)

    def _at(self, row):
        return next((each for each in self._products if row <= each.row + each.count), None)

    def lasts_before(self, row):
        product = self._at(row)
        return product.lasts_before(row) if product else self.lasts

    def go(self, gone, *, waits_for_tile):
        self.gone, self.waits_for_tile = gone, waits_for_tile
        product = self._at(gone)
        self.switched = product.switches_before(gone) if product else self.switches
        while self._products and self._products[0].row + self._products[0].count <= gone:
            self._products.pop(0)

    def errors(self, flow):
        """A row is looked at as soon as all before it have been read."""
        reached = self._fault is not None and self._fault[2] <= self.gone + flow.limits.rows
        return [self._fault[:2]] if reached else []


class Sums:
    """Instructions of the activation unit, and the sums they take.

    Members
    -------
    taken : int
        Rows of sums.
    done : int
        Instructions.
    """

    def __init__(self):
        self.taken = self.done = 0
        self._queue, self._errors, self._wanted = collections.deque(), [], 0
        self._issued = 0

    def issue(self, index, op, faults):
        rows = op.x_count * op.y_count if op.name == "activate" else 0
        self._queue.append((index, rows, faults[0] if faults else None))
        self._issued += 1
        return self._issued

    def take(self, there):
        """So many sums are there for the taking, counted from the first of all."""
        while self._queue and not self._errors:
            index, rows, fault = self._queue[0]
            end = self._wanted + rows
            if fault:
                # A row of sums goes wrong when it has come, parameter records before.
                place = fault.place + 1 if rows else 0
                self.taken = min(there, self._wanted + max(place - 1, 0))
                if self._wanted + place <= there:
                    self._errors.append((fault.error, index))
                return
            self.taken = min(there, end)
            if there < end:
                return
            self._queue.popleft()
            self._wanted, self.done = end, self.done + 1

    def errors(self):
        return self._errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream:
    """A read_weights as a part of all tiles and all beats."""

    tile: int
    beat: int
    tiles: int
    tile_beats: int
    word: int  # of memory, its first
    diagonal: int


class Weights:
    """Tiles of all read_weights, from the first burst to the shadow tile.

    Beats are asked for in whole bursts, as far as there is room in the receive FIFO. From there a word at a time is
    taken apart into rows, which fill the weight FIFO and the shadow tile.

    Members
    -------
    tiles : int
        Issued.
    usable : int
        Those that come, if tiles before them are switched to.
    asked : int
        Beats.
    """

    def __init__(self, config, limits):
        self._config, self._limits = config, limits
        self._streams, self._region, self._bus = [], None, None
        self.tiles = self.beats = self.asked = 0

    def issue(self, index, op, faults):
        config = self._config
        beats = config.tile_bytes(diagonal=bool(op.diagonal)) // config.bus_bytes
        self._streams.append(Stream(tile=self.tiles, beat=self.beats, tiles=op.tile_count, tile_beats=beats,
                                     word=op.memory // config.bus_bytes, diagonal=op.diagonal))
        for error, place in faults:
            if error == ErrorCode.REGION and self._region is None:
                self._region = error, index, self.tiles + place
            elif error != ErrorCode.REGION and self._bus is None:
                self._bus = error, index, self.beats + place
        self.tiles += op.tile_count
        self.beats += op.tile_count * beats
        return NEVER if self._region or self._bus else self.beats

    @property
    def usable(self):
        least = self.tiles if self._region is None else self._region[2]
        return least if self._bus is None else min(least, self._tile_of(self._bus[2]))

    def _tile_of(self, beat):
        stream = self._with_beat(beat)
        return stream.tile + (beat - stream.beat) // stream.tile_beats

    def _with_beat(self, beat):
        return self._streams[bisect.bisect_right(self._streams, beat, key=lambda each: each.beat) - 1]

    def go(self, switched):
        """Ask for all that there is room for after so many switches."""
        left = self._taken(switched * self._config.matrix.arch.rows + self._limits.weight_rows)
        reach = left + self._limits.beats_ahead
        end = self._beats_in_tiles(self._region[2]) if self._region else self.beats
        self.asked = min(end, self._burst(reach)[1]) if reach < self.beats else end

    def _taken(self, rows):
        """Beats that have left the receive FIFO when so many rows have been sent on: with those of the word at hand."""
        config, (tile, row) = self._config, divmod(rows, self._config.matrix.arch.rows)
        end = self.beats if self._bus is None else self._bus[2]
        if tile >= self.tiles:
            return end
        stream = self._with_tile(tile)
        words = 1 if stream.diagonal else row // config.weight_rows_per_beat + 1
        return min(end, stream.beat + (tile - stream.tile) * stream.tile_beats + words * config.weight_beats_per_row)

    def _with_tile(self, tile):
        return self._streams[bisect.bisect_right(self._streams, tile, key=lambda each: each.tile) - 1]

    def _beats_in_tiles(self, tiles):
        if tiles >= self.tiles:
            return self.beats
        stream = self._with_tile(tiles)
        return stream.beat + (tiles - stream.tile) * stream.tile_beats

    def _burst(self, beat):
        """First beat of the burst with that beat, and the first after it: cut at pages and its longest, diagonal tiles
        apart."""
        stream, longest = self._with_beat(beat), self._config.longest_burst
        place, run = beat - stream.beat, stream.tile_beats * (1 if stream.diagonal else stream.tiles)
        begin = place - place % run
        page_beats = PAGE_BYTES // self._config.bus_bytes
        page = place - (stream.word + place) % page_beats
        first = max(begin, page) + (place - max(begin, page)) // longest * longest
        return stream.beat + first, stream.beat + min(first + longest, page + page_beats, begin + run)

    def errors(self):
        """A tile is looked at once the one before it is being cut: then all bursts before that have been offered."""
        found = []
        if self._bus and self._bus[2] < self.asked:
            found.append(self._bus[:2])
        if self._region and self._being_cut(self._region[2] - 1):
            found.append(self._region[:2])
        return found

    def _being_cut(self, tile):
        """Tiles of an instruction are cut together, but diagonal ones: the next joins in if a burst is not full."""
        if tile < 0:
            return True
        stream, offered = self._with_tile(tile), self.asked
        if offered < self.beats:
            offered = self._burst(offered)[1]
        joins = tile > stream.tile and not stream.diagonal
        return self._beats_in_tiles(tile) - offered < (self._config.longest_burst if joins else 1)
