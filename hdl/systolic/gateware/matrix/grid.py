"""The grid: R rows of C cells, weight stationary, weights double-buffered.

::

               weights, psums                      A wave enters at the top left corner and moves one column
                 │       │                         right every ``hop_stages`` and one row down every L cycles
            ┌────▼────┬──▼──────┬─────────┐        (L = ``psum_stages``). Everything moves with it: activations,
    a[0] ──▶│ cell    │ cell    │ cell    │        the switch that makes the shadow weight the active one,
    control │    0, 0 │    0, 1 │    0, 2 │        the load that fills the shadow. Each cell sees what its
       │    ├─────────┼─────────┼─────────┤        neighbour saw, only later, and what is in order at the
    a[1] ──▶│ cell    │ cell    │ cell    │        corner is in order everywhere: a tile may be loaded right
       │    │    1, 0 │    1, 1 │    1, 2 │        behind the switch, without waiting for the wave to arrive.
       ▼    └────┬────┴────┬────┴────┬────┘
                 ▼         ▼         ▼  psums

::

    line[n] ──┬─▶ before ─┬─▶ before ─┐    In a depthwise row, cells of the first ``taps`` rows do not take what comes
              ▼           ▼           ▼    from the left but what comes down their column n: channel n of this depthwise
            cell        cell        cell   row, of the one before it, and so on. All other cells go on as ever: their
    psum ──▶ 0, n ─────▶ 1, n ─────▶ 2, n  weights are zero as a rule.

A tile is loaded last row first. The shadow weights of a row are what the row below loads next: row r captures the
first R - r weight rows of the tile and passes on all but the last, which is its own. Nothing in the grid is reset:
a wave started before a reset stays ahead of all waves started after it.
"""

import itertools

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from ..delay import delay
from ..shared import Shared, place
from ..vendor.multiplier import MULTIPLIERS
from .formats import gateware

__all__ = ["Cell", "Control", "Grid", "Row"]


class Control(data.StructLayout):
    """What steers a row.

    ``switch``: the activation beside it is the first for the shadow weights. ``load``: the weight above it is for
    this row or, if ``hops`` is not zero, for one that many rows below. With ``taps``, ``depthwise``: the activation is
    of a depthwise row.
    """

    def __init__(self, arch):
        super().__init__({"switch": 1, "load": 1, "hops": range(arch.rows)} | ({"depthwise": 1} if arch.taps else {}))


