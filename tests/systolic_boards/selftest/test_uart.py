"""The serial line, from bytes to edges and back."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from systolic.gateware.serial.uart import Transmitter
from systolic_boards.selftest.simulate import decode
from systolic_boards.selftest.uart import Text

TEXTS = ("no ##\r\n", "yes, # and #\r\n")


def line(digits, select, *, divisor, starts=1):
    """Levels of the line, one a cycle, while a text is sent."""
    m = Module()
    m.submodules.text = text = Text(TEXTS, digits=2)
    m.submodules.uart = uart = Transmitter(divisor=divisor)
    wiring.connect(m, text.o, uart.i)
    levels = []

    async def testbench(ctx):
        ctx.set(text.digits, digits)
        ctx.set(text.select, select)
        for _ in range(starts):
            ctx.set(text.start, 1)
            for _ in range(12 * divisor * max(map(len, TEXTS)) + 60):
                levels.append(ctx.get(uart.tx))
                await ctx.tick()
                ctx.set(text.start, 0)

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return levels


def changes(levels):
    """As a bench tells them, at 1,000 ns a cycle."""
    return [(1000 * cycle, level) for cycle, level in enumerate(levels) if not cycle or level != levels[cycle - 1]]


@pytest.mark.parametrize("divisor", [1, 4, 13])
@pytest.mark.parametrize("select, said", [(0, "no a7\r\n"), (1, "yes, a and 7\r\n")])
def test_texts_with_digits(divisor, select, said):
    assert decode(changes(line(0xA7, select, divisor=divisor)), 1_000_000 / divisor) == said


def test_said_again():
    assert decode(changes(line(0x01, 0, divisor=3, starts=2)), 1_000_000 / 3) == "no 01\r\n" * 2


def test_frame_of_a_byte():
    """Start bit, the bits of "n" from the lowest, stop bit: each as long as the divisor says."""
    levels = line(0, 0, divisor=5)
    start = levels.index(0)
    assert all(levels[:start]) and levels[start:start + 50] == [
        bit for bit in (0, 0, 1, 1, 1, 0, 1, 1, 0, 1) for _ in range(5)]


def test_broken_frames_are_seen():
    frames = [(0, 1), (10_000, 0), (200_000, 1)]
    assert decode(frames, 100_000) == "\ufffd" and decode([(0, 1)], 100_000) == ""


@pytest.mark.parametrize("text", ["one #", "three ###", "\u00fc ##", "zero \0 ##"])
def test_texts_that_cannot_be_sent(text):
    with pytest.raises(ValueError, match="text must be ASCII with 2 #, not"):
        Text([text], digits=2)


def test_divisor():
    with pytest.raises(ValueError, match="divisor must be a positive integer, not 0"):
        Transmitter(divisor=0)
