"""The critical path, told in the description's own names.

nextpnr names cells and wires after what synthesis made of them, and of the many names of a wire synthesis keeps
whichever it likes. So all are looked up in the description: a register is called what its innermost module calls it.
"""

import collections
import dataclasses
import json
import re

from .synthesis import REGISTER

__all__ = ["Names", "Path", "critical_path"]

# What packing adds to the name of a cell.
_SUFFIX = re.compile(r"(\$(?!nextpnr).*|_(LC|DFFLC|CARRY|RAM|DSP|passthrough_lut))$")
_UNNAMED = re.compile(r"(^|\.)_\d+_(\[\d+\])?$")
_PREFIX = "dut."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Path:
    """A path from register to register.

    Parameters
    ----------
    start, end : str
        Registers or blocks.
    through : tuple of str
        Names on the way.
    delay : float
        Nanoseconds in all; ``clock_to_out``, ``logic``, ``routing`` and ``setup`` are its parts.
    luts, carries : int
        Steps through lookup tables and the like, and along carry chains.
    """

    start: str
    end: str
    through: tuple
    delay: float
    clock_to_out: float
    logic: float
    routing: float
    setup: float
    luts: int
    carries: int


class Names:
    """Names that the description has for wires and cells of a netlist.

    Parameters
    ----------
    synthesis : Synthesis
    """

    def __init__(self, synthesis):
        self._described = _best_names(json.loads(synthesis.wires)["modules"])
        module = next(module for module in json.loads(synthesis.netlist)["modules"].values()
                      if not int(module["attributes"].get("blackbox", "0"), 2))
        self._cells = {name: cell for name, cell in module["cells"].items() if cell["type"] != "$scopeinfo"}
        types = "|".join(sorted({re.escape(cell["type"]) for cell in self._cells.values()}))
        self._derived = re.compile(rf"_({types})_|\$")
        self._bits = {}
        ranks = {}
        for name, bit, _ in _wire_bits(module):
            self._bits[name] = bit
            if name in self._described:
                ranks[bit] = min(ranks.get(bit, self._described[name]), self._described[name])
        self._names = {bit: name for bit, (_, name) in ranks.items()}
        self._register_of = {bit: bits[0] for cell in self._cells.values() if (bits := cell["connections"].get("Q"))
                             for port in ("D", "DI", "M") for bit in cell["connections"].get(port, [])}

    def wire(self, name):
        """Name of a wire of nextpnr's, or an empty string if the description has none."""
        return self._names.get(self._bits.get(name), "")

    def cell(self, name):
        """Name of what a cell of nextpnr's is or, if it is logic ahead of a register, of that register."""
        while name not in self._cells and (match := _SUFFIX.search(name)):
            name = name[:match.start()]
        for port, bits in self._cells.get(name, {"connections": {}})["connections"].items():
            bit = bits[0] if port == "Q" else self._register_of.get(bits[0]) if port in ("O", "Z", "F") else None
            if register := self._names.get(bit):
                return register
        # Memories are split into cells that are numbered by column and row.
        return re.sub(r"(\.\d+)+$", "", self._derived.split(name)[0]).removeprefix(_PREFIX)


def _wire_bits(module):
    """Name, number and attributes of each bit of a module's wires; a bit may have many names."""
    for name, wire in module["netnames"].items():
        for index, bit in enumerate(wire["bits"]):
            full = f"{name}[{index + wire.get('offset', 0)}]" if len(wire["bits"]) > 1 else name
            yield full, bit, wire["attributes"]


def _best_names(modules):
    """Rank and name, for each name of a bit, of the best one that the bit has in a flat description.

    First what is inside the harness, then what has been given a name, then registers, by the name in the innermost
    module, then other wires, by that in the outermost.
    """
    module, = modules.values()
    names, best = [], {}
    for name, bit, attributes in _wire_bits(module):
        if "$" not in name:
            names.append((name, bit))
            register, depth = REGISTER in attributes, name.count(".")
            rank = (not name.startswith(_PREFIX), bool(_UNNAMED.search(name)), not register,
                    -depth if register else depth, _natural(name))
            best[bit] = min(best.get(bit, (rank, name)), (rank, name))
    return {name: (best[bit][0], best[bit][1].removeprefix(_PREFIX)) for name, bit in names}


def _natural(text):
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", text)]


def critical_path(report, names):
    """The slowest path between registers of a nextpnr report.

    Parameters
    ----------
    report : dict
    names : Names

    Returns
    -------
    Path or None
        ``None`` if there is no such path.
    """
    paths = [entry["path"] for entry in report["critical_paths"]
             if not any("<async>" in entry[end] for end in ("from", "to"))]
    if not paths:
        return None
    path = max(paths, key=lambda hops: sum(hop["delay"] for hop in hops))
    delays = collections.Counter()
    for hop in path:
        delays[hop["type"]] += hop["delay"]
    wires = [names.wire(hop["net"]) for hop in path if hop["type"] == "routing" and "net" in hop]
    start, end = wires[0] if wires and wires[0] else names.cell(path[0]["from"]["cell"]), names.cell(
        path[-1]["to"]["cell"])
    logic = [hop for hop in path if hop["type"] == "logic"]
    carries = sum(_is_carry(hop) for hop in logic)
    return Path(
        start=start, end=end, delay=sum(delays.values()), clock_to_out=delays["clk-to-q"], logic=delays["logic"],
        routing=delays["routing"], setup=delays["setup"], luts=len(logic) - carries, carries=carries,
        through=tuple(name for name in dict.fromkeys(wires[1:]) if name and name not in (start, end)))


def _is_carry(hop):
    ports = hop["from"]["port"], hop["to"]["port"]
    return any(port in ("FCI", "FCO", "CIN", "COUT") for port in ports)
