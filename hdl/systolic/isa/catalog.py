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


def _flag(name: str, bit: int, doc: str, **options: Any) -> Field:
    return Field(name=name, word=0, low=8 + bit, width=1, doc=doc, **options)


def _stride(name: str, word: int, doc: str) -> Field:
    return Field(name=name, word=word, low=0, width=24, doc=f"byte stride {doc}", signed=True)


def _count(name: str, word: int, half: int, doc: str) -> Field:
    return _half(name, word, half, doc, least=1, default=1)


def _transfer(direction: str) -> tuple[Field, ...]:
    return (
        _word("memory", 1, "address of the memory region", aligned=True),
        _word("memory_size", 2, "size of the memory region in bytes", least=1),
        _word("base", 3, "address of the buffer region"),
        _word("size", 4, "size of the buffer region in bytes", least=1),
        _count("row_count", 5, 0, f"number of rows to {direction}"),
        Field(name="row_bytes", word=6, low=0, width=24, least=1, doc="size of a row in bytes"),
        _word("memory_stride", 7, "byte stride between rows in memory", aligned=True),
        _stride("stride", 8, "between rows in the buffer"),
    )


_SCALE = (
    _byte("zero_point", 0, 2, "output zero point, added after scaling", signed=True),
    _byte("low", 8, 3, "lower clamp bound", signed=True, default=-128),
    _byte("high", 9, 3, "upper clamp bound", signed=True, default=127),
)

_OUTPUT = (
    _flag("lookup", 0, "map each output byte through the lookup table"),
    _word("base", 1, "address of the output region and of its first output"),
    _word("size", 2, "size of the output region in bytes", least=1),
    _count("x_count", 6, 0, "number of outputs in x"), _count("y_count", 6, 1, "number of outputs in y"),
    _stride("x_stride", 8, "between outputs in x"), _stride("y_stride", 9, "between outputs in y"),
    _word("parameters", 14, "address of the first parameter record"),
)

