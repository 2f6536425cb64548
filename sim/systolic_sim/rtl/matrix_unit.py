"""Generated Verilog as a compiled model that Python drives, whole workloads at a time, without cocotb.

::

    Verilog --verilator--> C++ --g++, with harness.cpp--> shared library --ctypes--> Rtl

The C++ side moves the beats of every stream and records the cycle of every handshake; Python is called
once per run. It works for any module with ``clk``, ``rst`` (synchronous) and valid/ready streams that the
design's sidecar lists.
"""

import contextlib
import ctypes
import dataclasses
import functools
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from systolic.config import Config
from systolic.errors import UserError
from systolic_sim.golden.program import Program
from systolic_sim.rtl.beats import Layout, pack, unpack
from systolic_sim.rtl.primitives import models_for
from systolic_sim.rtl.verilate import shared_library

if TYPE_CHECKING:  # Amaranth takes a while to import
    from systolic.verilog import Design

__all__ = ["MatrixUnitRtl", "Rtl", "RtlError", "Run", "pack", "unpack"]

_Fields = Mapping[str, Mapping[str, NDArray[Any]]]
_Stalls = float | Mapping[str, float] | None


class RtlError(UserError, RuntimeError):
    """The simulation cannot go on; the message says which streams wait, and where."""


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

    outputs: dict[str, dict[str, NDArray[np.uint32]]]
    accepted: dict[str, NDArray[np.int64]]
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
        Twice the time to compile for up to a tenth more speed.
    cache : path or None
        Folder for compiled models; ``None`` takes :func:`.toolchain.cache_folder`.
    progress : callable(done, total) or None
        Told about the steps of a compilation; ``None`` shows a bar if standard error is a terminal.

    Raises
    ------
    ToolError
        If it cannot be compiled.
    """

    def __init__(self, design: "Design", *, trace: bool = False, optimise: bool = False,
                 cache: str | os.PathLike[str] | None = None,
                 progress: Callable[[int, int], object] | None = None) -> None:
        self.name = design.name
        self.streams = design.sidecar["streams"]
        self.trace = trace
        self._layouts = {name: Layout(stream["fields"]) for name, stream in self.streams.items()}
        # Inputs first: the order of the harness.
        self._order = sorted(self.streams, key=lambda name: self.streams[name]["direction"] != "in")
        header = _header(self._order, self.streams, self._layouts)
        self._library = _load(shared_library(
            design.verilog + models_for(design.verilog), design.name, header, trace=trace, optimise=optimise,
            cache=cache, progress=progress))
        self._model = self._library.model_new()
        self._pending: list[str] = []
        self.reset()

    def __del__(self) -> None:
        if getattr(self, "_model", None):
            self._library.model_delete(self._model)

    def reset(self, cycles: int = 1) -> None:
        """Hold ``rst`` for that many cycles, with no stream valid or ready."""
        self._library.model_reset(self._model, cycles)
        self._pending = []

    def run(self, inputs: _Fields, outputs: Mapping[str, int], *, stalls: _Stalls = None, seed: int = 0,
            reset: bool = True, stop_after_cycles: int | None = None, max_cycles: int | None = None,
            patience: int = 10_000, trace: str | os.PathLike[str] | None = None) -> Run:
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
        try:
            with self._tracing(trace):
                count = self._advance(state, stop_after_cycles, max_cycles, patience)
        finally:
            self._pending = [name for name, stream in zip(self._order, state, strict=True) if stream.offered]
        seconds = time.perf_counter() - start
        done = {name: stream.done for name, stream in zip(self._order, state, strict=True)}
        return Run(cycles=count, seconds=seconds,
                   accepted={name: cycles[name][:done[name]] for name in self._order},
                   outputs={name: self._layouts[name].fields(beats[name][:done[name]]) for name in outputs})

    def _advance(self, state: Any, stop_after_cycles: int | None, max_cycles: int | None, patience: int) -> int:
        progress, left = _Progress(), 1
        ends = [end for end in (stop_after_cycles, max_cycles) if end is not None]
        # In pieces of a fraction of a second, so that Ctrl-C is heard.
        while left and progress.cycle != stop_after_cycles:
            cycles = min([10_000, *(end - progress.cycle for end in ends)])
            left = self._library.model_run(self._model, state, progress, cycles, patience)
            if left and (progress.idle >= patience or progress.cycle == max_cycles):
                raise RtlError(self._stuck(state, progress))
        cycle: int = progress.cycle
        return cycle

    def _stuck(self, state: Any, progress: "_Progress") -> str:
        waiting = []
        for name, stream in zip(self._order, state, strict=True):
            if stream.done < stream.count:
                side = "ready" if self.streams[name]["direction"] == "in" else "valid"
                waiting.append(f"{name} at beat {stream.done} of {stream.count} for {side}")
        return (f"{self.name}: no end after {progress.cycle} cycles, the last {progress.idle} of them without "
                f"a handshake; waiting: {', '.join(waiting)}")

    def _input_beats(self, inputs: _Fields) -> dict[str, NDArray[np.uint32]]:
        self._check_names(inputs, "in")
        return {name: self._beats(name, inputs[name]) if name in inputs else self._empty(name, 0)
                for name in self._order if self.streams[name]["direction"] == "in"}

    def _output_beats(self, outputs: Mapping[str, int]) -> dict[str, NDArray[np.uint32]]:
        self._check_names(outputs, "out")
        return {name: self._empty(name, outputs.get(name, 0))
                for name in self._order if self.streams[name]["direction"] == "out"}

    def _check_names(self, names: Iterable[str], direction: str) -> None:
        have = [name for name, stream in self.streams.items() if stream["direction"] == direction]
        for name in names:
            if name not in have:
                raise ValueError(f"{self.name} has no {direction}put stream {name}, only {', '.join(have)}")

    def _empty(self, name: str, count: int) -> NDArray[np.uint32]:
        return np.zeros((count, self._layouts[name].words), np.uint32)

    def _beats(self, name: str, fields: Mapping[str, NDArray[Any]]) -> NDArray[np.uint32]:
        try:
            return self._layouts[name].beats(fields)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    def _stalls(self, stalls: _Stalls) -> dict[str, float]:
        if not isinstance(stalls, Mapping):
            stalls = dict.fromkeys(self._order, stalls or 0.0)
        for name, stall in stalls.items():
            if name not in self.streams or not 0 <= stall < 1:
                raise ValueError(f"stalls must be of {', '.join(self._order)} and from 0 to below 1, "
                                 f"not {stall} for {name}")
        return dict.fromkeys(self._order, 0.0) | dict(stalls)

    @contextlib.contextmanager
    def _tracing(self, path: str | os.PathLike[str] | None) -> Iterator[None]:
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


def _seed(seed: int, name: str) -> int:
    """State of a stream's random generator, never 0."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(digest[:4], "little") | 1


