"""The int8 network on a whole TPU: one program for all images, from one doorbell to one interrupt.

A batch of images is brought into the unified buffer while the one before it is multiplied, and its logits go back to
memory while the next is; the program only lists the steps.
"""

import dataclasses

import numpy as np

from systolic import isa
from systolic.isa import RECORD_BYTES, operation
from systolic_sim.emulator import pack_tiles, records

__all__ = ["Job", "job"]

_LINE = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """A program, the memory it runs in and where its results are.

    Attributes
    ----------
    memory : uint8 array
        Program, images, weights, parameters, and room for the logits.
    length : int
        Instructions; the first is at address 0.
    macs : int
        Multiply-accumulates, without those of tiles' padding.
    """

    memory: np.ndarray
    length: int
    macs: int
    _logits: tuple

    def logits(self, memory):
        """int8 [M, N], from a memory in which the program has run."""
        address, count, stride, width = self._logits
        return memory[address:address + count * stride].view(np.int8).reshape(count, stride)[:, :width]


class _Space:
    """Addresses of a memory, given away from the bottom up."""

    def __init__(self, alignment, first=0):
        self._alignment, self._next = alignment, first

    def take(self, size):
        address = -(-self._next // self._alignment) * self._alignment
        self._next = address + size
        return address

    @property
    def size(self):
        return self._next


class _Lowering:
    """Layers to instructions, and what these find in memory."""

    def __init__(self, config, network, images):
        self.config, self.network, self.count = config, network, len(images)
        self.buffer, self.operations, self.contents = _Space(config.banks), [], {}
        widths = [network.layers[0].weights.shape[0], *(layer.weights.shape[1] for layer in network.layers)]
        self.strides = [-(-width // config.bus_bytes) * config.bus_bytes for width in widths]
        self.widths = widths
        self.batch = batch = self._fitting()
        # Of inputs and outputs two each take turns, so that the next batch need not wait for the one before it.
        self.activations = [[self._room(stride) for _ in range(2)] for stride in self.strides]
        batches = -(-self.count // batch)
        instructions = len(network.layers) + 1 + batches * (2 + sum(
            2 + self._sums(layer) for layer in network.layers))
        self.memory = _Space(_LINE, instructions * isa.BYTES)
        padded = np.pad(images, [(0, 0), (0, self.strides[0] - widths[0])])
        self.images = self.put(padded.tobytes())
        self.logits = self.memory.take(self.count * self.strides[-1])
        self.weights, self.parameters = zip(*map(self._layer, network.layers), strict=True)
        for first in range(0, self.count, batch):
            self._batch(first, min(batch, self.count - first), first // batch % 2)
        self.operations.append(operation("halt"))

    def _fitting(self):
        """Images in a batch: as many as buffer and accumulators have room for, then all batches of a size."""
        arch = self.config.matrix.arch
        regions = 2 * len(self.strides) + len(self.network.layers)
        rest = (self.config.buffer_size - RECORD_BYTES * sum(self.widths[1:])
                - regions * (arch.rows + self.config.banks))
        most = min(arch.accumulator_depth, rest // (2 * sum(self.strides)))
        if most < 1:
            raise ValueError(f"buffer_size must have room for two images and the parameters, not "
                             f"{self.config.buffer_size}")
        return -(-self.count // -(-self.count // most))

    def _room(self, stride):
        """A buffer region for a batch; the last row may be read in whole pieces of R."""
        size = self.batch * stride + self.config.matrix.arch.rows
        return self.buffer.take(size), size

    def _sums(self, layer):
        return -(-layer.weights.shape[1] // self.config.matrix.arch.cols)

    def put(self, content):
        """The memory address of these bytes."""
        address = self.memory.take(len(content))
        self.contents[address] = content
        return address

    def _layer(self, layer):
        """Memory region of the weights, as tiles; buffer region of the parameter records, which are loaded there."""
        arch = self.config.matrix.arch
        depth, width = layer.weights.shape
        whole = np.pad(layer.weights, [(0, -depth % arch.rows), (0, -width % arch.cols)])
        tiles = whole.reshape(-1, arch.rows, self._sums(layer), arch.cols).transpose(2, 0, 1, 3)
        weights = pack_tiles(self.config, tiles.reshape(-1, arch.rows, arch.cols))
        table = records(layer.bias, layer.multiplier, layer.shift)
        target = self.buffer.take(len(table))
        self._load(self.put(table), target, 1, len(table))
        return (self.put(weights), len(weights), tiles.shape[0] * tiles.shape[1]), target

    def _load(self, memory, base, rows, row_bytes):
        self.operations.append(operation(
            "read_host_memory", memory=memory, memory_size=rows * row_bytes, base=base, size=rows * row_bytes,
            row_count=rows, row_bytes=row_bytes, memory_stride=row_bytes, stride=row_bytes))

    def _batch(self, first, count, turn):
        self._load(self.images + first * self.strides[0], self.activations[0][turn][0], count, self.strides[0])
        for number, layer in enumerate(self.network.layers):
            self._product(number, layer, count, turn)
        stride, (base, _) = self.strides[-1], self.activations[-1][turn]
        self.operations.append(operation(
            "write_host_memory", memory=self.logits + first * stride, memory_size=count * stride, base=base,
            size=count * stride, row_count=count, row_bytes=stride, memory_stride=stride, stride=stride))

    def _product(self, number, layer, count, turn):
        """One layer of a batch: a sum of tiles for each C outputs, requantised as it comes."""
        arch, (depth, width) = self.config.matrix.arch, layer.weights.shape
        memory, size, tiles = self.weights[number]
        (source, source_size), (target, _) = (self.activations[which][turn] for which in (number, number + 1))
        sums, stride = self._sums(layer), self.strides[number + 1]
        self.operations += [
            operation("read_weights", memory=memory, memory_size=size, tile_count=tiles),
            operation("matrix_multiply", finish=1, base=source, size=source_size, start=source, x_count=count,
                      c_count=tiles // sums, n_count=sums, x_stride=self.strides[number], c_stride=arch.rows,
                      k_less=arch.rows - 1, k_last_less=(depth - 1) % arch.rows, n_less=arch.cols - 1,
                      n_last_less=(width - 1) % arch.cols)]
        for column in range(0, width, arch.cols):
            channels = min(arch.cols, width - column)
            self.operations.append(operation(
                "activate", per_channel=1, zero_point=layer.zero_point, low=layer.low, base=target + column,
                size=count * stride - column, x_count=count, channels=channels, x_stride=stride,
                parameters=self.parameters[number] + column * RECORD_BYTES, parameters_size=channels * RECORD_BYTES))


def job(config, network, pixels):
    """A network's program for images.

    Parameters
    ----------
    config : TpuConfig
    network : Int8Network
    pixels : uint8 array [M, 784]

    Returns
    -------
    Job

    Raises
    ------
    ValueError
        If the unified buffer has no room for a batch of one and the one after it.
    """
    low = _Lowering(config, network, network.inputs(pixels))
    memory = np.zeros(-(-low.memory.size // _LINE) * _LINE, np.uint8)
    for address, content in {0: isa.encode(low.operations), **low.contents}.items():
        memory[address:address + len(content)] = np.frombuffer(content, np.uint8)
    macs = len(pixels) * sum(layer.weights.size for layer in network.layers)
    return Job(memory, len(low.operations), macs, (low.logits, low.count, low.strides[-1], low.widths[-1]))
