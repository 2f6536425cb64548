"""A TPU without its control registers: sequencer, units and unified buffer, connected in one ring."""

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .activation.unit import ActivationUnit
from .dma.load import Loader
from .dma.read_dma import ReadDma
from .dma.store import Storer
from .dma.weight_reader import WeightReader
from .host.control import Counts
from .lib.axi import AXI4
from .matrix.matrix_unit import MatrixUnit
from .matrix.row_reader import RowReader
from .ports import HostPort
from .sequencer.scoreboard import EXECUTORS
from .sequencer.sequencer import Sequencer
from .shared import Shared, place
from .unified_buffer import UnifiedBuffer

__all__ = ["Core"]


class Core(Shared):
    """All of a TPU but its control registers. An error is cured by resetting it, once the memory bus owes nothing.

    Members
    -------
    memory : Out(AXI4)
    host : In(HostPort)
    count : Out(Counts)
    """

    resets = True
    module_name = "core"

    def __init__(self, config):
        self.config = config
        super().__init__({"memory": Out(AXI4(config.bus_bytes)), "host": In(HostPort()), "count": Out(Counts(config))})

    def build(self, platform):
        m = Module()
        config = self.config
        sequencer = place(m, "sequencer", Sequencer(config))
        read_dma = place(m, "read_dma", ReadDma(config))
        buffer = place(m, "unified_buffer", UnifiedBuffer(config))
        matrix_unit = place(m, "matrix_unit", MatrixUnit(config.matrix))
        units = {"load": Loader(config), "store": Storer(config), "weights": WeightReader(config),
                 "matrix": RowReader(config), "activation": ActivationUnit(config)}
        load, store, weights, rows, activation = units.values()
        for name, component in units.items():
            place(m, name, component)

        for source, sink in (
            (sequencer.fetch_request, read_dma.fetch), (weights.request, read_dma.weights),
            (load.request, read_dma.load), (weights.weights, matrix_unit.weights), (rows.rows, matrix_unit.rows),
            (matrix_unit.results, activation.results), (activation.read, buffer.activation_read),
            (store.read, buffer.store_read), (rows.read, buffer.row_read), (load.write, buffer.load_write),
            (activation.write, buffer.activation_write),
        ):
            wiring.connect(m, source, sink)
        for name, port in zip(EXECUTORS, sequencer.units, strict=True):
            wiring.connect(m, port, units[name].sequencer)
        wiring.connect(m, wiring.flipped(self.host), sequencer.host)
        memory, reads, writes = wiring.flipped(self.memory), read_dma.bus, store.bus
        channels = ((reads.ar, memory.ar), (reads.r, memory.r),
                    (writes.aw, memory.aw), (writes.w, memory.w), (writes.b, memory.b))
        for ours, outside in channels:
            wiring.connect(m, ours, outside)
        m.d.comb += [
            sequencer.fetch_beat.eq(read_dma.fetch_beat), weights.beat.eq(read_dma.weights_beat),
            load.beat.eq(read_dma.load_beat),
            sequencer.rows_empty.eq(rows.empty), sequencer.switched.eq(rows.switched),
            sequencer.finishing.eq(rows.finishing), sequencer.bus_idle.eq(read_dma.idle & store.idle),
            sequencer.result_taken.eq(matrix_unit.results.valid & matrix_unit.results.ready),
            sequencer.weights_taken.eq(matrix_unit.weights.valid & matrix_unit.weights.ready),
        ]
        m.d.sync += sequencer.bus_moving.eq(Cat(ours.valid & ours.ready for ours, _ in channels).any())
        m.d.comb += [each.stop.eq(sequencer.stop) for each in (read_dma, load, weights, store, activation)]
        self._count(m, sequencer, matrix_unit.status, units)
        return m

    def _count(self, m, sequencer, status, units):
        """What the counters add in this cycle: of four states of the matrix unit, one."""
        running, load, store = sequencer.host.running, units["load"], units["store"]
        events = {name: status[name] for name in ("active", "weight_stall", "weight_shift")}
        events["non_matrix"] = ~(status.active | status.weight_stall | status.weight_shift)
        events |= {f"busy_{name}": each.sequencer.busy for name, each in units.items()}
        m.d.comb += [self.count[name].eq(event & running) for name, event in events.items()]
        written = store.bus.w
        beat = load.beat.valid | units["weights"].beat.valid
        strobes = written.payload.strb
        m.d.comb += [
            self.count.instructions.eq(sequencer.issued), self.count.useful_macs.eq(units["matrix"].macs),
            self.count.bytes_read.eq(Mux(beat, self.config.bus_bytes, 0)),
        ]
        # A cycle late, which nobody sees: the answer to the last of them takes longer.
        m.d.sync += self.count.bytes_written.eq(Mux(written.valid & written.ready, sum(strobes), 0))
