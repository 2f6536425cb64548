"""The pipeline from a graph to programs.

::

    fold ─▶ order ─▶ place ─▶ segments ─┬▶ TPU:  nodes to steps ─▶ merged ─▶ ordered ─▶ memory plan ─▶ instructions
                                        └▶ host: its node
"""

import bisect
import dataclasses

import numpy as np

from ...tpu_config import TpuConfig
from ..builder import Builder
from ..compiled import CompiledModel, HostStep, TpuStep
from ..errors import CompileError
from ..graph import Graph, Node
from ..graph.operators import AssignVariable, Conv2D, ReadVariable
from ..image import Variable
from ..layout import Layout
from ..match import Match
from ..passes import Segment, fold, order, place, segment, segments
from . import memory_plan
from .elementwise import copy
from .nodes import fused, lower_node
from .places import Map, Storage
from .schedule import merged, ordered
from .shapes import layout_of, plain
from .stripes import first_rows
from .tasks import Emitter, Lowerer, Step, Task
from .variables import Variables
from .windows import Kernel, ceil_div, cut

__all__ = ["compile_graph"]

#: Bytes after which an input is loaded in another piece, so that work on the first begins earlier.
_PIECE = 1024

#: Sizes of bands that are tried, as parts of the buffer: of inputs and outputs there have to be that which is worked
#: on, the next and the last. Larger ones load fewer rows twice.
_BANDS = (2, 3, 4, 5, 6, 8, 12, 16, 32)


def compile_graph(graph: Graph, config: TpuConfig, *, match: Match = Match.LITERT) -> CompiledModel:
    """Compile a model for a TPU.

    Parameters
    ----------
    graph : Graph
    config : TpuConfig
    match : Match
        Whose bits the outputs have.

    Returns
    -------
    CompiledModel

    Raises
    ------
    CompileError
        If it does not fit; the message says what needs how much.
    """
    graph = order(fold(graph))
    host = place(graph, config, match)
    while True:
        try:
            return _compiled(graph, config, match, host)
        except _NoRoom as error:
            if not error.nodes:
                raise
            reason = (f"it needs {error.needed:,} bytes of the unified buffer at the same time, which has "
                      f"{config.buffer_size:,}")
            host |= dict.fromkeys(error.nodes, reason)


def _compiled(graph: Graph, config: TpuConfig, match: Match, host: dict[str, str]) -> CompiledModel:
    """With these nodes on the host."""
    parts, builder = segments(graph, host), Builder(config)
    memory, steps = Variables(builder, graph), list[TpuStep | HostStep]()
    for part in parts:
        if part.reason:
            steps.append(HostStep(node=part.nodes[0], reason=part.reason))
        else:
            _append(builder, graph, match, part, memory, steps)
    if not any(isinstance(each, TpuStep) for each in steps):
        builder.end()
    return CompiledModel(graph=graph, config=config, match=match, image=builder.image(), steps=tuple(steps))


def _append(builder: Builder, graph: Graph, match: Match, part: Segment, memory: Variables,
            steps: list[TpuStep | HostStep]) -> None:
    """The program of a segment; or of its parts, cut where all that passes from one to the next is too large for the
    buffer, and lies in memory anyway: each then has the bands that suit it."""
    made = _Program(builder, graph, match, part, memory, sum(isinstance(each, TpuStep) for each in steps))
    found = made.compile()
    if isinstance(found, TpuStep):
        steps.append(found)
        return
    for each in apart(graph, part, found):
        _append(builder, graph, match, each, memory, steps)


class _Fits(CompileError):
    """A plan was tried, and fits: what was placed for it is forgotten."""


