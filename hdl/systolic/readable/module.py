"""Makes a module of Yosys readable: expressions in place of numbered wires, and names for those that remain."""

import collections
import re

from .lines import depths, wrapped
from .names import named
from .printer import Unfit, assigned
from .source import NUMBERED, Source, declares
from .terms import names_in, substituted
from .wires import Wires

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
        self.wires = Wires(self.source)
        self.slots, self.pinned = self.wires.slots, self.wires.pinned
        self.definitions = self.wires.definitions
        self._inline()
        self.kept, self.seen = {}, set()
        for statement, pieces in self.source.lines:
            self._keep(statement, pieces)
        self.names = named(text, self.source, self.definitions, self.slots, [
            name for names in self.kept.values() for name in names])

    # Expressions

    def _inline(self):
        """Puts what is used once where it is used, as far as it fits."""
        self.uses = self._uses()
        self.finished = {}
        for slot in self.slots:
            for name in names_in(slot.term):
                self._finish(name)
            slot.term = self._merged(slot.term, slot.text, _CONDITION if slot.role == "enable" else _EXPRESSION)
        for name in self.pinned:
            self._finish(name)
        self.definitions = self.finished

    def _uses(self):
        """How often each name is used."""
        uses = collections.Counter(name for slot in self.slots for name in names_in(slot.term))
        waiting = list({*self.pinned, *uses})
        live = set(waiting)
        while waiting:
            for name in names_in(self.definitions.get(waiting.pop(), ("const", 1, "0"))):
                uses[name] += 1
                if name not in live:
                    live.add(name)
                    waiting.append(name)
        return uses

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
                return self.wires.as_declared(new) if new and _fits(text_of(new, self.source.signed), limit) else None
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
            for name in names if not isinstance(piece, str) or not declares(piece) else ():
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
        match = declares(line)
        if match is None or match[1] != "wire":
            return False
        name = match[2]
        return bool(NUMBERED.fullmatch(name)) and name not in self.names or name in self.definitions


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
