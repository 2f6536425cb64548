"""The six workloads of the TPU paper's Table 1, as programs for a TPU of ours.

The paper (Jouppi et al., In-Datacenter Performance Analysis of a Tensor Processing Unit, ISCA 2017) gives layer counts,
weights, batch and operations per weight byte, not shapes. Here are shapes that fit those numbers; each says where it
had a choice. Activations stay in the unified buffer; weights come from memory, tile after tile, as in the paper.
"""

import dataclasses

from systolic.compiler.builder import Builder
from systolic.compiler.layers import Add, Convolution, Pool, Windows, border
from systolic.compiler.layout import Layout
from systolic.compiler.spaces import Region
from systolic.compiler.tensors import Tensor
from systolic.isa import RECORD_BYTES

__all__ = ["WORKLOADS", "Workload"]


@dataclasses.dataclass(frozen=True)
class Workload:
    """A network.

    Attributes
    ----------
    name, shapes : str
        The paper's name; the layers we gave it.
    layers : tuple
        :class:`Dense`, :class:`Conv`, :class:`Vector` and :class:`Pooling`, in order.
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
        program.convolution(1, self.inputs, self.outputs, 1, program.batch)


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
        height = (self.size + (self.kernel - 1) // 2) * program.batch
        program.convolution(self.kernel, self.inputs, self.outputs, height, self.size)


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
class Pooling:
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
    """Puts layers one behind the other; each reads what the one before it wrote, whatever shape that had.

    The halves of the buffer take turns as input and output. Weights and parameter records have no values: who asks for
    a number of cycles needs none.
    """

    def __init__(self, config, workload):
        self.config, self.batch = config, workload.batch
        self._builder, self._half = Builder(config), 0
        records = 4096 * RECORD_BYTES
        self._size = (config.buffer_size - records) // 2
        self._records = Region(config.buffer_size - records, records)
        for layer in workload.layers:
            layer.emit(self)
        self._builder.emit("halt")
        self.operations = self._builder.operations

    def _maps(self, x, y):
        """Input and output of these layouts."""
        source, target = self._half * self._size, (1 - self._half) * self._size
        self._half = 1 - self._half
        return Tensor(source, x), Tensor(target, y)

    def convolution(self, kernel, inputs, outputs, height, width):
        """Weights, product and activations."""
        arch = self.config.matrix.arch
        tiles = kernel * -(-kernel * inputs // arch.rows) * -(-outputs // arch.cols)
        layer = Convolution(windows=Windows(kernel=kernel, before=(kernel - 1) // 2), inputs=inputs, outputs=outputs,
                            tiles=self._builder.reserve_tiles(tiles), parameters=self._records, fields={})
        layer(self._builder, *self._maps(Layout.of(height, width, inputs, border=border(kernel)),
                                         Layout.of(height, width, outputs)))

    def vector(self, width):
        """An elementwise operation on the output so far."""
        layout = Layout.of(1, self.batch, width)
        first, out = self._maps(layout, layout)
        second = Tensor(first.base + self._size // 2, layout)
        Add(parameters=self._records, fields={})(self._builder, first, second, out)

    def pool(self, size, channels):
        """Pooling of every image."""
        x, out = self._maps(Layout.of(size * self.batch, size, channels),
                            Layout.of(size // 2 * self.batch, size // 2, channels))
        Pool(kernel=2, step=2, maximum=True, parameters=self._records, fields={})(self._builder, x, out)


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
             (Conv(15, 3, 160, 160),) * 36 + (Pooling(15, 160),) * 7 + (Conv(8, 3, 416, 416),) * 36
             + (Pooling(8, 416),) * 6 + (Dense(3000, 3000),) * 4, 32, _paper(46.2, 22.5, 28.1, 7.0, 18.7, 14.1)),
)
