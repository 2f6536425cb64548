"""ECP5 block RAM with its output registers, which synthesis does not infer."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module
from amaranth.lib.wiring import In, Out

from ..shared import Shared

__all__ = ["Ecp5Bytes", "Ecp5Memory"]


def _block(width, *, addresses, write, read, move, i, o):
    """A DP16KD of that width, written on port A and read on port B; ``addresses``: 14 bits of each."""
    ports = {f"i_{name}": Const(value) for name, value in {
        "CEA": 1, "CSA0": 0, "CSA1": 0, "CSA2": 0, "WEB": 0, "CSB0": 0, "CSB1": 0, "CSB2": 0}.items()}
    for port, address in zip("AB", addresses, strict=True):
        ports |= {f"i_CLK{port}": ClockSignal(), f"i_RST{port}": Const(0)}
        ports |= {f"i_AD{port}{bit}": value for bit, value in enumerate(address)}
    # Halves of 36 bits come and go on both ports.
    ports |= {f"i_DI{'AB'[bit // 18]}{bit % 18}": value for bit, value in enumerate(i)}
    halves = "AB" if width == 36 else "B"
    ports |= {f"o_DO{halves[bit // 18]}{bit % 18}": value for bit, value in enumerate(o)}
    return Instance(
        "DP16KD", i_WEA=write, i_CEB=read, i_OCEA=move, i_OCEB=move, **ports,
        p_DATA_WIDTH_A=width, p_DATA_WIDTH_B=width, p_REGMODE_A="OUTREG", p_REGMODE_B="OUTREG", p_RESETMODE="SYNC",
        p_ASYNC_RESET_RELEASE="SYNC", p_GSR="DISABLED")


class Ecp5Memory(Shared):
    """A DP16KD, 512 x 36 bits, with its output registers: they halve the time from clock to data.

    Members
    -------
    write, write_address, i : In
        Port A.
    read, read_address : In
        Port B. What was read before stays unless ``read`` is high.
    move : In
        The output registers take what was read before; only together with ``read``.
    o : Out(36)
        The output registers.
    """

    DEPTH = 512
    WIDTH = 36

    module_name = "ecp5_memory"
    write: In(1)
    write_address: In(9)
    i: In(36)
    read: In(1)
    read_address: In(9)
    move: In(1)
    o: Out(36)

    def build(self, platform):
        m = Module()
        # In 36-bit mode the low address bits of the write port enable bytes.
        addresses = Cat(Const(15, 5), self.write_address), Cat(Const(0, 5), self.read_address)
        m.submodules.ram = _block(36, addresses=addresses, write=self.write, read=self.read, move=self.move,
                                  i=self.i, o=self.o)
        return m


class Ecp5Bytes(Shared):
    """Bytes in as many DP16KD as it takes, side by side, with their output registers.

    Parameters
    ----------
    depth : int
        Bytes, up to ``DEPTH``.

    Members
    -------
    write, write_address, i : In
        Port A.
    read_address : In
        Port B, read in every cycle.
    o : Out(8)
        The byte, two cycles after its address.
    """

    DEPTH = 16384

    # Bits of each byte in a block, and the width of the block's mode.
    MODES = ((8, 9), (4, 4), (2, 2), (1, 1))

    def __init__(self, depth):
        self.bits, self.width = next((bits, width) for bits, width in self.MODES if depth * bits <= self.DEPTH)
        self.module_name = f"ecp5_bytes_{depth}"
        super().__init__({"write": In(1), "write_address": In(range(depth)), "i": In(8),
                          "read_address": In(range(depth)), "o": Out(8)})

    def build(self, platform):
        m, low = Module(), Const(0, self.bits.bit_length() - 1)
        addresses = [Cat(low, address, Const(0, 14))[:14] for address in (self.write_address, self.read_address)]
        for first in range(0, 8, self.bits):
            part = slice(first, first + self.bits)
            m.submodules[f"ram_{first}"] = _block(
                self.width, addresses=addresses, write=self.write, read=Const(1), move=Const(1),
                i=self.i[part], o=self.o[part])
        return m
