"""A memory of fixed latency on the bus, cycle by cycle."""

import collections

__all__ = ["Memory"]


class Memory:
    """Takes addresses at once, answers in order.

    The first beat of a read comes ``latency`` cycles after its address at the earliest, then one a cycle; the response
    to a write so long after its address and its last beat.

    Parameters
    ----------
    latency : int
        From 1.
    bytes_per_cycle : float or None
        What it can deliver on average; ``None`` for a bus word a cycle.
    bus_bytes : int

    Members
    -------
    beat : tuple or None
        (error, last) on offer.
    response : bool
        A write response is on offer.
    """

    def __init__(self, latency, bus_bytes, bytes_per_cycle=None):
        self.latency = latency
        self._share = None if bytes_per_cycle is None else bytes_per_cycle / bus_bytes
        self._saved = 2.0
        self._now = 0
        self._reads = collections.deque()
        self._addresses, self._data, self._responses = collections.deque(), collections.deque(), collections.deque()
        self.beat, self.response = None, False

    def step(self, ar, aw, last_written):
        """Advance one clock: ``ar`` and ``aw`` are (address, beats) or ``None``, both taken, as are beats and responses
        on offer; whether a burst's last beat was written."""
        if self.beat is not None:
            burst = self._reads[0]
            burst[1] -= 1
            if not burst[1]:
                self._reads.popleft()
        if self.response:
            self._responses.popleft()
        if ar is not None:
            self._reads.append([self._now + self.latency, ar[1]])
        if aw is not None:
            self._addresses.append(self._now)
        if last_written:
            self._data.append(self._now)
        while self._addresses and self._data:
            self._responses.append(max(self._addresses.popleft(), self._data.popleft()) + self.latency)
        self._now += 1
        can = bool(self._reads) and self._reads[0][0] <= self._now
        if self._share is not None:
            self._saved = min(self._saved + self._share, 2.0)
            can = can and self._saved >= 1.0
            self._saved -= can
        self.beat = (False, self._reads[0][1] == 1) if can else None
        self.response = bool(self._responses) and self._responses[0] <= self._now
