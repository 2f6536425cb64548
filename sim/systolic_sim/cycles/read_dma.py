"""The read DMA, cycle by cycle."""

from .queue import Queue

__all__ = ["ReadDma"]

_CLIENTS = ("fetch", "weights", "load")


class ReadDma:
    """Mirrors :class:`systolic.gateware.dma.read_dma.ReadDma`.

    Members
    -------
    fetch_ready, weights_ready, load_ready : bool
    ar : tuple of int or None
        (address, beats) on offer.
    beats : dict of str to (tuple or None)
        (error, last) of the beat that each client gets.
    idle : bool
    """

    def __init__(self, config):
        self.config = config
        self.ar = None
        self.beats = dict.fromkeys(_CLIENTS)
        self._slots = dict.fromkeys(_CLIENTS)
        self._whose = Queue(max(2, config.reads_in_flight))
        self._count = 0
        self._show()

    def _show(self):
        self.fetch_ready, self.weights_ready, self.load_ready = [slot is None for slot in self._slots.values()]
        self.idle = not self._count

    def step(self, fetch, weights, load, ar_ready, r, stop):
        """Advance one clock.

        Parameters
        ----------
        fetch, weights, load : tuple of int or None
            (address, beats) on offer.
        ar_ready, stop : bool
        r : tuple or None
            (error, last) on the bus.
        """
        ended = r is not None and r[1]
        begun = None
        if self.ar is None and self._count < self.config.reads_in_flight and not stop:
            begun = next((client for client in _CLIENTS if self._slots[client] is not None), None)
        self.beats = dict.fromkeys(_CLIENTS)
        if r is not None:
            self.beats[self._whose.head] = r
        if ar_ready:
            self.ar = None
        for client, request in zip(_CLIENTS, (fetch, weights, load), strict=True):
            if client == begun:
                self.ar, self._slots[client] = self._slots[client], None
            elif self._slots[client] is None:
                self._slots[client] = request
        self._whose.step(begun, ended)
        self._count += (begun is not None) - ended
        self._show()
