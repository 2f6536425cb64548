"""The matrix unit: weight FIFO, grid and accumulators behind three streams."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..delay import delay
from ..lib.queue import Queue
from ..ports import RowCommand
from ..shared import Shared, place
from .accumulators import Accumulators, Command
from .formats import gateware
from .grid import Control, Grid
from .row_gate import RowGate
from .skew import Skew
from .weight_fifo import WeightFifo

__all__ = ["MatrixUnit", "RowCommand", "Status"]


class Status(data.StructLayout):
    """What the array does in a cycle, one bit at most.

    ``active``: a row goes into it. None does because its tile has not been loaded: ``weight_shift`` if weights of it go
    in, ``weight_stall`` if not even that.
    """

    def __init__(self):
        super().__init__({"active": 1, "weight_stall": 1, "weight_shift": 1})


class MatrixUnit(Shared):
    """Multiplies a stream of activation rows by a stream of weight tiles.

    ::

        weights ──▶ WeightFifo ──▶ skew ──┐
                                          ▼
        rows ──▶ RowGate ──▶ skew ──▶ Grid R x C
                  │                       ▼
                  │                    deskew
                  │                       ▼
                  └──▶ delay ──▶ Accumulators ──▶ result FIFO ──▶ results

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
        Finished rows of C sums, ``result_width`` bits each: int32, or the bits of fp32.
    status : Out(Status)
        What the array does in this cycle.

    One row a cycle. A result is there ``config.latency`` cycles after its row was accepted, if that did not wait. The
    next tile is loaded while the current one is in use, in R cycles: products of R rows or more leave no gap.
    All handshake outputs are registers.
    """

    resets = True

    def __init__(self, config):
        self.config = config
        self.module_name = "matrix_unit"
        self.design = config.name
        arch = config.arch
        super().__init__({
            "weights": In(stream.Signature(data.ArrayLayout(arch.format.width, arch.cols))),
            "rows": In(stream.Signature(RowCommand(arch))),
            "results": Out(stream.Signature(data.ArrayLayout(arch.format.result_width, arch.cols))),
            "status": Out(Status()),
        })

    def build(self, platform):
        m = Module()
        config, arch, impl = self.config, self.config.arch, self.config.impl
        format = gateware(arch.format)

        def skew(name, width, lanes, step, **options):
            return place(m, name, Skew(name, width, lanes, step, **options))

        weight_fifo = place(m, "weight_fifo", WeightFifo(config))
        row_gate = place(m, "row_gate", RowGate(config))
        weight_skew = skew("weight_skew", arch.operand_width, arch.cols, impl.hop_stages)
        row_skew = skew("row_skew", arch.operand_width, arch.rows, impl.psum_stages)
        grid = place(m, "grid", Grid(config, config.row_mappings, arch.taps))
        deskew = skew("deskew", arch.psum_width, arch.cols, impl.hop_stages, reverse=True)
        accumulators = place(m, "accumulators", Accumulators(config))
        wiring.connect(m, wiring.flipped(self.weights), weight_fifo.i)
        wiring.connect(m, wiring.flipped(self.rows), row_gate.i)
        control = self._load_tiles(m, weight_fifo.o, row_gate)
        self._queue_results(m, accumulators.o, row_gate)

        row, stages = row_gate.o.payload, impl.gate_stages
        m.d.comb += [
            row_skew.i.eq(delay(m, format.recode(m, row.data), stages, "row")), grid.a.eq(row_skew.o),
            weight_skew.i.eq(delay(m, weight_fifo.o.payload, stages, "weights_in")), grid.w.eq(weight_skew.o),
            grid.control.eq(delay(m, control, stages, "control_in")),
            grid.psum.eq(format.zero_psum(arch).replicate(arch.cols)),
            deskew.i.eq(grid.psum_below), accumulators.psums.eq(deskew.o),
        ]
        went = row_gate.o.valid
        if arch.taps:
            went = went & ~row.fills
            m.d.comb += grid.line.eq(self._lines(m, row_skew))
        command = Signal(Command(arch))
        m.d.comb += [command[name].eq(row[name]) for name in ("address", "accumulate", "last")]
        cycles = config.array_latency - 1 - impl.memory_stages
        m.d.comb += [
            accumulators.command.payload.eq(delay(m, command, cycles, "command_delayed")),
            accumulators.command.valid.eq(delay(m, went, cycles, "went_delayed", reset_less=False)),
        ]
        return m

    def _lines(self, m, row_skew):
        """Down each column, its channel of the rows: as a wave that keeps up with what moves right."""
        arch, impl = self.config.arch, self.config.impl
        if impl.hop_stages == impl.psum_stages:
            return row_skew.o[:arch.operand_width * arch.channels]
        skew = place(m, "line_skew", Skew("line_skew", arch.operand_width, arch.channels, impl.hop_stages))
        m.d.comb += skew.i.eq(row_skew.i[:len(skew.i)])
        return skew.o

    def _load_tiles(self, m, weights, row_gate):
        """Loads the next tile as soon as the shadow weights are free: from the very cycle of the switch on."""
        rows = self.config.arch.rows
        control = Signal(Control(self.config.arch))
        loaded = Signal()
        hops = Signal(range(rows), init=rows - 1)
        last_hops = Signal(init=rows == 1)
        m.d.comb += [
            row_gate.loaded.eq(loaded),
            control.switch.eq(loaded & row_gate.may_switch),
            # The same as ~loaded | control.switch, for a short way into the weight FIFO.
            weights.ready.eq(~loaded | row_gate.may_switch),
            control.load.eq(weights.valid & weights.ready),
            control.hops.eq(hops),
            self.status.active.eq(row_gate.o.valid),
            self.status.weight_shift.eq(row_gate.waits_for_tile & weights.valid),
            self.status.weight_stall.eq(row_gate.waits_for_tile & ~weights.valid),
        ]
        if self.config.arch.taps:
            m.d.comb += control.depthwise.eq(row_gate.o.valid & row_gate.o.payload.depthwise)
        with m.If(control.load):
            m.d.sync += [hops.eq(Mux(last_hops, rows - 1, hops - 1)),
                         last_hops.eq(hops == 1 if rows > 1 else 1)]
        with m.If(control.load & last_hops):
            m.d.sync += loaded.eq(1)
        with m.Elif(control.switch):
            m.d.sync += loaded.eq(0)
        return control

    def _queue_results(self, m, finished, row_gate):
        """Finished sums wait in a FIFO; last rows at the gate, until it has room that no row before them will take.

        Credits are counted one cycle late, for a short path from the streams; with two left, one is sure. So is the
        last one while the gate has been held for two cycles: no row can be taking it. Comparisons are made ahead,
        whatever becomes of the count. :class:`.credits.Credits` has one flag, not these three.
        """
        config = self.config
        depth, stages = config.result_fifo_depth, config.fifo_stages
        queue = place(m, "result_fifo", Queue(
            "result_queue", width=len(finished.payload), depth=depth - stages, stages=stages,
            ecp5=config.impl.memory == "ecp5_block"))
        credits = Signal(range(depth + 1), init=depth)
        # Bit k says whether there are more than k credits.
        more = Signal(3, init=sum((depth > k) << k for k in range(3)))
        go, give = row_gate.o.valid & row_gate.o.payload.last, self.results.valid & self.results.ready
        held, last_one = Signal(), Signal()
        less_now = delay(m, go & ~give, 1, "take", reset_less=False)
        more_now = delay(m, give & ~go, 1, "give", reset_less=False)
        m.d.comb += [
            queue.i.payload.eq(finished.payload), queue.i.valid.eq(finished.valid),
            self.results.payload.eq(queue.o.payload), self.results.valid.eq(queue.o.valid),
            queue.o.ready.eq(self.results.ready),
            row_gate.room.eq(more[2] | last_one | (more[1] & ~less_now) | (more[0] & more_now)),
        ]
        m.d.sync += [held.eq(~row_gate.room), last_one.eq(more[0] & ~less_now & held & ~row_gate.room)]
        with m.If(less_now):
            m.d.sync += [credits.eq(credits - 1), more.eq(Cat(credits > k + 1 for k in range(3)))]
        with m.If(more_now):
            m.d.sync += [credits.eq(credits + 1), more.eq(Cat(credits > k - 1 for k in range(3)))]
