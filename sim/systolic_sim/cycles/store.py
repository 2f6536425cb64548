"""The store unit, cycle by cycle."""

from systolic import isa

from .bursts import Account, BeatWalker, BurstWalker, Transfer
from .queue import Queue

__all__ = ["Storer"]


class Storer(Account):
    """Mirrors :class:`systolic.gateware.dma.store.Storer`.

    Members
    -------
    command_ready, done, busy, moving : bool
    error : tuple of int or None
        Code and index.
    read : int or None
        Address it asks the buffer for.
    aw : tuple of int or None
        (address, beats) on offer.
    w : tuple or None
        (count of bytes, last) on offer.
    idle : bool
    """

    QUEUE, WAITING = 16, 2

    def __init__(self, config):
        super().__init__()
        self._walker, self._beats = BurstWalker(config), BeatWalker(config)
        self._most = config.writes_in_flight
        self._waiting, self._under_way, self._queue = Queue(self.WAITING), Queue(max(2, self._most)), Queue(self.QUEUE)
        self._steps = [None] * config.READ_LATENCY
        self._free, self._count = self.QUEUE, 0
        self.aw = None
        self._show()

    def _show(self):
        step = self._beats.o
        self.command_ready = self._walker.ready
        self.read = step.address if step is not None and self._free else None
        self.w = self._queue.head
        self.idle = not self._count

    def step(self, command, read_ready, read_valid, aw_ready, w_ready, b, stop):
        """Advance one clock.

        Parameters
        ----------
        command : tuple or None
            (index, values of the fields) on offer.
        read_ready, read_valid, aw_ready, w_ready, stop : bool
        b : bool or None
            Whether the response that came is an error.
        """
        walker, waiting, under_way = self._walker, self._waiting, self._under_way
        stop = stop or self.dead
        begun = walker.o if self.aw is None and waiting.ready and self._count < self._most and not stop else None
        answered = b is not None
        asked, sent = self.read is not None and read_ready, self.w is not None and w_ready
        accepted = command is not None and self.command_ready
        moved = begun is not None or (self.aw is not None and aw_ready) or asked or sent or answered
        index, final = under_way.head or (0, False)
        self.account(accepted, answered and not b and final, moved, walker.error,
                     (isa.ErrorCode.BUS_WRITE, index) if b else None)
        self._count += (begun is not None) - answered
        self._free += sent - asked
        if aw_ready:
            self.aw = None
        if begun is not None:
            self.aw = begun.memory, begun.beats
        walker.step(Transfer.of(*command) if accepted else None, begun is not None)
        step, burst = self._beats.o, waiting.head
        waiting.step(begun, self._beats.ready(asked))
        under_way.step(begun and (begun.instruction, begun.final), answered)
        self._beats.step(burst, asked)
        arrived = self._steps[-1]
        self._steps = [(step.length, step.last) if step else None, *self._steps[:-1]]
        self._queue.step(arrived if read_valid else None, w_ready)
        self._show()
