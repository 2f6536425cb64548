"""The six workloads of the TPU paper's Table 1, as programs for a TPU of ours.

The paper (Jouppi et al., In-Datacenter Performance Analysis of a Tensor Processing Unit, ISCA 2017) gives layer counts,
weights, batch and operations per weight byte, not shapes. Here are shapes that fit those numbers; each says where it
had a choice. Activations stay in the unified buffer; weights come from memory, tile after tile, as in the paper.
"""

import dataclasses

from systolic.isa import RECORD_BYTES, operation

__all__ = ["WORKLOADS", "Workload"]


@dataclasses.dataclass(frozen=True)
class Workload:
    """A network.

    Attributes
    ----------
    name, shapes : str
        The paper's name; the layers we gave it.
    layers : tuple
        :class:`Dense`, :class:`Conv`, :class:`Vector` and :class:`Pool`, in order.
    batch : int
    paper : dict of str to float
        Table 3: percent of cycles ``active``, ``weight_stall``, ``weight_shift``, ``non_matrix``, percent of peak
        ``useful``, and ``tops``.
    """

    name: str
    shapes: str
    layers: tuple
    batch: int
    paper: dict

    @property
    def weights(self):
        """Bytes of weights, without the filling of tiles."""
        return sum(layer.weights for layer in self.layers)

    @property
    def macs(self):
        """Multiply-accumulates for the whole batch."""
        return sum(layer.macs(self.batch) for layer in self.layers)

    def program(self, config):
        """The network for a machine: a list of Operation."""
        return _Program(config, self).operations


@dataclasses.dataclass(frozen=True)
class Dense:
    """A fully connected layer."""

    inputs: int
    outputs: int

    @property
    def weights(self):
        return self.inputs * self.outputs

    def macs(self, batch):
        """Multiply-accumulates for a batch."""
        return self.weights * batch

    def emit(self, program):
        """Add it to a program."""
        program.product(self.inputs, self.outputs, (1, self.inputs, 1), program.batch, 1)


