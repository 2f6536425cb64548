"""A whole TPU, cycle by cycle, without its data: the cycle model.

Every component has its own model in this package, whose outputs depend on registers alone. A cycle reads all outputs,
arbitrates the unified buffer, and steps every model. The data that is multiplied cannot change a handshake and is not
modelled: a 256 x 256 array costs no more than a 4 x 4.
"""

import collections
import dataclasses

from systolic import isa
from systolic.errors import UserError
from systolic.isa import ErrorCode
from systolic_sim.cycles.matrix_unit import SteppedMatrixUnit

from .activation_unit import ActivationUnit
from .load import Loader
from .memory import Memory
from .read_dma import ReadDma
from .row_reader import RowReader
from .sequencer import EXECUTORS, Sequencer
from .store import Storer
from .weight_reader import WeightReader

__all__ = ["CycleError", "Prediction", "Timing", "predict"]


class CycleError(UserError, RuntimeError):
    """The program does not come to an end; the message says what waits for what."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing:
    """When an instruction was executed.

    Parameters
    ----------
    issue, retire : int
        Cycles from the doorbell on.
    counters : dict of str to int
        What the counters counted until it retired, since all instructions before it had: 0 if one of those retired
        later. Summed over a program they are the program's.
    """

    issue: int
    retire: int
    counters: dict


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a TPU's counters will say.

    Attributes
    ----------
    counters : dict of str to int
        By the registers' names in small letters.
    timings : tuple of Timing
        Per instruction.
    """

    counters: dict
    timings: tuple

    @property
    def cycles(self):
        """From doorbell to halt."""
        return self.counters["cycles"]

    @property
    def utilisation(self):
        """Share of the cycles in which a row enters the array."""
        return self.counters["active"] / self.cycles


class _Tpu:
    def __init__(self, config, program, memory):
        self.config, self.memory = config, memory
        self.sequencer = Sequencer(config, program)
        self.read_dma, self.matrix_unit = ReadDma(config), SteppedMatrixUnit(config.matrix)
        self.load, self.store, self.weights = Loader(config), Storer(config), WeightReader(config)
        self.matrix, self.activation = RowReader(config), ActivationUnit(config)
        self._store_reads = collections.deque([False] * config.READ_LATENCY)
        self._start = True
        self.counters = collections.Counter()
        # By instruction, what the counters were when it was issued and when it retired; instructions in flight by unit.
        self.issued, self.retired = [], {}
        self._in_flight = [collections.deque() for _ in EXECUTORS]

    def step(self):
        """One clock."""
        config, sequencer, read_dma, unit = self.config, self.sequencer, self.read_dma, self.matrix_unit
        load, store, weights, matrix, activation = (self.load, self.store, self.weights, self.matrix, self.activation)
        units = load, store, weights, matrix, activation
        memory, counters = self.memory, self.counters

        ready = [each.command_ready for each in units]
        done = [each.done for each in units]
        commands = sequencer.commands[:]
        buffer_free = activation.read is None
        store_reads = store.read is not None and buffer_free
        rows_granted = buffer_free and store.read is None
        rows_empty = matrix.empty
        row = matrix.row
        row_ready = unit.rows_ready
        results_valid, results_ready = unit.results_valid, activation.results_ready
        weights_valid, weights_ready = weights.weights_valid, unit.weights_ready
        beats, beat, response = read_dma.beats, memory.beat, memory.response
        ar, aw, w = read_dma.ar, store.aw, store.w
        requests = sequencer.fetcher.request, weights.request, load.request
        grants = read_dma.fetch_ready, read_dma.weights_ready, read_dma.load_ready
        write_free = activation.write is None

        running = sequencer.running
        counters["cycles"] += running
        counters["instructions"] += sequencer.issued
        counters["useful_macs"] += matrix.macs
        counters["bytes_read"] += config.bus_bytes * (beats["load"] is not None or beats["weights"] is not None)
        if w is not None:
            counters["bytes_written"] += w[0]
        if running:
            for name, each in zip(isa.UNITS[1:], units, strict=True):
                counters[f"busy_{name}"] += each.busy

        memory.step(ar, aw, w is not None and w[1])
        unit.step(weights_valid, row, results_ready)
        if running:
            counters["active"] += unit.active
            counters["weight_stall"] += unit.weight_stall
            counters["weight_shift"] += unit.weight_shift
            counters["non_matrix"] += not (unit.active or unit.weight_stall or unit.weight_shift)
        read_dma.step(fetch=requests[0], weights=requests[1], load=requests[2], ar_ready=True, r=beat, stop=False)
        load.step(_values(commands[0]), grants[2], beats["load"], write_free, False)
        store.step(_values(commands[1]), buffer_free, self._store_reads[-1], True, True, 0 if response else None, False)
        self._store_reads.appendleft(store_reads)
        self._store_reads.pop()
        weights.step(_values(commands[2]), grants[1], beats["weights"], weights_ready, False)
        matrix.step(_values(commands[3]), rows_granted, row_ready)
        activation.step(commands[4], results_valid)
        if sequencer.issued or True in done:
            self._note(done)
        sequencer.step(self._start, grants[0], beats["fetch"] is not None, ready, done, rows_empty)
        self._start = False

    def _note(self, done):
        """Instructions that were issued or retire in this cycle."""
        counters = dict(self.counters)
        for number, finished in enumerate(done):
            if finished:
                self.retired[self._in_flight[number].popleft()] = counters
        if self.sequencer.issued:
            index = len(self.issued)
            self.issued.append(counters)
            unit = self.sequencer.program[index].instruction.unit
            if unit in EXECUTORS:
                self._in_flight[EXECUTORS.index(unit)].append(index)
            else:
                self.retired[index] = counters

    def timings(self):
        """A :class:`Timing` per instruction of a program that has ended."""
        self.retired[len(self.issued) - 1] = dict(self.counters)
        before, found = {}, []
        for index, issued in enumerate(self.issued):
            after = max(before, self.retired[index], key=lambda counters: counters.get("cycles", 0))
            found.append(Timing(issue=issued["cycles"], retire=self.retired[index]["cycles"], counters={
                name: count - before.get(name, 0) for name, count in after.items()}))
            before = after
        return tuple(found)