class _NoRoom(CompileError):
    """The buffer has no room for all that is needed at the same time.

    Members
    -------
    needed : int
        Bytes where the most is needed.
    nodes : tuple of str
        What the host has to do instead; empty if that is not known, or is no help.
    """

    def __init__(self, text: str, tasks: list[Task]) -> None:
        super().__init__(text)
        self.nodes: tuple[str, ...] = ()
        self._tasks, self._life = tasks, memory_plan.lives(tasks)
        self._needed = np.zeros(len(tasks), np.int64)
        for storage, (first, last) in self._life.items():
            self._needed[first:last + 1] += storage.size
        self.needed, self._worst = int(self._needed.max()), int(self._needed.argmax())

    def too_large(self, names: set[str], size: int) -> list[str]:
        """Of the values with these names, the largest where the most is needed, and so on until what is left has as
        many bytes as given; none if these values are no help."""
        needed, found = self._needed.copy(), list[str]()
        while needed.max() > size:
            worst = int(needed.argmax())
            there = [storage for storage, (first, last) in self._life.items()
                     if first <= worst <= last and storage.name in names - {*found}]
            if not there:
                break
            largest = max(there, key=lambda storage: storage.size)
            found.append(largest.name)
            first, last = self._life[largest]
            needed[first:last + 1] -= largest.size
        return found

    def blame(self, graph: Graph, part: Segment) -> None:
        """Say which nodes the host has to do: that of the task where the most is needed; or one that keeps the largest
        value there, and all that share a variable with it."""
        by_name = {node.name: node for node in part.nodes}
        there = [storage for storage, (first, last) in self._life.items() if first <= self._worst <= last]
        around = sorted(range(len(self._tasks)), key=lambda number: abs(number - self._worst))
        largest = {each.name for each in sorted(there, key=lambda storage: -storage.size)[:1]}
        rigid = [node for node in part.nodes if node.kind not in _BANDED | _VIEWS and largest & {
            *node.inputs, *node.outputs}]
        found = rigid[:1] or [by_name[name] for name in (self._tasks[number].node for number in around)
                              if name in by_name][:1]
        variables = {node.operator.variable for node in found
                     if isinstance(node.operator, ReadVariable | AssignVariable)}
        self.nodes = tuple(node.name for node in graph if node in found or (
            isinstance(node.operator, ReadVariable | AssignVariable) and node.operator.variable in variables))


def candidates(graph: Graph, part: Segment) -> set[str]:
    """Values that can pass through the buffer in bands, as far as those who make and read them are concerned; of a
    value whose bytes are another's, too, those who read that."""
    made = {name: node for node in part.nodes for name in node.outputs}
    readers: dict[str, list[Node]] = {}
    for node in part.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)

    def read(name: str) -> bool:
        return all(node.kind in _BANDED or (node.kind in _VIEWS and read(node.outputs[0]))
                   for node in readers.get(name, []))
    return {name for name in {*part.inputs, *made} if read(name) and (name not in made or made[name].kind in _BANDED)}


def apart(graph: Graph, part: Segment, names: set[str]) -> list[Segment]:
    """A segment, cut wherever only values with these names, and such as are in memory already, pass from one node to a
    later one."""
    last: dict[str, int] = {}
    for number, node in enumerate(part.nodes):
        last |= dict.fromkeys(node.inputs, number)
    open_, cuts = set[str](), [0]
    for number, node in enumerate(part.nodes):
        open_ = {name for name in (*open_, *node.outputs) if last.get(name, 0) > number}
        if open_ and open_ <= names and number + 1 < len(part.nodes):
            cuts.append(number + 1)
    return [segment(graph, list(part.nodes[begin:end])) for begin, end in zip(
        cuts, [*cuts[1:], len(part.nodes)], strict=True)]


#: Operators that can work on bands of rows, and those whose output has bytes of their input.
_BANDED = {"Conv2D", "DepthwiseConv2D", "TransposeConv2D", "Dense", "AveragePool", "MaxPool", "Add", "Sub", "Mul",
           "Unary", "Pad", "Concatenate", "ResizeNearest", "Mean"}
_VIEWS = {"Reshape", "Transpose", "Slice"}


