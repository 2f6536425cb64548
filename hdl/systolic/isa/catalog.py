"""The table: every instruction with its fields, their limits, and the regions it reads and writes."""

from typing import Any

from .model import RECORD_BYTES, TABLE_BYTES, Field, Instruction, Region

__all__ = ["INSTRUCTIONS"]


def _word(name: str, word: int, doc: str, **options: Any) -> Field:
    return Field(name=name, word=word, low=0, width=32, doc=doc, **options)


def _half(name: str, word: int, half: int, doc: str, **options: Any) -> Field:
    return Field(name=name, word=word, low=16 * half, width=16, doc=doc, **options)


def _byte(name: str, word: int, byte: int, doc: str, **options: Any) -> Field:
    return Field(name=name, word=word, low=8 * byte, width=8, doc=doc, **options)


def _flag(name: str, bit: int, doc: str) -> Field:
    return Field(name=name, word=0, low=8 + bit, width=1, doc=doc)


def _stride(name: str, word: int, doc: str) -> Field:
    return Field(name=name, word=word, low=0, width=24, doc=f"bytes from one {doc} to the next", signed=True)


def _count(name: str, word: int, half: int, doc: str) -> Field:
    return _half(name, word, half, doc, least=1, default=1)


def _transfer(direction: str) -> tuple[Field, ...]:
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


def _streamed(base: str, size: str, first: str, stride: str, *more: tuple[str, str | int]) -> Region:
    """A region whose bytes are read while outputs are written."""
    pairs = ((first, "base"), (f"{stride}_x_stride", "x_stride"), (f"{stride}_y_stride", "y_stride"), *more)
    return Region("buffer", False, base, size, in_place=pairs)


INSTRUCTIONS = (
    Instruction(name="nop", opcode=0x00, unit="sequencer", doc="Does nothing."),
    Instruction(name="halt", opcode=0x01, unit="sequencer", waits=True,
                doc="Waits until every unit has finished, ends the program and raises an interrupt."),
    Instruction(name="sync", opcode=0x02, unit="sequencer", waits=True, doc="Waits until every unit has finished."),
    Instruction(name="interrupt", opcode=0x03, unit="sequencer", waits=True,
                doc="Waits until every unit has finished, raises an interrupt and continues."),
    Instruction(name="debug_tag", opcode=0x04, unit="sequencer", doc="Writes a number to the debug tag register.",
                fields=(_word("tag", 1, "the number"),)),
    Instruction(name="set_configuration", opcode=0x05, unit="sequencer",
                doc="Sets the rounding of requantisation for all later instructions.",
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
                        _word("tile_count", 3, "number of consecutive tiles", least=1, default=1)),
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
                        _byte("k_less", 7, 3, "number of array rows in use, minus one", most="rows"),
                        _byte("k_last_less", 8, 3, "the same in the last tile of c", most="rows"),
                        _byte("n_less", 9, 3, "number of array columns in use, minus one", most="cols"),
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
                    _flag("per_channel", 1, "per-channel parameter records; otherwise one record for all channels"),
                    _word("parameters_size", 4, "bytes of the records", least=1, default=RECORD_BYTES),
                    Field(name="channels", word=7, low=0, width=16, least=1, most="cols", default=1,
                          doc="number of channels written, from the first of each row of sums")),
                doc="""Takes x_count * y_count rows of finished sums, adds the bias, requantises, clamps, and
writes them to base + x * x_stride + y * y_stride.""",
                regions=(_WRITES, Region("buffer", False, "parameters", "parameters_size"))),
    Instruction(name="pool", opcode=0x15, unit="activation", fields=_OUTPUT + _SCALE + _FROM + (
                    _flag("maximum", 1, "maximum of the window; otherwise its sum"),
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
