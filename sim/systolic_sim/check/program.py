"""What is wrong with a program, in words: everything that can be known without its data and without running it."""

import dataclasses

import numpy as np

from systolic import isa
from systolic.isa import ErrorCode
from systolic_sim.check.accesses import access_faults, check_fields, regions, sums_in_x, wrong_field
from systolic_sim.check.flow import Flow
from systolic_sim.check.places import astray, silent

__all__ = ["Finding", "advice", "check_program", "executed"]

#: Instructions that PROGRAM_LENGTH can count.
_LONGEST = 65535

_HALT = isa.operation("halt").instruction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """Something wrong with an instruction.

    Parameters
    ----------
    index : int
        Of the instruction; one more than there are if it is missing.
    instruction : str
        As the assembler reads it, as far as it can be read.
    error : ErrorCode or None
        ``None`` if the machine does not notice: a sum on entries that were never written.
    advice : str
        What exactly is wrong, and what to do.
    """

    index: int
    instruction: str
    error: ErrorCode | None
    advice: str

    def __str__(self):
        what = self.error.doc if self.error else "a sum on entries never written"
        return f"{self.index}: {self.instruction}: {what}: {self.advice}"


def executed(code):
    """Instructions up to the first halt, as the machine finds them."""
    words = [code[place:place + isa.BYTES] for place in range(0, len(code), isa.BYTES)]
    return words[:next((number for number, word in enumerate(words, 1) if isa.by_opcode(word[0]) is _HALT), len(words))]


def check_program(config, code):
    """All errors of a program that runs after a restart.

    Each instruction is looked at by itself; then, if the sequencer would take them all, how far the program gets with
    accesses mended.

    Parameters
    ----------
    config : TpuConfig
    code : bytes

    Returns
    -------
    list of Finding
        In the order of the program. A bus that does not answer is not among them.
    """
    words, found, taken = executed(code), [], True
    written = np.zeros(config.matrix.arch.accumulator_depth, bool)
    for index, word in enumerate(words):
        if problem := _sequencer_finds(config, word):
            taken = False
            found.append(Finding(index=index, instruction=_text(word), error=problem[0], advice=problem[1]))
            continue
        op, = isa.decode(word)
        found += [Finding(index=index, instruction=_text(word), error=fault.error, advice=_mend(config, op, fault))
                  for fault in access_faults(config, op)]
        found += _undefined(config, index, op, written)
    if len(words) > _LONGEST:
        found.append(Finding(index=_LONGEST, instruction=_text(words[_LONGEST]), error=ErrorCode.END,
                             advice=f"PROGRAM_LENGTH counts {_LONGEST} instructions: make it two programs"))
    if taken:
        found += _flow(config, words)
    elif isa.by_opcode(words[-1][0]) is not _HALT:
        found.append(_no_halt(words))
    return sorted(found, key=lambda each: each.index)


def advice(config, code, error, index, answers=None):
    """What exactly is wrong where a program stopped, and what to do.

    Parameters
    ----------
    config : TpuConfig
    code : bytes
    error : ErrorCode
    index : int
        Of the instruction.
    answers : function of (address, size) or None
        Whether the bus reads and writes there without an error.

    Returns
    -------
    str
        Empty if nothing is known beyond the error's name.
    """
    if error in (ErrorCode.BUS_READ, ErrorCode.BUS_WRITE) and answers is not None:
        op, = isa.decode(code[isa.BYTES * index:][:isa.BYTES])
        return f"memory does not answer at {silent(config, op, answers):#010x}"
    return next((each.advice for each in check_program(config, code) if (each.error, each.index) == (error, index)), "")


def _text(word):
    try:
        return isa.disassemble(isa.decode(word)).strip()
    except isa.IsaError:
        instruction = isa.by_opcode(word[0])
        return instruction.name if instruction else f"opcode {word[0]:#04x}"


def _sequencer_finds(config, word):
    """Error and advice, or None."""
    bits = int.from_bytes(word, "little")
    instruction, problem = isa.by_opcode(bits & 0xFF), check_fields(config, bits)
    if problem == ErrorCode.OPCODE:
        return problem, "take one that systolic isa lists"
    if problem == ErrorCode.RESERVED:
        wrong = bits & ~isa.used_bits(instruction)
        places = [f"{bit % 32} of word {bit // 32}" for bit in range(8 * isa.BYTES) if wrong >> bit & 1]
        return problem, f"clear bit {', '.join(places)}"
    if problem == ErrorCode.FIELD:
        return problem, _mend_field(config, *isa.decode(word), wrong_field(config, bits))
    op, = isa.decode(word)
    in_place = isa.overlaps(op)
    for number, (region, (space, _, base, end)) in enumerate(zip(instruction.regions, regions(op), strict=True)):
        if space == "buffer" and end > config.buffer_size:
            return ErrorCode.BUFFER, (f"the region from {region.base}={base} ends at {end}, the buffer at "
                              f"{config.buffer_size}: move it, or make it smaller")
        if in_place[number] is False:
            equal = ", ".join(f"{name}={op.values.get(other, other)}" for name, other in region.in_place)
            return ErrorCode.OVERLAP, (f"the output overlaps the region from {region.base}={base}: move it, or make "
                                       f"{equal}")
    return None


