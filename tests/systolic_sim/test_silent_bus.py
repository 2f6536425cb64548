"""Every program ends, halted or stopped with an interrupt, whichever channel of the memory falls silent and when."""

import dataclasses

import numpy as np
import pytest

from systolic import isa, registers
from systolic.host import Driver, HostError
from systolic.isa import ErrorCode
from systolic.tpu_config import tpu_preset
from systolic_sim.rtl.tpu import CHANNELS, Fault, TpuRtl

TPU = tpu_preset("tpu_4x4")
AT, DATA, OUTPUT, FAULTY, SIZE = 0x1000, 0x2000, 0x3000, 0x4000, 0x5000
STOPPED = registers.register("STATUS").field("stopped").mask
IDLE = registers.register("STATUS").field("idle").mask
HALT, ERROR = (registers.register("INTERRUPT_STATUS").field(name).mask for name in ("halt", "error"))
START = registers.register("CONTROL").field("start").mask
ALL = sum(field.mask for field in registers.register("INTERRUPT_ENABLE").fields)

#: Bytes that BUSY has written when none, one and both of its bursts have ended.
BEGUN = (0, TPU.burst_beats * TPU.bus_bytes, 96)

#: Cycles for the watchdog: more than any memory here takes that answers.
WATCHDOG = 100
#: Cycles of the longest program here on a memory that answers.
LONGEST = 400

op = isa.operation


def transfer(name, memory, base, *, size=96, **changed):
    return op(name, memory=memory, base=base, row_bytes=size, **{"memory_size": size, "size": size} | changed)


#: Bursts on all channels that nothing at the program's end waits for but ``halt``. The fixture fills what is written.
FILL = transfer("read_host_memory", DATA, 512)
BUSY = [transfer("write_host_memory", OUTPUT, 512), transfer("read_host_memory", DATA, 0)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """What ends a program: its last instructions, what it does to the bus or the doorbell, and the error."""

    ends: tuple
    error: str | None
    faults: tuple = ()
    ring_again: int | None = None
    opcode: int | None = None

    @property
    def memory(self):
        content = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)
        code = bytearray(isa.encode(self.program))
        if self.opcode is not None:
            code[isa.BYTES * self.index] = self.opcode
        content[AT:AT + len(code)] = np.frombuffer(code, np.uint8)
        return content

    @property
    def program(self):
        # More than the fetcher reads ahead of an end.
        return [*BUSY, *self.ends, op("halt"), *[op("nop")] * 4]

    @property
    def index(self):
        """Of the instruction that is wrong: the last before ``halt``, or ``halt``."""
        return len(BUSY) + max(len(self.ends) - 1, 0)


BEYOND = (Fault(first=FAULTY, last=SIZE),)
KINDS = {
    "opcode": Kind(ends=(op("nop"),), error=ErrorCode.OPCODE, opcode=0xFF),
    "region": Kind(ends=(transfer("read_host_memory", DATA, 1024, memory_size=95),), error=ErrorCode.REGION),
    "bus_read": Kind(ends=(transfer("read_host_memory", FAULTY, 1024),), error=ErrorCode.BUS_READ, faults=BEYOND),
    "bus_write": Kind(ends=(transfer("write_host_memory", FAULTY, 1024),), error=ErrorCode.BUS_WRITE, faults=BEYOND),
    "busy": Kind(ends=(), error=ErrorCode.BUSY, ring_again=110),
    "halt": Kind(ends=(), error=None),
    "watchdog": Kind(ends=(op("activate", base=1024, size=4, parameters=2000, channels=1),), error=ErrorCode.WATCHDOG),
}


@pytest.fixture(scope="module")
def rtl():
    """With bytes in the buffer that ``BUSY`` writes to memory: no reset clears it."""
    rtl, content = TpuRtl(TPU), KINDS["halt"].memory
    content[AT:AT + 2 * isa.BYTES] = np.frombuffer(isa.encode([FILL, op("halt")]), np.uint8)
    rtl.connect(content)
    assert Driver(rtl).run(AT, 2).halted
    return rtl


def start(rtl, kind, *, watchdog=WATCHDOG, **options):
    """Ring the doorbell; the memory, which is returned, counts the cycles to its silence from there."""
    content = kind.memory
    for register, value in (("PROGRAM_ADDRESS", AT), ("PROGRAM_LENGTH", len(kind.program)), ("WATCHDOG", watchdog),
                            ("INTERRUPT_STATUS", ALL), ("INTERRUPT_ENABLE", ALL)):
        Driver(rtl).write(register, value)
    rtl.connect(content, faults=kind.faults, **options)
    Driver(rtl).write("CONTROL", START)
    if kind.ring_again:
        rtl.wait(kind.ring_again)
        Driver(rtl).write("CONTROL", START)
    return content


