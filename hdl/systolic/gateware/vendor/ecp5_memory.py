"""Block RAM of the ECP5 with its output registers, which synthesis does not make use of."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module
from amaranth.lib.wiring import In, Out

from ..shared import Shared

__all__ = ["Ecp5Memory"]


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
        ports = {f"i_{name}": Const(value) for name, value in {
            "CEA": 1, "CSA0": 0, "CSA1": 0, "CSA2": 0, "WEB": 0, "CSB0": 0, "CSB1": 0, "CSB2": 0}.items()}
        for port, address in (("A", self.write_address), ("B", self.read_address)):
            # In 36-bit mode the low address bits of the write port enable bytes.
            low = Const(15 if port == "A" else 0, 5)
            ports |= {f"i_CLK{port}": ClockSignal(), f"i_RST{port}": Const(0)}
            ports |= {f"i_AD{port}{bit}": value for bit, value in enumerate(Cat(low, address))}
        ports |= {f"i_DI{'AB'[bit // 18]}{bit % 18}": self.i[bit] for bit in range(36)}
        ports |= {f"o_DO{'AB'[bit // 18]}{bit % 18}": self.o[bit] for bit in range(36)}
        m.submodules.ram = Instance(
            "DP16KD", i_WEA=self.write, i_CEB=self.read, i_OCEA=self.move, i_OCEB=self.move, **ports,
            p_DATA_WIDTH_A=36, p_DATA_WIDTH_B=36, p_REGMODE_A="OUTREG", p_REGMODE_B="OUTREG", p_RESETMODE="SYNC",
            p_ASYNC_RESET_RELEASE="SYNC", p_GSR="DISABLED")
        return m
