"""The C driver, compiled by a C compiler: on the Verilated TPU with compiled models, and against a link in Python."""

import ctypes
import functools
import pathlib
import re
import subprocess
import zipfile

import numpy as np
import pytest

from systolic import isa, registers, verilog
from systolic.cli import main
from systolic.compiler.compiled import HostStep
from systolic.compiler.evaluate import execute
from systolic.host import Driver, Outcome, steps
from systolic.host.c_driver import files
from systolic.runtime import read_program, write_program
from systolic.runtime.program_file import _digest
from systolic.tpu_config import tpu_preset
from systolic_sim.links import EmulatorLink
from systolic_sim.programs.tflite_models import TfliteModel
from systolic_sim.rtl.primitives import models_for
from systolic_sim.rtl.verilate import shared_library
from systolic_sim.runtimes import runtime

from ...conftest import mlperf_tiny
from ..runtime.conftest import sample as two_programs

SOURCE = pathlib.Path(__file__).parent / "c/run.c"
COMPILER = ("g++", "-x", "c", "-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-O1")
CALLS = {"read32": ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32)),
         "write32": ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32),
         "read": ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32),
         "write": ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32),
         "wait": ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64)}


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """Folder with the driver as the command writes it, and the library of it alone."""
    folder = tmp_path_factory.mktemp("driver")
    assert main(["driver", "--out", str(folder)]) == 0
    subprocess.run([*COMPILER, "-ffreestanding", "-shared", "-fPIC", "systolic.c", "-o", "systolic.so"], cwd=folder,
                   check=True)
    return folder


@functools.cache
def model_library(config):
    """The Verilated TPU."""
    design = verilog.generate(config)
    return shared_library(design.verilog + models_for(design.verilog), design.name, harness="tpu_harness.cpp")


def run_c(driver, folder, program, values, *, config=None, wait="interrupt", memory=None):
    """What the C program prints, and the values that it leaves, by name."""
    compiled = read_program(program)
    library, executable = model_library(config or compiled.config), folder / "run"
    for name in (SOURCE, driver / "systolic.c"):
        subprocess.run([*COMPILER, f"-I{driver}", "-c", str(name)], cwd=folder, check=True)
    subprocess.run(["g++", "run.o", "systolic.o", str(library), f"-Wl,-rpath,{library.parent}", "-o", "run"],
                   cwd=folder, check=True)
    (folder / "in.bin").write_bytes(b"".join(each.tobytes() for each in values.values() if not isinstance(each, int)))
    sizes = [f"{name}={each if isinstance(each, int) else each.size}" for name, each in values.items()]
    done = subprocess.run([executable, str(memory or compiled.image.end), wait, program, folder / "in.bin",
                           folder / "out.bin", *sizes], capture_output=True, text=True, check=False)
    assert done.stderr == "" and done.returncode in (0, 1), done
    if done.returncode:
        return done.stdout.strip(), None
    left = np.fromfile(folder / "out.bin", np.int8)
    ends = np.cumsum([each if isinstance(each, int) else each.size for each in values.values()])
    return done.stdout, dict(zip(values, np.split(left, ends[:-1]), strict=True))


@pytest.fixture(scope="module")
def sample():
    return two_programs()


@pytest.fixture(scope="module")
def small():
    """Bytes of a model with a border, several layers, and a last operator that is the host's."""
    made = TfliteModel(np.random.default_rng(4))
    x = made.activation((1, 6, 6, 8))
    return made.file([x], [made.dense(made.conv(x))])


def outputs(compiled):
    """Values that leave the TPU, by name, and how many numbers they have."""
    return {value: compiled.graph.values[value].size for step in compiled.steps if not isinstance(step, HostStep)
            for value in step.outputs}


def finish(compiled, values):
    """What the host makes of them: outputs of the graph."""
    graph = compiled.graph
    values = {name: each.reshape(graph.values[name].shape) for name, each in values.items()}
    for step in compiled.steps:
        if isinstance(step, HostStep):
            values |= execute(graph, step.node, values, match=compiled.match)
    return values[graph.outputs[0]]


