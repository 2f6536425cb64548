"""Bursts, cycle by cycle: :mod:`systolic.gateware.dma.bursts` and :mod:`systolic.gateware.dma.transfers`."""

from typing import NamedTuple

from systolic import isa
from systolic.tpu_config import PAGE_BYTES

from .queue import Queue

__all__ = ["Account", "BeatWalker", "Burst", "BurstReader", "BurstWalker", "Step", "Transfer"]

_MEMORY = 1 << 32


class Transfer(NamedTuple):
    """Rows to move; see the gateware's."""

    memory: int
    memory_size: int
    memory_stride: int
    row_bytes: int
    row_count: int
    instruction: int
    base: int = 0
    size: int = 0
    stride: int = 0
    mark: int = 0

    @classmethod
    def of(cls, index, values):
        """Of an instruction that has all fields."""
        return cls(instruction=index, **{name: values[name] for name in cls._fields
                                         if name not in ("instruction", "mark")})


class Burst(NamedTuple):
    """See the gateware's."""

    memory: int
    buffer: int
    beats: int
    tail: int
    final: bool
    mark: int
    instruction: int


class Step(NamedTuple):
    """See the gateware's."""

    address: int
    length: int
    last: bool
    final: bool
    instruction: int


class BurstWalker:
    """``ready`` for a transfer; ``o``: the burst on offer; ``error``: ``None`` or (code, index)."""

    def __init__(self, config, *, buffer=True):
        self.config = config
        self.buffer = buffer
        self.o = self.error = None
        self.ready = True
        # Cycles until the row is on offer, and until the burst is cut; None: no row. A dead end has no more of them.
        self._row_wait = self._cut_wait = None
        self._dead_row = self._dead_cut = False
        self._transfer, self._relative, self._count = None, [0, 0], 0
        self._rest = None

    def step(self, i, o_ready):
        """A transfer or ``None`` comes; the burst on offer is taken or not."""
        row = self._row() if self._row_wait == 0 else None
        bad = row is not None and not row[0]
        limit, last = self._limit()
        # One before the cut: the row that follows in memory can join.
        joins = self._cut_wait == 1 and self._short()
        cut = self._cut_wait == 0 and self.o is None
        onward = self._rest.memory + limit * self.config.bus_bytes if cut else 0
        wrapped = cut and not last and onward >= _MEMORY
        taken = row is not None and row[0] and not self._dead_cut and (self._rest is None or joins or (cut and last))

        wrong = self._rest if wrapped else row[1] if bad else None
        self.error = None if wrong is None else (isa.ErrorCode.REGION, wrong.instruction)
        if self.o is not None and o_ready:
            self.o = None
        if cut:
            self._cut(limit, last)
        elif self._cut_wait and not joins:
            self._cut_wait -= 1
        if wrapped:
            self._dead_cut, self._cut_wait = True, None
        self._advance_rows(i, bad, taken)
        if taken:
            self._rest = self._joined(row[1]) if joins else row[1]
            self._cut_wait = 2

    def _short(self):
        rest = self._rest
        return not (self.buffer or rest.final or rest.mark) and rest.beats < self.config.longest_burst

    def _joined(self, row):
        return self._rest._replace(beats=self._rest.beats + row.beats, final=row.final)

    def _row(self):
        """Whether the row is inside its regions, and the row as if it were one burst."""
        t = self._transfer
        bus_bytes = self.config.bus_bytes
        memory, buffer = t.memory + self._relative[0], t.base + self._relative[1]
        inside = memory < _MEMORY and self._relative[0] + t.row_bytes <= t.memory_size
        if self.buffer:
            inside = inside and self._relative[1] + t.row_bytes <= t.size
        return inside, Burst(memory, buffer % (1 << self.config.address_width), -(-t.row_bytes // bus_bytes),
                             (t.row_bytes - 1) % bus_bytes, self._count == 1, t.mark, t.instruction)

    def _limit(self):
        """Beats of the next burst, and whether it is its row's last."""
        if self._rest is None:
            return 0, False
        to_page = (PAGE_BYTES - self._rest.memory % PAGE_BYTES) // self.config.bus_bytes
        limit = min(to_page, self.config.burst_beats)
        return min(limit, self._rest.beats), self._rest.beats <= limit

    def _cut(self, beats, last):
        rest, bus_bytes = self._rest, self.config.bus_bytes
        self.o = rest._replace(beats=beats, tail=rest.tail if last else bus_bytes - 1, final=last and rest.final)
        if last:
            self._rest = self._cut_wait = None
            return
        self._rest = rest._replace(memory=rest.memory + beats * bus_bytes, beats=rest.beats - beats,
                                   buffer=(rest.buffer + beats * bus_bytes) % (1 << self.config.address_width))
        self._cut_wait = 2

    def _advance_rows(self, i, bad, taken):
        t = self._transfer
        if self.ready:
            if i is not None:
                self._transfer, self._relative, self._count = i, [0, 0], i.row_count
                self.ready, self._row_wait = False, 2
        elif bad:
            self._row_wait = None
        elif taken:
            self._relative = [(self._relative[0] + t.memory_stride) % _MEMORY,
                              (self._relative[1] + t.stride) % (1 << self.config.address_width)]
            self._count -= 1
            self.ready = self._count == 0
            self._row_wait = None if self.ready else 2
        elif self._row_wait:
            self._row_wait -= 1


class BurstReader:
    """``ready`` for a transfer; ``request``: (address, beats) or ``None``; ``o``: the oldest burst that was asked for
    and not taken yet; ``error``."""

    def __init__(self, config, **options):
        self.config = config
        self.depth = config.receive_beats
        self._walker = BurstWalker(config, **options)
        self._queue, self._stopped = Queue(config.reads_in_flight + 2, config.matrix.fifo_stages), False
        self._room, self._enough, self._given = self.depth, True, False

    @property
    def ready(self):
        return self._walker.ready

    @property
    def error(self):
        return self._walker.error

    @property
    def o(self):
        return self._queue.head

    @property
    def request(self):
        burst = self._walker.o
        offered = burst is not None and self._enough and self._queue.ready and not self._stopped
        return (burst.memory, burst.beats) if offered else None

    def step(self, i, request_ready, o_ready, left, stop):
        asked = self._walker.o if self.request is not None and request_ready else None
        self._stopped = stop
        self._enough = self._room >= self.config.longest_burst
        self._room += self._given - (asked.beats if asked else 0)
        self._given = left
        self._walker.step(i, asked is not None)
        self._queue.step(asked, o_ready)


class BeatWalker:
    """``o``: the step on offer. Takes a burst when :meth:`ready`."""

    def __init__(self, config):
        self.config = config
        self.o = None
        self._left, self._burst = 0, None

    def ready(self, o_ready):
        """Whether it takes a burst in a cycle in which its step is taken, or not."""
        return self.o is None or (o_ready and self.o.last)

    def step(self, i, o_ready):
        if self.ready(o_ready):
            self._burst = i
            self.o = None
            if i is not None:
                self._left = i.beats
                self.o = self._step(i.buffer)
        elif o_ready:
            self._left -= 1
            self.o = self._step((self.o.address + self.config.bus_bytes) % (1 << self.config.address_width))

    def _step(self, address):
        burst, last = self._burst, self._left == 1
        length = burst.tail + 1 if last else self.config.bus_bytes
        return Step(address, length, last, last and burst.final, burst.instruction)


class Account:
    """``done``, ``busy``, ``moving``, ``error`` of a unit; ``dead`` after its first error."""

    def __init__(self):
        self.done = self.busy = self.moving = self.dead = False
        self.error = None
        self._instructions = 0

    def account(self, begun, finished, moved, *errors):
        """One clock: an instruction came, one was finished, anything moved; None or the (code, index) of errors."""
        self.error = None
        finished = finished and not self.dead
        if not self.dead:
            for error in errors:
                self.error = error or self.error
        self.dead = self.dead or self.error is not None
        self.done, self.moving = finished, begun or moved
        self._instructions += begun - finished
        self.busy = self._instructions > 0
