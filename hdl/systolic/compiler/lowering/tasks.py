"""What has to be done, before it is known in which order and where: tasks with the bytes that they read and write."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from ...tpu_config import TpuConfig
from ..builder import Builder, Tiles
from ..errors import CompileError
from ..graph import Graph, Node
from ..layout import Layout
from ..match import Match
from ..passes.fold import uses
from ..quantise import identity
from .places import Access, Map, Storage

__all__ = ["Emitter", "Lowerer", "Step", "Task"]

#: What is filled long before it is used may take one part of the buffer in this many.
_KEPT = 4


@dataclasses.dataclass(eq=False, kw_only=True)
class Task:
    """An instruction or a few, of one unit.

    Parameters
    ----------
    node : str
        Whose layer it belongs to.
    emit : function of Emitter
    reads, writes : tuple of Access
    holds : tuple of Access
        What a product reads whose sums this takes: a write there would wait for the product, which may wait for this.
    """

    node: str
    emit: "Callable[[Emitter], None]"
    reads: tuple[Access, ...] = ()
    writes: tuple[Access, ...] = ()
    holds: tuple[Access, ...] = ()

    def conflicts(self, earlier: "Task") -> bool:
        """Whether it has to come after another: for a byte that either of them writes and the other touches."""
        return any(a.overlaps(b) for a in self.reads for b in earlier.writes) or any(
            a.overlaps(b) for a in self.writes for b in (*earlier.reads, *earlier.writes))


@dataclasses.dataclass(eq=False, kw_only=True)
class Step:
    """A product with what becomes of its sums, or work of the activation unit alone.

    Parameters
    ----------
    weights, array : Task or None
        Weight tiles, and the product that takes them.
    vector : list of Task
        Of the activation unit, in order.
    loads : list of Task
        What must have been loaded.
    stores : list of Task
        What can be stored after it.
    spare : int
        Cycles that the activation unit has nothing to do, about.
    """

    weights: Task | None = None
    array: Task | None = None
    vector: list[Task] = dataclasses.field(default_factory=list)
    loads: list[Task] = dataclasses.field(default_factory=list)
    stores: list[Task] = dataclasses.field(default_factory=list)
    spare: int = 0

    @property
    def tasks(self) -> list[Task]:
        """All of them, in the order of the program."""
        product = [each for each in (self.weights, self.array) if each]
        return [*self.loads, *product, *self.vector, *self.stores]

    @property
    def bands(self) -> set[Storage]:
        """Bands of maps in memory that it works on."""
        tasks = (*self.loads, *([self.array] if self.array else []), *self.vector)
        return {access.storage for task in tasks for access in (*task.reads, *task.writes) if access.storage.band}


class Emitter:
    """Emits instructions, and what of the activation unit's state they need before them.

    Parameters
    ----------
    builder : Builder
    """

    #: By the names of :data:`systolic.isa.ROUNDINGS`.
    _ROUNDINGS = {"single": 0, "double": 1, "fp32": 2}

    def __init__(self, builder: Builder) -> None:
        self.builder, self._rounding = builder, ""
        self._table: Storage | None = None

    def __call__(self, name: str, /, **fields: int) -> None:
        """Any instruction."""
        self.builder.emit(name, **fields)

    def vector(self, name: str, rounding: str, table: Storage | None = None, /, **fields: int) -> None:
        """An instruction of the activation unit, with that rounding and through that table."""
        if rounding != self._rounding:
            self.builder.emit("set_configuration", rounding=self._ROUNDINGS[rounding])
            self._rounding = rounding
        if table is not None:
            if table is not self._table:
                self.builder.emit("load_table", from_base=table.address)
                self._table = table
            fields["lookup"] = 1
        self.builder.emit(name, **fields)


class Lowerer:
    """Grows the steps of one program from nodes of a graph.

    Parameters
    ----------
    builder : Builder
    graph : Graph
    match : Match
    spilled : dict of str to int
        Values that are in memory, and where.
    band : int
        Bytes of the buffer for a band of rows of such values.
    cuts : dict of str to int
        By value, after how many rows it is cut; see :mod:`.stripes`.

    Members
    -------
    maps : dict of str to Map
        By value, those there are.
    steps : list of Step
    uses : Counter of str
        How often each value is read.
    macs : int
    """

    def __init__(self, builder: Builder, graph: Graph, match: Match, *, spilled: Mapping[str, int] | None = None,
                 band: int = 0, cuts: Mapping[str, int] | None = None) -> None:
        self.builder, self.graph, self.match = builder, graph, match
        self.spilled, self.band, self.cuts = dict(spilled or {}), band, dict(cuts or {})
        self.uses = uses(graph)
        self.maps: dict[str, Map] = {}
        self.steps: list[Step] = []
        self.macs = 0
        self._constants: dict[bytes, tuple[Storage, Task]] = {}
        self._kept = 0
        # By map in memory, the band of it that was stored last, and where that begins.
        self._last: dict[Storage, tuple[Storage, int]] = {}

    @property
    def config(self) -> TpuConfig:
        """The machine."""
        return self.builder.config

    def storage(self, name: str, size: int) -> Storage:
        """Bytes of the buffer; behind them those that the last row of the array reads beyond."""
        return Storage(name, size + self.config.matrix.arch.rows)

    def map(self, name: str, layout: Layout, images: int = 1) -> Map:
        """A new map, for a value of the graph or for a while."""
        storage = self.storage(name, layout.size * images)
        if name in self.spilled:
            storage = Storage(name, layout.size * images, self.spilled[name], memory=True)
        made = Map(storage=storage, layout=layout, images=images, image_stride=layout.size)
        self.maps[name] = made
        return made

    def constant(self, node: Node, content: bytes) -> tuple[Storage, Task]:
        """Bytes in the buffer, and the task that loads them; the same bytes for one node are loaded once."""
        key = node.name.encode() + b"\0" + content
        if key not in self._constants:
            storage, region = Storage(f"{node.name} constant", len(content)), self.builder.constant(content)

            def emit(emitter: Emitter) -> None:
                emitter("read_host_memory", memory=region.base, base=storage.address, row_bytes=region.size)
            self._constants[key] = storage, Task(node=node.name, emit=emit, writes=(Access(storage, 0, len(content)),))
        return self._constants[key]

    def keep(self, storage: Storage) -> bool:
        """Whether there is room to fill a storage long before it is used."""
        self._kept += storage.size
        return self._kept <= self.config.buffer_size // _KEPT

    def weights(self, node: Node, tiles: Tiles) -> Task:
        """The task that streams tiles."""
        return Task(node=node.name, emit=lambda emitter: emitter.builder.read_weights(tiles))

    def copy(self, name: str, node: str, address: int, target: Map, low: int, high: int) -> Task:
        """The task that copies bytes [low, high) of a map from or to memory, where its first byte is at the address."""
        access = Access(target.storage, target.offset + low, target.offset + high)
        step = self.config.bus_bytes * 0x10000

        def emit(emitter: Emitter) -> None:
            for part in range(low, high, step):
                emitter(name, memory=address + part, base=target.storage.address + target.offset + part,
                        row_bytes=min(step, high - part))
        if name == "read_host_memory":
            return Task(node=node, emit=emit, writes=(access,))
        return Task(node=node, emit=emit, reads=(access,))

    def band_in(self, node: Node, x: Map, first: int, count: int) -> tuple[Map, list[Task]]:
        """Rows of an input in the buffer, as the whole map would have them, and the tasks that load them."""
        if not x.in_memory:
            return x, []
        here, low, high = self._band(node, x, first, count)
        load = self.copy("read_host_memory", node.name, x.storage.address + low, _whole(here), 0, high - low)
        load.reads = (Access(x.storage, low, high),)
        return here, [load]

    def band_out(self, node: Node, out: Map, first: int, count: int) -> tuple[Map, list[Task]]:
        """Rows of an output in the buffer, as the whole map would have them, and the tasks that store them."""
        if not out.in_memory:
            return out, []
        here, low, high = self._band(node, out, first, count)
        store = self.copy("write_host_memory", node.name, out.storage.address + low, _whole(here), 0, high - low)
        store.writes = (Access(out.storage, low, high),)
        ahead = here.offset + out.layout.offset + first * out.layout.y_stride
        tasks = [*self._carried(node, out.storage, here.storage, low, ahead), store]
        self._last[out.storage] = here.storage, low
        return here, tasks

    def _carried(self, node: Node, memory: Storage, here: Storage, low: int, size: int) -> list[Task]:
        """Stores begin with a whole bus word. What the band before has of a band's first one is copied into it."""
        if memory not in self._last or not size:
            return []
        (before, begin), (record, load) = self._last[memory], self.constant(node, identity().records())
        place = low - begin

        def emit(emitter: Emitter) -> None:
            emitter.vector("pool", "single", None, base=here.address, start=before.address + place, channels=size,
                           parameters=record.address)
        return [load, Task(node=node.name, emit=emit, writes=(Access(here, 0, size),), reads=(
            Access(before, place, place + size), Access(record, 0, record.size)))]

    def _band(self, node: Node, x: Map, first: int, count: int) -> tuple[Map, int, int]:
        """A map of some rows in a storage of their own, and its bytes in the whole map, from a bus word on."""
        layout, bus = x.layout, self.config.bus_bytes
        begin = min(max(first, -layout.top), layout.height + layout.bottom - 1) + layout.top
        end = min(first + count, layout.height + layout.bottom) + layout.top
        low = (x.offset + begin * layout.y_stride) // bus * bus
        high = min(x.offset + max(end, begin + 1) * layout.y_stride, x.storage.size)
        storage = self.storage(f"rows of {x.storage.name}", high - low)
        storage.band = True
        return dataclasses.replace(x, storage=storage, offset=x.offset - low), low, high

    def error(self, node: Node, text: str) -> CompileError:
        """An error that names a node."""
        return CompileError(f"node {node.name} ({node.kind}): {text}")


def _whole(x: Map) -> Map:
    """From the first byte of its storage on."""
    return dataclasses.replace(x, offset=0)


def per_output(values: npt.ArrayLike, count: int) -> npt.NDArray[np.int64]:
    """One value per output."""
    result: npt.NDArray[np.int64] = np.broadcast_to(np.asarray(values), (count,))
    return result