def check(driver, tmp_path, content, preset, wait):
    """A model in C equals its runtime in every byte, and counts what the Python driver counts."""
    (tmp_path / "model.tflite").write_bytes(content)
    program = tmp_path / "model.tpu"
    assert main(["compile", str(tmp_path / "model.tflite"), "--tpu", preset, "--out", str(program)]) == 0
    compiled = read_program(program)
    name, = compiled.graph.inputs
    x = np.random.default_rng(1).integers(-128, 128, compiled.graph.values[name].shape, np.int8)
    text, values = run_c(driver, tmp_path, program, {name: x, **outputs(compiled)}, wait=wait)
    np.testing.assert_array_equal(finish(compiled, values), runtime(content, "litert")(x))
    counts = dict(line.split() for line in text.splitlines() if line.split()[0] in registers.counters())
    link = EmulatorLink(compiled.config, compiled.image.end)
    python = Driver(link)
    python.load(compiled.image)
    program, = compiled.image.programs
    expected = python.run(program.address, program.length).counters
    assert [int(counts[each]) for each in ("USEFUL_MACS", "BYTES_READ", "BYTES_WRITTEN", "INSTRUCTIONS")] == [
        expected[each] for each in ("useful_macs", "bytes_read", "bytes_written", "instructions")]
    assert int(counts["CYCLES"]) > int(counts["ACTIVE"]) > 0
    return text


@pytest.mark.parametrize("wait", ["interrupt", "poll"])
def test_a_model_of_our_own(driver, tmp_path, small, wait):
    assert check(driver, tmp_path, small, "tpu_4x4", wait).startswith("1 of 1 steps\n")


@pytest.mark.needs("mlperf_tiny")
def test_keyword_spotting(driver, tmp_path):
    text = check(driver, tmp_path, (mlperf_tiny() / "kws_ref_model.tflite").read_bytes(), "tpu_8x8", "interrupt")
    assert text.startswith("1 of 2 steps\nthe next step is the host's: Softmax: the TPU has no Softmax\n")


def test_values_pass_from_program_to_program(driver, tmp_path, sample):
    """Two programs; the caller's memory has what goes from one to the other."""
    compiled = sample.compiled
    write_program(tmp_path / "sample.tpu", compiled)
    x = sample.inputs(3)
    text, values = run_c(driver, tmp_path, tmp_path / "sample.tpu", {"image": x, **outputs(compiled)})
    assert text.startswith("2 of 2 steps\n")
    np.testing.assert_array_equal(values["the/output:0"].reshape(x.shape[:-1] + (-1,)), sample.expected(x))


@pytest.mark.parametrize("values, message", [
    ({"image": 1}, "wrong number of values for image in"),
    ({"picture": 63}, "there is no input, output or value image"),
    ({"image": 63, "self": 42}, "there is no input, output or value the/output:0"),
])
def test_wrong_values(driver, tmp_path, sample, values, message):
    write_program(tmp_path / "sample.tpu", sample.compiled)
    assert run_c(driver, tmp_path, tmp_path / "sample.tpu", values)[0] == message


def test_another_array(driver, tmp_path, sample):
    write_program(tmp_path / "sample.tpu", sample.compiled)
    assert run_c(driver, tmp_path, tmp_path / "sample.tpu", {}, config=tpu_preset("tpu_8x8"))[0] == \
        "the program is for an array of another shape"


def test_too_small_a_memory(driver, tmp_path, sample):
    write_program(tmp_path / "sample.tpu", sample.compiled)
    assert run_c(driver, tmp_path, tmp_path / "sample.tpu", {}, memory=64)[0] == "no answer from memory"


# The library alone, on a link in Python.

class Link(ctypes.Structure):
    _fields_ = [("context", ctypes.c_void_p), *CALLS.items()]


class CDriver(ctypes.Structure):
    _fields_ = [("link", Link), ("limit", ctypes.c_uint64), ("detail", ctypes.c_char_p)]


class COutcome(ctypes.Structure):
    _fields_ = [("halted", ctypes.c_int), ("error_code", ctypes.c_uint32), ("error_index", ctypes.c_uint32),
                ("bus_dead", ctypes.c_int), ("interrupts", ctypes.c_uint32),
                ("counters", ctypes.c_uint64 * len(registers.counters()))]


