"""The instruction table and what is made from it."""

import random
from pathlib import Path

import pytest

from systolic import isa
from systolic.cli import main
from systolic.isa import INSTRUCTIONS, IsaError, assemble, decode, disassemble, encode, operation

by_name = pytest.mark.parametrize("instruction", INSTRUCTIONS, ids=lambda each: each.name)


def random_operation(instruction, rng):
    """With values from the whole range of each field, its ends more often."""
    values = {field.name: rng.choice([*field.range, rng.randint(*field.range)]) for field in instruction.fields}
    return operation(instruction.name, **values)


def test_names_and_opcodes_are_unique():
    assert len({each.name for each in INSTRUCTIONS}) == len({each.opcode for each in INSTRUCTIONS}) == len(INSTRUCTIONS)
    assert all(0 <= each.opcode < 256 and isa.by_opcode(each.opcode) is each for each in INSTRUCTIONS)
    assert isa.by_opcode(0xEE) is None


@by_name
def test_fields_lie_beside_each_other(instruction):
    """Behind the opcode, within a word, no bit twice; used_bits is all of them."""
    taken = 0xFF
    for field in instruction.fields:
        mask = ((1 << field.width) - 1) << field.offset
        assert 0 <= field.low and field.low + field.width <= 32 and field.word < 16
        assert not taken & mask, field.name
        taken |= mask
    assert taken == isa.used_bits(instruction)
    assert len({field.name for field in instruction.fields}) == len(instruction.fields)


@by_name
def test_limits_can_be_met(instruction):
    for field in instruction.fields:
        low, high = field.range
        assert low <= field.default <= high and field.least >= 0
        assert field.least in (0, 1) and field.most in (None, "rows", "cols", "roundings", "taps")
        assert field.least <= isa.most(field, 1, 1, taps=2) <= high
        assert isa.most(field, 256, 256) <= high


@by_name
def test_units_and_regions_exist(instruction):
    """Regions are made of fields; sizes of zero are refused; only units touch anything."""
    assert instruction.unit in isa.UNITS
    assert (instruction.opcode >= 0x10) == (instruction.unit != "sequencer")
    for region in instruction.regions:
        assert instruction.unit != "sequencer" and region.space in ("buffer", "memory")
        assert instruction.field(region.base).width == 32
        if isinstance(region.size, str):
            assert instruction.field(region.size).least == 1


@by_name
def test_round_trip(instruction):
    rng = random.Random(instruction.opcode)
    program = [random_operation(instruction, rng) for _ in range(50)]
    code = encode(program)
    assert len(code) == 64 * len(program)
    assert decode(code) == program
    assert assemble(disassemble(program)) == program


def test_bytes_are_little_endian():
    code = encode([operation("read_weights", diagonal=1, memory=0x11223344, tile_count=5)])
    assert code[:16] == bytes([0x12, 1, 0, 0, 0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0, 5, 0, 0, 0])
    assert not any(code[16:])


def test_negative_values_stay_in_their_bits():
    stride = operation("read_host_memory", stride=-1)
    assert encode([stride])[32:36] == b"\xff\xff\xff\0"
    assert decode(encode([stride]))[0].stride == -1


def test_defaults_are_a_legal_identity():
    add = operation("add")
    assert (add.low, add.high, add.x_count, add.channels) == (-128, 127, 1, 1)


@by_name
def test_reserved_bits_are_refused(instruction):
    good = int.from_bytes(encode([operation(instruction.name)]), "little")
    for bit in range(512):
        if not isa.used_bits(instruction) >> bit & 1:
            with pytest.raises(IsaError, match=f"instruction 1: a reserved bit of {instruction.name} is set"):
                decode(bytes(64) + (good | 1 << bit).to_bytes(64, "little"))


def test_errors_name_what_is_wrong():
    for message, action in (
        ("instruction must be one of nop, .*, not 'jump'", lambda: operation("jump")),
        ("sync has no field where, only none", lambda: operation("sync", where=1)),
        ("activate has no field color, only lookup, base", lambda: operation("activate", color=1)),
        ("zero_point of add must be from -128 to 127, not 128", lambda: operation("add", zero_point=128)),
        ("tag of debug_tag must be from 0 to 4294967295, not -1", lambda: operation("debug_tag", tag=-1)),
        ("instruction 1: opcode 0xee does not exist", lambda: decode(bytes(64) + b"\xee" + bytes(63))),
        ("a multiple of 64 bytes, not 65", lambda: decode(bytes(65))),
        ("line 3: instruction must be one of", lambda: assemble("nop\n\nnope")),
        ("line 1: tag must be a number, not 'x'", lambda: assemble("debug_tag tag=x")),
    ):
        with pytest.raises(IsaError, match=message):
            action()


def test_assembler_text():
    text = """
    # a comment
    debug_tag tag=0x10   # and another
    activate lookup per_channel x_count=3 zero_point=-7
    halt
    """
    program = assemble(text)
    assert [each.name for each in program] == ["debug_tag", "activate", "halt"]
    assert program[0].tag == 16 and program[1].lookup == program[1].per_channel == 1 and program[1].zero_point == -7
    assert disassemble(program[:1]) == "debug_tag tag=0x10\n"


def test_operation_has_its_fields_as_attributes():
    assert operation("debug_tag", tag=3).tag == 3
    with pytest.raises(AttributeError):
        operation("debug_tag").nothing  # noqa: B018


def test_page_has_everything():
    page = isa.document()
    for instruction in INSTRUCTIONS:
        section = page.partition(f"## {instruction.name}\n")[2].partition("\n## ")[0]
        assert f"`{instruction.opcode:#04x}`" in section
        assert all(f"| `{field.name}` |" in section for field in instruction.fields)
    assert all(f"| {code:d} | {code.name.lower()} | {code.doc} |" in page for code in isa.ErrorCode)


def test_the_page_is_up_to_date(tmp_path, capsys):
    assert main(["isa", "--out", str(tmp_path / "a" / "isa.md")]) == 0
    page = Path(__file__).parent.parent.parent / "docs/isa.md"
    assert page.read_text() == (tmp_path / "a" / "isa.md").read_text(), "run systolic isa --out docs/isa.md"


def test_commands(tmp_path, capsys):
    """Text to bytes and back, and one line for what cannot be read."""
    text, program = tmp_path / "in.txt", tmp_path / "out.bin"
    text.write_text("sync  # wait\n\ndebug_tag tag=0x12\nhalt\n")
    assert main(["assemble", str(text), "--out", str(program)]) == 0
    assert program.stat().st_size == 3 * isa.BYTES
    capsys.readouterr()
    assert main(["disassemble", str(program)]) == 0
    assert capsys.readouterr().out == "sync\ndebug_tag tag=0x12\nhalt\n"
    text.write_text("halt\njump\n")
    text.with_suffix(".bin").write_bytes(b"\xff" * 64)
    for arguments, message in ((["assemble", str(text), "--out", "x"], "in.txt: line 2: "),
                               (["assemble", str(text.with_suffix(".bin")), "--out", "x"], "in.bin is not a text"),
                               (["disassemble", str(text.with_suffix(".bin"))], "opcode 0xff does not exist"),
                               (["disassemble", str(text)], "a program has a multiple of 64 bytes, not 10"),
                               (["disassemble", str(tmp_path / "none")], "cannot read ")):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
