"""Which way imports point, read from the sources: no circle, none backwards, and no Amaranth where there is data."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = {"systolic": "hdl", "systolic_sim": "sim", "systolic_boards": "boards"}

#: Packages, lowest first: each imports only those before it and itself.
PACKAGES = ["systolic", "systolic_sim", "systolic_boards"]

#: Rooms of ``gateware`` and what stands beside them; each imports what is in a line above its own, and its own room.
#: ``ports`` is where units meet.
FLOORS = [
    {"shared", "delay"},
    {"vendor"},
    {"lib"},
    {"ports"},
    {"dma", "matrix", "activation", "host", "unified_buffer"},
    {"sequencer"},
    {"core"},
    {"tpu"},
]

#: What has to load where there is no Amaranth.
DATA = ["systolic.errors", "systolic.formats", "systolic.config", "systolic.tpu_config", "systolic.isa",
        "systolic.registers", "systolic.compiler", "systolic.compiler.layers", "systolic.host", "systolic.runtime",
        "systolic_sim.golden",
        "systolic_sim.cycles.tpu", "systolic_sim.cycles.schedule", "systolic_sim.check.flow", "systolic_sim.emulator",
        "systolic_sim.links"]


@functools.cache
def modules():
    """Path of every module by dotted name."""
    found = {}
    for package, folder in SOURCES.items():
        for path in (ROOT / folder / package).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@functools.cache
def imports(name, *, late=True):
    """Modules of ours that a module imports; with ``late``, those that its functions import, too."""
    path, found = modules()[name], set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if late else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[:len(package.split(".")) + 1 - node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{source}.{alias.name}" if f"{source}.{alias.name}" in modules() else source
                      for alias in node.names}
    return {each for each in found if each in modules() and each != name}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_those_below(package):
    allowed = PACKAGES[:PACKAGES.index(package) + 1]
    wrong = [(name, each) for name in modules() if name.split(".")[0] == package for each in imports(name)
             if each.split(".")[0] not in allowed]
    assert not wrong


def room(name):
    """Room of a gateware module, or the module itself where it stands on the floor."""
    return name.split(".")[2]


def floor(name):
    return next(number for number, rooms in enumerate(FLOORS) if room(name) in rooms)


GATEWARE = sorted(name for name in modules() if name.startswith("systolic.gateware."))


def test_every_room_of_the_gateware_is_on_a_floor():
    assert {room(name) for name in GATEWARE} == set().union(*FLOORS)


@pytest.mark.parametrize("name", GATEWARE)
def test_gateware_imports_those_below(name):
    wrong = [each for each in imports(name) if each.startswith("systolic.gateware.")
             and room(each) != room(name) and floor(each) >= floor(name)]
    assert not wrong


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circles(package):
    """Neither between modules nor between rooms: folders of a package."""
    graph = {name: {each for each in imports(name, late=False) if each.split(".")[0] == package}
             for name in modules() if name.split(".")[0] == package}
    assert not circle(graph)
    rooms = {}
    for name, targets in graph.items():
        here = home(name)
        rooms.setdefault(here, set()).update(home(each) for each in targets if home(each) != here)
    assert not circle(rooms)


def home(name):
    """Room of a module: its folder, or the module itself where rooms stand beside it."""
    folder = name.rpartition(".")[0]
    beside = any(each.rpartition(".")[0].rpartition(".")[0] == folder for each in modules())
    return name if beside or not folder or modules()[name].name == "__init__.py" else folder


def circle(graph):
    """A circle in a directed graph, as a list of its nodes, or None."""
    state, path = {}, []

    def visit(node):
        state[node] = "open"
        path.append(node)
        for each in sorted(graph.get(node, ())):
            if state.get(each) == "open":
                return [*path[path.index(each):], each]
            if each not in state and (found := visit(each)):
                return found
        state[node] = "done"
        path.pop()
        return None
    return next((found for node in sorted(graph) if node not in state and (found := visit(node))), None)


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"] and not circle({"a": {"b"}, "b": set()})


@pytest.mark.parametrize("module", DATA)
def test_loads_without_amaranth(module):
    code = f"import sys; sys.modules['amaranth'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not done.returncode, done.stderr