def _values(command):
    return None if command is None else (command[0], command[1].values)


def predict(config, program, *, latency=10, bytes_per_cycle=None, max_cycles=100_000_000, patience=100_000):
    """Cycles and counters of a program, against a memory of fixed latency.

    Parameters
    ----------
    config : TpuConfig
    program : list of Operation
        Without errors, as the emulator executes it.
    latency : int
        Cycles from a read's address to its first beat, and from a write's last beat to its response.
    bytes_per_cycle : float or None
        Bandwidth of the memory; ``None`` for that of the bus.
    max_cycles, patience : int
        Give up after that many, or after so many without a change in what was done.

    Returns
    -------
    Prediction

    Raises
    ------
    CycleError
        If it does not end.
    """
    tpu = _Tpu(config, program, Memory(latency, config.bus_bytes, bytes_per_cycle))
    seen, since = None, 0
    while not tpu.sequencer.halted:
        tpu.step()
        since += 1
        if since == patience:
            now = {name: tpu.counters[name] for name in ("instructions", "active", "bytes_read", "bytes_written")}
            if now == seen or tpu.counters["cycles"] > max_cycles:
                raise CycleError(f"no end after {tpu.counters['cycles']} cycles: {_why(tpu, program)}")
            seen, since = now, 0
    return Prediction(dict(tpu.counters), tpu.timings())


def _why(tpu, program):
    """What a program that does not go on waits for."""
    from systolic_sim.check.program import advice  # only here: it knows the depths of the models' queues

    index = len(tpu.issued)
    text = isa.disassemble(program[index:index + 1]).strip() or "behind the last instruction"
    found = advice(tpu.config, isa.encode(program), ErrorCode.WATCHDOG, index)
    return f"instruction {index}, {text}{f': {found}' if found else ', is not issued'}"
