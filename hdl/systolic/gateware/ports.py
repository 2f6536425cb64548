"""The interfaces between units: commands, rows, bus words, buffer accesses, errors."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .. import isa

__all__ = ["Beat", "BufferRead", "Command", "Error", "HostPort", "ReadRequest", "RowCommand", "UnitPort", "Write",
           "fields"]


class Command(data.StructLayout):
    """An instruction on its way to the unit that executes it.

    ``index``: its number in the program, for error reports. ``rounding``: the configuration it was issued under.
    ``in_place``: it writes over what it reads, see :func:`systolic.isa.overlaps`. ``words``: its 512 bits, see
    :func:`fields`.
    """

    def __init__(self):
        super().__init__({"index": 16, "rounding": 2, "in_place": 1, "words": 8 * isa.BYTES})


def fields(words, name):
    """The fields of an instruction as a view of its bits: ``fields(command.words, "activate").channels``."""
    instruction = next(each for each in isa.INSTRUCTIONS if each.name == name)
    shapes = {field.name: data.Field((signed if field.signed else unsigned)(field.width), field.offset)
              for field in instruction.fields}
    return data.View(data.FlexibleLayout(8 * isa.BYTES, shapes), words)


class Write(data.StructLayout):
    """A write to the unified buffer: the first ``count`` bytes of ``data`` from any ``address`` on."""

    def __init__(self, config):
        super().__init__({"address": config.address_width, "count": range(config.write_bytes + 1),
                          "data": 8 * config.write_bytes})


class BufferRead(wiring.Signature):
    """Reads of the unified buffer, seen by their client.

    ``request``: the first byte's address. ``valid``: ``READ_LATENCY`` cycles after a request was taken its bytes are
    on ``data``, for this cycle only: a client asks for no more than it has room for.
    """

    def __init__(self, config):
        super().__init__({
            "request": Out(stream.Signature(config.address_width)),
            "valid": In(1), "data": In(8 * config.banks),
        })


class Error(data.StructLayout):
    """An error, for one cycle: its code of :class:`systolic.isa.ErrorCode` and the number of the instruction."""

    def __init__(self):
        super().__init__({"valid": 1, "code": 4, "index": 16})


class UnitPort(wiring.Signature):
    """What the sequencer and a unit tell each other, seen by the sequencer, which has one for each unit.

    ``command``: instructions, one at a time. ``done``: for one cycle when the oldest instruction's last effect is in
    place. ``busy``: an instruction is in the unit. ``moving``: something moved in this cycle; without it for long,
    the watchdog barks. ``error``: see :class:`Error`.
    """

    def __init__(self):
        super().__init__({"command": Out(stream.Signature(Command())), "done": In(1), "busy": In(1), "moving": In(1),
                          "error": In(Error())})


class HostPort(wiring.Signature):
    """What the control registers and the sequencer tell each other, seen by the registers.

    ``start``, ``busy_error``: for one cycle, a doorbell, and one that came while ``running``. ``address``,
    ``length``, ``watchdog``: as written by the host. ``running``, ``stopped``, ``bus_dead``, ``error_code``,
    ``error_index``, ``debug_tag``: what the registers show. ``halted``, ``interrupted``, ``failed``: for one cycle,
    the program has ended, asks for an interrupt, was stopped by an error.
    """

    def __init__(self):
        super().__init__({
            "start": Out(1), "busy_error": Out(1), "address": Out(32), "length": Out(16), "watchdog": Out(32),
            "running": In(1), "stopped": In(1), "bus_dead": In(1), "error_code": In(4), "error_index": In(16),
            "debug_tag": In(32), "halted": In(1), "interrupted": In(1), "failed": In(1),
        })


class RowCommand(data.StructLayout):
    """An activation row and what to do with it.

    ``data``: R elements. ``switch``: multiply this row and those after it by the next tile. ``address``,
    ``accumulate``, ``last``: see :class:`~systolic.gateware.matrix.accumulators.Command`. Only with ``taps``:
    ``depthwise``: each column multiplies its own channel of this depthwise row and of those before it. ``fills``: the
    row is the latest for those that follow, no more: it has no sum of its own.
    """

    def __init__(self, arch):
        super().__init__({
            "data": data.ArrayLayout(arch.format.width, arch.rows),
            "address": arch.address_width, "accumulate": 1, "switch": 1, "last": 1,
        } | ({"depthwise": 1, "fills": 1} if arch.taps else {}))


class ReadRequest(data.StructLayout):
    """A burst to read: its first byte, on a bus word; its beats, such that it stays within 4 KB."""

    def __init__(self):
        super().__init__({"address": 32, "beats": 9})


class Beat(data.StructLayout):
    """A bus word that was read, for one cycle: whoever asked for it has room for it.

    ``error``: the bus reported one. ``last``: the burst's last.
    """

    def __init__(self, config):
        super().__init__({"valid": 1, "data": 8 * config.bus_bytes, "error": 1, "last": 1})
