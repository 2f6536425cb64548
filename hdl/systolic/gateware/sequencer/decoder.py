"""The decoder: what is wrong with an instruction, and which regions it touches."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from ... import isa
from ..shared import Shared
from .scoreboard import EXECUTORS, SPACES

__all__ = ["Decoder"]


class DecodedRegion(data.StructLayout):
    """A region of an instruction: ``size`` bytes from ``base`` on, of the memory or else of the buffer.

    ``streamed``: it is read while the instruction ``writes`` another. ``in_place``: it would then be the same bytes in
    the same order.
    """

    def __init__(self):
        super().__init__({"memory": 1, "writes": 1, "base": 32, "size": 32, "streamed": 1, "in_place": 1})


class Decoder(Shared):
    """Looks an instruction up in the table of :mod:`systolic.isa`.

    Members
    -------
    words : In(512)
        The instruction.
    problem : Out(4)
        :class:`~systolic.isa.ErrorCode`, or 0. Two cycles after ``words``.
    executor : Out
        Its unit, one bit for each of ``EXECUTORS``; none if the sequencer executes it. Two cycles after ``words``.
    own : Out
        One cycle after ``words``: which of the instructions it is that the sequencer executes.
    slot : In
        Number of a region, up to one more than any instruction has.
    exists : Out(1)
        There is one. One cycle after ``slot``, two after ``words``.
    region : Out(DecodedRegion)
        That region. One cycle after ``exists``.
    """

    module_name = "decoder"

    def __init__(self, config):
        self.config = config
        super().__init__({
            "words": In(8 * isa.BYTES), "problem": Out(4),
            "executor": Out(len(EXECUTORS)),
            "own": Out(data.StructLayout({each.name: 1 for each in isa.INSTRUCTIONS if each.unit == "sequencer"})),
            "slot": In(range(max(map(len, SPACES.values())) + 1)),
            "exists": Out(1), "region": Out(DecodedRegion()),
        })

    def build(self, platform):
        m = Module()
        # Which instruction it is, one cycle after ``words``.
        self.opcodes = {each.opcode: Signal(name=f"is_{each.name}") for each in isa.INSTRUCTIONS}
        m.d.sync += [flag.eq(self.words[:8] == opcode) for opcode, flag in self.opcodes.items()]
        m.d.comb += [self.own[each.name].eq(self.opcodes[each.opcode])
                     for each in isa.INSTRUCTIONS if each.unit == "sequencer"]
        reserved = self._any(m, self._reserved(), "reserved")
        limits = self._any(m, self._limits(), "limit")
        with m.If(~self._is(isa.INSTRUCTIONS)):
            m.d.sync += self.problem.eq(isa.ErrorCode.OPCODE)
        with m.Elif(reserved):
            m.d.sync += self.problem.eq(isa.ErrorCode.RESERVED)
        with m.Else():
            m.d.sync += self.problem.eq(Mux(limits, isa.ErrorCode.FIELD, 0))
        m.d.sync += self.executor.eq(Cat(self._is([each for each in isa.INSTRUCTIONS if each.unit == executor])
                                         for executor in EXECUTORS))
        self._regions(m)
        return m

    def _is(self, instructions):
        return Cat(self.opcodes[each.opcode] for each in instructions).any()

    def _any(self, m, tests, name):
        """Whether a test of an instruction's fails. Tests that several instructions share are made once."""
        together = {}
        for value, instruction in tests:
            together.setdefault(repr(value), (value, []))[1].append(instruction)
        failed = Signal(len(together), name=name)
        m.d.sync += failed.eq(Cat(value & Cat(self.words[:8] == user.opcode for user in users).any()
                                  for value, users in together.values()))
        return failed.any()

    def _reserved(self):
        """Bits that are reserved in the same instructions, together."""
        groups = {}
        for bit in range(8 * isa.BYTES):
            users = tuple(each for each in isa.INSTRUCTIONS if not isa.used_bits(each) >> bit & 1)
            groups.setdefault(users, []).append(bit)
        return [(Cat(self.words[bit] for bit in bits).any(), user) for users, bits in groups.items() for user in users]

    def _limits(self):
        arch = self.config.matrix.arch
        for instruction in isa.INSTRUCTIONS:
            for field in instruction.fields:
                value = self.words[field.offset:field.offset + field.width]
                if field.least:
                    yield value == 0, instruction
                if field.aligned and self.config.bus_bytes > 1:
                    yield value[:self.config.bus_bytes.bit_length() - 1].any(), instruction
                most = isa.most(field, arch.rows, arch.cols, self.config.roundings, arch.taps)
                if most < field.range[1]:
                    yield value > most, instruction

    def _regions(self, m):
        """Chooses base and size of region ``slot``: which one it is, and a cycle later what it is."""
        regions, equal = [], self._equalities(m)
        for instruction in isa.INSTRUCTIONS:
            for number, region in enumerate(instruction.regions):
                chosen = Signal(name=f"{instruction.name}_{number}")
                m.d.sync += chosen.eq(self.opcodes[instruction.opcode] & (self.slot == number))
                regions.append((chosen, instruction, region))
        m.d.comb += self.exists.eq(Cat(chosen for chosen, _, _ in regions).any())
        for flag in ("memory", "writes", "streamed", "in_place"):
            m.d.sync += self.region[flag].eq(Cat(chosen & self._flag(flag, equal, instruction, region)
                                                 for chosen, instruction, region in regions).any())
        m.d.sync += [
            self.region.base.eq(_pick((chosen, self._word(instruction, region.base))
                                      for chosen, instruction, region in regions)),
            self.region.size.eq(_pick((chosen, self._word(instruction, region.size))
                                      for chosen, instruction, region in regions)),
        ]

    def _flag(self, name, equal, instruction, region):
        if name == "in_place":
            return Cat(equal[self._pair(instruction, *pair)] for pair in region.in_place).all()
        return {"memory": region.space == "memory", "writes": region.writes, "streamed": bool(region.in_place)}[name]

    def _equalities(self, m):
        """Registers that say which fields are equal, for all pairs that the table asks for."""
        pairs = {self._pair(instruction, *pair) for instruction in isa.INSTRUCTIONS
                 for region in instruction.regions for pair in region.in_place}
        equal = {}
        for low, width, other in sorted(pairs, key=str):
            right = other if isinstance(other, int) else self.words[other[0]:other[0] + other[1]]
            equal[low, width, other] = Signal(name=f"equal_{low}")
            m.d.sync += equal[low, width, other].eq(self.words[low:low + width] == right)
        return equal

    @staticmethod
    def _pair(instruction, name, other):
        """Where two fields are: instructions share the comparison of the same bits."""
        field = instruction.field(name)
        if isinstance(other, str):
            other = instruction.field(other).offset, instruction.field(other).width
        return field.offset, field.width, other

    def _word(self, instruction, name):
        if isinstance(name, int):
            return Const(name, 32)
        field = instruction.field(name)
        return self.words[field.offset:field.offset + field.width]


def _pick(choices):
    """The value whose condition holds, or 0. Conditions of equal values are joined before anything is chosen."""
    together = {}
    for condition, value in choices:
        together.setdefault(repr(value), (value, []))[1].append(condition)
    return reduce(or_, (Mux(Cat(conditions).any(), value, 0) for value, conditions in together.values()))
