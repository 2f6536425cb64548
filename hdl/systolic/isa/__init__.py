"""The instruction set: one table, from which everything else that knows it follows.

:data:`INSTRUCTIONS` has every instruction with its fields, limits and the regions it reads and writes. Encoder,
decoder, assembler, disassembler and :func:`document` work on it, and so do the gateware's decoder and scoreboard and
the emulator.

An instruction is 64 bytes, sixteen little-endian words of 32 bits, on a 64-byte boundary. Bits that belong to
no field are reserved and zero. Every access an instruction makes lies in the regions it declares; it is stopped with
an error before one that does not.
"""

import dataclasses

from ..errors import UserError

__all__ = [
    "BYTES", "ERRORS", "Field", "INSTRUCTIONS", "Instruction", "IsaError", "Operation", "RECORD_BYTES",
    "ROUNDINGS", "Region", "TABLE_BYTES", "UNITS", "assemble", "by_opcode", "decode", "disassemble", "document",
    "encode", "most", "operation", "overlaps", "used_bits",
]

#: Size of an instruction, of a parameter record {bias, multiplier, shift, 0} of 32 bits each, of a lookup table.
BYTES, RECORD_BYTES, TABLE_BYTES = 64, 16, 256

#: Who executes instructions, side by side; each its own in order.
UNITS = ("sequencer", "load", "store", "weights", "matrix", "activation")

#: Rounding of requantisation, see docs/numerics.md.
ROUNDINGS = ("single", "double", "fp32")

#: Error codes, as the register has them.
ERRORS = {
    1: ("opcode", "no such instruction"),
    2: ("reserved", "a reserved bit is set"),
    3: ("field", "a field is zero or too large, or an address not a multiple of the bus width"),
    4: ("buffer", "a region is not inside the unified buffer"),
    5: ("region", "an access outside the declared region"),
    6: ("accumulator", "a row beyond the last accumulator"),
    7: ("bus_read", "SLVERR or DECERR on a read"),
    8: ("bus_write", "SLVERR or DECERR on a write"),
    9: ("fetch", "SLVERR or DECERR on an instruction, or a program that is not on a 64-byte boundary or empty"),
    10: ("end", "the program ends without halt"),
    11: ("leftover", "halt with weight tiles or results that nothing took"),
    12: ("watchdog", "nothing moved for as many cycles as the watchdog allows"),
    13: ("busy", "a doorbell while a program runs"),
    14: ("overlap", "an output lies over an input that is read later"),
}


class IsaError(UserError, ValueError):
    """An instruction that cannot be; the message names the field, its value and what is allowed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """Some bits of an instruction.

    Parameters
    ----------
    name, doc : str
    word, low, width : int
        Where: bits [low, low + width) of that word.
    signed : bool
    least : int
        Smallest value the machine takes; 1 for counts.
    most : str or None
        What bounds it from above: ``"cols"``, ``"rows"``, or ``None``.
    aligned : bool
        Whether it must be a multiple of the bus width in bytes.
    default : int
        What the assembler takes if it is not given.
    """

    name: str
    word: int
    low: int
    width: int
    doc: str
    signed: bool = False
    least: int = 0
    most: str | None = None
    aligned: bool = False
    default: int = 0

    @property
    def offset(self):
        """First bit, counted through the instruction."""
        return 32 * self.word + self.low

    @property
    def range(self):
        """Smallest and largest value that its bits can hold."""
        half = 1 << (self.width - 1)
        return (-half, half - 1) if self.signed else (0, 2 * half - 1)


@dataclasses.dataclass(frozen=True)
class Region:
    """Bytes that an instruction may touch.

    Parameters
    ----------
    space : str
        ``"buffer"`` or ``"memory"``.
    writes : bool
    base, size : str, str or int
        Fields with its first byte and its number of bytes, or that number.
    in_place : tuple of (str, str or int)
        For a region that is read while the instruction writes: fields that must equal another field or a number if the
        two regions overlap. Empty for one that is read completely before the first write.
    """

    space: str
    writes: bool
    base: str
    size: str | int
    in_place: tuple = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instruction:
    """A row of the table."""

    name: str
    opcode: int
    unit: str
    doc: str
    fields: tuple = ()
    regions: tuple = ()

    def field(self, name):
        """The field of that name; IsaError if there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise IsaError(f"{self.name} has no field {name}, only {', '.join(f.name for f in self.fields) or 'none'}")


