"""What the activation unit walks over: outputs, the pixels of their windows, and where all those are."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out

from ..shared import Shared

__all__ = ["LEVELS", "Loops", "RegionWalk"]

#: Loops, outermost first: outputs in y and x, groups of channels, pixels of a window.
LEVELS = ("y", "x", "group", "ky", "kx")


class Loops(Shared):
    """Counts through an instruction, a step whenever it is told to.

    Members
    -------
    load : In
        Begin with the counts, which have been the same for a cycle.
    x_count, y_count, kx_count, ky_count, channels : In
        As in the instruction; 0 is 1.
    step : In
        Go on.
    onward : Out, a bit for each of ``LEVELS``
        The loop that goes on at the next step, if not all have ended; those inside it begin again.
    count : Out
        Channels of this group.
    group : Out
        Its number.
    first, whole : Out
        The first pixel of a window, and the last.
    group_end, last : Out
        The last group of an output, and the last pixel of the last output.
    """

    resets = True

    def __init__(self, config):
        self.lanes = config.lanes
        self.module_name = "activation_loops"
        super().__init__({
            "load": In(1), "x_count": In(16), "y_count": In(16), "kx_count": In(8), "ky_count": In(8),
            "channels": In(16), "step": In(1), "onward": Out(len(LEVELS)), "count": Out(range(self.lanes + 1)),
            "group": Out(range(config.groups)), "first": Out(1), "whole": Out(1), "group_end": Out(1), "last": Out(1)})

    def build(self, platform):
        m = Module()
        ends, inside = {}, Const(1)
        counts = {"y": self.y_count, "x": self.x_count, "ky": self.ky_count, "kx": self.kx_count}
        for level in reversed(LEVELS):
            ends[level] = Signal(name=f"{level}_end")
            goes = Signal(name=f"{level}_goes")
            m.d.comb += [goes.eq(inside & ~ends[level]), self.onward[LEVELS.index(level)].eq(goes)]
            if level == "group":
                self._groups(m, goes, inside, ends[level])
            else:
                self._counter(m, level, counts[level], goes, inside, ends[level])
            inside = inside & ends[level]
        m.d.comb += [
            self.whole.eq(ends["kx"] & ends["ky"]), self.group_end.eq(ends["group"]),
            self.last.eq(self.whole & ends["group"] & ends["x"] & ends["y"]),
        ]
        with m.If(self.load | self.step):
            m.d.sync += self.first.eq(self.load | self.whole)
        return m

    def _counter(self, m, level, count, goes, inside, end):
        """Steps left of a loop, and whether this is the last one."""
        left, once = Signal.like(count, name=f"{level}_left"), Signal(name=f"{level}_once")
        m.d.sync += once.eq(count <= 1)
        with m.If(self.load | self.step & inside & end):
            m.d.sync += [left.eq(count), end.eq(once)]
        with m.Elif(self.step & goes):
            m.d.sync += [left.eq(left - 1), end.eq(left == 2)]

    def _groups(self, m, goes, inside, end):
        left, lanes = Signal(16, name="channels_left"), self.lanes
        once, count = Signal(name="groups_once"), Signal.like(self.count, name="first_count")
        m.d.sync += [once.eq(self.channels <= lanes), count.eq(Mux(self.channels <= lanes, self.channels, lanes))]
        fewer = left - lanes
        with m.If(self.load | self.step & inside & end):
            m.d.sync += [left.eq(self.channels), end.eq(once), self.group.eq(0), self.count.eq(count)]
        with m.Elif(self.step & goes):
            short = left <= 2 * lanes
            m.d.sync += [left.eq(fewer), end.eq(short), self.group.eq(self.group + 1),
                         self.count.eq(Mux(short, fewer, lanes))]


class RegionWalk(Shared):
    """The address that belongs to where the loops are, and whether it is inside its region.

    Members
    -------
    load : In
        Begin ``start`` bytes behind ``base``.
    start, base, size : In
        The region, in bytes.
    strides : In, ``LEVELS`` of signed 24 bits
        Bytes from one step of a loop to the next, innermost loop in the highest bits.
    step, onward : In
        Go on in this cycle, and the loop that does.
    count : In
        Bytes to be accessed there, in the cycle of the step.
    address : Out
        Of where the loops are in a cycle, two cycles later.
    offset, outside : Out
        With it: where it is in the region, and whether some of the bytes are not in it.
    """

    STRIDE = 24

    def __init__(self, config):
        width = config.address_width
        self.width = width
        self.module_name = "activation_region_walk"
        super().__init__({
            "load": In(1), "start": In(width), "base": In(width), "size": In(width),
            "strides": In(self.STRIDE * len(LEVELS)), "step": In(1), "onward": In(len(LEVELS)),
            "count": In(range(config.lanes + 1)), "address": Out(width), "offset": Out(width), "outside": Out(1)})

    def build(self, platform):
        m = Module()
        # How the loops go on, a cycle later: from where on and how far.
        advance, stride = Signal(len(LEVELS)), Signal(self.width, reset_less=True)
        # Loops whose present step begins.
        begins = Signal(len(LEVELS))
        strides = [self.strides.word_select(index, self.STRIDE)[:self.width] for index in range(len(LEVELS))]
        m.d.sync += [begins.eq(Cat(self.load | (self.step & self.onward[:index + 1].any())
                                   for index in range(len(LEVELS)))), advance.eq(Mux(self.step, self.onward, 0)),
                     stride.eq(Mux(self.load, self.start, _chosen(self.onward, strides)))]
        # Of each loop, the place where its present step began, relative to the region.
        begun = [Signal(self.width, name=f"{level}_offset", reset_less=True) for level in LEVELS]
        offset = Signal(self.width)
        m.d.comb += offset.eq(_chosen(advance, begun) + stride)
        for index, place in enumerate(begun):
            with m.If(begins[index]):
                m.d.sync += place.eq(offset)
        room = Signal(signed(self.width + 1), reset_less=True)
        m.d.sync += [
            room.eq(self.size - self.count), self.outside.eq(begun[-1] > room), self.offset.eq(begun[-1]),
            self.address.eq(self.base + begun[-1]),
        ]
        return m


def _chosen(choice, values):
    """The value whose bit of ``choice`` is set, or 0."""
    return reduce(or_, (Mux(bit, value, 0) for bit, value in zip(choice, values, strict=True)))
