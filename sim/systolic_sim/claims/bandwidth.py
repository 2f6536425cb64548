"""How much of the memory bus a TPU's streams get, by the cycle model."""

from systolic import isa
from systolic_sim.cycles.tpu import predict

__all__ = ["STREAMS", "share", "stream"]

STREAMS = ("weights", "load", "store")


def stream(config, kind, beats):
    """A program that does nothing but move at least that many bus words one way.

    Parameters
    ----------
    config : TpuConfig
    kind : str
        One of ``STREAMS``.
    beats : int

    Returns
    -------
    list of Operation
    int
        Bus words that it moves.
    """
    if kind == "weights":
        tile = config.tile_bytes()
        count = -(-beats * config.bus_bytes // tile)
        rows = config.matrix.arch.rows
        return [isa.operation("read_weights", memory=0, memory_size=count * tile, tile_count=count),
                isa.operation("matrix_multiply", base=0, size=rows, c_count=count),
                isa.operation("halt")], count * tile // config.bus_bytes
    name = {"load": "read_host_memory", "store": "write_host_memory"}[kind]
    size = 4 * config.longest_burst * config.bus_bytes
    rows = -(-beats * config.bus_bytes // size)
    return [isa.operation(name, memory=0, memory_size=rows * size, memory_stride=size, base=0, size=size,
                          row_bytes=size, row_count=rows), isa.operation("halt")], rows * size // config.bus_bytes


def share(config, kind, latency):
    """Part of the bus that a stream gets once it flows: of two lengths, the difference.

    Parameters
    ----------
    config : TpuConfig
    kind : str
        One of ``STREAMS``.
    latency : int
        Of the memory, in cycles.
    """
    least = 2 * (latency + config.receive_beats)
    moved = [stream(config, kind, beats) for beats in (least, 2 * least)]
    short, long = (predict(config, program, latency=latency).cycles for program, _ in moved)
    return (moved[1][1] - moved[0][1]) / (long - short)
