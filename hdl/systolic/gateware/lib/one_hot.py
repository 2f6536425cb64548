"""One-hot state machines."""

from amaranth.hdl import Mux, Signal

__all__ = ["OneHot"]


class OneHot:
    """The states of a machine, of which one is high: what depends on a state hangs on one register.

    Parameters
    ----------
    name : str
        Begins the names of the registers.
    states : iterable of str
        The first is that after reset.
    """

    def __init__(self, name, states):
        self._bits = {state: Signal(init=not number, name=f"{name}_{state}") for number, state in enumerate(states)}

    def __getitem__(self, state):
        """Whether it is in that state."""
        return self._bits[state]

    def go(self, state, condition=None, otherwise=None):
        """Statements that make it be in that state, or, if the condition does not hold, in the other one."""
        assert state in self._bits and (otherwise is None or otherwise in self._bits)
        if condition is None:
            return [bit.eq(each == state) for each, bit in self._bits.items()]
        return [bit.eq(Mux(condition, each == state, each == otherwise)) for each, bit in self._bits.items()]
