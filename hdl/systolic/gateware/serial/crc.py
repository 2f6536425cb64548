"""CRC-32 of Ethernet and zlib, a byte a cycle."""

import functools
import operator

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import In, Out

from ..shared import Shared

__all__ = ["Crc32"]


#: x**32 + ..., lowest power in the highest bit; and what is in the register after a frame and its checksum.
_POLYNOMIAL, _RESIDUE = 0xEDB88320, 0xDEBB20E3


def _steps(register):
    """The register after eight zeros."""
    for _ in range(8):
        register = register >> 1 ^ (_POLYNOMIAL if register & 1 else 0)
    return register


class Crc32(Shared):
    """The checksum of the bytes since the last ``clear``.

    Members
    -------
    clear : In(1)
        Begin anew; a byte in the same cycle is the first.
    valid, data : In(1), In(8)
    value : Out(32)
        As :func:`zlib.crc32` of all bytes up to the cycle before.
    right : Out(1)
        The last four of them were the checksum of those before.
    """

    resets = True
    module_name = "crc32"

    def __init__(self):
        super().__init__({"clear": In(1), "valid": In(1), "data": In(8), "value": Out(32), "right": Out(1)})

    def build(self, platform):
        m = Module()
        register = Signal(32, init=-1)
        state = Signal(32)
        m.d.comb += [state.eq(register | self.clear.replicate(32)), self.value.eq(~register),
                     self.right.eq(register == _RESIDUE)]
        mixed = state ^ self.data
        # Each bit is the parity of those whose way through eight steps leads to it.
        ways = [_steps(1 << place) for place in range(32)]
        after = [functools.reduce(operator.xor, (bit for bit, way in zip(mixed, ways, strict=True) if way >> to & 1))
                 for to in range(32)]
        m.d.sync += register.eq(state)
        with m.If(self.valid):
            m.d.sync += register.eq(Cat(after))
        return m
