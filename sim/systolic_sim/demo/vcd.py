"""Reads waveforms: the values of signals cycle by cycle, from a value change dump."""

import numpy as np

__all__ = ["read"]


def read(path, wanted, clock="clk"):
    """Values of signals just before each rising edge of the clock.

    Parameters
    ----------
    path : path
        A value change dump.
    wanted : callable(name) -> bool
        Chooses signals by hierarchical name, such as ``"TOP.dut.ready"``.
    clock : str
        Last part of the clock's name; the outermost signal of that name is taken.

    Returns
    -------
    dict of int64 array [cycles]
        By name; bits that are unknown or floating count as 0.

    Raises
    ------
    ValueError
        If the file has no such clock.
    """
    with open(path, encoding="ascii") as lines:
        codes = _header(lines)
        clocks = [name for name in codes if name.rpartition(".")[2] == clock]
        if not clocks:
            raise ValueError(f"{path} has no signal {clock}")
        edge = codes[min(clocks, key=lambda name: name.count("."))]
        names = {name: code for name, code in codes.items() if wanted(name)}
        samples = _samples(lines, edge, sorted(set(names.values())))
    return {name: samples[code] for name, code in names.items()}


def _header(lines):
    """Code of each signal by hierarchical name."""
    codes, scope = {}, []
    for line in lines:
        words = line.split()
        if words[:1] == ["$scope"]:
            scope.append(words[2])
        elif words[:1] == ["$upscope"]:
            scope.pop()
        elif words[:1] == ["$var"]:
            codes[".".join([*scope, words[4]])] = words[3]
        elif words[:1] == ["$enddefinitions"]:
            break
    return codes


def _samples(lines, clock, codes):
    """Values [cycles] by code; the changes at one time are taken together, since their order means nothing."""
    now, changes, history = dict.fromkeys(codes, 0) | {clock: 1}, {}, []
    for line in lines:
        if line[0] == "#":
            _settle(now, changes, history, clock, codes)
            changes = {}
        elif line[0] in "01xz":
            changes[line[1:].strip()] = int(line[0] == "1")
        elif line[0] == "b":
            value, code = line[1:].split()
            if code in now:
                changes[code] = int(value.replace("x", "0").replace("z", "0"), 2)
    _settle(now, changes, history, clock, codes)
    values = np.array(history, np.int64).reshape(len(history), len(codes))
    return dict(zip(codes, values.T, strict=True))


def _settle(now, changes, history, clock, codes):
    if changes.get(clock) and not now[clock]:
        history.append([now[code] for code in codes])
    now.update((code, value) for code, value in changes.items() if code in now)
