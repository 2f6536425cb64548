"""How far a program gets: what its instructions wait for, and whether it gets stuck.

::

    sequencer ─┬─▶ weights ────▶ beats ─▶ weight FIFO ─▶ shadow tile ─┐
    (two in    ├─▶ matrix ─────▶ rows ──────────────────────────────▶ gate ─▶ result FIFO ─┐
    flight     ├─▶ activation ◀────────────────────────────────────────────────────────────┘
    per unit)  └─▶ load, store

The machine is a network of units that each run their own instructions in order, joined by FIFOs that a unit can neither
look into nor leave: a process network in the sense of Kahn, with bounded buffers. How far it gets is therefore the same
at any timing. :class:`Flow` works that out: for each instruction that it issues, the last state that the machine
reaches before the sequencer must go on. States are counts of rows, tiles and beats, found by arithmetic; so the time
this takes depends on the number of instructions, not on their loops.

Which of several errors comes first may depend on timing, as units run side by side: ``Flow.errors`` has all of them.
"""

import bisect
import collections
import dataclasses

from systolic import isa
from systolic.tpu_config import PAGE_BYTES
from systolic_sim.accesses import access_faults, check_fields, regions
from systolic_sim.cycles.row_reader import RowReader

__all__ = ["Flow", "Limits", "Stuck"]

_WAITING = ("sync", "interrupt", "halt")
_NEVER = float("inf")


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
class Stuck:
    """Where the sequencer stands for ever.

    Parameters
    ----------
    index : int
        The instruction that it cannot issue.
    reason : str
        ``"unit"``: two instructions are in flight in its unit. ``"conflict"``: ``holder`` still needs its bytes.
        ``"quiet"``: it waits until none is in flight.
    holder : int or None
        Instruction that is in flight, and what it waits for: ``"tile"``, ``"room for results"``, ``"room for weights"``
        or ``"results"``.
    waits_for : str
    """

    index: int
    reason: str
    holder: int | None
    waits_for: str


@dataclasses.dataclass(frozen=True)
class _InFlight:
    """An instruction of a unit, and the count at which it is done."""

    index: int
    regions: list
    end: float


