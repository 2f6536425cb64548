"""From a graph to programs; see docs/compiler.md."""

from .compile import compile_graph

__all__ = ["compile_graph"]
