"""The weight FIFO: holds prefetched tiles."""

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..lib.queue import Queue
from ..shared import Shared, place
from .formats import gateware

__all__ = ["WeightFifo"]


class WeightFifo(Shared):
    """Holds ``weight_fifo_depth`` tiles, in block memory where there is some.

    Weights are recoded for the array on their way in. A row of weights can leave ``weight_latency`` cycles after it
    came, so the loading of a tile starts with its first row and not after its last.

    Members
    -------
    i : In(stream)
        Rows of tiles, C elements each, last row of a tile first.
    o : Out(stream)
        The same rows, recoded, element 0 in the lowest bits.
    """

    resets = True

    def __init__(self, config):
        self.config = config
        self.module_name = "weight_fifo"
        arch = config.arch
        super().__init__({
            "i": In(stream.Signature(data.ArrayLayout(arch.format.width, arch.cols))),
            "o": Out(stream.Signature(arch.operand_width * arch.cols)),
        })

    def build(self, platform):
        m = Module()
        config = self.config
        queue = place(m, "queue", Queue(
            "weight_queue", width=len(self.o.payload), depth=config.weight_fifo_rows - config.fifo_stages,
            stages=config.fifo_stages, ecp5=config.impl.memory == "ecp5_block"))
        m.d.comb += [
            queue.i.payload.eq(gateware(config.arch.format).recode(m, self.i.payload)),
            queue.i.valid.eq(self.i.valid),
            self.i.ready.eq(queue.i.ready),
        ]
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        return m
