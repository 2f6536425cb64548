"""What stands at the two ends of a valid/ready stream in a cocotb testbench.

All agents of a bench work in step, once per rising edge: first each looks at what the design saw at that edge,
then each sets its signals for the next one.
"""

import numpy as np

__all__ = ["Sink", "Source", "elements", "integers"]


class _Agent:
    """One end of a stream.

    Parameters
    ----------
    dut : cocotb handle
        The design.
    name : str
        Of the stream.
    fields : iterable of str
        Its payload's ports, without the stream's name.
    rng : numpy.random.Generator
        Source of the stalls.

    Members
    -------
    stall : float
        Probability of a cycle in which this end holds back. 0 unless set.
    accepted : list of int
        Cycles of the handshakes.
    """

    def __init__(self, dut, name, fields, rng):
        self.name = name
        self._valid, self._ready = getattr(dut, f"{name}_valid"), getattr(dut, f"{name}_ready")
        self._payload = [getattr(dut, f"{name}_{field}") for field in fields]
        self._rng = rng
        self.stall = 0.0
        self.accepted = []

    def _holds_back(self):
        return self.stall > 0 and self._rng.random() < self.stall


class Source(_Agent):
    """Offers beats; one that has been offered stays until it is taken."""

    def __init__(self, *args):
        super().__init__(*args)
        self._beats = []
        self._offered = False

    def start(self, beats):
        """Beats to send, each a tuple of integers, one per field. Forgets all others."""
        self._beats = beats
        self.accepted = []
        self.quiet()

    def quiet(self):
        """Withdraw whatever is on offer: for a reset."""
        self._offered = False
        self._valid.value = 0

    @property
    def left(self):
        """Beats that have not been taken."""
        return len(self._beats) - len(self.accepted)

    def sample(self, cycle):
        """Note whether a beat was taken."""
        if self._offered and int(self._ready.value):
            self._offered = False
            self.accepted.append(cycle)

    def drive(self):
        """Offer the next beat, if none is on offer."""
        if not self._offered:
            self._offered = self.left > 0 and not self._holds_back()
            self._valid.value = int(self._offered)
            if self._offered:
                for port, value in zip(self._payload, self._beats[len(self.accepted)], strict=True):
                    port.value = value


class Sink(_Agent):
    """Takes beats, and checks that what is offered stays offered, unchanged, until it is taken.

    Members
    -------
    beats : list of tuple
        What came, one integer per field.
    """

    def __init__(self, *args):
        super().__init__(*args)
        self.start(0)

    def start(self, count):
        """Expect that many beats; more are never taken. Forgets all others."""
        self._count = count
        self.beats, self.accepted = [], []
        self.quiet()

    def quiet(self):
        """Be not ready, and expect nothing of what was on offer: for a reset."""
        self._waiting = None
        self._listening = False
        self._ready.value = 0

    @property
    def left(self):
        """Beats still to come."""
        return self._count - len(self.beats)

    @property
    def offered(self):
        """Whether the design has a beat on offer that was not taken."""
        return self._waiting is not None

    def sample(self, cycle):
        """Note whether a beat came."""
        if not int(self._valid.value):
            assert self._waiting is None, f"{self.name}: valid withdrawn before ready, cycle {cycle}"
            return
        beat = tuple(int(port.value) for port in self._payload)
        assert self._waiting in (None, beat), f"{self.name}: payload changed before ready, cycle {cycle}"
        self._waiting = None if self._listening else beat
        if self._listening:
            self.beats.append(beat)
            self.accepted.append(cycle)

    def drive(self):
        """Be ready or not in the next cycle."""
        self._listening = self.left > 0 and not self._holds_back()
        self._ready.value = int(self._listening)


def integers(rows):
    """Rows of elements [n, E] as n integers, element 0 in the lowest bits."""
    rows = np.ascontiguousarray(rows)
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def elements(values, dtype, count):
    """The reverse of :func:`integers`: [n, count]."""
    size = count * np.dtype(dtype).itemsize
    packed = b"".join(value.to_bytes(size, "little") for value in values)
    return np.frombuffer(packed, dtype).reshape(-1, count)
