"""Matrix units that fill the devices of the boards, as far as they route well."""

from systolic.config import Arch, Config, Impl, preset

__all__ = ["ECP5_25F_BF16", "ECP5_25F_INT8", "ECP5_85F_BF16", "ECP5_85F_INT8", "GATEMATE_INT8",
           "GW1N_9_INT8", "GW2A_18_INT8", "HX8K_INT8", "LIFCL_40_INT8", "UP5K_INT8"]

_ECP5_INT8 = {"multiplier": "ecp5_dsp", "product_stages": 2, "gate_stages": 1, "adder_stages": 2,
              "memory": "ecp5_block", "memory_stages": 3}
_ECP5_BF16 = {"multiplier": "ecp5_dsp", "memory": "ecp5_block", "memory_stages": 3}


def _config(name, rows, cols, *, format="int8", accumulator_depth=512, **impl):
    return Config(name=name, impl=Impl(**impl),
                  arch=Arch(rows=rows, cols=cols, format=format, accumulator_depth=accumulator_depth))


# 28 multipliers: two rows of DSPs above rows of LUTs.
ECP5_25F_INT8 = _config("ecp5_25f_12x12", 12, 12, lut_rows=10, **_ECP5_INT8)
ECP5_25F_BF16 = _config("ecp5_25f_bf16_4x4", 4, 4, format="bf16", **_ECP5_BF16)
# 156 multipliers: twelve by twelve is what the floor plan takes, with four rows of LUTs below.
ECP5_85F_INT8 = _config("ecp5_85f_16x12", 16, 12, lut_rows=4, **_ECP5_INT8)
ECP5_85F_BF16 = _config("ecp5_85f_bf16_8x8", 8, 8, format="bf16", **_ECP5_BF16)

# Eight multipliers of 16 x 16 bits, two products each.
UP5K_INT8 = preset("up5k_4x4")
# None at all.
HX8K_INT8 = _config("hx8k_5x4", 5, 4, accumulator_depth=256, memory_stages=2)

# 40 and 96 multipliers of 9 x 9 bits.
_GOWIN = {"multiplier": "gowin_dsp", "product_stages": 2, "memory_stages": 2}
GW1N_9_INT8 = _config("gw1n_9_6x6", 6, 6, **_GOWIN)
GW2A_18_INT8 = _config("gw2a_18_9x9", 9, 9, **_GOWIN)

# None either; with 6 x 6 cells nextpnr 0.11.1 runs out of its memory.
GATEMATE_INT8 = _config("gatemate_4x4", 4, 4, memory_stages=2)

# 56 multipliers of 18 x 18 bits.
LIFCL_40_INT8 = _config("lifcl_40_7x7", 7, 7, memory_stages=2)
