"""Picture of the array at work: which cells multiply, with which tile's weights, and what, cycle by cycle.

Nothing here knows how fast a wave moves: every cell's signals are read from the waveform.
"""

import dataclasses
import re

import numpy as np

from systolic_sim.demo import vcd

__all__ = ["Activity", "activity", "svg"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Activity:
    """What enters each cell, up to the cycle in which the last row is accepted.

    Parameters
    ----------
    tile : int array [cycles, R, C]
        Whose weights the cell is to multiply with: 1 for the first tile, 0 before that.
    value : int8 array [cycles, R, C]
        The activation that it is to multiply.
    loads : int array [cycles, R, C]
        Of which tile it takes a shadow weight, 0 for none.
    """

    tile: np.ndarray
    value: np.ndarray
    loads: np.ndarray

    @property
    def working(self):
        """Cells at work on each tile, int array [cycles, tiles]."""
        return self._count(self.tile)

    @property
    def loading(self):
        """Cells that take a shadow weight of each tile, int array [cycles, tiles]."""
        return self._count(self.loads)

    def _count(self, numbers):
        return np.stack([(numbers == tile).sum(axis=(1, 2)) for tile in range(1, self.tile.max() + 1)], axis=1)


# Rows nest in blocks, each numbered within the one around it.
_CELL = re.compile(r"^TOP\.\w+\.matrix_unit\.grid((?:\.rows?_\d+)+)\.cell_(\d+)\.(a|switch|load)$")
_HANDSHAKE = re.compile(r"^TOP\.rows_(valid|ready)$")


def activity(path):
    """Activity of an int8 matrix unit.

    Where a cell's ``switch`` is high, the activation beside it is the first for the next tile's weights; the weight it
    loads from then on is for the tile after that. Before a cell's first load there is nothing to switch to: that is a
    wave of before the reset.

    Parameters
    ----------
    path : path
        Waveform of :class:`~systolic_sim.rtl.matrix_unit.MatrixUnitRtl`, from reset.

    Returns
    -------
    Activity

    Raises
    ------
    ValueError
        If the waveform is not of such a design.
    """
    signals = vcd.read(path, lambda name: _CELL.match(name) or _HANDSHAKE.match(name))
    cells = {}
    for name, values in signals.items():
        if match := _CELL.match(name):
            row = sum(int(number) for number in re.findall(r"\d+", match[1]))
            cells.setdefault(match[3], {})[row, int(match[2])] = values
    if not cells:
        raise ValueError(f"{path} has no cells of a matrix unit")
    accepted = np.flatnonzero(signals["TOP.rows_valid"] & signals["TOP.rows_ready"])
    end = accepted[-1] + 1
    switch, load, value = (_grid(cells[signal])[:end] for signal in ("switch", "load", "a"))
    tile = np.cumsum(switch & np.maximum.accumulate(load, axis=0), axis=0)
    return Activity(tile=tile, value=value.astype(np.uint8).view(np.int8), loads=load * (tile + 1))


def _grid(cells):
    """Signals of cells (r, c) as one array [cycles, R, C]."""
    rows, cols = (max(index) + 1 for index in zip(*cells, strict=True))
    return np.stack([np.stack([cells[r, c] for c in range(cols)], axis=-1) for r in range(rows)], axis=1)


# Fills from paper to ink, of cells at work on the first and on the second tile; then idle cells, text, lines.
_RAMPS = (("#dbe9f6", "#abcfe8", "#6aaed6", "#2f7fbc", "#084a8c"),
          ("#fde6d0", "#fdc692", "#f99b50", "#dc6719", "#933305"))
_IDLE, _TEXT, _SOFT, _LINE = "#f1f2f4", "#1f2933", "#66727f", "#d5d9de"

_MARGIN, _PANEL, _GAP, _WIDTH = 60, 120, 24, 960
_STYLE = f"""
text {{ font-family: "Helvetica Neue", Helvetica, Arial, "DejaVu Sans", sans-serif; fill: {_TEXT}; font-size: 12px }}
.title {{ font-size: 19px; font-weight: bold }}
.soft {{ fill: {_SOFT} }}
.small {{ font-size: 11px; fill: {_SOFT} }}
.line {{ stroke: {_LINE}; fill: none }}
"""


def svg(activity, *, title, subtitle, panels=6, step=None):
    """Draw an activity: small multiples of the grid, one line of them for each tile, and charts over time.

    Parameters
    ----------
    activity : Activity
        Of two tiles.
    title : str
    subtitle : sequence of str
        Lines below the title: what the data is and how to read it.
    panels : int
        Grids in a line.
    step : int or None
        Cycles from one to the next; ``None`` spreads them over the R + C - 1 cycles a wave takes to pass.

    Returns
    -------
    str
        A scalable vector graphic.
    """
    _, rows, cols = activity.tile.shape
    step = step or max(1, -(-(rows + cols - 2) // (panels - 1)))
    cell = _PANEL / max(rows, cols)
    y, parts, shown = 82 + 18 * len(subtitle), [], []
    parts.append(_legend(y - 14))
    y += 42
    for tile, name in ((1, "first tile"), (2, "second tile")):
        # The first cycle in which any cell has the tile's weights.
        first = int(np.argmax((activity.tile == tile).any(axis=(1, 2))))
        cycles = [min(first + panel * step, len(activity.tile) - 1) for panel in range(panels)]
        parts.append(_axes(_MARGIN, y, cols * cell, rows * cell, name))
        parts += [_panel(activity, cycle, _MARGIN + panel * (_PANEL + _GAP), y, cell)
                  for panel, cycle in enumerate(cycles)]
        shown += cycles
        y += rows * cell + 54
    parts += [_charts(activity, y, shown)]
    return _document(y + 188, title, subtitle, parts)


def _document(height, title, subtitle, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height:g}" '
        f'viewBox="0 0 {_WIDTH} {height:g}" role="img">',
        f"<title>{title}</title>", f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{height:g}" rx="8" fill="#ffffff"/>',
        _text(_MARGIN, 44, title, "title"),
        *(_text(_MARGIN, 68 + 18 * k, line, "soft") for k, line in enumerate(subtitle)), *parts, "</svg>", ""])


def _text(x, y, text, style="", anchor="start", turn=0):
    turned = f' transform="rotate({turn} {x:g} {y:g})"' if turn else ""
    style = f' class="{style}"' if style else ""
    return f'<text x="{x:g}" y="{y:g}"{style} text-anchor="{anchor}"{turned}>{text}</text>'


def _axes(x, y, width, height, name):
    """What comes in and goes out at the sides of the first grid of a line."""
    return "".join([
        _text(x - 32, y + height / 2, name, "", "middle", -90),
        _text(x - 12, y + height / 2, "pixels in &#8594;", "small", "middle", -90),
        _text(x + width / 2, y + height + 18, "sums out &#8595;", "small", "middle")])


def _panel(activity, cycle, x, y, cell):
    """The grid in one cycle: a path for each colour."""
    paths = {}
    for (r, c), tile in np.ndenumerate(activity.tile[cycle]):
        paths.setdefault(_colour(tile, activity.value[cycle, r, c]), []).append(
            f"M{x + c * cell:g} {y + r * cell:g}h{cell - 1:g}v{cell - 1:g}h{1 - cell:g}z")
    working = np.count_nonzero(activity.tile[cycle])
    right = x + activity.tile.shape[2] * cell - 1
    return "".join([_text(x, y - 8, f"cycle {cycle}"), _text(right, y - 8, f"{working} at work", "small", "end"),
                    *(f'<path fill="{colour}" d="{"".join(path)}"/>' for colour, path in paths.items())])


def _colour(tile, value):
    if not tile:
        return _IDLE
    ramp = _RAMPS[(tile - 1) % 2]
    ink = int(value) + 128
    return ramp[min(ink * len(ramp) // 256, len(ramp) - 1)]


def _charts(activity, y, shown):
    """Over all cycles: cells at work and cells that take a weight, by tile; marks at the cycles shown above."""
    at = (_WIDTH - 2 * _MARGIN) / len(activity.tile)
    cells, most = activity.tile[0].size, activity.loading.sum(axis=1).max()
    parts = [_text(_MARGIN, y, "Cells at work"), _chart(activity.working, y + 84, 64 / cells, at, cells),
             _text(_MARGIN, y + 112, "Cells that take a shadow weight"),
             _chart(activity.loading, y + 148, 28 / most, at, most)]
    parts += [f'<path fill="{_TEXT}" d="M{_MARGIN + (cycle + 0.5) * at - 4:.5g} {y + 11:g}h8l-4 7z"/>'
              for cycle in shown]
    parts += [_text(_MARGIN + (cycle + 0.5) * at, y + 163, f"{cycle}", "small", "middle")
              for cycle in range(0, len(activity.tile), 10)]
    parts.append(_text(_WIDTH - _MARGIN, y + 163, "cycle", "small", "end"))
    return "".join(parts)


def _chart(counts, base, scale, at, top):
    """Counts [cycles, tiles] stacked upon the line at ``base``, with an axis up to ``top``."""
    parts, low = [], np.zeros(len(counts), int)
    for tile, count in enumerate(counts.T):
        parts.append(f'<path fill="{_RAMPS[tile % 2][2]}" d="{_steps(low, low + count, base, scale, at)}"/>')
        low = low + count
    for value in (0, top):
        where = base - value * scale
        parts.append(f'<path class="line" d="M{_MARGIN} {where:g}H{_WIDTH - _MARGIN}"/>')
        parts.append(_text(_MARGIN - 8, where + 4, f"{value}", "small", "end"))
    return "".join(parts)


def _steps(low, high, base, scale, at):
    """Path around the area between two series, a step a cycle, without the cycles in which it is empty."""
    cycles = np.flatnonzero(high > low)
    if not len(cycles):
        return ""
    cycles = range(cycles[0], cycles[-1] + 1)
    points = [(cycle + edge, high[cycle]) for cycle in cycles for edge in (0, 1)]
    points += [(cycle + edge, low[cycle]) for cycle in reversed(cycles) for edge in (1, 0)]
    return "M" + "L".join(f"{_MARGIN + x * at:.5g} {base - y * scale:.5g}" for x, y in points) + "z"


def _legend(y):
    """Colours of the cells."""
    parts = [f'<rect x="{_MARGIN}" y="{y}" width="13" height="13" fill="{_IDLE}" stroke="{_LINE}"/>',
             _text(_MARGIN + 21, y + 11, "no weights yet")]
    for ramp, x, text in zip(_RAMPS, (_MARGIN + 144, _MARGIN + 432), ("first", "second"), strict=True):
        parts += [f'<rect x="{x + 15 * k}" y="{y}" width="14" height="14" fill="{colour}"/>'
                  for k, colour in enumerate(ramp)]
        parts.append(_text(x + 83, y + 11, f"{text} tile's weights, paper to ink"))
    return "".join(parts)
