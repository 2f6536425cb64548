"""The lines of a module as Yosys writes it, and the expressions in them."""

import re

from .parser import parse
from .printer import assigned, atom, self_determined
from .terms import LEAVES, cat, const, inverted, slice_of

__all__ = ["NUMBERED", "Slot", "Source", "declares"]

NUMBERED = re.compile(r"\b_\d+_\b")

_DECLARED = re.compile(r"  (input|output|wire|reg)( signed)?(?: \[(\d+):0\])? (\w+)( = .*)?;$")
_INSIDE = re.compile(r"  (wire|reg)(?: signed)?(?: \[\d+:0\])? (\w+)(?: = .*)?;$")
_ASSIGNED = re.compile(r"  assign (.*?) = (.*);$")
_GUARD = re.compile(r"( +(?:else )?if \()(!?)([^()]*)\)( begin$|$| )")
_CLOCKED = re.compile(r"( *(?:else )?)([^\s<>=]*(?:\[.*?\])?) <= (.*);$")
_ELEMENT = re.compile(r"(\w+)\[(.*)\]$")
_MEMORY = re.compile(r"  reg(?: \[(\d+):0\])? (\w+) \[\d+:0\];$")
_CONNECTED = re.compile(r"    \.(\w+)\((.*)\)(,?)$")
_INSTANCE = re.compile(r"  (?:\w+|\)) (\w+) \($")
_FUNCTION = re.compile(r"  function \[\d+:0\] (\w+);\n    input \[(\d+):0\] a;\n    input \[(\d+):0\] b;\n"
                       r"    input \[(\d+):0\] s;\n(.*?)  endfunction\n", re.DOTALL)


def declares(line):
    """Whether a line declares a wire or register: the match of its kind and name, or None."""
    return _INSIDE.match(line)


def _plain(text):
    """Without what Yosys says twice: wires that are ports, initial values of wires, and digits that are all alike."""
    text = text.replace("\n, ", ", ")
    text = re.sub(r"^  \(\* init = .* \*\)\n(?=(?:  output .*\n)?  wire )", "", text, flags=re.MULTILINE)
    text = re.sub(r"^(  (?:in|out)put (.*;))\n  wire \2$", r"\1", text, flags=re.MULTILINE)
    return re.sub(r"'h([0x])\1+\b", r"'h\1", text)


def _undriven(width):
    return const(width, "x" * width)


class Slot:
    """An expression in a line.

    Attributes
    ----------
    term : term
    width : int or None
        Bits that it is assigned to; None where nothing around it counts.
    owner : str
        What it is for: the assigned signal, or instance and port.
    role : str
        ``value``, ``enable``, ``address``, or ``alias`` of all that is assigned to a wire.
    """

    def __init__(self, term, width, owner, role):
        self.term, self.width, self.owner, self.role = term, width, owner, role

    def text(self, term, signed):
        """The expression, of another term for the same."""
        return self_determined(term, signed) if self.width is None else assigned(term, self.width, signed)


