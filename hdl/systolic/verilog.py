"""Verilog-2005 and its JSON sidecar from a configuration.

The top module has flat ports, ``clk``, ``rst`` (synchronous) and for each stream ``<stream>_valid``,
``<stream>_ready`` and one ``<stream>_<field>`` per field of its payload (``<stream>_data`` if it has none), so
that it can be instantiated from plain Verilog. Below it, every repeated part is one module, see
:mod:`systolic.gateware.shared`.
"""

import contextlib
import dataclasses
import gc
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Module, Signal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import data
from amaranth.lib.wiring import In

from .config import Format
from .gateware.matrix_unit import MatrixUnit
from .gateware.shared import Library, place

__all__ = ["LINT_WAIVERS", "Design", "generate", "write"]

#: What ``verilator -Wall`` would warn of, and why it is as it should be. The generated file says so itself.
LINT_WAIVERS = {
    "DECLFILENAME": "one file holds all modules",
    "PROCASSINIT": "registers that are reset also have initial values, for FPGAs",
    "SYMRSVDWORD": "'switch' is a keyword of C++, not of Verilog",
    "UNUSEDSIGNAL": "the carry out of a sum, or a port that another mapping of the same part needs",
    "WIDTHEXPAND": "operands of unequal width, which Verilog extends as it should",
    "WIDTHTRUNC": "'!' of a vector",
}


class _Flat(Elaboratable):
    """A component of streams behind flat ports."""

    def __init__(self, component):
        self.component = component
        self.ports = {}
        self.streams = {}
        self._assignments = []
        for name, member in component.signature.members.items():
            self._add_stream(name, member)

    def _add_stream(self, name, member):
        stream = getattr(self.component, name)
        payload = stream.payload
        struct = isinstance(getattr(payload, "shape", lambda: None)(), data.StructLayout)
        fields = {field: payload[field] for field, _ in payload.shape()} if struct else {"data": payload}
        fields = {field: Value.cast(value) for field, value in fields.items() if len(Value.cast(value))}
        inward = member.flow is In
        self.streams[name] = {"direction": "in" if inward else "out",
                              "fields": {field: len(value) for field, value in fields.items()}}
        for field, value in ({"valid": stream.valid} | fields).items():
            self._add_port(f"{name}_{field}", value, inward)
        self._add_port(f"{name}_ready", stream.ready, not inward)

    def _add_port(self, name, value, inward):
        port = Signal(len(value), name=name)
        self.ports[name] = port, PortDirection.Input if inward else PortDirection.Output
        self._assignments.append(value.eq(port) if inward else port.eq(value))

    def elaborate(self, platform):
        m = Module()
        place(m, "matrix_unit", self.component)
        m.d.comb += self._assignments
        return m


@dataclasses.dataclass(frozen=True)
class Design:
    """Generated hardware.

    Attributes
    ----------
    name : str
        Name of the top module.
    verilog : str
        Verilog-2005 text of all modules.
    sidecar : dict
        What a program needs to know of it: parameters, ports by stream, memories, latencies in cycles.
    """

    name: str
    verilog: str
    sidecar: dict


def _rtlil_to_verilog(text, memory):
    """Verilog of RTLIL modules; ``memory`` is an ``Impl`` memory style."""
    script = f"""
        read_rtlil design.il
        proc
        # Sums and queues are written before they are read: without this each memory row is a line of Verilog.
        delete t:$meminit t:$meminit_v2
        memory_collect
        opt_clean
        opt_dff
        opt_clean -purge
        rename -unescape
        {f'setattr -set ram_style "{memory}" t:$mem_v2' if memory in ("block", "distributed") else ""}
        attrmap -remove generator -remove top
        attrmap -modattr -remove generator -remove top
        write_verilog design.v
    """
    with tempfile.TemporaryDirectory(prefix="systolic-") as folder:
        Path(folder, "design.il").write_text(text)
        Path(folder, "script.ys").write_text(script)
        # In a process of its own: names that an earlier run left behind would change the order of the text.
        done = subprocess.run([sys.executable, "-c", _YOSYS], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"Yosys failed:\n{done.stdout}{done.stderr}")
        return Path(folder, "design.v").read_text()


_YOSYS = "from pyosys import libyosys as ys; ys.Pass.call(ys.Design(), 'tee -q script script.ys')"


@contextlib.contextmanager
def _garbage_collection_off():
    """A netlist is millions of tuples of which none is garbage: looking for some takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def generate(config):
    """Elaborate the matrix unit of a configuration.

    The same configuration gives the same bytes, on any machine.

    Parameters
    ----------
    config : Config

    Returns
    -------
    Design
    """
    flat, library = _Flat(MatrixUnit(config)), Library(f"{config.name}_")
    with _garbage_collection_off():
        top = rtlil.convert(flat, config.name, library, ports=flat.ports, emit_src=False)
    verilog = _rtlil_to_verilog("\n".join([*library.modules.values(), top]), config.impl.memory)
    body = verilog.partition("*/\n")[2]  # without the line that names the Yosys build
    text = f"{_header(config)}{body}\n/* verilator lint_restore */\n"
    return Design(config.name, text, _sidecar(config, flat.streams))


def _header(config):
    arch, impl = config.arch, config.impl
    waivers = "".join(f"/* verilator lint_off {name} */ // {reason}\n" for name, reason in LINT_WAIVERS.items())
    return f"""\
// {config.name}: systolic matrix unit, {arch.rows} x {arch.cols} {arch.format.value}
// {arch.accumulator_depth} accumulators, weight FIFO of {arch.weight_fifo_depth} tiles, \
psum latency {impl.psum_stages}, result {config.latency} cycles after its row
// generated by systolic {version("systolic")}; streams transfer where valid and ready are both high

/* verilator lint_save */
{waivers}
"""


def _sidecar(config, streams):
    arch = config.arch
    return {
        "generator": f"systolic {version('systolic')}",
        **config.describe(),
        "clock": "clk",
        "reset": {"port": "rst", "active": "high", "synchronous": True},
        "streams": streams,
        "memories": {
            "weight_fifo": {"entries": config.weight_fifo_rows, "width": arch.cols * arch.operand_width},
            "accumulators": {"entries": arch.accumulator_depth,
                             "width": arch.cols * (32 if arch.format is Format.INT8 else arch.psum_width)},
            "result_fifo": {"entries": config.result_fifo_depth, "width": arch.cols * 32},
        },
        "cycles": {
            "row_to_result": config.latency,
            "accumulate_turnaround": config.turnaround,
            "weight_to_array": config.weight_latency,
        },
    }


def write(design, folder):
    """Write a design's Verilog and sidecar, both or neither.

    Parameters
    ----------
    design : Design
    folder : path
        Where ``<name>.v`` and ``<name>.json`` go; made if it does not exist.

    Returns
    -------
    tuple of Path
        The two files.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {folder / f"{design.name}.v": design.verilog,
             folder / f"{design.name}.json": json.dumps(design.sidecar, indent=2) + "\n"}
    drafts = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in texts}
    before = {path: path.read_bytes() if path.exists() else None for path in texts}
    try:
        for path, draft in drafts.items():
            draft.write_text(texts[path])
        for path, draft in drafts.items():
            draft.replace(path)
    except OSError as error:
        for path, content in before.items():
            _restore(path, content)
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
    return tuple(texts)


def _restore(path, content):
    if content is None:
        path.unlink(missing_ok=True)
    elif path.read_bytes() != content:
        path.write_bytes(content)
