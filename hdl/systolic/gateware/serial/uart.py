"""Bytes to a serial line and back: one start bit, eight data bits, no parity, one stop bit."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from ...errors import require
from ..shared import Shared

__all__ = ["Receiver", "Transmitter"]


class Transmitter(Shared):
    """Bytes to a line.

    Parameters
    ----------
    divisor : int
        Cycles a bit, 1 or more.

    Members
    -------
    i : In(stream)
        Bytes; taken once in ten bits.
    tx : Out(1)
        The line, high when idle. Comes from a register.
    """

    resets = True

    def __init__(self, *, divisor):
        require(isinstance(divisor, int) and divisor >= 1, "divisor", "a positive integer", divisor)
        self.divisor = divisor
        self.module_name = f"transmitter_{divisor}"
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1)})

    def build(self, platform):
        m = Module()
        frame = Signal(10, init=-1)
        left = Signal(range(11))
        timer = Signal(range(self.divisor))
        m.d.comb += [self.tx.eq(frame[0]), self.i.ready.eq(left == 0)]
        with m.If(left == 0):
            with m.If(self.i.valid):
                m.d.sync += [frame.eq(Cat(0, self.i.payload, 1)), left.eq(10), timer.eq(self.divisor - 1)]
        with m.Elif(timer == 0):
            m.d.sync += [frame.eq(Cat(frame[1:], 1)), left.eq(left - 1), timer.eq(self.divisor - 1)]
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m


class Receiver(Shared):
    """Bytes from a line, each bit looked at in its middle.

    Parameters
    ----------
    divisor : int
        Cycles a bit, 4 or more.

    Members
    -------
    rx : In(1)
        The line; of any clock.
    o : Out(stream)
        Bytes, each for one cycle. What has no stop bit is no byte.
    """

    resets = True

    def __init__(self, *, divisor):
        require(isinstance(divisor, int) and divisor >= 4, "divisor", "an integer of 4 or more", divisor)
        self.divisor = divisor
        self.module_name = f"receiver_{divisor}"
        super().__init__({"rx": In(1), "o": Out(stream.Signature(8, always_ready=True))})

    def build(self, platform):
        m = Module()
        # Two registers, for the line may change at any time.
        early, line, before = Signal(init=1), Signal(init=1), Signal(init=1)
        m.d.sync += [early.eq(self.rx), line.eq(early), before.eq(line), self.o.valid.eq(0)]
        bits, left = Signal(8), Signal(range(10))
        timer = Signal(range(self.divisor + self.divisor // 2))
        m.d.comb += self.o.payload.eq(bits)
        with m.If(left == 0):
            with m.If(before & ~line):
                m.d.sync += [left.eq(9), timer.eq(self.divisor + self.divisor // 2 - 2)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [left.eq(left - 1), timer.eq(self.divisor - 1)]
            with m.If(left == 1):
                m.d.sync += self.o.valid.eq(line)
            with m.Else():
                m.d.sync += bits.eq(Cat(bits[1:], line))
        return m
