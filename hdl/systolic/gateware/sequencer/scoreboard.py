"""The scoreboard: holds an instruction back while one before it still needs the bytes it touches."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from ... import isa
from ..shared import Shared
from ..vendor import ecp5_carry

__all__ = ["EXECUTORS", "Region", "Scoreboard"]

#: Units with instructions under way, and the spaces of the regions that their instructions have.
EXECUTORS = isa.UNITS[1:]


def _spaces(executor):
    """Space of each region of a unit's instructions: the same in all that have it."""
    regions = [each.regions for each in isa.INSTRUCTIONS if each.unit == executor]
    spaces = [{each[slot].space for each in regions if slot < len(each)} for slot in range(max(map(len, regions)))]
    assert all(len(each) == 1 for each in spaces)
    return [space for (space,) in spaces]


SPACES = {executor: _spaces(executor) for executor in EXECUTORS}

#: Those whose instructions may read what they write: the first region is what they write.
_STREAMING = [executor for executor in EXECUTORS if any(
    region.in_place for each in isa.INSTRUCTIONS if each.unit == executor for region in each.regions)]


class Region(data.StructLayout):
    """Bytes [``base``, ``end``) of the memory, or else of the buffer, to be written, or else read."""

    def __init__(self):
        super().__init__({"memory": 1, "writes": 1, "base": 33, "end": 33})


class Scoreboard(Shared):
    """Remembers the regions of the instructions under way, two a unit.

    A region conflicts with one of an older instruction if they overlap and one of the two is written. Within an
    unit instructions read and write in order, so that there only a read of what an older one writes conflicts.

    Members
    -------
    executor : In
        Unit of the instruction at hand, one bit for each of ``EXECUTORS``.
    bound, base : In
        In the next cycle ``region`` is another one, which has that base. It stays as long as ``bound`` is low.
    region : In
        One of its regions.
    conflict : Out(1)
        Three cycles after ``bound`` or more: something that was under way then does not let it go ahead.
    over_output : Out(1)
        The same: it overlaps what the instruction at hand writes, the first of its regions kept.
    store, slot : In
        Keep ``region`` as that of this number, from 0 on. Not while ``full``.
    issue : In(1)
        The instruction is under way from now on, with the regions kept.
    done : In
        For each unit: its oldest instruction has finished.
    full : Out
        For each unit: two are under way.
    quiet : Out(1)
        None is.
    """

    resets = True
    module_name = "scoreboard"

    def __init__(self, config):
        self.buffer_bits = config.address_width
        self.ecp5 = config.matrix.ecp5
        slots = max(map(len, SPACES.values()))
        super().__init__({
            "executor": In(len(EXECUTORS)), "bound": In(1), "base": In(33), "region": In(Region()),
            "conflict": Out(1), "over_output": Out(1),
            "store": In(1), "slot": In(range(slots)), "issue": In(1),
            "done": In(len(EXECUTORS)), "full": Out(len(EXECUTORS)), "quiet": Out(1),
        })

    def build(self, platform):
        m = Module()
        # First its base is compared with the ends of those under way, a cycle later its end with their bases.
        self.place = Signal(33)
        m.d.sync += self.place.eq(Mux(self.bound, self.base, self.region.end))
        conflicts, busy, over = [], [], []
        for number, executor in enumerate(EXECUTORS):
            chosen, first = self.executor[number], self._first(m, executor, number)
            oldest, next_, valid = (Signal(width, name=f"{executor}_{name}")
                                    for name, width in (("oldest", 1), ("next", 1), ("valid", 2)))
            with m.If(self.issue & chosen):
                m.d.sync += [valid.bit_select(next_, 1).eq(1), next_.eq(~next_)]
            with m.If(self.done[number]):
                m.d.sync += [valid.bit_select(oldest, 1).eq(0), oldest.eq(~oldest)]
            m.d.comb += self.full[number].eq(valid.all())
            busy.append(valid.any())
            for entry in range(2):
                for slot, space in enumerate(SPACES[executor]):
                    # The entry being written for the instruction at hand: not valid, so it is no hazard to itself.
                    composed = chosen & (next_ == entry)
                    name = f"{executor}_{entry}_{slot}"
                    meets, hazard = self._entry(m, name, space, slot, chosen, composed, first)
                    clash = Signal(name=f"{name}_clash")
                    m.d.sync += clash.eq(valid[entry] & meets & hazard)
                    conflicts.append(clash)
                    if executor in _STREAMING and slot == 0:
                        over.append(composed & meets)
        m.d.comb += [self.conflict.eq(Cat(conflicts).any()), self.quiet.eq(~Cat(busy).any())]
        m.d.sync += self.over_output.eq(Cat(over).any())
        return m

    def _first(self, m, executor, number):
        """Whether the place is a base. Every bit that is compared hangs on it, so there are four registers, which
        synthesis cannot join, for one is the other inverted or has another value after reset.
        """
        inverted, init = number >> 1 & 1, number & 1
        stored = Signal(name=f"{executor}_first", init=init)
        m.d.sync += stored.eq(self.bound ^ inverted)
        return stored ^ inverted

    def _entry(self, m, name, space, slot, same_unit, chosen, first):
        """One remembered region; whether ``region`` overlaps it, and whether that is a hazard. With ``first`` the place
        is its base."""
        # 33 bits in memory, whose regions may end at 2**32 and beyond.
        bits = 33 if space == "memory" else self.buffer_bits
        base, end = Signal(bits, name=f"{name}_base"), Signal(bits, name=f"{name}_end")
        used, writes = Signal(name=f"{name}_used"), Signal(name=f"{name}_writes")
        region = self.region
        with m.If(self.store & chosen):
            # The first region of an instruction ends what the entry kept of the one before.
            if slot:
                with m.If(self.slot == 0):
                    m.d.sync += used.eq(0)
            with m.If(self.slot == slot):
                m.d.sync += [used.eq(1), writes.eq(region.writes), base.eq(region.base), end.eq(region.end)]
        below, overlap = self._less(m, name, self.place[:bits], first, end, base), Signal(name=f"{name}_overlap")
        begins = Signal(name=f"{name}_begins")
        with m.If(first):
            m.d.sync += begins.eq(below)
        m.d.comb += overlap.eq(begins & ~below)
        # Of two units: unless both only read. Of one: a read of what the older one writes.
        hazard = (region.writes & ~same_unit) | (writes & ~(same_unit & region.writes))
        return used & overlap & (region.memory == (space == "memory")), hazard

    def _less(self, m, name, place, first, end, base):
        """With ``first`` whether the place is before the end, else whether it is not behind the base."""
        if self.ecp5:
            return ecp5_carry.less(m, f"{name}_less", place, first, end, base)
        return Mux(first, place < end, place <= base)
