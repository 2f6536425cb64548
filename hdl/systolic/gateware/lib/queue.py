"""A FIFO in block RAM, for streams as wide as an array."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import memory, stream
from amaranth.lib.wiring import In, Out

from ..shared import Shared, place
from ..vendor.ecp5_memory import Ecp5Memory
from .credits import Credits

__all__ = ["Queue"]


class _Storage(Shared):
    """A slice of the queue's memory, which synthesis maps.

    ``read`` fetches an entry; with a second stage, ``move`` takes it on into a register behind the memory.
    """

    #: Entries and bits from which on it is to be block RAM, which is slower than LUTs.
    SHALLOW, BLOCK = 16, 1024

    def __init__(self, queue_name, width, depth, stages):
        self.module_name = f"{queue_name}_storage_{width}"
        self.depth = depth
        self.stages = stages
        address = range(depth)
        super().__init__({"write": In(1), "write_address": In(address), "i": In(width), "read": In(1),
                          "read_address": In(address), "move": In(stages - 1), "o": Out(width)})

    def build(self, platform):
        m = Module()
        # Synthesis need not care what a read of the entry being written gives, for no such entry is ever used.
        block = self.depth > self.SHALLOW and len(self.i) * self.depth >= self.BLOCK
        attributes = {"no_rw_check": 1} | ({"ram_style": "block"} if block else {})
        m.submodules.memory = storage = memory.Memory(shape=len(self.i), depth=self.depth, init=[], attrs=attributes)
        write, read = storage.write_port(), storage.read_port()
        m.d.comb += [
            write.en.eq(self.write), write.addr.eq(self.write_address), write.data.eq(self.i),
            read.en.eq(self.read), read.addr.eq(self.read_address),
        ]
        fetched = read.data
        if self.stages == 2:
            fetched = Signal.like(self.o, name="fetched", reset_less=True)
            with m.If(self.move):
                m.d.sync += fetched.eq(read.data)
        m.d.comb += self.o.eq(fetched)
        return m


class Queue(Shared):
    """Like :class:`amaranth.lib.fifo.SyncFIFOBuffered`, but elaborated in a time that does not grow with the memory.

    Parameters
    ----------
    module_name : str
        Begins the name of the Verilog module; its shape is added.
    width : int
        Bits of an entry.
    depth : int
        Entries in memory, 2 or more; ``stages`` more wait behind it.
    stages : int
        Cycles from an address to its data, 1 or 2: the second is a register behind the memory.
    ecp5 : bool
        Make memory of at most 512 entries, with two stages, of DP16KD blocks with their output registers.

    Members
    -------
    i, o : In(stream), Out(stream)
        Entries come and go, one a cycle each; an entry can go 1 + ``stages`` cycles after it came.
    """

    SLICE = 72
    resets = True

    def __init__(self, module_name, *, width, depth, stages=1, ecp5=False):
        self.width = width
        self.depth = depth
        self.stages = stages
        self.ecp5 = ecp5 and stages == 2 and depth <= Ecp5Memory.DEPTH
        self.module_name = (f"{module_name}_{width}x{depth}" + ("_two_stages" if stages == 2 else "")
                            + ("_ecp5" if self.ecp5 else ""))
        super().__init__({"i": In(stream.Signature(width)), "o": Out(stream.Signature(width))})

    def build(self, platform):
        m = Module()
        level = place(m, "level", Credits(most=self.depth))
        stored = Signal()
        write = Signal()
        read = Signal()
        # Whether there is an entry behind the memory, stage by stage; and whether a stage takes what is before it.
        valid = Signal(self.stages)
        moves = Signal(self.stages)
        # The same for the memory, which may be far away: inverted, or synthesis would join the two.
        empty = Signal(self.stages, init=-1)
        memory_moves = Signal(self.stages)
        m.d.comb += [
            self.i.ready.eq(level.room), write.eq(self.i.valid & level.room),
            stored.eq(~level.empty), read.eq(stored & moves[0]),
            self.o.valid.eq(valid[-1]), moves.eq(~valid | Cat(moves[1:], self.o.ready)),
            memory_moves.eq(empty | Cat(memory_moves[1:], self.o.ready)),
        ]
        for stage, before in enumerate(Cat(stored, valid[:-1])):
            with m.If(moves[stage]):
                m.d.sync += valid[stage].eq(before)
        for stage, before in enumerate(Cat(~stored, empty[:-1])):
            with m.If(memory_moves[stage]):
                m.d.sync += empty[stage].eq(before)
        m.d.comb += [level.take.eq(write), level.give.eq(read)]

        # No comparison is needed where pointers wrap by themselves.
        address = range(1 << (self.depth - 1).bit_length())
        write_address = Signal(address)
        read_address = Signal(address)
        with m.If(write):
            m.d.sync += write_address.eq(write_address + 1)
        with m.If(read):
            m.d.sync += read_address.eq(read_address + 1)
        slices = []
        width = Ecp5Memory.WIDTH if self.ecp5 else self.SLICE
        for start in range(0, self.width, width):
            bits = self.i.payload[start:start + width]
            storage = place(m, f"storage_{start}", Ecp5Memory() if self.ecp5 else _Storage(
                self.module_name, len(bits), len(address), self.stages))
            m.d.comb += [
                storage.i.eq(bits), storage.write.eq(write), storage.write_address.eq(write_address),
                storage.read.eq(memory_moves[0]), storage.read_address.eq(read_address),
                storage.move.eq(memory_moves[1:]),
            ]
            slices.append(storage.o[:len(bits)])
        m.d.comb += self.o.payload.eq(Cat(slices))
        return m
