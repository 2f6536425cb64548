"""The load unit, cycle by cycle."""

from systolic import isa

from .bursts import Account, BeatWalker, BurstReader, Transfer
from .queue import Queue

__all__ = ["Loader"]


class Loader(Account):
    """Mirrors :class:`systolic.gateware.dma.load.Loader`.

    Members
    -------
    command_ready, done, busy, moving : bool
    error : tuple of int or None
        Code and index.
    request : tuple of int or None
        (address, beats) it asks for.
    write : tuple of int or None
        (address, count) on offer to the buffer.
    """

    def __init__(self, config):
        super().__init__()
        self._reader = BurstReader(config)
        self._queue = Queue(self._reader.depth, config.matrix.fifo_stages)
        self._walker = BeatWalker(config)
        self.write, self._final = None, False
        self._show()

    def _show(self):
        self.command_ready, self.request = self._reader.ready, self._reader.request

    def step(self, command, request_ready, beat, write_ready, stop):
        """Advance one clock.

        Parameters
        ----------
        command : tuple or None
            (index, values of the fields) on offer.
        request_ready, write_ready, stop : bool
        beat : tuple of bool or None
            (error, last) that came.
        """
        step, queue = self._walker.o, self._queue
        dead, reader_error = self.dead, self._reader.error
        written = self.write is not None and write_ready
        left = queue.head is not None and step is not None and (self.write is None or write_ready) and not dead
        failed = left and queue.head[0]
        asked = self.request is not None and request_ready
        begun = command is not None and self.command_ready
        self.account(begun, written and self._final, written or beat is not None or asked,
                     reader_error, (isa.ErrorCode.BUS_READ, step.instruction) if failed else None)
        if written:
            self.write = None
        if left:
            self.write = None if failed else (step.address, step.length)
            self._final = step.final
        burst = self._reader.o
        self._reader.step(Transfer.of(*command) if begun else None, request_ready, self._walker.ready(left), left,
                          stop or dead)
        self._walker.step(burst, left)
        queue.step(beat, left)
        self._show()
