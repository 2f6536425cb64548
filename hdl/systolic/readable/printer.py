"""Writes terms as Verilog, where Verilog gives them the width that they have.

Verilog evaluates an operation at the width of the widest operand around it, up to the assignment or to the next
concatenation, comparison, condition or index. A term that would mean something else there is refused: a sum with
its carry inside a concatenation, an inverted word beside a wider one, a signed sum beside an unsigned operand.
"""

import itertools

from .terms import BITWISE, COMPARISONS, LEAVES, RING

__all__ = ["Unfit", "assigned", "atom", "self_determined"]

_REDUCTIONS = {"any": "|", "all": "&", "parity": "^"}


_SIGNED = ("s+", "s-", "s*", "sneg")


class Unfit(Exception):
    """A term that needs a wire of its own where it is wanted."""


def assigned(term, width, signed=()):
    """The right-hand side of an assignment to so many bits; ``signed`` are the names declared so."""
    return _Printer(signed).root(term, width)


def self_determined(term, signed=()):
    """The term where nothing around it counts: as a condition, an index or the connection of a port."""
    return _Printer(signed).alone(term)


def atom(term):
    """A name, part, constant or concatenation of those."""
    kind, width, what = term[:3]
    if kind == "name":
        return what
    if kind == "part":
        return f"{what}[{term[3]}]" if width == 1 else f"{what}[{term[3] + width - 1}:{term[3]}]"
    if kind == "const":
        return _constant(width, what)
    return _side_by_side(atom(item) for item in term[2:])


def _side_by_side(items):
    """A concatenation, with what is there several times in a row written once."""
    runs = [(item, len(list(run))) for item, run in itertools.groupby(items)]
    texts = [text for item, count in runs for text in ([item] * count if count < 3 else [f"{{{count}{{{item}}}}}"])]
    return f"{{ {', '.join(texts)} }}" if len(runs) > 1 or runs[0][1] < 3 else texts[0]


def _constant(width, bits):
    if set(bits) in ({"0"}, {"x"}):
        return f"{width}'h{bits[0]}"
    digits = []
    for end in range(width, 0, -4):
        digit = set(bits[max(end - 4, 0):end])
        if "x" in digit and len(digit) > 1:
            return f"{width}'b{bits}"
        digits.append("x" if "x" in digit else f"{int(bits[max(end - 4, 0):end], 2):x}")
    return f"{width}'h{''.join(reversed(digits))}"


def _natural(term):
    """The width that Verilog gives a term by itself."""
    kind, width = term[:2]
    if kind in RING or kind in BITWISE:
        return max(_natural(term[2]), _natural(term[3]))
    if kind == "mux":
        return max(_natural(term[3]), _natural(term[4]))
    if kind in ("s+", "s-", "s*"):
        return max(term[2][1], term[3][1])
    if kind == "sneg":
        return term[2][1]
    return _natural(term[2]) if kind in ("~", "neg", "<<", ">>") else width


class _Printer:
    def __init__(self, signed):
        self.signed = signed

    def root(self, term, width):
        if term[0] == "cat" and term[2][0] == "const" and set(term[2][2]) == {"0"} and len(term) == 4:
            try:  # An assignment extends by itself.
                return self.within(term[3], max(width, _natural(term[3])))
            except Unfit:
                pass
        if term[0] == ">>" and term[2][1] > term[1]:  # The assignment drops the rest.
            return self.wide(term, max(width, _natural(term)))
        return self.unmixed(term, max(width, _natural(term)))

    def alone(self, term):
        if _natural(term) != term[1]:
            raise Unfit(term)
        return self.unmixed(term, term[1])

    def unmixed(self, term, width):
        """The term where nothing beside it makes it signed or unsigned."""
        if term[0] == "name" and width == term[1]:
            return term[2]
        return self.of_signed(term, width) if term[0] in _SIGNED else self.within(term, width)

    def within(self, term, width):
        """The term among others that make Verilog evaluate it at a width."""
        kind, own = term[:2]
        if kind in LEAVES or kind == "cat":
            return self.leaf(term, width)
        if kind in _REDUCTIONS:
            inner = self.closed(term[2], None)
            return _REDUCTIONS[kind] + (f"({inner})" if inner[0] == "~" else inner)  # "^~" is another operator.
        if kind in COMPARISONS:
            each = max(_natural(term[2]), _natural(term[3]), term[2][1], term[3][1])
            if max(_natural(term[2]), _natural(term[3])) < each:
                raise Unfit(term)
            return f"{self.closed(term[2], each)} {kind} {self.closed(term[3], each)}"
        if kind[0] == "s" and kind[1:] in COMPARISONS:
            return f"{self.as_signed(term[2])} {kind[1:]} {self.as_signed(term[3])}"
        if kind == ">>" and term[2][1] > own:
            raise Unfit(term)
        if kind == "~" and width > own:
            return f"{{ {self.alone(term)} }}"
        return self.wide(term, width if kind in BITWISE or kind in ("mux", ">>") else self.exact(own, width))

    def exact(self, own, width):
        if own != width:
            raise Unfit(own)
        return width

    def wide(self, term, width):
        """An operation that Verilog evaluates at the width of what is around it."""
        kind = term[0]
        if kind == "mux":
            chosen = f"{self.closed(term[2], None)} ? {self.closed(term[3], width)}"
            return f"{chosen} : {self.closed(term[4], width, allowed=('mux',))}"
        if kind in ("<<", ">>"):
            return f"{self.closed(term[2], width)} {kind} {self.closed(term[3], None)}"
        if kind in ("~", "neg"):
            return ("~" if kind == "~" else "-") + self.closed(term[2], width)
        if kind not in RING and kind not in BITWISE:
            raise Unfit(term)
        first = {"+": ("+", "-"), "-": ("+", "-")}.get(kind, (kind,))
        allowed = () if kind in ("-", "*") else (kind,)
        return f"{self.closed(term[2], width, first)} {kind} {self.closed(term[3], width, allowed)}"

    def closed(self, term, width, allowed=()):
        """An operand, in parentheses where it is an operation other than those that need none."""
        text = self.alone(term) if width is None else self.within(term, width)
        plain = term[0] in (*LEAVES, "cat", "~", "neg", *allowed)
        return text if plain else f"({text})"

    def leaf(self, term, width):
        kind, own, what = term[:3]
        if kind == "name" and what in self.signed:
            # By itself it could be sign-extended; a part never is.
            return f"{what}[{own - 1}:0]" if own > 1 else f"{{ {what} }}"
        if kind == "cat":
            return _side_by_side(self.alone(item) for item in term[2:])
        return atom(term)

    def of_signed(self, term, width):
        """A signed operation, with nothing around it that is unsigned."""
        kind, own = term[:2]
        if width != own:
            raise Unfit(term)
        if kind == "sneg":
            return "-" + self.as_signed(term[2])
        return f"{self.as_signed(term[2])} {kind[1:]} {self.as_signed(term[3])}"

    def as_signed(self, term):
        return f"$signed({self.alone(term)})"
