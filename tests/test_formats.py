"""A third number format: it is what its tables say, or refused with the table that lacks it, and nowhere taken for
another; and no code outside those tables asks which format it has."""

import argparse
import ast
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolic import verilog
from systolic.commands.options import add_config_arguments, config_from
from systolic.config import Arch, Config, Impl
from systolic.errors import ConfigError
from systolic.formats import FORMATS, INT8
from systolic.gateware.matrix.formats import GATEWARE
from systolic.gateware.matrix.matrix_unit import MatrixUnit as MatrixUnitGateware
from systolic.tpu_config import TpuConfig
from systolic_boards.flow import parts
from systolic_boards.selftest import pattern
from systolic_boards.selftest.selftest import SelfTest
from systolic_sim.benches import runner
from systolic_sim.claims import matrix_unit as claims
from systolic_sim.cycles.schedule import schedule
from systolic_sim.demo import report
from systolic_sim.golden.formats import GOLDEN, GoldenFormat
from systolic_sim.golden.matrix_unit import MatrixUnit
from systolic_sim.golden.program import matmul_program, random_program
from systolic_sim.rtl.matrix_unit import MatrixUnitRtl

ROOT = Path(__file__).parent.parent

#: Like none there is in any figure: 16 bits, not recoded, products of 32 bits, its own range of stages.
THIRD = dataclasses.replace(
    INT8, name="int16", width=16, operand_width=16, psum_bits=32, psum_stages=(2, 5), default_psum_stages=3,
    multipliers=("generic",), units=(), taps=False, dense=False, operand_dtype="int16")


def _any(rng, shape):
    return rng.integers(-2**15, 2**15, shape, np.int16)


GOLDEN_THIRD = GoldenFormat(
    matmul=lambda x, w: (x.astype(np.int64) @ w.astype(np.int64)).astype(np.int32), add=GOLDEN["int8"].add,
    kinds=((_any, _any),), specials=np.array([-2**15], np.int16), limits=np.array([-2**15, 2**15 - 1], np.int16),
    bounded=lambda bits: bits, numbers="", encode=lambda values: values, decode=lambda sums: sums)


@pytest.fixture
def known(monkeypatch):
    """A configuration in the third format, of which nothing but the figures is known."""
    monkeypatch.setitem(FORMATS, "int16", THIRD)
    return Config(arch=Arch(rows=2, cols=3, format="int16", accumulator_depth=6), name="third")


@pytest.fixture
def with_golden(known, monkeypatch):
    monkeypatch.setitem(GOLDEN, "int16", GOLDEN_THIRD)
    return known


@pytest.fixture
def complete(with_golden, monkeypatch):
    monkeypatch.setitem(GATEWARE, "int16", GATEWARE["int8"])
    return with_golden


NO_GATEWARE = "format 'int16' has no gateware: add it to systolic.gateware.matrix.formats.GATEWARE"
NO_GOLDEN = "format 'int16' has no golden model: add it to systolic_sim.golden.formats.GOLDEN"
NO_NETWORK = "format 'int16' has no network: add it to systolic_sim.demo.report.NETWORKS"
REFUSALS = {
    "verilog": (NO_GATEWARE, verilog.generate),
    "simulation in Amaranth": (NO_GATEWARE, lambda config: Simulator(MatrixUnitGateware(config))),
    "compiled model": (NO_GATEWARE, MatrixUnitRtl),
    "array to place": (NO_GATEWARE, parts.array),
    "matrix unit to place": (NO_GATEWARE, parts.matrix_unit),
    "self-test": (NO_GATEWARE, lambda config: Simulator(SelfTest(config, expected=0))),
    "golden matrix unit": (NO_GOLDEN, lambda config: MatrixUnit(config.arch)),
    "random program": (NO_GOLDEN, lambda config: random_program(config.arch, np.random.default_rng(0))),
    "pattern of the self-test": (NO_GOLDEN, pattern.program),
    "operands of the claims": (NO_GOLDEN, lambda config: list(claims._operands(config, np.random, 1, 1, 1))),
    "demonstration": (NO_NETWORK, lambda config: report._outcome(config, None, None, [], None)),
    "TPU": ("format must be int8 in a TPU v1, not 'int16'",
            lambda config: TpuConfig(matrix=config, lanes=1, buffer_size=4096)),
    "multiplier": ("multiplier must be one of generic with format int16, not 'ecp5_dsp'",
                   lambda config: Config(arch=config.arch, impl=Impl(multiplier="ecp5_dsp", product_stages=1))),
    "psum stages": ("psum_stages must be an integer from 2 to 5 with format int16, not 1",
                    lambda config: Config(arch=config.arch, impl=Impl(psum_stages=1))),
}


@pytest.mark.parametrize("message, use", REFUSALS.values(), ids=REFUSALS)
def test_what_a_table_lacks_is_refused(known, message, use):
    with pytest.raises(ConfigError) as caught:
        use(known)
    assert str(caught.value) == message


def test_a_golden_model_alone_does_not_make_gateware(with_golden):
    MatrixUnit(with_golden.arch).run(random_program(with_golden.arch, np.random.default_rng(0)))
    with pytest.raises(ConfigError, match="has no gateware"):
        verilog.generate(with_golden)


