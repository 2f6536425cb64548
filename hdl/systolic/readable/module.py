"""Makes a module of Yosys readable: expressions in place of numbered wires, and names for those that remain."""

import collections
import re

from .lines import depths, wrapped
from .names import named
from .printer import Unfit, assigned
from .source import NUMBERED, Slot, Source
from .terms import LEAVES, names_in, operands, rebuild, slice_of, substituted

__all__ = ["readable"]

#: Characters of a condition, of an expression, of each choice of several and each item side by side.
_CONDITION, _EXPRESSION, _CHOICE, _ITEM = 72, 104, 100, 64
_CHOICES = 12
#: What a number becomes is longer.
_A_NAME = "n" * 16


def readable(text):
    """The same Verilog, module by module."""
    return re.sub(r"^module .*?^endmodule$", lambda match: _Module(match[0]).text(), text,
                  flags=re.MULTILINE | re.DOTALL)


class _Module:
    def __init__(self, text):
        self.source = Source(text)
        self.definitions = self.source.definitions
        self.slots = [piece for _, pieces in self.source.lines for piece in pieces if isinstance(piece, Slot)]
        self.pinned = {name: None for _, pieces in self.source.lines for piece in pieces if isinstance(piece, str)
                       for name in NUMBERED.findall(piece) if name in self.definitions and not _declares(piece)}
        self._take_names()
        self._resolve()
        self._narrow()
        self._resolve()
        self._share()
        self._inline()
        self.kept, self.seen = {}, set()
        for statement, pieces in self.source.lines:
            self._keep(statement, pieces)
        self.names = named(text, self.source, self.definitions, self.slots, [
            name for names in self.kept.values() for name in names])

    def _take_names(self):
        """A numbered wire that is assigned to one with a name is that one."""
        values = {}
        for slot in self.slots:
            if slot.role == "alias" and slot.term[0] == "name":
                name = slot.term[2]
                if name in self.definitions and name not in values:
                    values[name] = "name", slot.width, slot.owner
                    slot.term = self.definitions.pop(name)
        for slot in self.slots:
            slot.term = substituted(slot.term, values)
        self.definitions = {name: substituted(term, values) for name, term in self.definitions.items()}
        self.pinned = {name: None for name in self.pinned if name not in values}

    def _resolve(self):
        """Puts constants, names, inverted names and parts of those in place of wires that are no more than that."""
        done = {}

        def resolved(term):
            if term[0] not in LEAVES:
                return rebuild(term, [resolved(part) for part in operands(term)])
            if term[0] == "const" or term[2] not in self.definitions:
                return term
            if term[2] not in done:
                done[term[2]] = term  # If it is part of a loop.
                done[term[2]] = resolved(self.definitions[term[2]])
            value = done[term[2]]
            if term[0] == "part":
                value = slice_of(value, term[3], term[1])
            return value if value and (value[0] in LEAVES or value[0] == "~" and value[2][0] in LEAVES) else term
        for slot in self.slots:
            slot.term = resolved(slot.term)
        for name in self.pinned:
            resolved(("name", self.source.widths[name], name))
        self.definitions = done

    def _narrow(self):
        """Takes from each wire the highest bits that nothing uses: carries, most of the time."""
        order = self._order()
        if order is None:
            return
        ends = {name: self.source.widths[name] for name in self.pinned}
        for slot in self.slots:
            _note_ends(slot.term, ends)
        for name in order:
            if name not in ends:  # Only what was taken away used it.
                del self.definitions[name]
                continue
            low = slice_of(self.definitions[name], 0, ends[name])
            if low:
                self.definitions[name], self.source.widths[name] = low, low[1]
            _note_ends(self.definitions[name], ends)
        self.definitions = {name: self._as_declared(term) for name, term in self.definitions.items()}
        for slot in self.slots:
            slot.term = self._as_declared(slot.term)

    def _order(self):
        """The numbered wires that are used, each before those that it is made of; None if some are made of
        themselves."""
        order, open_names, loops = {}, set(), []

        def visit(name):
            if name in open_names:
                loops.append(name)
            elif name in self.definitions and name not in order:
                open_names.add(name)
                for each in names_in(self.definitions[name]):
                    visit(each)
                open_names.remove(name)
                order[name] = None
        for name in [*self.pinned, *(name for slot in self.slots for name in names_in(slot.term))]:
            visit(name)
        return None if loops else list(reversed(order))

    def _share(self):
        """Makes one wire of several that are the same."""
        values, first = {}, {}
        for name in reversed(self._order() or ()):
            term = self.definitions[name] = substituted(self.definitions[name], values)
            if first.setdefault(term, name) != name and name not in self.pinned:
                values[name] = "name", term[1], first[term]
        for slot in self.slots:
            slot.term = substituted(slot.term, values)

    def _as_declared(self, term):
        """The term, with names in place of parts that are all of what remains."""
        if term[0] not in LEAVES:
            return rebuild(term, [self._as_declared(part) for part in operands(term)])
        whole = term[0] == "part" and term[3] == 0 and term[1] == self.source.widths[term[2]]
        return ("name", *term[1:3]) if whole else term

    # Expressions

    def _inline(self):
        """Puts what is used once where it is used, as far as it fits."""
        self.uses = collections.Counter(name for slot in self.slots for name in names_in(slot.term))
        live = {*self.pinned, *self.uses}
        waiting = list(live)
        while waiting:
            for name in names_in(self.definitions.get(waiting.pop(), ("const", 1, "0"))):
                self.uses[name] += 1
                if name not in live:
                    live.add(name)
                    waiting.append(name)
        self.finished = {}
        for slot in self.slots:
            for name in names_in(slot.term):
                self._finish(name)
            slot.term = self._merged(slot.term, slot.text, _CONDITION if slot.role == "enable" else _EXPRESSION)
        for name in self.pinned:
            self._finish(name)
        self.definitions = self.finished

    def _finish(self, name):
        if name in self.finished or name not in self.definitions:
            return
        self.finished[name] = None
        term, width = self.definitions[name], self.source.widths[name]
        for each in names_in(term):
            self._finish(each)
        self.finished[name] = self._merged(term, lambda term, signed: assigned(term, width, signed), _EXPRESSION)

    def _merged(self, term, text_of, limit):
        """The term with definitions in place of those names that are used once."""
        def attempt(names, limit=limit):
            new = substituted(term, {name: self.finished[name] for name in names})
            try:
                return new if new and _fits(text_of(new, self.source.signed), limit) else None
            except Unfit:
                return None
        names = [name for name in names_in(term)
                 if self.uses[name] == 1 and name not in self.pinned and self.finished.get(name)]
        names = sorted((name for name in names if attempt([name], None)), key=lambda name: self._length(name))
        while names:
            if new := attempt(names):
                return new
            names.pop()
        return term

    def _length(self, name):
        return len(assigned(self.finished[name], self.source.widths[name]))

    # Text

    def _keep(self, statement, pieces):
        """Notes which definitions come before a statement: those that it needs first."""
        for piece in pieces:
            names = NUMBERED.findall(piece) if isinstance(piece, str) else names_in(piece.term)
            for name in names if not isinstance(piece, str) or not _declares(piece) else ():
                self._keep_name(statement, name)

    def _keep_name(self, statement, name):
        if name in self.definitions and name not in self.seen:
            self.seen.add(name)
            for each in names_in(self.definitions[name]):
                self._keep_name(statement, each)
            self.kept.setdefault(statement, []).append(name)

    def text(self):
        lines, seen = [], None
        for statement, pieces in self.source.lines:
            if statement != seen:
                seen = statement
                lines += [self._definition(name) for name in self.kept.get(statement, ())]
            line = "".join(piece if isinstance(piece, str) else piece.text(piece.term, self.source.signed)
                           for piece in pieces)
            if not self._is_gone(line):
                lines.append(line)
        return "\n".join(wrapped(NUMBERED.sub(lambda match: self.names[match[0]], line)) for line in lines)

    def _definition(self, name):
        width = self.source.widths[name]
        text = assigned(self.definitions[name], width, self.source.signed)
        return f"  wire {f'[{width - 1}:0] ' if width > 1 else ''}{name} = {text};"

    def _is_gone(self, line):
        """Whether a line declares what is no more, or is declared where it is defined, or as a port."""
        match = _DECLARES.match(line)
        if match is None or match[1] != "wire":
            return False
        name = match[2]
        return bool(NUMBERED.fullmatch(name)) and name not in self.names or name in self.definitions


