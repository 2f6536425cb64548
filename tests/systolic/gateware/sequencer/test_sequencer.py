import dataclasses
import random

import pytest
from amaranth.sim import Simulator

from systolic import isa
from systolic.gateware.sequencer import sequencer
from systolic.gateware.sequencer.sequencer import EXECUTORS, Sequencer
from systolic.tpu_config import TPU_PRESETS
from systolic_sim.cycles import sequencer as stepped

TPU = TPU_PRESETS["tpu_8x8"]
#: Opcodes of no instruction, from the lowest to the highest.
FREE = [opcode for opcode in range(256) if isa.by_opcode(opcode) is None]



def random_operation(chance):
    """An instruction with regions at random, none that must not overlap; nothing else of it matters here."""
    while True:
        operation = _random_operation(chance)
        if False not in isa.overlaps(operation):
            return operation


def _random_operation(chance):
    instruction = chance.choice([each for each in isa.INSTRUCTIONS if each.name != "halt"])
    names = [(region.base, region.size if isinstance(region.size, str) else region.base)
             for region in instruction.regions]
    values = {}
    for base, size in names:
        values[base] = chance.randrange(8) * 32
        if size != base:
            values[size] = chance.choice([16, 40, 64])
    for field in instruction.fields:
        if field.least:
            values.setdefault(field.name, 1)
    return isa.operation(instruction.name, **values)


class Machine:
    """A sequencer in pysim with units that take and finish instructions at random.

    Memory answers the first ``beats`` of the program, or all. The run goes on for a few cycles after its end, which
    ``ends`` names.
    """

    def __init__(self, code, length, chance, *, check=None, patience=6000, watchdog=0, beats=None):
        self.dut, self.code, self.length, self.chance = Sequencer(TPU), code, length, chance
        self.check, self.patience, self.watchdog, self.beats = check, patience, watchdog, beats
        self.ends, self.end = [], None
        self.taken, self.order = {name: [] for name in EXECUTORS}, []
        self.error = None

    def run(self):
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self._testbench)
        simulator.run()
        return self

    async def _testbench(self, ctx):
        dut, chance, fetches, finishing = self.dut, self.chance, [], {name: [] for name in EXECUTORS}
        ctx.set(dut.host.address, 64)
        ctx.set(dut.host.length, self.length)
        ctx.set(dut.rows_empty, 1)
        ctx.set(dut.host.watchdog, self.watchdog)
        answered = 0
        for cycle in range(self.patience):
            start, granted = cycle == 3, chance.random() < 0.5
            ctx.set(dut.host.start, start)
            ctx.set(dut.fetch_request.ready, granted)
            answers = answered != self.beats and chance.random() < 0.6
            beat = fetches.pop(0) if fetches and answers else None
            answered += beat is not None
            ctx.set(dut.fetch_beat.valid, beat is not None)
            if beat is not None:
                ctx.set(dut.fetch_beat.data, int.from_bytes(self.code[beat:beat + 8], "little"))
            if ctx.get(dut.fetch_request.valid) and granted:
                request = ctx.get(dut.fetch_request.payload)
                fetches += [request.address - 64 + 8 * number for number in range(request.beats)]
            ctx.set(dut.bus_idle, not fetches)
            ctx.set(dut.bus_moving, beat is not None)
            ready = [chance.random() < 0.3 for _ in EXECUTORS]
            done = [bool(finishing[name]) and chance.random() < 0.05 for name in EXECUTORS]
            for number, name in enumerate(EXECUTORS):
                command = dut.units[number].command
                ctx.set(command.ready, ready[number])
                ctx.set(dut.units[number].done, done[number])
                if ctx.get(command.valid) and ready[number]:
                    index = ctx.get(command.payload.index)
                    finishing[name].append(index)
                    self.taken[name].append((index, ctx.get(command.payload.words), ctx.get(command.payload.rounding)))
            if self.check:
                self.check(self, ctx, start, granted, beat is not None, ready, done)
            for name, bit in zip(EXECUTORS, done, strict=True):
                if bit:
                    self.order.append(("done", finishing[name].pop(0)))
            self.ends += [name for name in ("halted", "failed") if ctx.get(getattr(dut.host, name))]
            if self.ends and self.end is None:
                self.end, self.error = cycle, (ctx.get(dut.host.error_code), ctx.get(dut.host.error_index))
                self.bus_dead = ctx.get(dut.host.bus_dead)
            if self.ends and cycle == self.end + 5:
                return
            await ctx.tick()
        raise AssertionError("no end")


def _conflict(one, other):
    """Whether two operations touch the same bytes and one writes them, straight from the table."""
    def regions(each):
        for region in each.instruction.regions:
            size = region.size if isinstance(region.size, int) else each.values[region.size]
            yield region, set(range(each.values[region.base], each.values[region.base] + size))

    return any(a.space == b.space and (a.writes or b.writes) and mine & theirs
               for a, mine in regions(one) for b, theirs in regions(other))