class Harness:
    """The C driver on a Python link; registers that are silent; what was written, in order."""

    def __init__(self, library, link, *, wait=True, silent=()):
        self.library, self.log, self.silent = library, [], {registers.address(name) for name in silent}
        self.link, self.driver = link, CDriver()
        library.systolic_describe.restype = ctypes.c_char_p
        functions = {name: kind(getattr(self, f"_{name}")) for name, kind in CALLS.items()}
        self._kept = Link(None, *(functions[name] for name in CALLS))
        if not wait:
            self._kept.wait = CALLS["wait"]()
        library.systolic_open(ctypes.byref(self.driver), ctypes.byref(self._kept))
        self.driver.limit = 3

    def _read32(self, _, address, value):
        if address in self.silent:
            return -1
        value[0] = self.link.read32(address)
        return 0

    def _write32(self, _, address, value):
        self.log.append((address, value))
        if address in self.silent:
            return -1
        self.link.write32(address, value)
        return 0

    def _read(self, _, address, data, size):
        ctypes.memmove(data, self.link.read(address, size), size)
        return 0

    def _write(self, _, address, data, size):
        self.link.write(address, ctypes.string_at(data, size))
        return 0

    def _wait(self, _, limit):
        return int(self.link.wait(limit))

    def run(self, operations):
        """Outcome of a program at address 0, and the sentence on it."""
        self.link.write(0, isa.encode(operations))
        outcome = COutcome()
        status = self.library.systolic_run(ctypes.byref(self.driver), 0, len(operations), ctypes.byref(outcome))
        return status, outcome, self.describe(status, outcome)

    def describe(self, status, outcome=None, size=200):
        text = ctypes.create_string_buffer(size)
        given = None if outcome is None else ctypes.byref(outcome)
        return self.library.systolic_describe(ctypes.byref(self.driver), status, given, text, size).decode()


@pytest.fixture(scope="module")
def library(driver):
    return ctypes.CDLL(str(driver / "systolic.so"))


def emulator():
    return EmulatorLink(tpu_preset("tpu_4x4"), 4096)


@pytest.mark.parametrize("wait", [True, False])
def test_errors_are_told_as_in_python(library, wait):
    """The same registers in the same order, the same outcome, the same sentence; and the next run after a restart."""
    operations = [isa.operation("interrupt"), isa.operation("debug_tag", tag=7)]
    ours, theirs = Harness(library, emulator(), wait=wait), emulator()
    _, outcome, text = ours.run(operations)
    theirs.write(0, isa.encode(operations))
    log, python = [], Driver(theirs, limit=3)
    theirs.write32 = lambda address, value, write=theirs.write32: (log.append((address, value)), write(address, value))
    expected = python.run(0, 2)
    assert ours.log == log
    assert (outcome.halted, outcome.error_code, outcome.error_index, outcome.interrupts) == (
        0, expected.error_code, expected.error_index, expected.interrupts)
    assert dict(zip(map(str.lower, registers.counters()), outcome.counters, strict=True)) == expected.counters
    assert text == f"stopped at instruction {expected.error_index}: {expected.reason}"
    assert library.systolic_restart(ctypes.byref(ours.driver)) == 0
    status, outcome, text = ours.run([isa.operation("interrupt"), isa.operation("halt")])
    assert (status, outcome.halted, outcome.interrupts, text) == (0, 1, 1, "no error")


def test_every_error_has_its_words(library):
    library.systolic_reason.restype = ctypes.c_char_p
    for error in isa.ErrorCode:
        assert library.systolic_reason(int(error)).decode() == error.doc
    assert library.systolic_reason(0) == b"no error code"
    dead = COutcome(error_code=7, error_index=4294967295, bus_dead=1)
    expected = Outcome(halted=False, error_code=7, error_index=4294967295, bus_dead=True, interrupts=0, counters={})
    harness = Harness(library, emulator())
    stopped = 5
    assert harness.describe(stopped, dead) == f"stopped at instruction 4294967295: {expected.reason}"
    assert harness.describe(stopped, dead, size=12) == "stopped at " and harness.describe(stopped, dead, size=1) == ""


@pytest.mark.parametrize("name", ["PROGRAM_ADDRESS", "INTERRUPT_ENABLE", "INTERRUPT_STATUS", "ERROR_CODE", "CYCLES_LO"])
def test_a_register_that_does_not_answer(library, name):
    harness = Harness(library, emulator(), silent=[name])
    assert harness.run([isa.operation("halt")])[2] == f"no answer from {name}"


