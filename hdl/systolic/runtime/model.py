"""A model that runs: on the golden model, or on a TPU behind a link with the host doing the rest."""

import contextlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .. import isa
from ..compiler.compiled import CompiledModel, HostStep, TpuStep
from ..compiler.graph import Graph
from ..compiler.match import Match
from ..errors import require, require_one_of
from ..host import Driver, HostError, Link, Outcome
from ..tpu_config import TpuConfig, tpu_preset
from .arrays import Array, bind
from .links import GOLDEN, open_link, targets
from .program_file import is_program, read_program, require_same

__all__ = ["GoldenModel", "LinkedModel", "Model", "as_match", "as_tpu", "load"]

#: What a model file is compiled for, if nobody says.
TPU, MATCH = "tpu_16x16", Match.LITERT

#: Cycles to wait for an interrupt: so many, and so many per multiply-accumulate of the image.
_CYCLES, _CYCLES_PER_MAC = 10_000_000, 4

Source = str | os.PathLike[str] | Graph | CompiledModel
Inputs = npt.ArrayLike | Mapping[str, npt.ArrayLike]


class Model(Protocol):
    """A model that runs, wherever that is.

    Members
    -------
    graph : Graph
        Whose inputs and outputs it has.
    outcomes : tuple of Outcome
        Of the latest run, one per program of the TPU; empty on the golden model.
    """

    graph: Graph
    outcomes: tuple[Outcome, ...]

    def run(self, x: Inputs) -> Any:
        """Outputs for these inputs; the model's states go on from the run before.

        Parameters
        ----------
        x : array, or dict of str to array
            By name of the graph's inputs; an array alone if there is one.

        Returns
        -------
        array, or dict of str to array
            An array if the graph has one output.

        Raises
        ------
        InputError
            If an input is missing, unknown, or of another type or shape.
        HostError
            If an error stopped the TPU.
        """

    def reset(self) -> None:
        """Back to the states before the first run."""


def load(model: Source, *, tpu: str | TpuConfig | None = None, on: str = "emulator",
         match: str | Match | None = None) -> Model:
    """A model, ready to run.

    ::

        model = load("model.tflite", on="rtl")
        y = model.run(x)

    Parameters
    ----------
    model : path, Graph or CompiledModel
        A path is of a model that a front end reads, or of a program file of ``systolic compile``.
    tpu : str, TpuConfig or None
        A preset or a configuration; ``None`` for the one it is compiled for already, else ``tpu_16x16``.
    on : str
        ``golden``, or the name of a link: ``emulator``, ``rtl``, ``board:NAME``,
        ``serial:PORT``.
    match : str, Match or None
        Whose bits; ``None`` for those it is compiled for already, else LiteRT's.

    Raises
    ------
    UserError
        If the model cannot be read or compiled, is compiled for another configuration or other bits, or there is no
        such target.
    """
    name = on.partition(":")[0]
    require_one_of("target", targets(), name)
    config, bits = None if tpu is None else as_tpu(tpu), None if match is None else as_match(match)
    source = _read(model)
    if on == GOLDEN and isinstance(source, Graph):
        return GoldenModel(source, match=bits or MATCH)
    compiled = source if isinstance(source, CompiledModel) else compile_source(source, config, bits)
    what = str(model) if isinstance(model, str | os.PathLike) else compiled.graph.name
    if config is not None:
        require_same(compiled.config, config, what)
    if bits is not None:
        require(compiled.match == bits, "match", f"{compiled.match}, for which {what} is compiled", bits.value)
    if on == GOLDEN:
        return GoldenModel(compiled.graph, match=compiled.match)
    return LinkedModel(compiled, open_link(on, compiled.config, compiled.image.end))


def as_tpu(tpu: str | TpuConfig) -> TpuConfig:
    """A configuration, by itself or by the name of a preset; ConfigError if there is no such preset."""
    return tpu if isinstance(tpu, TpuConfig) else tpu_preset(tpu)


def as_match(match: str | Match) -> Match:
    """A runtime by itself or by name; ConfigError if there is none of that name."""
    require_one_of("match", Match, str(match))
    return Match(match)


def _read(model: Source) -> Graph | CompiledModel:
    if not isinstance(model, str | os.PathLike):
        return model
    path = pathlib.Path(model)
    if is_program(path):
        return read_program(path)
    from ..compiler.frontends import read_model  # only here: formats of files are not everybody's business

    graph: Graph = read_model(path)
    return graph


def compile_source(graph: Graph, config: TpuConfig | None, match: Match | None) -> CompiledModel:
    """A graph compiled, for what is taken if nobody says."""
    from ..compiler.lowering import compile_graph  # only here: a program that is compiled already needs none of it

    compiled: CompiledModel = compile_graph(graph, config or tpu_preset(TPU), match=match or MATCH)
    return compiled


