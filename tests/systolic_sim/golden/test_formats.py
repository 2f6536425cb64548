"""The table of number formats in the golden models: complete, and of the types that each format names."""

import dataclasses

import numpy as np
import pytest

from systolic.errors import ConfigError
from systolic.formats import BF16, FORMATS
from systolic_sim.golden import bf16
from systolic_sim.golden.formats import GOLDEN, golden

ALL = pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)


def test_every_format_has_a_golden_model():
    assert GOLDEN.keys() == FORMATS.keys()


def test_a_format_that_is_missing():
    with pytest.raises(ConfigError) as caught:
        golden(dataclasses.replace(BF16, name="fp8"))
    assert str(caught.value) == "format 'fp8' has no golden model: add it to systolic_sim.golden.formats.GOLDEN"


@ALL
def test_types(format):
    """Of operands that fill them, of sums, and in every kind."""
    made, rng = GOLDEN[format.name], np.random.default_rng(2)
    assert np.dtype(format.operand_dtype).itemsize == format.bytes
    assert np.dtype(format.result_dtype).itemsize * 8 == format.result_width
    assert made.limits.dtype == made.specials.dtype == format.operand_dtype
    assert made.ordinary(rng, (2, 3)).dtype == made.bounded(made.limits).dtype == format.operand_dtype
    for pair in made.kinds:
        x, w = pair[0](rng, (5, 3)), pair[1](rng, (3, 2))
        assert (x.dtype, w.dtype, x.shape, w.shape) == (format.operand_dtype, format.operand_dtype, (5, 3), (3, 2))
        psums = made.matmul(x, w)
        assert psums.dtype == made.add(psums, psums).dtype == format.result_dtype and psums.shape == (5, 2)


def test_bounded_bf16_are_finite_in_sums():
    """Of any 16 bits: exponents from 112 to 143, sign and fraction as they are, so a million products stay finite."""
    bits = np.arange(2**16, dtype=np.uint16)
    bounded = GOLDEN["bf16"].bounded(bits)
    assert set(bounded >> 7 & 255) == set(range(112, 144))
    np.testing.assert_array_equal(bounded & 0x807F, bits & 0x807F)
    assert np.abs(bf16.to_float32(bounded)).max().astype(float)**2 * 1e6 < np.finfo(np.float32).max