@pytest.mark.parametrize("seed", range(4))
def test_no_hazard_is_missed(seed):
    """When an instruction reaches its unit, none that it depends on is unfinished; as the model says, every cycle."""
    chance = random.Random(seed)
    program = [random_operation(chance) for _ in range(60)]
    # halt minds tiles that were read and never used.
    program = [each for each in program if each.name != "read_weights"] + [isa.operation("halt")]
    model = stepped.Sequencer(TPU, program, 64)
    state = {"unfinished": [], "waits": 0}

    def check(machine, ctx, start, granted, beat, ready, done):
        dut = machine.dut
        for number, name in enumerate(EXECUTORS):
            command, shown = dut.units[number].command, model.commands[number]
            assert ctx.get(command.valid) == (shown is not None)
            if shown:
                assert ctx.get(command.payload.index) == shown[0]
                assert ctx.get(command.payload.in_place) == any(isa.overlaps(program[shown[0]]))
                index = shown[0]
                if index not in state["unfinished"]:
                    for older in state["unfinished"]:
                        same = program[older].instruction.unit == name
                        assert same or not _conflict(program[index], program[older]), (index, older)
                    state["unfinished"].append(index)
        shown = {"running": dut.host.running, "issued": dut.issued, "halted": dut.host.halted}
        for name, port in shown.items():
            assert ctx.get(port) == getattr(model, name), name
        for name, bit in zip(EXECUTORS, done, strict=True):
            if bit:
                state["unfinished"].remove(min(i for i in state["unfinished"] if program[i].instruction.unit == name))
        model.step(start, granted, beat, ready, done, True)

    machine = Machine(isa.encode(program), len(program), chance, check=check, patience=40_000).run()
    assert machine.error == (0, 0)
    for name in EXECUTORS:
        wanted = [index for index, each in enumerate(program) if each.instruction.unit == name]
        assert [index for index, *_ in machine.taken[name]] == wanted
        for index, words, _ in machine.taken[name]:
            assert words.to_bytes(64, "little") == isa.encode([program[index]])


def test_read_after_write_within_the_activation_unit():
    """What one activate writes, the next reads only when it is there."""
    first = isa.operation("pool", base=0, size=64, from_base=1000, from_size=64, parameters=2000)
    second = isa.operation("pool", base=500, size=64, from_base=32, from_size=64, parameters=2000)
    program = [first, second, isa.operation("halt")]
    machine = Machine(isa.encode(program), 3, random.Random(0))
    machine.run()
    assert machine.order == [("done", 0), ("done", 1)]


@pytest.mark.parametrize("operations,code,index", [
    ([isa.operation("activate", size=8, channels=9)], isa.ErrorCode.FIELD, 0),
    ([isa.operation("nop"), isa.operation("activate", channels=1)], isa.ErrorCode.FIELD, 1),
    ([isa.operation("read_host_memory", memory=4, memory_size=8, size=8, row_bytes=8)], isa.ErrorCode.FIELD, 0),
    ([isa.operation("set_configuration", rounding=3)], isa.ErrorCode.FIELD, 0),
    ([isa.operation("load_table", from_base=64 * 1024 - 255)], isa.ErrorCode.BUFFER, 0),
    ([isa.operation("matrix_multiply", base=0xFFFFFFF8, size=16)], isa.ErrorCode.BUFFER, 0),
    ([isa.operation("nop")], isa.ErrorCode.END, 1),
    ([isa.operation("read_weights", memory_size=64), isa.operation("halt")], isa.ErrorCode.LEFTOVER, 1),
])
def test_errors(operations, code, index):
    machine = Machine(isa.encode(operations), len(operations), random.Random(3)).run()
    assert machine.error == (code, index)


@pytest.mark.parametrize("position", [8, 100, 300, 511])
def test_reserved_bits(position):
    """Every instruction without a field at that bit is refused if it is set."""
    for instruction in isa.INSTRUCTIONS:
        if not isa.used_bits(instruction) >> position & 1:
            values = {field.name: 1 for field in instruction.fields if field.least}
            bits = int.from_bytes(isa.encode([isa.operation(instruction.name, **values)]), "little") | 1 << position
            machine = Machine(bits.to_bytes(64, "little"), 1, random.Random(4)).run()
            assert machine.error == (isa.ErrorCode.RESERVED, 0)


