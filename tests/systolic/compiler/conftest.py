"""Machines that compilers are tested on."""

import pytest

from systolic.config import Arch, Config
from systolic.tpu_config import TpuConfig, tpu_preset


def machine(rows, cols, taps=0, **options):
    arch = Arch(rows=rows, cols=cols, accumulator_depth=64, result_fifo_depth=64, taps=taps)
    return TpuConfig(name=f"tpu_{rows}x{cols}", matrix=Config(arch=arch),
                     **{"lanes": min(cols, 3), "buffer_size": 16384, "bus_bytes": 16} | options)


#: Square, with rows that share a bus word, with rows of several words, of prime sizes.
MACHINES = {each.name: each for each in (
    tpu_preset("tpu_4x4"), machine(5, 11, taps=3), machine(7, 3), machine(3, 37, taps=2), machine(16, 2, bus_bytes=4))}


@pytest.fixture(params=MACHINES)
def tpu(request):
    return MACHINES[request.param]
