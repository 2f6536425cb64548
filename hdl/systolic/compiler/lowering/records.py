"""Parameter records in the buffer: copied from memory, or spread there from fewer bytes.

Where the bus is what a layer waits for, its records are a part of what passes over it: 16 bytes per output. If all
scales are the same, only the biases come over the bus, and ``pool`` copies them, and the scale, to their places::

    memory   bias 0, bias 1, ... | scale | record of the copies
                │       └─────────────────────┐
    buffer   bias 0, scale,                 bias 1, scale,                 ...
"""

import dataclasses

import numpy as np

from ...isa import RECORD_BYTES
from ..graph import Node
from ..match import Rounded
from ..quantise import identity
from ..spaces import Region
from .places import Access, Map, Storage
from .tasks import Emitter, Lowerer, Task
from .windows import ceil_div

__all__ = ["Records", "unchanged"]

#: Of the buffer, a layer's records may take one part in this many; of more, two chunks have room there.
_SHARE = 4

_BIAS = 4
_SCALE = RECORD_BYTES - _BIAS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Records:
    """Records of a layer, and how they get there.

    Parameters
    ----------
    storage : Storage
        A record per output; or per output of a chunk, which is only loaded when it is needed.
    loads : tuple of Task
    spreads : tuple of Task
        Of the activation unit, before the first use.
    cycles : int
        That these take, about.
    chunk : int
        Outputs of a chunk; 0 if there is room for all.
    region : Region or None
        Of chunks, in memory.
    """

    storage: Storage
    loads: tuple[Task, ...]
    spreads: tuple[Task, ...] = ()
    cycles: int = 0
    chunk: int = 0
    region: Region | None = None

    @classmethod
    def of(cls, lowerer: Lowerer, node: Node, rounded: Rounded, out: Map, width: int) -> "Records":
        """For a product's output, of which a sum has ``width`` channels."""
        outputs, room = out.channels, lowerer.config.buffer_size // _SHARE
        whole = rounded.scale.records(range(outputs))
        if len(whole) > room and outputs > width:
            chunk = max(room // (2 * RECORD_BYTES * width), 1) * width
            return cls(storage=Storage("", 0), loads=(), chunk=chunk, region=lowerer.builder.constant(whole))
        each = np.frombuffer(whole, np.uint8).reshape(outputs, RECORD_BYTES)
        same = bool((each[:, _BIAS:] == each[0, _BIAS:]).all())
        bus = lowerer.config.tile_bytes() // lowerer.config.bus_bytes
        bound = bus > max(lowerer.config.matrix.arch.rows, out.images * out.height * out.width)
        if not same or not bound or outputs <= width:
            storage, load = lowerer.constant(node, whole)
            return cls(storage=storage, loads=(load,))
        packed = each[:, :_BIAS].tobytes() + each[0, _BIAS:].tobytes()
        packed += bytes(-len(packed) % RECORD_BYTES)
        here, load = lowerer.constant(node, packed + unchanged(rounded.rounding).scale.records())
        storage = Storage(f"{node.name} records", len(whole))
        spreads = (_spread(node, rounded.rounding, here, storage, outputs, place=0, size=_BIAS, start=0, step=_BIAS),
                   _spread(node, rounded.rounding, here, storage, outputs, place=_BIAS, size=_SCALE,
                           start=_BIAS * outputs, step=0))
        pieces = sum(ceil_div(size, lowerer.config.lanes) for size in (_BIAS, _SCALE))
        return cls(storage=storage, loads=(load,), spreads=spreads, cycles=outputs * pieces)

    def part(self, node: Node, channel: int, outputs: int) -> tuple[Storage, Task]:
        """The chunk that begins with a channel, and the task that loads it."""
        assert self.region is not None
        region = self.region.part(channel * RECORD_BYTES, min(self.chunk, outputs - channel) * RECORD_BYTES)
        storage = Storage(f"{node.name} records", region.size)

        def emit(emitter: Emitter) -> None:
            emitter("read_host_memory", memory=region.base, base=storage.address, row_bytes=region.size)
        return storage, Task(node=node.name, emit=emit, writes=(Access(storage, 0, region.size),))


def unchanged(rounding: str) -> Rounded:
    """What changes no code, in that rounding."""
    scale = identity()
    if rounding == "fp32":
        scale = dataclasses.replace(scale, multiplier=np.float32(1), shift=0)
    return Rounded(rounding, scale)


def _spread(node: Node, rounding: str, here: Storage, records: Storage, outputs: int, *, place: int, size: int,
            start: int, step: int) -> Task:
    """Copy ``size`` bytes to each record, from places ``step`` bytes apart."""
    def emit(emitter: Emitter) -> None:
        emitter.vector("pool", rounding, None, base=records.address + place, start=here.address + start,
                       x_count=outputs, channels=size, x_stride=RECORD_BYTES, from_x_stride=step,
                       parameters=here.address + here.size - RECORD_BYTES)
    return Task(node=node.name, emit=emit, reads=(Access(here, 0, here.size),),
                writes=(Access(records, place, records.size, RECORD_BYTES, size),))
