"""Components that are elaborated once, however often they are placed.

A grid of R x C cells is R copies of one row, and a row C copies of one cell. Amaranth elaborates every copy;
for 256 x 256 cells that takes a quarter of an hour. A :class:`Shared` component is an ordinary component in
simulation, but when the platform is a :class:`Library` only the first copy is elaborated: every placement
becomes an instance of one Verilog module with just the ports of its signature. Time and text grow with R + C.
"""

import re

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
        Name of the Verilog module, after the library's prefix. Components of equal name are equal.
    resets : bool
        Whether anything in it is reset.
    reset_too : Value or None
        Resets this copy, as the reset of its clock domain does.
    """

    module_name: str
    resets = False
    reset_too = None

    def build(self, platform):
        raise NotImplementedError

    def elaborate(self, platform):
        if isinstance(platform, Library):
            return platform.instance(self)
        return self.build(platform) if self.reset_too is None else ResetInserter(self.reset_too)(self.build(platform))


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

    Attributes
    ----------
    modules : dict of str to str
        RTLIL text of each shared module by name, innermost first.
    """

    def __init__(self, prefix=""):
        self.prefix = prefix
        self.modules = {}

    def instance(self, component):
        """An instance of the component's module, which is elaborated now if it is the first of its name."""
        ports = _ports(component)
        module_name = self.prefix + component.module_name
        if module_name not in self.modules:
            self.modules[module_name] = self._elaborate(component, module_name, ports)
        connections = {f"{'o' if flow is Out else 'i'}_{name}": value for name, (value, flow) in ports.items()}
        reset = ResetSignal() if component.reset_too is None else ResetSignal() | component.reset_too
        for name, value in {"clk": ClockSignal(), "rst": reset}.items():
            # A module without registers has no such port.
            if re.search(rf" input \d+ +\\{name}$", self.modules[module_name], re.MULTILINE):
                connections[f"i_{name}"] = value
        return Instance(module_name, **connections)

    def _elaborate(self, component, module_name, ports):
        directions = {name: (value, PortDirection.Output if flow is Out else PortDirection.Input)
                      for name, (value, flow) in ports.items()}
        text = rtlil.convert(
            component.build(self), module_name, self, ports=directions, emit_src=False,
            missing_domain=lambda name: ClockDomain(name, reset_less=not component.resets))
        # What is never reset needs no initial value either.
        return text if component.resets else re.sub(r"^ *attribute \\init .*\n", "", text, flags=re.MULTILINE)