@pytest.mark.parametrize("opcode", FREE[::len(FREE) // 5])
def test_unknown_opcodes(opcode):
    machine = Machine(bytes([opcode]) + bytes(63), 1, random.Random(5)).run()
    assert machine.error == (isa.ErrorCode.OPCODE, 0)


def _as_table(monkeypatch, instructions):
    """Makes the rows the table of :mod:`systolic.isa`."""
    monkeypatch.setattr(isa, "INSTRUCTIONS", tuple(instructions))
    monkeypatch.setattr(isa.codec, "_NAMES", {each.name: each for each in instructions})
    monkeypatch.setattr(isa.codec, "_OPCODES", {each.opcode: each for each in instructions})


@pytest.mark.parametrize("opcode", [FREE[0], *FREE[50::80]])
@pytest.mark.parametrize("like", ["read_host_memory", "read_weights", "matrix_multiply", "add"])
def test_a_new_row_of_the_table_reaches_its_unit(monkeypatch, like, opcode):
    """Whatever its opcode."""
    row = next(each for each in isa.INSTRUCTIONS if each.name == like)
    _as_table(monkeypatch, [*isa.INSTRUCTIONS, dataclasses.replace(row, name="new", opcode=opcode)])
    values = {field.name: 1 for field in row.fields if field.least}
    program = [isa.operation("new", **values), isa.operation("sync"), isa.operation("nop")]
    machine = Machine(isa.encode(program), len(program), random.Random(6)).run()
    words = int.from_bytes(isa.encode(program[:1]), "little")
    assert machine.taken == {name: [(0, words, 0)] if name == row.unit else [] for name in EXECUTORS}
    assert machine.order == [("done", 0)] and machine.error == (isa.ErrorCode.END, 3)


@pytest.mark.parametrize("opcode", [FREE[0], FREE[10], FREE[-1]])
def test_the_sequencer_keeps_its_own(monkeypatch, opcode):
    """An instruction of its own goes to no unit, whatever its opcode."""
    _as_table(monkeypatch, [dataclasses.replace(each, opcode=opcode) if each.name == "nop" else each
                            for each in isa.INSTRUCTIONS])
    machine = Machine(isa.encode([isa.operation("nop"), isa.operation("halt")]), 2, random.Random(7)).run()
    assert machine.error == (0, 0) and machine.ends == ["halted"]
    assert not any(machine.taken.values())


def test_a_row_that_nobody_executes(monkeypatch):
    fence = isa.Instruction(name="fence", opcode=FREE[0], unit="sequencer", doc="")
    _as_table(monkeypatch, [*isa.INSTRUCTIONS, fence])
    with pytest.raises(ValueError, match="instruction fence must be executed by one of load, .*: the sequencer itself"):
        Sequencer(TPU)


@pytest.mark.parametrize("watchdog, limit", [(0, 300), (170, 170)])
@pytest.mark.parametrize("bits, error", [
    (isa.encode([isa.operation("halt")]), isa.ErrorCode.WATCHDOG), (b"\xFF" * 64, isa.ErrorCode.OPCODE),
], ids=["halt", "error"])
def test_the_end_does_not_wait_for_ever(monkeypatch, bits, error, watchdog, limit):
    """Memory owes what was fetched beyond the end: as long as the watchdog allows, or its reset value if it is off."""
    monkeypatch.setattr(sequencer, "PATIENCE", 300)
    code = bits + isa.encode([isa.operation("nop")] * 3)
    beyond = Machine(code, 4, random.Random(8), watchdog=watchdog).run()
    assert beyond.ends == (["halted"] if error == isa.ErrorCode.WATCHDOG else ["failed"])
    machine = Machine(code, 4, random.Random(8), watchdog=watchdog, beats=11).run()
    assert machine.error == (error, 0)
    assert machine.ends == ["failed"] and machine.bus_dead
    assert limit < machine.end < limit + 60


def test_a_bus_that_moves_is_waited_for():
    """The limit is for each beat, not for all of them."""
    class Slow(random.Random):
        def random(self):
            return super().random() * 12

    stopping = []

    def check(machine, ctx, *_):
        stopping.append(ctx.get(machine.dut.stop) and not ctx.get(machine.dut.host.stopped))
    program = b"\xFF" * 64 + isa.encode([isa.operation("nop")] * 3)
    machine = Machine(program, 4, Slow(9), check=check, watchdog=120).run()
    assert machine.error == (isa.ErrorCode.OPCODE, 0) and not machine.bus_dead
    assert sum(stopping) > 120


@pytest.mark.parametrize("before", [0, 5000])
def test_a_watchdog_set_below_what_has_passed_fires_at_once(before):
    cycles = []

    def check(machine, ctx, *_):
        cycles.append(ctx.get(machine.dut.host.running))
        if len(cycles) == 500:
            ctx.set(machine.dut.host.watchdog, 100)
    machine = Machine(isa.encode([isa.operation("halt")]), 1, random.Random(10), check=check, watchdog=before, beats=0)
    machine.run()
    assert machine.error[0] == isa.ErrorCode.WATCHDOG and machine.end <= 506
