"""Expressions of Verilog as terms whose meaning does not depend on where they stand.

In Verilog the width of an operation follows from what is around it: ``a + b`` has a carry or none, as the case may be.
A term has a width of its own. It is a tuple of operation, width and operands; narrower operands are zero-extended to
the width (sign-extended where the operation begins with ``s``), and what does not fit into it is dropped.

::

    ("name", w, name)  ("part", w, name, low)  ("const", w, bits)  ("cat", w, *items, highest first)
    ("~" "neg", w, a)  ("&" "|" "^" "+" "-" "*" "<<" ">>", w, a, b)  ("mux", w, condition, then, else)
    ("any" "all" "parity", 1, a)  ("==" "!=" "<" "<=" ">" ">=", 1, a, b)
    ("s<" and so on, 1, a, b)  ("s+" "s-" "s*", w, a, b)  ("sneg", w, a)
"""

__all__ = ["BITWISE", "COMPARISONS", "LEAVES", "RING", "cat", "const", "extended", "inverted", "names_in", "operands",
           "rebuild", "slice_of", "substituted"]

BITWISE = ("&", "|", "^")
RING = ("+", "-", "*")
COMPARISONS = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
LEAVES = ("name", "part", "const")

#: Bits that are written as a condition each, rather than side by side.
_FEW = 3

#: Operations of which the low bits follow from the low bits of the operands.
_LOW_BITS = (*RING, "s+", "s-", "s*", "neg", "sneg")


def const(width, bits):
    return "const", width, bits


def operands(term):
    """The terms that a term is made of."""
    return () if term[0] in LEAVES else term[2:]


def names_in(term):
    """The names in a term, each as often as it is there."""
    if term[0] in LEAVES:
        return [] if term[0] == "const" else [term[2]]
    return [name for part in operands(term) for name in names_in(part)]


def rebuild(term, parts):
    """The term with other operands, simplified; they are as wide as those before."""
    kind, width = term[:2]
    if kind in LEAVES:
        return term
    if kind == "cat":
        return cat(parts)
    return _SIMPLER.get(kind, lambda term: term)((kind, width, *parts))


def substituted(term, values):
    """The term with values for names.

    Parameters
    ----------
    term : term
    values : dict of terms by name

    Returns
    -------
    term or None
        None if a value would need a name, since a part of it is wanted.
    """
    if term[0] == "name":
        return values.get(term[2], term)
    if term[0] == "part":
        return slice_of(values[term[2]], term[3], term[1]) if term[2] in values else term
    parts = [substituted(part, values) for part in operands(term)]
    return None if None in parts else rebuild(term, parts)


def extended(term, width):
    """The term with zeros before it."""
    return term if term[1] == width else cat([const(width - term[1], "0" * (width - term[1])), term])


def cat(items):
    """Items side by side, highest first; neighbours that are bits of the same become one."""
    merged = []
    for item in items:
        for each in item[2:] if item[0] == "cat" else (item,):
            one = _as_one(merged[-1], each) if merged else None
            if one:
                merged[-1] = one
            else:
                merged.append(each)
    return merged[0] if len(merged) == 1 else ("cat", sum(item[1] for item in merged), *merged)


def _as_one(high, low):
    """Two neighbours as one term, or None."""
    kind, width = high[0], high[1] + low[1]
    if kind != low[0]:
        return None
    if kind == "const":
        return const(width, high[2] + low[2])
    if kind == "part" and high[2] == low[2] and high[3] == low[3] + low[1]:
        return "part", width, high[2], low[3]
    if kind in BITWISE and all(part[1] == term[1] for term in (high, low) for part in term[2:]):
        parts = [cat(pair) for pair in zip(high[2:], low[2:], strict=True)]
        if all(part[0] in LEAVES or part[0] == "cat" and len(set(part[2:])) == 1 for part in parts):
            return kind, width, *parts
    return None


# Slices


def slice_of(term, low, width):
    """So many bits of a term from ``low`` on, or None if Verilog cannot say it without a name for the term."""
    kind, whole = term[:2]
    if low == 0 and width == whole:
        return term
    if kind in LEAVES:
        return _slice_of_leaf(term, low, width)
    if kind == "cat":
        return _slice_of_cat(term[2:], low, width)
    if kind in (*BITWISE, "~"):
        parts = [_slice_of_extended(part, low, width) for part in term[2:]]
    elif kind == "mux":
        parts = [term[2], *(_slice_of_extended(part, low, width) for part in term[3:])]
    elif kind in _LOW_BITS and low == 0:
        parts = [slice_of(part, 0, min(width, part[1])) for part in term[2:]]
    else:
        return None
    return None if None in parts else rebuild((kind, width), parts)


