"""Components that are elaborated once, however often they are instantiated.

A grid of R x C cells is R copies of one row, and a row is C copies of one cell. Amaranth elaborates every copy; for
256 x 256 cells that takes a quarter of an hour. A :class:`Shared` component is an ordinary component in simulation. On
a :class:`Library` platform only its first copy is elaborated, and every copy becomes an instance of one Verilog module
with the ports of its signature. Run time and Verilog size then grow with R + C.
"""

import dataclasses
import inspect
import re
import reprlib
from collections.abc import Mapping

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Instance, ResetInserter, ResetSignal, Signal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

__all__ = ["Library", "Shared", "place"]


class Shared(wiring.Component):
    """A component that a :class:`Library` elaborates once per :attr:`module_name`.

    Subclasses describe themselves in ``build(platform)``, where other components have ``elaborate``.

    Attributes
    ----------
    module_name : str
        Name of the Verilog module, after the library's prefix. It carries the parameters that tell such parts apart;
        those that follow from a configuration need not be in it, for the name of the design is before it.
    design : str or None
        Name of the whole design, for the component that is one. It begins the names of all modules within, so that
        designs of different shape can be placed in one top.
    resets : bool
        Whether anything in it is reset.
    description : object
        Its type and parameters: components of equal name must be equal in them.
    reset_too : Value or None
        Resets this copy, as the reset of its clock domain does.
    """

    module_name: str
    design = None
    resets = False
    reset_too = None

    def __new__(cls, *args, src_loc_at=0, **kwargs):
        self = super().__new__(cls, src_loc_at=src_loc_at + 1)
        self.description = _Description(self, args, kwargs)
        return self

    def build(self, platform):
        raise NotImplementedError

    def elaborate(self, platform):
        if isinstance(platform, Library):
            return platform.instance(self)
        return self.build(platform) if self.reset_too is None else ResetInserter(self.reset_too)(self.build(platform))


class _Description:
    """The type and parameters of a component, as they were when it was made.

    Two are equal if they have the same ``items``: a plain value for each parameter, for each field of one that is a
    dataclass, and for each item of one that is a mapping or sequence, whose order counts.
    """

    _repr = reprlib.Repr()
    _repr.maxstring = _repr.maxother = 1000

    def __init__(self, component, args, kwargs):
        self.kind = type(component)
        try:
            bound = inspect.signature(self.kind.__init__).bind(component, *args, **kwargs)
        except TypeError:
            bound = inspect.BoundArguments(inspect.Signature(), {})  # __init__ says what is wrong
        bound.apply_defaults()
        parameters = list(bound.arguments.items())[1:]
        self.items = dict(item for name, value in parameters for item in self._items(name, value))
        shown = ", ".join(f"{name}={self._repr.repr(value)}" for name, value in parameters)
        self.text = f"{self.kind.__name__}({shown})"

    def _items(self, name, value):
        if dataclasses.is_dataclass(value):
            parts = {f"{name}.{field.name}": getattr(value, field.name) for field in dataclasses.fields(value)}
        elif isinstance(value, Mapping):
            parts = {f"{name}[{key!r}]": part for key, part in value.items()}
        elif isinstance(value, (list, tuple)):
            parts = {f"{name}[{number}]": part for number, part in enumerate(value)}
        elif isinstance(value, (bool, int, float, str, bytes, type(None))) or not type(value).__hash__:
            yield name, (type(value), repr(value))
            return
        else:
            yield name, value
            return
        yield name, (type(value), len(parts))
        for part, inner in parts.items():
            yield from self._items(part, inner)

    def __eq__(self, other):
        return self.kind is other.kind and list(self.items.items()) == list(other.items.items())

    def differences(self, other):
        """Names of the parameters, or parts of them, that are not the same."""
        if self.kind is not other.kind:
            return "their types"
        names = dict.fromkeys([*self.items, *other.items])
        return ", ".join(name for name in names if name not in self.items or name not in other.items
                         or self.items[name] != other.items[name]) or "their order"


def place(m, name, component):
    """Make ``component`` the submodule ``name`` of ``m``, call the wires at its ports after it, and return it."""
    for port, (value, _) in _ports(component).items():
        value.name = f"{name}_{port}"
    m.submodules[name] = component
    return component


def _ports(component):
    """Signal and flow of each port by name; members that are constant or empty have none."""
    ports = {"_".join(map(str, path)): (Value.cast(value), member.flow)
             for path, member, value in component.signature.flatten(component)}
    return {name: (value, flow) for name, (value, flow) in ports.items() if isinstance(value, Signal) and len(value)}


class Library:
    """The platform that collects shared modules.

    Parameters
    ----------
    prefix : str
        What the names of all modules begin with, so that several designs can live in one project.
    design : str or None
        The one design that all modules are of, whose name comes next. Without it, each :attr:`Shared.design` that is
        placed names its own.

    Attributes
    ----------
    modules : dict of str to str
        RTLIL text of each shared module by name, innermost first.
    """

    def __init__(self, prefix="", design=None):
        self.prefix = prefix
        self.modules = {}
        self._design = design
        self._descriptions = {}

    def instance(self, component):
        """An instance of the component's module, which is elaborated now if it is the first of its name.

        Raises
        ------
        ValueError
            If the module of that name is of another type or has other parameters.
        """
        outer = self._design
        self._design = component.design if outer is None else outer
        try:
            return self._instance(component)
        finally:
            self._design = outer

    def _instance(self, component):
        ports = _ports(component)
        module_name = self.prefix + (f"{self._design}_" if self._design else "") + component.module_name
        self._check(module_name, component.description)
        if module_name not in self.modules:
            self.modules[module_name] = self._elaborate(component, module_name, ports)
        connections = {f"{'o' if flow is Out else 'i'}_{name}": value for name, (value, flow) in ports.items()}
        reset = ResetSignal() if component.reset_too is None else ResetSignal() | component.reset_too
        for name, value in {"clk": ClockSignal(), "rst": reset}.items():
            # A module without registers has no such port.
            if re.search(rf" input \d+ +\\{name}$", self.modules[module_name], re.MULTILINE):
                connections[f"i_{name}"] = value
        return Instance(module_name, **connections)

    def _check(self, module_name, description):
        known = self._descriptions.setdefault(module_name, description)
        if known != description:
            raise ValueError(f"module_name must be another for each description, not {module_name!r} for both\n"
                             f"{known.text} and\n{description.text}, which differ in {known.differences(description)}")

    def _elaborate(self, component, module_name, ports):
        directions = {name: (value, PortDirection.Output if flow is Out else PortDirection.Input)
                      for name, (value, flow) in ports.items()}
        text = rtlil.convert(
            component.build(self), module_name, self, ports=directions, emit_src=False,
            missing_domain=lambda name: ClockDomain(name, reset_less=not component.resets))
        # What is never reset needs no initial value either.
        return text if component.resets else re.sub(r"^ *attribute \\init .*\n", "", text, flags=re.MULTILINE)
