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
    {"serial"},
]

#: What has to load where there is no Amaranth.
DATA = ["systolic.errors", "systolic.formats", "systolic.config", "systolic.tpu_config", "systolic.isa",
        "systolic.registers", "systolic.compiler", "systolic.compiler.layers", "systolic.host", "systolic.runtime",
        "systolic_sim.golden", "systolic_sim.cycles.tpu", "systolic_sim.cycles.schedule", "systolic_sim.check.flow",
        "systolic_sim.emulator", "systolic_sim.links"]


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


def named_ports(tree):
    """Lines on which a port is declared or reached by a name put together: an f-string as a key of members, or
    ``getattr`` with one, or on a component itself."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if called == "getattr":
            subject, name = node.args[:2]
            if isinstance(name, ast.JoinedStr) or isinstance(subject, ast.Name) and subject.id == "self":
                yield node.lineno
        elif called == "__init__":
            keys = [key for each in ast.walk(node) for key in getattr(each, "keys", [getattr(each, "key", None)])]
            if any(isinstance(key, ast.JoinedStr) for key in keys):
                yield node.lineno


@pytest.mark.parametrize("name", GATEWARE)
def test_ports_have_names_of_their_own(name):
    """Many of a kind are an ``array``."""
    assert not list(named_ports(ast.parse(modules()[name].read_text())))


def test_a_named_port_is_found():
    code = """
class Box(Component):
    def __init__(self):
        super().__init__({"o": Out(1), **{f"{name}_command": Out(1) for name in UNITS}})
        super().__init__({"o": Out(1), f"{UNITS[0]}_i": In(1)})
        super().__init__({"o": Out(1), "i": In(1).array(2)})

    def build(self):
        return getattr(self, name), getattr(core, f"{name}_done"), getattr(field, "name")
"""
    assert sorted(named_ports(ast.parse(code))) == [4, 5, 9, 9]


def code_literals(tree):
    """Lines on which something named for an error or its code is given a number other than 0, which is none."""
    def named(node):
        name = getattr(node, "attr", None) or getattr(node, "id", None) or getattr(node, "arg", None) or ""
        return name.endswith(("code", "error", "problem"))

    for node in ast.walk(tree):
        given = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given += node.args if node.func.attr == "eq" and named(node.func.value) else []
            given += node.args if node.func.attr == "_fail" else []
            given += [each.value for each in node.keywords if named(each)]
        elif isinstance(node, ast.Assign) and any(map(named, node.targets)):
            given.append(node.value)
        elif isinstance(node, ast.keyword) and node.arg == "errors":
            given.append(node.value)
        for each in given:
            if any(isinstance(part, ast.Constant) and type(part.value) is int and part.value for part in values(each)):
                yield node.lineno if hasattr(node, "lineno") else each.lineno


def values(node):
    """The parts of an expression that may become its value: not the indices in it."""
    yield node
    for name, part in ast.iter_fields(node):
        if not (isinstance(node, ast.Subscript) and name == "slice"):
            for each in part if isinstance(part, list) else [part]:
                if isinstance(each, ast.AST):
                    yield from values(each)


@pytest.mark.parametrize("name", [*GATEWARE, *sorted(name for name in modules() if ".cycles." in name)])
def test_error_codes_have_names(name):
    assert not list(code_literals(ast.parse(modules()[name].read_text())))


def test_a_code_literal_is_found():
    code = """
self.error.code.eq(Mux(step.beyond, 6, ErrorCode.REGION))
self.problem.eq(2)
self._fail(m, 9)
self.error = (7, index)
account(m, errors=[(valid, 8, index)])
self.error.code.eq(ErrorCode.REGION), self.problem.eq(Mux(limits, ErrorCode.FIELD, 0)), beat.error.eq(resp[1])
self.error = None if wrong is None else (ErrorCode.REGION, row[1].instruction)
"""
    assert sorted(code_literals(ast.parse(code))) == [2, 3, 4, 5, 6]


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
