"""What a self-test sends, and the signature that its results must have: plain numpy, no hardware."""

import numpy as np

from systolic_sim.golden.formats import golden
from systolic_sim.golden.matrix_unit import MatrixUnit
from systolic_sim.golden.program import Program

__all__ = ["K_TILES", "ROW_LANE", "STALL_LANE", "TAPS", "TILES", "WEIGHT_LANE", "expected", "program", "random_bytes",
           "seeds", "signature", "sizes"]

#: Weight tiles of a self-test: sums over 4 tiles, in 4 sizes, under 4 kinds of stalls.
TILES = 64
K_TILES = 4

# The polynomial of CRC-32.
TAPS = 0x04C11DB7
# Lanes of 32 bits: far enough apart that no two generators share a seed.
WEIGHT_LANE, ROW_LANE, STALL_LANE = 1, 1001, 2001


def sizes(config):
    """Rows of a tile, one number for each size of product.

    All entries; a single one, which every tile accumulates onto at once; as many as a turnaround has cycles; and one
    more than the array has rows, so that loading just hides.
    """
    depth = config.arch.accumulator_depth
    return tuple(min(size, depth) for size in (depth, 1, config.turnaround, config.arch.rows + 1))


def seeds(lanes, first):
    """What lanes of :class:`.selftest.Random` begin with: the golden ratio's multiples, never zero."""
    return [0x9E3779B9 * number & 0xFFFFFFFF for number in range(first, first + lanes)]


def random_bytes(count, width, first):
    """What :class:`.selftest.Random` gives in as many steps: uint8 array [count, width / 8]."""
    value = np.array(seeds(-(-width // 32), first), np.uint32)
    beats = np.empty((count, len(value)), "<u4")
    for beat in beats:
        beat[:] = value
        value = value ^ value << np.uint32(13)
        value ^= value >> np.uint32(17)
        value ^= value << np.uint32(5)
    return beats.view(np.uint8)[:, :width // 8]


def program(config):
    """The program of the self-test, for the golden model.

    Parameters
    ----------
    config : Config

    Returns
    -------
    Program
        With :data:`TILES` tiles.
    """
    arch = config.arch
    counts = np.array(sizes(config))[np.arange(TILES) // K_TILES % 4]
    tile = np.repeat(np.arange(TILES), counts)
    address = np.concatenate([np.arange(count) for count in counts])
    beats = _operands(arch, TILES * arch.rows, arch.cols, WEIGHT_LANE)
    return Program(
        tiles=beats.reshape(TILES, arch.rows, arch.cols)[:, ::-1], x=_operands(arch, len(tile), arch.rows, ROW_LANE),
        address=address, accumulate=tile % K_TILES != 0, switch=address == 0, last=tile % K_TILES == K_TILES - 1)


def _operands(arch, count, elements, first):
    """Array [count, elements] of the format's type: any bits, then bounded."""
    bits = random_bytes(count, elements * arch.format.width, first)
    dtype = np.dtype(arch.format.operand_dtype)
    return golden(arch.format).bounded(bits.view(dtype.newbyteorder("<")).astype(dtype))


def signature(results):
    """32 bits of the results.

    Parameters
    ----------
    results : int32 or uint32 array [n, C]

    Returns
    -------
    int
    """
    columns = np.zeros(results.shape[1], np.uint32)
    for row in results.view(np.uint32):
        columns = (columns << np.uint32(1)) ^ np.where(columns >> np.uint32(31), np.uint32(TAPS), np.uint32(0)) ^ row
    folded = 0
    for c, column in enumerate(columns.tolist()):
        folded ^= (column << c % 32 | column >> (32 - c % 32)) & 0xFFFFFFFF
    return folded


def expected(config):
    """The signature by the golden model."""
    return signature(MatrixUnit(config.arch).run(program(config)))
