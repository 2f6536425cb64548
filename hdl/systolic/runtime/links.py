"""Links by name, from the entry point group ``systolic.links``.

An entry point is a function ``open(config, size, argument) -> Link``: of a TpuConfig, how many bytes of memory a model
wants from address 0 on, and what follows the name behind a colon, else ``""``.
"""

import importlib.metadata

from ..errors import require
from ..host import Link
from ..tpu_config import TpuConfig

__all__ = ["GOLDEN", "TARGETS_GROUP", "open_link", "targets"]

#: Entry points of links.
TARGETS_GROUP = "systolic.links"

#: The one target that is no link.
GOLDEN = "golden"


def targets() -> list[str]:
    """Names of all targets, golden first."""
    return [GOLDEN, *sorted(entry.name for entry in importlib.metadata.entry_points(group=TARGETS_GROUP))]


def open_link(on: str, config: TpuConfig, size: int) -> Link:
    """The link of that name.

    Parameters
    ----------
    on : str
        ``name`` or ``name:argument``, as ``serial:/dev/ttyUSB0``.
    config : TpuConfig
    size : int
        Bytes of memory that a model wants, from address 0 on.

    Raises
    ------
    ConfigError
        If there is no link of that name.
    """
    name, _, argument = on.partition(":")
    found = {entry.name: entry for entry in importlib.metadata.entry_points(group=TARGETS_GROUP)}
    require(name in found, "target", f"one of {', '.join(targets())}", on)
    link: Link = found[name].load()(config, size, argument)
    return link
