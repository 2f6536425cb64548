"""Components that are elaborated once, however often they are placed.

A grid of R x C cells is R copies of one row, and a row C copies of one cell. Amaranth elaborates every copy;
for 256 x 256 cells that takes a quarter of an hour. A :class:`Shared` component is an ordinary component in
simulation, but when the platform is a :class:`Library` only the first copy is elaborated: every placement
becomes an instance of one module, so that time and text grow with R + C.
"""

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Instance, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

__all__ = ["Library", "Shared"]


class Shared(wiring.Component):
    """A component that a :class:`Library` elaborates once per :attr:`module_name`.

    Subclasses describe themselves in ``build(platform)``, where other components have ``elaborate``. They use
    no reset, and copies of equal ``module_name`` are equal.
    """

    module_name: str

    def build(self, platform):
        raise NotImplementedError

    def elaborate(self, platform):
        return platform.place(self) if isinstance(platform, Library) else self.build(platform)


class Library:
    """The platform that collects shared modules.

    Attributes
    ----------
    modules : dict of str to str
        RTLIL text of each shared module by name, innermost first.
    """

    def __init__(self):
        self.modules = {}

    def place(self, component):
        """An instance of the component's module, which is elaborated now if it is the first of its name."""
        ports = {"__".join(map(str, path)): (Value.cast(value), member.flow)
                 for path, member, value in component.signature.flatten(component)}
        ports = {name: (value, flow) for name, (value, flow) in ports.items() if len(value)}
        if component.module_name not in self.modules:
            self.modules[component.module_name] = self._elaborate(component, ports)
        return Instance(component.module_name, i_clk=ClockSignal(), **{
            f"{'o' if flow is Out else 'i'}_{name}": value for name, (value, flow) in ports.items()})

    def _elaborate(self, component, ports):
        directions = {name: (value, PortDirection.Output if flow is Out else PortDirection.Input)
                      for name, (value, flow) in ports.items()}
        return rtlil.convert(component.build(self), component.module_name, self, ports=directions, emit_src=False,
                             missing_domain=lambda name: ClockDomain(name, reset_less=True))
