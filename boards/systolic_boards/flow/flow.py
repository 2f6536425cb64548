"""Sources to placed, routed and timed design, over several seeds.

::

    Part ──▶ synthesise ──▶ Synthesis ──▶ place, once a seed ──▶ Placement ──▶ report
             (Yosys)        netlist,      (nextpnr)              timing, floor,
                            cell counts                          bitstream

Every finished step is kept by content (:mod:`.store`): an interrupted run goes on where it was, a repeated one is
over at once.
"""

import contextlib
import dataclasses
import statistics

from systolic_sim.rtl.toolchain import ToolError

from ..devices import Device
from . import guards, tools
from .parts import Part
from .placement import place
from .progress import Progress
from .synthesis import Synthesis, synthesise

__all__ = ["Build", "build"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Build:
    """A part on a device.

    Parameters
    ----------
    part : Part
    device : Device
    freq : float
        Frequency in MHz that the placer aimed at.
    synthesis : Synthesis
    placements : tuple of Placement
        One a seed, failed ones included.
    versions : dict of str to str
        Tools by task.
    """

    part: Part
    device: Device
    freq: float
    synthesis: Synthesis
    placements: tuple
    versions: dict

    @property
    def routed(self):
        """The placements that came to an end, slowest first."""
        return sorted((p for p in self.placements if not p.error), key=lambda p: p.fmax)

    @property
    def fmax(self):
        """Median over the seeds in MHz."""
        return statistics.median(p.fmax for p in self.routed)

    @property
    def typical(self):
        """The placement at the median; of two, the slower one."""
        return self.routed[(len(self.routed) - 1) // 2]


def build(part, device, *, freq, seeds=5, jobs=2, constraints=None, options="", timeout=None, cache=None,
          progress=None):
    """Synthesise, place, route and time a part.

    Parameters
    ----------
    part : Part
    device : Device
    freq : float
        Frequency to aim at, in MHz.
    seeds : int
        How many, from 1.
    jobs : int
        Seeds at a time; each takes a processor and half a gigabyte.
    constraints : str or None
        Text of the constraints file. The part is then the whole chip, its clocks must reach what is asked of them,
        and there are bitstreams. ``None`` builds out of context, in a harness.
    options : str
        More options of the synthesis command.
    timeout : float or None
        Seconds after which a seed is given up.
    cache : path or None
        Folder for finished steps; ``None`` takes :func:`systolic_sim.rtl.toolchain.cache_folder`.
    progress : Progress or None
        ``None`` shows it on standard error.

    Returns
    -------
    Build

    Raises
    ------
    GuardError
        If the result would not be what it seems, see :mod:`.guards`.
    ToolError
        If a tool is missing or fails, or no seed can be routed.
    """
    versions = {"synthesis": tools.version(tools.YOSYS), "place and route": tools.version(device.family.place)}
    with contextlib.ExitStack() as stack:
        progress = progress or stack.enter_context(Progress())
        synthesis = synthesise(part, device, alone=constraints is None, options=options, cache=cache,
                               progress=progress)
        guards.check_log(synthesis.log)
        guards.check_cells(synthesis.cells, part.cells)
        guards.check_fit(synthesis.chip_cells, device)
        placements = place(synthesis.netlist, device, freq=freq, seeds=range(1, seeds + 1), jobs=jobs,
                           constraints=constraints, timeout=timeout, cache=cache, progress=progress)
    if all(placement.error for placement in placements):
        raise ToolError(placements[0].error)
    if constraints is not None:
        guards.check_clocks(max(placements, key=lambda placement: placement.fmax).report, freq)
    return Build(part=part, device=device, freq=freq, synthesis=synthesis, placements=tuple(placements),
                 versions=versions)
