"""What a build came to: JSON, Markdown, and pictures."""

import dataclasses
import json
import pathlib

from ..pages import picture
from . import guards
from .paths import Names, critical_path

__all__ = ["markdown", "summary", "write"]


def summary(build, names=None, *, clock=None):
    """All figures of a build as plain data.

    ``resources`` are those of the design alone, without the harness. ``fmax_mhz`` has the timed frequencies;
    ``claimed_mhz`` is the median, cut to what data sheets promise, and ``gops`` is two operations a
    multiply-accumulate at that frequency.

    Parameters
    ----------
    build : Build
    names : Names or None
        Of its netlist, if they are there already.
    clock : float or None
        Frequency in MHz that it runs at on its board; ``gops`` is then at that.

    Returns
    -------
    dict
    """
    family, part = build.device.family, build.part
    names = names or Names(build.synthesis)
    frequencies = [placement.fmax for placement in build.routed]
    claimed, note = guards.claim(build.fmax, build.synthesis.cells, build.device)
    used = family.count(build.synthesis.cells)
    return {
        "part": part.name, "top": part.top, "device": build.device.name, "title": build.device.title,
        "macs": part.macs,
        "resources": {resource: {"used": used[resource], "available": available}
                      for resource, available in build.device.resources.items()},
        "cells": build.synthesis.cells,
        "luts_per_mac": round(used["LUT"] / part.macs, 1) if part.macs else None,
        "target_mhz": build.freq,
        "fmax_mhz": {"min": round(frequencies[0], 1), "median": round(build.fmax, 1), "max": round(frequencies[-1], 1)},
        "claimed_mhz": round(claimed, 1), "note": note,
        "clock_mhz": clock, "gops": round(2 * part.macs * (clock or claimed) / 1000, 2),
        "bitstream_bytes": len(build.routed[-1].bitstream),
        "critical_path": _path(build.typical, names),
        "seeds": [_seed(placement, names) for placement in build.placements],
        "synthesis_seconds": round(build.synthesis.seconds, 1),
        "tools": build.versions,
    }


def _seed(placement, names):
    if placement.error:
        return {"seed": placement.seed, "error": placement.error}
    return {"seed": placement.seed, "fmax_mhz": round(placement.fmax, 1), "seconds": round(placement.seconds, 1),
            "critical_path": _path(placement, names)}


def _path(placement, names):
    path = critical_path(placement.report, names)
    if path is None:
        return None
    return {key: round(value, 2) if isinstance(value, float) else value
            for key, value in dataclasses.asdict(path).items()}


def markdown(figures):
    """A page on a build.

    Parameters
    ----------
    figures : dict
        See :func:`summary`.

    Returns
    -------
    str
    """
    resources = figures["resources"]
    fmax = figures["fmax_mhz"]
    routed = [seed for seed in figures["seeds"] if "error" not in seed]
    clock = f"{figures['claimed_mhz']} MHz" if figures["clock_mhz"] is None else \
            f"{figures['clock_mhz']:g} MHz, the clock of the board"
    lines = [
        f"# {figures['part']} on {figures['device']}", "",
        f"{figures['title']}; {', '.join(figures['tools'].values())}.", "",
        f"| {' | '.join(resources)} | Fmax min / median / max | GOPS |", "|" + "---|" * (len(resources) + 2),
        "| " + " | ".join(f"{count['used']} of {count['available']}" for count in resources.values())
        + f" | {fmax['min']} / {fmax['median']} / {fmax['max']} MHz | {figures['gops']} |", "",
        f"Resources of the design alone{_per_mac(figures)}. {len(routed)} of {len(figures['seeds'])} seeds routed, "
        f"aiming at {figures['target_mhz']:g} MHz; GOPS = 2 x {figures['macs']} MACs x {clock}.",
    ]
    if figures["note"]:
        lines += ["", f"Note: {figures['note']}."]
    lines += ["", "![utilisation](utilisation.svg)", "![floor plan](floorplan.svg)", "", "## Critical paths", "",
              "| seed | MHz | from | to | ns | clock to out | logic | routing | LUT steps | carry steps |",
              "|---|---|---|---|---|---|---|---|---|---|"]
    return "\n".join([*lines, *map(_seed_row, figures["seeds"])]) + "\n"


def _per_mac(figures):
    return f", {figures['luts_per_mac']} LUT per MAC" if figures["luts_per_mac"] else ""


def _seed_row(seed):
    if "error" in seed:
        return f"| {seed['seed']} | | {seed['error']} |" + " |" * 7
    path = seed["critical_path"]
    row = f"| {seed['seed']} | {seed['fmax_mhz']} |"
    if path is None:
        return row + " |" * 8
    return row + (f" `{path['start']}` | `{path['end']}` | {path['delay']} | {path['clock_to_out']} | {path['logic']} "
                  f"| {path['routing']} | {path['luts']} | {path['carries']} |")


def write(build, folder, *, clock=None):
    """Write ``report.json``, ``report.md``, two pictures and, of a whole chip, its fastest bitstream.

    Parameters
    ----------
    build : Build
    folder : path
        Made if it does not exist.
    clock : float or None
        See :func:`summary`.

    Returns
    -------
    dict
        The figures, see :func:`summary`.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = Names(build.synthesis)
    figures = summary(build, names, clock=clock)
    floor = [(x, y, kind, names.cell(name)) for x, y, kind, name in build.typical.floor]
    (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    (folder / "report.md").write_text(markdown(figures))
    (folder / "utilisation.svg").write_text(picture.bars(figures["resources"]))
    (folder / "floorplan.svg").write_text(picture.floor_plan(floor))
    if bitstream := build.routed[-1].bitstream:
        (folder / f"{build.part.name}.{build.device.family.bitstream}").write_bytes(bitstream)
    return figures