def error_of(rtl):
    """Code of the error, and whether the bus is dead."""
    fields = Driver(rtl).read_fields("ERROR_CODE")
    return fields["code"], bool(fields["bus_dead"])


def end(rtl, kind, *, cycles=LONGEST + WATCHDOG, where=""):
    """Wait for the end; returns the name of the error, or None, and whether the bus is dead. All registers agree."""
    rtl.wait(cycles)
    pending, status, (code, bus_dead) = Driver(rtl).read("INTERRUPT_STATUS"), Driver(rtl).read("STATUS"), error_of(rtl)
    assert (pending, status) in ((HALT, IDLE), (ERROR, STOPPED)), f"{where}: status {status}, interrupts {pending}"
    assert (status == STOPPED) == bool(code), where
    assert bus_dead == (rtl.unanswered() > 0), where
    error = ErrorCode(code) if code else None
    if error == kind.error != ErrorCode.WATCHDOG and error != ErrorCode.BUSY:
        assert Driver(rtl).read("ERROR_INDEX") == (kind.index if error else 0), where
    Driver(rtl).write("INTERRUPT_STATUS", ALL)
    return error, bus_dead


def works(rtl, where):
    """A legal program halts, with the right bytes in memory."""
    kind = KINDS["halt"]
    content = start(rtl, kind)
    assert end(rtl, kind, where=where) == (None, False), where
    assert np.array_equal(content, written(kind.memory)), where


def written(content, size=96):
    """What is in memory once ``BUSY`` has been executed, or that much of it."""
    content[OUTPUT:OUTPUT + size] = content[DATA:DATA + size]
    return content


@pytest.mark.parametrize("name", KINDS)
def test_every_program_ends(rtl, name):
    """At any moment, on any channel. The first error stays, and once memory has answered all a restart is enough."""
    kind = KINDS[name]
    for channel in CHANNELS:
        found = []
        for moment in range(180):
            where = f"{name}, {channel} silent from cycle {moment} on"
            rtl.reset()
            content = start(rtl, kind, silent={channel: moment})
            error, bus_dead = end(rtl, kind, where=where)
            assert error in (kind.error, ErrorCode.WATCHDOG), where
            assert error == kind.error or bus_dead, where
            found.append((error, bus_dead))
            if bus_dead:
                with pytest.raises(HostError, match="memory does not answer: reset TPU and interconnect"):
                    Driver(rtl).restart()
                Driver(rtl).write("CONTROL", START)
                assert Driver(rtl).read("STATUS") == STOPPED and error_of(rtl) == (error, True), where
                rtl.connect(content, faults=kind.faults)
                rtl.wait(100)
                assert rtl.unanswered() == 0 and error_of(rtl) == (error, False), where
            assert any(np.array_equal(content, written(kind.memory, size)) for size in BEGUN), where
            if error:
                Driver(rtl).restart()
            works(rtl, where)
        # The later it is, the more comes to pass; in the end all, with all bursts answered.
        own = [each[0] == kind.error for each in found]
        assert own == sorted(own) and found[-1] == (kind.error, False), (name, channel)
        assert any(bus_dead for _, bus_dead in found), (name, channel)


@pytest.mark.parametrize("channel", CHANNELS)
def test_silent_for_a_while(rtl, channel):
    """A memory that comes back before the watchdog's time is over is no error, and after an error it is waited for."""
    for moment in range(0, 140, 7):
        for name, ends in (("halt", (None, False)), ("opcode", (ErrorCode.OPCODE, False))):
            where = f"{name}, {channel} silent from cycle {moment} on"
            rtl.reset()
            content = start(rtl, KINDS[name], silent={channel: moment})
            rtl.wait(moment + WATCHDOG - 30)
            rtl.connect(content)
            assert end(rtl, KINDS[name], where=where) == ends, where
            assert any(np.array_equal(content, written(KINDS[name].memory, size)) for size in BEGUN), where


def test_the_end_of_a_program_and_the_watchdog_meet(rtl):
    """Whatever comes first, it is one of the two."""
    ends = []
    for latency in (1, 20):
        for watchdog in range(1, 60):
            rtl.reset()
            start(rtl, KINDS["halt"], watchdog=watchdog, latency=latency)
            ends.append(end(rtl, KINDS["halt"], where=f"latency {latency}, watchdog {watchdog}")[0])
    assert set(ends) == {None, ErrorCode.WATCHDOG}