class Source:
    """A module, taken apart.

    Attributes
    ----------
    lines : list of tuple
        Number of the line where the statement begins that a line belongs to, and the pieces of the line: text and
        slots.
    definitions : dict of term
        What each numbered wire is, if it is assigned.
    widths, kinds : dict
        Bits of each signal; ``wire``, ``reg`` and so on.
    signed : set of str
        Signals declared so.
    drivers : dict of str
        What drives each numbered signal that is not assigned, as a name.
    """

    def __init__(self, text):
        self.functions, self.widths, self.kinds, self.signed = {}, {}, {}, set()
        self.memories, self.definitions, self.drivers, self.lines = {}, {}, {}, []
        self._parts, self._instance, self._statement = {}, None, 0
        lines = _plain(_FUNCTION.sub(self._function, text)).split("\n")
        for line in lines:
            self._declare(line)
        for number, line in enumerate(lines):
            attribute = number and lines[number - 1].startswith("  (*")
            if re.match(r" {0,2}\S", line) and not attribute and not re.match(r"  (?:end\b|\) |\);)", line):
                self._statement = number
            self.lines += [(self._statement, pieces) for pieces in self._split(line)]
        self._join_parts()
        #: Numbered signals that are not assigned: registers, outputs of instances and what nothing drives.
        self.opaque = [name for name in self.kinds if NUMBERED.fullmatch(name) and name not in self.definitions]

    def _function(self, match):
        """Drops a function of those that select; its calls become conditional expressions."""
        name, a, b, s, body = match.groups()
        width, count = int(a) + 1, int(s) + 1
        want = "    (* parallel_case *)\n    casez (s)\n"
        for bit in range(count):
            pattern = "?" * (count - 1 - bit) + "1" + "?" * bit
            want += f"      {count}'b{pattern}:\n        {name} = b[{bit * width + width - 1}:{bit * width}];\n"
        want += f"      default:\n        {name} = a;\n    endcase\n"
        if body.removeprefix("    (* full_case = 32'd1 *)\n") != want or int(b) + 1 != width * count:
            self.kinds[name], self.drivers[name] = "function", "select"
            return match[0]
        self.functions[name] = width, width * count, count
        return ""

    def _declare(self, line):
        if match := _DECLARED.match(line):
            kind, signed, high, name, _ = match.groups()
            self.widths[name] = int(high or 0) + 1
            if kind == "reg" or name not in self.kinds:
                self.kinds[name] = kind
            if signed:
                self.signed.add(name)
        elif match := _MEMORY.match(line):
            self.memories[match[2]] = int(match[1] or 0) + 1

    def _parse(self, text, width=None):
        return parse(text, width, self.widths, self.functions)

    # Lines

    def _split(self, line):
        """The pieces of a line; of none if it is the definition of a numbered wire, or of several."""
        if match := _INSTANCE.match(line):
            self._instance = match[1]
        if match := _ASSIGNED.match(line):
            return self._assignment(line, *match.groups())
        if not NUMBERED.search(line) or _DECLARED.match(line):
            return [[line]]
        if match := _CONNECTED.match(line):
            return [self._connection(*match.groups()) or [line]]
        return [self._clocked(line) or [line]]

    def _assignment(self, line, target, value):
        place = self._parse(target)
        term = place and self._parse(value, place[1])
        if term is None:
            return [[line]]
        items = place[2:] if place[0] == "cat" else (place,)
        if not any(self._is_numbered_wire(item) for item in items):
            alias = "alias" if place[0] == "name" else "value"
            return [[f"  assign {target} = ", Slot(term, place[1], items[0][2], alias), ";"]]
        if len(items) > 1 and term[0] not in LEAVES:
            term = self._fresh(term)
        lines, low = [], 0
        for item in reversed(items):
            part = slice_of(term, low, item[1])
            low += item[1]
            if self._is_numbered_wire(item):
                self._parts.setdefault(item[2], []).append((item, part))
            else:
                lines.append([f"  assign {atom(item)} = ", Slot(part, item[1], item[2], "value"), ";"])
        return lines

    def _is_numbered_wire(self, item):
        return item[0] != "const" and NUMBERED.fullmatch(item[2]) and self.kinds[item[2]] == "wire"

    def _fresh(self, term):
        """A numbered wire of its own for a term."""
        name = f"_{10 ** 6 + len(self.definitions)}_"
        self.widths[name], self.kinds[name], self.definitions[name] = term[1], "wire", term
        return "name", term[1], name

    def _join_parts(self):
        """Defines each numbered wire of which bits are assigned; bits that nothing drives are x."""
        for name, parts in self._parts.items():
            parts = sorted(((item[3] if item[0] == "part" else 0, item, term) for item, term in parts),
                           key=lambda part: -part[0])
            if name in self.drivers and sum(item[1] for _, item, _ in parts) < self.widths[name]:
                lines = [[f"  assign {atom(item)} = ", Slot(term, item[1], name, "value"), ";"]
                         for _, item, term in parts]
                self.lines[-1:-1] = [(len(self.lines), pieces) for pieces in lines]
                continue
            terms, end = [], self.widths[name]
            for low, _, term in parts:
                terms += [_undriven(end - low - term[1]), term]
                end = low
            self.definitions[name] = cat([term for term in [*terms, _undriven(end)] if term[1]])

    def _connection(self, port, value, comma):
        term = self._parse(value)
        if term is None:
            return None
        owner = f"{self._instance}_{port}"
        for item in term[2:] if term[0] == "cat" else (term,):
            if item[0] != "const" and NUMBERED.fullmatch(item[2]):
                self.drivers.setdefault(item[2], owner)
        return [f"    .{port}(", Slot(term, None, owner, "value"), f"){comma}"]

    # Clocked

    def _clocked(self, line):
        """Of ``if (condition) target <= value;``, all of it or a part; or None."""
        pieces, guard = [], _GUARD.match(line)
        if guard:
            condition = self._parse(guard[3], 1)
            if condition is None:
                return None
            line = line[guard.end():]
            pieces = [guard[1], Slot(inverted(condition) if guard[2] else condition, None, None, "enable"),
                      ")" + guard[4]]
        match = _CLOCKED.match(line)
        if match is None:
            return pieces if guard and not line else None
        rest = self._update(*match.groups()[1:])
        if guard and rest:
            pieces[1].owner = _ELEMENT.sub(r"\1", match[2])
        return rest and [*pieces, match[1], *rest]

    def _update(self, target, value):
        element = self._element(target)
        if element:
            left, width, owner = element, self.memories[_ELEMENT.match(target)[1]], _ELEMENT.match(target)[1]
        else:
            place = self._parse(target)
            if place is None:
                return None
            left, width, owner = [target], place[1], place[2]
        if right := self._element(value):
            self.drivers[owner] = f"{_ELEMENT.match(value)[1]}_read"
        elif term := self._parse(value, width):
            right = [Slot(term, width, owner, "value")]
        return right and [*left, " <= ", *right, ";"]

    def _element(self, text):
        """The pieces of an element of a memory, or None."""
        match = _ELEMENT.match(text)
        if match is None or match[1] not in self.memories:
            return None
        index = self._parse(match[2])
        return index and [f"{match[1]}[", Slot(index, None, match[1], "address"), "]"]
