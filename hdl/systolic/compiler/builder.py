"""The one place where memory is allocated and instructions are made.

A :class:`Builder` knows a machine and grows a program for it. Layers ask it for tensors in the unified buffer and for
constants and variables in memory, and emit operations, of which it computes the regions and checks every field. At the
end, :meth:`Builder.image` says what has to be in memory::

    builder = Builder(config)
    image = builder.input("image", Layout.of(16, 16, 64, border=layers.border(3)))
    layer = layers.convolution(builder, w, scale)             # constants
    x = builder.load(image)
    y = layer(builder, x)                                     # instructions
    builder.store(y, builder.output("result", y.layout))
    builder.end()
    image = builder.image()

Instructions mean what they would mean if each ended before the next began, so a compiler may free a tensor as soon as
its last use is emitted, and give its bytes to another. What runs side by side is decided by the order of instructions
and by which bytes they share: two tensors that take turns (:meth:`Builder.turns`) are double buffering.
"""

import contextlib
import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from .. import isa
from ..tpu_config import TpuConfig
from .errors import CompileError
from .image import Image, Program, Variable
from .layout import Layout, pack_diagonals, pack_tiles
from .regions import complete
from .spaces import Region, Space
from .tensors import Tensor, Turns

__all__ = ["Builder", "PAGE", "Tiles"]

#: Data begin on a page, which no burst of AXI crosses: so how bursts are cut does not depend on where an image is.
PAGE = 4096

