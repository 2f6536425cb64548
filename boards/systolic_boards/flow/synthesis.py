"""Sources to a netlist with Yosys."""

import collections
import dataclasses
import json
import pathlib
import tempfile
import time

from systolic_sim.rtl.toolchain import ToolError

from . import floorplan, guards, tools
from .harness import TOP, Port, harness
from .progress import Progress
from .store import Step

__all__ = ["REGISTER", "Synthesis", "read_ports", "synthesise"]

# Attribute of wires that a register of the description drives: so a report can call registers what it does.
REGISTER = "systolic_register"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Synthesis:
    """A netlist.

    Parameters
    ----------
    netlist : str
        Yosys JSON of the whole chip, flat.
    wires : str
        The same of the description, before anything was optimised: wires alone, with all their names; registers have
        the attribute :data:`REGISTER`.
    cells : dict of str to int
        Cells of the design alone by type, without the harness.
    chip_cells : dict of str to int
        The same with it.
    log : str
        What Yosys said.
    seconds : float
        Time it took.
    """

    netlist: str
    wires: str
    cells: dict
    chip_cells: dict
    log: str
    seconds: float


def synthesise(part, device, *, alone=True, options="", cache=None, progress=None):
    """Netlist of a part for a device, of which technology mapping has not changed the logic.

    Parameters
    ----------
    part : Part
    device : Device
    alone : bool
        Out of context: inside the harness, but counted without.
    options : str
        More options of the synthesis command.
    cache, progress
        See :func:`.flow.build`.

    Returns
    -------
    Synthesis

    Raises
    ------
    ToolError
        If Yosys fails.
    """
    progress = progress or Progress(show=False)
    sources = dict(part.sources)
    if alone:
        sources["harness.v"] = harness(part.top, read_ports(part.sources, part.top), clock=part.clock)
    script = _script(part, device, sources, alone, options)
    found = _kept(sources, script, cache, progress)
    if guards.REFUTED in found["synthesis.log"].decode():
        found = _kept(sources, f"{_CAREFUL}\n{script}", cache, progress)
    modules = json.loads(found["cells.json"])["modules"]
    cells, chip = _cells(modules, part.top), _cells(modules, TOP if alone else part.top)
    seconds = json.loads(found["seconds"])
    progress.finish("synthesis", f"{sum(cells.values())} cells in {seconds:.0f} s")
    netlist = found["netlist.json"].decode()
    if sites := floorplan.plan(*part.multipliers, device.sites):
        netlist = floorplan.fix(netlist, sites)
    return Synthesis(netlist=netlist, wires=found["wires.json"].decode(), cells=cells,
                     chip_cells=chip, log=found["synthesis.log"].decode(), seconds=seconds)


def read_ports(sources, top):
    """Ports of a module.

    Parameters
    ----------
    sources : dict of str to str
        Verilog and RTLIL texts by file name.
    top : str
        The module.

    Returns
    -------
    list of Port

    Raises
    ------
    ToolError
        If Yosys cannot read the sources, or there is no such module.
    """
    with tempfile.TemporaryDirectory(prefix="systolic-") as folder:
        _write(folder, sources | {"script.ys": "\n".join([*_reads(sources), "blackbox", "write_json ports.json\n"])})
        tools.run(tools.YOSYS, ["script.ys", "ports.log"], folder)
        modules = json.loads(pathlib.Path(folder, "ports.json").read_text())["modules"]
    if top not in modules:
        raise ToolError(f"there is no module {top}, only {', '.join(modules)}")
    return [Port(name, port["direction"], len(port["bits"])) for name, port in modules[top]["ports"].items()]


def _reads(sources):
    return [("read_rtlil " if name.endswith(".il") else "read_verilog ") + name for name in sources]


def _write(folder, texts):
    for name, text in texts.items():
        pathlib.Path(folder, name).write_text(text)


def _script(part, device, sources, alone, options):
    """Commands for Yosys; the design keeps its walls inside the harness until it has been counted."""
    family, top = device.family, TOP if alone else part.top
    return "\n".join([
        *_reads(sources),
        f"hierarchy -top {top}",
        "proc -latches error",
        "design -push-copy",
        f"setattr -set {REGISTER} 1 t:$*dff* %co1:+[Q] w:* %i",
        "setattr -mod -unset keep_hierarchy *", "flatten", "delete c:*", "write_json wires.json",
        "design -pop",
        *([f"setattr -mod -set keep_hierarchy 1 {part.top}"] if alone else []),
        " ".join(filter(None, [family.synthesis, device.synthesis, family.control if part.control else "", options,
                               f"-top {top}"])),
        "tee -q -o cells.json stat -json",
        "setattr -mod -unset keep_hierarchy *", "flatten", "clean", *family.finish,
        "write_json netlist.json",
    ]) + "\n"


# What abc9 does by default but for its last step, &mfs: that may lose logic beside carry chains, which abc9's own
# comparison then says, in the log alone.
_CAREFUL = "scratchpad -set abc9.script +&scorr;&sweep;&dc2;&dch,-f,-r;&ps;&if,{W},{D},{R},-v"


def _kept(sources, script, cache, progress):
    """Files by name, made unless the cache has them."""
    step = Step(cache, "synthesis", tools.version(tools.YOSYS), script, *sources, *sources.values())
    found = step.load()
    if found is None:
        progress.update("synthesis", "running")
        found = step.save(_run(sources, script))
    return found


_FILES = ("netlist.json", "wires.json", "cells.json")


def _run(sources, script):
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="systolic-") as folder:
        _write(folder, sources | {"script.ys": script})
        log = tools.run(tools.YOSYS, ["script.ys", "synthesis.log"], folder)
        files = {name: pathlib.Path(folder, name).read_text() for name in _FILES}
    return files | {"synthesis.log": log, "seconds": json.dumps(time.monotonic() - start)}


def _cells(modules, name):
    """Cells by type of a module and those below it; marks of scopes are none."""
    count = collections.Counter()
    for cell, number in modules["\\" + name]["num_cells_by_type"].items():
        if "\\" + cell in modules:
            count.update({below: number * total for below, total in _cells(modules, cell).items()})
        elif cell != "$scopeinfo":
            count[cell] += number
    return dict(sorted(count.items()))
