"""The unified buffer: activations and parameters, read and written several bytes at a time, at any address."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from .delay import delay
from .ports import BufferRead, Write
from .shared import Shared, place
from .vendor.ecp5_memory import Ecp5Bytes

__all__ = ["UnifiedBuffer"]


class _Bank(Shared):
    """One byte of every row, two cycles after its address: the register behind the memory is the block RAM's own if
    ``ecp5``, for block RAM alone takes most of a cycle.
    """

    def __init__(self, depth, ecp5):
        self.depth = depth
        self.ecp5 = ecp5 and depth <= Ecp5Bytes.DEPTH
        self.module_name = f"unified_buffer_bank_{depth}" + "_ecp5" * self.ecp5
        super().__init__({"read_row": In(range(depth)), "o": Out(8),
                          "write": In(1), "write_row": In(range(depth)), "i": In(8)})

    def build(self, platform):
        m = Module()
        if self.ecp5:
            storage = place(m, "bytes", Ecp5Bytes(self.depth))
            m.d.comb += [
                storage.read_address.eq(self.read_row), self.o.eq(storage.o), storage.write.eq(self.write),
                storage.write_address.eq(self.write_row), storage.i.eq(self.i),
            ]
            return m
        m.submodules.bytes = storage = memory.Memory(shape=8, depth=self.depth, init=[])
        read, write = storage.read_port(), storage.write_port()
        m.d.sync += self.o.eq(read.data)
        m.d.comb += [
            read.addr.eq(self.read_row), read.en.eq(1),
            write.addr.eq(self.write_row), write.en.eq(self.write), write.data.eq(self.i),
        ]
        return m


class _Rows(wiring.Signature):
    """Rows of an access, one cycle ahead of it: it begins in ``row`` and, in the banks marked ``wraps``, goes on in
    the ``next`` one."""

    def __init__(self, depth, count):
        super().__init__({"row": Out(range(depth)), "next": Out(range(depth)), "wraps": Out(count)})


class _Banks(Shared):
    """Some neighbouring banks. Rows are given one cycle before the banks are accessed."""

    MOST = 16

    def __init__(self, depth, count, ecp5):
        self.depth = depth
        self.count = count
        self.ecp5 = ecp5
        self.module_name = f"unified_buffer_banks_{depth}" + "_ecp5" * ecp5
        super().__init__({
            "read": In(_Rows(depth, count)), "o": Out(8 * count),
            "write": In(_Rows(depth, count)), "enable": In(count), "i": In(8 * count),
        })

    def build(self, platform):
        m = Module()
        for number in range(self.count):
            bank = place(m, f"bank_{number}", _Bank(self.depth, self.ecp5))
            for name, rows, bank_row in (("read", self.read, bank.read_row), ("write", self.write, bank.write_row)):
                row = Signal(range(self.depth), name=f"{name}_row_{number}", reset_less=True)
                m.d.sync += row.eq(Mux(rows.wraps[number], rows.next, rows.row))
                m.d.comb += bank_row.eq(row)
            m.d.comb += [
                bank.write.eq(self.enable[number]), bank.i.eq(self.i.word_select(number, 8)),
                self.o.word_select(number, 8).eq(bank.o),
            ]
        return m


class UnifiedBuffer(Shared):
    """``buffer_size`` bytes in ``banks`` banks, byte a in bank a % banks. ``banks`` consecutive bytes are in different
    banks, so they are read or written together at any alignment.

    ::

        cycle 0                    1         2          3        4             5             6 = READ_LATENCY
        activation, store, rows ─▶ z ─▶ row ─▶ z ─▶ banks ─▶ z ─▶ rotate ─▶ z ─▶ rotate ─▶ z ─▶ data
        activation, load ────────▶ z ─▶ rotate ─▶ z ─▶ rotate ─▶ banks

    Members
    -------
    activation_read, store_read, row_read : In(BufferRead)
        Read clients. Fixed priority, highest first.
    activation_write, load_write : In(stream of Write)
        Write clients, the same. A read accepted in the cycle after a write returns the written data.

    Addresses are not checked here; contents are undefined until they are written.
    """

    resets = True
    module_name = "unified_buffer"

    def __init__(self, config):
        self.config = config
        read, write = In(BufferRead(config)), In(stream.Signature(Write(config)))
        super().__init__({"activation_read": read, "store_read": read, "row_read": read,
                          "activation_write": write, "load_write": write})

    def build(self, platform):
        m = Module()
        depth, ecp5 = self.config.buffer_size // self.config.banks, self.config.matrix.impl.memory == "ecp5_block"
        count = min(_Banks.MOST, self.config.banks)
        groups = [place(m, f"banks_{first}", _Banks(depth, count, ecp5))
                  for first in range(0, self.config.banks, count)]
        self._read(m, groups)
        self._write(m, groups)
        return m

    def _point(self, m, address, rows, name):
        """Points every bank at its row of an access from that address on; returns the bank of its first byte."""
        bits = self.config.banks.bit_length() - 1
        row, first = address[bits:], address[:bits]
        wraps = Signal(self.config.banks, name=f"{name}_wraps")
        m.d.comb += wraps.eq((1 << first) - 1)
        for number, each in enumerate(rows):
            m.d.comb += [each.row.eq(row), each.next.eq(row + 1),
                         each.wraps.eq(wraps.word_select(number, len(each.wraps)))]
        return first

    def _read(self, m, groups):
        clients = (self.activation_read, self.store_read, self.row_read)
        address = Signal(self.config.address_width)
        for client, valid in zip(clients, _first(m, [client.request for client in clients]), strict=True):
            m.d.comb += client.valid.eq(delay(m, valid, self.config.READ_LATENCY, "valid", reset_less=False))
            with m.If(valid):
                m.d.sync += address.eq(client.request.payload)
        first = self._point(m, address, [group.read for group in groups], "read")
        data = Signal(8 * self.config.banks, reset_less=True)
        m.d.sync += data.eq(_rotate(m, Cat(group.o for group in groups), delay(m, first, 3, "first"), 8, "read"))
        m.d.comb += [client.data.eq(data) for client in clients]

    def _written(self):
        """A write, its bytes to be counted one by one."""
        banks, count = self.config.banks, self.config.write_bytes
        return StructLayout({"address": self.config.address_width, "turn": range(banks), "counted": count,
                             "data": 8 * count})

    def _write(self, m, groups):
        clients = (self.activation_write, self.load_write)
        write, count = Signal(self._written()), Signal(range(self.config.write_bytes + 1))
        for client, valid in zip(clients, _first(m, clients), strict=True):
            with m.If(valid):
                m.d.comb += count.eq(client.payload.count)
                # A turn to the left by n is one to the right by -n.
                m.d.sync += [write.address.eq(client.payload.address), write.data.eq(client.payload.data),
                             write.turn.eq(-client.payload.address)]
        m.d.sync += write.counted.eq(Cat(index < count for index in range(self.config.write_bytes)))
        self._point(m, write.address, [group.write for group in groups], "write")
        counted, few = Signal(self.config.banks), self.config.write_bytes.bit_length() - 1
        m.d.comb += counted.eq(write.counted)
        enable = _rotate(m, counted, write.turn, 1, "enable")
        # Banks that many apart never take bytes of the same write, and are offered the same one.
        data = _rotate(m, write.data, write.turn[:few], 8, "write").replicate(self.config.banks >> few)
        for number, group in enumerate(groups):
            m.d.comb += [group.enable.eq(enable.word_select(number, group.count)),
                         group.i.eq(data.word_select(number, 8 * group.count))]


def _first(m, streams):
    """Grants the first stream that is valid; for each, whether it transfers."""
    free, transfers = Const(1), []
    for each in streams:
        m.d.comb += each.ready.eq(free)
        transfers.append(each.valid & free)
        free = free & ~each.valid
    return transfers


def _rotate(m, value, amount, width, name):
    """``value`` rotated right by ``amount`` elements of that width, one cycle later."""
    half, between = len(amount) // 2, Signal(len(value), name=f"{name}_between", reset_less=True)
    m.d.sync += between.eq(_turn(m, value, amount[:half], width, f"{name}_fine"))
    return _turn(m, between, delay(m, amount[half:], 1, f"{name}_turn"), width << half, f"{name}_coarse")


def _turn(m, value, amount, width, name):
    """``value`` rotated right by ``amount`` elements of that width."""
    for level, bit in enumerate(amount):
        turned = Signal(len(value), name=f"{name}_{level}")
        m.d.comb += turned.eq(Mux(bit, value.rotate_right(width << level), value))
        value = turned
    return value
