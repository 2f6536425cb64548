"""The register map and what is written from it."""

import subprocess
import types
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

from systolic import registers
from systolic.cli import main
from systolic.errors import UserError

ROOT = Path(__file__).parent.parent.parent


def test_the_page_is_up_to_date():
    assert (ROOT / "docs/registers.md").read_text() == registers.document(), "run systolic registers"


def test_map_is_sound():
    """Every address once, on a word, within the slave; fields within their word and apart."""
    every = registers.registers()
    addresses = [each.address for each in every]
    assert addresses == sorted(set(addresses)) and not any(address % 4 for address in addresses)
    assert addresses[-1] < 1 << registers.ADDRESS_WIDTH
    for each in every:
        masks = [field.mask for field in each.fields]
        assert sum(masks) < 1 << 32
        assert sum(mask.bit_count() for mask in masks) == sum(masks).bit_count(), each.name


def test_counters_lie_where_the_gateware_looks_for_them():
    for slot, name in enumerate(registers.counters()):
        assert registers.address(f"{name}_LO") == 0x80 + 8 * slot
        assert registers.address(f"{name}_HI") == 0x84 + 8 * slot
    assert len(registers.counters()) <= 16


def test_unknown_names():
    with pytest.raises(UserError, match="register must be one of ID, .*, not NOTHING"):
        registers.register("NOTHING")
    with pytest.raises(UserError, match="STATUS has no field busy, only idle, running, stopped"):
        registers.register("STATUS").field("busy")


def test_files(tmp_path, capsys):
    """C header and Python constants say what the map says; the page is the one in docs/."""
    assert main(["registers", "--out", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert (tmp_path / "registers.md").read_text() == registers.document()
    module = types.ModuleType("tpu_registers")
    exec((tmp_path / "tpu_registers.py").read_text(), module.__dict__)
    for each in registers.registers():
        assert getattr(module, each.name) == each.address
        for field in each.fields:
            assert getattr(module, f"{each.name}__{field.name.upper()}") == field.mask


def test_svd_says_what_the_map_says(tmp_path):
    """A stranger's reader of the file finds every address, bit and reset, and what is special in access."""
    assert main(["registers", "--out", str(tmp_path), "--base", "0x40000000"]) == 0
    device = xml.parse(tmp_path / "tpu.svd").getroot()
    assert int(device.findtext(".//baseAddress"), 0) == 0x40000000
    assert int(device.findtext(".//addressBlock/size"), 0) == 1 << registers.ADDRESS_WIDTH
    found = {each.findtext("name"): each for each in device.iter("register")}
    assert list(found) == [each.name for each in registers.registers()]
    for each in registers.registers():
        element = found[each.name]
        assert int(element.findtext("addressOffset"), 0) == each.address
        fields = {(field.findtext("name"), int(field.findtext("bitOffset")), int(field.findtext("bitWidth")))
                  for field in element.iter("field")}
        assert fields == {(field.name.upper(), field.low, field.width) for field in each.fields}
        mask, value = (int(element.findtext(name), 0) for name in ("resetMask", "resetValue"))
        for field in each.fields:
            assert mask & field.mask == (0 if field.reset is None else field.mask)
            assert (value & field.mask) >> field.low == (field.reset or 0)
    clear = {each.findtext("name") for each in found["INTERRUPT_STATUS"].iter("field")
             if each.findtext("modifiedWriteValues") == "oneToClear"}
    assert clear == {"PROGRAM", "HALT", "ERROR"}
    assert {each.findtext("access") for each in found["CONTROL"].iter("field")} == {"write-only"}


@pytest.mark.parametrize("base", ["2", "-4", "0x100000000", "here"])
def test_svd_refuses_a_base_that_is_none(base, capsys):
    with pytest.raises(SystemExit):
        main(["registers", f"--base={base}"])
    assert f"must be a multiple of 4 from 0 to 0xfffffffc, not {base}" in capsys.readouterr().err


def test_header_compiles(tmp_path):
    """The compiler itself checks every address and mask."""
    (tmp_path / "tpu_registers.h").write_text(registers.header())
    checks = []
    for each in registers.registers():
        path = each.name[:-3] + "." + each.name[-2:] if each.name.endswith(("_LO", "_HI")) else each.name
        checks.append(f"_Static_assert(offsetof(tpu_t, {path}) == {each.address}, \"{each.name}\");")
        for field in each.fields:
            macro = f"TPU__{path.replace('.', '__')}__{field.name.upper()}_bm"
            checks.append(f"_Static_assert({macro} == {field.mask}u, \"{macro}\");")
    source = '#include <stddef.h>\n#include "tpu_registers.h"\n' + "\n".join(checks) + "\n"
    (tmp_path / "check.c").write_text(source)
    subprocess.run(["g++", "-x", "c", "-std=c11", "-Wall", "-Werror", "-fsyntax-only", "check.c"], cwd=tmp_path,
                   check=True)
