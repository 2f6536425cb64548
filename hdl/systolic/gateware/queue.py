"""A first-in first-out queue in block memory, for streams as wide as an array."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, stream
from amaranth.lib.wiring import In, Out

from .shared import Shared, place

__all__ = ["Queue"]


class _Storage(Shared):
    """A slice of the queue's memory."""

    def __init__(self, module_name, width, depth):
        self.module_name = f"{module_name}_storage_{width}"
        self.depth = depth
        address = range(depth)
        super().__init__({"write": In(1), "write_address": In(address), "i": In(width),
                          "read": In(1), "read_address": In(address), "o": Out(width)})

    def build(self, platform):
        m = Module()
        m.submodules.memory = storage = memory.Memory(shape=len(self.i), depth=self.depth, init=[])
        write, read = storage.write_port(), storage.read_port()
        m.d.comb += [
            write.en.eq(self.write), write.addr.eq(self.write_address), write.data.eq(self.i),
            read.en.eq(self.read), read.addr.eq(self.read_address), self.o.eq(read.data),
        ]
        return m


class Queue(Shared):
    """Like :class:`amaranth.lib.fifo.SyncFIFOBuffered`, but elaborated in a time that does not grow with the memory.

    Parameters
    ----------
    module_name : str
        Name of the Verilog module.
    width : int
        Bits of an entry.
    depth : int
        Entries in memory, 2 or more; one more waits at the output.

    Members
    -------
    i, o : In(stream), Out(stream)
        Entries come and go, one a cycle each; an entry can go two cycles after it came.
    """

    SLICE = 64
    resets = True

    def __init__(self, module_name, *, width, depth):
        self.module_name = module_name
        self.width = width
        self.depth = depth
        super().__init__({"i": In(stream.Signature(width)), "o": Out(stream.Signature(width))})

    def build(self, platform):
        m = Module()
        level = Signal(range(self.depth + 1))
        stored = Signal()
        room = Signal(init=1)
        write = Signal()
        read = Signal()
        m.d.comb += [
            self.i.ready.eq(room),
            write.eq(self.i.valid & room),
            read.eq(stored & (~self.o.valid | self.o.ready)),
        ]
        m.d.sync += self.o.valid.eq(read | (self.o.valid & ~self.o.ready))
        # Registered, for no comparison is to lie on the paths from valid and ready.
        with m.If(write & ~read):
            m.d.sync += [level.eq(level + 1), stored.eq(1), room.eq(level != self.depth - 1)]
        with m.If(read & ~write):
            m.d.sync += [level.eq(level - 1), stored.eq(level != 1), room.eq(1)]

        slices = []
        write_address, read_address = self._pointer(m, write, "produce"), self._pointer(m, read, "consume")
        for start in range(0, self.width, self.SLICE):
            bits = self.i.payload[start:start + self.SLICE]
            storage = place(m, f"storage_{start}", _Storage(self.module_name, len(bits), self.depth))
            m.d.comb += [
                storage.i.eq(bits), storage.write.eq(write), storage.write_address.eq(write_address),
                storage.read.eq(read), storage.read_address.eq(read_address),
            ]
            slices.append(storage.o)
        m.d.comb += self.o.payload.eq(Cat(slices))
        return m

    def _pointer(self, m, advance, name):
        pointer = Signal(range(self.depth), name=name)
        with m.If(advance):
            m.d.sync += pointer.eq(Mux(pointer == self.depth - 1, 0, pointer + 1))
        return pointer