@dataclasses.dataclass(frozen=True)
class Conv:
    """A convolution at stride 1 of ``size`` x ``size`` pixels.

    Images of a batch lie below each other with a border between that serves both, so that one product spans several.
    """

    size: int
    kernel: int
    inputs: int
    outputs: int

    @property
    def weights(self):
        return self.kernel**2 * self.inputs * self.outputs

    def macs(self, batch):
        """Multiply-accumulates for a batch."""
        return self.weights * self.size**2 * batch

    def emit(self, program):
        """Add it to a program, in as many pieces as the accumulators ask for."""
        height = self.size + (self.kernel - 1) // 2
        images = min(program.batch, program.config.matrix.arch.accumulator_depth // (self.size * height))
        left = program.batch
        while left:
            now = min(images, left)
            program.product(self.kernel * self.inputs, self.outputs, (self.kernel, self.inputs, self.size),
                            self.size, height * now)
            left -= now


@dataclasses.dataclass(frozen=True)
class Vector:
    """An elementwise layer: as many elements as two inputs have each."""

    width: int
    weights = 0

    def macs(self, batch):
        """None."""
        return 0

    def emit(self, program):
        """Add it to a program."""
        program.vector(self.width)


@dataclasses.dataclass(frozen=True)
class Pool:
    """Pooling, 2 x 2."""

    size: int
    channels: int
    weights = 0

    def macs(self, batch):
        """None."""
        return 0

    def emit(self, program):
        """Add it to a program."""
        program.pool(self.size, self.channels)


class _Program:
    """Puts layers one behind the other; each reads what the one before it wrote."""

    def __init__(self, config, workload):
        self.config, self.batch = config, workload.batch
        self.arch = config.matrix.arch
        self.operations, self._memory, self._half = [], 0, 0
        self._records = config.buffer_size - 4096 * RECORD_BYTES
        self._size = self._records // 2
        for layer in workload.layers:
            layer.emit(self)
        self.operations.append(operation("halt"))

    def _regions(self):
        """Input and output region: the halves of the buffer take turns."""
        source, target = self._half * self._size, (1 - self._half) * self._size
        self._half = 1 - self._half
        return source, target

    def product(self, depth, outputs, window, x_count, y_count):
        """Weights, product, and an activate for each C outputs. ``window``: kernel rows, channels, pixels across."""
        rows, cols = self.arch.rows, self.arch.cols
        kernel, channels, across = window
        pieces, sums = -(-depth // rows), -(-outputs // cols)
        tiles = kernel * pieces * sums
        size = tiles * self.config.tile_bytes()
        self.operations.append(operation("read_weights", memory=self._memory, memory_size=size, tile_count=tiles))
        self._memory += size
        source, target = self._regions()
        row = channels * (across + kernel - 1) if across > 1 else 0
        self.operations.append(operation(
            "matrix_multiply", finish=1, base=source, size=self._size, start=source, x_count=x_count, y_count=y_count,
            c_count=pieces, ky_count=kernel, n_count=sums, x_stride=channels, y_stride=row, c_stride=rows,
            ky_stride=row, k_less=rows - 1, k_last_less=(depth - 1) % rows, n_less=cols - 1,
            n_last_less=(outputs - 1) % cols))
        for number in range(sums):
            count = min(cols, outputs - number * cols)
            self.operations.append(operation(
                "activate", base=target + number * cols, size=self._size - number * cols, x_count=x_count,
                y_count=y_count, channels=count, x_stride=outputs, y_stride=outputs * x_count, per_channel=1,
                parameters=self._records, parameters_size=count * RECORD_BYTES))

    def vector(self, width):
        """An elementwise operation on the output so far."""
        source, target = self._regions()
        half = self._size // 2
        self.operations.append(operation(
            "add", base=target, size=half, from_base=source, from_size=half, other_base=source + half,
            other_size=half, x_count=self.batch, channels=width, x_stride=width, from_x_stride=width,
            other_x_stride=width, parameters=self._records))

    def pool(self, size, channels):
        """Pooling of every image."""
        source, target = self._regions()
        self.operations.append(operation(
            "pool", base=target, size=self._size, from_base=source, from_size=self._size, start=source, maximum=1,
            x_count=size // 2, y_count=size // 2 * self.batch, channels=channels, kx_count=2, ky_count=2,
            x_stride=channels, y_stride=size // 2 * channels, from_x_stride=2 * channels,
            from_y_stride=2 * size * channels, kx_stride=channels, ky_stride=size * channels,
            parameters=self._records))


def _lstm(dense, vectors, width):
    """``dense`` products with ``vectors`` elementwise layers spread between them."""
    layers = []
    for number in range(dense):
        layers.append(Dense(width, width))
        layers += [Vector(width)] * ((number + 1) * vectors // dense - number * vectors // dense)
    return tuple(layers)


def _paper(*values):
    return dict(zip(("active", "useful", "weight_stall", "weight_shift", "non_matrix", "tops"), values, strict=True))


WORKLOADS = (
    Workload("MLP0", "5 x 2000 x 2000", (Dense(2000, 2000),) * 5, 200, _paper(12.7, 12.5, 53.9, 15.9, 17.5, 12.3)),
    Workload("MLP1", "4 layers, 1250 and 1000 by turns", (Dense(1250, 1000), Dense(1000, 1250)) * 2, 168,
             _paper(10.6, 9.4, 44.2, 13.4, 31.9, 9.7)),
    Workload("LSTM0", "24 x 1472 x 1472, 34 vector steps of 1472", _lstm(24, 34, 1472), 64,
             _paper(8.2, 8.2, 58.1, 15.8, 17.9, 3.7)),
    Workload("LSTM1", "37 x 960 x 960, 19 vector steps of 960", _lstm(37, 19, 960), 96,
             _paper(10.5, 6.3, 62.1, 17.1, 10.3, 2.8)),
    Workload("CNN0", "19 x 19 pixels: 13 of 3 x 3 x 256 x 256, 3 of 1 x 1 x 256 x 256",
             (Conv(19, 3, 256, 256),) * 13 + (Conv(19, 1, 256, 256),) * 3, 8,
             _paper(78.2, 78.2, 0.0, 0.0, 21.8, 86.0)),
    Workload("CNN1",
             "36 of 15 x 15 pixels, 3 x 3 x 160 x 160; 36 of 8 x 8, 3 x 3 x 416 x 416; 13 poolings; 4 x 3000 x 3000",
             (Conv(15, 3, 160, 160),) * 36 + (Pool(15, 160),) * 7 + (Conv(8, 3, 416, 416),) * 36 + (Pool(8, 416),) * 6
             + (Dense(3000, 3000),) * 4, 32, _paper(46.2, 22.5, 28.1, 7.0, 18.7, 14.1)),
)
