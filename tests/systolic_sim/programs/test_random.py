"""Random programs: legal where they should be, illegal in the way they should be, and as varied as they claim."""

import collections

import numpy as np
import pytest

from systolic import isa
from systolic.config import Arch, Config
from systolic.errors import UserError
from systolic.tpu_config import TpuConfig, tpu_preset
from systolic_sim.check.flow import Flow
from systolic_sim.emulator import Emulator, EmulatorError
from systolic_sim.programs.illegal import KINDS, illegal_program
from systolic_sim.programs.random import random_program

# Small queues, no power of two, a wide bus, more rows than columns and fewer.
ODD = TpuConfig(matrix=Config(arch=Arch(rows=5, cols=3, accumulator_depth=48, result_fifo_depth=48,
                                   weight_fifo_depth=1)),
                lanes=2, buffer_size=16 * 256, bus_bytes=16, burst_beats=4, reads_in_flight=2, name="odd")
ALL = [tpu_preset("tpu_4x4"), tpu_preset("tpu_8x8"), tpu_preset("tpu_12x20"), tpu_preset("tpu_16x16"), ODD]
each_tpu = pytest.mark.parametrize("tpu", ALL, ids=lambda tpu: tpu.name)


@each_tpu
def test_legal_and_defined(tpu):
    """No error, and no byte that depends on what was in the buffer before."""
    for seed in range(40):
        case = random_program(tpu, seed)
        memories = []
        for filling in (0, 0xA5):
            emulator = Emulator(tpu, case.memory.copy())
            emulator.buffer[:] = filling
            emulator.table[:] = filling - 128
            case.emulate(emulator)
            memories.append(emulator.memory)
        assert np.array_equal(*memories), seed
        assert not np.array_equal(memories[0], case.memory)


def test_the_same_seed_gives_the_same_program():
    first, again, other = (random_program(ODD, seed) for seed in (7, 7, 8))
    assert first.program == again.program and np.array_equal(first.memory, again.memory)
    assert first.program != other.program


@each_tpu
def test_everything_occurs(tpu):
    """All instructions, flags, roundings; padding, negative and overlapping strides, queues that overflow."""
    seen = collections.Counter()
    for seed in range(120):
        for op in random_program(tpu, seed).program:
            seen[op.name] += 1
            for field in op.instruction.fields:
                value = op.values[field.name]
                if field.width == 1 and value:
                    seen[op.name, field.name] += 1
                if field.name.endswith("stride"):
                    seen[op.name, field.name, np.sign(value)] += 1
                if field.name.endswith("_count") and value > 1:
                    seen[op.name, field.name] += 1
            _note(tpu, op, seen)
    for instruction in isa.INSTRUCTIONS:
        assert seen[instruction.name] > 0, instruction.name
        for field in instruction.fields:
            if field.most == "taps" and not tpu.matrix.arch.taps:
                assert not seen[instruction.name, field.name]
            elif field.width == 1 or field.name.endswith("_count"):
                assert seen[instruction.name, field.name] > 0, (instruction.name, field.name)
    for loop in ("x", "y", "c", "kx", "ky", "n"):
        assert all(seen["matrix_multiply", f"{loop}_stride", sign] for sign in (-1, 0, 1))
    for what in ("padded", "first row padded", "many tiles", "many results", 0, 1, 2):
        assert seen[what] > 0, what


def _note(tpu, op, seen):
    if op.name == "set_configuration":
        seen[op.rounding] += 1
    if op.name == "read_weights":
        seen["many tiles"] += op.tile_count > tpu.matrix.arch.weight_fifo_depth
    if op.name == "matrix_multiply":
        seen["padded"] += op.width > 0 or op.height > 0
        seen["first row padded"] += not op.base <= op.start < op.base + op.size
        seen["many results"] += op.finish * op.x_count * op.y_count * op.n_count > tpu.matrix.result_fifo_depth


def regions(op):
    for region in op.instruction.regions:
        first = op.values[region.base]
        size = region.size if isinstance(region.size, int) else op.values[region.size]
        yield region.space, region.writes, first, first + size


def conflicts(program, distance):
    """(unit, unit, hazard) of instructions at most so far apart that cannot change places."""
    for later, op in enumerate(program):
        for earlier in program[max(0, later - distance):later]:
            for space, writes, first, end in regions(op):
                for its_space, its_writes, its_first, its_end in regions(earlier):
                    if space == its_space and (writes or its_writes) and first < its_end and its_first < end:
                        hazard = "WAW" if writes and its_writes else "WAR" if writes else "RAW"
                        yield earlier.instruction.unit, op.instruction.unit, hazard


def possible():
    """All conflicts that there can be, by the table."""
    touches = {(each.unit, region.space, region.writes) for each in isa.INSTRUCTIONS for region in each.regions}
    for unit_, space, writes in touches:
        for other, its_space, its_writes in touches:
            if space == its_space and (writes or its_writes):
                hazard = "WAW" if writes and its_writes else "RAW" if writes else "WAR"
                yield unit_, other, hazard


@each_tpu
def test_every_conflict_between_every_pair_of_units(tpu):
    """Within three instructions of each other, so that both can be under way."""
    found = collections.Counter()
    for seed in range(60):
        found.update(conflicts(random_program(tpu, seed).program, 3))
    assert set(found) == set(possible())
    assert min(found.values()) >= 3, found


def test_kinds_cover_every_error():
    assert len(KINDS) >= 30
    assert {error for error, _ in KINDS.values()} == set(isa.ErrorCode)


@pytest.mark.parametrize("kind", KINDS)
def test_illegal_programs_end_as_documented(kind):
    """In the error of their kind, on every unit; but for that one thing, they are legal."""
    for tpu in ALL:
        case = illegal_program(tpu, kind, 1)
        emulator = Emulator(tpu, case.memory, faults=[(fault.first, fault.last) for fault in case.faults])
        if case.ring_again is not None:
            emulator.run_at(case.address, case.length)
            continue
        with pytest.raises(EmulatorError) as error:
            emulator.run_at(case.address, case.length)
        assert error.value.code == case.error == KINDS[kind][0]


@pytest.mark.parametrize("tpu", [tpu_preset("tpu_4x4"), tpu_preset("tpu_8x8")], ids=lambda tpu: tpu.name)
def test_depthwise_needs_taps(tpu):
    """A machine without them refuses the instruction, one with them takes it."""
    program = [isa.operation("read_weights", memory_size=tpu.tile_bytes()),
               isa.operation("matrix_multiply", depthwise=1, size=64, x_count=4),
               isa.operation("halt")]
    flow = Flow(tpu).run(isa.encode(program))
    assert flow.errors == ([] if tpu.matrix.arch.taps else [(isa.ErrorCode.FIELD, 1)])


def test_unknown_kind():
    with pytest.raises(UserError, match="kind must be one of unknown opcode, .*, not nothing"):
        illegal_program(ODD, "nothing", 0)
