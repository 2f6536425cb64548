"""What configurations may be, what is said of those that may not, and the latencies that follow."""

import dataclasses
import itertools

import pytest

from systolic.config import PRESETS, Arch, Config, Impl, preset
from systolic.errors import ConfigError
from systolic.formats import BF16, FORMATS, INT8

BYTE, TILES = "an integer from 1 to 256", "an integer from 1 to 1024"
BAD_ARCH = [
    ("rows", 0, BYTE), ("rows", -1, BYTE), ("rows", 257, BYTE), ("rows", 2.0, BYTE), ("rows", True, BYTE),
    ("rows", "4", BYTE), ("rows", None, BYTE), ("cols", 0, BYTE), ("cols", -1, BYTE), ("cols", 257, BYTE),
    ("format", "fp8", "one of int8, bf16"), ("format", "", "one of int8, bf16"),
    ("format", None, "one of int8, bf16"),
    ("accumulator_depth", 3, "an integer from 4 to 65536 (from the number of rows)"),
    ("accumulator_depth", 0, "an integer from 4 to 65536 (from the number of rows)"),
    ("accumulator_depth", 4.5, "an integer from 4 to 65536 (from the number of rows)"),
    ("weight_fifo_depth", 0, TILES), ("weight_fifo_depth", -4, TILES), ("weight_fifo_depth", "all", TILES),
]
BAD_IMPL = [
    ("product_stages", -1, "an integer from 0 to 3"), ("product_stages", 4, "an integer from 0 to 3"),
    ("psum_stages", 0, "an integer from 1 to 8"), ("psum_stages", 9, "an integer from 1 to 8"),
    ("hop_stages", 0, "an integer from 1 to 4"), ("hop_stages", 5, "an integer from 1 to 4"),
    ("hop_stages", None, "an integer from 1 to 4"),
    ("memory_stages", 0, "an integer from 1 to 3"), ("memory_stages", 4, "an integer from 1 to 3"),
    ("memory", "ultra", "one of " + ", ".join(Impl.MEMORIES)),
    ("multiplier", "booth", "one of " + ", ".join(Impl.MULTIPLIERS)),
]


@pytest.mark.parametrize("name, value, allowed", BAD_ARCH)
def test_arch_refuses(name, value, allowed):
    with pytest.raises(ConfigError) as caught:
        Arch(**{"rows": 4, "cols": 4} | {name: value})
    assert str(caught.value).startswith(f"{name} must be {allowed}")
    assert str(caught.value).endswith(f", not {value!r}")


@pytest.mark.parametrize("name, value, allowed", BAD_IMPL)
def test_impl_refuses(name, value, allowed):
    with pytest.raises(ConfigError) as caught:
        Impl(**{name: value})
    assert str(caught.value) == f"{name} must be {allowed}, not {value!r}"


@pytest.mark.parametrize("format, stages, allowed", [
    ("int8", 5, "1 to 4"), ("int8", 8, "1 to 4"), ("bf16", 1, "3 to 8"), ("bf16", 2, "3 to 8")])
def test_config_refuses_psum_stages_of_the_other_format(format, stages, allowed):
    with pytest.raises(ConfigError) as caught:
        Config(arch=Arch(rows=2, cols=2, format=format), impl=Impl(psum_stages=stages))
    assert str(caught.value) == f"psum_stages must be an integer from {allowed} with format {format}, not {stages}"


@pytest.mark.parametrize("name", ["", "2x2", "a b", "a-b", "a/b", "../a", "größe", None, 3, "a\n", "a$"])
def test_config_refuses_names(name):
    with pytest.raises(ConfigError) as caught:
        Config(arch=Arch(rows=2, cols=2), name=name)
    assert str(caught.value) == f"name must be a Verilog identifier, not {name!r}"


@pytest.mark.parametrize("name", ["module", "reg", "wire", "input", "always", "signed"])
def test_config_refuses_keywords_of_verilog(name):
    with pytest.raises(ConfigError, match="^name must be"):
        Config(arch=Arch(rows=2, cols=2), name=name)


