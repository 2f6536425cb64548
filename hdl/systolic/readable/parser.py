"""Reads what Yosys writes: one operation on names, parts, constants and concatenations of those."""

import re

from .terms import BITWISE, COMPARISONS, RING, cat, const, extended, rebuild, slice_of

__all__ = ["parse"]

_ATTRIBUTE = re.compile(r"\(\*.*?\*\) ?")
_TOKEN = re.compile(r"\s*(\d+'[bdh][0-9a-fxz]+|\$?\w+|<<|>>|<=|>=|==|!=|[-~!&|^+*<>?:(){},\[\]])")
_BASES = {"b": 1, "h": 4}
_REDUCTIONS = {"|": "any", "&": "all", "^": "parity"}


class _Beyond(ValueError):
    """Not a form that this parser knows."""


def parse(text, width, widths, functions):
    """The term that an assignment of a text to so many bits means.

    Parameters
    ----------
    text : str
    width : int or None
        None for an atom that has its own.
    widths : dict of int
        The width of each signal.
    functions : dict of tuple of int
        The widths of the operands of each function that selects.

    Returns
    -------
    term or None
        None if the text is beyond this parser.
    """
    try:
        parser = _Parser(_ATTRIBUTE.sub("", text), widths, functions)
        term = parser.atom() if width is None else parser.whole(width)
    except _Beyond:
        return None
    return term if parser.peek() is None else None


def _tokens(text):
    tokens, place, text = [], 0, text.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _Beyond(text)
        tokens.append(match[1])
        place = match.end()
    return tokens


def _constant(token):
    size, digits = token.split("'")
    base, digits = digits[0], digits[1:]
    if base == "d":
        if not digits.isdigit():
            raise _Beyond(token)
        bits = f"{int(digits):b}"
    else:
        bits = "".join(digit * _BASES[base] if digit in "xz" else f"{int(digit, 16):0{_BASES[base]}b}"
                       for digit in digits)
    if "z" in bits:
        raise _Beyond(token)
    return const(int(size), bits.rjust(int(size), "x" if bits[0] == "x" else "0")[-int(size):])


def _fitting(term, width):
    """A term of what an assignment to so many bits takes from it."""
    return extended(term, width) if term[1] <= width else slice_of(term, 0, width)


class _Parser:
    def __init__(self, text, widths, functions):
        self.tokens = _tokens(text)
        self.widths = widths
        self.functions = functions
        self.place = 0

    def peek(self):
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def take(self, *wanted):
        token = self.peek()
        if token is None or wanted and token not in wanted:
            raise _Beyond(token)
        self.place += 1
        return token

    def number(self):
        token = self.take()
        if not token.isdigit():
            raise _Beyond(token)
        return int(token)

    def atom(self):
        token = self.take()
        if token == "{":
            items = [self.atom()]
            while self.take(",", "}") == ",":
                items.append(self.atom())
            return cat(items)
        if "'" in token:
            return _constant(token)
        if token not in self.widths:
            raise _Beyond(token)
        width = self.widths[token]
        return self.part(token) if self.peek() == "[" else ("name", width, token)

    def part(self, name):
        self.take("[")
        high = low = self.number()
        if self.take(":", "]") == ":":
            low = self.number()
            self.take("]")
        width = high - low + 1
        return ("name", width, name) if width == self.widths[name] else ("part", width, name, low)

    def operand(self):
        """An atom, and whether it is signed."""
        if self.peek() != "$signed":
            return self.atom(), False
        self.take()
        self.take("(")
        atom = self.atom()
        self.take(")")
        return atom, True

    def whole(self, width):
        if self.peek() in self.functions:
            return self.selected(width)
        if self.peek() in ("~", "!", "|", "&", "^", "-"):
            return self.unary(self.take(), *self.operand(), width)
        a, signed = self.operand()
        if self.peek() is None:
            if signed and a[1] != width:
                raise _Beyond("$signed")
            return _fitting(a, width)
        operation = self.take()
        if operation == "?" and not signed:
            then, _, other = self.atom(), self.take(":"), self.atom()
            return self.mux(width, a, then, other)
        b, other = self.operand()
        if signed != other:
            raise _Beyond(operation)
        return self.binary(operation, a, b, width, signed)

    def mux(self, width, condition, then, other):
        if condition[1] != 1 or then[1] != other[1]:
            raise _Beyond("?")
        return _fitting(rebuild(("mux", then[1]), (condition, then, other)), width)

    def unary(self, operation, a, signed, width):
        if operation == "-":
            if a[1] > width:
                a = slice_of(a, 0, width)
            return ("sneg" if signed else "neg"), width, a
        if signed or operation == "~" and a[1] != width:
            raise _Beyond(operation)
        if operation == "~":
            return rebuild(("~", width), (a,))
        if operation == "!":
            term = rebuild(("==", 1), (a, const(a[1], "0" * a[1])))
        else:
            term = rebuild((_REDUCTIONS[operation], 1), (a,))
        return _fitting(term, width)

    def binary(self, operation, a, b, width, signed):
        mark = "s" if signed else ""
        if operation in COMPARISONS:
            return _fitting(rebuild((mark + operation, 1), (a, b)), width)
        if operation in RING:
            a, b = (slice_of(each, 0, min(each[1], width)) for each in (a, b))
            return mark + operation, width, a, b
        if operation in BITWISE and not signed:
            return _fitting(rebuild((operation, max(a[1], b[1])), (a, b)), width)
        if not signed and (operation == ">>" or operation == "<<" and width >= a[1]):
            return operation, width, a, b
        raise _Beyond(operation)

    def selected(self, width):
        """A call of one of Yosys' functions that select: the lowest bit of the last operand that is high counts."""
        function = self.take()
        self.take("(")
        a, _, b, _, s = self.atom(), self.take(","), self.atom(), self.take(","), self.atom()
        self.take(")")
        if self.functions[function] != (a[1], b[1], s[1]) or a[1] != width:
            raise _Beyond(function)
        for bit in reversed(range(s[1])):
            a = rebuild(("mux", width), (slice_of(s, bit, 1), slice_of(b, bit * width, width), a))
        return a
