"""Whose bits a compiled model has: runtimes round differently, so the user names one.

docs/numerics.md has the three roundings of the hardware, and a table of which operators meet which runtime's bytes.
"""

from .averages import average, averaged
from .elementwise import addition
from .products import product
from .runtimes import Match, Rounded
from .tables import table

__all__ = ["Match", "Rounded", "addition", "average", "averaged", "product", "table"]
