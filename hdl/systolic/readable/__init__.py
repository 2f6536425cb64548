"""Makes the Verilog that Yosys writes readable.

Yosys gives each operation a line and a numbered wire, ``_123_``. Here what is used once is written where it is used,
and what is used more often gets a name. Lines of a form that is not known stay as they are.
"""

from .module import readable

__all__ = ["readable"]