@dataclasses.dataclass(frozen=True)
class Operation:
    """An instruction with its fields' values: what programs are lists of."""

    name: str
    values: dict = dataclasses.field(default_factory=dict)

    @property
    def instruction(self):
        """Its row of the table."""
        return _by_name(self.name)

    def __getattr__(self, name):
        try:
            return self.__dict__["values"][name]
        except KeyError:
            raise AttributeError(name) from None


def _word(name, word, doc, **options):
    return Field(name=name, word=word, low=0, width=32, doc=doc, **options)


def _half(name, word, half, doc, **options):
    return Field(name=name, word=word, low=16 * half, width=16, doc=doc, **options)


def _byte(name, word, byte, doc, **options):
    return Field(name=name, word=word, low=8 * byte, width=8, doc=doc, **options)


def _flag(name, bit, doc):
    return Field(name=name, word=0, low=8 + bit, width=1, doc=doc)


def _stride(name, word, doc):
    return Field(name=name, word=word, low=0, width=24, doc=f"bytes from one {doc} to the next", signed=True)


def _count(name, word, half, doc):
    return _half(name, word, half, doc, least=1, default=1)


def _transfer(direction):
    return (
        _word("memory", 1, "first byte in memory", aligned=True),
        _word("memory_size", 2, "bytes of the memory region", least=1),
        _word("base", 3, "first byte in the unified buffer"),
        _word("size", 4, "bytes of the buffer region", least=1),
        _count("row_count", 5, 0, f"rows to {direction}"),
        Field(name="row_bytes", word=6, low=0, width=24, least=1, doc="bytes of a row"),
        _word("memory_stride", 7, "bytes from one row to the next in memory", aligned=True),
        _stride("stride", 8, "row in the buffer"),
    )


_SCALE = (
    _byte("zero_point", 0, 2, "added after scaling", signed=True),
    _byte("low", 8, 3, "lower bound of the output", signed=True, default=-128),
    _byte("high", 9, 3, "upper bound of the output", signed=True, default=127),
)

_OUTPUT = (
    _flag("lookup", 0, "send outputs through the lookup table"),
    _word("base", 1, "first byte to write: the output region begins there"),
    _word("size", 2, "bytes of the output region", least=1),
    _count("x_count", 6, 0, "outputs in x"), _count("y_count", 6, 1, "outputs in y"),
    _stride("x_stride", 8, "output in x"), _stride("y_stride", 9, "output in y"),
    _word("parameters", 14, "first parameter record in the unified buffer"),
)

_FROM = (
    _word("from_base", 3, "first byte of the region to read"), _word("from_size", 4, "bytes of it", least=1),
)

_WRITES = Region("buffer", True, "base", "size")


def _streamed(base, size, first, stride, *more):
    """A region whose bytes are read while outputs are written."""
    pairs = ((first, "base"), (f"{stride}_x_stride", "x_stride"), (f"{stride}_y_stride", "y_stride"), *more)
    return Region("buffer", False, base, size, in_place=pairs)


