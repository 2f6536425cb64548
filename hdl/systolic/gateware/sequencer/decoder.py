"""The decoder: what is wrong with an instruction, and which regions it touches."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import In, Out

from ... import isa
from ..shared import Shared
from .scoreboard import EXECUTORS, SPACES

__all__ = ["Decoder"]


class Decoder(Shared):
    """Looks an instruction up in the table of :mod:`systolic.isa`.

    Members
    -------
    words : In(512)
        The instruction.
    problem : Out(4)
        Error code, or 0. Two cycles after ``words``.
    executor : Out
        Number of its unit in ``EXECUTORS``, if ``runs`` is set.
    runs : Out(1)
        A unit executes it, not the sequencer. Two cycles after ``words``, like ``executor``.
    slot : In
        Number of a region, up to one more than any instruction has.
    exists, memory, writes, base, size : Out
        That region. One cycle after ``slot`` and ``words``.
    streamed, in_place : Out(1)
        Whether that region is read while the instruction writes, and whether it would then be the same bytes in the
        same order. One cycle after ``slot``, two after ``words``.
    """

    module_name = "decoder"

    def __init__(self, config):
        self.config = config
        super().__init__({
            "words": In(8 * isa.BYTES), "problem": Out(4),
            "executor": Out(range(len(EXECUTORS))), "runs": Out(1),
            "slot": In(range(max(map(len, SPACES.values())) + 1)),
            "exists": Out(1), "memory": Out(1), "writes": Out(1), "base": Out(32), "size": Out(32),
            "streamed": Out(1), "in_place": Out(1),
        })

    def build(self, platform):
        m = Module()
        opcode = Signal(8)
        known = Signal()
        m.d.sync += [opcode.eq(self.words[:8]), known.eq(self._is(self.words[:8], isa.INSTRUCTIONS))]
        reserved = self._any(m, opcode, self._reserved(), "reserved")
        limits = self._any(m, opcode, self._limits(), "limit")
        with m.If(~known):
            m.d.sync += self.problem.eq(1)
        with m.Elif(reserved):
            m.d.sync += self.problem.eq(2)
        with m.Else():
            # Code 3, or none.
            m.d.sync += self.problem.eq(limits.replicate(2))
        m.d.sync += self.runs.eq(0)
        for number, executor in enumerate(EXECUTORS):
            with m.If(self._is(opcode, [each for each in isa.INSTRUCTIONS if each.unit == executor])):
                m.d.sync += [self.executor.eq(number), self.runs.eq(1)]
        self._regions(m)
        return m

    @staticmethod
    def _is(opcode, instructions):
        return Cat(opcode == each.opcode for each in instructions).any()

    def _any(self, m, opcode, tests, name):
        """Whether a test of an instruction's fails. Tests that several instructions share are made once."""
        together = {}
        for value, instruction in tests:
            together.setdefault(repr(value), (value, []))[1].append(instruction)
        failed = Signal(len(together), name=name)
        m.d.sync += failed.eq(Cat(value for value, _ in together.values()))
        return Cat(bit & self._is(opcode, users)
                   for bit, (_, users) in zip(failed, together.values(), strict=True)).any()

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
                most = isa.most(field, arch.rows, arch.cols)
                if most < field.range[1]:
                    yield value > most, instruction

    def _regions(self, m):
        """Chooses base and size of region ``slot``."""
        opcode, slot, equal = self.words[:8], self.slot, self._equalities(m)
        m.d.sync += [self.exists.eq(0), self.streamed.eq(0)]
        for instruction in isa.INSTRUCTIONS:
            for number, region in enumerate(instruction.regions):
                with m.If((opcode == instruction.opcode) & (slot == number)):
                    m.d.sync += [self.exists.eq(1), self.memory.eq(region.space == "memory"),
                                 self.writes.eq(region.writes), self.base.eq(self._word(instruction, region.base)),
                                 self.size.eq(region.size if isinstance(region.size, int)
                                              else self._word(instruction, region.size))]
                    if region.in_place:
                        pairs = [equal[self._pair(instruction, *pair)] for pair in region.in_place]
                        m.d.sync += [self.streamed.eq(1), self.in_place.eq(Cat(pairs).all())]

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
        field = instruction.field(name)
        return self.words[field.offset:field.offset + field.width]