def _mend_field(config, op, field):
    arch = config.matrix.arch
    allowed = (f"a multiple of the {config.bus_bytes} bytes of the bus" if field.aligned else
               f"from {field.least} to {isa.most(field, arch.rows, arch.cols, config.roundings, arch.taps)}")
    return f"{field.name} must be {allowed}, not {op.values[field.name]}"


def _mend(config, op, fault):
    """What to do about an access that goes astray."""
    if fault.error == ErrorCode.OVERLAP:
        return "in place, an output begins before the end of the one before it: make x_stride or y_stride larger"
    where = astray(config, op, fault)
    if fault.error == ErrorCode.ACCUMULATOR:
        last = config.matrix.arch.accumulator_depth - 1
        return f"{where}, the last is {last}: lower accumulator, or take fewer rows per tile"
    if op.name == "read_weights":
        size = config.tile_bytes(diagonal=bool(op.diagonal))
        return f"{where}, a tile has {size} bytes: memory_size={op.tile_count * size}, below 2**32"
    if op.name == "matrix_multiply":
        return f"{where}: correct base, size, start, counts or strides"
    if op.name == "activate" and fault.place < 0:
        count = op.channels if op.per_channel else 1
        return f"parameters_size must be at least {count * isa.RECORD_BYTES}, not {op.parameters_size}"
    if op.name in ("read_host_memory", "write_host_memory"):
        return f"{where}: correct bases and sizes, row_count, row_bytes or strides"
    return f"{where}: correct base and size, counts, channels or strides"


def _undefined(config, index, op, written):
    """Sums that begin with what an entry of the accumulators happens to have."""
    if op.name != "matrix_multiply":
        return []
    entries = slice(op.accumulator, op.accumulator + int(sums_in_x(config, op).sum()) * op.y_count)
    unknown = op.accumulate and not written[entries].all()
    written[entries] = True
    if not unknown:
        return []
    return [Finding(index=index, instruction=isa.disassemble([op]).strip(), error=None,
                    advice="leave accumulate out, or write them with an earlier matrix_multiply")]


def _flow(config, words):
    flow = Flow(config, faults=False).run(b"".join(words))
    if not flow.errors:
        return []
    (error, index), = flow.errors
    if index == len(words):
        return [_no_halt(words)]
    advice = _left_over(flow) if error == ErrorCode.LEFTOVER else _stuck(flow)
    return [Finding(index=index, instruction=_text(words[index]), error=error, advice=advice)]


def _no_halt(words):
    return Finding(index=len(words), instruction="(the end)", error=ErrorCode.END if words else ErrorCode.FETCH,
                   advice="end it with halt")


def _left_over(flow):
    """Of tiles and sums, what is left."""
    tiles, sums = flow.tiles_left, flow.sums_left
    parts = []
    if tiles > 0:
        parts.append(f"weight tiles left: {tiles}; read fewer, or multiply by them")
    if tiles < 0:
        parts.append(f"weight tiles missing: {-tiles}; read them with read_weights")
    if sums:
        parts.append(f"rows of sums left: {sums}; take them with activate, or leave finish out")
    return "; ".join(parts)


_HELD = {
    "unit": "it waits for instruction {holder}, two being in flight in its unit",
    "conflict": "it waits for instruction {holder}, which needs the same bytes",
    "quiet": "it waits until instruction {holder} has ended",
}
_REASONS = {
    "tile": "that waits for a weight tile: read_weights must come before this one",
    "results": "that waits for sums: a matrix_multiply that finishes them must come before this one",
    "room for results": "that waits for room in the result FIFO of {results} rows: take sums with activate before this "
                        "one, into bytes that nothing in flight needs",
    "room for weights": "that waits for room for weights: use tiles with matrix_multiply before this one, or read "
                        "fewer",
}


def _stuck(flow):
    stuck, limits = flow.stuck, flow.limits
    held = _HELD[stuck.reason].format(holder=stuck.holder)
    if stuck.holder is None:
        held = f"it waits for rows, of which only {limits.GATE} can be at the gate"
    return f"{held}; {_REASONS[stuck.waits_for].format(results=limits.results)}"
