"""Credits against a count in Python: both flags in every cycle, within bounds always."""

import random

import pytest

from systolic.gateware.lib.credits import Credits

#: most, at_once, late
SHAPES = [(1, 1, False), (2, 1, False), (3, 1, False), (16, 1, False), (3, 1, True), (16, 8, False), (5, 5, False),
          (7, 3, False), (32, 16, True), (5, 5, True)]


@pytest.mark.parametrize("takes, gives", [(0.9, 0.2), (0.2, 0.9), (0.6, 0.6), (0.9, 0.8)])
@pytest.mark.parametrize("most, at_once, late", SHAPES)
def test_flags(simulate, most, at_once, late, takes, gives):
    """Registers that follow a cycle later, or two; taken with room only, the count never leaves its bounds."""
    dut, rng = Credits(most=most, at_once=at_once, late=late), random.Random(str((most, at_once, late, takes, gives)))

    async def testbench(ctx):
        history, seen, takes_before = [0, 0], set(), False
        for cycle in range(600):
            count = history[-1]
            shown = history[-2 if late else -1]
            room, empty = ctx.get(dut.room), ctx.get(dut.empty)
            assert (room, empty) == (shown <= most - at_once, shown == 0), cycle
            # All the same: fill it, then drain it.
            filling, draining = cycle % 100 < 20, 20 <= cycle % 100 < 40
            may = room and not (late and takes_before)
            take = rng.randint(1, at_once) if may and not draining and (filling or rng.random() < takes) else 0
            give = int(count > 0 and not filling and (draining or rng.random() < gives))
            takes_before = take > 0
            ctx.set(dut.take, take)
            ctx.set(dut.give, give)
            # Flags do not depend on this cycle.
            assert (ctx.get(dut.room), ctx.get(dut.empty)) == (room, empty)
            history.append(count + take - give)
            assert 0 <= history[-1] <= most
            seen |= {("room", room), ("empty", empty)} | ({"both"} if take and give else set())
            await ctx.tick()
        assert {("room", 0), ("room", 1), ("empty", 0), ("empty", 1)} <= seen
        assert "both" in seen or most == 1 or at_once == most
    simulate(dut, testbench)


@pytest.mark.parametrize("options, message", [
    ({"most": 4, "at_once": 0}, "at_once must be a positive integer, not 0"),
    ({"most": 3, "at_once": 4}, "most must be an integer from at_once, 4, on, not 3"),
])
def test_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        Credits(**options)
