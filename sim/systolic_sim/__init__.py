"""Everything that runs the design without hardware."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .product import matmul as matmul

__all__ = ["matmul"]


def __getattr__(name: str) -> Any:
    if name != "matmul":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .product import matmul  # only here: whoever wants a part of this package need not wait for numpy
    return matmul