class Flow:
    """A program's way through a TPU.

    Parameters
    ----------
    config : TpuConfig
    answers : function of (address, size) or None
        See :func:`.accesses.access_faults`.
    fresh : bool
        No row has passed since reset, so the first takes a tile whether it ``reuse``s one or not.

    Members
    -------
    program : list of Operation
        What was issued or executed by the sequencer.
    errors : list of (str, int)
        Names of errors and their instructions, in the order of the program. Hardware reports one of them: which one
        depends on timing where there are more.
    stuck : Stuck or None
    """

    def __init__(self, config, *, answers=None, fresh=True):
        self.config, self.limits = config, Limits(config)
        self._answers = answers
        self._weights, self._rows = _Weights(config, self.limits), _Rows(fresh)
        self._sums = _Sums()
        self._in_flight = {unit: collections.deque() for unit in isa.UNITS[1:]}
        self._transfers = {"load": [], "store": []}
        self.program, self.errors, self.stuck = [], [], None

    def run(self, code, *, beyond="end"):
        """Follow a program to its end.

        Parameters
        ----------
        code : bytes
        beyond : str
            The error of an instruction after the last.

        Returns
        -------
        Flow
            This one. Without ``errors``, the program halts; ``("watchdog", index)`` says where it is stuck.
        """
        problem = None
        for index in range(len(code) // isa.BYTES):
            word = code[isa.BYTES * index:][:isa.BYTES]
            problem = check_fields(self.config, int.from_bytes(word, "little")) or self._step(index, *isa.decode(word))
            if problem or self.stuck or self.program[-1].name == "halt":
                break
        else:
            index, problem = len(code) // isa.BYTES, beyond
        self._collect(index, problem)
        return self

    def _collect(self, index, problem):
        """What the sequencer has met, and the units until then."""
        found = [*self._transfers["load"], *self._transfers["store"], *self._weights.errors(), *self._rows.errors(self),
                 *self._sums.errors()]
        if problem:
            found.append((problem, index))
        self.errors = sorted(dict.fromkeys(found), key=lambda error: error[1])
        if self.stuck and not self.errors:
            self.errors = [("watchdog", index)]

    def _step(self, index, op):
        """Issue or execute an instruction, if it can ever be; the name of an error."""
        unit = op.instruction.unit
        if unit == "sequencer":
            return self._wait(index, op)
        if len(self._flying(unit)) >= self.limits.instructions:
            return self._hold(index, "unit", self._in_flight[unit][0], unit)
        for space, writes, base, end in regions(op):
            if space == "buffer" and end > self.config.buffer_size:
                return "buffer"
            if holder := self._conflict(unit, space, writes, base, end):
                return self._hold(index, "conflict", *holder)
        self.program.append(op)
        faults = access_faults(self.config, op, self._answers)
        end = getattr(self, f"_issue_{unit}")(index, op, faults)
        self._in_flight[unit].append(_InFlight(index, regions(op), end))
        self._settle()
        return None

    def _wait(self, index, op):
        if op.name in _WAITING:
            for unit in self._in_flight:
                if flying := self._flying(unit):
                    return self._hold(index, "quiet", flying[0], unit)
            if self._rows.total > self._rows.gone + self.limits.GATE:
                return self._hold(index, "quiet", None, "matrix")
        if op.name == "halt" and (self._weights.tiles != self._rows.switches or self._rows.lasts != self._sums.taken):
            return "leftover"
        self.program.append(op)
        return None

    def _hold(self, index, reason, holder, unit):
        self.stuck = Stuck(index=index, reason=reason, holder=holder.index if holder else None,
                           waits_for=self._waits_for(unit))

    def _waits_for(self, unit):
        """What a unit does that has an instruction in flight for ever."""
        if unit == "matrix":
            return "tile" if self._rows.waits_for_tile else "room for results"
        return {"weights": "room for weights", "activation": "results"}.get(unit, "an error")

    def _flying(self, unit):
        """Instructions of a unit that are never done until the sequencer goes on."""
        flying = self._in_flight[unit]
        done = {"weights": self._weights.asked, "matrix": self._rows.gone + self.limits.rows,
                "activation": self._sums.done}.get(unit, 0)
        while flying and flying[0].end <= done:
            flying.popleft()
        return flying

    def _conflict(self, unit, space, writes, base, end):
        """As the scoreboard: an instruction in flight that must be done before, and its unit."""
        for other in self._in_flight:
            for each in self._flying(other):
                for its_space, its_writes, its_base, its_end in each.regions:
                    overlap = space == its_space and base < its_end and its_base < end
                    if overlap and (its_writes and not writes if other == unit else its_writes or writes):
                        return each, other
        return None

    def _issue_load(self, index, op, faults, unit="load"):
        """Nothing holds up a transfer but its errors. Rows after a bus error may be looked at before it comes."""
        errors = self._transfers[unit]
        met = {name for name, _ in errors}
        errors += [(fault.name, index) for fault in faults if "region" not in met and fault.name not in met]
        return _NEVER if errors else 0

    def _issue_store(self, index, op, faults):
        return self._issue_load(index, op, faults, "store")

    def _issue_weights(self, index, op, faults):
        return self._weights.issue(index, op, faults)

    def _issue_matrix(self, index, op, faults):
        return self._rows.issue(index, op, faults)

    def _issue_activation(self, index, op, faults):
        return self._sums.issue(index, op, faults)

    def _settle(self):
        """Let every unit do what it can.

        Sums are taken as they come, so only tiles decide how many the activation unit gets; those after its last
        instruction's fill the result FIFO.
        """
        rows, weights, sums = self._rows, self._weights, self._sums
        by_tiles = rows.before_switch(weights.usable)
        sums.take(rows.lasts_before(by_tiles))
        by_room = rows.before_last(sums.taken + self.limits.results)
        rows.go(min(by_tiles, by_room), waits_for_tile=by_tiles <= by_room)
        weights.go(rows.switched)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Product:
    """A matrix_multiply as a part of all rows: where its rows, switches and last rows begin."""

    row: int
    switch: int
    last: int
    height: int  # rows per tile
    tiles: int  # per sum
    sums: int
    switches_at_once: int
    finish: int

    @property
    def count(self):
        return self.height * self.tiles * self.sums

    @property
    def switches(self):
        return self.tiles * self.sums - 1 + self.switches_at_once

    @property
    def lasts(self):
        return self.height * self.sums * self.finish

    def row_of_switch(self, number):
        return self.row + (number - self.switch + 1 - self.switches_at_once) * self.height

    def row_of_last(self, number):
        number -= self.last
        return self.row + (number // self.height * self.tiles + self.tiles - 1) * self.height + number % self.height

    def switches_before(self, row):
        tiles = -(-(row - self.row) // self.height)
        return self.switch + max(0, tiles - 1 + self.switches_at_once)

    def lasts_before(self, row):
        tile, rest = divmod(row - self.row, self.height)
        number, tile = divmod(tile, self.tiles)
        return self.last + self.finish * (number * self.height + (rest if tile == self.tiles - 1 else 0))


class _Rows:
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

    def __init__(self, fresh):
        self._fresh, self._products, self._fault = fresh, [], None
        self.total = self.switches = self.lasts = self.gone = self.switched = 0
        self.waits_for_tile = False

    def issue(self, index, op, faults):
        product = _Product(
            row=self.total, switch=self.switches, last=self.lasts, height=op.x_count * op.y_count,
            tiles=op.c_count * op.kx_count * op.ky_count, sums=op.n_count, finish=op.finish,
            switches_at_once=int(self._fresh or not op.reuse))
        self._fresh = False
        self._products.append(product)
        if faults and self._fault is None:
            self._fault = faults[0].name, index, self.total + faults[0].place
        self.total += product.count
        self.switches += product.switches
        self.lasts += product.lasts
        return _NEVER if self._fault else self.total

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


class _Sums:
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
                    self._errors.append((fault.name, index))
                return
            self.taken = min(there, end)
            if there < end:
                return
            self._queue.popleft()
            self._wanted, self.done = end, self.done + 1

    def errors(self):
        return self._errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stream:
    """A read_weights as a part of all tiles and all beats."""

    tile: int
    beat: int
    tiles: int
    tile_beats: int
    word: int  # of memory, its first
    diagonal: int


class _Weights:
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
        self._preset, self._limits = config, limits
        self._streams, self._region, self._bus = [], None, None
        self.tiles = self.beats = self.asked = 0

    def issue(self, index, op, faults):
        config = self._preset
        beats = config.tile_bytes(diagonal=bool(op.diagonal)) // config.bus_bytes
        self._streams.append(_Stream(tile=self.tiles, beat=self.beats, tiles=op.tile_count, tile_beats=beats,
                                     word=op.memory // config.bus_bytes, diagonal=op.diagonal))
        for name, place in faults:
            if name == "region" and self._region is None:
                self._region = name, index, self.tiles + place
            elif name != "region" and self._bus is None:
                self._bus = name, index, self.beats + place
        self.tiles += op.tile_count
        self.beats += op.tile_count * beats
        return _NEVER if self._region or self._bus else self.beats

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
        left = self._taken(switched * self._preset.unit.arch.rows + self._limits.weight_rows)
        reach = left + self._limits.beats_ahead
        end = self._beats_in_tiles(self._region[2]) if self._region else self.beats
        self.asked = min(end, self._burst(reach)[1]) if reach < self.beats else end

    def _taken(self, rows):
        """Beats that have left the receive FIFO when so many rows have been sent on: with those of the word at hand."""
        config, (tile, row) = self._preset, divmod(rows, self._preset.unit.arch.rows)
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
        """First beat of the burst with that beat, and the first after it: cut at tiles, pages and its longest."""
        stream, longest = self._with_beat(beat), self._preset.longest_burst
        place = beat - stream.beat
        tile = place - place % stream.tile_beats
        page_beats = PAGE_BYTES // self._preset.bus_bytes
        page = place - (stream.word + place) % page_beats
        first = max(tile, page) + (place - max(tile, page)) // longest * longest
        return stream.beat + first, stream.beat + min(first + longest, page + page_beats, tile + stream.tile_beats)

    def errors(self):
        """Rows of bytes, tiles, are looked at two ahead of the one whose last burst waits to be asked for."""
        found = []
        if self._bus and self._bus[2] < self.asked:
            found.append(self._bus[:2])
        if self._region:
            before = self._beats_in_tiles(max(0, self._region[2] - 1))
            if not before or self._burst(before - 1)[0] <= self.asked:
                found.append(self._region[:2])
        return found
