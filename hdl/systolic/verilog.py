"""Verilog-2005 and its JSON sidecar from a configuration.

The top module has flat ports, ``clk``, ``rst`` (synchronous) and those of :mod:`systolic.tops`, so that it can be
instantiated from plain Verilog. Below it, every repeated part is one module, see :mod:`systolic.gateware.shared`.
What Yosys writes is made readable by :mod:`systolic.readable`.
"""

import contextlib
import dataclasses
import gc
import json
import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaranth.back import rtlil

from .config import Config
from .gateware.serial.system import SerialTpu
from .gateware.shared import Library
from .readable import readable
from .tops import MatrixUnitTop, SerialTpuTop, TpuTop
from .tpu_config import TpuConfig

__all__ = ["LINT_WAIVERS", "Design", "core_file", "elaborate", "generate", "generate_serial", "write"]

#: What ``verilator -Wall`` would warn of, and why it is as it should be. The generated file says so itself.
LINT_WAIVERS = {
    "DECLFILENAME": "one file holds all modules",
    "PROCASSINIT": "registers that are reset also have initial values, for FPGAs",
    "SYMRSVDWORD": "'switch' is a keyword of C++, not of Verilog",
    "UNUSEDSIGNAL": "the low bits of a sum, or a field or port that another user of the part needs",
    "WIDTHEXPAND": "operands of unequal width, which Verilog extends as it should",
    "WIDTHTRUNC": "a shifted word of which the lowest bits are wanted",
}


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
        return _plain_names(Path(folder, "design.v").read_text())


def _plain_names(text):
    r"""Without Yosys' escaped names: a bit of register x that is kept by itself is ``x_reg_3``, not ``\x_reg[3] ``."""
    taken = set(re.findall(r"\w+", text))

    def plain(match):
        name = "_".join(filter(None, match.groups()))
        return name + "_" if name in taken else name
    return re.sub(r"\\(\w+)\[(\d+)(?::(\d+))?\] ", plain, text)


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


def generate(config: Config | TpuConfig) -> "Design":
    """Elaborate the matrix unit of a configuration, or the TPU of a unit.

    The same one gives the same bytes, on any machine.

    Parameters
    ----------
    config : Config or TpuConfig

    Returns
    -------
    Design
    """
    return elaborate(TpuTop(config) if isinstance(config, TpuConfig) else MatrixUnitTop(config))


def generate_serial(config: TpuConfig, *, memory_size: int, clock: int, baud: int) -> "Design":
    """Elaborate a TPU with memory on the chip behind a serial line.

    Parameters
    ----------
    config : TpuConfig
    memory_size : int
        Bytes of memory.
    clock, baud : int
        Hz of its clock, and bits a second of the line.
    """
    return elaborate(SerialTpuTop(SerialTpu.at(config, memory_size=memory_size, clock=clock, baud=baud)))


def elaborate(top: Any) -> "Design":
    """Elaborate a top of :mod:`.tops`."""
    body = readable(_numbered(top))
    return Design(top.name, f"{_header(top)}{body}\n/* verilator lint_restore */\n", top.sidecar)


def _numbered(top):
    """Verilog of all modules as Yosys writes it."""
    library = Library(design=top.name)
    with _garbage_collection_off():
        text = rtlil.convert(top, top.name, library, ports=top.ports, emit_src=False)
    verilog = _rtlil_to_verilog("\n".join([*library.modules.values(), text]), top.memory)
    return verilog.partition("*/\n")[2]  # without the line that names the Yosys build


def _header(top):
    waivers = "".join(f"/* verilator lint_off {name} */ // {reason}\n" for name, reason in LINT_WAIVERS.items())
    first, *others = top.about
    return f"""\
// {top.name}: {first}
{"".join(f"// {line}{chr(10)}" for line in others)}\
// generated by systolic {version("systolic")}; streams transfer where valid and ready are both high

/* verilator lint_save */
{waivers}
"""


def core_file(design):
    """FuseSoC's description of a design, CAPI2: ``default`` for designs that depend on it, and ``lint``."""
    return f"""CAPI=2:
name: "::{design.name}:{version("systolic")}"
description: generated by systolic

filesets:
  rtl:
    files: [{design.name}.v]
    file_type: verilogSource-2005

targets:
  default:
    filesets: [rtl]
  lint:
    filesets: [rtl]
    toplevel: {design.name}
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]
"""


def write(design, folder, *, fusesoc=False):
    """Write a design's Verilog and sidecar, all or nothing.

    Parameters
    ----------
    design : Design
    folder : path
        Where ``<name>.v`` and ``<name>.json`` go; made if it does not exist.
    fusesoc : bool
        ``<name>.core`` as well, see :func:`core_file`.

    Returns
    -------
    tuple of Path
        The files.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {folder / f"{design.name}.v": design.verilog,
             folder / f"{design.name}.json": json.dumps(design.sidecar, indent=2) + "\n"}
    if fusesoc:
        texts[folder / f"{design.name}.core"] = core_file(design)
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
