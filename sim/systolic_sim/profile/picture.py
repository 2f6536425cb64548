"""A bar per layer and a roofline, as SVG."""

import html
import math

from .layers import Layer

__all__ = ["svg"]

_COLOURS = (("active", "a row enters the array", "#3b7dd8"), ("weights", "a tile is missing or shifts in", "#e8a33d"),
            ("other", "all else", "#b9bfc7"))
_LEFT, _WIDTH, _ROW = 250, 520, 20


def svg(title: str, layers: list[Layer], *, cells: int, bus_bytes: int) -> str:
    """The picture.

    Parameters
    ----------
    title : str
    layers : list of Layer
    cells : int
        Of the array: the roof, in MACs per cycle.
    bus_bytes : int
        Per cycle: the slope.
    """
    height = 70 + _ROW * len(layers)
    body = [*_bars(layers), *_roofline(layers, height + 20, cells, bus_bytes)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 110} {height + 330}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="12" y="24" font-size="16" font-weight="bold">{html.escape(title)}</text>', *body, "</svg>", ""])


def _bars(layers: list[Layer]) -> list[str]:
    most = max((layer.cycles for layer in layers), default=1) or 1
    out = []
    for number, (_, text, colour) in enumerate(_COLOURS):
        out.append(f'<rect x="{_LEFT + 180 * number}" y="34" width="10" height="10" fill="{colour}"/>'
                   f'<text x="{_LEFT + 180 * number + 14}" y="43">{text}</text>')
    for number, layer in enumerate(layers):
        y, x = 56 + _ROW * number, float(_LEFT)
        out.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{html.escape(layer.name[-34:])}</text>')
        for name, _, colour in _COLOURS:
            width = _WIDTH * getattr(layer, name) / most
            out.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_ROW - 5}" fill="{colour}"/>')
            x += width
        out.append(f'<text x="{x + 6:.1f}" y="{y + 13}">{layer.cycles:,}</text>')
    return out


def _roofline(layers: list[Layer], top: int, cells: int, bus_bytes: int) -> list[str]:
    """MACs per cycle over MACs per byte, both axes logarithmic."""
    points = [(layer.macs / max(layer.bytes, 1), layer.macs / layer.cycles, layer) for layer in layers
              if layer.macs and layer.cycles]
    ridge = cells / bus_bytes
    low_x, high_x = _decades([x for x, _, _ in points] + [ridge])
    low_y, high_y = _decades([y for _, y, _ in points] + [cells])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - low_x) / (high_x - low_x)
        up = (math.log10(y) - low_y) / (high_y - low_y)
        return _LEFT + _WIDTH * across, top + 250 - 240 * up
    start = max(10**low_x, 10**low_y / bus_bytes)
    line = [place(start, start * bus_bytes), place(ridge, cells), place(10**high_x, cells)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
    out = [f'<rect x="{_LEFT}" y="{top + 10}" width="{_WIDTH}" height="240" fill="none" stroke="#ccc"/>',
           f'<polyline points="{path}" fill="none" stroke="#444" stroke-width="1.5"/>',
           f'<text x="{_LEFT}" y="{top}">MACs per cycle; roof: {cells}, slope: {bus_bytes} bytes per cycle</text>',
           f'<text x="{_LEFT + _WIDTH}" y="{top + 284}" text-anchor="end">MACs per byte of memory traffic</text>']
    for exponent in range(low_x, high_x + 1):
        x, _ = place(10.0**exponent, 10.0**low_y)
        out.append(f'<text x="{x:.1f}" y="{top + 266}" text-anchor="middle">{10.0**exponent:g}</text>')
    for exponent in range(low_y, high_y + 1):
        _, y = place(10.0**low_x, 10.0**exponent)
        out.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**exponent:g}</text>')
    for x_value, y_value, layer in points:
        x, y = place(x_value, y_value)
        out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#3b7dd8" fill-opacity="0.7">'
                   f'<title>{html.escape(layer.name)}: {y_value:.1f} MACs per cycle</title></circle>')
    return out


def _decades(values: list[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)
