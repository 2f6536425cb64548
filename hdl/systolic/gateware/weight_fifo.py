"""The weight FIFO: tiles wait here, filled ahead of their use."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from .mac import operand_shape, recode

__all__ = ["WeightFifo"]


class WeightFifo(wiring.Component):
    """Holds ``weight_fifo_depth`` tiles, in block memory where there is some.

    Weights are recoded for the array on their way in. A row of weights can leave two cycles after it came, so the
    loading of a tile starts with its first row and not after its last.

    Members
    -------
    i : In(stream)
        Rows of tiles, C elements each, last row of a tile first.
    o : Out(stream)
        The same rows, recoded.
    """

    def __init__(self, config):
        self.config = config
        arch = config.arch
        super().__init__({
            "i": In(stream.Signature(data.ArrayLayout(arch.format.width, arch.cols))),
            "o": Out(stream.Signature(data.ArrayLayout(operand_shape(arch), arch.cols))),
        })

    def elaborate(self, platform):
        m = Module()
        arch = self.config.arch
        recoded = Signal.like(self.o.payload)
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(
            width=len(recoded.as_value()), depth=self.config.weight_fifo_rows)
        for c, weight in enumerate(self.i.payload):
            m.d.comb += recoded[c].eq(recode(m, arch, weight))
        m.d.comb += [
            queue.w_data.eq(recoded), queue.w_en.eq(self.i.valid), self.i.ready.eq(queue.w_rdy),
            self.o.payload.eq(queue.r_data), self.o.valid.eq(queue.r_rdy), queue.r_en.eq(self.o.ready),
        ]
        return m
