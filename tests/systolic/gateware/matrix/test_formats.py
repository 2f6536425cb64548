"""The table of number formats in gateware: complete, and each entry as wide as the format says."""

import dataclasses

import numpy as np
import pytest
from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import data

from systolic.config import Arch, Config, Impl
from systolic.errors import ConfigError
from systolic.formats import FORMATS, INT8
from systolic.gateware.lib.float import Operand, Psum
from systolic.gateware.matrix.formats import GATEWARE, gateware
from systolic_sim.golden.formats import golden

ALL = pytest.mark.parametrize("format", FORMATS)


def test_every_format_has_gateware():
    assert GATEWARE.keys() == FORMATS.keys()


def test_a_format_that_is_missing():
    with pytest.raises(ConfigError) as caught:
        gateware(dataclasses.replace(INT8, name="int9"))
    assert str(caught.value) == \
        "format 'int9' has no gateware: add it to systolic.gateware.matrix.formats.GATEWARE"


@ALL
@pytest.mark.parametrize("rows", [1, 5, 256])
def test_widths(format, rows):
    """As configurations state them, for every multiplier that the format has."""
    arch, made = Arch(rows=rows, cols=1, format=format, accumulator_depth=256), GATEWARE[format]
    assert Shape.cast(made.entry(arch)).width == arch.entry_width
    assert len(made.zero_psum(arch)) == arch.psum_width
    for multiplier in arch.format.multipliers:
        config = Config(arch=arch, impl=Impl(multiplier=multiplier, product_stages=1))
        product, adder = made.product(config, multiplier), made.adder(config)
        assert len(product.a) == len(product.a_held) == len(product.w) == arch.operand_width * product.lanes
        assert len(Signal.like(product.o)) == Shape.cast(adder.signature.members["term"].shape).width * product.lanes
        assert Shape.cast(adder.signature.members["psum"].shape).width == arch.psum_width


@pytest.mark.parametrize("rows", [1, 5])
def test_columns_start_from_zero(recoded, rows):
    zero = {name: made.zero_psum(Arch(rows=rows, cols=1, format=name)).value for name, made in GATEWARE.items()}
    assert zero["int8"] == 0
    assert recoded.fp32(Psum.from_bits(zero["bf16"])) == 0


@ALL
def test_recode(simulate, recoded, format):
    """Element 0 lowest; int8 as it is."""
    arch = Arch(rows=3, cols=3, format=format)
    m = Module()
    elements = Signal(data.ArrayLayout(arch.format.width, 3))
    recoding = Signal(arch.operand_width * 3)
    m.d.comb += recoding.eq(gateware(arch.format).recode(m, elements))
    values = {"int8": [0x3F, 0x81, 0x7F], "bf16": [0x3FC0, 0xC040, 0x0001]}[format]
    want = {"int8": lambda bits: bits, "bf16": lambda bits: Operand.const(recoded.operand(bits)).as_value().value}

    async def testbench(ctx):
        ctx.set(elements, values)
        got = ctx.get(recoding)
        assert [got >> k * arch.operand_width & (1 << arch.operand_width) - 1 for k in range(3)] == \
            [want[format](value) for value in values]
    simulate(m, testbench, clocked=False)


@ALL
def test_bounded_as_in_the_golden_model(simulate, format):
    arch = Arch(rows=1, cols=4, format=format)
    dtype = np.dtype(arch.format.operand_dtype)
    bits = np.random.default_rng(1).integers(256, size=(200, 4 * arch.format.bytes), dtype=np.uint8)
    want = golden(arch.format).bounded(bits.view(dtype))
    m, random, bounded = Module(), Signal(4 * arch.format.width), Signal(4 * arch.format.width)
    m.d.comb += bounded.eq(gateware(arch.format).bounded(random))

    async def testbench(ctx):
        for beat, operands in zip(bits, want, strict=True):
            ctx.set(random, int.from_bytes(beat.tobytes(), "little"))
            assert ctx.get(bounded).to_bytes(len(beat), "little") == operands.tobytes()
    simulate(m, testbench, clocked=False)
