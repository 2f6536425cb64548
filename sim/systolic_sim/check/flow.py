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

import collections
import dataclasses
from collections.abc import Callable

from systolic import isa
from systolic.isa import ErrorCode
from systolic.tpu_config import TpuConfig
from systolic_sim.check.accesses import access_faults, check_fields, regions
from systolic_sim.check.units import NEVER, Limits, Rows, Sums, Weights

__all__ = ["Flow", "Stuck"]


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
        An instruction in flight; ``None`` where all are done but rows wait at the gate.
    waits_for : str
        What it, or they, wait for: ``"tile"``, ``"room for results"``, ``"room for weights"``, ``"results"`` or
        ``"an error"``.
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
    faults : bool
        Whether accesses can go astray; if not, the flow is that of a program with all of them mended.

    Members
    -------
    program : list of Operation
        What was issued or executed by the sequencer.
    errors : list of (str, int)
        Names of errors and their instructions, in the order of the program. Hardware reports one of them: which one
        depends on timing where there are more.
    stuck : Stuck or None
    """

    def __init__(self, config: TpuConfig, *, answers: Callable[[int, int], bool] | None = None, fresh: bool = True,
                 faults: bool = True) -> None:
        self.config, self.limits = config, Limits(config)
        self._answers, self._faults = answers, faults
        self._weights, self._rows = Weights(config, self.limits), Rows(config, fresh)
        self._sums = Sums()
        self._in_flight: dict[str, collections.deque[_InFlight]] = {unit: collections.deque() for unit in isa.UNITS[1:]}
        self._transfers: dict[str, list[tuple[ErrorCode, int]]] = {"load": [], "store": []}
        self.program: list[isa.Operation] = []
        self.errors: list[tuple[ErrorCode, int]] = []
        self.stuck: Stuck | None = None

    def run(self, code: bytes, *, beyond: ErrorCode = ErrorCode.END) -> "Flow":
        """Follow a program to its end.

        Parameters
        ----------
        code : bytes
        beyond : ErrorCode
            The error of an instruction after the last.

        Returns
        -------
        Flow
            This one. Without ``errors``, the program halts; ``(ErrorCode.WATCHDOG, index)`` says where it is stuck.
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

    @property
    def tiles_left(self):
        """Weight tiles that were read and that no row switches to; below 0, those that rows lack."""
        return self._weights.tiles - self._rows.switches

    @property
    def sums_left(self):
        """Rows of finished sums that no activate has taken."""
        return self._rows.lasts - self._sums.taken

    def _collect(self, index, problem):
        """What the sequencer has met, and the units until then."""
        found = [*self._transfers["load"], *self._transfers["store"], *self._weights.errors(), *self._rows.errors(self),
                 *self._sums.errors()]
        if problem:
            found.append((problem, index))
        self.errors = sorted(dict.fromkeys(found), key=lambda error: error[1])
        if self.stuck and not self.errors:
            self.errors = [(ErrorCode.WATCHDOG, index)]

    def _step(self, index, op):
        """Issue or execute an instruction, if it can ever be; or an error."""
        unit = op.instruction.unit
        if unit == "sequencer":
            return self._wait(index, op)
        if len(self._flying(unit)) >= self.limits.instructions:
            return self._hold(index, "unit", self._in_flight[unit][0], unit)
        for (space, writes, base, end), in_place in zip(regions(op), isa.overlaps(op), strict=True):
            if space == "buffer" and end > self.config.buffer_size:
                return ErrorCode.BUFFER
            if in_place is False:
                return ErrorCode.OVERLAP
            if holder := self._conflict(unit, space, writes, base, end):
                return self._hold(index, "conflict", *holder)
        self.program.append(op)
        faults = access_faults(self.config, op, self._answers) if self._faults else []
        end = getattr(self, f"_issue_{unit}")(index, op, faults)
        self._in_flight[unit].append(_InFlight(index, regions(op), end))
        self._settle()
        return None

    def _wait(self, index, op):
        if op.instruction.waits:
            for unit in self._in_flight:
                if flying := self._flying(unit):
                    return self._hold(index, "quiet", flying[0], unit)
            if self._rows.total > self._rows.gone + self.limits.GATE:
                return self._hold(index, "quiet", None, "matrix")
        if op.name == "halt" and (self.tiles_left or self.sums_left):
            return ErrorCode.LEFTOVER
        self.program.append(op)
        return None

    def _hold(self, index, reason, holder, unit):
        self.stuck = Stuck(index=index, reason=reason, holder=holder.index if holder else None,
                           waits_for=self._waits_for(unit))

    def _waits_for(self, unit):
        """What a unit waits for that has an instruction in flight for ever: if for rows, what these wait for."""
        if unit in ("load", "store"):
            return "an error"
        if self._rows.total > self._rows.gone:
            return "tile" if self._rows.waits_for_tile else "room for results"
        return "room for weights" if unit == "weights" else "results"

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
        met = {error for error, _ in errors}
        errors += [(fault.error, index) for fault in faults if ErrorCode.REGION not in met and fault.error not in met]
        return NEVER if errors else 0

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
