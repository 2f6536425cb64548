"""Numbered wires: which there are, after all that need not be one."""

from .source import NUMBERED, Slot, declares
from .terms import LEAVES, names_in, operands, rebuild, slice_of, substituted

__all__ = ["Wires"]


class Wires:
    """The numbered wires of a module and all expressions in it, simplified.

    Parameters
    ----------
    source : Source
        The widths in it follow.

    Attributes
    ----------
    definitions : dict of term
        What each wire is.
    slots : list of Slot
        All expressions.
    pinned : dict
        Names of wires that a line of unknown form uses.
    """

    def __init__(self, source):
        self.definitions, self.widths = source.definitions, source.widths
        self.slots = [piece for _, pieces in source.lines for piece in pieces if isinstance(piece, Slot)]
        texts = [piece for _, pieces in source.lines for piece in pieces if isinstance(piece, str)]
        self.pinned = {name: None for text in texts if not declares(text) for name in NUMBERED.findall(text)
                       if name in self.definitions}
        self._take_names()
        self._resolve()
        self._narrow()
        self._resolve()
        self._share()

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
        for slot in self.slots:
            slot.term = self._resolved(slot.term, done)
        for name in self.pinned:
            self._resolved(("name", self.widths[name], name), done)
        self.definitions = done

    def _resolved(self, term, done):
        """The term; ``done`` are the wires that are resolved already, and gets those that it is made of."""
        if term[0] not in LEAVES:
            return rebuild(term, [self._resolved(part, done) for part in operands(term)])
        if term[0] == "const" or term[2] not in self.definitions:
            return term
        if term[2] not in done:
            done[term[2]] = term  # If it is made of itself.
            done[term[2]] = self._resolved(self.definitions[term[2]], done)
        value = done[term[2]]
        if term[0] == "part":
            value = slice_of(value, term[3], term[1])
        return value if value and (value[0] in LEAVES or value[0] == "~" and value[2][0] in LEAVES) else term

    def _narrow(self):
        """Takes from each wire the highest bits that nothing uses: carries, most of the time."""
        order = self._order()
        if order is None:
            return
        ends = {name: self.widths[name] for name in self.pinned}
        for slot in self.slots:
            _note_ends(slot.term, ends)
        for name in order:
            term = self.definitions.pop(name)
            if name in ends:  # Else only what was taken away used it.
                self.definitions[name] = slice_of(term, 0, ends[name]) or term
                self.widths[name] = self.definitions[name][1]
                _note_ends(self.definitions[name], ends)
        self.definitions = {name: self.as_declared(term) for name, term in self.definitions.items()}
        for slot in self.slots:
            slot.term = self.as_declared(slot.term)

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

    def as_declared(self, term):
        """The term, with names in place of parts that are all of what remains."""
        if term[0] not in LEAVES:
            return rebuild(term, [self.as_declared(part) for part in operands(term)])
        whole = term[0] == "part" and term[3] == 0 and term[1] == self.widths[term[2]]
        return ("name", *term[1:3]) if whole else term


def _note_ends(term, ends):
    """Notes up to which bit a term uses each name."""
    if term[0] not in LEAVES:
        for part in operands(term):
            _note_ends(part, ends)
    elif term[0] != "const":
        ends[term[2]] = max(ends.get(term[2], 0), term[1] + (term[3] if term[0] == "part" else 0))
