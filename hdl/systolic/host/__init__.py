"""Drives a TPU from a host: set up, ring the doorbell, wait, read how it ended.

::

    Driver, AsyncDriver ──▶ steps ──▶ requests ──▶ Link ──▶ registers, memory, interrupt

The steps are written once and know no bus; a link does for them what its bus can: a simulation, a serial line. Standard
library and numpy only, without Amaranth.
"""

from .driver import AsyncDriver, Driver
from .link import AsyncLink, Link, LinkError
from .outcome import HostError, Outcome, RegisterError, WaitError

__all__ = ["AsyncDriver", "AsyncLink", "Driver", "HostError", "Link", "LinkError", "Outcome", "RegisterError",
           "WaitError"]
