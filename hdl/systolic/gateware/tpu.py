"""The whole TPU: sequencer, DMA, unified buffer, matrix unit and activation unit around one ring of data."""

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..registers import ADDRESS_WIDTH
from .activation.unit import ActivationUnit
from .dma.load import Loader
from .dma.read_dma import ReadDma
from .dma.store import Storer
from .dma.weight_reader import WeightReader
from .host.control import AxiLite, ControlRegisters, control_ports
from .lib.axi import AXI4
from .matrix.matrix_unit import MatrixUnit
from .matrix.row_reader import RowReader
from .sequencer.scoreboard import EXECUTORS
from .sequencer.sequencer import Sequencer
from .shared import Shared, place
from .unified_buffer import UnifiedBuffer

__all__ = ["Tpu"]

# Control registers, by their names at the sequencer.
_SETTINGS = {"start": "start", "program_address": "address", "program_length": "length", "watchdog": "watchdog",
             "busy_error": "busy_error"}
_STATE = {"running": "running", "stopped": "stopped", "error_code": "error_code", "error_index": "error_index",
          "debug_tag": "debug_tag", "interrupt_program": "interrupted", "interrupt_halt": "halted",
          "interrupt_error": "failed"}


class Tpu(Shared):
    """A TPU v1 behind three ports.

    ::

                         memory (AXI4)                                          host (AXI4-Lite)
              ┌───────────────┼──────────────┐                                        │
              ▼               ▼              │                                 ControlRegisters
        WeightReader        Loader         Storer                                     │
              │               ▼              ▲                                    Sequencer
              │         ┌─ UnifiedBuffer ────┤                                        │
              │         ▼               ▲    │                          a command for each unit
              │     RowReader           │    ▼
              ▼         ▼               │
              MatrixUnit ─────────▶ ActivationUnit

    Parameters
    ----------
    config : TpuConfig

    Members
    -------
    memory : Out(AXI4)
    host : In(AxiLite)
    interrupt : Out(1)
        High as long as an enabled interrupt is pending.
    """

    resets = True
    module_name = "tpu"

    def __init__(self, config):
        self.config = config
        self.design = config.name
        super().__init__({
            "memory": Out(AXI4(config.bus_bytes)), "host": In(AxiLite(ADDRESS_WIDTH)), "interrupt": Out(1),
        })

    def build(self, platform):
        m = Module()
        control = ControlRegisters(self.config)
        core = Core(self.config)
        core.reset_too = control.restart
        place(m, "control", control)
        place(m, "core", core)
        wiring.connect(m, wiring.flipped(self.host), control.s_axi)
        wiring.connect(m, core.memory, wiring.flipped(self.memory))
        m.d.comb += self.interrupt.eq(control.interrupt)
        m.d.comb += [getattr(core, name).eq(getattr(control, name)) for name in _SETTINGS]
        m.d.comb += [getattr(control, name).eq(getattr(core, name)) for name in (*_STATE, "count")]
        return m


class Core(Shared):
    """All of a TPU but its control registers, whose names its members have. An error is cured by resetting it."""

    resets = True
    module_name = "core"

    def __init__(self, config):
        self.config = config
        super().__init__({"memory": Out(AXI4(config.bus_bytes))}
                         | {name: member.flip() for name, member in control_ports(config).items()})

    def build(self, platform):
        m = Module()
        config = self.config
        sequencer = place(m, "sequencer", Sequencer(config))
        read_dma = place(m, "read_dma", ReadDma(config))
        buffer = place(m, "unified_buffer", UnifiedBuffer(config))
        matrix_unit = place(m, "matrix_unit", MatrixUnit(config.matrix))
        units = {"load": Loader(config), "store": Storer(config), "weights": WeightReader(config),
                   "matrix": RowReader(config), "activation": ActivationUnit(config)}
        for name, component in units.items():
            place(m, name, component)
        load, store, weights, rows, activation = units.values()

        for source, sink in (
            (sequencer.fetch_request, read_dma.fetch), (weights.request, read_dma.weights),
            (load.request, read_dma.load), (weights.weights, matrix_unit.weights), (rows.rows, matrix_unit.rows),
            (matrix_unit.results, activation.results), (activation.read, buffer.activation_read),
            (store.read, buffer.store_read), (rows.read, buffer.row_read), (load.write, buffer.load_write),
            (activation.write, buffer.activation_write),
        ):
            wiring.connect(m, source, sink)
        for channel in ("ar", "r"):
            wiring.connect(m, getattr(read_dma.bus, channel), wiring.flipped(getattr(self.memory, channel)))
        for channel in ("aw", "w", "b"):
            wiring.connect(m, getattr(store.bus, channel), wiring.flipped(getattr(self.memory, channel)))
        m.d.comb += [
            sequencer.fetch_beat.eq(read_dma.fetch_beat), weights.beat.eq(read_dma.weights_beat),
            load.beat.eq(read_dma.load_beat),
            sequencer.rows_empty.eq(rows.empty), sequencer.switched.eq(rows.switched),
            sequencer.finishing.eq(rows.finishing), sequencer.bus_idle.eq(read_dma.idle & store.idle),
            sequencer.result_taken.eq(matrix_unit.results.valid & matrix_unit.results.ready),
            sequencer.moving.eq(Cat(*(each.moving for each in units.values()),
                                    matrix_unit.weights.valid & matrix_unit.weights.ready)),
        ]
        for number, name in enumerate(EXECUTORS):
            wiring.connect(m, getattr(sequencer, f"{name}_command"), units[name].command)
            m.d.comb += [sequencer.done[number].eq(units[name].done),
                         sequencer.errors[number].eq(units[name].error)]
        m.d.comb += [each.stop.eq(sequencer.stop) for each in (read_dma, load, weights, store)]
        m.d.comb += [getattr(sequencer, there).eq(getattr(self, here)) for here, there in _SETTINGS.items()]
        m.d.comb += [getattr(self, here).eq(getattr(sequencer, there)) for here, there in _STATE.items()]
        self._count(m, sequencer, matrix_unit.status, units)
        return m

    def _count(self, m, sequencer, status, units):
        """What the counters add in this cycle: of four states of the matrix unit, one."""
        running, load, store = sequencer.running, units["load"], units["store"]
        events = {name: getattr(status, name) for name in ("active", "weight_stall", "weight_shift")}
        events["non_matrix"] = ~(status.active | status.weight_stall | status.weight_shift)
        events |= {f"busy_{name}": each.busy for name, each in units.items()}
        m.d.comb += [self.count[name].eq(event & running) for name, event in events.items()]
        written = store.bus.w
        beat = load.beat.valid | units["weights"].beat.valid
        strobes = written.payload.strb
        m.d.comb += [
            self.count.instructions.eq(sequencer.issued), self.count.useful_macs.eq(units["matrix"].macs),
            self.count.bytes_read.eq(Mux(beat, self.config.bus_bytes, 0)),
            self.count.bytes_written.eq(Mux(written.valid & written.ready, sum(strobes), 0)),
        ]
