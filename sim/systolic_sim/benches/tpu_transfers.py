"""Programs that move rows of bytes around the ends of bursts and of pages."""

import numpy as np

from systolic import isa

__all__ = ["PAGE", "Transfers", "code"]

PAGE = 4096


def code(operations):
    """A program as bytes of memory."""
    return np.frombuffer(isa.encode(operations), np.uint8)


class Transfers:
    """A program of loads, each with a store of what it has read, and the memory it runs in.

    Rows begin and end around the ends of bursts and of 4 KB; they have gaps, touch, or lie over each other.
    """

    PAGES = 4   # of memory to read from, and as many to write to

    def __init__(self, config, rng, *, pairs):
        self.config, self.rng = config, rng
        self.word, self.burst = config.bus_bytes, config.burst_beats * config.bus_bytes
        self.operations = []
        for _ in range(pairs):
            self._pair()
        self.operations.append(isa.operation("halt"))
        self.address = 2 * self.PAGES * PAGE
        self.memory = np.concatenate([rng.integers(0, 256, self.address, np.uint8), code(self.operations)])

    def _pair(self):
        rng, word, burst = self.rng, self.word, self.burst
        row_bytes = int(rng.choice([1, word - 1, word, word + 1, burst - 1, burst, burst + 1, 2 * burst,
                                    2 * burst + word + 1, int(rng.integers(1, 3 * burst))]))
        row_bytes = min(row_bytes, self.config.buffer_size // 2)
        rows = int(rng.integers(1, 1 + min(5, self.config.buffer_size // (2 * row_bytes))))
        stride = int(rng.choice([row_bytes, row_bytes + int(rng.integers(1, 20)), int(rng.integers(row_bytes))]))
        size = (rows - 1) * stride + row_bytes
        base = int(rng.integers(self.config.buffer_size - size + 1))
        for name, first in (("read_host_memory", 0), ("write_host_memory", self.PAGES)):
            words = -(-row_bytes // word)
            memory_stride = word * int(rng.choice([words, words + int(rng.integers(1, 9)), rng.integers(words)]))
            memory_size = (rows - 1) * memory_stride + row_bytes
            self.operations.append(isa.operation(
                name, memory=first * PAGE + self._offset(words, memory_size), memory_size=memory_size, base=base,
                size=size, row_count=rows, row_bytes=row_bytes, memory_stride=memory_stride, stride=stride))

    def _offset(self, words, size):
        """Where the first row begins, in pages of its own: mostly close to the end of one, or so that it ends there."""
        rng, word = self.rng, self.word
        page = PAGE * int(rng.integers(1, self.PAGES))
        most = self.PAGES * PAGE - size
        place = page + word * int(rng.choice([0, -1, -words, 1 - words, -self.config.burst_beats,
                                              1 - self.config.burst_beats, rng.integers(-words, 9)]))
        return min(max(place, 0), most // word * word)
