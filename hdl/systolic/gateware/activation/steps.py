"""The steps of the activation unit: what it reads, takes and writes in which order, each access checked."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from ..ports import Command, fields
from ..shared import Shared, place
from .walk import Loops, RegionWalk

__all__ = ["Place", "Steps"]


class Place(data.StructLayout):
    """Where an output goes. ``bad``: an error comes in its place, for an access would leave its region, or, in place,
    the output begins before the end of the one before it (``overlap``).
    """

    def __init__(self, config):
        super().__init__({"address": config.address_width, "count": range(config.lanes + 1), "last": 1, "bad": 1,
                          "overlap": 1})


class Steps(Shared):
    """A step in a cycle: a group of sums, a pixel of a window; three steps for a group of an addition.

    Members
    -------
    command : In, Command
        An activate, pool or add.
    activate, pool, add : In
        Which one.
    load : In
        Be ready to begin with it: from now on, or for some cycles, while no step is under way.
    start : In
        Begin, in the last cycle of ``load``.
    run : In
        Make steps; those of an activate as sums come.
    take : In
        The same of an activate.
    sums : In
        There are some.
    ready : Out
        This step is the last one for its row of sums.
    ends : Out
        In this cycle comes the last step of the instruction.
    group, first : Out
        Of this step: its group, and whether it begins a window.
    phase : Out, a bit for each of three
        Step of an addition: first input, second input, output. Goes round for ever.
    kept : Out
        The input of this step is in what the same input of the group before has read.
    request, address : Out
        ``ADDRESS`` cycles after a step: what it reads.
    token, place : Out
        One cycle after that of the last step of an output: where it goes. After a bad one there are no more.
    busy : Out
        A step has not shown all of that yet.
    failed : Out
        There was a bad one.
    """

    resets = True
    module_name = "activation_steps"
    ADDRESS = 3

    def __init__(self, config):
        self.config = config
        super().__init__({
            "command": In(Command()), "activate": In(1), "pool": In(1), "add": In(1), "load": In(1), "start": In(1),
            "run": In(1), "take": In(1),
            "sums": In(1), "ready": Out(1), "ends": Out(1), "group": Out(range(config.groups)), "first": Out(1),
            "phase": Out(3, init=1), "kept": Out(1), "request": Out(1), "address": Out(config.address_width),
            "token": Out(1), "place": Out(Place(config)), "busy": Out(1), "failed": Out(1)})

    def build(self, platform):
        m = Module()
        loops = self._loops(m)
        walks = self._walks(m, loops)
        self._check(m, *self._step(m, loops), *walks)
        return m

    def _loops(self, m):
        op, loops = fields(self.command.words, "pool"), place(m, "loops", Loops(self.config))
        m.d.comb += [
            loops.load.eq(self.load), loops.x_count.eq(op.x_count), loops.y_count.eq(op.y_count),
            loops.kx_count.eq(op.kx_count), loops.ky_count.eq(op.ky_count), loops.channels.eq(op.channels),
            self.group.eq(loops.group), self.first.eq(loops.first | self.add),
        ]
        m.d.sync += self.phase.eq(Mux(self.start, 1, self.phase.rotate_left(1)))
        m.d.comb += self.kept.eq(self.add & (self._piece(m, loops) != 0))
        return loops

    def _piece(self, m, loops):
        """The number of this group among those of one read."""
        piece = Signal(range(self.config.groups_per_read))
        with m.If(self.load):
            m.d.sync += piece.eq(0)
        with m.Elif(loops.step):
            m.d.sync += piece.eq(Mux(loops.group_end | (piece == self.config.groups_per_read - 1), 0, piece + 1))
        return piece

    def _walks(self, m, loops):
        """Of the outputs, and of the first and the second input."""
        pool, add = fields(self.command.words, "pool"), fields(self.command.words, "add")
        walks = [place(m, name, RegionWalk(self.config)) for name in ("outputs", "inputs", "others")]
        outputs, inputs, others = walks
        group = Const(self.config.lanes, RegionWalk.STRIDE)
        m.d.comb += [
            outputs.base.eq(pool.base), outputs.size.eq(pool.size),
            outputs.strides.eq(Cat(pool.y_stride, pool.x_stride, group)),
            inputs.base.eq(pool.from_base), inputs.size.eq(pool.from_size),
            inputs.start.eq(Mux(self.pool, pool.start - pool.from_base, 0)),
            inputs.strides.eq(Cat(pool.from_y_stride, pool.from_x_stride, group, pool.ky_stride, pool.kx_stride)),
            others.base.eq(add.other_base), others.size.eq(add.other_size),
            others.strides.eq(Cat(add.other_y_stride, add.other_x_stride, group)),
        ]
        for walk in walks:
            m.d.comb += [walk.load.eq(self.load), walk.step.eq(loops.step), walk.onward.eq(loops.onward),
                         walk.count.eq(loops.count)]
        return walks

    def _step(self, m, loops):
        """What the step does, one cycle later and two."""
        valid = Signal()
        layout = data.StructLayout({"valid": 1, "reads": 1, "kept": 1, "other": 1, "final": 1, "last": 1,
                                    "count": loops.count.shape()})
        made, step = Signal(layout), Signal(layout)
        m.d.comb += [
            valid.eq(self.run & ~self.failed & (~self.take | self.sums)),
            loops.step.eq(valid & (~self.add | self.phase[2])),
            self.ready.eq(self.take & ~self.failed & loops.group_end),
            self.ends.eq(loops.step & loops.last),
        ]
        m.d.sync += [
            made.valid.eq(valid), made.count.eq(loops.count), made.last.eq(loops.last), made.kept.eq(self.kept),
            made.reads.eq(self.pool | (self.add & ~self.phase[2])), made.other.eq(self.add & self.phase[1]),
            made.final.eq(Mux(self.add, self.phase[2], self.activate | loops.whole)), step.eq(made),
        ]
        return made, step

    def _check(self, m, made, step, outputs, inputs, others):
        good, bad = Signal(), Signal()
        checked = Signal(data.StructLayout({"step": step.shape(), "outside": 1, "before_end": 1,
                                            "place": self.config.address_width}))
        # Of the output before. An instruction that works in place has read nothing yet from there on; of others, 0.
        end = Signal(self.config.address_width, reset_less=True)
        m.d.sync += [
            checked.step.eq(step), checked.place.eq(outputs.address),
            checked.outside.eq((step.reads & Mux(step.other, others.outside, inputs.outside))
                               | (step.final & outputs.outside)),
            checked.before_end.eq(outputs.offset < end),
            self.address.eq(Mux(step.other, others.address, inputs.address)),
        ]
        with m.If(self.load):
            m.d.sync += end.eq(0)
        with m.Elif(step.valid & step.final & self.command.in_place):
            m.d.sync += end.eq(outputs.offset + step.count)
        m.d.comb += [
            bad.eq(checked.outside | (checked.step.final & checked.before_end)),
            good.eq(checked.step.valid & ~self.failed),
            self.request.eq(good & checked.step.reads & ~checked.step.kept & ~checked.outside),
            self.busy.eq(made.valid | step.valid | checked.step.valid | self.token),
        ]
        m.d.sync += [
            self.token.eq(good & (checked.step.final | checked.outside)), self.failed.eq(self.failed | (good & bad)),
            self.place.address.eq(checked.place), self.place.count.eq(checked.step.count),
            self.place.last.eq(checked.step.last), self.place.bad.eq(bad), self.place.overlap.eq(~checked.outside),
        ]
