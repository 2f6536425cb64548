"""The words of docs/fpga.md: how the figures are made, and what each structure is."""

__all__ = ["INTRODUCTION", "OTHERS", "STRUCTURES"]

INTRODUCTION = """\
Post-route figures, written by `make bench-fpga` with open tools from the package index alone: {tools}. {seeds} seeds
each, unless the row has another number. ECP5-85F speed grade 6 unless said otherwise; int8 on DSPs with nextpnr's
router2, for its first router does not finish where DSP blocks are full.

* **Out of context**: pins are few, so a shift register feeds the design and a parity tree reads it, both registered and
  both left out of the counts.
* **LUT** = LUT4 + 2 x CCU2C + 6 x TRELLIS_DPR16X4; of iCE40 SB_LUT4, of Gowin LUTs and ALUs.
* **GOPS** = 2 x MACs x MHz at the median, cut to what data sheets promise: "225 counted". UltraPlus: 50 MHz for an
  SB_MAC16 without its pipeline register (ours uses it; the sheet has no figure for that), 150 MHz for block RAM, 185
  MHz for a clock. ECP5: 225 MHz for a MULT18X18D and 272 MHz for a DP16KD with all registers in use are said to be
  FPGA-DS-02012's for speed grade 8; we could not check them against the sheet, and grade 6 is slower.
* **Gowin**: nextpnr has no times of DSP blocks, so MHz is that of the logic around them, and there are no GOPS.
"""

OTHERS = """\
The 8x8 int8 array alone, on 64 MULT18X18D, measured with the same tools and harness and nextpnr's first router, one to
three seeds. Psum widths differ, from 16 to 32 bits. At 12x12, the plain grid reaches 51 MHz; placed on its own, a bf16
multiplier with a bf16 adder from an Amaranth floating-point library 384 LUT and 134 MHz, with sums in bf16.

Whole engines, with buses that our matrix unit has not: axis-systolic-array 4x4 with its DMAs 6,339 LUT and 69 MHz,
CFU-Playground's 4x2 blocks (32 MACs) 5,584 LUT, 36 DSP and 63 MHz, both on an ECP5. Arrays of 4x4 on a UP5K, alone
and with plain synthesis: 3,300 to 4,400 LUT, 26 to 37 MHz.
"""

STRUCTURES = """\
## Structures

Every mapping equals the behavioural multiplier for all 65,536 pairs of factors, on models of the primitives
([test_primitives.py](../tests/systolic_sim/test_primitives.py)). Yellow is a register, blue is hardened or carry logic.

### `ecp5_dsp`

![A cell on a MULT18X18D](fpga_ecp5_dsp.svg)

A MULT18X18D instantiated with its input and output registers. The active weight is its input register B, whose clock
enable is the switch: no fabric register holds it. A second register catches the product in the fabric before the adder,
for the hop out of a DSP block costs 2 to 3 ns of routing. What is left of a cell is the psum adder.

Two things make an array of them fast. [floorplan.py](../boards/systolic_boards/floorplan.py) says where each multiplier
goes, two by two cells in a DSP block and rows from strip to strip; left alone, nextpnr scatters them, because the four
multipliers of a block share four clock enables and few neighbours fit together. And below every second row the
[grid](../hdl/systolic/gateware/grid.py) stores the switch inverted: cells on an antidiagonal switch in the same cycle,
and synthesis would make one register of them all, with a net across the chip.

### `ecp5_lut`

![Two partial products in a carry chain](fpga_ecp5_lut.svg)

Carry chains that add two partial products a LUT. A CCU2C half propagates (A & B) ^ (C & D) and generates A & B, so
a x w[0] + 2 a x w[1] is one chain of ten bits; 72 LUT make an 8 x 8 multiplier where synthesis of a product takes 288.
Registers sit behind the four chains and at the product, with three `product_stages` also in between.

### `lut_rows`

Rows at the foot of the array made of LUTs under rows made of DSPs, to fill a device. Results are the same. 24 x 26 take
every DSP block and 84 % of the registers of an 85F; the [floor plan](#floor-plans) shows who is where.

### `ice40_dsp`

![Two columns on an SB_MAC16](fpga_ice40_dsp.svg)

An SB_MAC16 as two 8 x 8 multipliers, for two neighbouring columns, registered at its inputs and behind its multipliers:
place and route does not time it otherwise. Both halves share one hold input but switch one hop apart, so the active
weights are in the fabric, and the block registers what they are about to be.

### `gowin_dsp`

![A cell on a MULT9X9](fpga_gowin_dsp.svg)

A MULT9X9 with its input and output registers and a fabric register on either side. The timer sees nothing of a DSP
block: of a multiplier that synthesis inferred it would ignore the multiplication and both hops, all in one cycle. Here
each has a cycle of its own, for the same LUTs and registers. The arrays above have every MULT9X9 there is, 40 and 96.

### The bf16 cell

![A fused multiply-add of seven steps](fpga_bf16.svg)

Numbers are recoded once, at the array's edge, so that [the adder](../hdl/systolic/gateware/float.py) has no cases: with
mantissas in two's complement a sum of either sign is one addition and rounds as it stands, and subnormals only limit a
shift. Tests for the normalising shifts are made for either outcome of the test before, and rounding shares a carry
chain with the exponent. With an L of 3 to 8, registers stand behind other steps; results are the same.

### `ecp5_block`

Accumulators and both FIFOs in DP16KD blocks with their output registers, which halve the time from clock to data;
behind those of the accumulators a register gates the entry that is not to be added.

### The whole unit

![Addresses are compared as rows come](fpga_row_gate.svg)

An array that never stops needs one decision a cycle: may the next row go? The
[row gate](../hdl/systolic/gateware/row_gate.py) takes it a cycle ahead and keeps it in a register, beside another for
the weights that are loaded; nothing else lies on the way to the array or to the weight FIFO. A row is compared with
those whose sums are still on their way when it comes, and only then: while it waits in the spare place, the outcome
grows old in its stead. On an ECP5 a [carry chain](../hdl/systolic/gateware/ecp5_carry.py) compares two addresses, a bit
a half of a CCU2C: one hop through the fabric where LUTs take three. FIFOs have flags where they might
compare pointers. `gate_stages` and `adder_stages` cut the ways from the gate to the array, and from an accumulator
through its adder back into memory.
"""
