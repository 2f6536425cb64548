"""The modules that leave the house: a matrix unit, or a whole TPU, behind flat ports under customary names."""

from importlib.metadata import version
from typing import Any

from amaranth.hdl import Elaboratable, Module, Signal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from . import registers
from .gateware.matrix.matrix_unit import MatrixUnit
from .gateware.shared import place
from .gateware.tpu import Tpu

__all__ = ["MatrixUnitTop", "SerialTpuTop", "TpuTop"]


class _Top(Elaboratable):
    """A component with a port for each of its signals.

    Attributes
    ----------
    name : str
        Of the module.
    memory : str
        ``Impl`` memory style.
    ports : dict
        Signal and direction by name.
    about : tuple of str
        Lines that introduce it at the head of its file.
    sidecar : dict
        What a program needs to know of it.
    """

    def __init__(self, name, component):
        self.name = name
        self.component = component
        self.ports = {}
        self._assignments = []

    def _add(self, name, value, outward):
        value = Value.cast(value)
        port = Signal(len(value), name=name)
        self.ports[name] = port, PortDirection.Output if outward else PortDirection.Input
        self._assignments.append(port.eq(value) if outward else value.eq(port))

    def elaborate(self, platform):
        m = Module()
        place(m, self.component.module_name, self.component)
        m.d.comb += self._assignments
        return m

    @staticmethod
    def _common(config):
        return {"generator": f"systolic {version('systolic')}", **config.describe(), "clock": "clk",
                "reset": {"port": "rst", "active": "high", "synchronous": True}}


class MatrixUnitTop(_Top):
    """Three streams: for each ``<stream>_valid``, ``<stream>_ready`` and one ``<stream>_<field>`` per field of its
    payload (``<stream>_data`` if it has none). Status outputs have no ports.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config):
        super().__init__(config.name, MatrixUnit(config))
        arch, self.memory = config.arch, config.impl.memory
        streams = {name: self._add_stream(name, member) for name, member in self.component.signature.members.items()
                   if member.is_signature}
        self.about = (
            f"systolic matrix unit, {arch.rows} x {arch.cols} {arch.format.name}",
            f"{arch.accumulator_depth} accumulators, weight FIFO of {arch.weight_fifo_depth} tiles, "
            f"psum latency {config.impl.psum_stages}, result {config.latency} cycles after its row")
        self.sidecar = {
            **self._common(config),
            "streams": streams,
            "memories": {
                "weight_fifo": {"entries": config.weight_fifo_rows, "width": arch.cols * arch.operand_width},
                "accumulators": {"entries": arch.accumulator_depth, "width": arch.cols * arch.entry_width},
                "result_fifo": {"entries": config.result_fifo_depth, "width": arch.cols * arch.format.result_width},
            },
            "cycles": {
                "row_to_result": config.latency,
                "accumulate_turnaround": config.turnaround,
                "weight_to_array": config.weight_latency,
            },
        }

    def _add_stream(self, name, member):
        """Adds its ports; returns what the sidecar says of it."""
        stream, inward = getattr(self.component, name), member.flow is In
        payload = stream.payload
        struct = isinstance(getattr(payload, "shape", lambda: None)(), data.StructLayout)
        fields = {field: payload[field] for field, _ in payload.shape()} if struct else {"data": payload}
        fields = {field: Value.cast(value) for field, value in fields.items() if len(Value.cast(value))}
        for field, value in ({"valid": stream.valid} | fields).items():
            self._add(f"{name}_{field}", value, not inward)
        self._add(f"{name}_ready", stream.ready, inward)
        return {"direction": "in" if inward else "out",
                "fields": {field: len(value) for field, value in fields.items()}}


class TpuTop(_Top):
    """AXI4-Lite as ``s_axi_*``, AXI4 as ``m_axi_*``, and the interrupt ``irq``.

    Parameters
    ----------
    config : TpuConfig
    """

    def __init__(self, config):
        super().__init__(config.name, Tpu(config))
        arch, self.memory = config.matrix.arch, config.matrix.impl.memory
        self._add("irq", self.component.interrupt, True)
        for name, member in self.component.host.signature.members.items():
            self._add(f"s_axi_{name}", getattr(self.component.host, name), member.flow is Out)
        for channel, member in self.component.memory.signature.members.items():
            stream, outward = getattr(self.component.memory, channel), member.flow is Out
            for field, _ in stream.payload.shape():
                self._add(f"m_axi_{channel}{field}", stream.payload[field], outward)
            self._add(f"m_axi_{channel}valid", stream.valid, outward)
            self._add(f"m_axi_{channel}ready", stream.ready, not outward)
        self.about = (
            f"systolic TPU, {arch.rows} x {arch.cols} {arch.format.name}, unified buffer of {config.buffer_size} bytes",
            f"activation unit of {config.lanes} lanes, memory bus of {8 * config.bus_bytes} bits")
        self.sidecar = {
            **self._common(config),
            "buses": {"s_axi": {"protocol": "AXI4-Lite", "data_width": 32, "address_width": registers.ADDRESS_WIDTH},
                      "m_axi": {"protocol": "AXI4", "data_width": 8 * config.bus_bytes, "address_width": 32,
                                "burst_beats": config.burst_beats, "reads_in_flight": config.reads_in_flight,
                                "writes_in_flight": config.writes_in_flight}},
            "registers": {each.name: each.address for each in registers.registers()},
            "memories": {"unified_buffer": {"bytes": config.buffer_size, "banks": config.banks},
                         "accumulators": {"entries": arch.accumulator_depth, "width": 32 * arch.cols},
                         "result_fifo": {"entries": config.matrix.result_fifo_depth, "width": 32 * arch.cols}},
        }


class SerialTpuTop(_Top):
    """The serial line as ``rx`` and ``tx``, and the interrupt ``irq``.

    Parameters
    ----------
    system : SerialTpu
    """

    def __init__(self, system: Any) -> None:
        super().__init__(system.module_name, system)
        arch, self.memory = system.config.matrix.arch, system.config.matrix.impl.memory
        self._add("rx", system.rx, False)
        self._add("tx", system.tx, True)
        self._add("irq", system.interrupt, True)
        self.about = (
            f"systolic TPU on a serial line, {arch.rows} x {arch.cols} {arch.format.name}",
            f"memory of {system.memory_size} bytes, {system.divisor} cycles a bit of the line")
        self.sidecar = {**self._common(system.config), "memory_size": system.memory_size, "divisor": system.divisor,
                        "pause": system.pause}
