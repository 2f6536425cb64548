"""The matrix unit: weight FIFO, grid and accumulators behind three streams."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .accumulators import Accumulators, Command
from .grid import Grid
from .mac import recode, zero_psum
from .queue import Queue
from .shared import Shared, place
from .skew import Skew, delay
from .weight_fifo import WeightFifo

__all__ = ["MatrixUnit", "RowCommand"]


class RowCommand(data.StructLayout):
    """An activation row and what to do with it.

    ``data``: R elements. ``switch``: multiply this row and those after it by the next tile. ``address``,
    ``accumulate``, ``last``: see :class:`~systolic.gateware.accumulators.Command`.
    """

    def __init__(self, arch):
        super().__init__({
            "data": data.ArrayLayout(arch.format.width, arch.rows),
            "address": arch.address_width, "accumulate": 1, "switch": 1, "last": 1,
        })


class MatrixUnit(Shared):
    """Multiplies a stream of activation rows by a stream of weight tiles.

    ::

        weights ──▶ WeightFifo ──▶ skew ─────────────┐
                                                     ▼
        rows ──▶ gate ──▶ register ──▶ skew ──▶ Grid R x C
                  │                                  ▼
                  │                               deskew
                  │                                  ▼
                  └──▶ command, delayed ──▶ Accumulators ──▶ result FIFO ──▶ results

    The array never stops: a row that has passed the gate arrives, so the gate lets pass only what will find its
    weights loaded, its accumulator entry up to date and, if it is a ``last`` row, room in the result FIFO.

    Parameters
    ----------
    config : Config

    Members
    -------
    weights : In(stream)
        Rows of weight tiles, C elements each; R rows a tile, last row first.
    rows : In(stream of RowCommand)
        Activation rows. The first one after reset switches whether it says so or not.
    results : Out(stream)
        Finished rows of C sums of 32 bits: int32, or the bits of fp32.

    One row a cycle. A result is there ``config.latency`` cycles after its row was accepted. The next tile is
    loaded while the current one is in use, in R cycles: products of R rows or more leave no gap.
    """

    resets = True

    def __init__(self, config):
        self.config = config
        self.module_name = "matrix_unit"
        arch = config.arch
        super().__init__({
            "weights": In(stream.Signature(data.ArrayLayout(arch.format.width, arch.cols))),
            "rows": In(stream.Signature(RowCommand(arch))),
            "results": Out(stream.Signature(data.ArrayLayout(32, arch.cols))),
        })

    def build(self, platform):
        m = Module()
        config, arch, impl = self.config, self.config.arch, self.config.impl

        def skew(name, width, lanes, step, **options):
            return place(m, name, Skew(name, width, lanes, step, **options))

        weight_fifo = place(m, "weight_fifo", WeightFifo(config))
        weight_skew = skew("weight_skew", arch.operand_width, arch.cols, impl.hop_stages)
        row_skew = skew("row_skew", arch.operand_width, arch.rows, impl.psum_stages)
        grid = place(m, "grid", Grid(config, config.row_mappings))
        deskew = skew("deskew", arch.psum_width, arch.cols, impl.hop_stages, reverse=True)
        accumulators = place(m, "accumulators", Accumulators(config))
        wiring.connect(m, wiring.flipped(self.weights), weight_fifo.i)

        accepted = Signal()
        m.d.comb += [
            accepted.eq(self.rows.valid & self.rows.ready),
            self.rows.ready.eq(self._tile_ready(m, accepted, weight_fifo.o, grid.control)
                               & self._entry_ready(m, accepted)
                               & self._result_ready(m, accepted, accumulators.o)),
        ]

        row = delay(m, self.rows.payload.data, 1, "row")
        m.d.comb += [
            row_skew.i.eq(recode(m, arch, row)),
            weight_skew.i.eq(weight_fifo.o.payload), grid.w.eq(weight_skew.o),
            grid.a.eq(row_skew.o), grid.psum.eq(zero_psum(arch).replicate(arch.cols)),
            deskew.i.eq(grid.psum_below), accumulators.psums.eq(deskew.o),
        ]

        command = Signal(Command(arch))
        m.d.comb += [command[name].eq(self.rows.payload[name]) for name in ("address", "accumulate", "last")]
        cycles = config.array_latency - impl.memory_stages
        m.d.comb += [
            accumulators.command.payload.eq(delay(m, command, cycles, "command_delayed")),
            accumulators.command.valid.eq(delay(m, accepted, cycles, "accepted_delayed", reset_less=False)),
        ]
        return m

    def _tile_ready(self, m, accepted, weights, control):
        """Loads the next tile as soon as the shadow weights are free; holds back a switch until it is loaded.

        Rows pass one register more than weights on their way to the grid. So the last weights may enter in the
        very cycle in which the switching row is accepted, and the next tile's first weights one cycle later.
        """
        rows = self.config.arch.rows
        loaded = Signal()
        hops = Signal(range(rows), init=rows - 1)
        last_hops = Signal(init=rows == 1)
        fresh = Signal(init=1)
        loading_last = Signal()
        switch = Signal()
        switched = Signal()
        m.d.comb += [
            weights.ready.eq(~loaded),
            control.load.eq(weights.valid & weights.ready),
            control.hops.eq(hops),
            control.switch.eq(delay(m, switched, 1, "switch_row")),
            loading_last.eq(control.load & last_hops),
            switch.eq(self.rows.payload.switch | fresh),
            switched.eq(accepted & switch),
        ]
        with m.If(control.load):
            m.d.sync += [hops.eq(Mux(last_hops, rows - 1, hops - 1)),
                         last_hops.eq(hops == 1 if rows > 1 else 1)]
        with m.If(accepted):
            m.d.sync += fresh.eq(0)
        with m.If(switched):
            m.d.sync += loaded.eq(0)
        with m.Elif(loading_last):
            m.d.sync += loaded.eq(1)
        return ~switch | loaded | loading_last

    def _entry_ready(self, m, accepted):
        """Holds back a row that would accumulate onto an entry whose sum is still on its way into memory."""
        row = self.rows.payload
        recent = Signal(data.StructLayout({"valid": 1, "address": self.config.arch.address_width}))
        m.d.comb += [recent.valid.eq(accepted), recent.address.eq(row.address)]
        busy = Signal(self.config.turnaround - 1)
        for age, match in enumerate(busy):
            earlier = Signal.like(recent, name=f"recent_{age + 1}")
            m.d.sync += earlier.eq(recent)
            m.d.comb += match.eq(earlier.valid & (earlier.address == row.address))
            recent = earlier
        return ~(row.accumulate & busy.any())

    def _result_ready(self, m, accepted, finished):
        """Holds back a last row until the result FIFO has room that no row before it will take.

        Credits are counted one cycle late, for a short path from the streams; with two left, one is sure.
        """
        depth = self.config.result_fifo_depth
        queue = place(m, "result_fifo", Queue("result_queue", width=len(finished.payload),
                                              depth=depth - 1))
        credits = Signal(range(depth + 1), init=depth)
        credit = Signal(init=1)
        m.d.comb += [
            queue.i.payload.eq(finished.payload), queue.i.valid.eq(finished.valid),
            self.results.payload.eq(queue.o.payload), self.results.valid.eq(queue.o.valid),
            queue.o.ready.eq(self.results.ready),
        ]
        take = delay(m, accepted & self.rows.payload.last, 1, "take", reset_less=False)
        give = delay(m, self.results.valid & self.results.ready, 1, "give", reset_less=False)
        with m.If(take & ~give):
            m.d.sync += [credits.eq(credits - 1), credit.eq(credits > 2)]
        with m.If(give & ~take):
            m.d.sync += [credits.eq(credits + 1), credit.eq(credits > 0)]
        return ~self.rows.payload.last | credit