@pytest.mark.parametrize("name", ["accumulator_depth", "weight_fifo_depth"])
def test_sizes_that_no_machine_holds_are_refused(name):
    with pytest.raises(ConfigError, match=f"^{name} must be"):
        Arch(**{"rows": 2, "cols": 2, name: 10**9})


def test_limits_are_allowed():
    Arch(rows=1, cols=1, accumulator_depth=1, weight_fifo_depth=1)
    Arch(rows=256, cols=256, accumulator_depth=256)
    for product, hop, memory in itertools.product((0, 3), (1, 4), (1, 3)):
        Impl(product_stages=product, hop_stages=hop, memory_stages=memory)
    for format, stages in [("int8", (1, 4)), ("bf16", (3, 8))]:
        for psum in stages:
            Config(arch=Arch(rows=1, cols=1, format=format), impl=Impl(psum_stages=psum))


def test_format_by_name_or_member():
    assert Arch(rows=1, cols=1, format="bf16") == Arch(rows=1, cols=1, format=BF16)
    assert Arch(rows=1, cols=1).format is INT8
    assert [format.width for format in FORMATS.values()] == [8, 16]


@pytest.mark.parametrize("multiplier", ["ecp5_lut", "ice40_dsp"])
def test_config_refuses_multipliers_that_the_format_does_not_have(multiplier):
    with pytest.raises(ConfigError) as caught:
        Config(arch=Arch(rows=2, cols=2, format="bf16"), impl=Impl(multiplier=multiplier))
    assert str(caught.value) == \
        f"multiplier must be one of generic, ecp5_dsp, gowin_dsp with format bf16, not '{multiplier}'"


@pytest.mark.parametrize("format, multiplier, most", [("int8", "ecp5_dsp", 3), ("int8", "generic", 0),
                                                      ("bf16", "ecp5_dsp", 0)])
def test_lut_rows_are_of_a_format_that_has_them(format, multiplier, most):
    arch = Arch(rows=3, cols=2, format=format)
    Config(arch=arch, impl=Impl(multiplier=multiplier, lut_rows=most))
    with pytest.raises(ConfigError, match=f"^lut_rows must be an integer from 0 to {most} .*, not {most + 1}$"):
        Config(arch=arch, impl=Impl(multiplier=multiplier, lut_rows=most + 1))


def test_frozen_and_keyword_only():
    config = Config(arch=Arch(rows=4, cols=4))
    for thing, name in [(config, "name"), (config.arch, "rows"), (config.impl, "memory")]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, name, 1)
    for kind, argument in [(Arch, 4), (Impl, 1), (Config, config.arch)]:
        with pytest.raises(TypeError):
            kind(argument)
    assert config == Config(arch=Arch(rows=4, cols=4)) and len({config, Config(arch=Arch(rows=4, cols=4))}) == 1


def test_presets():
    """From a 4x4 for the iCE40 to both TPUs."""
    assert {"ice40_4x4", "int8_8x8", "int8_16x16", "bf16_4x4", "bf16_8x8", "tpu_v1_unit", "tpu_v2_unit"} <= set(PRESETS)
    assert (PRESETS["ice40_4x4"].arch.rows, PRESETS["ice40_4x4"].arch.cols) == (4, 4)
    assert all(preset(name).name == name for name in PRESETS)
    assert preset("tpu_v1_unit").arch == Arch(rows=256, cols=256, accumulator_depth=4096, weight_fifo_depth=4)
    assert preset("tpu_v2_unit").arch == Arch(rows=128, cols=128, format="bf16", accumulator_depth=4096)


def test_unknown_preset_lists_those_there_are():
    with pytest.raises(ConfigError) as caught:
        preset("tpu_v9")
    assert str(caught.value) == f"config must be one of {', '.join(PRESETS)}, not 'tpu_v9'"


def test_widths():
    assert [Arch(rows=rows, cols=1).psum_width for rows in (1, 2, 3, 8, 9, 256)] == [16, 17, 18, 19, 20, 24]
    assert [Arch(rows=1, cols=1, accumulator_depth=n).address_width for n in (1, 2, 3, 512, 513)] == [0, 1, 2, 9, 10]
    int8, bf16 = Arch(rows=4, cols=1), Arch(rows=4, cols=1, format="bf16")
    assert (int8.operand_width, bf16.operand_width, bf16.psum_width) == (8, 20, 35)


