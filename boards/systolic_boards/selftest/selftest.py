"""The self-test: a matrix unit fed at random on its own chip, its results compressed to 32 bits.

::

    Random ──▶ weights ──▶ ┌─────────────┐
                           │ matrix unit │ ──▶ results ──▶ one signature a column ──▶ fold ──▶ = expected?
    Random ──▶ rows ─────▶ └─────────────┘

What is sent depends on nothing but the configuration: see :mod:`.pattern`.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolic.gateware.matrix.formats import gateware
from systolic.gateware.ports import RowCommand

from .pattern import K_TILES, ROW_LANE, STALL_LANE, TAPS, TILES, WEIGHT_LANE, seeds, sizes

__all__ = ["DIGITS", "DecimalCounter", "Random", "SelfTest"]

#: Digits of the counters: cycles, and rows accepted.
DIGITS = {"cycles": 7, "rows": 6}


class Random(wiring.Component):
    """Marsaglia's xorshift32, as many lanes as it takes.

    Parameters
    ----------
    width : int
        Bits wanted at once.
    first : int
        Number of the first lane, from 1; it decides the seeds.

    Members
    -------
    step : In(1)
        Go on, in the next cycle.
    o : Out(width)
        Random bits.
    """

    def __init__(self, width, first):
        self.lanes = -(-width // 32)
        self.first = first
        super().__init__({"step": In(1), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        lanes = [Signal(32, name=f"lane_{lane}", init=seed) for lane, seed in enumerate(seeds(self.lanes, self.first))]
        m.d.comb += self.o.eq(Cat(lanes))
        with m.If(self.step):
            for lane in lanes:
                value = lane ^ (lane << 13)[:32]
                value ^= value >> 17
                m.d.sync += lane.eq(value ^ (value << 5)[:32])
        return m


class DecimalCounter(wiring.Component):
    """Counts in decimal digits; carries take a cycle a digit, so it is right that many cycles after the last count.

    Members
    -------
    i : In(1)
        Count this cycle.
    o : Out
        Four bits a digit.
    """

    def __init__(self, digits):
        self.digits = digits
        super().__init__({"i": In(1), "o": Out(4 * digits)})

    def elaborate(self, platform):
        m = Module()
        carry = self.i
        for number in range(self.digits):
            digit, wraps = self.o.word_select(number, 4), Signal(name=f"wraps_{number}")
            m.d.sync += wraps.eq(carry & (digit == 9))
            with m.If(carry):
                m.d.sync += digit.eq(Mux(digit == 9, 0, digit + 1))
            carry = wraps
        return m


class SelfTest(wiring.Component):
    """Sends the program of :func:`.pattern.program` once after reset, and judges what comes back.

    The kinds of stalls, a quarter of the tiles each: none, rows held back, weights held back, results held back; at
    random, half of the cycles.

    Parameters
    ----------
    config : Config
        Of the matrix unit.
    expected : int
        The signature of right results.
    fault : bool
        Flip the sign of one weight on its way, to see that it is noticed.
    patience : int
        Bits of the number of cycles without a result after which the matrix unit is taken to hang.

    Members
    -------
    weights, rows, results : Out(stream), Out(stream), In(stream)
        For the matrix unit.
    passed, failed : Out(1)
        The verdict; neither while the test is running.
    digits : Out
        Rows and cycles in decimal, and the signature in hexadecimal, as for :class:`~.uart.Text`.
    """

    def __init__(self, config, *, expected, fault=False, patience=16):
        self.config = config
        self.expected = expected
        self.fault = fault
        self.patience = patience
        arch = config.arch
        super().__init__({
            "weights": Out(stream.Signature(data.ArrayLayout(arch.format.width, arch.cols))),
            "rows": Out(stream.Signature(RowCommand(arch))),
            "results": In(stream.Signature(data.ArrayLayout(32, arch.cols))),
            "passed": Out(1), "failed": Out(1), "digits": Out(4 * (sum(DIGITS.values()) + 8)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.stalls = stalls = Random(32, STALL_LANE)
        m.d.comb += stalls.step.eq(1)
        tile = self._rows(m, stalls.o)
        self._weights(m, (tile[4:] != 2) | stalls.o[1])
        running = Signal(init=1)
        m.d.comb += self.results.ready.eq((tile[4:] != 3) | stalls.o[2])
        value = self._signature(m)
        self._end(m, running, value)

        m.submodules.cycles = cycles = DecimalCounter(DIGITS["cycles"])
        m.submodules.accepted = accepted = DecimalCounter(DIGITS["rows"])
        m.d.comb += [
            cycles.i.eq(running), accepted.i.eq(self.rows.valid & self.rows.ready),
            self.digits.eq(Cat(value, cycles.o, accepted.o)),
        ]
        return m

    def _rows(self, m, stalls):
        """Sends the rows; returns the number of the tile they belong to."""
        config, row = self.config, self.rows.payload
        counts = sizes(config)
        tile = Signal(range(TILES))
        more = Signal(init=1)
        switch = Signal(init=1)
        left = Signal(range(max(counts)), init=counts[0] - 1)
        following = Signal.like(tile)
        address = Signal(config.arch.address_width)
        m.submodules.x = x = Random(len(row.data.as_value()), ROW_LANE)
        m.d.comb += [
            row.data.eq(gateware(config.arch.format).bounded(x.o)), row.address.eq(address), row.switch.eq(switch),
            row.accumulate.eq(tile[:2] != 0), row.last.eq(tile[:2] == K_TILES - 1),
            x.step.eq(self.rows.valid & self.rows.ready), following.eq(tile + 1),
        ]
        with m.If(x.step):
            m.d.sync += [address.eq(address + 1), left.eq(left - 1), switch.eq(0)]
            with m.If(left == 0):
                m.d.sync += [
                    address.eq(0), switch.eq(1), tile.eq(following),
                    left.eq(Array(count - 1 for count in counts)[following[2:4]]),
                ]
                with m.If(tile == TILES - 1):
                    m.d.sync += [more.eq(0), tile.eq(tile)]
        with m.If(~self.rows.valid | self.rows.ready):
            finished = x.step & (left == 0) & (tile == TILES - 1)
            m.d.sync += self.rows.valid.eq(more & ~finished & ((tile[4:] != 1) | stalls[0]))
        return tile

    def _weights(self, m, go):
        """Sends the weight tiles."""
        bits = self.weights.payload.as_value()
        beats = TILES * self.config.arch.rows
        left = Signal(range(beats), init=beats - 1)
        more = Signal(init=1)
        m.submodules.w = w = Random(len(bits), WEIGHT_LANE)
        # A register that never changes, unless a bench does it: synthesis makes a constant of it.
        fault = Signal(init=self.fault, reset_less=True)
        m.d.sync += fault.eq(fault)
        # A sign, of the first tile: that of a small bf16 number could drown in a few large ones.
        flip = (fault & (left == beats - 1)) << self.config.arch.format.width - 1
        m.d.comb += [bits.eq(gateware(self.config.arch.format).bounded(w.o) ^ flip),
                     w.step.eq(self.weights.valid & self.weights.ready)]
        with m.If(w.step):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 0):
                m.d.sync += [more.eq(0), left.eq(left)]
        with m.If(~self.weights.valid | self.weights.ready):
            m.d.sync += self.weights.valid.eq(more & ~(w.step & (left == 0)) & go)

    def _signature(self, m):
        """Compresses the results; returns the signature, two cycles late."""
        folded = 0
        for c in range(self.config.arch.cols):
            column, result = Signal(32, name=f"column_{c}"), self.results.payload[c]
            with m.If(self.results.valid & self.results.ready):
                m.d.sync += column.eq((column << 1)[:32] ^ Mux(column[31], TAPS, 0) ^ result)
            folded ^= column.rotate_left(c % 32)
        value = Signal(32)
        m.d.sync += value.eq(folded)
        return value

    def _end(self, m, running, value):
        """Counts the results, and gives the verdict once the counters have settled."""
        results = sum(sizes(self.config)) * TILES // 4 // K_TILES
        left = Signal(range(results), init=results - 1)
        waiting = Signal(self.patience + 1)
        hangs = Signal()
        settling = Signal(range(16))
        m.d.sync += waiting.eq(waiting + 1)
        with m.If(self.results.valid & self.results.ready & running):
            m.d.sync += [left.eq(left - 1), waiting.eq(0)]
            with m.If(left == 0):
                m.d.sync += running.eq(0)
        with m.Elif(running & waiting[-1]):
            m.d.sync += [running.eq(0), hangs.eq(1)]
        right = ~hangs & (value == self.expected)
        with m.If(~running & (settling != 15)):
            m.d.sync += settling.eq(settling + 1)
        with m.If(settling == 15):
            m.d.sync += [self.passed.eq(right), self.failed.eq(~right)]
