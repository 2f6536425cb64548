"""Generated Verilog as a compiled model that Python drives, whole workloads at a time, without cocotb.

::

    Verilog --verilator--> C++ --g++, with harness.cpp--> shared library --ctypes--> Rtl

The C++ side moves the beats of every stream and records the cycle of every handshake; Python is called
once per run. It works for any module with ``clk``, ``rst`` (synchronous) and valid/ready streams that the
design's sidecar lists.
"""

import concurrent.futures
import contextlib
import ctypes
import dataclasses
import functools
import hashlib
import importlib.resources
import os
import pathlib
import platform
import subprocess
import tempfile
import time

import numpy as np

from systolic_sim import toolchain

__all__ = ["MatrixUnitRtl", "Rtl", "RtlError", "Run", "pack", "unpack"]


class RtlError(RuntimeError):
    """The simulation cannot go on; the message says which streams wait, and where."""


def pack(elements, width):
    """Beats as words: each row of elements little-endian from bit 0 on.

    Parameters
    ----------
    elements : bool or integer array [n] or [n, E]
        One row a beat. With E elements, these have the width of their type.
    width : int
        Bits of the field.

    Returns
    -------
    uint32 array [n, ceil(width / 32)]

    Raises
    ------
    ValueError
        If a row does not fit into the width.
    """
    elements = np.ascontiguousarray(elements)
    words = -(-width // 32)
    if elements.ndim == 1:
        elements = elements.astype(np.uint32 if words == 1 else np.uint64)[:, None]
        if width < 64 and elements.size and int(elements.max()) >> width:
            raise ValueError(f"{elements.max()} does not fit into {width} bits")
    elif elements.ndim != 2 or elements.shape[1] * elements.itemsize * 8 != width:
        raise ValueError(f"{list(elements.shape)} elements of {elements.itemsize * 8} bits do not make "
                         f"beats of {width} bits")
    beats = elements.view(np.uint8).reshape(len(elements), elements.shape[1] * elements.itemsize)
    padded = np.zeros((len(beats), words * 4), np.uint8)
    padded[:, :beats.shape[1]] = beats
    return padded.view("<u4")


def unpack(words, dtype, count):
    """Elements [n, count] of that type from beats as words [n, W]: the reverse of :func:`pack`."""
    size = count * np.dtype(dtype).itemsize
    return np.ascontiguousarray(words).view(np.uint8)[:, :size].copy().view(dtype)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What came out of a run.

    Parameters
    ----------
    outputs : dict of dict of uint32 array [beats, words]
        Per stream and field, for :func:`unpack`.
    accepted : dict of int64 array [beats]
        Per stream, the cycle of each handshake, counted from the start of the run.
    cycles : int
        Cycles run: without a stop, up to and with that of the last handshake.
    seconds : float
        Wall time of the simulation.
    """

    outputs: dict
    accepted: dict
    cycles: int
    seconds: float


class _Stream(ctypes.Structure):
    _fields_ = [("beats", ctypes.c_void_p), ("cycles", ctypes.c_void_p), ("count", ctypes.c_uint64),
                ("done", ctypes.c_uint64), ("stall", ctypes.c_uint32), ("random", ctypes.c_uint32),
                ("offered", ctypes.c_uint32)]


class _Progress(ctypes.Structure):
    _fields_ = [("cycle", ctypes.c_uint64), ("idle", ctypes.c_uint64)]


class Rtl:
    """Compiled model of a design.

    Compiled once: a second model of the same Verilog loads from the cache at once. The state lives on from
    run to run unless reset; models do not share any.

    Parameters
    ----------
    design : systolic.verilog.Design
        ``verilog``, ``name`` (of the top module) and ``sidecar`` with its streams.
    trace : bool
        Whether runs can write a waveform; costs speed.
    optimise : bool
        Compile for speed of simulation; otherwise for quick compilation.
    cache : path or None
        Folder for compiled models; ``None`` takes :func:`.toolchain.cache_folder`.
    progress : callable(done, total) or None
        Told about the steps of a compilation; ``None`` shows a bar if standard error is a terminal.

    Raises
    ------
    ToolError
        If it cannot be compiled.
    """

    def __init__(self, design, *, trace=False, optimise=True, cache=None, progress=None):
        self.name = design.name
        self.streams = design.sidecar["streams"]
        self.trace = trace
        self._layouts = {name: _layout(stream["fields"]) for name, stream in self.streams.items()}
        # Inputs first: the order of the harness.
        self._order = sorted(self.streams, key=lambda name: self.streams[name]["direction"] != "in")
        header = _header(self._order, self.streams, self._layouts)
        library = _Build(design, header, trace=trace, optimise=optimise).library(cache, progress)
        self._library = _load(library)
        self._model = self._library.model_new()
        self._pending = []
        self.reset()

    def __del__(self):
        if getattr(self, "_model", None):
            self._library.model_delete(self._model)

    def reset(self, cycles=1):
        """Hold ``rst`` for that many cycles, with no stream valid or ready."""
        self._library.model_reset(self._model, cycles)
        self._pending = []

    def run(self, inputs, outputs, *, stalls=None, seed=0, reset=True, stop_after_cycles=None,
            max_cycles=None, patience=10_000, trace=None):
        """Feed the input streams and collect from the output streams until all has been handed over.

        Every stream offers or takes a beat as soon as it can, or holds back at random. What has once been
        offered stays until it is taken.

        Parameters
        ----------
        inputs : dict of dict of array
            Beats per stream and field, as :func:`pack` takes them. Streams not named stay quiet.
        outputs : dict of int
            Beats to expect, per stream. Beyond these a stream is never ready.
        stalls : float, dict of float or None
            Probability of a cycle in which a stream holds back, for all or per stream.
        seed : int
            Of the stalls.
        reset : bool
            Reset first.
        stop_after_cycles : int or None
            End there, whatever has been handed over by then.
        max_cycles : int or None
            Give up after that many.
        patience : int
            Give up after so many cycles without a handshake on any stream.
        trace : path or None
            Write a waveform (VCD) of this run.

        Returns
        -------
        Run

        Raises
        ------
        RtlError
            If nothing moves any more, or after ``max_cycles``.
        ValueError
            If names, shapes or widths do not fit the design, or, without a reset, the run before was
            stopped with a beat on offer.
        """
        beats = self._input_beats(inputs) | self._output_beats(outputs)
        stalls = self._stalls(stalls)
        if reset:
            self.reset()
        if self._pending:
            raise ValueError(f"beats on {', '.join(self._pending)} are still on offer: reset first")
        cycles = {name: np.empty(len(beats[name]), np.int64) for name in self._order}
        state = (_Stream * len(self._order))(*(
            _Stream(beats=beats[name].ctypes.data, cycles=cycles[name].ctypes.data, count=len(beats[name]),
                    stall=min(int(stalls[name] * 2**32), 2**32 - 1), random=_seed(seed, name))
            for name in self._order))
        start = time.perf_counter()
        with self._tracing(trace):
            count = self._advance(state, stop_after_cycles, max_cycles, patience)
        seconds = time.perf_counter() - start
        done = {name: stream.done for name, stream in zip(self._order, state, strict=True)}
        self._pending = [name for name, stream in zip(self._order, state, strict=True) if stream.offered]
        return Run(cycles=count, seconds=seconds,
                   accepted={name: cycles[name][:done[name]] for name in self._order},
                   outputs={name: self._fields(name, beats[name][:done[name]]) for name in outputs})

    def _advance(self, state, stop_after_cycles, max_cycles, patience):
        progress, left = _Progress(), 1
        ends = [end for end in (stop_after_cycles, max_cycles) if end is not None]
        # In pieces of a fraction of a second, so that Ctrl-C is heard.
        while left and progress.cycle != stop_after_cycles:
            cycles = min([100_000, *(end - progress.cycle for end in ends)])
            left = self._library.model_run(self._model, state, progress, cycles, patience)
            if left and (progress.idle >= patience or progress.cycle == max_cycles):
                raise RtlError(self._stuck(state, progress))
        return progress.cycle

    def _stuck(self, state, progress):
        waiting = []
        for name, stream in zip(self._order, state, strict=True):
            if stream.done < stream.count:
                side = "ready" if self.streams[name]["direction"] == "in" else "valid"
                waiting.append(f"{name} at beat {stream.done} of {stream.count} for {side}")
        return (f"{self.name}: no end after {progress.cycle} cycles, the last {progress.idle} of them without "
                f"a handshake; waiting: {', '.join(waiting)}")

    def _input_beats(self, inputs):
        self._check_names(inputs, "in")
        return {name: self._beats(name, inputs[name]) if name in inputs else self._empty(name, 0)
                for name in self._order if self.streams[name]["direction"] == "in"}

    def _output_beats(self, outputs):
        self._check_names(outputs, "out")
        return {name: self._empty(name, outputs.get(name, 0))
                for name in self._order if self.streams[name]["direction"] == "out"}

    def _check_names(self, names, direction):
        have = [name for name, stream in self.streams.items() if stream["direction"] == direction]
        for name in names:
            if name not in have:
                raise ValueError(f"{self.name} has no {direction}put stream {name}, only {', '.join(have)}")

    def _empty(self, name, count):
        return np.zeros((count, self._layouts[name].words), np.uint32)

    def _beats(self, name, fields):
        layout = self._layouts[name]
        if set(fields) != set(layout.offsets):
            raise ValueError(f"{name} has the fields {', '.join(layout.offsets)}, not {', '.join(fields)}")
        lengths = {len(values) for values in fields.values()}
        if len(lengths) > 1:
            raise ValueError(f"fields of {name} differ in length: {sorted(lengths)}")
        beats = self._empty(name, lengths.pop())
        for field, values in fields.items():
            try:
                beats[:, layout.slice(field)] = pack(values, layout.widths[field])
            except ValueError as error:
                raise ValueError(f"{name}.{field}: {error}") from None
        return beats

    def _fields(self, name, beats):
        layout = self._layouts[name]
        return {field: beats[:, layout.slice(field)] for field in layout.offsets}

    def _stalls(self, stalls):
        if not isinstance(stalls, dict):
            stalls = dict.fromkeys(self._order, stalls or 0.0)
        for name, stall in stalls.items():
            if name not in self.streams or not 0 <= stall < 1:
                raise ValueError(f"stalls must be of {', '.join(self._order)} and from 0 to below 1, "
                                 f"not {stall} for {name}")
        return dict.fromkeys(self._order, 0.0) | stalls

    @contextlib.contextmanager
    def _tracing(self, path):
        if path is None:
            yield
            return
        if not self.trace:
            raise ValueError("this model was not compiled with trace=True")
        if not self._library.model_trace(self._model, os.fsencode(path)):
            raise OSError(f"cannot write {path}")
        try:
            yield
        finally:
            self._library.model_trace(self._model, None)


def _seed(seed, name):
    """State of a stream's random generator, never 0."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(digest[:4], "little") | 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where the fields of a stream are in a beat, in words."""

    widths: dict
    offsets: dict
    words: int

    def slice(self, field):
        return slice(self.offsets[field], self.offsets[field] + -(-self.widths[field] // 32))


def _layout(fields):
    widths = {field: width for field, width in fields.items() if width}
    offsets, words = {}, 0
    for field, width in widths.items():
        offsets[field] = words
        words += -(-width // 32)
    return _Layout(widths=widths, offsets=offsets, words=words)


def _header(order, streams, layouts):
    """streams.h for the harness."""
    lines = []
    for macro, direction in (("INPUTS", "in"), ("OUTPUTS", "out")):
        uses = [f"S({i}, {name})" for i, name in enumerate(order) if streams[name]["direction"] == direction]
        lines.append(" ".join([f"#define {macro}(S)", *uses]))
    for name in order:
        uses = [f"F({name}, {field}, {offset})" for field, offset in layouts[name].offsets.items()]
        lines += [" ".join([f"#define FIELDS_{name}(F)", *uses]), f"#define WORDS_{name} {layouts[name].words}"]
    return "\n".join(lines) + "\n"


@functools.cache
def _load(path):
    library = ctypes.CDLL(str(path))
    library.model_new.restype = ctypes.c_void_p
    library.model_delete.argtypes = [ctypes.c_void_p]
    library.model_reset.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.model_run.restype = ctypes.c_uint64
    library.model_run.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Stream), ctypes.POINTER(_Progress),
                                  ctypes.c_uint64, ctypes.c_uint64]
    library.model_trace.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library