def test_psum_never_overflows():
    for rows in range(1, 257):
        assert rows * 2**14 < 2**(Arch(rows=rows, cols=1).psum_width - 1)


# rows, cols, format, implementation: array latency, latency, turnaround, rows of the weight FIFO
LATENCIES = [
    (1, 1, "int8", {}, 4, 6, 2, 5),
    (8, 8, "int8", {}, 18, 20, 2, 33),
    (3, 5, "int8", {"product_stages": 0, "psum_stages": 4, "hop_stages": 2, "memory_stages": 2}, 22, 24, 3, 13),
    (4, 4, "bf16", {}, 30, 37, 7, 17),
    (2, 3, "bf16", {"psum_stages": 3, "product_stages": 2}, 12, 16, 4, 9),
    (2, 2, "bf16", {"psum_stages": 8}, 19, 28, 9, 9),
]


@pytest.mark.parametrize("rows, cols, format, impl, array, latency, turnaround, weights", LATENCIES)
def test_latencies(rows, cols, format, impl, array, latency, turnaround, weights):
    config = Config(arch=Arch(rows=rows, cols=cols, format=format), impl=Impl(**impl))
    assert (config.array_latency, config.latency, config.turnaround) == (array, latency, turnaround)
    assert config.result_fifo_depth == latency + 2
    assert config.weight_fifo_rows == weights
    assert config.weight_latency == 2


def test_block_memory_of_the_ecp5_takes_a_cycle_more():
    """In each FIFO: its output registers. A row of weights more waits there."""
    config = Config(arch=Arch(rows=8, cols=8), impl=Impl(memory="ecp5_block", memory_stages=3))
    assert (config.array_latency, config.latency, config.turnaround) == (18, 21, 4)
    assert (config.weight_latency, config.weight_fifo_rows) == (3, 34)


def test_result_fifo_depth():
    """As asked for, but never less than what full rate takes."""
    depths = [Config(arch=Arch(rows=8, cols=8, result_fifo_depth=depth)).result_fifo_depth for depth in (0, 22, 23)]
    assert depths == [22, 22, 23]


def test_memory_is_read_within_the_way_through_the_array():
    with pytest.raises(ConfigError, match="memory_stages must be an integer from 1 to 2 .the way through"):
        Config(arch=Arch(rows=1, cols=1), impl=Impl(memory_stages=3, product_stages=0))


def test_smallest_weight_fifo():
    assert Config(arch=Arch(rows=1, cols=1, weight_fifo_depth=1)).weight_fifo_rows == 3


def test_default_stages():
    for format, default in (("int8", 1), ("bf16", 6)):
        config = Config(arch=Arch(rows=2, cols=2, format=format))
        assert (config.impl.psum_stages, config.impl.product_stages) == (default, 1)
    eight = Config(arch=Arch(rows=2, cols=2, format="bf16"), impl=Impl(psum_stages=8))
    assert eight.impl.product_stages == 0


def test_fill_stays_within_the_claim():
    for rows, cols in itertools.product((1, 2, 8, 17, 256), repeat=2):
        for format, stages in (("int8", (None, 1)), ("bf16", (None, 3, 4, 5, 6, 7, 8))):
            for psum in stages:
                config = Config(arch=Arch(rows=rows, cols=cols, format=format), impl=Impl(psum_stages=psum))
                assert config.latency <= rows * config.impl.psum_stages + cols + 10
    for config in PRESETS.values():
        assert config.latency <= config.arch.rows * config.impl.psum_stages + config.arch.cols + 10


def test_describe_is_plain_and_complete():
    config = preset("bf16_4x4")
    plain = config.describe()
    arch = plain["arch"]
    assert plain["name"] == "bf16_4x4" and arch["format"] == "bf16" and plain["impl"]["psum_stages"] == 6
    assert Config(name=plain["name"], arch=Arch(**arch), impl=Impl(**plain["impl"])) == config
