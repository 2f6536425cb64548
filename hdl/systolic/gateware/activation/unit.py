"""The activation unit: from sums, or from bytes of the unified buffer, to bytes in the unified buffer."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream
from amaranth.lib.wiring import In, Out

from ... import isa
from ..delay import delay
from ..lib.credits import Credits
from ..ports import BufferRead, Command, UnitPort, Write, fields
from ..shared import Shared, place
from .lane import SUM_TO_WRITE, Addend, Control, Lanes
from .records import RecordReader
from .requantise import Requantise
from .steps import Place, Steps

__all__ = ["ActivationUnit"]

_FP32 = isa.ROUNDINGS.index("fp32")
_KINDS = tuple(each.name for each in isa.INSTRUCTIONS if each.unit == "activation")


class _Configuration(data.StructLayout):
    """What of an instruction is constant while its outputs are under way."""

    def __init__(self):
        super().__init__({name: 1 for name in (*_KINDS, "per_channel", "maximum", "fp32", "lookup")} | {
            "index": 16, "zero_point": signed(8), "low": signed(8), "high": signed(8)})


class ActivationUnit(Shared):
    """Executes activate, pool, add and load_table.

    An instruction first reads its parameter records, while outputs of the one before are still under way. Then it
    makes its steps: a group of ``lanes`` channels in a cycle, or a pixel of a window; three cycles for a group of an
    addition, in which a lane's one multiplier scales both inputs and, one latency later, their sum. An addition reads
    once for as many groups as the buffer's banks hold: the row reader waits for the fewer reads.

    ::

        cycle 0         1        2           3         4              10       11     12       13
              Steps ──▶ loop ──▶ address ──▶ check ──▶ read request   data ──▶ z ───▶ pool ──▶ operand
                                               └─────▶ place ─▶ queue
              results ▶ sum ──▶ operand ──▶ requantise, clamp, look up ──▶ (16 cycles) ──▶ write

    Where an output goes waits in a queue until the output comes; what travels with the data is one bit, which enters
    the shift register ``chain`` at one of three stages, for the three ways data can take. Nothing on them ever waits.

    Members
    -------
    results : In(stream)
        Rows of sums for activate.
    read : Out(BufferRead)
        Requests are taken at once.
    write : Out(stream of Write)
        Taken at once.
    stop : In(1)
        Read nothing from the cycle after the next on: first at the buffer, it could keep the storer from the data of
        bursts that memory waits for.
    sequencer : In(UnitPort)
        A command is taken when all steps of the one before are made. An error comes in place of the write that cannot
        be: all before it are made, none after it.
    """

    resets = True
    module_name = "activation_unit"

    def __init__(self, config):
        # The phases of an addition meet again after the latency.
        assert Requantise.LATENCY % 3 == 0
        self.config = config
        # Cycles from a step to the operand that was read for it: address, request, read, pixel, pool, operand.
        self.operand = Steps.ADDRESS + config.READ_LATENCY + 4
        # Stages of the chain: its entrances for the sum of two inputs, for what was read and for sums, whose operand
        # comes two cycles after its step; and its length, such that the write meets the byte.
        self.fp32 = config.roundings > _FP32
        self.total, self.read_entrance = 0, Requantise.LATENCY
        self.sums_entrance = self.read_entrance + self.operand - 2
        self.stages = self.sums_entrance + SUM_TO_WRITE - Steps.ADDRESS
        super().__init__({
            "sequencer": In(UnitPort()), "stop": In(1),
            "results": In(stream.Signature(data.ArrayLayout(32, config.matrix.arch.cols))),
            "read": Out(BufferRead(config)), "write": Out(stream.Signature(Write(config)))})

    def build(self, platform):
        m = Module()
        command, ahead, active = Signal(Command()), Signal(_Configuration()), Signal(_Configuration())
        steps, records = place(m, "steps", Steps(self.config)), place(m, "records", RecordReader(self.config))
        chain = self._chain(m, steps, active)
        self._take(m, command, ahead)
        self._control(m, steps, records, chain, ahead, active)
        m.d.comb += [steps.command.eq(command), records.command.eq(command), records.data.eq(self.read.data)]
        m.d.comb += [
            steps.activate.eq(ahead.activate), steps.pool.eq(ahead.pool), steps.add.eq(ahead.add),
            records.activate.eq(ahead.activate), records.add.eq(ahead.add), records.load_table.eq(ahead.load_table),
        ]
        m.d.sync += [
            self.read.request.valid.eq((records.request | steps.request) & ~self.stop),
            self.read.request.payload.eq(Mux(records.request, records.address, steps.address)),
        ]
        self._lanes(m, steps, records, active)
        return m

    def _take(self, m, command, ahead):
        """A new instruction, decoded on its way into the register."""
        new = self.sequencer.command.payload
        op, pool = fields(new.words, "activate"), fields(new.words, "pool")
        kind = {each.name: new.words[:8] == each.opcode for each in isa.INSTRUCTIONS if each.name in _KINDS}
        with m.If(self.sequencer.command.valid & self.sequencer.command.ready):
            m.d.sync += [command.eq(new), *(ahead[name].eq(value) for name, value in kind.items())]
            m.d.sync += [
                ahead.per_channel.eq(kind["activate"] & op.per_channel), ahead.maximum.eq(pool.maximum),
                ahead.fp32.eq((new.rounding == _FP32) & ~kind["add"] & self.fp32), ahead.lookup.eq(op.lookup),
                ahead.index.eq(new.index), ahead.zero_point.eq(op.zero_point), ahead.low.eq(op.low),
                ahead.high.eq(op.high),
            ]

    def _chain(self, m, steps, active):
        """The bit that travels with each output, and what becomes of it in the end."""
        chain = Signal(self.stages)
        entrances = Signal(self.stages)
        m.d.comb += [
            entrances[self.total].eq(steps.token & active.add),
            entrances[self.read_entrance].eq(steps.token & active.pool),
            entrances[self.sums_entrance].eq(steps.token & active.activate),
        ]
        m.d.sync += chain.eq(Cat(0, chain[:-1]) | entrances)
        target = self._queue(m, steps, chain[-3])
        m.d.sync += [
            self.write.valid.eq(chain[-1] & ~target.bad), self.write.payload.address.eq(target.address),
            self.write.payload.count.eq(target.count),
        ]
        done, error = self.sequencer.done, self.sequencer.error
        m.d.sync += [done.eq(chain[-1] & target.last & ~target.bad), error.valid.eq(chain[-1] & target.bad),
                     error.code.eq(Mux(chain[-1] & target.overlap, isa.ErrorCode.OVERLAP, isa.ErrorCode.REGION))]
        return chain

    def _queue(self, m, steps, leave):
        """The places of outputs under way; the oldest two cycles after ``leave``."""
        depth = 1 << (self.stages - 1).bit_length()
        # Nothing is read that is being written, so synthesis need not care what that gives.
        m.submodules.places = store = memory.Memory(shape=Place(self.config), depth=depth, init=[], attrs={
            "no_rw_check": 1, "ram_style": "block"})
        write, read = store.write_port(), store.read_port()
        m.d.comb += [write.en.eq(steps.token), write.data.eq(steps.place), read.en.eq(1)]
        m.d.sync += [write.addr.eq(write.addr + steps.token), read.addr.eq(read.addr + leave)]
        place = Signal.like(read.data, reset_less=True)
        m.d.sync += place.eq(read.data)
        return place

    def _control(self, m, steps, records, chain, ahead, active):
        # Records must not change before the last operand of the instruction before has met its own.
        early, under_way, missing = Signal(), Signal(), Signal()
        # What many registers hang on has one of its own.
        loading, running, taking = Signal(), Signal(), Signal()
        m.d.comb += [steps.load.eq(loading), steps.run.eq(running), steps.take.eq(taking)]
        # Outputs under way, and those whose operand has not met its record yet.
        outputs, operands = (place(m, name, Credits(most=self.stages + 1)) for name in ("outputs", "operands"))
        m.d.comb += [outputs.take.eq(steps.token), outputs.give.eq(chain[-1]),
                     operands.take.eq(steps.token), operands.give.eq(chain[self.sums_entrance])]
        m.d.comb += [
            early.eq(steps.busy | ~operands.empty), under_way.eq(steps.busy | ~outputs.empty),
            self.sequencer.moving.eq(under_way | records.busy), self.sequencer.error.index.eq(active.index),
            steps.sums.eq(self.results.valid), self.results.ready.eq(steps.ready),
        ]
        with m.FSM() as states:
            with m.State("IDLE"):
                m.d.comb += self.sequencer.command.ready.eq(~steps.failed)
                with m.If(self.sequencer.command.valid & ~steps.failed):
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += records.load.eq(1)
                m.d.sync += missing.eq(0)
                with m.If(ahead.load_table):
                    m.next = "WAIT"
                with m.Elif(~early):
                    m.next = "RECORDS"
            with m.State("RECORDS"):
                m.d.comb += records.go.eq(1)
                m.d.sync += missing.eq(records.missing)
                with m.If(records.missing | records.last):
                    # No step is under way, and beginning again and again does no harm: what decides comes late.
                    m.d.sync += loading.eq(1)
                    m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(~under_way & ~records.busy):
                    m.d.sync += [active.eq(ahead), self.sequencer.error.valid.eq(missing)]
                    m.d.sync += loading.eq(0)
                    m.d.comb += steps.start.eq(1)
                    with m.If(missing):
                        m.next = "DEAD"
                    with m.Elif(ahead.load_table):
                        m.next = "TABLE"
                    with m.Else():
                        m.d.sync += [running.eq(1), taking.eq(ahead.activate)]
                        m.next = "STEPS"
            with m.State("STEPS"):
                with m.If(steps.ends):
                    m.d.sync += [running.eq(0), taking.eq(0)]
                    m.next = "IDLE"
            with m.State("TABLE"):
                m.d.comb += records.go.eq(1)
                with m.If(records.last):
                    m.next = "FINISH"
            with m.State("FINISH"):
                with m.If(~records.busy):
                    m.d.sync += self.sequencer.done.eq(1)
                    m.next = "IDLE"
            with m.State("DEAD"):
                pass
        m.d.comb += self.sequencer.busy.eq(~states.ongoing("IDLE") | under_way | self.write.valid)

    def _lanes(self, m, steps, records, active):
        lanes = place(m, "lanes", Lanes(self.config, self.config.lanes))
        control = Signal(Control(self.config))
        # Of the step whose operand enters the lanes in the next cycle.
        phase = steps.phase.rotate_right((self.operand - 1) % 3)
        total = phase[2]
        m.d.comb += [
            control.group.eq(steps.group),
            control.source.sums.eq(active.activate), control.source.window.eq(active.pool),
            control.source.pixel.eq(active.add & ~total), control.source.total.eq(active.add & total),
            # Of a step a cycle later: the phase goes round.
            control.entry.eq(Mux(active.add, phase[:2], Mux(active.per_channel, steps.group, 0))),
            control.scale_entry.eq(delay(m, control.entry, Requantise.SCALE, "scale_entry")),
            control.first.eq(delay(m, steps.first, self.operand - 2, "first")),
            control.record.eq(records.record), control.record_entry.eq(records.entry),
            control.table_write.eq(records.table_write), control.table_address.eq(records.table_address),
            lanes.control.eq(control), lanes.record_write.eq(records.write), lanes.sums.eq(self._sums()),
            lanes.pixels.eq(self._pixels(m, steps)), self.write.payload.data.eq(lanes.o),
        ]
        m.d.sync += control.addend.eq(Mux(~active.add | phase[1], Addend.ZERO_POINT, Mux(
            phase[0], Addend.RESULT, Addend.NOTHING)))
        m.d.comb += [control[name].eq(active[name])
                     for name in ("maximum", "fp32", "lookup", "zero_point", "low", "high")]

    def _pixels(self, m, steps):
        """A pixel for each lane: what has just been read or, for later groups of an addition, the rest of what was read
        three cycles before.
        """
        pixels, rest = 8 * self.config.lanes, 8 * self.config.lanes * (self.config.groups_per_read - 1)
        if not rest:
            return self.read.data[:pixels]
        kept, word = delay(m, steps.kept, self.operand - 3, "kept"), Signal(pixels + rest)
        m.d.comb += word.eq(Mux(kept, delay(m, word[pixels:], 3, "rest"), self.read.data))
        return word[:pixels]

    def _sums(self):
        """The row of sums, ordered by lanes and then by groups."""
        cols, sums = self.config.matrix.arch.cols, self.results.payload.as_value()
        channels = (lane + self.config.lanes * group
                    for lane in range(self.config.lanes) for group in range(self.config.groups))
        return Cat(sums.word_select(channel, 32) if channel < cols else Const(0, 32) for channel in channels)