INSTRUCTIONS = (
    Instruction(name="nop", opcode=0x00, unit="sequencer", doc="Does nothing."),
    Instruction(name="halt", opcode=0x01, unit="sequencer",
                doc="Ends the program when every unit has finished, and interrupts."),
    Instruction(name="sync", opcode=0x02, unit="sequencer", doc="Waits until every unit has finished."),
    Instruction(name="interrupt", opcode=0x03, unit="sequencer",
                doc="Waits until every unit has finished, interrupts, and goes on."),
    Instruction(name="debug_tag", opcode=0x04, unit="sequencer", doc="Shows a number in a register.",
                fields=(_word("tag", 1, "the number"),)),
    Instruction(name="set_configuration", opcode=0x05, unit="sequencer",
                doc="Sets how the instructions after it requantise.",
                fields=(Field(name="rounding", word=1, low=0, width=2, most="roundings",
                              doc="0 single, 1 double, 2 fp32"),)),
    Instruction(name="read_host_memory", opcode=0x10, unit="load", fields=_transfer("read"),
                doc="Copies rows of bytes from memory to the unified buffer.",
                regions=(Region("memory", False, "memory", "memory_size"), _WRITES)),
    Instruction(name="write_host_memory", opcode=0x11, unit="store", fields=_transfer("write"),
                doc="Copies rows of bytes from the unified buffer to memory.",
                regions=(Region("memory", True, "memory", "memory_size"),
                         Region("buffer", False, "base", "size"))),
    Instruction(name="read_weights", opcode=0x12, unit="weights",
                doc="Streams weight tiles from memory into the weight FIFO. Others go on meanwhile.",
                fields=(_flag("diagonal", 0, "a tile is one row of weights: its diagonal, the rest zero"),
                        _word("memory", 1, "first byte of the first tile", aligned=True),
                        _word("memory_size", 2, "bytes of all tiles", least=1),
                        _word("tile_count", 3, "tiles, one behind the other", least=1, default=1)),
                regions=(Region("memory", False, "memory", "memory_size"),)),
    Instruction(name="matrix_multiply", opcode=0x13, unit="matrix",
                doc="""Multiplies rows of activations by one weight tile after the other. Loops, innermost first: x, y
(the rows of a tile), c, kx, ky (tiles summed onto the same accumulators), n (new sums). A row is the R bytes at
start + x * x_stride + y * y_stride + c * c_stride + kx * kx_stride + ky * ky_stride + n * n_stride, or R times the
padding where first_x + x * x_step + kx * kx_step, modulo 2**16, is not below the width, or first_y + y * y_step +
ky * ky_step not below the height. Row x + y * x_count belongs to entry accumulator + x + y * x_count.""",
                fields=(_flag("reuse", 0, "the first tile is the one in use, not the next of the weight FIFO"),
                        _flag("accumulate", 1, "the first tile of a sum, too, adds to the accumulators"),
                        _flag("finish", 2, "the last tile of a sum finishes it: results go to activate"),
                        _byte("padding", 0, 2, "activation outside the input", signed=True),
                        _word("base", 1, "first byte of the region to read"), _word("size", 2, "bytes of it", least=1),
                        _word("start", 3, "address of the first row; outside the region where that row is padding"),
                        _count("x_count", 4, 0, "rows in x"), _count("y_count", 4, 1, "rows in y"),
                        _count("c_count", 5, 0, "tiles in c"), _count("n_count", 5, 1, "sums one after the other"),
                        _byte("kx_count", 6, 0, "tiles in kx", least=1, default=1),
                        _byte("ky_count", 6, 1, "tiles in ky", least=1, default=1),
                        _byte("x_step", 6, 2, "pixels from one row to the next in x", default=1),
                        _byte("y_step", 6, 3, "pixels from one row to the next in y", default=1),
                        _stride("x_stride", 7, "row in x"), _stride("y_stride", 8, "row in y"),
                        _stride("c_stride", 9, "tile in c"), _stride("kx_stride", 10, "tile in kx"),
                        _stride("ky_stride", 11, "tile in ky"), _stride("n_stride", 12, "sum"),
                        _byte("k_less", 7, 3, "array rows less one that are of use", most="rows"),
                        _byte("k_last_less", 8, 3, "the same in the last tile of c", most="rows"),
                        _byte("n_less", 9, 3, "array columns less one that are of use", most="cols"),
                        _byte("n_last_less", 10, 3, "the same in the last n", most="cols"),
                        _byte("kx_step", 11, 3, "pixels from one kx to the next: the dilation in x", default=1),
                        _byte("ky_step", 12, 3, "pixels from one ky to the next: the dilation in y", default=1),
                        _half("first_x", 13, 0, "pixel of x = 0, kx = 0", signed=True),
                        _half("first_y", 13, 1, "pixel of y = 0, ky = 0", signed=True),
                        _half("width", 14, 0, "pixels of the input in x; 0: no padding in x"),
                        _half("height", 14, 1, "pixels of the input in y; 0: no padding in y"),
                        _half("accumulator", 15, 0, "entry of the first row")),
                regions=(Region("buffer", False, "base", "size"),)),
    Instruction(name="activate", opcode=0x14, unit="activation", fields=_OUTPUT + _SCALE + (
                    _flag("per_channel", 1, "a parameter record each channel, else one for all"),
                    _word("parameters_size", 4, "bytes of the records", least=1, default=RECORD_BYTES),
                    Field(name="channels", word=7, low=0, width=16, least=1, most="cols", default=1,
                          doc="of each row of sums, the first so many are written")),
                doc="""Takes x_count * y_count rows of finished sums, adds the bias, requantises, clamps, and
writes them to base + x * x_stride + y * y_stride.""",
                regions=(_WRITES, Region("buffer", False, "parameters", "parameters_size"))),
    Instruction(name="pool", opcode=0x15, unit="activation", fields=_OUTPUT + _SCALE + _FROM + (
                    _flag("maximum", 1, "the largest of a window, else its sum"),
                    _word("start", 5, "address of the first input"),
                    _half("channels", 7, 0, "bytes of a pixel", least=1, default=1),
                    _byte("kx_count", 7, 2, "pixels of a window in x", least=1, default=1),
                    _byte("ky_count", 7, 3, "pixels of a window in y", least=1, default=1),
                    _stride("from_x_stride", 10, "window in x"), _stride("from_y_stride", 11, "window in y"),
                    _stride("kx_stride", 12, "pixel of a window in x"),
                    _stride("ky_stride", 13, "pixel of a window in y")),
                doc="""For each channel the maximum or sum of kx_count * ky_count pixels at start + x * from_x_stride
+ y * from_y_stride + kx * kx_stride + ky * ky_stride; plus the bias, requantised and clamped. With
a window of one pixel, an elementwise function.""",
                regions=(_WRITES,
                         _streamed("from_base", "from_size", "start", "from", ("kx_count", 1), ("ky_count", 1)),
                         Region("buffer", False, "parameters", RECORD_BYTES))),
    Instruction(name="add", opcode=0x16, unit="activation", fields=_OUTPUT + _SCALE + _FROM + (
                    _word("other_base", 5, "first byte of the second region to read"),
                    _word("other_size", 15, "bytes of it", least=1),
                    _half("channels", 7, 0, "bytes of a pixel", least=1, default=1),
                    _stride("from_x_stride", 10, "first input in x"), _stride("from_y_stride", 11, "first input in y"),
                    _stride("other_x_stride", 12, "second input in x"),
                    _stride("other_y_stride", 13, "second input in y")),
                doc="""Elementwise sum of two inputs of different scales. Three parameter records: each input, shifted
left by 20 bits, plus its bias, scaled; the sum of both, plus its bias, requantised and clamped.""",
                regions=(_WRITES, _streamed("from_base", "from_size", "from_base", "from"),
                         _streamed("other_base", "other_size", "other_base", "other"),
                         Region("buffer", False, "parameters", 3 * RECORD_BYTES))),
    Instruction(name="load_table", opcode=0x17, unit="activation",
                doc="Reads the lookup table, the outputs for -128 to 127.",
                fields=(_word("from_base", 3, "first byte in the unified buffer"),),
                regions=(Region("buffer", False, "from_base", TABLE_BYTES),)),
)