def _note_ends(term, ends):
    """Notes up to which bit a term uses each name."""
    if term[0] not in LEAVES:
        for part in operands(term):
            _note_ends(part, ends)
    elif term[0] != "const":
        ends[term[2]] = max(ends.get(term[2], 0), term[1] + (term[3] if term[0] == "part" else 0))


_DECLARES = re.compile(r"  (wire|reg)(?: signed)?(?: \[\d+:0\])? (\w+)(?: = .*)?;$")


def _declares(line):
    return _DECLARES.match(line)


def _fits(text, limit):
    """Whether an expression is short enough, or made of parts that are; without limit, it always is."""
    text = NUMBERED.sub(_A_NAME, text)
    if limit is None or len(text) <= limit:
        return True
    if limit == _CONDITION:
        return False
    levels = depths(text)
    if choices := _lengths(text, " : ", levels, 0):
        return max(choices) <= _CHOICE and len(choices) <= _CHOICES
    items = _lengths(text, ", ", levels, 1) if text.startswith("{") and 0 not in levels[1:-1] else ()
    return bool(items) and max(items) <= _ITEM


def _lengths(text, mark, levels, depth):
    """The lengths of the parts between marks in so many brackets; of none if there is no mark."""
    places = [match.start() for match in re.finditer(mark, text) if levels[match.start()] == depth]
    return [b - a for a, b in zip([0, *places], [*places, len(text)], strict=True)] if places else ()
