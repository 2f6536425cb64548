"""The queue, cycle by cycle."""

import collections

__all__ = ["Queue"]


class Queue:
    """Mirrors :class:`systolic.gateware.lib.queue.Queue`.

    Parameters
    ----------
    depth, stages : int

    Members
    -------
    head
        The entry on offer, or ``None``.
    ready : bool
        Takes an entry.
    """

    def __init__(self, depth, stages=1):
        self.depth = depth
        self.stages = stages
        self.head = self._fetched = None
        self.ready = True
        self._stored = collections.deque()

    def step(self, entry, taken):
        """Advance one clock: an entry or ``None`` comes, which is lost if it is not taken; the head goes or not."""
        write = entry is not None and self.ready
        moves = self.head is None or taken
        if self.stages == 2:
            if moves:
                self.head = self._fetched
            if moves or self._fetched is None:
                self._fetched = self._stored.popleft() if self._stored else None
        elif moves:
            self.head = self._stored.popleft() if self._stored else None
        if write:
            self._stored.append(entry)
        self.ready = len(self._stored) < self.depth
