"""Where the multipliers of an array go, decided by us: the placer scatters them, and then the nets are long.

A DSP block of the ECP5 has four multipliers and four clock enables for all of them. One enable is always on, the
others switch weights; in two neighbouring rows the switches of cells on an antidiagonal are one signal (see
:class:`systolic.gateware.matrix.grid.Grid`), so a block takes two by two cells::

    cells  (0, 0) (0, 1) │ (0, 2) (0, 3)        switches  0  1 │ 2  3
           (1, 0) (1, 1) │ (1, 2) (1, 3)                  1  2 │ 3  4

Blocks form strips across the die. Rows of the array go down the die from strip to strip; where there are more rows than
strips, block rows lie side by side in one.
"""

import json
import math
import re

__all__ = ["fix", "is_fixed", "plan"]

_MULTIPLIER = "MULT18X18D"
_SITE = "BEL"


def plan(rows, cols, strips):
    """Sites of the multipliers of an array.

    Parameters
    ----------
    rows, cols : int
        Of the cells with a multiplier.
    strips : tuple of tuple of tuple of str
        Sites of the device: strips from top to bottom, of blocks from left to right, of four sites.

    Returns
    -------
    dict of (int, int) to str
        Site by row and column; empty if they do not fit in this way.
    """
    down, across = math.ceil(rows / 2), math.ceil(cols / 2)
    if not strips or not rows:
        return {}
    beside = math.ceil(down / len(strips))
    first = (len(strips[0]) - beside * across) // 2
    if first < 0:
        return {}
    return {(row, col): strips[row // 2 // beside][first + col // 2 * beside + row // 2 % beside][row % 2 * 2 + col % 2]
            for row in range(rows) for col in range(cols)}


def fix(netlist, sites):
    """Netlist whose multipliers the placer must put on their sites.

    Parameters
    ----------
    netlist : str
        Yosys JSON; rows and columns are read off the names of its cells.
    sites : dict of (int, int) to str
        See :func:`plan`.

    Returns
    -------
    str
        Yosys JSON.
    """
    design = json.loads(netlist)
    for module in design["modules"].values():
        for name, cell in module["cells"].items():
            if cell["type"] == _MULTIPLIER and (site := sites.get(_position(name))):
                cell["attributes"][_SITE] = site
    return json.dumps(design)


def is_fixed(netlist):
    """Whether a netlist has been through :func:`fix`."""
    return f'"{_SITE}": ' in netlist


def _position(name):
    """Row and column by a name such as ``rows_4.row_1.cell_2.product.dsp``; ``None`` if it is in no grid."""
    row, col = re.findall(r"\brows?_(\d+)\.", name), re.search(r"\bcell_(\d+)\.", name)
    return (sum(map(int, row)), int(col[1])) if row and col else None
