"""From instructions to bursts."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from ... import isa
from ...tpu_config import PAGE_BYTES
from ..lib.one_hot import OneHot
from ..ports import Error, fields
from ..shared import Shared

__all__ = ["Burst", "BurstWalker", "Transfer", "transfers"]


class Transfer(data.StructLayout):
    """Rows of bytes to move between memory and unified buffer.

    Fields as in ``read_host_memory`` of :mod:`systolic.isa`. ``mark`` comes back with every burst.
    """

    def __init__(self, config, *, count_width):
        super().__init__({
            "memory": 32, "memory_size": 32, "memory_stride": 32,
            "base": config.address_width, "size": config.address_width, "stride": signed(24),
            "row_bytes": 24, "row_count": count_width, "mark": 1, "index": 16,
        })


class Burst(data.StructLayout):
    """A burst: where in memory and where in the unified buffer, and its number of beats.

    ``tail``: bytes of its last beat, less one; the others are full. ``final``: the instruction ends with it.

    Parameters
    ----------
    config : TpuConfig
    names : tuple of str
        The fields to have, all without any: queues keep those that somebody asks for later.
    """

    def __init__(self, config, *names):
        fields = {
            "memory": 32, "buffer": config.address_width, "beats": range(config.longest_burst + 1),
            "tail": range(config.bus_bytes), "final": 1, "mark": 1, "index": 16,
        }
        super().__init__({name: fields[name] for name in names or fields})


class BurstWalker(Shared):
    """Walks the rows of a transfer, and cuts them into bursts of at most ``burst_beats`` beats within 4 KB.

    ::

        i ─▶ row: next address ─▶ inside its regions? ─▶ cut: beats to the 4 KB, left in the row ─▶ o
                        │                │                              │
                        └────────────────┴── 3 cycles a row ────────────┴── 3 cycles a burst

    Parameters
    ----------
    config : TpuConfig
    module_name : str
    count_width : int
        Bits of the number of rows.
    buffer : bool
        Whether the unified buffer takes part. If not, its fields are ignored, and rows are whole bus words that
        follow one another in memory: bursts go on from row to row, so that short rows, too, fill the bus. Rows with
        ``mark`` do not wait for others.

    Members
    -------
    i : In(stream of Transfer)
        The next can be taken once the last row of the one before is being cut.
    o : Out(stream of Burst)
    error : Out(Error)
        A row is not inside its regions. No burst of it is offered, or only those up to the end of memory, and none
        after it.
    """

    resets = True

    def __init__(self, config, module_name, *, count_width=16, buffer=True):
        self.config = config
        self.module_name = module_name
        self.count_width = count_width
        self.buffer = buffer
        self.shift = config.bus_bytes.bit_length() - 1
        super().__init__({
            "i": In(stream.Signature(Transfer(config, count_width=count_width))),
            "o": Out(stream.Signature(Burst(config))), "error": Out(Error()),
        })

    def build(self, platform):
        m = Module()
        row = Signal(data.StructLayout({
            "memory": 33, "buffer": self.config.address_width,
            "beats": range(self._longest_row() // self.config.bus_bytes + 2), "tail": self.shift,
            "final": 1, "mark": 1, "index": 16, "inside": 1,
        }))
        offered, taken = Signal(), Signal()
        bad_row = self._rows(m, row, offered, taken)
        wrapped = self._cut(m, row, offered, taken)
        m.d.sync += self.error.valid.eq(bad_row | wrapped)
        m.d.comb += self.error.code.eq(isa.ErrorCode.REGION)
        return m

    def _longest_row(self):
        """Bytes of the longest row that is inside its regions, or of the longest tile and those that it joins."""
        config = self.config
        return config.buffer_size if self.buffer else config.tile_bytes() + config.longest_burst * config.bus_bytes

    def _rows(self, m, row, offered, taken):
        """From transfers to rows; returns whether one is found not to be inside its regions."""
        bus_bytes = self.config.bus_bytes
        transfer = Signal(self.i.payload.shape())
        bad = Signal()
        inside = self._region(m, "memory", row.memory, transfer.memory, transfer.memory_size,
                              transfer.memory_stride, transfer.row_bytes, taken) & ~row.memory[32]
        if self.buffer:
            inside &= self._region(m, "buffer", row.buffer, transfer.base, transfer.size,
                                   transfer.stride, transfer.row_bytes, taken)
        # Rows begin on a bus word in memory. The tail is cut to its width: bytes modulo the bus width, less one.
        m.d.sync += [
            row.beats.eq((transfer.row_bytes + (bus_bytes - 1)) >> self.shift), row.tail.eq(transfer.row_bytes - 1),
            row.final.eq(transfer.row_count == 1), row.mark.eq(transfer.mark), row.index.eq(transfer.index),
        ]
        state = OneHot("row", ("idle", "address", "inside", "offer", "dead"))
        m.d.comb += [self.i.ready.eq(state["idle"]), offered.eq(state["offer"] & row.inside),
                     bad.eq(state["offer"] & ~row.inside)]
        with m.If(state["idle"]):
            m.d.sync += transfer.eq(self.i.payload)
            with m.If(self.i.valid):
                m.d.sync += state.go("address")
        # Its address and its end are added up, then compared.
        with m.If(state["address"]):
            m.d.sync += state.go("inside")
        with m.If(state["inside"]):
            m.d.sync += [row.inside.eq(inside), state.go("offer")]
        with m.If(bad):
            m.d.sync += state.go("dead")
        with m.If(taken):
            m.d.sync += [transfer.row_count.eq(transfer.row_count - 1), state.go("idle", row.final, "address")]
        return bad

    def _region(self, m, name, address, base, size, stride, row_bytes, taken):
        """Keeps the row's address; returns whether the row is inside the region.

        The sequencer has seen to it that a region of the unified buffer is inside the buffer. One of memory may go
        on beyond 2**32: an access there has a carry into bit 32 of its address.
        """
        relative = Signal(len(base), name=f"{name}_relative")
        end = Signal(max(len(base), len(row_bytes)) + 1, name=f"{name}_end")
        m.d.sync += [address.eq(base + relative), end.eq(relative + row_bytes)]
        with m.If(self.i.ready):
            m.d.sync += relative.eq(0)
        with m.Elif(taken):
            m.d.sync += relative.eq(relative + stride)
        return end <= size

    def _cut(self, m, row, offered, taken):
        """From rows to bursts; returns whether one ends where memory does, with more of its row to come."""
        page = PAGE_BYTES // self.config.bus_bytes
        longest = self.config.longest_burst
        rest = Signal(row.shape())
        limit, beats = Signal(range(longest + 1)), Signal(range(longest + 1))
        last, free, wrapped = Signal(), Signal(), Signal()
        short, joins = Signal(), Signal()
        to_page, bytes_done, onward = Signal(range(page + 1)), Signal(PAGE_BYTES.bit_length()), Signal(33)
        # Bus words up to the next 4 KB; bit 32 of an address is the end of memory.
        m.d.comb += [
            to_page.eq(page - rest.memory[self.shift:PAGE_BYTES.bit_length() - 1]),
            bytes_done.eq(beats << self.shift), onward.eq(rest.memory + bytes_done), taken.eq(offered & free),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        state, cut = OneHot("cut", ("row", "limit", "beats", "burst", "dead")), Signal()
        m.d.comb += [
            joins.eq(state["beats"] & short), cut.eq(state["burst"] & ~self.o.valid),
            # With its last burst a row makes room for the next, which is taken in the same cycle.
            free.eq(state["row"] | joins | (cut & last)), wrapped.eq(cut & ~last & onward[32]),
        ]
        with m.If(state["row"] & taken):
            m.d.sync += state.go("limit")
        with m.If(state["limit"]):
            m.d.sync += [limit.eq(Mux(to_page < longest, to_page, longest)), state.go("beats")]
            # More rows follow that may fill the burst.
            if not self.buffer:
                m.d.sync += short.eq(~rest.final & ~rest.mark & (rest.beats < longest))
        with m.If(state["beats"]):
            m.d.sync += [beats.eq(Mux(rest.beats <= limit, rest.beats, limit)), last.eq(rest.beats <= limit)]
            with m.If(~short):
                m.d.sync += state.go("burst")
            # The next row joins this one, and what is to be cut is longer: begin again.
            with m.Elif(taken):
                m.d.sync += state.go("limit")
        with m.If(cut):
            m.d.sync += [rest.memory.eq(onward), rest.beats.eq(rest.beats - beats), state.go("limit")]
            if self.buffer:
                m.d.sync += rest.buffer.eq(rest.buffer + bytes_done)
            self._offer(m, rest, beats, last)
            with m.If(wrapped):
                m.d.sync += state.go("dead")
            with m.Elif(last & ~taken):
                m.d.sync += state.go("row")
        with m.If(taken & joins):
            m.d.sync += [rest.beats.eq(rest.beats + row.beats), rest.final.eq(row.final)]
        with m.Elif(taken):
            m.d.sync += rest.eq(row)
        m.d.sync += self.error.index.eq(Mux(wrapped, rest.index, row.index))
        return wrapped

    def _offer(self, m, rest, beats, last):
        burst = self.o.payload
        m.d.sync += [
            self.o.valid.eq(1), burst.memory.eq(rest.memory), burst.buffer.eq(rest.buffer), burst.beats.eq(beats),
            burst.tail.eq(Mux(last, rest.tail, self.config.bus_bytes - 1)), burst.final.eq(last & rest.final),
            burst.mark.eq(rest.mark), burst.index.eq(rest.index),
        ]


def transfers(m, command, i, instruction):
    """Commands of that instruction, which has the fields of a transfer, as transfers on the stream ``i``."""
    op = fields(command.payload.words, instruction)
    names = ("memory", "memory_size", "memory_stride", "base", "size", "stride", "row_bytes", "row_count")
    m.d.comb += [i.payload[name].eq(op[name]) for name in names]
    m.d.comb += [i.payload.index.eq(command.payload.index), i.valid.eq(command.valid), command.ready.eq(i.ready)]
