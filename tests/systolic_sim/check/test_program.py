"""``systolic check``: what it finds is what the machine stops with, and it says what to do."""

import numpy as np
import pytest

from systolic import isa
from systolic.cli import main
from systolic.config import Arch, Config
from systolic.isa import ErrorCode
from systolic.tpu_config import TpuConfig, tpu_preset
from systolic_sim.check.flow import Flow
from systolic_sim.check.program import check_program
from systolic_sim.programs.hazard import hazard_program
from systolic_sim.programs.illegal import KINDS, illegal_program
from systolic_sim.programs.random import random_program

ODD = TpuConfig(matrix=Config(arch=Arch(
    rows=5, cols=3, accumulator_depth=48, result_fifo_depth=48, weight_fifo_depth=1)),
                lanes=2, buffer_size=16 * 256, bus_bytes=16, burst_beats=4, reads_in_flight=2, name="odd")
ALL = [tpu_preset("tpu_4x4"), tpu_preset("tpu_8x8"), ODD]
each_tpu = pytest.mark.parametrize("tpu", ALL, ids=lambda tpu: tpu.name)


@pytest.fixture
def check(tmp_path, capsys):
    """Runs the command on a text or bytes; exit code and lines."""
    def run(program, tpu="tpu_4x4"):
        path = tmp_path / "program"
        path.write_bytes(program.encode() if isinstance(program, str) else program)
        code = main(["check", str(path), "--tpu", tpu])
        out = capsys.readouterr()
        return code, (out.err if code == 2 else out.out).splitlines()
    return run


@each_tpu
def test_nothing_is_wrong_with_legal_programs(tpu):
    for seed in range(30):
        assert check_program(tpu, isa.encode(random_program(tpu, seed).program)) == []


@pytest.mark.parametrize("kind", [kind for kind, (error, _) in KINDS.items()
                                  if error not in (ErrorCode.BUS_READ, ErrorCode.BUS_WRITE, ErrorCode.FETCH,
                                                   ErrorCode.BUSY)])
def test_every_illegal_kind_is_found(kind):
    """The documented error, at the instruction where the machine meets it, and nothing before."""
    for tpu in ALL:
        case = illegal_program(tpu, kind, 2)
        code = case.memory[case.address:][:isa.BYTES * case.length].tobytes()
        found = check_program(tpu, code)
        expected = Flow(tpu).run(code).errors[0]
        assert (found[0].error, found[0].index) == expected and expected[0] == case.error
        assert f"{expected[1]}: " in str(found[0]) and case.error.doc in str(found[0])


@each_tpu
def test_what_gets_stuck_is_found(tpu):
    for seed in range(150):
        code = isa.encode(hazard_program(tpu, seed).program)
        errors, found = Flow(tpu).run(code).errors, check_program(tpu, code)
        assert bool(errors) == bool(found), seed
        assert {error for error in errors if error[0] != ErrorCode.WATCHDOG} <= {
            (each.error, each.index) for each in found}
        if [code for code, _ in errors] == [ErrorCode.WATCHDOG] and not {
                ErrorCode.REGION, ErrorCode.BUFFER, ErrorCode.FIELD, ErrorCode.OVERLAP} & {
                each.error for each in found}:
            assert [(each.error, each.index) for each in found] == errors


def test_lines(check):
    """A line per error, in order: of every instruction, not only of the first."""
    code, lines = check("""
        set_configuration rounding=3
        read_weights memory=2 memory_size=16
        activate size=1 channels=5 parameters=0x10
        load_table from_base=8000
        read_weights memory_size=31 tile_count=2
        matrix_multiply size=4 accumulator=63 x_count=2
        activate size=4 channels=2 x_count=4 x_stride=1
        activate size=4 channels=2 per_channel=1
        matrix_multiply size=8 x_count=4 x_stride=2 c_count=2
        pool size=1 from_size=1 channels=2
        """)
    assert code == 1
    for line, expected in zip(lines, [
        f"0: set_configuration rounding=3: {ErrorCode.FIELD.doc}: "
        "rounding must be from 0 to 2, not 3",
        "memory must be a multiple of the 4 bytes of the bus, not 2", "channels must be from 1 to 4, not 5",
        "from_base=8000 ends at 8256, the buffer at 8192",
        "tile 1 of 2, from 0x00000010 on, is not inside [0x0, 0x1f), a tile has 16 bytes: memory_size=32",
        "the row y=0 x=1 of tile n=0 ky=0 kx=0 c=0 belongs to entry 64, the last is 63",
        "the output y=0 x=3, 2 bytes at 0x3, is not inside base and size, [0x0, 0x4)",
        "parameters_size must be at least 32, not 16",
        "the row y=0 x=3 of tile n=0 ky=0 kx=0 c=0, 4 bytes at 0x6, is not inside base and size, [0x0, 0x8)",
        "the input y=0 x=0 ky=0 kx=0, 2 bytes at 0x0, is not inside from_base and size, [0x0, 0x1)",
        f"10: (the end): {ErrorCode.END.doc}: end it with halt",
    ], strict=True):
        assert expected in line


