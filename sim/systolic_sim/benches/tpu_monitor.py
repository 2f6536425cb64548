"""The rules of AXI, checked in every cycle of a bus between a TPU and its memory and host. Knows no simulator."""

import collections

__all__ = ["FIELDS", "Monitor", "ProtocolError"]

#: Payload of each channel of the memory bus, without the channel's name, in the order of a cycle's tuples.
FIELDS = {"ar": ("addr", "len", "size", "burst"), "r": ("data", "resp", "last"), "aw": ("addr", "len", "size", "burst"),
          "w": ("data", "strb", "last"), "b": ("resp",)}

_INCR = 1
_PAGE = 4096


class ProtocolError(AssertionError):
    """A rule is broken; the message says which, and in which cycle."""


class Monitor:
    """Follows a memory bus, and checks that valid and payload stay on other channels, too.

    Parameters
    ----------
    config : TpuConfig
        Its ``bus_bytes``, ``burst_beats``, ``reads_in_flight`` and ``writes_in_flight`` are what bursts are held to.

    Members
    -------
    bursts : dict of Counter
        By ``"ar"`` and ``"aw"``: bursts of each length, in beats.
    page_ends : Counter
        By ``"ar"`` and ``"aw"``: bursts that end where 4 KB do.
    waited : Counter
        By channel: cycles in which valid waited for ready.
    responses : Counter
        By channel and response.
    reads : int
        Bursts that were asked for and have not ended.
    most_reads : int
        Most of them at once, with the one on offer.
    writes : int
        Bursts whose address was taken and that were not answered.
    """

    def __init__(self, config):
        self.config = config
        self.cycles, self.most_reads = 0, 0
        self.bursts = {"ar": collections.Counter(), "aw": collections.Counter()}
        self.page_ends, self.waited, self.responses = (collections.Counter() for _ in range(3))
        self.reset()

    def reset(self):
        """Forget what is under way; keep the statistics."""
        self._held = {}
        self._reads = collections.deque()    # beats left of each burst
        self._writes = collections.deque()   # beats of each burst whose data has not all come
        self._early = collections.deque()    # beats of each burst of data whose address has not come
        self._beats, self._unanswered = 0, 0

    @property
    def reads(self):
        return len(self._reads)

    @property
    def writes(self):
        return len(self._writes) + self._unanswered

    def cycle(self, seen):
        """A rising edge.

        Parameters
        ----------
        seen : dict of str to (bool, bool, tuple)
            By channel: valid, ready, and payload. Those of ``FIELDS`` are the memory bus.

        Raises
        ------
        ProtocolError
        """
        self.cycles += 1
        for channel, (valid, ready, payload) in seen.items():
            self._stays(channel, valid, ready, payload)
        if seen["ar"][0]:
            self.most_reads = max(self.most_reads, self.reads + 1)
            self._require(self.reads < self.config.reads_in_flight, "ar",
                          f"asks for more than {self.config.reads_in_flight} bursts at once")
        if seen["aw"][0]:
            self._require(self.writes < self.config.writes_in_flight, "aw",
                          f"begins more than {self.config.writes_in_flight} bursts at once")
        # What is answered in this cycle was asked for before it.
        for channel in ("r", "b", "ar", "aw", "w"):
            valid, ready, payload = seen[channel]
            if valid and ready:
                getattr(self, f"_{channel}")(*payload)

    def finish(self):
        """Nothing may be under way.

        Raises
        ------
        ProtocolError
        """
        left = {"reads": self.reads, "writes without all data": len(self._writes) + bool(self._beats),
                "data without address": len(self._early), "writes without response": self._unanswered,
                "waiting": len(self._held)}
        left = [f"{count} {what}" for what, count in left.items() if count]
        self._require(not left, "bus", f"at rest with {', '.join(left)}")

    def _require(self, condition, channel, complaint):
        if not condition:
            raise ProtocolError(f"cycle {self.cycles}: {channel} {complaint}")

    def _stays(self, channel, valid, ready, payload):
        if channel in self._held:
            self._require(valid, channel, "withdrawn before ready")
            self._require(payload == self._held.pop(channel), channel, "changed before ready")
        if valid and not ready:
            self._held[channel] = payload
            self.waited[channel] += 1

    def _address(self, channel, address, length, size, burst):
        """Checks a burst; returns its beats."""
        beats, word = length + 1, self.config.bus_bytes
        self._require(1 << size == word and burst == _INCR, channel, f"of size {size} and burst type {burst}")
        self._require(address % word == 0, channel, f"address {address:#x} not on a bus word")
        self._require(beats <= self.config.burst_beats, channel, f"of {beats} beats")
        end = address % _PAGE + beats * word
        self._require(end <= _PAGE, channel, f"of {beats} beats at {address:#x} crosses 4 KB")
        self.bursts[channel][beats] += 1
        self.page_ends[channel] += end == _PAGE
        return beats

    def _ar(self, *payload):
        self._reads.append(self._address("ar", *payload))

    def _r(self, data, resp, last):
        self._require(self._reads, "r", "not asked for")
        self.responses["r", resp] += 1
        self._reads[0] -= 1
        self._require(last == (self._reads[0] == 0), "r", f"last is {last} with {self._reads[0]} beats to come")
        if last:
            self._reads.popleft()

    def _aw(self, *payload):
        self._writes.append(self._address("aw", *payload))
        if self._early:
            self._ended(self._early.popleft())
        elif self._beats:
            self._require(self._beats < self._writes[0], "w", f"last missing in beat {self._beats}")

    def _w(self, data, strb, last):
        self._beats += 1
        if self._writes:
            self._require(last == (self._beats == self._writes[0]), "w",
                          f"last is {last} in beat {self._beats} of {self._writes[0]}")
        self._require(self._beats <= self.config.burst_beats, "w", f"{self._beats} beats without last")
        if last:
            beats, self._beats = self._beats, 0
            self._ended(beats) if self._writes else self._early.append(beats)

    def _ended(self, beats):
        expected = self._writes.popleft()
        self._require(beats == expected, "w", f"of {beats} beats for an address of {expected}")
        self._unanswered += 1

    def _b(self, resp):
        self._require(self._unanswered, "b", "before its burst has ended")
        self.responses["b", resp] += 1
        self._unanswered -= 1