class Cell(Shared):
    """Multiply-accumulates of as many columns as share a multiplier block, one as a rule.

    Each column has an active weight, in the multiplier, and a shadow weight.

    Parameters
    ----------
    config : Config
    mapping : str
        How the multiplier is mapped.
    columns : int
        How many columns; vectors at the ports have column 0 lowest.
    tap : bool
        Whether it takes part in depthwise products.

    Members
    -------
    a, switch, load : In
        Activation, and whether to switch and to load with it.
    a_right, switch_right, load_right : Out
        The same for the next column, ``hop_stages`` cycles later for each column.
    w : In
        Weights to load.
    w_below : Out
        The shadow weights, for the row below, L cycles after they were loaded.
    psum : In
        Psums from above, ``product_stages`` + 1 cycles after the activation of the column.
    psum_below : Out
        psum + activation * weight, L cycles after ``psum``.
    depthwise, depthwise_right : In, Out
        Of a tap: multiply by ``line`` instead of ``a``; the same for the next column.
    line, line_below : In, Out
        Of a tap: the activations that come down each column, and the one before, for the row below, L cycles later.
    """

    def __init__(self, config, mapping, columns, tap=False):
        self.config = config
        self.mapping = mapping
        self.columns = columns
        self.tap = tap
        self.module_name = f"{mapping}_cell" + (f"_{columns}" if columns > 1 else "") + "_tap" * tap
        operand, psum = config.arch.operand_width, config.arch.psum_width
        super().__init__({
            "a": In(operand), "switch": In(1), "load": In(1), "w": In(operand * columns), "psum": In(psum * columns),
            "a_right": Out(operand), "switch_right": Out(1), "load_right": Out(1),
            "w_below": Out(operand * columns), "psum_below": Out(psum * columns),
        } | ({"depthwise": In(1), "depthwise_right": Out(1), "line": In(operand * columns),
              "line_below": Out(operand * columns)} if tap else {}))

    def build(self, platform):
        m = Module()
        arch, impl = self.config.arch, self.config.impl
        format = gateware(arch.format)
        unit = place(m, "product", format.product(self.config, self.mapping))
        a, switch, load = self.a, self.switch, self.load
        depthwise, lines = self.depthwise if self.tap else None, []
        arriving, held, switches, shadows, sums = [], [], [], [], []
        for c in range(self.columns):
            suffix = f"_{c}" if self.columns > 1 else ""
            shadows.append(shadow := Signal(arch.operand_width, name=f"shadow{suffix}", reset_less=True))
            with m.If(load):
                m.d.sync += shadow.eq(self.w.word_select(c, arch.operand_width))
            if self.tap:
                a, depthwise = self._tap(m, c, a, depthwise, lines)
            arriving.append(a)
            held.append(a := delay(m, a, 1, f"activation{suffix}"))
            switches.append(switch)
            total = place(m, f"adder{suffix}", format.adder(self.config))
            m.d.comb += [total.term.eq(unit.o.word_select(c, len(unit.o) // unit.lanes)),
                         total.psum.eq(self.psum.word_select(c, arch.psum_width))]
            sums.append(total.o)
            a = delay(m, a, impl.hop_stages - 1, f"a_hop{suffix}")
            switch = delay(m, switch, impl.hop_stages, f"switch_hop{suffix}")
            load = delay(m, load, impl.hop_stages, f"load_hop{suffix}")

        m.d.comb += [
            unit.a.eq(Cat(arriving)), unit.a_held.eq(Cat(held)), unit.switch.eq(Cat(switches)), unit.w.eq(Cat(shadows)),
            self.a_right.eq(a), self.switch_right.eq(switch), self.load_right.eq(load),
            self.w_below.eq(delay(m, Cat(shadows), impl.psum_stages - 1, "shadow_below")),
            self.psum_below.eq(Cat(sums)),
        ]
        if self.tap:
            m.d.comb += [self.depthwise_right.eq(depthwise), self.line_below.eq(Cat(lines))]
        return m

    def _tap(self, m, column, a, depthwise, lines):
        """The activation to multiply by, and whether that of the next column is of a depthwise row."""
        impl, width = self.config.impl, self.config.arch.operand_width
        suffix = f"_{column}" if self.columns > 1 else ""
        line = self.line.word_select(column, width)
        # Of the depthwise row before. What goes on to the right then is of no use to anybody.
        before = Signal(width, name=f"before{suffix}", reset_less=True)
        with m.If(depthwise):
            m.d.sync += before.eq(line)
        lines.append(delay(m, before, impl.psum_stages, f"line_below{suffix}"))
        return Mux(depthwise, line, a), delay(m, depthwise, impl.hop_stages, f"depthwise_hop{suffix}")


class _Segment(Shared):
    """Some rows of the grid in series: ports of all that passes through, vectors with element 0 lowest.

    ``taps`` of them take part in depthwise products, the first ones.
    """

    def __init__(self, config, rows, taps):
        self.config = config
        self.rows, self.taps = rows, taps
        arch = config.arch
        self.operand_width, self.psum_width = arch.operand_width, arch.psum_width
        w, psum = self.operand_width * arch.cols, self.psum_width * arch.cols
        super().__init__({
            "a": In(self.operand_width * rows),
            "control": In(Control(arch)), "control_below": Out(Control(arch)),
            "w": In(w), "w_below": Out(w), "psum": In(psum), "psum_below": Out(psum),
        } | ({"line": In(w), "line_below": Out(w)} if taps else {}))


class Row(_Segment):
    """C cells, and the control that the row below is to get L cycles later."""

    def __init__(self, config, mapping, tap=False):
        self.mapping = mapping
        self.module_name = f"{mapping}_row" + "_tap" * tap
        super().__init__(config, 1, int(tap))

    def build(self, platform):
        m = Module()
        a, switch, load = self.a, self.control.switch, self.control.load
        columns, lanes = self.config.arch.cols, MULTIPLIERS[self.mapping].lanes
        cells = [place(m, f"cell_{c}", Cell(self.config, self.mapping, min(lanes, columns - c), bool(self.taps)))
                 for c in range(0, columns, lanes)]
        depthwise = self.control.depthwise if self.taps else None
        for number, cell in enumerate(cells):
            first, end = number * lanes, number * lanes + cell.columns
            m.d.comb += [
                cell.a.eq(a), cell.switch.eq(switch), cell.load.eq(load),
                cell.w.eq(self.w[first * self.operand_width:end * self.operand_width]),
                cell.psum.eq(self.psum[first * self.psum_width:end * self.psum_width]),
            ]
            a, switch, load = cell.a_right, cell.switch_right, cell.load_right
            if self.taps:
                line = slice(first * self.operand_width, end * self.operand_width)
                m.d.comb += [cell.depthwise.eq(depthwise), cell.line.eq(self.line[line]),
                             self.line_below[line].eq(cell.line_below)]
                depthwise = cell.depthwise_right
        m.d.comb += [
            self.w_below.eq(Cat(cell.w_below for cell in cells)),
            self.psum_below.eq(Cat(cell.psum_below for cell in cells)),
            self.control_below.switch.eq(self.control.switch),
            self.control_below.load.eq(self.control.load & (self.control.hops != 0)),
            self.control_below.hops.eq(self.control.hops - 1),
        ]
        if self.config.arch.taps:
            m.d.comb += self.control_below.depthwise.eq(self.control.depthwise)
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
    taps : int
        Rows that take part in depthwise products.
    """

    FANOUT = 4

    def __init__(self, config, mappings, taps):
        self.mappings = mappings
        runs = [f"{len(list(run))}_{mapping}" for mapping, run in itertools.groupby(mappings)]
        self.module_name = "_".join(["rows", *runs, *([f"{taps}_taps"] if taps else [])])
        super().__init__(config, len(mappings), taps)

    def _segments(self):
        size = 1
        while size * self.FANOUT < self.rows:
            size *= self.FANOUT
        for start in range(0, self.rows, size):
            mappings, taps = self.mappings[start:start + size], min(max(self.taps - start, 0), size)
            grid = len(mappings) > 1
            yield start, Grid(self.config, mappings, taps) if grid else Row(self.config, *mappings, taps > 0)

    def build(self, platform):
        m = Module()
        above, line = (self.control, self.w, self.psum), self.line if self.taps else None
        for start, segment in self._segments():
            place(m, f"row_{start}" if segment.rows == 1 else f"rows_{start}", segment)
            control, w, psum = above
            m.d.comb += [
                segment.a.eq(self.a[start * self.operand_width:]),
                segment.control.eq(control), segment.w.eq(w), segment.psum.eq(psum),
            ]
            below = segment.control_below if segment.rows > 1 else self._delay(m, segment.control_below, start)
            above = below, segment.w_below, segment.psum_below
            if segment.taps:
                m.d.comb += segment.line.eq(line)
                line = segment.line_below
        control, w, psum = above
        m.d.comb += [self.control_below.eq(control), self.w_below.eq(w), self.psum_below.eq(psum)]
        if self.taps:
            m.d.comb += self.line_below.eq(line)
        return m

    def _delay(self, m, control, row):
        """Control from a row, L cycles later.

        Cells on an antidiagonal switch at the same time, and synthesis would merge their registers into one, with a net
        across the chip. Below every second row the switch is stored inverted: so two rows share it, and no more.
        """
        inverted = Const(row % 2, 1)
        stored = delay(m, control.as_value() ^ inverted, self.config.impl.psum_stages, f"control_{row}")
        return control.shape()(stored ^ inverted)