@pytest.mark.parametrize("wait", [True, False])
def test_no_interrupt(library, wait):
    link = emulator()
    link.wait, link._run = lambda limit: False, lambda: None
    assert Harness(library, link, wait=wait).run([isa.operation("halt")])[2] == "no interrupt within the limit"


def test_a_line_that_is_high_for_nothing(library):
    link = emulator()
    link.wait, link._run = lambda limit: True, lambda: None
    assert Harness(library, link).run([isa.operation("halt")])[2] == \
        "no interrupt within the limit: the line is high, but no interrupt is pending"


def test_no_tpu(library):
    link = emulator()
    link._set("ID", 0)
    harness, size = Harness(library, link), ctypes.c_uint32()
    status = library.systolic_identify(ctypes.byref(harness.driver), ctypes.byref(size), ctypes.byref(size))
    assert harness.describe(status) == "register ID is not that of a TPU"


def test_memory_that_is_dead_refuses_a_restart(library):
    link = emulator()
    link._control = lambda value: None
    link._show("stopped")
    harness = Harness(library, link)
    assert harness.describe(library.systolic_restart(ctypes.byref(harness.driver))) == \
        "memory does not answer: reset TPU and interconnect"


def read(library, content):
    """The sentence on reading a file of these bytes."""
    place = ctypes.create_string_buffer(content, len(content) or 1)
    program = ctypes.create_string_buffer(256)
    status = library.systolic_read_program(program, place, len(content))
    return Harness(library, emulator()).describe(status)


def test_every_damaged_byte_is_found_or_of_no_account(library, tmp_path, sample):
    """A byte of what the driver reads is noticed; one of what it does not read leaves the file as good as before."""
    write_program(tmp_path / "sample.tpu", sample.compiled)
    content = (tmp_path / "sample.tpu").read_bytes()
    assert read(library, content) == "no error"
    with zipfile.ZipFile(tmp_path / "sample.tpu") as archive:
        number = max(archive.infolist(), key=lambda info: info.file_size).filename
        read_by_it = [(info.header_offset + 30 + len(info.filename), info.file_size) for info in archive.infolist()
                      if info.filename in ("plan.bin", number)]
    for start, size in read_by_it:
        for place in range(start, start + size, 37):
            spoilt = bytearray(content)
            spoilt[place] ^= 0x10
            assert "damaged" in read(library, bytes(spoilt)), place


@pytest.mark.parametrize("length", [0, 3, 4, 50, 93, 1000, -1])
def test_a_part_of_a_file_is_refused(library, tmp_path, sample, length):
    write_program(tmp_path / "sample.tpu", sample.compiled)
    content = (tmp_path / "sample.tpu").read_bytes()[:length]
    assert read(library, content) == ("not a program: systolic compile writes one from a model" if len(content) < 4 else
                                      "the program is damaged: its bytes are not those that were written")


def test_a_file_without_a_plan(library, tmp_path, sample):
    """As versions before wrote it."""
    write_program(tmp_path / "sample.tpu", sample.compiled)
    content = (tmp_path / "sample.tpu").read_bytes()
    body = content[:-len(_digest(b""))].replace(b"plan.bin", b"plan.bak")
    assert "of another version: compile the model again" in read(library, body + _digest(body))


def test_functions_are_named_as_in_python():
    """Those of both; Python has names of fields where C has masks."""
    header = files()["systolic.h"]
    assert [name for name in steps.__all__ if f"systolic_{name}(" not in header] == [
        "CAUSES", "ENDS", "Steps", "read_fields", "write_ones"]


def test_the_example_of_the_page_compiles(driver, tmp_path):
    """As it is written, for a processor whose registers and memory are somewhere."""
    page = (pathlib.Path(__file__).parents[3] / "docs/c_driver.md").read_text()
    code, = re.findall(r"```c\n(.*?)```", page, re.DOTALL)
    (tmp_path / "example.c").write_text("#define BASE 0x40000000ul\n#define MEMORY 0x80000000ul\n" + code)
    subprocess.run([*COMPILER, "-Wno-unused-parameter", "-Wno-int-to-pointer-cast", f"-I{driver}", "-c", "example.c"],
                   cwd=tmp_path, check=True)