_NAMES = {instruction.name: instruction for instruction in INSTRUCTIONS}
_OPCODES = {instruction.opcode: instruction for instruction in INSTRUCTIONS}


def _by_name(name):
    if name not in _NAMES:
        raise IsaError(f"instruction must be one of {', '.join(_NAMES)}, not {name!r}")
    return _NAMES[name]


def by_opcode(opcode):
    """The instruction of that opcode, or ``None``."""
    return _OPCODES.get(opcode)


def operation(name, /, **values):
    """An operation with defaults for the fields not given.

    Raises
    ------
    IsaError
        If there is no such instruction or field, or a value does not fit into its bits.
    """
    instruction = _by_name(name)
    for given in values:
        instruction.field(given)
    complete = {}
    for field in instruction.fields:
        value, (low, high) = int(values.get(field.name, field.default)), field.range
        if not low <= value <= high:
            raise IsaError(f"{field.name} of {name} must be from {low} to {high}, not {value}")
        complete[field.name] = value
    return Operation(name, complete)


def encode(operations):
    """Bytes of a program.

    Parameters
    ----------
    operations : iterable of Operation

    Returns
    -------
    bytes
        64 an operation.
    """
    return b"".join(_encode(each).to_bytes(BYTES, "little") for each in operations)


def _encode(each):
    bits = each.instruction.opcode
    for field in each.instruction.fields:
        bits |= (each.values[field.name] & ((1 << field.width) - 1)) << field.offset
    return bits


