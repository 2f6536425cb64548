"""The matrix units that each board tests: as large as its device holds and routes well."""

import typing

from systolic.config import Arch, Config, Impl, preset

__all__ = ["UNITS", "Unit"]

class Unit(typing.NamedTuple):
    """A matrix unit on a board, and the frequency in MHz that its clock is set to; ``None`` for the board's own."""

    config: Config
    mhz: float | None = None


_ECP5_DSP = {"multiplier": "ecp5_dsp", "product_stages": 2, "gate_stages": 1, "adder_stages": 2,
              "memory": "ecp5_block", "memory_stages": 3}
_ECP5_FLOAT = {"multiplier": "ecp5_dsp", "memory": "ecp5_block", "memory_stages": 3}


def _config(name, rows, cols, *, format="int8", accumulator_depth=512, **impl):
    return Config(name=name, impl=Impl(**impl),
                  arch=Arch(rows=rows, cols=cols, format=format, accumulator_depth=accumulator_depth))


# 28 multipliers: two rows of DSPs above rows of LUTs.
_ECP5_25F_INT8 = _config("ecp5_25f_12x12", 12, 12, lut_rows=10, **_ECP5_DSP)
_ECP5_25F_BF16 = _config("ecp5_25f_bf16_4x4", 4, 4, format="bf16", **_ECP5_FLOAT)
# 156 multipliers: twelve by twelve is what the floor plan takes, with four rows of LUTs below.
_ECP5_85F_INT8 = _config("ecp5_85f_16x12", 16, 12, lut_rows=4, **_ECP5_DSP)
_ECP5_85F_BF16 = _config("ecp5_85f_bf16_8x8", 8, 8, format="bf16", **_ECP5_FLOAT)

# Eight multipliers of 16 x 16 bits, two products each.
_UP5K_INT8 = preset("up5k_4x4")
# None at all.
_HX8K_INT8 = _config("hx8k_5x4", 5, 4, accumulator_depth=256, memory_stages=2)

# 40 and 96 multipliers of 9 x 9 bits.
_GOWIN = {"multiplier": "gowin_dsp", "product_stages": 2, "memory_stages": 2}
_GW1N_9_INT8 = _config("gw1n_9_6x6", 6, 6, **_GOWIN)
_GW2A_18_INT8 = _config("gw2a_18_9x9", 9, 9, **_GOWIN)

# None either; with 6 x 6 cells nextpnr 0.11.1 runs out of its memory.
_GATEMATE_INT8 = _config("gatemate_4x4", 4, 4, memory_stages=2)

# 56 multipliers of 18 x 18 bits.
_LIFCL_40_INT8 = _config("lifcl_40_7x7", 7, 7, memory_stages=2)

#: By the board's name; int8 first.
UNITS = {
    "colorlight_5a75b": (Unit(_ECP5_25F_INT8), Unit(_ECP5_25F_BF16, 62.5)),
    "crosslink_nx_evn": (Unit(_LIFCL_40_INT8),),
    "gatemate_evb": (Unit(_GATEMATE_INT8),),
    "hx8k_b_evn": (Unit(_HX8K_INT8),),
    "icebreaker": (Unit(_UP5K_INT8),),
    "icesugar": (Unit(_UP5K_INT8),),
    "orangecrab_25f": (Unit(_ECP5_25F_INT8), Unit(_ECP5_25F_BF16, 60)),
    "tang_nano_20k": (Unit(_GW2A_18_INT8),),
    "tang_nano_9k": (Unit(_GW1N_9_INT8),),
    "ulx3s_12f": (Unit(_ECP5_25F_INT8), Unit(_ECP5_25F_BF16, 62.5)),
    "ulx3s_85f": (Unit(_ECP5_85F_INT8), Unit(_ECP5_85F_BF16, 50)),
    "upduino_v3": (Unit(_UP5K_INT8),),
}
