"""The weight reader, cycle by cycle."""

from systolic import isa

from .bursts import Account, BurstReader, Transfer
from .queue import Queue

__all__ = ["WeightReader"]


class WeightReader(Account):
    """Mirrors :class:`systolic.gateware.dma.weight_reader.WeightReader`.

    Members
    -------
    command_ready, done, busy, moving : bool
    error : tuple of int or None
        Code and index.
    request : tuple of int or None
        (address, beats) it asks for.
    weights_valid : bool
        A row of weights is on offer.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self._reader = BurstReader(config, buffer=False)
        self._queue = Queue(self._reader.depth, config.matrix.fifo_stages)
        # Beats that the word still lacks, rows that it still has, rows that the tile still has.
        self._missing, self._waiting, self._rows = config.weight_beats_per_row, 0, config.matrix.arch.rows
        self._diagonal = False
        self._show()

    def _show(self):
        self.command_ready, self.request = self._reader.ready, self._reader.request
        self.weights_valid = not self._missing

    def step(self, command, request_ready, beat, weights_ready, stop):
        """Advance one clock.

        Parameters
        ----------
        command : tuple or None
            (index, values of the fields) on offer.
        request_ready, weights_ready, stop : bool
        beat : tuple of bool or None
            (error, last) that came.
        """
        burst, dead, queue = self._reader.o, self.dead, self._queue
        sent = self.weights_valid and weights_ready
        good = beat is not None and not beat[0]
        ended = beat is not None and beat[1]
        asked = self.request is not None and request_ready
        begun = command is not None and self.command_ready
        self.account(begun, good and ended and burst.final, beat is not None or sent or asked, self._reader.error,
                     (isa.ErrorCode.BUS_READ, burst.instruction) if beat is not None and not good else None)
        head = queue.head
        taken = self._send(sent) and head is not None
        if taken:
            self._fill(head)
        self._reader.step(self._transfer(*command) if begun else None, request_ready, ended, taken, stop or dead)
        queue.step((burst.mark,) if good and not dead else None, taken)
        self._show()

    def _send(self, sent):
        """A row goes or not; whether the word can take a beat."""
        if sent:
            self._rows -= 1
            self._waiting -= 1
            if not self._rows or not self._waiting:
                self._missing = self.config.weight_beats_per_row
            self._rows = self._rows or self.config.matrix.arch.rows
        return self._missing > 0

    def _fill(self, head):
        self._diagonal, = head
        self._missing -= 1
        self._waiting = self.config.matrix.arch.rows if self._diagonal else self.config.weight_rows_per_beat

    def _transfer(self, index, values):
        """A tile is a row of bytes."""
        size = self.config.tile_bytes(diagonal=values["diagonal"])
        return Transfer(memory=values["memory"], memory_size=values["memory_size"], memory_stride=size, row_bytes=size,
                        row_count=values["tile_count"], mark=values["diagonal"], instruction=index)
