"""The matrix unit: weight FIFO, grid and accumulators behind three streams."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from .accumulators import Accumulators, Command
from .grid import Grid
from .mac import operand_shape, psum_shape, recode, zero_psum
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


class MatrixUnit(wiring.Component):
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

    def __init__(self, config):
        self.config = config
        arch = config.arch
        super().__init__({
            "weights": In(stream.Signature(data.ArrayLayout(arch.format.width, arch.cols))),
            "rows": In(stream.Signature(RowCommand(arch))),
            "results": Out(stream.Signature(data.ArrayLayout(32, arch.cols))),
        })

    def elaborate(self, platform):
        m = Module()
        config, arch, impl = self.config, self.config.arch, self.config.impl
        operand, psum = operand_shape(arch), psum_shape(arch)

        m.submodules.weight_fifo = weight_fifo = WeightFifo(config)
        m.submodules.weight_skew = weight_skew = Skew(
            f"{config.name}_weight_skew", operand, arch.cols, impl.hop_stages)
        m.submodules.row_skew = row_skew = Skew(
            f"{config.name}_row_skew", operand, arch.rows, impl.psum_stages)
        m.submodules.grid = grid = Grid(config, arch.rows)
        m.submodules.deskew = deskew = Skew(
            f"{config.name}_deskew", psum, arch.cols, impl.hop_stages, reverse=True)
        m.submodules.accumulators = accumulators = Accumulators(config)
        wiring.connect(m, wiring.flipped(self.weights), weight_fifo.i)

        accepted = Signal()
        m.d.comb += [
            accepted.eq(self.rows.valid & self.rows.ready),
            self.rows.ready.eq(self._tile_ready(m, accepted, weight_fifo.o, grid.control)
                               & self._entry_ready(m, accepted)
                               & self._result_ready(m, accepted, accumulators.o)),
        ]

        row = delay(m, self.rows.payload.data, 1, "row")
        for r in range(arch.rows):
            m.d.comb += row_skew.i[r].eq(recode(m, arch, row[r]))
        m.d.comb += [
            weight_skew.i.eq(weight_fifo.o.payload), grid.w.eq(weight_skew.o),
            grid.a.eq(row_skew.o), grid.psum.eq(grid.psum.shape().const([zero_psum(arch)] * arch.cols)),
            deskew.i.eq(grid.psum_below), accumulators.psums.eq(deskew.o),
        ]

        command = Signal(Command(arch))
        m.d.comb += [command[name].eq(self.rows.payload[name]) for name in ("address", "accumulate", "last")]
        cycles = config.array_latency - impl.memory_stages
        m.d.comb += [
            accumulators.command.payload.eq(delay(m, command, cycles, "command")),
            accumulators.command.valid.eq(delay(m, accepted, cycles, "command_valid", reset_less=False)),
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
        fresh = Signal(init=1)
        loading_last, switch, switched = Signal(), Signal(), Signal()
        m.d.comb += [
            weights.ready.eq(~loaded),
            control.load.eq(weights.valid & weights.ready),
            control.hops.eq(hops),
            control.switch.eq(delay(m, switched, 1, "switch")),
            loading_last.eq(control.load & (hops == 0)),
            switch.eq(self.rows.payload.switch | fresh),
            switched.eq(accepted & switch),
        ]
        with m.If(control.load):
            m.d.sync += hops.eq(Mux(hops == 0, rows - 1, hops - 1))
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
        """Holds back a last row until the result FIFO has room that no row before it will take."""
        depth = self.config.result_fifo_depth
        m.submodules.result_fifo = queue = fifo.SyncFIFOBuffered(width=len(finished.payload.as_value()), depth=depth)
        credits = Signal(range(depth + 1), init=depth)
        m.d.comb += [
            queue.w_data.eq(finished.payload), queue.w_en.eq(finished.valid),
            self.results.payload.eq(queue.r_data), self.results.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.results.ready),
        ]
        m.d.sync += credits.eq(credits - (accepted & self.rows.payload.last)
                               + (self.results.valid & self.results.ready))
        return ~self.rows.payload.last | (credits != 0)