_FROM = (
    _word("from_base", 3, "address of the input region"),
    _word("from_size", 4, "size of the input region in bytes", least=1),
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
                fields=(_word("tag", 1, "number to write"),)),
    Instruction(name="set_configuration", opcode=0x05, unit="sequencer",
                doc="Sets the rounding of requantisation for all later instructions.",
                fields=(Field(name="rounding", word=1, low=0, width=2, most="roundings",
                              doc="rounding mode: 0 single, 1 double, 2 fp32"),)),
    Instruction(name="read_host_memory", opcode=0x10, unit="load", fields=_transfer("read"),
                doc="Copies rows of bytes from memory to the unified buffer.",
                regions=(Region("memory", False, "memory", "memory_size"), _WRITES)),
    Instruction(name="write_host_memory", opcode=0x11, unit="store", fields=_transfer("write"),
                doc="Copies rows of bytes from the unified buffer to memory.",
                regions=(Region("memory", True, "memory", "memory_size"),
                         Region("buffer", False, "base", "size"))),
    Instruction(name="read_weights", opcode=0x12, unit="weights",
                doc="Streams weight tiles from memory into the weight FIFO, while the other units continue.",
                fields=(_flag("diagonal", 0, "memory holds one row per tile: its diagonal; the rest is zero"),
                        _word("memory", 1, "address of the first tile", aligned=True),
                        _word("memory_size", 2, "size of all tiles in bytes", least=1),
                        _word("tile_count", 3, "number of consecutive tiles", least=1, default=1)),
                regions=(Region("memory", False, "memory", "memory_size"),)),
    Instruction(name="matrix_multiply", opcode=0x13, unit="matrix",
                doc="""Multiplies activation rows by a sequence of weight tiles. One instruction performs a whole matrix
product or convolution.

The loops are, from the innermost: x and y, the rows multiplied by one tile; c, kx and ky, the tiles of one sum,
accumulated on the same entries; n, the sums.

A row is the R bytes at `start + x * x_stride + y * y_stride + c * c_stride + kx * kx_stride + ky * ky_stride +
n * n_stride`. Its accumulator entry is `accumulator + x + y * x_count`, the same for every sum.

A row is padding if its pixel lies outside the input. The pixel is `(first_x + x * x_step + kx * kx_step,
first_y + y * y_step + ky * ky_step)`, modulo 2**16. It lies outside if its first coordinate is not less than `width` or
its second is not less than `height`. A padding row consists of R copies of `padding` and is not read.

With `depthwise`, weight r of column n, for r < T, is multiplied by element n of the r-th depthwise row before this
one, or by zero if there are fewer elements; the other weights by elements of this row, as ever: they are zero as a
rule. Of the rows in x, the first T - 1 only fill the window, and then `skip` between one sum and the next: they take no
accumulator entry, and `USEFUL_MACS` does not count them. The entry of the others is `accumulator` plus the number of
sums before them in the tile.

`k_less`, `k_last_less`, `n_less` and `n_last_less` only determine what `USEFUL_MACS` counts.""",
                fields=(_flag("reuse", 0, "the first tile is the active one, not the next in the weight FIFO"),
                        _flag("accumulate", 1, "add the first tile of each sum to the accumulators"),
                        _flag("finish", 2, "send each sum to the result FIFO after its last tile"),
                        _flag("depthwise", 3, "multiply channel by channel; needs a machine with taps", most="taps"),
                        _byte("skip", 0, 3, "with `depthwise`: rows in x between one sum and the next"),
                        _byte("padding", 0, 2, "value of activations outside the input", signed=True),
                        _word("base", 1, "address of the input region"),
                        _word("size", 2, "size of the input region in bytes", least=1),
                        _word("start", 3, "address of the first row; may be outside the region if it is padding"),
                        _count("x_count", 4, 0, "number of rows in x"), _count("y_count", 4, 1, "number of rows in y"),
                        _count("c_count", 5, 0, "number of tiles in c"), _count("n_count", 5, 1, "number of sums"),
                        _byte("kx_count", 6, 0, "number of tiles in kx", least=1, default=1),
                        _byte("ky_count", 6, 1, "number of tiles in ky", least=1, default=1),
                        _byte("x_step", 6, 2, "pixel stride in x: the stride of a convolution", default=1),
                        _byte("y_step", 6, 3, "pixel stride in y: the stride of a convolution", default=1),
                        _stride("x_stride", 7, "between rows in x"), _stride("y_stride", 8, "between rows in y"),
                        _stride("c_stride", 9, "between tiles in c"), _stride("kx_stride", 10, "between tiles in kx"),
                        _stride("ky_stride", 11, "between tiles in ky"), _stride("n_stride", 12, "between sums"),
                        _byte("k_less", 7, 3, "number of array rows in use, minus one", most="rows"),
                        _byte("k_last_less", 8, 3, "`k_less` for the last tile in c", most="rows"),
                        _byte("n_less", 9, 3, "number of array columns in use, minus one", most="cols"),
                        _byte("n_last_less", 10, 3, "`n_less` for the last sum", most="cols"),
                        _byte("kx_step", 11, 3, "pixel stride in kx: the dilation of a convolution", default=1),
                        _byte("ky_step", 12, 3, "pixel stride in ky: the dilation of a convolution", default=1),
                        _half("first_x", 13, 0, "pixel coordinate in x at x = 0, kx = 0", signed=True),
                        _half("first_y", 13, 1, "pixel coordinate in y at y = 0, ky = 0", signed=True),
                        _half("width", 14, 0, "width of the input in pixels; 0: no padding in x"),
                        _half("height", 14, 1, "height of the input in pixels; 0: no padding in y"),
                        _half("accumulator", 15, 0, "accumulator entry of the first row")),
                regions=(Region("buffer", False, "base", "size"),)),
    Instruction(name="activate", opcode=0x14, unit="activation", fields=_OUTPUT + _SCALE + (
                    _flag("per_channel", 1, "one parameter record per channel; otherwise one for all channels"),
                    _word("parameters_size", 4, "size of all records in bytes", least=1, default=RECORD_BYTES),
                    Field(name="channels", word=7, low=0, width=16, least=1, most="cols", default=1,
                          doc="number of channels written, from the first of each row of sums")),
                doc="""Takes `x_count * y_count` rows of sums from the result FIFO, in order. Adds the bias,
requantises, clamps, and writes each row to `base + x * x_stride + y * y_stride`.""",
                regions=(_WRITES, Region("buffer", False, "parameters", "parameters_size"))),
    Instruction(name="pool", opcode=0x15, unit="activation", fields=_OUTPUT + _SCALE + _FROM + (
                    _flag("maximum", 1, "reduce each window to its maximum, instead of its sum"),
                    _word("start", 5, "address of the first pixel"),
                    _half("channels", 7, 0, "number of channels: the size of a pixel in bytes", least=1, default=1),
                    _byte("kx_count", 7, 2, "width of a window in pixels", least=1, default=1),
                    _byte("ky_count", 7, 3, "height of a window in pixels", least=1, default=1),
                    _stride("from_x_stride", 10, "between windows in x"),
                    _stride("from_y_stride", 11, "between windows in y"),
                    _stride("kx_stride", 12, "between the pixels of a window in x"),
                    _stride("ky_stride", 13, "between the pixels of a window in y")),
                doc="""Reduces each window of the input to one pixel, channel by channel: the maximum or the sum of its
`kx_count * ky_count` pixels. Then adds the bias, requantises, clamps, and writes to
`base + x * x_stride + y * y_stride`.

The pixels of a window are at `start + x * from_x_stride + y * from_y_stride + kx * kx_stride + ky * ky_stride`.
A window of one pixel makes this an elementwise function.""",
                regions=(_WRITES,
                         _streamed("from_base", "from_size", "start", "from", ("kx_count", 1), ("ky_count", 1)),
                         Region("buffer", False, "parameters", RECORD_BYTES))),
    Instruction(name="add", opcode=0x16, unit="activation", fields=_OUTPUT + _SCALE + _FROM + (
                    _word("other_base", 5, "address of the second input region"),
                    _word("other_size", 15, "size of the second input region in bytes", least=1),
                    _half("channels", 7, 0, "number of channels: the size of a pixel in bytes", least=1, default=1),
                    _stride("from_x_stride", 10, "between pixels of the first input in x"),
                    _stride("from_y_stride", 11, "between pixels of the first input in y"),
                    _stride("other_x_stride", 12, "between pixels of the second input in x"),
                    _stride("other_y_stride", 13, "between pixels of the second input in y")),
                doc="""Adds two inputs of different scales, element by element, with three parameter records. Each
input is shifted left by 20 bits and scaled by its own record, the first or the second. The third record requantises the
sum of both. Each record adds its bias before it scales. The result is clamped and written to
`base + x * x_stride + y * y_stride`.

The pixels are at `from_base + x * from_x_stride + y * from_y_stride` and
`other_base + x * other_x_stride + y * other_y_stride`.""",
                regions=(_WRITES, _streamed("from_base", "from_size", "from_base", "from"),
                         _streamed("other_base", "other_size", "other_base", "other"),
                         Region("buffer", False, "parameters", 3 * RECORD_BYTES))),
    Instruction(name="load_table", opcode=0x17, unit="activation",
                doc="Loads the lookup table: 256 bytes, the outputs for -128 to 127 in ascending order.",
                fields=(_word("from_base", 3, "address of the table in the unified buffer"),),
                regions=(Region("buffer", False, "from_base", TABLE_BYTES),)),
)
