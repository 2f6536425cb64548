"""The TPU's end of a serial line: requests in, registers and memory read and written, replies out."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, memory, stream
from amaranth.lib.wiring import In, Out

from ...registers import ADDRESS_WIDTH
from ...serial_protocol import HEADER, PAYLOAD, REPLY, REQUEST, TAIL, Operation, Status
from ..lib.axi import AXI4, INCR, AxiLite
from ..shared import Shared, place
from .crc import Crc32

__all__ = ["SerialLink"]

#: Of a request, behind its first byte.
_HEADER = data.StructLayout({"number": 8, "operation": 8, "count": 8, "address": 32})



class SerialLink(Shared):
    """Executes the requests of :mod:`systolic.serial_protocol`, one at a time, byte after byte.

    ::

        bytes ─▶ header, payload ─▶ CRC right? ─▶ number next? ─┬─▶ registers (AXI4-Lite)
                                                                ├─▶ memory (AXI4, a beat a byte)
        bytes ◀────────────── CRC ◀── number, payload, status ◀─┘

    Bytes that come while it executes and answers are lost: the host waits for the reply.

    Parameters
    ----------
    bus_bytes : int
        Width of the memory bus.
    pause : int
        Cycles of silence after which it forgets a request that has begun.

    Members
    -------
    i, o : In(stream), Out(stream)
        Bytes; ``i`` is always ready.
    registers : Out(AxiLite)
    memory : Out(AXI4)
    interrupt : In(1)
    """

    resets = True

    def __init__(self, *, bus_bytes, pause):
        self.bus_bytes = bus_bytes
        self.pause = pause
        self.module_name = f"serial_link_{8 * bus_bytes}"
        super().__init__({
            "i": In(stream.Signature(8, always_ready=True)), "o": Out(stream.Signature(8)),
            "registers": Out(AxiLite(ADDRESS_WIDTH)), "memory": Out(AXI4(bus_bytes)), "interrupt": In(1),
        })

    def build(self, platform):
        m = Module()
        self.request, self.latest = Signal(_HEADER), Signal(8)
        #: Which byte of a part is next; what a request asks for, and how it went.
        self.position = Signal(range(PAYLOAD + 1))
        self.status, self.executed = Signal(8), Signal(8)
        m.submodules.payload = storage = memory.Memory(shape=8, depth=PAYLOAD, init=[])
        self.write, self.read = storage.write_port(), storage.read_port()
        m.d.comb += [self.write.addr.eq(self.position), self.write.data.eq(self.i.payload),
                     self.read.addr.eq(self.position)]
        self.crc = place(m, "crc", Crc32())
        kind = self.request.operation
        self.writes = (kind == Operation.WRITE_REGISTER) | (kind == Operation.WRITE_MEMORY)
        self.reads = (kind == Operation.READ_REGISTER) | (kind == Operation.READ_MEMORY)
        self.to_memory = (kind == Operation.WRITE_MEMORY) | (kind == Operation.READ_MEMORY)
        self.word, self.byte = Signal(32), Signal(8)
        self._drive(m)
        with m.FSM(name="serial"):
            self._receive(m)
            self._judge(m)
            self._write(m)
            self._reply(m)
            self._read(m)
        return m

    def _receive(self, m):
        """A request that has begun ends with its last byte, or when nothing more comes."""
        silent = Signal(range(self.pause + 1))
        came = self.i.valid
        m.d.sync += silent.eq(Mux(came, 0, silent + 1))
        lost = silent == self.pause
        header = self.request.as_value()
        with m.State("start"):
            m.d.sync += self.position.eq(0)
            m.d.comb += [self.crc.clear.eq(1), self.crc.valid.eq(came), self.crc.data.eq(self.i.payload)]
            with m.If(came & (self.i.payload == REQUEST)):
                m.next = "header"
        with m.State("header"):
            self._checked(m)
            with m.If(came):
                m.d.sync += header.eq(Cat(header[8:], self.i.payload))
                with m.If(self.position == HEADER - 2):
                    m.d.sync += self.position.eq(0)
                    m.next = "measure"
            with m.Elif(lost):
                m.next = "start"
        with m.State("measure"):
            # What cannot be right is not waited for.
            count = self.request.count
            most = Mux(self.to_memory, PAYLOAD, Mux(self.reads | self.writes, 4, 0))
            with m.If((self.request.operation > max(Operation)) | (count > most) | ((most == 4) & (count != 4))):
                m.next = "start"
            with m.Elif(self.writes & (count != 0)):
                m.next = "payload"
            with m.Else():
                m.next = "checksum"
        with m.State("payload"):
            self._checked(m)
            m.d.comb += self.write.en.eq(came)
            with m.If(came & (self.position == self.request.count - 1)):
                m.d.sync += self.position.eq(0)
                m.next = "checksum"
            with m.Elif(lost):
                m.next = "start"
        with m.State("checksum"):
            self._checked(m)
            with m.If(came & (self.position == TAIL - 1)):
                m.d.sync += self.position.eq(0)
                m.next = "judge"
            with m.Elif(lost):
                m.next = "start"

    def _checked(self, m):
        """The bytes of this state are of the frame."""
        m.d.comb += [self.crc.valid.eq(self.i.valid), self.crc.data.eq(self.i.payload)]
        with m.If(self.i.valid):
            m.d.sync += self.position.eq(self.position + 1)

    def _judge(self, m):
        """Only what is next is executed; a write that was executed is only answered again."""
        number, again, known, greeted = self.request.number, Signal(), Signal(), Signal()
        hello, following = self.request.operation == Operation.HELLO, self.latest + 1
        m.d.comb += [again.eq(number == self.latest), known.eq(greeted & (again | (number == following[:8])))]
        with m.State("judge"):
            m.d.sync += self.status.eq(0)
            with m.If(~self.crc.right):
                m.next = "start"
            with m.Elif(hello | known):
                m.d.sync += [self.latest.eq(number), greeted.eq(1)]
                with m.If(self.writes & ~again):
                    m.next = "fetch"
                with m.Else():
                    with m.If(self.writes):
                        m.d.sync += self.status.eq(self.executed)
                    m.next = "start_byte"
            with m.Else():
                m.d.sync += self.status.eq(Status.REFUSED)
                m.next = "start_byte"

    def _drive(self, m):
        """The buses; what is asked of them is held until it is taken."""
        request, axi, bus = self.request, self.registers, self.memory
        shift = (self.bus_bytes - 1).bit_length()
        lane = request.address[:shift]
        for channel in (bus.ar, bus.aw):
            m.d.comb += [channel.payload.addr.eq(Cat(Const(0, shift), request.address[shift:])),
                         channel.payload.len.eq(0), channel.payload.size.eq(shift), channel.payload.burst.eq(INCR)]
        m.d.comb += [
            bus.w.payload.data.eq(self.byte.replicate(self.bus_bytes)), bus.w.payload.strb.eq(1 << lane),
            bus.w.payload.last.eq(1), bus.r.ready.eq(1), bus.b.ready.eq(1),
            axi.araddr.eq(request.address), axi.awaddr.eq(request.address), axi.wdata.eq(self.word),
            axi.wstrb.eq(0b1111), axi.rready.eq(1), axi.bready.eq(1),
        ]
        for valid, ready in ((bus.ar.valid, bus.ar.ready), (bus.aw.valid, bus.aw.ready), (bus.w.valid, bus.w.ready),
                             (axi.arvalid, axi.arready), (axi.awvalid, axi.awready), (axi.wvalid, axi.wready)):
            with m.If(ready):
                m.d.sync += valid.eq(0)
        with m.If(bus.r.valid):
            lanes = Array(bus.r.payload.data.word_select(each, 8) for each in range(self.bus_bytes))
            m.d.sync += self.byte.eq(lanes[lane])
        with m.If(axi.rvalid):
            m.d.sync += self.word.eq(axi.rdata)
        failed = ((bus.r.valid & bus.r.payload.resp[1]) | (bus.b.valid & bus.b.payload.resp[1])
                  | (axi.rvalid & axi.rresp[1]) | (axi.bvalid & axi.bresp[1]))
        with m.If(failed):
            m.d.sync += self.status.eq(self.status | Status.FAILED)

    def _write(self, m):
        """Byte after byte out of the payload, into memory or into a word for a register."""
        last = self.position == self.request.count
        with m.State("fetch"):
            with m.If(last):
                m.next = "written"
            with m.Else():
                m.next = "take"
        with m.State("take"):
            m.d.sync += [self.byte.eq(self.read.data), self.word.eq(Cat(self.word[8:], self.read.data)),
                         self.position.eq(self.position + 1)]
            with m.If(self.to_memory):
                m.d.sync += [self.memory.aw.valid.eq(1), self.memory.w.valid.eq(1)]
                m.next = "respond"
            with m.Elif(self.position == 3):
                m.d.sync += [self.registers.awvalid.eq(1), self.registers.wvalid.eq(1)]
                m.next = "respond"
            with m.Else():
                m.next = "fetch"
        with m.State("respond"):
            with m.If(self.memory.b.valid):
                m.d.sync += self.request.address.eq(self.request.address + 1)
            with m.If(self.memory.b.valid | self.registers.bvalid):
                m.next = "fetch"
        with m.State("written"):
            m.d.sync += [self.executed.eq(self.status), self.position.eq(0)]
            m.next = "start_byte"

    def _reply(self, m):
        """Parts of a reply; the payload is read as it goes."""
        asked = Mux(self.reads & ~self.status[1], self.request.count, 0)
        status = self.status | Mux(self.interrupt, Status.INTERRUPT, 0)
        register, left = Signal(32), Signal(range(TAIL))
        parts = (("start_byte", REPLY, "number"), ("number", self.request.number, "count"), ("count", asked, None),
                 ("status", status, "seal"))
        for state, byte, following in parts:
            with m.State(state):
                self._send(m, byte)
                if state == "start_byte":
                    m.d.comb += self.crc.clear.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += self.position.eq(0)
                    if following:
                        m.next = following
                    else:
                        with m.If(asked == 0):
                            m.next = "status"
                        with m.Else():
                            m.next = "ask"
        with m.State("seal"):
            m.d.sync += [register.eq(self.crc.value), left.eq(TAIL - 1)]
            m.next = "checksum_out"
        with m.State("checksum_out"):
            m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(register)]
            with m.If(self.o.ready):
                m.d.sync += [register.eq(register >> 8), left.eq(left - 1)]
                with m.If(left == 0):
                    m.next = "start"

    def _send(self, m, byte):
        """Offer a byte of the reply; it counts once it is taken."""
        m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(byte), self.crc.valid.eq(self.o.ready),
                     self.crc.data.eq(byte)]

    def _read(self, m):
        with m.State("ask"):
            with m.If(self.to_memory):
                m.d.sync += self.memory.ar.valid.eq(1)
            with m.Else():
                m.d.sync += self.registers.arvalid.eq(1)
            m.next = "await"
        with m.State("await"):
            with m.If(self.memory.r.valid | self.registers.rvalid):
                m.next = "send"
        with m.State("send"):
            self._send(m, Mux(self.to_memory, self.byte, self.word[:8]))
            with m.If(self.o.ready):
                m.d.sync += [self.position.eq(self.position + 1), self.word.eq(self.word >> 8),
                             self.request.address.eq(self.request.address + self.to_memory)]
                with m.If(self.position == self.request.count - 1):
                    m.next = "status"
                with m.Elif(self.to_memory):
                    m.next = "ask"