def _slice_of_leaf(term, low, width):
    kind, whole, what = term[:3]
    if kind == "const":
        return const(width, what[whole - low - width:whole - low])
    return "part", width, what, low + (term[3] if kind == "part" else 0)


def _slice_of_extended(term, low, width):
    """The same of a zero-extended term; of the bits that are not there, one remains."""
    if low >= term[1]:
        return const(1, "0")
    return slice_of(term, low, min(width, term[1] - low))


def _slice_of_cat(items, low, width):
    found, start = [], 0
    for item in reversed(items):
        first, end = max(low, start), min(low + width, start + item[1])
        if first < end:
            found.insert(0, slice_of(item, first - start, end - first))
        start += item[1]
    return None if None in found else cat(found)


# Simplification. A constant with x bits is left alone.


def _is(term, bit):
    """Whether a term is the constant 0 or 1 in all its bits."""
    return term[0] == "const" and set(term[2]) == {bit}


def inverted(term):
    kind, width = term[:2]
    if kind == "const" and set(term[2]) <= {"0", "1"}:
        return const(width, term[2].translate(str.maketrans("01", "10")))
    if kind == "~" and term[2][1] == width:
        return term[2]
    return (COMPARISONS[kind], 1, *term[2:]) if kind in ("==", "!=") else ("~", width, term)


def _not(term):
    return inverted(term[2]) if term[2][1] == term[1] else term


def _gate(term):
    """Of single bits: without constants."""
    kind, width, a, b = term
    if width == 1 and kind != "^":
        for one, other in ((a, b), (b, a)):
            if _is(one, "0") or _is(one, "1"):
                return other if _is(one, "1") == (kind == "&") else one
        if a == b:
            return a
    return term


def _joined(kind, bits):
    result = bits[0]
    for bit in bits[1:]:
        result = _gate((kind, 1, result, bit))
    return result


def _bits(term):
    """The single bits of a term, highest first, or None if some item of it is wider."""
    items = term[2:] if term[0] == "cat" else (term,)
    if term[1] > _FEW or any(item[1] > 1 and item[0] != "const" for item in items):
        return None
    return [bit for item in items
            for bit in ([const(1, each) for each in item[2]] if item[0] == "const" else [item])]


def _equal(term):
    """A comparison of single bits side by side with a constant: as the condition that it is."""
    kind, _, a, b = term
    bits = _bits(a)
    if bits is None or b[0] != "const" or not set(b[2]) <= {"0", "1"} or "1" in b[2][:-len(bits)]:
        return term
    want = b[2].rjust(len(bits), "0")[-len(bits):]
    same = kind == "=="
    return _joined("&" if same else "|", [bit if (value == "1") == same else inverted(bit)
                                          for bit, value in zip(bits, want, strict=True)])


def _reduced(term):
    bits = _bits(term[2])
    return term if bits is None else _joined("&" if term[0] == "all" else "|", bits)


def _mux(term):
    _, width, condition, then, other = term
    if condition[0] == "~":
        return _mux(("mux", width, condition[2], other, then))
    if _is(condition, "0") or then == other:
        return other
    if _is(condition, "1"):
        return then
    if other[0] == "mux" and other[3] == then:
        return _mux(("mux", width, _gate(("|", 1, condition, other[2])), then, other[4]))
    return _mux_of_bits(term) if width == 1 and not _may_be_x(term) else term


def _may_be_x(term):
    """Whether one of the values to choose from is x: beside a gate it would only puzzle."""
    return any(_may_be_x(choice) for choice in term[3:]) if term[0] == "mux" else "x" in term[2] and term[0] == "const"


def _mux_of_bits(term):
    """One bit, chosen by a condition: a gate if one of the choices is constant."""
    _, _, condition, then, other = term
    if _is(then, "1"):
        return _gate(("|", 1, condition, other))
    if _is(then, "0"):
        return _gate(("&", 1, inverted(condition), other))
    if _is(other, "0"):
        return _gate(("&", 1, condition, then))
    return _gate(("|", 1, inverted(condition), then)) if _is(other, "1") else term


_SIMPLER = {"~": _not, "&": _gate, "|": _gate, "==": _equal, "!=": _equal, "any": _reduced, "all": _reduced,
            "mux": _mux}
