"""What the C driver reads of a program file: programs, variables and steps as tables of 32-bit words, little-endian.

::

    header      magic "TPUP", version, SHAPE, base and bytes of the content, its array's number, then the sizes of the
                tables: programs, variables, steps, links
    program     address, instructions
    variable    0 input, 1 output; name, address, height, width, channels, x_stride, y_stride, offset, size, fill
    step        program, or all ones if it is the host's; operator and reason; first link, inputs, outputs
    link        name of the graph's value, name of the variable
    names       UTF-8, each with a zero at its end; elsewhere by the place of its first byte

Graph and constants of steps on the host are not in it: a host without Python and JSON brings its own.
"""

import struct
from collections.abc import Iterator

from ..compiler.compiled import CompiledModel, HostStep, TpuStep
from ..compiler.image import Variable

__all__ = ["VERSION", "plan"]

#: Of the tables; the driver refuses every other.
VERSION = 1

_MAGIC = b"TPUP"
_ON_HOST = 0xFFFFFFFF


def plan(compiled: CompiledModel, content: int) -> bytes:
    """The tables.

    Parameters
    ----------
    compiled : CompiledModel
    content : int
        Number of the array that is the image's content.
    """
    names, image, arch = _Names(), compiled.image, compiled.config.matrix.arch
    programs = [(program.address, program.length) for program in image.programs]
    variables = [(kind, names.add(name), *_place(variable))
                 for kind, group in enumerate((image.inputs, image.outputs)) for name, variable in group.items()]
    links: list[tuple[int, int]] = []
    steps = [_step(step, links, names) for step in compiled.steps]
    header = (VERSION, arch.rows | arch.cols << 16, image.base, image.content.size, content,
              len(programs), len(variables), len(steps), len(links))
    tables = [word for table in (programs, variables, steps, links) for row in table for word in row]
    start = len(_MAGIC) + 4 * (len(header) + len(tables))
    # Places of names, counted from the first until now.
    words = [word.place + start if isinstance(word, _Name) else word for word in (*header, *tables)]
    return _MAGIC + struct.pack(f"<{len(words)}I", *words) + names.text


class _Name(int):
    """Place of a name among the names."""

    @property
    def place(self) -> int:
        return int(self)


class _Names:
    """Names so far, one behind the other."""

    def __init__(self) -> None:
        self.text = b""

    def add(self, name: str) -> _Name:
        place = _Name(len(self.text))
        self.text += name.encode() + b"\0"
        return place


def _place(variable: Variable) -> tuple[int, ...]:
    layout = variable.layout
    return (variable.address, layout.height, layout.width, layout.channels, layout.x_stride, layout.y_stride,
            layout.offset, layout.size, variable.fill & 0xFF)


def _step(step: TpuStep | HostStep, links: list[tuple[int, int]], names: _Names) -> tuple[int, ...]:
    if isinstance(step, HostStep):
        return _ON_HOST, names.add(f"{step.node.kind}: {step.reason}"), 0, 0, 0
    first = len(links)
    links.extend(_links(step, names))
    return step.program, names.add(""), first, len(step.inputs), len(step.outputs)


def _links(step: TpuStep, names: _Names) -> Iterator[tuple[int, int]]:
    for pairs in (step.inputs, step.outputs):
        for value, variable in pairs.items():
            yield names.add(value), names.add(variable)
