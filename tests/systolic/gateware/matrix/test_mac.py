"""Product and adder of both formats: results, and the timing they share."""

import random

import numpy as np
import pytest
from amaranth.hdl import Module

from systolic.config import Arch, Config, Impl
from systolic.gateware.matrix.formats import gateware
from systolic.gateware.shared import place
from systolic_sim.golden import bf16

BF16_STAGES = [(0, 8), (1, 3), (1, 6), (2, 5), (3, 4), (0, 7)]


def configure(format, rows, product, psum):
    return Config(arch=Arch(rows=rows, cols=1, format=format), impl=Impl(product_stages=product, psum_stages=psum))


def run_mac(simulate, config, a, w, psum, switch=None):
    """Sum for every psum, when there is a step in every cycle and each switches to the weight beside it."""
    m, impl, format = Module(), config.impl, gateware(config.arch.format)
    unit, total = place(m, "product", format.product(config, "generic")), place(m, "adder", format.adder(config))
    m.d.comb += total.term.eq(unit.o)
    n, psum_delay = len(a), impl.product_stages + 1
    switch = switch or [1] * n
    got = []

    def at(values, cycle):
        return values[min(max(cycle, 0), n - 1)]

    async def testbench(ctx):
        for cycle in range(n + psum_delay + impl.psum_stages):
            ctx.set(unit.a, at(a, cycle))
            ctx.set(unit.a_held, at(a, cycle - 1))
            ctx.set(unit.w, at(w, cycle))
            ctx.set(unit.switch, at(switch, cycle))
            ctx.set(total.psum, at(psum, cycle - psum_delay))
            got.append(ctx.get(total.o))
            await ctx.tick()
    simulate(m, testbench)
    return got[psum_delay + impl.psum_stages:]


def operand_bits(recoded, bits):
    fields = recoded.operand(bits)
    return (fields["mantissa"] & 0x1FF | (fields["exponent"] & 0x1FF) << 9
            | fields["nan"] << 18 | fields["inf"] << 19)


@pytest.mark.parametrize("product", range(4))
@pytest.mark.parametrize("psum", range(1, 5))
def test_int8(simulate, product, psum):
    """All extremes of all three inputs, and random numbers."""
    rng = random.Random(product)
    most = 2 * 2**14  # what the two rows above can have summed up
    steps = [(a, w, p) for a in (-128, -1, 0, 127) for w in (-128, -1, 1, 127) for p in (-most, 0, most)]
    steps += [(rng.randint(-128, 127), rng.randint(-128, 127), rng.randint(-most, most)) for _ in range(100)]
    config = configure("int8", 3, product, psum)
    assert run_mac(simulate, config, *zip(*steps, strict=True)) == [a * w + p for a, w, p in steps]


@pytest.mark.parametrize("rows", [1, 2, 4, 256])
def test_int8_psum_is_wide_enough(simulate, rows):
    """All -128: after the last row the sum is R * 2**14, the most it can be."""
    above = (rows - 1) << 14
    config = configure("int8", rows, 1, 1)
    assert run_mac(simulate, config, [-128], [-128], [above]) == [rows << 14]


@pytest.mark.parametrize("format", ["int8", "bf16"])
def test_weight_is_held_until_the_switch(simulate, recoded, format):
    a, switch = [1, 2, 3, 4, 5, 6], [1, 0, 0, 1, 0, 1]
    w = [7, 100, 100, 9, 100, 11]
    want = [7, 14, 21, 36, 45, 66]
    config = configure(format, 1, 1, 3)
    if format == "int8":
        assert run_mac(simulate, config, a, w, [0] * 6, switch) == want
    else:
        def bits(numbers):
            return bf16.from_float32(np.array(numbers, np.float32)).tolist()
        got = run_mac(simulate, config, [operand_bits(recoded, x) for x in bits(a)],
                      [operand_bits(recoded, x) for x in bits(w)], [recoded.psum(0)] * 6, switch)
        assert [recoded.fp32(o) for o in got] == np.array(want, np.float32).view(np.uint32).tolist()


@pytest.mark.parametrize("product, psum", BF16_STAGES)
def test_bf16(simulate, recoded, product, psum):
    """Every operand against zeros, infinities and NaN, and random numbers against random psums."""
    rng = random.Random(psum)
    specials = [0, 0x8000, 1, 0x807F, 0x3F80, 0x7F7F, 0x7F80, 0xFF80, 0x7FC0]
    steps = [(a, w, p) for a in specials for w in specials for p in (0, 0x80000001, 0x7F800000)]
    steps += [(rng.getrandbits(16), rng.getrandbits(16), rng.getrandbits(32)) for _ in range(100)]
    # Like magnitudes, so that the sum is more than the larger of the two.
    steps += [(0x3F80 ^ rng.getrandbits(9), 0xBF80 ^ rng.getrandbits(9), 0x3F800000 ^ rng.getrandbits(25))
              for _ in range(100)]
    rng.shuffle(steps)
    a, w, p = zip(*steps, strict=True)
    got = run_mac(simulate, configure("bf16", 2, product, psum), [operand_bits(recoded, x) for x in a],
                  [operand_bits(recoded, x) for x in w], [recoded.psum(x) for x in p])
    want = bf16.fma(np.array(a, np.uint16), np.array(w, np.uint16), np.array(p, np.uint32)).tolist()
    wrong = [(*map(hex, step), hex(x)) for step, o, x in zip(steps, got, want, strict=True) if recoded.fp32(o) != x]
    assert not wrong, wrong[:5]
