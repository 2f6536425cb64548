"""A link over a serial line, whatever the line does to the bytes.

The frames, and what is promised of them, are in :mod:`systolic.serial_protocol`.
"""

import secrets
import time
from typing import Any, Protocol

from ..errors import UserError, require
from ..serial_protocol import BAUD, HEADER, PAUSE, PAYLOAD, TAIL, Operation, Status, find_reply, request
from ..tpu_config import TpuConfig
from .link import Link, LinkError

__all__ = ["SerialLink", "SerialPort", "Wire", "open_serial"]


class Wire(Protocol):
    """Bytes to and fro, in order, of which any may be lost or changed."""

    def send(self, data: bytes) -> None:
        """Send bytes; returns at once or when they are on their way."""

    def receive(self, seconds: float) -> bytes:
        """What has come; if nothing has, what comes first within that time; else nothing."""

    def now(self) -> float:
        """Seconds since any moment."""


class SerialLink:
    """A :class:`.Link` to a TPU behind a serial line.

    Parameters
    ----------
    wire : Wire
    baud : int
        Bits a second of the line: how long its bytes take.
    attempts : int
        How often a request is sent before the link gives up.
    pause : float
        Seconds of silence after which the TPU forgets half a frame.

    Raises
    ------
    LinkError
        Here and in all methods: if no attempt is answered, the TPU was reset, or its bus answers with an error. It
        takes ``attempts`` times the time of two pauses and the frames at most.
    """

    unit = "seconds"

    def __init__(self, wire: Wire, *, baud: int = BAUD, attempts: int = 8, pause: float = PAUSE) -> None:
        self._wire, self._byte, self._attempts, self._pause = wire, 10 / baud, attempts, pause
        #: Frames that were sent again.
        self.repeats = 0
        self._number, self._status = secrets.randbelow(256), Status(0)
        self._ask(Operation.HELLO)

    def read32(self, address: int) -> int:
        """As for :class:`.Link`."""
        return int.from_bytes(self._next(Operation.READ_REGISTER, address, count=4), "little")

    def write32(self, address: int, value: int) -> None:
        """As for :class:`.Link`."""
        self._next(Operation.WRITE_REGISTER, address, value.to_bytes(4, "little"))

    def read(self, address: int, size: int) -> bytes:
        """As for :class:`.Link`."""
        return b"".join(self._next(Operation.READ_MEMORY, first, count=min(PAYLOAD, address + size - first))
                        for first in range(address, address + size, PAYLOAD))

    def write(self, address: int, data: bytes) -> None:
        """As for :class:`.Link`."""
        for first in range(0, len(data), PAYLOAD):
            self._next(Operation.WRITE_MEMORY, address + first, data[first:first + PAYLOAD])

    def wait(self, limit: float) -> bool:
        """As for :class:`.Link`: asks again and again."""
        end = self._wire.now() + limit
        while True:
            self._next(Operation.POLL)
            if self._status & Status.INTERRUPT:
                return True
            if self._wire.now() >= end:
                return False

    def _next(self, operation: Operation, address: int = 0, payload: bytes = b"", *, count: int = 0) -> bytes:
        self._number = (self._number + 1) % 256
        return self._ask(operation, address, payload, count=count)

    def _ask(self, operation: Operation, address: int = 0, payload: bytes = b"", *, count: int = 0) -> bytes:
        """The payload of the reply."""
        frame = request(self._number, operation, address, payload, count=count)
        # While nothing comes, the TPU forgets what it had of a damaged frame.
        patience = 2 * self._pause + (len(frame) + HEADER + count + TAIL) * self._byte
        for attempt in range(self._attempts):
            self.repeats += attempt > 0
            self._wire.send(frame)
            end, received = self._wire.now() + patience, b""
            while (left := end - self._wire.now()) > 0:
                reply, received = find_reply(received + self._wire.receive(left), self._number)
                if reply and reply.status & Status.REFUSED:
                    raise LinkError("was reset since it was spoken to: load everything anew")
                if reply and len(reply.payload) == count:
                    self._status = reply.status
                    if reply.status & Status.FAILED:
                        raise LinkError("answers SLVERR")
                    return reply.payload
        raise LinkError(f"does not answer to {self._attempts} frames at {10 / self._byte:.0f} baud: is a TPU on this "
                        "line, at this rate?")


class SerialPort:
    """A serial port of this machine as a :class:`Wire`.

    Parameters
    ----------
    port : str
        As pyserial names it: ``/dev/ttyUSB0``, ``COM3``, ``socket://host:port``.
    baud : int

    Raises
    ------
    UserError
        If pyserial is missing, or the port cannot be opened.
    """

    def __init__(self, port: str, baud: int) -> None:
        try:
            import serial
        except ImportError as error:
            raise UserError("a serial port needs pyserial: pip install 'systolic[serial]'") from error
        try:
            self._port: Any = serial.serial_for_url(port, baud, timeout=0, write_timeout=10)
        except (OSError, ValueError) as error:
            raise UserError(f"port {port} cannot be opened: {error}") from error

    def send(self, data: bytes) -> None:
        """As for :class:`Wire`."""
        self._port.write(data)

    def receive(self, seconds: float) -> bytes:
        """As for :class:`Wire`."""
        self._port.timeout = seconds
        first: bytes = self._port.read(1)
        return first + bytes(self._port.read(self._port.in_waiting) if first else b"")

    def now(self) -> float:
        """As for :class:`Wire`."""
        return time.monotonic()


def open_serial(config: TpuConfig, size: int, argument: str) -> Link:
    """``serial:PORT`` or ``serial:PORT@BAUD``, with memory for a model that wants ``size`` bytes."""
    port, _, rate = argument.partition("@")
    require(bool(port), "target", "serial:PORT or serial:PORT@BAUD", f"serial:{argument}")
    require(not rate or rate.isdecimal() and int(rate) > 0, "baud", "a positive integer", rate)
    baud = int(rate) if rate else BAUD
    link = SerialLink(SerialPort(port, baud), baud=baud)
    try:
        link.read(size - 1, 1)
    except LinkError as error:
        raise LinkError(f"memory of the TPU at {port} has less than the {size} bytes of this model: {error}") from error
    return link
