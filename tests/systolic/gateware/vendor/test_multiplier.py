"""Multipliers: the behavioural one in every cycle; the others share its signature.

What the vendors' primitives compute is checked in simulations of the generated Verilog.
"""

import random

import pytest

from systolic.config import Impl
from systolic.gateware.vendor.multiplier import MULTIPLIERS


def signed(value, width):
    return value - (value >> width - 1 << width)


@pytest.mark.parametrize("width, stages", [(8, 0), (8, 1), (8, 3), (9, 2)])
def test_generic(simulate, width, stages):
    """Products ``stages`` + 1 cycles after their activation, by the weight of the latest switch."""
    unit, rng = MULTIPLIERS["generic"](width=width, stages=stages), random.Random(width)
    extremes = [-1 << width - 1, (1 << width - 1) - 1, -1, 0, 1]
    steps = [(a, w, 1) for a in extremes for w in extremes]
    steps += [(signed(rng.getrandbits(width), width), signed(rng.getrandbits(width), width), rng.random() < 0.3)
              for _ in range(500)]
    want, active, got = [], 0, []
    for a, w, switch in steps:
        active = w if switch else active
        want.append(a * active)

    async def testbench(ctx):
        held = 0
        for a, w, switch in steps + steps[:1] * (stages + 1):
            for port, value in ((unit.a, a), (unit.a_held, held), (unit.w, w), (unit.switch, switch)):
                ctx.set(port, int(value))
            held = a
            got.append(signed(ctx.get(unit.o), 2 * width))
            await ctx.tick()
    simulate(unit, testbench)
    assert got[stages + 1:] == want


def test_every_mapping_has_one():
    assert set(MULTIPLIERS) == set(Impl.MULTIPLIERS)
    for mapping, kind in MULTIPLIERS.items():
        unit = kind(width=8, stages=1)
        unit._MustUse__silence = True  # only looked at
        widths = {name: member.shape for name, member in unit.signature.members.items()}
        lanes = kind.lanes
        assert widths == {"a": 8 * lanes, "a_held": 8 * lanes, "switch": lanes, "w": 8 * lanes, "o": 16 * lanes}
        assert mapping in unit.module_name