@pytest.mark.parametrize("moment", [70, 128])
def test_a_doorbell_while_stopping(rtl, moment):
    """The first error stays, and the end comes no later."""
    ends = []
    for rings in (0, 3):
        rtl.reset()
        start(rtl, KINDS["opcode"], silent={"r": moment})
        rtl.wait(moment + 20)
        for _ in range(rings):
            Driver(rtl).write("CONTROL", START)
            assert Driver(rtl).read("STATUS") == registers.register("STATUS").field("running").mask
        assert end(rtl, KINDS["opcode"]) == (ErrorCode.OPCODE, True)
        ends.append(Driver(rtl).read("CYCLES_LO"))
    assert ends[0] == ends[1]


def test_the_watchdog_is_off(rtl):
    """A program waits for ever; at its end it waits for as long as after reset, as it does after an error."""
    patience = registers.register("WATCHDOG").field("cycles").reset
    rtl.reset()
    # All has come but the last beat beyond the end, which is due in cycle 128.
    start(rtl, KINDS["halt"], watchdog=0, silent={"r": 128})
    assert not rtl.wait(patience)
    assert end(rtl, KINDS["watchdog"], cycles=150) == (ErrorCode.WATCHDOG, True)
    assert Driver(rtl).read("ERROR_INDEX") == KINDS["halt"].index
    rtl.reset()
    start(rtl, KINDS["opcode"], watchdog=0, silent={"r": 10})
    assert not rtl.wait(patience + 1000)
    assert Driver(rtl).read("STATUS") == registers.register("STATUS").field("running").mask
    Driver(rtl).write("WATCHDOG", 3000)
    assert rtl.wait(10)
    assert end(rtl, KINDS["watchdog"]) == (ErrorCode.WATCHDOG, True)


def test_after_a_dead_bus_a_reset_helps(rtl):
    rtl.reset()
    start(rtl, KINDS["halt"], silent={"r": 50})
    assert end(rtl, KINDS["halt"]) == (ErrorCode.WATCHDOG, True)
    rtl.reset()
    assert Driver(rtl).read("STATUS") == IDLE and error_of(rtl) == (0, False)
    works(rtl, "after a reset")


OUTPUTS = 2000
#: Reads the buffer in every cycle, before anyone else, for that many cycles.
POOL = op("pool", base=4096, size=OUTPUTS, from_base=1024, from_size=OUTPUTS, start=1024, parameters=0,
          x_count=OUTPUTS, x_stride=1, from_x_stride=1)


def test_a_unit_at_work_does_not_put_off_the_end(rtl):
    """After an error the bus alone counts: what a unit has begun may take for as long as it likes."""
    kind = Kind(ends=(POOL, op("sync"), op("nop")), error=ErrorCode.OPCODE, opcode=0xFF)
    rtl.reset()
    start(rtl, kind)
    assert end(rtl, kind, cycles=2 * OUTPUTS) == (ErrorCode.OPCODE, False)
    assert Driver(rtl).read("CYCLES_LO") > OUTPUTS
    read = transfer("read_host_memory", DATA, 640)
    kind = dataclasses.replace(kind, ends=(POOL, read, op("nop")))
    rtl.reset()
    start(rtl, kind, silent={"r": 190})
    assert end(rtl, kind) == (ErrorCode.OPCODE, True)
    assert Driver(rtl).read("CYCLES_LO") < 190 + WATCHDOG + 10


@pytest.mark.parametrize("stalls", [0, 0.5])
def test_a_unit_at_work_does_not_keep_stores_from_their_data(rtl, stalls):
    """Bursts begun are finished, although another unit would go first at the buffer."""
    write = transfer("write_host_memory", FAULTY, 512)
    kind = Kind(ends=(POOL, write, op("nop")), error=ErrorCode.OPCODE, opcode=0xFF)
    for seed in range(10):
        rtl.reset()
        content, expected = start(rtl, kind, stalls=stalls, seed=seed), written(kind.memory)
        assert end(rtl, kind, cycles=2 * LONGEST) == (ErrorCode.OPCODE, False)
        begun = [size for size in BEGUN if np.array_equal(content[FAULTY:FAULTY + size], content[DATA:DATA + size])]
        assert len(begun) > 1
        expected[FAULTY:FAULTY + begun[-1]] = expected[DATA:DATA + begun[-1]]
        assert np.array_equal(content, expected)
        assert Driver(rtl).read("CYCLES_LO") < OUTPUTS
