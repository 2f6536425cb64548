"""Convolutions and dense layers."""

import dataclasses

import numpy as np
import numpy.typing as npt

from ...tpu_config import TpuConfig
from ..builder import Builder, Tiles
from ..errors import CompileError
from ..layout import Layout, cut_tiles
from ..quantise import Requantisation, identity
from ..spaces import Region
from ..tensors import Tensor
from .products import Windows, activate, product, stripes

__all__ = ["Blocks", "Convolution", "border", "convolution", "dense"]

Int8Array = npt.NDArray[np.int8]


def border(kernel: int) -> tuple[int, int]:
    """Pixels of padding left and right of a map, for a convolution of that kernel with as many outputs as inputs."""
    return (kernel - 1) // 2, kernel // 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Convolution:
    """A convolution, or with a kernel of one pixel a dense layer; see :func:`convolution`.

    Parameters
    ----------
    windows : Windows
    inputs, outputs : int
        Channels.
    tiles : Tiles
        Those of ``blocks``, then all others.
    parameters : Region
        A record per output, in the buffer.
    fields : dict of str to int
        ``zero_point``, ``low``, ``high``.
    padding : int
    bordered : bool
        Whether tiles are for maps with a border.
    blocks : Blocks or None
        How the last outputs are computed, if not like the others.
    """

    windows: Windows
    inputs: int
    outputs: int
    tiles: Tiles
    parameters: Region
    fields: dict[str, int]
    padding: int = 0
    bordered: bool = True
    blocks: "Blocks | None" = None

    def layout(self, x: Tensor) -> Layout:
        """Of the output for that input."""
        return self.windows.layout(x, self.outputs)

    def __call__(self, builder: Builder, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Emit it; in parts of so many rows as there are accumulators for.

        Parameters
        ----------
        builder : Builder
        x : Tensor
        out : Tensor or None
            ``None`` for a new one. It has as many pixels as there are windows.

        Returns
        -------
        Tensor
            The output.

        Raises
        ------
        CompileError
            If the input is not what it is made for.
        """
        out = builder.tensor(self.layout(x)) if out is None else out
        self._check(x, out)
        for rows in stripes(builder, out, 2 if self.blocks else 1):
            self._part(builder, x, out, rows)
        builder.macs += out.height * out.width * self.windows.kernel**2 * self.inputs * self.outputs
        return out

    def _check(self, x: Tensor, out: Tensor) -> None:
        layout, before, behind = x.layout, self.windows.before, self.windows.behind(x, out.width)
        if (x.channels, out.channels) != (self.inputs, self.outputs):
            raise CompileError(f"x and out must have {self.inputs} and {self.outputs} channels, not {x.channels} and "
                               f"{out.channels}")
        if self.bordered and self.windows.kernel > 1 and (
                layout.x_stride != self.inputs or layout.left < before or layout.right < behind):
            raise CompileError(f"x must have a border of {before} and {behind} pixels and no gaps, not of "
                               f"{layout.left} and {layout.right} and gaps of {layout.x_stride - self.inputs} bytes")
        if self.blocks and (out.height % 2 or out.width % 2):
            raise CompileError(f"out must be even in height and width, not {out.height} x {out.width}")

    def _part(self, builder: Builder, x: Tensor, out: Tensor, rows: tuple[int, int]) -> None:
        builder.read_weights(self.tiles)
        first, count = rows
        outputs = self.outputs - (self.blocks.outputs if self.blocks else 0)
        if self.blocks:
            self.blocks.product(builder, self, x, rows, out.width)
        if outputs:
            fields, depth = self.windows.fields(x, first, count, out.width), self.inputs
            if self.bordered:
                depth *= self.windows.kernel
            else:
                fields |= self.windows.padded_in_x(x)
            product(builder, fields, depth, outputs, self.padding)
        if self.blocks:
            self.blocks.activate(builder, out.slice(outputs, self.blocks.outputs), rows, self.fields)
        if outputs:
            activate(builder, out.slice(0, outputs), rows, self.parameters, self.fields,
                     builder.config.matrix.arch.cols)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocks:
    """The last output channels, 2 x 2 output pixels at once: by a kernel one larger either way, at a stride of two.

    Parameters
    ----------
    outputs : int
    parameters : Region
        A record for each channel of each pixel.
    identity : Region
        The record that changes nothing.
    """

    outputs: int
    parameters: Region
    identity: Region

    def product(self, builder: Builder, layer: Convolution, x: Tensor, rows: tuple[int, int], width: int) -> None:
        """Emit the product."""
        windows = Windows(kernel=layer.windows.kernel + 1, step=2, before=layer.windows.before)
        fields = windows.fields(x, rows[0] // 2, rows[1] // 2, width // 2)
        product(builder, fields, windows.kernel * layer.inputs, 4 * self.outputs, layer.padding)

    def activate(self, builder: Builder, out: Tensor, rows: tuple[int, int], fields: dict[str, int]) -> None:
        """Emit what brings sums into a tensor of blocks, and from there each pixel of a block to its place."""
        blocks = builder.tensor(Layout.of(rows[1] // 2, out.width // 2, 4 * self.outputs))
        activate(builder, blocks, (0, blocks.height), self.parameters, fields, builder.config.matrix.arch.cols)
        here, there = out.layout, blocks.layout
        for pixel in range(4):
            y, x = divmod(pixel, 2)
            builder.emit("pool", base=out.start + (rows[0] + y) * here.y_stride + x * here.x_stride,
                         start=blocks.start + pixel * self.outputs, x_count=blocks.width, y_count=blocks.height,
                         channels=self.outputs, x_stride=2 * here.x_stride, y_stride=2 * here.y_stride,
                         from_x_stride=there.x_stride, from_y_stride=there.y_stride, parameters=self.identity.base)
        builder.free(blocks)


def convolution(builder: Builder, w: Int8Array, scale: Requantisation, *, step: int = 1, before: int | None = None,
                padding: int = 0, bordered: bool = True, even: bool = False) -> Convolution:
    """A convolution.

    Output channels beyond a multiple of C, if they are few, would leave most columns idle. With ``even`` they are
    computed for 2 x 2 output pixels at once.

    Parameters
    ----------
    builder : Builder
    w : int8 array [kernel, kernel, inputs, outputs]
    scale : Requantisation
        Of each output.
    step : int
        Pixels from one window to the next.
    before : int or None
        Pixels of padding before the map with which the first window begins; ``None`` for (kernel - 1) // 2.
    padding : int
        Value of pixels outside the map: its zero point.
    bordered : bool
        Whether the map has a border, see :func:`border`. Then fewer rows of the array are idle, if the channels are no
        multiple of R.
    even : bool
        Whether height and width of the output will be even.

    Returns
    -------
    Convolution

    Raises
    ------
    CompileError
        If the kernel is not square, or there are not as many scales as outputs.
    """
    if w.ndim != 4 or w.shape[0] != w.shape[1]:
        raise CompileError(f"w must be [kernel, kernel, inputs, outputs], not {list(w.shape)}")
    config, (kernel, _, inputs, outputs) = builder.config, w.shape
    rest = outputs % config.matrix.arch.cols
    if not (even and bordered and step == 1 and 4 * rest <= config.matrix.arch.cols):
        rest = 0
    main, last = w[..., :outputs - rest], w[..., outputs - rest:]
    parameters = builder.parameters(scale.records(range(outputs)))
    blocks = _blocks(builder, scale, outputs, rest) if rest else None
    steps = (kernel, kernel * inputs) if bordered else (kernel * kernel, inputs)
    tiles = [_block_tiles(config, last)] if rest else []
    tiles += [cut_tiles(config, main.reshape(*steps, -1))] if rest < outputs else []
    windows = Windows(kernel=kernel, step=step, before=(kernel - 1) // 2 if before is None else before)
    return Convolution(windows=windows, inputs=inputs, outputs=outputs, padding=padding, bordered=bordered,
                       tiles=builder.tiles(np.concatenate(tiles)), parameters=parameters, fields=scale.fields,
                       blocks=blocks)


def _blocks(builder: Builder, scale: Requantisation, outputs: int, rest: int) -> Blocks:
    every = list(range(outputs - rest, outputs)) * 4
    return Blocks(outputs=rest, parameters=builder.parameters(scale.records(every)),
                  identity=builder.parameters(identity().records()))


def _block_tiles(config: TpuConfig, w: Int8Array) -> Int8Array:
    """Tiles of the kernel that makes 2 x 2 pixels: the kernel itself at each of its four places."""
    kernel, _, inputs, outputs = w.shape
    spread = np.zeros((kernel + 1, kernel + 1, inputs, 2, 2, outputs), np.int8)
    for dy in range(2):
        for dx in range(2):
            spread[dy:dy + kernel, dx:dx + kernel, :, dy, dx] = w
    return cut_tiles(config, spread.reshape(kernel + 1, (kernel + 1) * inputs, 4 * outputs))


def dense(builder: Builder, w: Int8Array, scale: Requantisation) -> Convolution:
    """A dense layer: every pixel of a map is a vector of inputs.

    Parameters
    ----------
    builder : Builder
    w : int8 array [inputs, outputs]
    scale : Requantisation
        Of each output.

    Returns
    -------
    Convolution
    """
    return convolution(builder, w[None, None], scale)