def _header(order: Sequence[str], streams: Mapping[str, Any], layouts: Mapping[str, Layout]) -> str:
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
def _load(path: str | os.PathLike[str]) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    library.model_new.restype = ctypes.c_void_p
    library.model_delete.argtypes = [ctypes.c_void_p]
    library.model_reset.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.model_run.restype = ctypes.c_uint64
    library.model_run.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Stream), ctypes.POINTER(_Progress),
                                  ctypes.c_uint64, ctypes.c_uint64]
    library.model_trace.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


class MatrixUnitRtl:
    """A configuration's matrix unit as compiled RTL.

    Parameters
    ----------
    config : Config
        What to generate.
    design : systolic.verilog.Design or None
        What that generates, if it is at hand.
    options
        As for :class:`Rtl`.

    Members
    -------
    rtl : Rtl
        The model.
    """

    def __init__(self, config: Config, *, design: "Design | None" = None, **options: Any) -> None:
        if design is None:
            # Only here, since Amaranth takes a while to import.
            from systolic import verilog
            design = verilog.generate(config)
        self.config = config
        self.rtl = Rtl(design, **options)

    def run(self, program: Program, **options: Any) -> tuple[NDArray[Any], Run]:
        """Run a program.

        Parameters
        ----------
        program : systolic_sim.golden.program.Program
            With tiles as many as it switches.
        options
            As for :meth:`Rtl.run`.

        Returns
        -------
        int32 or uint32 array [n_last, C]
            Results; fewer after a stop.
        Run
            Cycles and handshakes.
        """
        rows = {"data": program.x, "address": program.address, "accumulate": program.accumulate,
                "switch": program.switch, "last": program.last}
        if self.config.arch.taps:
            rows |= {"depthwise": program.depthwise, "fills": program.fills}
        if not self.config.arch.address_width:
            del rows["address"]
        run = self.rtl.run({"weights": {"data": program.beats}, "rows": rows},
                           {"results": int(program.last.sum())}, **options)
        dtype = np.dtype(self.config.arch.format.result_dtype)
        return unpack(run.outputs["results"]["data"], dtype, self.config.arch.cols), run
