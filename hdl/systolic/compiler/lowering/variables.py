"""Where values and states of a graph lie in memory."""

from ..builder import Builder
from ..graph import Graph
from ..image import Variable
from ..layout import Layout
from .shapes import layout_of

__all__ = ["Variables"]


class Variables:
    """Where values lie between programs: one variable each, for host and TPU."""

    def __init__(self, builder: Builder, graph: Graph) -> None:
        self._builder, self._graph = builder, graph
        self._variables: dict[str, Variable] = {}
        self._states: dict[str, Variable] = {}

    def input(self, name: str, layout: Layout, images: int, fill: int) -> Variable:
        """The variable of a value that a program reads; made by the host if it is new."""
        if name not in self._variables:
            if images > 1:
                layout = Layout.of(1, 1, layout.size * images)
            self._variables[name] = self._builder.input(name, layout, fill=fill)
        return self._variables[name]

    def output(self, name: str) -> Variable:
        """The variable of a value that a program writes."""
        if name not in self._variables:
            layout, images = layout_of(self._graph.values[name].shape)
            if images > 1:
                layout = Layout.of(1, 1, layout.size * images)
            self._variables[name] = self._builder.output(name, layout)
        return self._variables[name]

    def state(self, name: str) -> Variable:
        """The variable of a state, with its first values."""
        if name not in self._states:
            first = self._graph.states[name]
            layout = Layout.of(1, 1, first.size)
            self._states[name] = self._builder.input(f"state {name}", layout, first)
        return self._states[name]

    def layout(self, name: str) -> Layout | None:
        """Layout of a value that lies in memory already."""
        found = self._variables.get(name)
        return found.layout if found else None
