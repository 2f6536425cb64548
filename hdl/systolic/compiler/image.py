"""What a builder makes: programs, and the memory they run in."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from ..isa import BYTES, Operation
from .errors import CompileError
from .layout import Layout
from .spaces import Region

__all__ = ["Image", "Program", "Variable"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variable:
    """A feature map in memory: an input or an output.

    Parameters
    ----------
    address : int
        Its first byte, border included.
    layout : Layout
    fill : int
        int8 value of border and gaps.
    """

    address: int
    layout: Layout
    fill: int = 0

    @property
    def region(self) -> Region:
        """All of its bytes."""
        return Region(self.address, self.layout.size)

    def part(self, first: int, count: int) -> "Variable":
        """``count`` pixels of a map of one row, from pixel ``first`` on.

        Raises
        ------
        CompileError
            If there are no such pixels, or several rows.
        """
        if self.layout.height != 1 or not 0 <= first < first + count <= self.layout.width:
            raise CompileError(f"a part must be of one row of {self.layout.width} pixels, not pixels {first} to "
                               f"{first + count - 1} of {self.layout.height} rows")
        return dataclasses.replace(self, address=self.address + first * self.layout.x_stride,
                                   layout=self.layout.part(width=count))

    def pack(self, values: npt.ArrayLike) -> bytes:
        """Bytes from ``address`` on of int8 values."""
        return self.layout.pack(values, self.fill)

    def unpack(self, code: bytes) -> npt.NDArray[np.int8]:
        """int8 array [height, width, channels] of the bytes from ``address`` on."""
        return self.layout.unpack(code)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """What one doorbell runs.

    Parameters
    ----------
    address : int
        Of its first instruction.
    operations : tuple of Operation
    """

    address: int
    operations: tuple[Operation, ...]

    @property
    def length(self) -> int:
        """Instructions."""
        return len(self.operations)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Image:
    """Programs and all that they find in memory.

    Parameters
    ----------
    base : int
        First byte in memory: a multiple of 64.
    content : uint8 array
        What has to be in memory from there on: code, constants, inputs whose values were given; zeros elsewhere.
        A multiple of 64 bytes.
    programs : tuple of Program
        To be run one after the other; buffer and memory are left from one to the next.
    inputs, outputs : dict of str to Variable
    macs : int
        Multiply-accumulates of all layers, without those of padded tiles.
    """

    base: int
    content: npt.NDArray[np.uint8]
    programs: tuple[Program, ...]
    inputs: Mapping[str, Variable]
    outputs: Mapping[str, Variable]
    macs: int

    @property
    def end(self) -> int:
        """First byte of memory behind it."""
        return self.base + self.content.size

    @property
    def length(self) -> int:
        """Bytes of code."""
        return BYTES * sum(program.length for program in self.programs)

    def memory(self, /, **inputs: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """A memory from address 0 on, as a model wants it, with the image and these values of inputs in it."""
        memory = np.zeros(self.end, np.uint8)
        memory[self.base:] = self.content
        for name, values in inputs.items():
            variable = named("input", self.inputs, name)
            code = variable.pack(values)
            memory[variable.address:variable.region.end] = np.frombuffer(code, np.uint8)
        return memory

    def output(self, memory: npt.NDArray[np.uint8], name: str | None = None) -> npt.NDArray[np.int8]:
        """int8 array [height, width, channels] of an output, from a memory; the name is optional if there is one."""
        variable = named("output", self.outputs, name)
        return variable.unpack(memory[variable.address:variable.region.end].tobytes())


def named(kind: str, variables: Mapping[str, Variable], name: str | None) -> Variable:
    """The variable of that name, or the only one.

    Raises
    ------
    CompileError
        If there is none, or several and no name.
    """
    if name is None and len(variables) == 1:
        return next(iter(variables.values()))
    if name is None or name not in variables:
        raise CompileError(f"{kind} must be one of {', '.join(variables)}, not {name}")
    return variables[name]
