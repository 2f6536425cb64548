"""The serial line between a host and a TPU: its frames, for the gateware and for the host.

::

    request   5A  number  operation  count  address (4)  [count bytes]  CRC-32 (4)
    reply     A5  number  count  [count bytes]  status  CRC-32 (4)

Eight bits, no parity, one stop bit; numbers of several bytes begin with the lowest. The CRC is that of Ethernet and
zlib, over all bytes before it.

The host sends a request and waits for the reply of that number; if none comes, it sends the same bytes again. ``hello``
sets the number; every other request has the next one. The TPU executes a frame only once it has all of it and its CRC
is right:

* the next number: it is executed, and answered;
* the number of the latest again: its reply was lost. A write is not executed a second time, but answered as the first
  was; anything else is.
* another number: answered with ``refused``: one of the two was reset.

A damaged frame is no frame. Whatever it has done to the receiver is over after a pause of :data:`PAUSE` seconds, and
the host pauses for longer before it sends anything again. So each request is executed once, or its host knows that it
may not have been.
"""

import dataclasses
import enum
import zlib

__all__ = ["BAUD", "HEADER", "PAUSE", "PAYLOAD", "REPLY", "REQUEST", "TAIL", "Operation", "Reply", "Status",
           "find_reply", "request"]

#: The first byte of a frame.
REQUEST, REPLY = 0x5A, 0xA5

#: Bytes of a request before its payload, of a CRC, and the longest payload.
HEADER, TAIL, PAYLOAD = 8, 4, 128

#: Seconds of silence within a request after which the receiver forgets it: more than a USB bridge's pauses.
PAUSE = 0.02

#: Bits a second, if nobody says otherwise.
BAUD = 1_000_000


class Operation(enum.IntEnum):
    """What a request asks for. Registers have 4 bytes; bytes of memory lie anywhere."""

    HELLO = 0
    POLL = 1
    READ_REGISTER = 2
    WRITE_REGISTER = 3
    READ_MEMORY = 4
    WRITE_MEMORY = 5

    @property
    def writes(self) -> bool:
        return self in {Operation.WRITE_REGISTER, Operation.WRITE_MEMORY}


class Status(enum.IntFlag):
    """How a request went. ``FAILED``: the bus answered with an error. ``INTERRUPT``: it is high now."""

    FAILED = 1
    REFUSED = 2
    INTERRUPT = 128


@dataclasses.dataclass(frozen=True)
class Reply:
    """A reply whose CRC is right."""

    number: int
    payload: bytes
    status: Status


def request(number: int, operation: Operation, address: int = 0, payload: bytes = b"", *, count: int = 0) -> bytes:
    """The frame of a request.

    Parameters
    ----------
    number : int
        0 to 255.
    operation : Operation
    address : int
        0 to 2**32 - 1, in bytes.
    payload : bytes
        What is to be written, 1 to :data:`PAYLOAD` bytes.
    count : int
        How many bytes are to be read, as many.
    """
    head = bytes([REQUEST, number, operation, len(payload) if operation.writes else count])
    body = head + address.to_bytes(4, "little") + payload
    return body + zlib.crc32(body).to_bytes(TAIL, "little")


def find_reply(received: bytes, number: int) -> tuple[Reply | None, bytes]:
    """The reply of that number among bytes that may be damaged, and what follows it.

    Without one, ``None`` and the bytes that may become one.
    """
    start, rest = 0, len(received)
    while (start := received.find(REPLY, start)) >= 0:
        size = 3 + received[start + 2] + 1 + TAIL if start + 2 < len(received) else HEADER
        frame = received[start:start + size]
        if len(frame) < size:
            rest = min(rest, start)
        elif zlib.crc32(frame[:-TAIL]) == int.from_bytes(frame[-TAIL:], "little"):
            if frame[1] == number:
                return Reply(number, frame[3:-TAIL - 1], Status(frame[-TAIL - 1])), received[start + size:]
            start += size - 1
        start += 1
    return None, received[rest:]