def test_figures_alone(known):
    """Widths, latencies, description, command line and cycle model need no table."""
    arch = known.arch
    assert (arch.operand_width, arch.psum_width, arch.entry_width, known.impl.psum_stages) == (16, 33, 32, 3)
    assert known.latency == 2 + 1 + 2 * 3 + 2 + 1 + 1
    plain = known.describe()
    assert Config(name="third", arch=Arch(**plain["arch"]), impl=Impl(**plain["impl"])) == known
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    args = parser.parse_args(["--config", "int8_8x8", "--format", "int16"])
    assert config_from(args).name == "int16_8x8" and config_from(args).arch.format is THIRD
    x = np.ones((4, 2), np.int16)
    assert schedule(known, matmul_program(arch, x, x[:2])).results[-1] > known.latency
    assert runner._filter(Config(arch=Arch(rows=16, cols=1, format="int16")), None) is None
    assert parts._multipliers(known) == (0, 0)


def test_with_both_tables_it_is_complete(complete):
    """Verilog, golden model and cycle model agree in every bit and cycle; the self-test has a signature."""
    assert complete.describe()["arch"]["format"] == "int16"
    unit, rng = MatrixUnitRtl(complete, optimise=False), np.random.default_rng(3)
    sums = []
    for _ in range(20):
        program = random_program(complete.arch, rng)
        results, run = unit.run(program)
        np.testing.assert_array_equal(results, MatrixUnit(complete.arch).run(program))
        plan = schedule(complete, program)
        np.testing.assert_array_equal(run.accepted["rows"], plan.accepted)
        np.testing.assert_array_equal(run.accepted["results"], plan.results)
        sums.append(results)
    assert program.x.dtype == np.int16 and np.abs(np.concatenate(sums).astype(np.int64)).max() > 2**30
    assert verilog.generate(complete).sidecar["streams"]["weights"]["fields"] == {"data": 16 * 3}
    sent = pattern.program(complete)
    assert sent.x.dtype == sent.tiles.dtype == np.int16 and pattern.expected(complete)
    assert parts.array(complete).multipliers == (0, 0)


# Nobody asks

TABLES = {"hdl/systolic/formats.py", "hdl/systolic/gateware/matrix/formats.py", "sim/systolic_sim/golden/formats.py"}
CONSTANTS = {format.name.upper() for format in FORMATS.values()}
TEXT_TESTS = {"startswith", "endswith", "find", "index", "removeprefix", "removesuffix"}


def is_format(node):
    """Whether an expression is the format of something, or the name of that."""
    if isinstance(node, ast.Attribute) and node.attr == "name":
        return is_format(node.value) or (isinstance(node.value, ast.Name) and node.value.id == "format")
    return isinstance(node, ast.Attribute) and node.attr == "format"


def is_particular(node):
    """Whether an expression is one format or its name, or several of them."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(map(is_particular, node.elts))
    if isinstance(node, ast.Attribute):
        return node.attr in CONSTANTS or (node.attr == "name" and is_particular(node.value))
    return (isinstance(node, ast.Constant) and node.value in FORMATS
            or isinstance(node, ast.Name) and node.id in CONSTANTS)


def questions(text):
    """Lines of a source that ask which format there is; whether two formats are the same may be asked."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            asks = any(map(is_particular, sides)) or any(map(is_format, sides)) and not all(map(is_format, sides))
        elif isinstance(node, ast.Match):
            asks = is_format(node.subject) or any(
                isinstance(part, ast.MatchValue) and is_particular(part.value) for part in ast.walk(node))
        elif isinstance(node, ast.Subscript):
            asks = is_format(node.slice)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            asks = node.func.attr in TEXT_TESTS and is_format(node.func.value) or (
                node.func.attr == "get" and any(map(is_format, node.args)))
        else:
            continue
        if asks:
            yield node.lineno


@pytest.mark.parametrize("text", [
    "arch.format is INT8", "config.arch.format == formats.BF16", "format is not BF16", "format == 'int8'",
    "arch.format.name == wanted", "'bf16' != arch.format.name", "arch.format in (INT8,)", "name in ('int8', 'fp8')",
    "format.name == INT8.name", "TABLE[arch.format]", "TABLE[format.name]", "TABLE.get(arch.format.name)",
    "arch.format.name.startswith('b')", "match arch.format:\n    case x: pass", "match name:\n    case 'bf16': pass"])
def test_a_question_is_found(text):
    assert list(questions(text)) == [1]


@pytest.mark.parametrize("text", [
    "arch.format.wraps and arch.rows >= 16", "'tpu_v1' in arch.format.units", "format is None", "TABLE[name]",
    "text.format(name=1)", "one.format is other.format", "golden(arch.format).limits", "Arch(format='bf16')",
    "arch.format.psum_stages[0] == 3"])
def test_what_is_no_question(text):
    assert not list(questions(text))


def test_nobody_asks_which_format_it_is():
    assert all((ROOT / path).is_file() for path in TABLES)
    found = [f"{path}:{line}" for folder in ("hdl", "sim", "boards") for file in sorted((ROOT / folder).rglob("*.py"))
             if (path := file.relative_to(ROOT).as_posix()) not in TABLES for line in questions(file.read_text())]
    assert not found, f"ask the format's figures or a table of implementations instead: {found}"
