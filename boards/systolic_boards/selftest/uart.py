"""What the board found, as text for a serial line."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["BAUD", "DIGIT", "Text"]

#: Bits a second on the line.
BAUD = 115_200

#: Where a text has a digit that is not known before the board runs.
DIGIT = "#"

_IS_DIGIT = 0x80


class Text(wiring.Component):
    """Sends one of several texts, with digits filled in.

    Parameters
    ----------
    texts : sequence of str
        ASCII, with as many :data:`DIGIT` each as there are digits.
    digits : int
        How many hexadecimal digits there are.

    Members
    -------
    start : In(1)
        Send; not heeded while a text is under way.
    select : In
        Which text.
    digits : In
        The digits, the first to be sent in the highest four bits; looked at with ``start``.
    o : Out(stream)
        Bytes.
    """

    def __init__(self, texts, *, digits):
        for text in texts:
            if text.count(DIGIT) != digits or not text.isascii() or "\0" in text:
                raise ValueError(f"text must be ASCII with {digits} {DIGIT}, not {text!r}")
        self.texts = tuple(texts)
        super().__init__({"start": In(1), "select": In(range(len(texts))), "digits": In(4 * digits),
                          "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        position = Signal(range(max(map(len, self.texts)) + 1))
        digits = Signal(len(self.digits))
        rom = self._rom(1 << len(position))
        m.submodules.characters = characters = memory.Memory(shape=8, depth=len(rom), init=rom)
        port = characters.read_port()
        character, digit = port.data, digits[-4:]
        is_digit = character[7]
        # A cycle late, while the next character is fetched: as an enable of so many registers it is slow.
        shift = Signal()
        m.d.comb += [
            port.addr.eq(Cat(position, self.select)),
            self.o.payload.eq(Mux(is_digit, digit + Mux(digit < 10, ord("0"), ord("a") - 10), character)),
        ]
        m.d.sync += shift.eq(is_digit & self.o.valid & self.o.ready)
        with m.If(shift):
            m.d.sync += digits.eq(digits << 4)
        with m.FSM():
            with m.State("idle"):
                m.d.sync += [position.eq(0), digits.eq(self.digits)]
                with m.If(self.start):
                    m.next = "fetch"
            with m.State("fetch"):
                m.next = "send"
            with m.State("send"):
                m.d.comb += self.o.valid.eq(character != 0)
                with m.If(character == 0):
                    m.next = "idle"
                with m.Elif(self.o.ready):
                    m.d.sync += position.eq(position + 1)
                    m.next = "fetch"
        return m

    def _rom(self, size):
        """Characters of all texts, each from a multiple of ``size`` on and zero behind its end."""
        rom = []
        for text in self.texts:
            codes = [_IS_DIGIT if character == DIGIT else ord(character) for character in text]
            rom += codes + [0] * (size - len(codes))
        return rom