_MEMORY_SIZE = 1 << 32


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Weight tiles in memory.

    Parameters
    ----------
    region : Region
    count : int
    diagonal : bool
    """

    region: Region
    count: int
    diagonal: bool = False


class Builder:
    """Grows programs and the memory they run in.

    Parameters
    ----------
    config : TpuConfig

    Members
    -------
    memory, buffer : Space
        Memory, whose address 0 is where the image's data begin, and unified buffer.
    operations : list of Operation
        Of the program that is being built.
    macs : int
        Multiply-accumulates of the layers so far; layers add theirs.
    """

    def __init__(self, config: TpuConfig) -> None:
        self.config = config
        self.memory = Space("memory", size=_MEMORY_SIZE, alignment=isa.BYTES)
        self.buffer = Space("unified buffer", size=config.buffer_size, alignment=config.banks)
        self.operations: list[isa.Operation] = []
        self.macs = 0
        self._programs: list[list[isa.Operation]] = []
        self._contents: dict[int, bytes] = {}
        self._inputs: dict[str, Variable] = {}
        self._outputs: dict[str, Variable] = {}

    # Memory.

    def constant(self, content: bytes) -> Region:
        """Memory that has these bytes."""
        region = self.memory.take(len(content))
        self._contents[region.base] = content
        return region

    def input(self, name: str, layout: Layout, values: npt.ArrayLike | None = None, *, fill: int = 0) -> Variable:
        """A feature map in memory that a program reads; with values, those are in the image.

        Parameters
        ----------
        name : str
        layout : Layout
            It lies as it will lie in the buffer.
        values : int8 array or None
        fill : int
            int8 value of border and gaps.
        """
        variable = Variable(address=self._variable(name, layout), layout=layout, fill=fill)
        self._inputs[name] = variable
        if values is not None:
            self._contents[variable.address] = variable.pack(values)
        return variable

    @property
    def input_names(self) -> set[str]:
        """Names of the inputs so far."""
        return set(self._inputs)

    def output(self, name: str, layout: Layout) -> Variable:
        """A feature map in memory that a program writes."""
        variable = Variable(address=self._variable(name, layout), layout=layout)
        self._outputs[name] = variable
        return variable

    def _variable(self, name: str, layout: Layout) -> int:
        if name in self._inputs or name in self._outputs:
            raise CompileError(f"name must be another than those of the variables there are, not {name!r}")
        return self.memory.take(layout.size).base

    def tiles(self, tiles: npt.NDArray[np.int8], *, diagonal: bool = False) -> Tiles:
        """Memory that has these weight tiles: int8 [T, R, C], or [T, C] if they are diagonal."""
        pack = pack_diagonals if diagonal else pack_tiles
        return Tiles(self.constant(pack(self.config, tiles)), len(tiles), diagonal)

    def reserve_tiles(self, count: int, *, diagonal: bool = False) -> Tiles:
        """Memory for weight tiles that somebody else puts there, or whose values do not matter."""
        size = self.config.tile_bytes(diagonal=diagonal)
        return Tiles(self.memory.take(count * size), count, diagonal)

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """What is placed and emitted within is forgotten if a CompileError leaves it."""
        memory, contents, operations = self.memory.copy(), dict(self._contents), list(self.operations)
        try:
            yield
        except CompileError:
            self.memory, self._contents, self.operations = memory, contents, operations
            raise

    # Unified buffer.

    def tensor(self, layout: Layout) -> Tensor:
        """Buffer for a feature map.

        Behind it there are R more bytes, since the last row is read in whole pieces of R.
        """
        region = self.buffer.take(layout.size + self.config.matrix.arch.rows)
        return Tensor(region.base, layout, region)

    def turns(self, layout: Layout, count: int = 2) -> Turns:
        """Tensors that take turns."""
        return Turns([self.tensor(layout) for _ in range(count)])

    def free(self, tensor: Tensor) -> None:
        """Give a tensor's bytes back. Instructions after this may get them, and wait for those before.

        Raises
        ------
        CompileError
            If it is a part of another, or was given back before.
        """
        if tensor.region is None:
            raise CompileError("tensor must be one that was taken, not a part of one")
        self.buffer.free(tensor.region)

    def parameters(self, records: bytes) -> Region:
        """Buffer with these parameter records, which are brought there now."""
        return self.bring(self.constant(records))

    def bring(self, region: Region) -> Region:
        """Buffer with the bytes of a region of memory, which are copied there now."""
        here = self.buffer.take(region.size)
        self.emit("read_host_memory", memory=region.base, base=here.base, row_bytes=region.size)
        return here

    # Instructions.

    def emit(self, name: str, /, **fields: int) -> None:
        """Add an instruction: with its regions, unless they are given, and with defaults for other fields.

        Raises
        ------
        CompileError
            If the machine would stop at it: a field out of range, a region beyond the buffer, or an input that overlaps
            the output otherwise than in place.
        """
        complete_fields = complete(self.config, name, fields)
        operation = isa.operation(name, **complete_fields)
        self._check(operation)
        self.operations.append(operation)

    def _check(self, operation: isa.Operation) -> None:
        instruction, arch = operation.instruction, self.config.matrix.arch
        # What is wrong with a region's size is wrong with the fields that it follows from: those first.
        for field in sorted(instruction.fields, key=lambda field: field.name.endswith("size")):
            value, most = operation.values[field.name], isa.most(
                field, arch.rows, arch.cols, self.config.roundings, arch.taps)
            if not field.signed and not field.least <= value <= most:
                raise CompileError(f"{field.name} of {operation.name} must be from {field.least} to {most}, not "
                                   f"{value}")
            if field.aligned and value % self.config.bus_bytes:
                raise CompileError(f"{field.name} of {operation.name} must be a multiple of the bus's "
                                   f"{self.config.bus_bytes} bytes, not {value}")
        for region, in_place in zip(instruction.regions, isa.overlaps(operation), strict=True):
            size = region.size if isinstance(region.size, int) else operation.values[region.size]
            end = operation.values[region.base] + size
            if region.space == "buffer" and end > self.config.buffer_size:
                raise CompileError(f"{region.base} of {operation.name} must be such that its {size} bytes end within "
                                   f"the buffer's {self.config.buffer_size}, not {operation.values[region.base]}")
            if in_place is False:
                raise CompileError(f"{region.base} of {operation.name} must be the output's, with the same strides, or "
                                   f"its {size} bytes apart from it, not {operation.values[region.base]}")

    def load(self, variable: Variable, tensor: Tensor | None = None) -> Tensor:
        """Copy a variable into a tensor of the same layout, or into a new one; returns that."""
        tensor = self.tensor(variable.layout) if tensor is None else tensor
        self._copy("read_host_memory", variable, tensor)
        return tensor

    def store(self, tensor: Tensor, variable: Variable) -> None:
        """Copy a tensor into a variable of the same layout."""
        self._copy("write_host_memory", variable, tensor)

    def _copy(self, name: str, variable: Variable, tensor: Tensor) -> None:
        layout = tensor.layout
        if layout != variable.layout:
            raise CompileError(f"layout of a variable must be the tensor's, {layout}, not {variable.layout}")
        rows = {"row_count": 1, "row_bytes": layout.size}
        if layout.size > isa.most(isa.operation(name).instruction.field("row_bytes"), 1, 1):
            stride = layout.y_stride
            rows = {"row_count": layout.height, "row_bytes": stride, "memory_stride": stride, "stride": stride}
        self.emit(name, memory=variable.address, base=tensor.base, **rows)

    def read_weights(self, tiles: Tiles) -> None:
        """Stream tiles into the weight FIFO, for the products that follow."""
        self.emit("read_weights", memory=tiles.region.base, tile_count=tiles.count, diagonal=int(tiles.diagonal))

    def end(self) -> None:
        """End the program with ``halt``. What is emitted next belongs to another, which finds buffer and memory as this
        one leaves them."""
        self.emit("halt")
        self._programs.append(self.operations)
        self.operations = []

    # The result.

    def image(self, base: int = 0) -> Image:
        """Programs and memory, from an address on: code first, data from the next multiple of ``PAGE`` on.

        Parameters
        ----------
        base : int
            A multiple of 64.

        Raises
        ------
        CompileError
            If the base is none, there is no room above it, or the last program has no end.
        """
        if base % isa.BYTES or base < 0:
            raise CompileError(f"base must be a multiple of {isa.BYTES} from 0 on, not {base}")
        if self.operations or not self._programs:
            raise CompileError(f"a program must end with end(), not with {self._last()}")
        code = isa.BYTES * sum(map(len, self._programs))
        data = -(-(base + code) // PAGE) * PAGE
        end = -(-(data + self.memory.peak) // isa.BYTES) * isa.BYTES
        if end > _MEMORY_SIZE:
            raise CompileError(f"base must be such that {end - base} bytes lie below 2**32, not {base:#x}")
        programs = self._located(base, data)
        content = np.zeros(end - base, np.uint8)
        pieces = {program.address: isa.encode(program.operations) for program in programs}
        for address, piece in (pieces | {data + at: piece for at, piece in self._contents.items()}).items():
            content[address - base:address - base + len(piece)] = np.frombuffer(piece, np.uint8)
        inputs, outputs = ({name: dataclasses.replace(each, address=data + each.address) for name, each in of.items()}
                           for of in (self._inputs, self._outputs))
        return Image(base=base, content=content, programs=programs, inputs=inputs, outputs=outputs, macs=self.macs)

    def _last(self) -> str:
        return self.operations[-1].name if self.operations else "nothing"

    def _located(self, base: int, data: int) -> tuple[Program, ...]:
        programs = []
        for operations in self._programs:
            here = tuple(_moved(each, data) for each in operations)
            programs.append(Program(address=base, operations=here))
            base += isa.BYTES * len(here)
        return tuple(programs)


def _moved(operation: isa.Operation, data: int) -> isa.Operation:
    """With its regions in memory that much further on."""
    values = dict(operation.values)
    for region in operation.instruction.regions:
        if region.space == "memory":
            values[region.base] += data
    return isa.Operation(operation.name, values)
