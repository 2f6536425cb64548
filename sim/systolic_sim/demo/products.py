"""Matrix products on the golden model and on the RTL, compared bit for bit, with a tally of cycles."""

import dataclasses
import time

import numpy as np

from systolic_sim.cycles.schedule import schedule
from systolic_sim.golden.matrix_unit import MatrixUnit
from systolic_sim.golden.program import matmul_program, untile

__all__ = ["Golden", "Mismatch", "Rtl", "Tally"]


class Mismatch(Exception):
    """The RTL is not what the models say; the message names the layer and by how much."""


@dataclasses.dataclass(kw_only=True)
class Tally:
    """What the products on the RTL took.

    Parameters
    ----------
    cells : int
        R * C.
    products : int
    macs : int
        M * K * N of all products: without what tiles are padded with.
    rows : int
        Activation rows that entered the array.
    cycles : int
        From reset to the last result, the loading of the first weights included.
    predicted : int
        The same by :func:`~systolic_sim.cycles.schedule.schedule`.
    bits : int
        Bits of the results.
    wrong : int
        Of these, different from the golden model's.
    seconds : float
        Processor time of the simulation, which other programs and threads do not lengthen.
    """

    cells: int
    products: int = 0
    macs: int = 0
    rows: int = 0
    cycles: int = 0
    predicted: int = 0
    bits: int = 0
    wrong: int = 0
    seconds: float = 0.0

    @classmethod
    def total(cls, tallies):
        """Sum of tallies of one configuration."""
        names = [field.name for field in dataclasses.fields(cls) if field.name != "cells"]
        return cls(cells=tallies[0].cells, **{name: sum(getattr(t, name) for t in tallies) for name in names})

    @property
    def utilisation(self):
        """Useful MACs, as a part of R * C a cycle."""
        return self.macs / (self.cells * self.cycles)

    @property
    def busy(self):
        """Cycles in which a row entered, as a part of all."""
        return self.rows / self.cycles

    @property
    def speed(self):
        """Simulated cycles per second of processor time."""
        return self.cycles / self.seconds


class Golden:
    """Products on the golden model of a configuration, each from reset.

    Members
    -------
    sums : list of array [M, N]
        Results of all products so far.
    """

    def __init__(self, config):
        self._arch = config.arch
        self.sums = []

    def __call__(self, layer, x, w):
        program = matmul_program(self._arch, x, w)
        results = MatrixUnit(self._arch).run(program)
        self.sums.append(untile(self._arch, results, len(x), w.shape[1]))
        return self.sums[-1]


class Rtl:
    """Products on a compiled model, each from reset and checked against what the golden model found.

    Parameters
    ----------
    model : MatrixUnitRtl
    expected : list of array [M, N]
        Golden sums, of the same products in the same order.

    Members
    -------
    tally : Tally

    Raises
    ------
    Mismatch
        If a bit differs, or the number of cycles.
    """

    def __init__(self, model, expected):
        self._model, self._expected = model, expected
        arch = model.config.arch
        self.tally = Tally(cells=arch.rows * arch.cols)

    def __call__(self, layer, x, w):
        config, tally = self._model.config, self.tally
        program = matmul_program(config.arch, x, w)
        start = time.thread_time()
        results, run = self._model.run(program)
        tally.seconds += time.thread_time() - start
        sums, golden = untile(config.arch, results, len(x), w.shape[1]), self._expected[tally.products]
        predicted = schedule(config, program).total
        tally.products += 1
        tally.macs += x.size * w.shape[1]
        tally.rows += len(program)
        tally.cycles += run.cycles
        tally.predicted += predicted
        tally.bits += 32 * sums.size
        tally.wrong += int(np.bitwise_count(sums.view(np.uint32) ^ golden.view(np.uint32)).sum())
        where = f"{config.name}, layer {layer + 1}"
        if tally.wrong:
            raise Mismatch(_difference(where, sums, golden, tally.wrong))
        if run.cycles != predicted:
            raise Mismatch(f"{where}: {run.cycles:,} cycles, not {predicted:,} as predicted")
        return sums


def _difference(where, sums, golden, bits):
    wrong = np.argwhere(sums != golden)
    m, n = wrong[0]
    return (f"{where}: {len(wrong):,} of {sums.size:,} sums differ from the golden model, in {bits:,} bits; "
            f"first y[{m}, {n}] = {sums[m, n]}, not {golden[m, n]}")
