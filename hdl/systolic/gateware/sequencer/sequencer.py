"""The sequencer: takes a program from memory and hands its instructions to the units."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from ... import isa, registers
from ..lib.one_hot import OneHot
from ..ports import Beat, Command, Error, HostPort, ReadRequest, UnitPort, fields
from ..shared import Shared, place
from .decoder import Decoder
from .fetch import Fetcher
from .scoreboard import EXECUTORS, Scoreboard

__all__ = ["Sequencer"]

_OPCODE = {each.name: each.opcode for each in isa.INSTRUCTIONS}
_EXECUTES = {"nop", "halt", "sync", "interrupt", "debug_tag", "set_configuration"}

#: Cycles without a handshake that the end of a program waits for the bus while the watchdog is off.
PATIENCE = registers.register("WATCHDOG").field("cycles").reset


#: What the sequencer does in a cycle.
_STATES = (
    "idle",      # waits for a doorbell
    "load",      # takes the next instruction from the fetcher
    "decode",    # two cycles of the decoder
    "judge",
    "select",    # look what is to be done
    "bound",     # four cycles a region: compute its end, the first as soon as the unit has room,
    "meet",      # compare it with those under way, and look whether there is one more,
    "settle",
    "compare",   # and wait as long as it conflicts with what is under way
    "issue",     # hand the instruction to its unit, if the one before has left the door
    "quiet",     # wait until no unit has anything to do
    "drain",     # throw away what was fetched beyond halt
    "stopping",  # an error: wait for the bus, as long as the watchdog allows
    "stopped",
)


class Sequencer(Shared):
    """Executes a program in order, as far as anybody can tell.

    ::

        memory ─▶ Fetcher ─▶ words ─▶ Decoder ─▶ Scoreboard ─▶ one command a unit ─▶ units

    An instruction is issued to its unit when no older one, on whatever unit, still needs the bytes that it touches.
    So units run side by side and every result is that of executing one instruction after the other.

    Members
    -------
    host : In(HostPort)
    fetch_request, fetch_beat
        Client of the read DMA.
    units : Out(UnitPort), an array
        In the order of ``EXECUTORS``.
    weights_taken : In(1)
        The matrix unit took a row of weights: the machine is alive.
    rows_empty, switched, finishing, result_taken : In
        From the row reader, and results that the activation unit takes: what ``halt`` must not leave behind.
    bus_idle : In(1)
        No burst is under way.
    bus_moving : In(1)
        A handshake on any channel of the memory bus in the cycle before.
    stop : Out(1)
        An error: the DMA begins nothing new. ``host.bus_dead``: stopped, and bursts are unanswered. The DMA still
        waits for them: once the last is answered, it falls.
    issued : Out(1)
        For one cycle: an instruction was executed.
    """

    resets = True
    module_name = "sequencer"

    def __init__(self, config):
        self.config = config
        for each in isa.INSTRUCTIONS:
            if each.unit == "sequencer" and each.name not in _EXECUTES:
                raise ValueError(f"instruction {each.name} must be executed by one of {', '.join(EXECUTORS)}: "
                                 f"the sequencer itself only executes {', '.join(sorted(_EXECUTES))}")
        super().__init__({
            "host": In(HostPort()), "units": Out(UnitPort()).array(len(EXECUTORS)),
            "fetch_request": Out(stream.Signature(ReadRequest())), "fetch_beat": In(Beat(config)),
            "rows_empty": In(1), "switched": In(1), "finishing": In(1), "result_taken": In(1), "weights_taken": In(1),
            "bus_idle": In(1), "bus_moving": In(1), "stop": Out(1), "issued": Out(1),
        })

    def build(self, platform):
        m = Module()
        self.state, self.index = OneHot("state", _STATES), Signal(16)
        self.words, self.rounding, self.in_place = Signal(8 * isa.BYTES), Signal(2), Signal()
        self.fetcher = place(m, "fetcher", Fetcher(self.config))
        self.decoder = place(m, "decoder", Decoder(self.config))
        self.scoreboard = place(m, "scoreboard", Scoreboard(self.config))
        self.problem, self.onward = Signal(data.StructLayout({"valid": 1, "code": 4})), Signal()
        leftover = self._leftover(m)

        m.d.sync += [self.problem.valid.eq(0), self.onward.eq(0)]
        with m.If(self.onward):
            m.d.sync += self.index.eq(self.index + 1)
        self._fetch(m)
        m.d.comb += [self.decoder.words.eq(self.words), self.scoreboard.done.eq(Cat(each.done for each in self.units))]
        m.d.sync += [self.host.halted.eq(0), self.host.interrupted.eq(0), self.host.failed.eq(0), self.issued.eq(0)]
        with m.If(self.state["idle"]):
            self._begin(m)
        with m.If(self.state["decode"]):
            m.d.sync += self.state.go("judge")
        with m.If(self.state["judge"]):
            m.d.sync += self.state.go("select")
        with m.If(self.state["select"]):
            self._dispatch(m)
        with m.If(self.state["quiet"]):
            self._quiet(m, leftover)
        with m.If(self.state["drain"] & self.fetcher.empty):
            m.d.sync += self.state.go("idle")
            m.d.sync += [self.host.running.eq(0), self.host.halted.eq(1)]
        self._regions(m)
        self._issue(m)
        self._supervise(m)
        return m

    def _fail(self, m, code):
        """In the next cycle, when ``index`` is that of the instruction in any case."""
        m.d.sync += [self.problem.valid.eq(1), self.problem.code.eq(code)]

    def _next(self, m):
        """On to the next instruction."""
        m.d.sync += [self.state.go("load"), self.onward.eq(1), self.issued.eq(1)]

    def _begin(self, m):
        # An instruction has 64 bytes, and lies on a boundary of 64. The host wrote both some cycles ago.
        unfit = Signal()
        m.d.sync += [self.index.eq(0), unfit.eq(self.host.address[:6].any() | (self.host.length == 0))]
        with m.If(self.host.start):
            m.d.sync += self.host.running.eq(1)
            with m.If(unfit):
                self._fail(m, isa.ErrorCode.FETCH)
            with m.Else():
                m.d.sync += self.state.go("load")
                m.d.comb += self.fetcher.start.eq(1)

    def _fetch(self, m):
        """Shifts bus words into ``words``."""
        fetcher, bits = self.fetcher, 8 * self.config.bus_bytes
        # Late by a cycle: beyond the end the fetcher has nothing to take.
        loaded, ended = Signal(range(fetcher.beats)), Signal()
        m.d.sync += ended.eq(self.index == self.host.length)
        m.d.comb += [
            fetcher.address.eq(self.host.address), fetcher.length.eq(self.host.length),
            fetcher.beat.eq(self.fetch_beat),
            self.fetch_request.valid.eq(fetcher.request.valid), self.fetch_request.payload.eq(fetcher.request.payload),
            fetcher.request.ready.eq(self.fetch_request.ready),
            fetcher.o.ready.eq(self.state["load"] | self.state["drain"]),
        ]
        with m.If(self.state["load"]):
            with m.If(ended):
                self._fail(m, isa.ErrorCode.END)
            with m.Elif(fetcher.o.valid):
                m.d.sync += [self.words.eq(Cat(self.words, fetcher.o.payload[:bits])[bits:]), loaded.eq(loaded + 1)]
                with m.If(fetcher.o.payload[-1]):
                    self._fail(m, isa.ErrorCode.FETCH)
                with m.Elif(loaded == fetcher.beats - 1):
                    m.d.sync += [self.state.go("decode"), loaded.eq(0)]

    def _dispatch(self, m):
        """What the decoder says is known now, and so is the first region."""
        decoder, own = self.decoder, self.decoder.own
        with m.If(decoder.problem != 0):
            self._fail(m, decoder.problem)
        with m.Elif(decoder.executor.any()):
            m.d.sync += self.state.go("bound", decoder.exists, "issue")
        with m.Else():
            with m.If(Cat(own[each.name] for each in isa.INSTRUCTIONS if each.waits).any()):
                m.d.sync += self.state.go("quiet")
            with m.Else():
                self._next(m)
                with m.If(own.debug_tag):
                    m.d.sync += self.host.debug_tag.eq(fields(self.words, "debug_tag").tag)
                with m.If(own.set_configuration):
                    m.d.sync += self.rounding.eq(fields(self.words, "set_configuration").rounding)

    def _quiet(self, m, leftover):
        """sync, interrupt and halt take effect when nothing is under way."""
        own = self.decoder.own
        with m.If(self.scoreboard.quiet & self.rows_empty):
            with m.If(~own.halt):
                self._next(m)
                m.d.sync += self.host.interrupted.eq(own.interrupt)
            with m.Elif(leftover):
                self._fail(m, isa.ErrorCode.LEFTOVER)
            with m.Else():
                m.d.comb += self.fetcher.cancel.eq(1)
                m.d.sync += [self.state.go("drain"), self.issued.eq(1)]

    def _leftover(self, m):
        """Whether there are tiles or results that no instruction has taken; long before all that is quiet."""
        # Differences, which pass below zero while a row waits for its tile: only zero at the end counts.
        tiles, results, reads, leftover = Signal(33), Signal(24), Signal(), Signal()
        tile_count = fields(self.words, "read_weights").tile_count
        m.d.sync += [reads.eq(self.scoreboard.issue & (self.words[:8] == _OPCODE["read_weights"])),
                     leftover.eq(tiles.any() | results.any()),
                     tiles.eq(tiles + Mux(reads, tile_count, 0) - self.switched),
                     results.eq(results + self.finishing - self.result_taken)]
        return leftover

    def _regions(self, m):
        """Region after region: its end, its conflicts. A region is kept before it is known whether it conflicts: it
        counts from the issue on."""
        decoder, scoreboard = self.decoder, self.scoreboard
        slot, region = Signal.like(decoder.slot), Signal.like(scoreboard.region)
        outside, streamed, fits, self.room = Signal(), Signal(), Signal(), Signal()
        # Late by a cycle, and never wrong: only an issue fills an entry, and the next instruction has yet to be loaded.
        m.d.sync += self.room.eq(~(scoreboard.full & decoder.executor).any())
        m.d.comb += [scoreboard.region.eq(region), scoreboard.slot.eq(slot),
                     scoreboard.bound.eq(self.state["bound"]), scoreboard.base.eq(decoder.region.base),
                     scoreboard.executor.eq(decoder.executor), scoreboard.store.eq(self.state["meet"])]
        with m.If(self.state["decode"]):
            m.d.sync += [slot.eq(0), decoder.slot.eq(0), self.in_place.eq(0)]
        with m.If(self.state["bound"]):
            m.d.sync += [region.base.eq(decoder.region.base), region.end.eq(decoder.region.base + decoder.region.size),
                         region.memory.eq(decoder.region.memory), region.writes.eq(decoder.region.writes),
                         streamed.eq(decoder.region.streamed), fits.eq(decoder.region.in_place)]
            with m.If(self.room):
                m.d.sync += [decoder.slot.eq(slot + 1), self.state.go("meet")]
        with m.If(self.state["meet"]):
            m.d.sync += [outside.eq(~region.memory & (region.end > self.config.buffer_size)),
                         self.state.go("settle")]
        with m.If(self.state["settle"]):
            m.d.sync += self.state.go("compare")
        with m.If(self.state["compare"]):
            with m.If(outside):
                self._fail(m, isa.ErrorCode.BUFFER)
            with m.Elif(streamed & scoreboard.over_output & ~fits):
                self._fail(m, isa.ErrorCode.OVERLAP)
            with m.Elif(~scoreboard.conflict):
                m.d.sync += [slot.eq(decoder.slot), self.state.go("bound", decoder.exists, "issue"),
                             self.in_place.eq(self.in_place | (streamed & scoreboard.over_output))]

    def _issue(self, m):
        """A command waits at its unit's door, so that the next instruction need not."""
        executor, free = self.decoder.executor, Signal()
        valid = Cat(each.command.valid for each in self.units)
        m.d.sync += free.eq(~(valid & executor).any())
        m.d.comb += self.scoreboard.issue.eq(self.state["issue"] & free & self.room)
        with m.If(self.scoreboard.issue):
            self._next(m)
        for number, (name, unit) in enumerate(zip(EXECUTORS, self.units, strict=True)):
            command, outbox = unit.command, Signal(Command(), name=f"{name}_outbox")
            m.d.comb += command.payload.eq(outbox)
            with m.If(command.valid & command.ready):
                m.d.sync += command.valid.eq(0)
            with m.If(self.scoreboard.issue & executor[number]):
                m.d.sync += [command.valid.eq(1), outbox.words.eq(self.words), outbox.index.eq(self.index),
                             outbox.rounding.eq(self.rounding), outbox.in_place.eq(self.in_place)]

    def _supervise(self, m):
        """The first error stops the machine; without one, a watchdog does when nothing moves any more."""
        host, overdue = self.host, self._watch(m)
        guarded, found = Signal(), Signal(Error())
        m.d.sync += [guarded.eq(host.watchdog.any()), found.valid.eq(0)]
        # The last that is valid counts: the first unit's.
        for each in reversed(self.units):
            with m.If(each.error.valid):
                m.d.sync += found.eq(each.error)
        errors = [(self.problem.valid, self.problem.code, self.index),
                  (host.busy_error, isa.ErrorCode.BUSY, self.index),
                  (overdue & (guarded | self.state["drain"]), isa.ErrorCode.WATCHDOG, self.index),
                  (found.valid, found.code, found.index)]
        with m.If(host.running & ~self.stop):
            for valid, code, index in errors:
                with m.If(valid):
                    m.d.sync += [self.stop.eq(1), self.state.go("stopping"), host.running.eq(1), host.halted.eq(0),
                                 host.error_code.eq(code), host.error_index.eq(index)]
        m.d.comb += host.bus_dead.eq(host.stopped & ~self.bus_idle)
        with m.If(self.stop & ~host.stopped):
            m.d.comb += self.fetcher.cancel.eq(1)
            m.d.sync += self.state.go("stopping")
            with m.If(self.bus_idle | overdue):
                m.d.sync += [host.stopped.eq(1), host.running.eq(0), host.failed.eq(1), self.state.go("stopped")]

    def _watch(self, m):
        """Whether nothing has moved for as long as the watchdog allows; after an error, nothing on the bus."""
        watchdog, moving = self.host.watchdog, Cat(*(each.moving for each in self.units), self.weights_taken)
        idle_cycles, limit, overdue = Signal(32), Signal(32, init=PATIENCE), Signal()
        alive = Signal()
        m.d.sync += alive.eq(self.bus_moving | (~self.stop & (moving.any() | self.issued)))
        with m.If(alive | ~self.host.running):
            m.d.sync += idle_cycles.eq(0)
        with m.Elif(~idle_cycles.all()):
            m.d.sync += idle_cycles.eq(idle_cycles + 1)
        m.d.sync += [limit.eq(Mux(watchdog.any(), watchdog, PATIENCE)), overdue.eq(idle_cycles >= limit)]
        return overdue
