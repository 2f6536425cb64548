"""Convolutions as programs, for benches and examples.

A feature map lies in the unified buffer as NHWC bytes, with its border of padding in x: so the kernel_width * channels
bytes under one row of a kernel follow each other, and are cut into pieces of R bytes wherever a pixel ends. The padding
in y is the row reader's. One read_weights, one matrix_multiply and an activate for each C output channels make a layer;
all of them run side by side.
"""

import dataclasses

import numpy as np

from systolic.isa import RECORD_BYTES, operation
from systolic_sim.emulator import pack_diagonals, pack_tiles, records

__all__ = ["Layer", "convolution", "depthwise"]

_IDENTITY = {"bias": [0], "multiplier": [1 << 30], "shift": [1]}


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """A layer on a machine: three programs, run one after the other, each ending with halt.

    Attributes
    ----------
    prepare, program, collect : list of Operation
        Brings input and parameter records into the buffer; the layer itself; writes its output to memory.
    memory : uint8 array
        What they find there.
    output : slice
        Where in memory the output is in the end.
    macs : int
        Multiply-accumulates of the layer.
    """

    prepare: list
    program: list
    collect: list
    memory: np.ndarray
    output: slice
    macs: int

    @property
    def programs(self):
        """All three, in order."""
        return self.prepare, self.program, self.collect


class _Image:
    """A memory or buffer that is filled from the bottom up; memory: with bytes."""

    def __init__(self, alignment):
        self.alignment = alignment
        self.bytes = bytearray()

    def take(self, size):
        """The address of the next ``size`` bytes."""
        self.bytes += bytes(-len(self.bytes) % self.alignment)
        address = len(self.bytes)
        self.bytes += bytes(size)
        return address

    def put(self, content):
        """The address of these bytes."""
        address = self.take(len(content))
        self.bytes[address:] = content
        return address


class _Lowering:
    """What convolution and depthwise share."""

    def __init__(self, config, x, kernel, channels, scale, padding):
        self.config, self.channels, self.scale = config, channels, scale
        self.memory, self.buffer = _Image(64), _Image(config.banks)
        self.height, self.width, self.inputs = x.shape
        self.kernel = kernel
        border = (kernel - 1) // 2
        self.border, self.padding = border, padding
        bordered = np.pad(x, ((0, 0), (border, kernel - 1 - border), (0, 0)), constant_values=padding)
        self.row_bytes = bordered[0].size
        self.prepare, self.weights, self.matrix, self.activation = [], [], [], []
        self.input = self.load(bordered.tobytes(), slack=config.matrix.arch.rows)
        self.output = self.buffer.take(self.height * self.width * channels)

    def load(self, content, slack=0):
        """Buffer address of bytes that ``prepare`` brings there."""
        address, memory = self.buffer.take(len(content) + slack), self.memory.put(content)
        self.prepare.append(operation("read_host_memory", memory=memory, memory_size=len(content), base=address,
                                      size=len(content), row_count=1, row_bytes=len(content)))
        return address

    def records(self, channels):
        """Buffer address of the parameter records of these channels."""
        return self.load(records(**{name: np.asarray(value)[channels] for name, value in self.scale.items()}))

    def multiply(self, step=1, kernel=None, **fields):
        """A matrix_multiply over the input, ``step`` pixels from row to row."""
        kernel = kernel or self.kernel
        size = self.height * self.row_bytes + self.config.matrix.arch.rows
        self.matrix.append(operation(
            "matrix_multiply", finish=1, padding=self.padding, base=self.input, size=size,
            start=(self.input - self.border * self.row_bytes) % 2**self.config.address_width,
            x_count=self.width // step, y_count=self.height // step, ky_count=kernel, y_step=step,
            x_stride=step * self.inputs, y_stride=step * self.row_bytes, ky_stride=self.row_bytes,
            first_y=-self.border, height=self.height, **fields))

    def activate(self, base, channels, address, end, x_stride, y_stride, step=1):
        """Requantises the results of one sum over tiles to ``address``."""
        self.activation.append(operation(
            "activate", base=address, size=end - address, x_count=self.width // step, y_count=self.height // step,
            channels=channels, per_channel=1, parameters=base, parameters_size=channels * RECORD_BYTES,
            x_stride=x_stride, y_stride=y_stride))

    def layer(self, tiles, macs, *, diagonal=False):
        """The programs, with all tiles in one read_weights."""
        packed = (pack_diagonals if diagonal else pack_tiles)(self.config, tiles)
        weights, size = self.memory.put(packed), self.height * self.width * self.channels
        target = self.memory.take(size)
        self.memory.take(-len(self.memory.bytes) % self.memory.alignment)  # whole bus words, to the end
        end = operation("halt")
        stream = operation("read_weights", memory=weights, memory_size=len(packed), tile_count=len(tiles),
                           diagonal=diagonal)
        collect = operation("write_host_memory", memory=target, memory_size=size, base=self.output, size=size,
                            row_count=1, row_bytes=size)
        return Layer([*self.prepare, end], [stream, *self.matrix, *self.activation, end], [collect, end],
                     np.frombuffer(bytes(self.memory.bytes), np.uint8), slice(target, target + size), macs)