def decode(code):
    """Operations of a program's bytes: the reverse of :func:`encode`.

    Raises
    ------
    IsaError
        If an opcode is unknown or a reserved bit set, or bytes are left over.
    """
    if len(code) % BYTES:
        raise IsaError(f"a program has a multiple of {BYTES} bytes, not {len(code)}")
    return [_decode(index, int.from_bytes(code[BYTES * index:][:BYTES], "little"))
            for index in range(len(code) // BYTES)]


def _decode(index, bits):
    instruction = by_opcode(bits & 0xFF)
    if instruction is None:
        raise IsaError(f"instruction {index}: opcode {bits & 0xFF:#04x} does not exist")
    if bits & ~used_bits(instruction):
        raise IsaError(f"instruction {index}: a reserved bit of {instruction.name} is set")
    values = {}
    for field in instruction.fields:
        value = bits >> field.offset & ((1 << field.width) - 1)
        values[field.name] = value - (1 << field.width) if value > field.range[1] else value
    return Operation(instruction.name, values)


def overlaps(operation):
    """Which regions of an operation overlap what it writes while it still reads them.

    Parameters
    ----------
    operation : Operation

    Returns
    -------
    list of bool or None
        For each region of its instruction: ``None`` if it does not overlap the output or is read before the first
        write; else whether the operation works on it in place.
    """
    values, found = operation.values, []
    target = next((region for region in operation.instruction.regions if region.writes), None)
    for region in operation.instruction.regions:
        if not region.in_place or not _meet(values, region, target):
            found.append(None)
        else:
            found.append(all(values[name] == (values[other] if isinstance(other, str) else other)
                             for name, other in region.in_place))
    return found


def _meet(values, first, second):
    (low, end), (other, other_end) = (
        (values[each.base], values[each.base] + (each.size if isinstance(each.size, int) else values[each.size]))
        for each in (first, second))
    return low < other_end and other < end


def most(field, rows, cols):
    """Largest value the machine takes in a field, for an array of that shape."""
    less = field.name.endswith("less")
    bounds = {None: field.range[1], "rows": rows - less, "cols": cols - less, "roundings": len(ROUNDINGS) - 1}
    return bounds[field.most]


def used_bits(instruction):
    """Mask of an instruction's bits that are not reserved."""
    mask = 0xFF
    for field in instruction.fields:
        mask |= ((1 << field.width) - 1) << field.offset
    return mask


def assemble(text):
    """Operations of a text: an instruction a line, ``name field=value ...``; from ``#`` on it is a comment.

    Raises
    ------
    IsaError
        With the number of the line.
    """
    operations = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            try:
                operations.append(operation(words[0], **dict(_assignment(word) for word in words[1:])))
            except IsaError as error:
                raise IsaError(f"line {number}: {error}") from None
    return operations


def _assignment(word):
    name, equals, value = word.partition("=")
    try:
        return name, int(value, 0) if equals else 1
    except ValueError:
        raise IsaError(f"{name} must be a number, not {value!r}") from None


def disassemble(operations):
    """Text of operations, for :func:`assemble`: fields that are not at their default, an instruction a line."""
    return "".join(" ".join([each.name, *_shown(each)]) + "\n" for each in operations)


def _shown(each):
    for field in each.instruction.fields:
        value = each.values[field.name]
        if value != field.default:
            yield f"{field.name}={hex(value) if field.width == 32 else value}"


def document():
    """The reference page, Markdown."""
    lines = ["# Instruction set", "", " ".join(__doc__.split("\n\n")[2].split()), "",
             "Written by `systolic isa`, from the table in hdl/systolic/isa.", ""]
    for instruction in INSTRUCTIONS:
        lines += [f"## {instruction.name}", "",
                  f"Opcode `{instruction.opcode:#04x}`, executed by: {instruction.unit}. "
                  + " ".join(instruction.doc.split()), ""]
        if instruction.fields:
            lines += ["| field | word | bits | values | |", "|---|---|---|---|---|",
                      *(_row(field) for field in sorted(instruction.fields, key=lambda field: field.offset)), ""]
        if instruction.regions:
            lines += ["Touches: " + ", ".join(
                f"{'writes' if region.writes else 'reads'} {region.space} [`{region.base}`, + `{region.size}`)"
                for region in instruction.regions) + ".", ""]
        lines += [line for region in instruction.regions if region.in_place for line in (_in_place(region), "")]
    lines += ["## Errors", "", "| code | name | |", "|---|---|---|",
              *(f"| {code} | {name} | {doc} |" for code, (name, doc) in ERRORS.items()), ""]
    return "\n".join(lines)


def _in_place(region):
    """The rule for a region that is read while the instruction writes."""
    equal = ", ".join(f"`{name}` = " + (f"`{other}`" if isinstance(other, str) else str(other))
                      for name, other in region.in_place)
    return (f"Where [`{region.base}`, + `{region.size}`) overlaps what is written, the instruction must work in place: "
            f"{equal}, and every output begins at or behind the end of the one before it.")


def _row(field):
    low, high = field.range
    limits = f"{max(low, field.least) if not field.signed else low} to {high}"
    if field.most:
        limits = f"{field.least} to " + {"rows": "R - 1", "roundings": "2"}.get(
            field.most, "C - 1" if field.name.endswith("less") else "C")
    if field.aligned:
        limits = "multiple of the bus width"
    return f"| `{field.name}` | {field.word} | {field.low + field.width - 1}:{field.low} | {limits} | {field.doc} |"
