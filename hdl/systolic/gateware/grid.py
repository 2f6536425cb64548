"""The grid: R rows of C cells, weight stationary, weights double-buffered.

::

               weights, psums                      A wave enters at the top left corner and moves one column
                 │       │                         right every ``hop_stages`` and one row down every L cycles
            ┌────▼────┬──▼──────┬─────────┐        (L = ``psum_stages``). Everything rides it: activations,
    a[0] ──▶│ cell    │ cell    │ cell    │        the switch that makes the shadow weight the active one,
    control │    0, 0 │    0, 1 │    0, 2 │        the load that fills the shadow. So each cell sees what its
       │    ├─────────┼─────────┼─────────┤        neighbour saw, a moment later, and what is in order at the
    a[1] ──▶│ cell    │ cell    │ cell    │        corner is in order everywhere: a tile may be loaded right
       │    │    1, 0 │    1, 1 │    1, 2 │        behind the switch, without waiting for the wave to arrive.
       ▼    └────┬────┴────┬────┴────┬────┘
                 ▼         ▼         ▼  psums

A tile is loaded last row first. Each row's shadow weights are what the row below loads next: row r takes the
first R - r of the tile's weight rows and passes on all but the last, its own. Nothing in the grid is reset:
a wave started before the reset stays ahead of all that start after it.
"""

import itertools

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from .mac import mac
from .shared import Shared, place
from .skew import delay

__all__ = ["Cell", "Control", "Grid", "Row"]


class Control(data.StructLayout):
    """What steers a row.

    ``switch``: the activation beside it is the first for the shadow weights. ``load``: the weight above it is for
    this row or, if ``hops`` is not zero, for one that many rows below.
    """

    def __init__(self, rows):
        super().__init__({"switch": 1, "load": 1, "hops": range(rows)})


class Cell(Shared):
    """One multiply-accumulate with its active and its shadow weight.

    Members
    -------
    a, switch, load : In
        Activation, and whether to switch and to load with it.
    a_right, switch_right, load_right : Out
        The same for the next column, ``hop_stages`` cycles later.
    w : In
        Weight to load.
    w_below : Out
        The shadow weight, for the row below, L cycles after it was loaded.
    psum : In
        Psum from above, ``product_stages`` + 1 cycles after ``a``.
    psum_below : Out
        ``psum + a * weight``, L cycles after ``psum``.
    """

    def __init__(self, config, mapping):
        self.config = config
        self.mapping = mapping
        self.module_name = f"{config.name}_{mapping}_cell"
        operand, psum = config.arch.operand_width, config.arch.psum_width
        super().__init__({
            "a": In(operand), "switch": In(1), "load": In(1), "w": In(operand), "psum": In(psum),
            "a_right": Out(operand), "switch_right": Out(1), "load_right": Out(1),
            "w_below": Out(operand), "psum_below": Out(psum),
        })

    def build(self, platform):
        m = Module()
        impl = self.config.impl
        unit = place(m, "mac", mac(self.config, self.mapping))
        shadow = Signal.like(self.w, reset_less=True)
        with m.If(self.load):
            m.d.sync += shadow.eq(self.w)

        a = delay(m, self.a, 1, "activation")
        m.d.comb += [
            unit.a.eq(self.a), unit.a_held.eq(a),
            unit.switch.eq(self.switch), unit.w.eq(shadow),
            unit.psum.eq(self.psum),
            self.psum_below.eq(unit.o),
            self.w_below.eq(delay(m, shadow, impl.psum_stages - 1, "shadow_below")),
            self.a_right.eq(delay(m, a, impl.hop_stages - 1, "a_hop")),
            self.switch_right.eq(delay(m, self.switch, impl.hop_stages, "switch_hop")),
            self.load_right.eq(delay(m, self.load, impl.hop_stages, "load_hop")),
        ]
        return m


class _Segment(Shared):
    """Some rows of the grid in series: ports of all that passes through, vectors with element 0 lowest."""

    def __init__(self, config, rows):
        self.config = config
        self.rows = rows
        arch = config.arch
        self.operand_width, self.psum_width = arch.operand_width, arch.psum_width
        w, psum = self.operand_width * arch.cols, self.psum_width * arch.cols
        super().__init__({
            "a": In(self.operand_width * rows),
            "control": In(Control(arch.rows)), "control_below": Out(Control(arch.rows)),
            "w": In(w), "w_below": Out(w), "psum": In(psum), "psum_below": Out(psum),
        })


class Row(_Segment):
    """C cells, and the control that the row below gets L cycles later."""

    def __init__(self, config, mapping):
        self.mapping = mapping
        self.module_name = f"{config.name}_{mapping}_row"
        super().__init__(config, 1)

    def build(self, platform):
        m = Module()
        stages = self.config.impl.psum_stages
        a, switch, load = self.a, self.control.switch, self.control.load
        cells = [place(m, f"cell_{c}", Cell(self.config, self.mapping)) for c in range(self.config.arch.cols)]
        for c, cell in enumerate(cells):
            m.d.comb += [
                cell.a.eq(a), cell.switch.eq(switch), cell.load.eq(load),
                cell.w.eq(self.w.word_select(c, self.operand_width)),
                cell.psum.eq(self.psum.word_select(c, self.psum_width)),
            ]
            a, switch, load = cell.a_right, cell.switch_right, cell.load_right
        m.d.comb += [
            self.w_below.eq(Cat(cell.w_below for cell in cells)),
            self.psum_below.eq(Cat(cell.psum_below for cell in cells)),
        ]

        below = Signal(self.control.shape())
        m.d.comb += [
            below.switch.eq(self.control.switch),
            below.load.eq(self.control.load & (self.control.hops != 0)),
            below.hops.eq(self.control.hops - 1),
            self.control_below.eq(delay(m, below, stages, "control")),
        ]
        return m


class Grid(_Segment):
    """Rows in series, in blocks of blocks of four: wide ports side by side in one module cost the most to elaborate.

    Activations of row r are expected L * r cycles after those of row 0, weights of column c ``hop_stages`` * c after
    those of column 0; psums leave with the columns' delay and L cycles for each row.

    Parameters
    ----------
    config : Config
    mappings : tuple of str
        How the multipliers of each row are mapped.
    """

    FANOUT = 4

    def __init__(self, config, mappings):
        self.mappings = mappings
        runs = [f"{len(list(run))}_{mapping}" for mapping, run in itertools.groupby(mappings)]
        self.module_name = "_".join([config.name, *runs, "rows"])
        super().__init__(config, len(mappings))

    def _segments(self):
        size = 1
        while size * self.FANOUT < self.rows:
            size *= self.FANOUT
        for start in range(0, self.rows, size):
            mappings = self.mappings[start:start + size]
            yield start, Grid(self.config, mappings) if len(mappings) > 1 else Row(self.config, *mappings)

    def build(self, platform):
        m = Module()
        above = self.control, self.w, self.psum
        for start, segment in self._segments():
            place(m, f"row_{start}" if segment.rows == 1 else f"rows_{start}", segment)
            control, w, psum = above
            m.d.comb += [
                segment.a.eq(self.a[start * self.operand_width:]),
                segment.control.eq(control), segment.w.eq(w), segment.psum.eq(psum),
            ]
            above = segment.control_below, segment.w_below, segment.psum_below
        control, w, psum = above
        m.d.comb += [self.control_below.eq(control), self.w_below.eq(w), self.psum_below.eq(psum)]
        return m
