"""Names for numbered signals: what they compute if that can be said in short, else what they are for."""

import re

from .source import NUMBERED
from .terms import LEAVES, names_in

__all__ = ["named"]

_LONGEST = 32
_WORDS = {"&": "and", "|": "or", "^": "xor", "+": "plus", "-": "minus", "*": "times", "==": "is", "!=": "is_not",
          "<": "below", "<=": "at_most", ">": "above", ">=": "at_least", "<<": "shifted_by", ">>": "shifted_by"}
_PREFIXES = {"~": "not", "any": "any", "all": "all", "parity": "parity", "neg": "minus", "sneg": "minus"}
_ROLES = {"mux": "choice", "+": "sum", "-": "difference", "*": "product", "<<": "shifted", ">>": "shifted",
          "neg": "negative", "cat": "word"}
_DIRECT = {"value": "next", "alias": "value", "enable": "enable", "address": "address"}


def named(text, source, definitions, slots, order):
    """A name for each numbered signal that remains in a module.

    Parameters
    ----------
    text : str
        The module; what it names already is taken.
    source : Source
    definitions : dict of term
        What the numbered wires are.
    slots : list of Slot
    order : list of str
        The wires in the order of their definitions.

    Returns
    -------
    dict of str
    """
    names = _Names(text, source, definitions, slots, order)
    for name in [*source.opaque, *order]:
        names.give(name)
    return names.names


class _Names:
    def __init__(self, text, source, definitions, slots, order):
        self.taken = set(re.findall(r"\w+", text))
        self.source, self.definitions, self.names = source, definitions, {}
        self.users = {}
        for slot in slots:
            for name in names_in(slot.term):
                direct = _DIRECT[slot.role] if slot.term[0] in LEAVES else None
                self.users.setdefault(name, (slot.owner, direct))
        for user in order:
            for name in names_in(definitions[user]):
                self.users.setdefault(name, (user, None))

    def give(self, name):
        if name not in self.names:
            self.names[name] = self._free(self._wanted(name))

    def _free(self, wanted):
        name, number = wanted, 2
        while name in self.taken:
            name, number = f"{wanted}_{number}", number + 1
        self.taken.add(name)
        return name

    def _wanted(self, name):
        if name not in self.definitions:
            kind = "reg" if self.source.kinds[name] == "reg" else "value"
            return self.source.drivers.get(name) or f"{self._purpose(name)[0]}_{kind}"
        term = self.definitions[name]
        words = self._described(term)
        if words and len(words) <= _LONGEST and not re.match(r"\d", words):
            return words
        owner, direct = self._purpose(name)
        role = direct or _ROLES.get(term[0].lstrip("s"), "condition" if term[1] == 1 else "bits")
        return f"{owner}_{role}"

    def _purpose(self, name):
        """What a signal is for in the end, and its role if it is all of that."""
        owner, direct = self.users.get(name, ("unused", None))
        seen = {name}
        while NUMBERED.fullmatch(owner) and owner not in self.names and owner not in seen:
            seen.add(owner)
            owner, direct = self.users.get(owner, ("unused", None))[0], None
        return self._word(owner).strip("_"), direct

    def _word(self, name):
        return self.names.get(name, name).lstrip("_")

    def _described(self, term):
        """The term in words, if it is of one operation; else None."""
        kind = term[0]
        kind = kind[1:] if kind[0] == "s" and kind[1:] in _WORDS else kind
        words = [self._leaf(part) for part in term[2:]] if kind in _WORDS or kind in _PREFIXES else [None]
        if None in words:
            return None
        return f"{words[0]}_{_WORDS[kind]}_{words[1]}" if kind in _WORDS else f"{_PREFIXES[kind]}_{words[0]}"

    def _leaf(self, term):
        kind, width, what = term[:3]
        if kind == "const":
            return str(int(what, 2)) if set(what) <= {"0", "1"} else None
        if kind == "~":
            word = self._leaf(what)
            return word and f"not_{word}"
        if kind not in LEAVES or NUMBERED.fullmatch(what) and what not in self.names:
            return None
        if kind == "name":
            return self._word(what)
        return f"{self._word(what)}_{term[3]}" if width == 1 else f"{self._word(what)}_{term[3] + width - 1}_{term[3]}"
