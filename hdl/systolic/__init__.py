"""Systolic matrix engines: from a small description to Verilog, golden model and bitstream.

::

    import systolic

    unit = systolic.Config(arch=systolic.Arch(rows=4, cols=4), name="mine")
    systolic.write(systolic.generate(unit), "ip")

What is here is imported when it is first used: ``import systolic`` itself needs neither Amaranth nor numpy.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import Arch as Arch
    from .config import Config as Config
    from .config import Impl as Impl
    from .config import preset as preset
    from .errors import UserError as UserError
    from .runtime import load as load
    from .tpu_config import TpuConfig as TpuConfig
    from .tpu_config import tpu_preset as tpu_preset
    from .verilog import generate as generate
    from .verilog import write as write

__all__ = ["Arch", "Config", "Impl", "TpuConfig", "UserError", "__version__", "generate", "load", "preset",
           "tpu_preset", "write"]

__version__: str = importlib.metadata.version("systolic")

_HOMES = {"Arch": "config", "Config": "config", "Impl": "config", "preset": "config", "UserError": "errors",
          "load": "runtime", "TpuConfig": "tpu_config", "tpu_preset": "tpu_config", "generate": "verilog",
          "write": "verilog"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