class _Program:
    """One segment on the TPU."""

    def __init__(self, builder: Builder, graph: Graph, match: Match, part: Segment, memory: Variables,
                 number: int) -> None:
        self._builder, self._graph, self._match = builder, graph, match
        self._part, self._memory, self._number = part, memory, number
        self._inputs: dict[str, str] = {}
        self._variables = {name: self._variable(name) for name in part.inputs}
        self._declare()

    def _variable(self, name: str) -> Variable:
        """Where an input is: if the host writes it, with the border that suits."""
        value, there = self._graph.values[name], self._memory.layout(name)
        layout, images = layout_of(value.shape)
        if there is None and images == 1:
            layout = self._bordered(name, layout)
        variable = self._memory.input(name, layout, images, value.scale[1] if value.quantisation else 0)
        if name in self._builder.input_names:
            self._inputs[name] = name
        return variable

    def compile(self) -> TpuStep | set[str]:
        """Emit it. What the buffer has no room for passes through it in bands, the largest values first. If the segment
        can be cut there: the names of these values."""
        try:
            with self._builder.attempt():
                return self._compile({}, 0)
        except _NoRoom as error:
            names = {*error.too_large(candidates(self._graph, self._part), self._builder.config.buffer_size)}
            if len(apart(self._graph, self._part, names)) > 1:
                return names
            spilled = self._spilled(error)
        bands = [self._builder.config.buffer_size // part for part in _BANDS]
        tight = self._fits(spilled, bands[-1]) is not None
        best = bisect.bisect_left(bands, True, hi=len(bands) - 1,
                                  key=lambda band: self._fits(spilled, band, tight=tight) is None)
        return self._compile(spilled, bands[best], tight=tight)

    def _declare(self) -> None:
        """Variables in memory that live on."""
        for name in self._part.outputs:
            self._memory.output(name)
        for node in self._part.nodes:
            if isinstance(node.operator, ReadVariable | AssignVariable):
                self._memory.state(node.operator.variable)

    def _spilled(self, error: "_NoRoom") -> dict[str, int]:
        """Addresses in memory of the values that pass through in bands: enough for the smallest bands to fit."""
        spilled, names = dict[str, int](), candidates(self._graph, self._part)
        size = self._builder.config.buffer_size
        found: _NoRoom | None = error
        while found is not None:
            # A plan that does not fit though there are bytes enough has them in pieces.
            more = found.too_large(names - set(spilled), min(size, found.needed - 1))
            if not more:
                found.blame(self._graph, self._part)
                raise found
            spilled |= {name: self._address(name) for name in more}
            found = self._fits(spilled, size // _BANDS[-1], tight=True)
        return spilled

    def _fits(self, spilled: dict[str, int], band: int, *, tight: bool = False) -> "_NoRoom | None":
        """None if it does."""
        try:
            with self._builder.attempt():
                self._plan(spilled, band, tight=tight)
                raise _Fits("undone")
        except _NoRoom as error:
            return error
        except _Fits:
            return None

    def _address(self, name: str) -> int:
        """In memory, of a value that does not fit into the buffer."""
        if name in self._variables:
            return self._variables[name].address
        if name in self._part.outputs:
            return self._memory.output(name).address
        layout, images = layout_of(self._graph.values[name].shape)
        return self._builder.memory.take(layout.size * images).base

    def _plan(self, spilled: dict[str, int], band: int, *, tight: bool) -> list[Task]:
        """Tasks in order, and addresses of what they touch."""
        builder, part = self._builder, self._part
        self._lowerer = lowerer = Lowerer(
            builder, self._graph, self._match, spilled=spilled, band=band,
            cuts=first_rows(builder.config, self._graph, part.nodes))
        self._pending: list[Task] = []
        for name in part.inputs:
            self._input(name)
        followers = fused(lowerer.graph, part.nodes, lowerer.uses)
        gone = {node.name for node in followers.values()}
        for node in part.nodes:
            if node.name not in gone:
                self._node(node, followers.get(node.name))
        for name in part.outputs:
            self._output(name)
        tasks = ordered(merged(_loaded(lowerer.steps, self._pending)), tight=tight)
        try:
            memory_plan.place(tasks, size=builder.config.buffer_size, alignment=builder.config.banks)
        except CompileError as error:
            raise _NoRoom(str(error), tasks) from error
        return tasks

    def _compile(self, spilled: dict[str, int], band: int, *, tight: bool = False) -> TpuStep:
        builder, part, tasks = self._builder, self._part, self._plan(spilled, band, tight=tight)
        layers: list[str] = []
        emitter = Emitter(builder)
        for task in tasks:
            task.emit(emitter)
            layers += [task.node] * (len(builder.operations) - len(layers))
        builder.end()
        builder.macs += self._lowerer.macs
        return TpuStep(program=self._number, inputs=self._inputs, outputs={name: name for name in part.outputs},
                       layers=(*layers, ""))

    def _input(self, name: str) -> None:
        """A value from outside, which is loaded in pieces, unless it passes through in bands."""
        _, images = layout_of(self._graph.values[name].shape)
        variable = self._variables[name]
        layout = variable.layout if images == 1 else layout_of(self._graph.values[name].shape)[0]
        made = self._lowerer.map(name, layout, images)
        if not made.in_memory:
            self._load(made, variable.address)

    def _load(self, made: Map, address: int) -> None:
        size, bus = made.layout.size * made.images, self._lowerer.config.bus_bytes
        step = max(_PIECE, ceil_div(size, 8)) // bus * bus
        for low in range(0, size, step):
            self._pending.append(self._lowerer.copy("read_host_memory", "", address, made, low, min(low + step, size)))

    def _bordered(self, name: str, layout: Layout) -> Layout:
        """With the padding of its convolutions, if they take fewer tiles so."""
        readers = [node for node in self._part.nodes if name in node.inputs]
        if not readers or not all(isinstance(node.operator, Conv2D) for node in readers):
            return layout
        rows, best = self._builder.config.matrix.arch.rows, layout
        kernels = []
        for node in readers:
            operator, w = node.operator, self._graph.operands(node)[1]
            assert isinstance(operator, Conv2D)
            kernels.append(Kernel(size=(w.shape[0], w.shape[1]), strides=operator.strides,
                                  dilations=operator.dilations, padding=operator.padding))
        sides = tuple(max(max(k.padding[1][side], 0) for k in kernels) for side in range(2))
        ends = tuple(max(max(k.padding[0][side], 0) for k in kernels) for side in range(2))
        more = max(k.size[0] for k in kernels)
        for border, around in (((0, 0), (0, 0)), (sides, (0, 0)), (sides, (ends[0], ends[1] + more))):
            tried = Layout.of(layout.height, layout.width, layout.channels, border=(border[0], border[1]),
                              rows=(around[0], around[1]))
            if _tiles(kernels, tried, rows) < _tiles(kernels, best, rows):
                best = tried
        return best

    def _node(self, node: Node, follower: Node | None) -> None:
        lowerer, operator = self._lowerer, node.operator
        if isinstance(operator, ReadVariable):
            layout, images = layout_of(lowerer.graph.results(node)[0].shape)
            self._load(lowerer.map(node.outputs[0], layout, images), self._memory.state(operator.variable).address)
        elif isinstance(operator, AssignVariable):
            # What was read of it is loaded before.
            lowerer.steps.append(Step(loads=[*self._pending]))
            self._pending.clear()
            self._store(node, node.inputs[0], self._memory.state(operator.variable).address)
        else:
            lower_node(lowerer, node, follower)

    def _output(self, name: str) -> None:
        node = next(node for node in self._part.nodes if name in node.outputs)
        self._store(node, name, self._memory.output(name).address)

    def _store(self, node: Node, name: str, address: int) -> None:
        lowerer, found = self._lowerer, self._lowerer.maps[name]
        if found.in_memory:
            self._store_bands(node, found, address)
            return
        made = plain(lowerer, node, found)
        size = made.layout.size * made.images
        lowerer.steps.append(Step(stores=[lowerer.copy("write_host_memory", node.name, address, dataclasses.replace(
            made, offset=made.offset + made.layout.offset), 0, size)]))

    def _store_bands(self, node: Node, x: Map, address: int) -> None:
        """A map in memory, copied there through the buffer if it lies elsewhere."""
        if x.plain and x.storage.address + x.offset == address:
            return
        layout = Layout.of(x.height, x.width, x.channels)
        storage = Storage(f"{node.name} output", layout.size * x.images, address, memory=True)
        copy(self._lowerer, node, x, Map(storage=storage, layout=layout, images=x.images, image_stride=layout.size))


def _tiles(kernels: list[Kernel], layout: Layout, rows: int) -> int:
    return sum(cut(kernel, Map(storage=Storage("", 0), layout=layout), rows).tiles for kernel in kernels)


def _loaded(steps: list[Step], pending: list[Task]) -> list[Step]:
    """With each pending load at the first step that needs it; what none needs, at the last."""
    left = list(pending)
    for step in steps:
        needed = [task for task in left if any(mine.conflicts(task) for mine in step.tasks)]
        step.loads[:0] = needed
        left = [task for task in left if task not in needed]
    if left:
        steps.append(Step(loads=left))
    return steps
