"""What to build: the array alone, or the whole matrix unit, as sources for synthesis."""

import collections
import dataclasses
import math

from amaranth.hdl import Fragment

from systolic import verilog
from systolic.gateware.matrix.grid import Grid
from systolic.gateware.shared import Library
from systolic.gateware.vendor.multiplier import MULTIPLIERS

__all__ = ["PARTS", "Part", "array", "generated", "matrix_unit"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A design to synthesise.

    Parameters
    ----------
    name : str
        For files and tables.
    top : str
        Name of its top module.
    sources : dict of str to str
        Texts by file name, Verilog (``.v``) or RTLIL (``.il``).
    macs : int
        Multiply-accumulates a cycle.
    cells : dict of str to int
        Cells of a type that its mapping plans: a netlist with another number of them is wrong.
    multipliers : tuple of (int, int)
        Rows and columns of the multipliers that :mod:`.floorplan` may place, if any.
    clock : str
        Its clock port.
    """

    name: str
    top: str
    sources: dict
    macs: int = 0
    cells: dict = dataclasses.field(default_factory=dict)
    multipliers: tuple = (0, 0)
    clock: str = "clk"


def array(config):
    """The grid alone: ports of its edge, no skew, no memories."""
    library = Library(f"{config.name}_")
    grid = Grid(config, config.row_mappings)
    Fragment.get(grid, library)
    return Part(name=f"{config.name}_array", top=library.prefix + grid.module_name, cells=_planned_cells(config),
                sources={"design.il": "\n".join(library.modules.values())}, macs=config.arch.rows * config.arch.cols,
                multipliers=_multipliers(config))


def matrix_unit(config):
    """The generated Verilog, whole: with skew, weight FIFO, accumulators and result FIFO."""
    return generated(config, verilog.generate(config))


def generated(config, design):
    """The matrix unit of a configuration, of which the Verilog is there."""
    return Part(name=f"{config.name}_matrix_unit", top=design.name, macs=config.arch.rows * config.arch.cols,
                sources={"design.v": design.verilog}, cells=_planned_cells(config), multipliers=_multipliers(config))


PARTS = {"array": array, "matrix_unit": matrix_unit}

# Block that a multiplier mapping takes; "generic" leaves it to synthesis.
_BLOCKS = {"ecp5_dsp": "MULT18X18D", "ecp5_lut": None, "ice40_dsp": "SB_MAC16", "gowin_dsp": "MULT9X9"}


def _planned_cells(config):
    mappings = config.row_mappings
    if not set(mappings) <= _BLOCKS.keys():
        return {}
    count = collections.Counter({block: 0 for block in _BLOCKS.values() if block})
    for mapping in mappings:
        if block := _BLOCKS[mapping]:
            count[block] += math.ceil(config.arch.cols / MULTIPLIERS[mapping].lanes)
    return dict(count)


def _multipliers(config):
    """Rows and columns to place: of dense cells, and where two by two of them share their switches."""
    impl = config.impl
    if impl.multiplier != "ecp5_dsp" or not config.arch.format.dense or impl.psum_stages != impl.hop_stages:
        return 0, 0
    return config.arch.rows - impl.lut_rows, config.arch.cols
