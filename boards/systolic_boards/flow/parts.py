"""What to build, as sources for synthesis: a matrix unit or its array, a TPU or one of its blocks."""

import collections
import dataclasses
import math

from amaranth.hdl import Fragment

from systolic import verilog
from systolic.gateware.activation.requantise import Requantise
from systolic.gateware.activation.unit import ActivationUnit
from systolic.gateware.core import Core
from systolic.gateware.dma.load import Loader
from systolic.gateware.dma.read_dma import ReadDma
from systolic.gateware.dma.store import Storer
from systolic.gateware.dma.weight_reader import WeightReader
from systolic.gateware.host.control import ControlRegisters
from systolic.gateware.matrix.grid import Grid
from systolic.gateware.matrix.matrix_unit import MatrixUnit
from systolic.gateware.matrix.row_reader import RowReader
from systolic.gateware.sequencer.decoder import Decoder
from systolic.gateware.sequencer.fetch import Fetcher
from systolic.gateware.sequencer.scoreboard import Scoreboard
from systolic.gateware.sequencer.sequencer import Sequencer
from systolic.gateware.shared import Library
from systolic.gateware.unified_buffer import UnifiedBuffer
from systolic.gateware.vendor.multiplier import MULTIPLIERS

__all__ = ["PARTS", "Part", "TPU_PARTS", "around_tpu", "array", "generated", "matrix_unit", "tpu"]


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
    control : bool
        Whether most of it is control logic, for which families have other options of synthesis.
    """

    name: str
    top: str
    sources: dict
    macs: int = 0
    cells: dict = dataclasses.field(default_factory=dict)
    multipliers: tuple = (0, 0)
    clock: str = "clk"
    control: bool = False


def array(config):
    """The grid alone: ports of its edge, no skew, no memories."""
    grid = Grid(config, config.row_mappings, config.arch.taps)
    return _component(f"{config.name}_array", config, grid, cells=_planned_cells(config),
                      macs=config.arch.rows * config.arch.cols, multipliers=_multipliers(config))


def _component(name, config, component, **options):
    """A component alone, with the ports of its signature."""
    library = Library(design=config.name)
    Fragment.get(component, library)
    return Part(name=name, top=f"{config.name}_{component.module_name}",
                sources={"design.il": "\n".join(library.modules.values())}, **options)


def matrix_unit(config):
    """The generated Verilog, whole: with skew, weight FIFO, accumulators and result FIFO."""
    return generated(config, verilog.generate(config))


def generated(config, design):
    """The matrix unit of a configuration, of which the Verilog is there."""
    return Part(name=f"{config.name}_matrix_unit", top=design.name, macs=config.arch.rows * config.arch.cols,
                sources={"design.v": design.verilog}, cells=_planned_cells(config), multipliers=_multipliers(config))


def tpu(config):
    """The generated Verilog of a TPU, whole."""
    design = verilog.generate(config)
    return around_tpu(config, name=config.name, top=design.name, sources={"design.v": design.verilog})


def around_tpu(config, **what):
    """A design with a TPU in it: parameters of a Part."""
    arch, multipliers = config.matrix.arch, _multipliers(config.matrix)
    # Beside few multipliers the placer does better on its own.
    return Part(macs=arch.rows * arch.cols, multipliers=multipliers if math.prod(multipliers) >= _MANY else (0, 0),
                control=True, **what)


def _block(name, describe):
    """One block of a TPU alone; ``describe`` makes its component from the TPU's configuration."""
    return lambda config: _component(f"{config.name}_{name}", config, describe(config))


#: Of a matrix unit, by name: functions of its Config.
PARTS = {"array": array, "matrix_unit": matrix_unit}

#: Of a TPU, by name: functions of its TpuConfig. ``core`` is all but the control registers.
TPU_PARTS = {"tpu": tpu} | {name: _block(name, describe) for name, describe in {
    "core": Core, "control": ControlRegisters, "sequencer": Sequencer, "decoder": Decoder, "scoreboard": Scoreboard,
    "fetcher": Fetcher, "read_dma": ReadDma, "load": Loader, "store": Storer, "weights": WeightReader,
    "row_reader": RowReader, "tpu_matrix_unit": lambda config: MatrixUnit(config.matrix),
    "unified_buffer": UnifiedBuffer, "activation": ActivationUnit,
    "requantise": lambda config: Requantise(ecp5=config.matrix.impl.multiplier == "ecp5_dsp"),
}.items()}

# Multipliers that no longer find their places, or ways between them, on their own.
_MANY = 100

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
