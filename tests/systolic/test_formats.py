"""Number formats as data: what is refused, and the widths that follow."""

import dataclasses

import pytest

from systolic.config import Arch, Config, Impl
from systolic.errors import ConfigError
from systolic.formats import BF16, FORMATS, INT8, implementation, number_format

BAD = [
    ("name", "fp-8", "an identifier"), ("width", 12, "a multiple of 8"), ("width", 0, "a multiple of 8"),
    ("result_width", 20, "a multiple of 8"), ("operand_width", 0, "a positive integer"),
    ("psum_bits", 1.5, "a positive integer"), ("psum_stages", (0, 4), "a positive integer"),
    ("psum_stages", (3, 2), "an integer of at least 3"), ("default_psum_stages", 5, "an integer from 1 to 4"),
]


@pytest.mark.parametrize("name, value, allowed", BAD)
def test_refuses(name, value, allowed):
    with pytest.raises(ConfigError, match=f"^{name} must be {allowed}, not "):
        dataclasses.replace(INT8, **{name: value})


def test_every_figure_has_to_be_given():
    """Nothing about a new format is decided by a default."""
    fields = dataclasses.fields(INT8)
    assert all(field.default is field.default_factory is dataclasses.MISSING for field in fields)


def test_widths():
    assert [INT8.psum_width(rows) for rows in (1, 2, 3, 256)] == [16, 17, 18, 24]
    assert [BF16.psum_width(rows) for rows in (1, 2, 3, 256)] == [35] * 4
    assert [format.entry_width(3) for format in (INT8, BF16)] == [32, 35]
    assert [format.bytes for format in (INT8, BF16)] == [1, 2]


@pytest.mark.parametrize("name", ["fp8", "", None, ["int8"]])
def test_unknown_format_lists_those_there_are(name):
    with pytest.raises(ConfigError) as caught:
        number_format(name)
    assert str(caught.value) == f"format must be one of int8, bf16, not {name!r}"


def test_a_format_must_be_registered():
    with pytest.raises(ConfigError, match="^format must be one of int8, bf16, not 'int9'"):
        Arch(rows=1, cols=1, format=dataclasses.replace(INT8, name="int9"))


def test_implementation():
    assert implementation({"int8": 1}, INT8, "thing", "there") == 1
    with pytest.raises(ConfigError, match="^format 'bf16' has no thing: add it to there$"):
        implementation({"int8": 1}, BF16, "thing", "there")


def test_entries_wider_than_a_block_of_the_ecp5(monkeypatch):
    monkeypatch.setitem(FORMATS, "wide", dataclasses.replace(INT8, name="wide", accumulator_width=37))
    with pytest.raises(ConfigError, match="^memory must be other than ecp5_block with 37 bits per accumulator entry"):
        Config(arch=Arch(rows=8, cols=1, format="wide"), impl=Impl(memory="ecp5_block", memory_stages=3))