def convolution(config, x, w, *, bias, multiplier, shift, padding=0):
    """A convolution with as many outputs as inputs in x and y.

    Output channels beyond a multiple of C, if they are few, would leave most columns idle: they are computed for
    2 x 2 output pixels at once, by a kernel one larger either way at a stride of two.

    Parameters
    ----------
    config : TpuConfig
    x : int8 array [height, width, inputs]
    w : int8 array [kernel, kernel, inputs, outputs]
    bias, multiplier, shift : int array [outputs]
        Requantisation of each channel.
    padding : int
        Of the border.

    Returns
    -------
    Layer
    """
    arch, (kernel, _, inputs, outputs) = config.matrix.arch, w.shape
    low = _Lowering(config, x, kernel + 1, outputs, {"bias": bias, "multiplier": multiplier, "shift": shift}, padding)
    low.border = (kernel - 1) // 2
    size = x.shape[0] * x.shape[1] * outputs
    rest = outputs % arch.cols
    blocks = 4 * rest <= arch.cols and rest and not x.shape[0] % 2 and not x.shape[1] % 2
    tiles = []
    if blocks:
        tiles += _blocks(low, w[..., outputs - rest:], outputs - rest)
        outputs -= rest
    rows = w[..., :outputs].reshape(kernel, kernel * inputs, outputs)
    sums = -(-outputs // arch.cols)
    rows = _padded(rows, (kernel, -(-kernel * inputs // arch.rows) * arch.rows, sums * arch.cols))
    cut = rows.reshape(kernel, -1, arch.rows, sums, arch.cols).transpose(3, 0, 1, 2, 4)
    tiles += list(cut.reshape(-1, arch.rows, arch.cols))
    low.multiply(kernel=kernel, c_count=cut.shape[2], c_stride=arch.rows, n_count=sums,
                 k_less=arch.rows - 1, k_last_less=(kernel * inputs - 1) % arch.rows,
                 n_less=arch.cols - 1, n_last_less=(outputs - 1) % arch.cols)
    for first in range(0, outputs, arch.cols):
        count = min(arch.cols, outputs - first)
        low.activate(low.records(slice(first, first + count)), count, low.output + first, low.output + size,
                     w.shape[3], x.shape[1] * w.shape[3])
    return low.layer(np.array(tiles), x.shape[0] * x.shape[1] * w.size)


def _padded(array, shape):
    return np.pad(array, [(0, new - old) for old, new in zip(array.shape, shape, strict=True)])


def _blocks(low, w, first):
    """The last channels, 2 x 2 pixels at a time; returns the tiles, which come before all others."""
    arch, (kernel, _, inputs, rest) = low.config.matrix.arch, w.shape
    spread = np.zeros((kernel + 1, kernel + 1, inputs, 2, 2, rest), np.int8)
    for dy in range(2):
        for dx in range(2):
            spread[dy:dy + kernel, dx:dx + kernel, :, dy, dx] = w
    rows = spread.reshape(kernel + 1, (kernel + 1) * inputs, 4 * rest)
    rows = _padded(rows, (kernel + 1, -(-rows.shape[1] // arch.rows) * arch.rows, arch.cols))
    low.multiply(step=2, kernel=kernel + 1, c_count=rows.shape[1] // arch.rows, c_stride=arch.rows,
                 k_less=arch.rows - 1, k_last_less=((kernel + 1) * inputs - 1) % arch.rows,
                 n_less=4 * rest - 1, n_last_less=4 * rest - 1)
    halves = low.height // 2, low.width // 2
    scratch = low.buffer.take(halves[0] * halves[1] * 4 * rest)
    scratch_end = scratch + halves[0] * halves[1] * 4 * rest
    low.activate(low.records(list(range(first, first + rest)) * 4), 4 * rest, scratch, scratch_end,
                 4 * rest, halves[1] * 4 * rest, step=2)
    identity = low.load(records(**_IDENTITY))
    size = low.height * low.width * low.channels
    for pixel in range(4):
        target = (pixel // 2 * low.width + pixel % 2) * low.channels + first
        low.activation.append(operation(
            "pool", base=low.output + target, size=size - target, from_base=scratch, from_size=scratch_end - scratch,
            start=scratch + pixel * rest, x_count=halves[1], y_count=halves[0], channels=rest,
            x_stride=2 * low.channels, y_stride=2 * low.width * low.channels, from_x_stride=4 * rest,
            from_y_stride=halves[1] * 4 * rest, parameters=identity))
    return list(rows.reshape(-1, arch.rows, arch.cols))


def depthwise(config, x, w, *, bias, multiplier, shift, padding=0):
    """A depthwise convolution: min(R, C) channels at a time on the diagonal of the array.

    Parameters
    ----------
    config : TpuConfig
    x : int8 array [height, width, channels]
        ``channels`` a multiple of min(R, C).
    w : int8 array [kernel, kernel, channels]
    bias, multiplier, shift, padding
        As for :func:`convolution`.

    Returns
    -------
    Layer
    """
    arch, (kernel, _, channels) = config.matrix.arch, w.shape
    width = min(arch.rows, arch.cols)
    low = _Lowering(config, x, kernel, channels, {"bias": bias, "multiplier": multiplier, "shift": shift}, padding)
    size = x.shape[0] * x.shape[1] * channels
    sums = channels // width
    diagonals = w.reshape(kernel * kernel, sums, width).transpose(1, 0, 2).reshape(-1, width)
    low.multiply(kx_count=kernel, kx_stride=channels, n_count=sums, n_stride=width, n_less=width - 1,
                 n_last_less=width - 1)
    for first in range(0, channels, width):
        low.activate(low.records(slice(first, first + width)), width, low.output + first, low.output + size, channels,
                     x.shape[1] * channels)
    return low.layer(_padded(diagonals, (len(diagonals), arch.cols)), x.shape[0] * x.shape[1] * w.size,
                     diagonal=True)
