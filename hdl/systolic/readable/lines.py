"""Breaks long lines of Verilog at their outermost operators."""

import re

__all__ = ["depths", "wrapped"]

#: Columns of a line, without its indentation.
COLUMNS = 112

#: Where a line may be broken: after these, the first that there are count.
_BREAKS = (" : ", " | ", " & ", " ^ ", " + ", " - ", ", ")
_LAST_RESORT = (" ? ", " == ", " <= ", " = ")
_GUARD = re.compile(r"(?:else )?if \(")


def wrapped(line):
    """The line, on several if it is too long; those after the first are indented further."""
    text = line.lstrip(" ")
    indent = line[:len(line) - len(text)]
    if len(text) <= COLUMNS or text.startswith(("(*", "//", "/*")) or '"' in text or ";" in text[:-1]:
        return line
    return "\n".join(indent + each for each in _broken(text))


def _broken(text):
    if len(text) <= COLUMNS:
        return [text]
    pieces, packed = _pieces(text)
    lines = []
    for piece in pieces:
        if packed and lines and len(lines[-1]) + 1 + len(piece) <= COLUMNS - 2:
            lines[-1] += " " + piece
        else:
            lines.append(piece)
    if len(lines) == 1:
        return lines
    first, *others = lines
    return [*_broken(first), *("  " + each for other in others for each in _broken(other))]


def _pieces(text):
    """The parts of a text between its outermost breaks, and whether several may share a line."""
    levels = depths(text)
    if (guard := _GUARD.match(text)) and (end := _closing(levels, guard.end())) and end < len(text) - 1:
        return [text[:end + 1], text[end + 2:]], False
    for depth in range(3):
        for mark in (*_BREAKS, *_LAST_RESORT[:-2 if depth else None]):
            places = [match.end() for match in re.finditer(re.escape(mark), text) if levels[match.start()] == depth]
            if mark in _LAST_RESORT:
                places = places[:1]
            if places:
                ends = [0, *places, len(text)]
                return [text[a:b].rstrip(" ") for a, b in zip(ends, ends[1:], strict=False)], mark != " : "
    return [text], False


def depths(text):
    """How many brackets are open at each character."""
    found, depth = [], 0
    for character in text:
        depth -= character in ")]}"
        found.append(depth)
        depth += character in "([{"
    return found


def _closing(levels, start):
    """Where the bracket closes that is open at ``start``."""
    return next((place for place in range(start, len(levels)) if levels[place] < levels[start]), None)