@pytest.mark.parametrize("program, expected", [
    ("matrix_multiply size=32 base=100 start=100 x_count=2 x_stride=4 y_count=2 y_stride=8 c_count=2 c_stride=16 "
     "n_count=2 n_stride=1", "the row y=1 x=1 of tile n=1 ky=0 kx=0 c=1, 4 bytes at 0x81"),
    ("pool base=200 size=8 x_count=8 x_stride=1 from_base=16 from_size=20 start=16 from_x_stride=2 kx_count=3 "
     "kx_stride=3 ky_count=2 ky_stride=1",
     "the input y=0 x=7 ky=0 kx=2, 1 bytes at 0x24, is not inside from_base and size, [0x10, 0x24)"),
    ("add base=64 size=8 x_count=8 x_stride=1 from_size=8 from_x_stride=1 other_base=16 other_size=7 other_x_stride=1",
     "the input y=0 x=7, 1 bytes at 0x17, is not inside other_base and size, [0x10, 0x17)"),
    ("write_host_memory memory=64 memory_size=64 base=0 size=32 row_count=4 row_bytes=16 memory_stride=16 stride=12",
     "row 2 of 4, 16 bytes at 0x00000060 in memory and 0x18 in the buffer, is not inside [0x40, 0x80) and [0x0, 0x20)"),
])
def test_the_access_is_named(check, program, expected):
    """By its loop indices, its address and the region."""
    code, (line, *_) = check(program)
    assert code == 1 and expected in line


@pytest.mark.parametrize("program, expected", [
    ("activate size=1 parameters=64\nhalt", f"1: halt: {ErrorCode.WATCHDOG.doc}: it "
     "waits until instruction 0 has ended; that waits for sums"),
    ("activate size=1 parameters=64\nwrite_host_memory memory_size=1 size=1 row_bytes=1\nhalt",
     "it waits for instruction 0, which needs the same bytes; that waits for sums"),
    ("matrix_multiply size=8 x_count=20\nsync\nread_weights memory_size=16\nhalt",
     f"1: sync: {ErrorCode.WATCHDOG.doc}: it waits until instruction 0 has ended; that waits for a weight tile"),
    ("matrix_multiply size=8 x_count=9\nsync", "it waits for rows, of which only 2 can be at the gate; that waits"),
    ("read_weights memory_size=16000 tile_count=1000\nsync", "has ended; that waits for room for weights"),
    ("read_weights memory_size=16\nhalt", "weight tiles left: 1"),
    ("matrix_multiply size=4\nhalt", "weight tiles missing: 1"),
    ("read_weights memory_size=16\nmatrix_multiply size=4 finish=1 x_count=3\nhalt", "rows of sums left: 3"),
    ("read_weights memory_size=16\nmatrix_multiply size=4 accumulate=1\nhalt", "1: matrix_multiply accumulate=1 "
     "size=0x4: a sum on entries never written"),
    ("", f"0: (the end): {ErrorCode.FETCH.doc}"),
])
def test_flow_in_words(check, program, expected):
    code, lines = check(program)
    assert code == 1 and len(lines) == 1 and expected in lines[0]


def test_results_over_the_rows(check):
    """More finished rows than there is room for, and the activate that would take them held by their own multiply."""
    def program(rows):
        return f"""
            read_host_memory memory=0x8000 memory_size=1920 size=1920 row_bytes=1920
            read_weights memory=0xA000 memory_size=256 tile_count=4
            matrix_multiply finish=1 size=1920 x_count={rows} x_stride=8 n_count=4
            activate base=8 size=1900 x_count={4 * rows} parameters=0x8000
            halt"""
    code, lines = check(program(240), "tpu_8x8")
    assert code == 1 and len(lines) == 1
    assert "3: activate" in lines[0] and "waits for room in the result FIFO of 256 rows" in lines[0]
    assert check(program(67), "tpu_8x8")[0] == 0


def test_text_or_bytes(check):
    text = "nop\nsync\nhalt\nnop\n"
    for program in (text, isa.encode(isa.assemble(text))):
        code, lines = check(program)
        assert code == 0 and lines[0].endswith("fine on tpu_4x4, instructions: 3; 1 behind halt are never executed")
    code, lines = check(b"\xee" + bytes(63) + b"\x00\x01" + bytes(62) + b"\x01" + bytes(63))
    assert code == 1 and [line.partition(":")[0] for line in lines] == ["0", "1"]
    assert "opcode 0xee: no such instruction: take one that systolic isa lists" in lines[0]
    assert "nop: a reserved bit is set: clear bit 8 of word 0" in lines[1]


def test_too_long():
    found = check_program(ODD, bytes(isa.BYTES) * 65536 + isa.encode([isa.operation("halt")]))
    assert [(each.error, each.index) for each in found] == [(ErrorCode.END, 65535)]
    assert "two programs" in found[0].advice


def test_bad_usage(check, tmp_path, capsys):
    for program, message in (("jump", "line 1: instruction must be one of"),
                             (b"\xff\xfe", "neither a text nor a program"),
                             (b"\0" * 65, "a program has a multiple of 64 bytes, not 65")):
        code, lines = check(program)
        assert code == 2 and message in lines[0]
    code, lines = check("halt", "tpu_9x9")
    assert code == 2 and "must be one of tpu_4x4, " in lines[0]
    assert main(["check", str(tmp_path / "none"), "--tpu", "tpu_4x4"]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_numpy_values_of_a_program_do_not_matter():
    """Programs made with numpy's integers are checked like others."""
    op = isa.operation("matrix_multiply", size=np.int64(4), x_count=np.int32(3))
    found = check_program(ODD, isa.encode([op, isa.operation("halt")]))
    assert found[0].error == ErrorCode.REGION