def _outputs(graph: Graph, values: Mapping[str, Array]) -> Any:
    """The outputs among a graph's values; an output may be a constant."""
    known = {name: graph.values[name].constant for name in graph.outputs}
    outputs = {name: values[name] if constant is None else constant for name, constant in known.items()}
    return outputs[graph.outputs[0]] if len(outputs) == 1 else outputs


class GoldenModel:
    """A :class:`Model` on the golden models: what every other must equal.

    Parameters
    ----------
    graph : Graph
    match : Match
    """

    outcomes: tuple[Outcome, ...] = ()

    def __init__(self, graph: Graph, *, match: Match = MATCH) -> None:
        self.graph, self.match = graph, match
        self.reset()

    def reset(self) -> None:
        """As for :class:`Model`."""
        self._states = {name: np.array(values) for name, values in self.graph.states.items()}

    def run(self, x: Inputs) -> Any:
        """As for :class:`Model`."""
        from ..compiler.evaluate import evaluate  # only here, as in load

        values = evaluate(self.graph, bind(self.graph, x), match=self.match, state=self._states)
        return _outputs(self.graph, values)


class LinkedModel:
    """A :class:`Model` on a TPU behind a link. Its image is written once, when the first run begins.

    Parameters
    ----------
    compiled : CompiledModel
    link : Link
        Whose memory begins at address 0 and has room for the image.
    limit : float or None
        How long to wait for an interrupt, in the link's unit; ``None`` for what is long enough.

    Raises
    ------
    HostError
        If there is no TPU behind the link, or one with other parameters.
    """

    def __init__(self, compiled: CompiledModel, link: Link, *, limit: float | None = None) -> None:
        self.compiled, self.graph = compiled, compiled.graph
        self.outcomes: tuple[Outcome, ...] = ()
        if limit is None and link.unit == "cycles":
            limit = _CYCLES + _CYCLES_PER_MAC * compiled.image.macs
        self.driver = Driver(link, limit=limit)
        found = self.driver.identify()
        for name, expected in compiled.config.identity.items():
            if found[name] != expected:
                raise HostError(f"{name} of the TPU must be {expected}, which {self.graph.name} is compiled for, not "
                                f"{found[name]}")
        self.reset()

    def reset(self) -> None:
        """As for :class:`Model`: the image is written anew before the next run."""
        self._states = {name: np.array(values) for name, values in self.graph.states.items()}
        self._loaded = False

    def run(self, x: Inputs) -> Any:
        """As for :class:`Model`."""
        values = bind(self.graph, x)
        if not self._loaded:
            self.driver.load(self.compiled.image)
            self._loaded, self.outcomes = True, ()
        outcomes = []
        for step in self.compiled.steps:
            if isinstance(step, HostStep):
                self._execute(step, values)
            else:
                outcomes.append(self._run_program(step, values))
        self.outcomes = tuple(outcomes)
        return _outputs(self.graph, values)

    def _execute(self, step: HostStep, values: dict[str, Array]) -> None:
        """A node on the host."""
        from ..compiler.evaluate import execute  # only here, as in load

        operands = {each.name: values[each.name] if each.constant is None else each.constant
                    for each in self.graph.operands(step.node)}
        values |= execute(self.graph, step.node, operands, match=self.compiled.match, state=self._states)

    def _run_program(self, step: TpuStep, values: dict[str, Array]) -> Outcome:
        """A program on the TPU: its inputs written before, its outputs read after."""
        image, driver = self.compiled.image, self.driver
        driver.feed(image, **{variable: values[value] for value, variable in step.inputs.items()})
        program = image.programs[step.program]
        outcome = driver.run(program.address, program.length)
        if not outcome.halted:
            raise self._stopped(step, outcome)
        outputs = driver.fetch(image, *step.outputs.values())
        for value, variable in step.outputs.items():
            values[value] = outputs[variable].reshape(self.graph.values[value].shape)
        return outcome

    def _stopped(self, step: TpuStep, outcome: Outcome) -> HostError:
        """The error, with the instruction, its layer, and what the link knows. Nothing that was in the TPU lives on."""
        self.reset()
        detail, index = getattr(self.driver.link, "detail", ""), outcome.error_index
        with contextlib.suppress(HostError):
            self.driver.restart()
        program = self.compiled.image.programs[step.program]
        parts = [f"program {step.program} stopped at instruction {index}"]
        if index < program.length:
            parts[0] += f" of layer {step.layers[index]}" if step.layers[index] else ""
            parts.append(isa.disassemble([program.operations[index]]).strip())
        parts.append(f"{outcome.reason}{f': {detail}' if detail else ''}")
        return HostError(": ".join(parts))
