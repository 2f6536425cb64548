"""What stops a build whose result would not be what it seems, and what keeps a figure from saying too much."""

import re

from systolic_sim.rtl.toolchain import ToolError

__all__ = ["REFUTED", "GuardError", "check_cells", "check_clocks", "check_fit", "check_log", "claim"]


class GuardError(ToolError):
    """The tools were content, the result is not: the message says what is wrong."""


#: What abc9 says if what it mapped is not what it was given. Yosys goes on.
REFUTED = "Networks are NOT EQUIVALENT"

# What synthesis says about a netlist that does something else than the description.
_SUSPICIOUS = (
    (r"Driver-driver conflict", "synthesis joined two drivers and may have lost logic"),
    (r"multiple conflicting drivers", "a wire has more than one driver"),
    (r"Latch inferred for signal", "a latch was inferred"),
    (r"found logic loop", "there is a combinational loop"),
    (REFUTED, "technology mapping changed the logic"),
)


def check_log(log):
    """Look for what synthesis should not have said.

    Raises
    ------
    GuardError
        With the line.
    """
    for pattern, meaning in _SUSPICIOUS:
        if match := re.search(rf"^.*(?:{pattern}).*$", log, flags=re.MULTILINE):
            raise GuardError(f"{meaning}: {match[0].strip()}")


def check_cells(cells, planned):
    """Compare a netlist with its plan: a multiplier that has gone was not optimised but lost.

    Parameters
    ----------
    cells, planned : dict of str to int
        Cells by type; types that the plan does not name are free.

    Raises
    ------
    GuardError
        With the number planned and the number found.
    """
    for cell, number in planned.items():
        if cells.get(cell, 0) != number:
            raise GuardError(f"{number} {cell} planned, but the netlist has {cells.get(cell, 0)}")


def check_fit(cells, device):
    """Compare cells with what a device has, before hours go into placing them.

    Raises
    ------
    GuardError
        With the resource, what is needed and what there is.
    """
    for resource, needed in device.family.count(cells).items():
        if needed > device.resources[resource]:
            raise GuardError(f"{device.name} has {device.resources[resource]} {resource}, the design needs {needed}")


def check_clocks(report, freq):
    """Compare each clock of a nextpnr report with its constraint, and the constraints with the board's clock.

    Parameters
    ----------
    report : dict
        nextpnr's own.
    freq : float
        Frequency in MHz that the fastest clock has on the board.

    Raises
    ------
    GuardError
        With the clock, what it reaches and what is asked.
    """
    asked = max((clock["constraint"] for clock in report["fmax"].values()), default=0.0)
    if asked < 0.999 * freq:
        raise GuardError(f"the board's clock is {freq:.1f} MHz, but the placer was asked for {asked:.1f} MHz")
    for name, clock in report["fmax"].items():
        if clock["achieved"] < clock["constraint"]:
            raise GuardError(f"clock {name} reaches {clock['achieved']:.1f} MHz, the board's is "
                             f"{clock['constraint']:.1f} MHz")


def claim(fmax, cells, device):
    """What may be said of a frequency.

    Parameters
    ----------
    fmax : float
        As timed, in MHz.
    cells : dict of str to int
        Cells of the design.
    device : Device

    Returns
    -------
    tuple of (float, str)
        The frequency that may be claimed, and what has to be said with it, if anything.
    """
    family = device.family
    notes = []
    for pattern, limit in family.limits.items():
        if limit < fmax and any(re.fullmatch(pattern, cell) for cell in cells):
            notes.append(f"timed at {fmax:.1f} MHz, but the data sheet promises {pattern.replace('|', ', ')} "
                         f"no more than {limit:g} MHz")
            fmax = limit
    if blind := sorted(cell for cell in cells for pattern in family.untimed if re.fullmatch(pattern, cell)):
        notes.append(f"paths through {', '.join(blind)} are not timed")
    return fmax, "; ".join(notes)
