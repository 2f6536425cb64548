"""Pictures of a build, as SVG: how full the device is, and where things are."""

import collections
import re

__all__ = ["bars", "floor_plan"]

_STYLE = ("<style>text{font:12px sans-serif;fill:#333}"
          "@media(prefers-color-scheme:dark){text{fill:#ccc}}</style>")
_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee9944", "#7766cc")
_OTHER = "#bbbbbb"


def _svg(width, height, items):
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                      f'viewBox="0 0 {width} {height}">', _STYLE, *items, "</svg>"]) + "\n"


def bars(resources):
    """Bars of what is used of each resource.

    Parameters
    ----------
    resources : dict of str to dict
        ``used`` and ``available`` by name.

    Returns
    -------
    str
    """
    items = []
    for row, (name, count) in enumerate(resources.items()):
        y = 8 + 26 * row
        share = count["used"] / count["available"] if count["available"] else 0
        items += [
            f'<text x="0" y="{y + 13}">{name}</text>',
            f'<rect x="50" y="{y}" width="300" height="18" fill="{_OTHER}" opacity="0.4"/>',
            f'<rect x="50" y="{y}" width="{300 * min(share, 1):.1f}" height="18" fill="{_COLOURS[0]}"/>',
            f'<text x="358" y="{y + 13}">{count["used"]} of {count["available"]}, {share:.0%}</text>',
        ]
    return _svg(520, 8 + 26 * len(resources), items)


def floor_plan(floor):
    """Map of the chip: tiles in the colours of the modules that fill them, multipliers and memories as blocks.

    Parameters
    ----------
    floor : list of (x, y, type, name)
        Where each cell is, and whose; walls between modules are dots.

    Returns
    -------
    str
    """
    if not floor:
        return _svg(1, 1, [])
    groups, tiles = _groups(floor), collections.defaultdict(collections.Counter)
    blocks = set()
    for x, y, kind, name in floor:
        tiles[x, y][_group(name, groups)] += 1
        if re.match(r"MULT|DP16KD|ICESTORM_(DSP|RAM)|BSRAM|SDP|DPB", kind):
            blocks.add((x, y))
    colours = {group: _COLOURS[index % len(_COLOURS)] for index, group in enumerate(groups)}
    size, legend = 6, 16 * (len(groups) + 1)
    right, bottom = (max(tile[axis] for tile in tiles) + 1 for axis in (0, 1))
    items = [f'<rect width="{size * right}" height="{size * bottom}" fill="{_OTHER}" opacity="0.2"/>']
    styles = {(y, x): (colours.get(content.most_common(1)[0][0], _OTHER), (x, y) in blocks)
              for (x, y), content in tiles.items()}
    for y, start, end, (colour, block) in _runs(styles):
        edge = ' stroke="#000" stroke-width="0.8"' if block else ""
        items.append(f'<rect x="{size * start}" y="{size * y}" width="{size * (end - start)}" height="{size}" '
                     f'fill="{colour}"{edge}/>')
    for row, (group, colour) in enumerate([*colours.items(), ("everything else; blocks have an edge", _OTHER)]):
        y = size * bottom + 16 * row + 6
        items += [f'<rect x="0" y="{y}" width="10" height="10" fill="{colour}"/>',
                  f'<text x="16" y="{y + 10}">{group}</text>']
    return _svg(max(size * right, 300), size * bottom + legend + 6, items)


def _runs(styles):
    """Tiles of equal style side by side, which one rectangle draws: y, x from and to, style."""
    runs = []
    for (y, x), style in sorted(styles.items()):
        if runs and runs[-1][0] == y and runs[-1][2] == x and runs[-1][3] == style:
            runs[-1][2] = x + 1
        else:
            runs.append([y, x, x + 1, style])
    return runs


def _groups(floor):
    """Names of the modules to colour: as deep down as there are at most as many as colours."""
    names = [name.split(".")[:-1] for *_, name in floor]
    best = []
    for depth in range(1, 5):
        groups = sorted({".".join(path[:depth]) for path in names if path}, key=_natural)
        if len(groups) > len(_COLOURS):
            break
        best = groups
    return best


def _group(name, groups):
    matching = [group for group in groups if name.startswith(group + ".")]
    return max(matching, key=len, default="")


def _natural(text):
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", text)]
