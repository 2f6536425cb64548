"""The systolic command: what it writes, and what it says when it cannot."""

import contextlib
import json
import os
import pathlib
import pty
import re
import subprocess
import sys
import tomllib

import pytest

from systolic import cli
from systolic.commands import options
from systolic.config import PRESETS, Arch, Impl
from systolic.tpu_config import TPU_PRESETS, tpu_preset
from systolic_sim.rtl import toolchain

ROOT = pathlib.Path(__file__).parents[2]
SHAPE = ["--rows", "2", "--cols", "3"]
PRESET_LIST = ", ".join(PRESETS)

# Arguments of generate, and what the one line must say.
BAD = [
    (["--rows", "0", "--cols", "3"], "rows must be an integer from 1 to 256, not 0"),
    (["--rows", "3", "--cols", "-1"], "cols must be an integer from 1 to 256, not -1"),
    (["--rows", "3", "--cols=-1"], "cols must be an integer from 1 to 256, not -1"),
    (["--rows", "257", "--cols", "3"], "rows must be an integer from 1 to 256, not 257"),
    (["--rows", "x", "--cols", "3"], "--rows: invalid int value: 'x'"),
    (["--rows", "2.5", "--cols", "3"], "--rows: invalid int value: '2.5'"),
    ([*SHAPE, "--format", "fp8"], "format must be one of int8, bf16, not 'fp8'"),
    ([*SHAPE, "--format", ""], "format must be one of int8, bf16, not ''"),
    ([*SHAPE, "--weight-fifo-depth", "0"], "weight_fifo_depth must be an integer from 1 to 1024, not 0"),
    ([*SHAPE, "--result-fifo-depth", "65537"], "result_fifo_depth must be an integer from 0 to 65536, not 65537"),
    ([*SHAPE, "--accumulator-depth", "1"],
     "accumulator_depth must be an integer from 2 to 65536 (from the number of rows)"),
    (["--config", "int8_8x8", "--rows", "256", "--accumulator-depth", "255"], "accumulator_depth must be"),
    ([*SHAPE, "--psum-stages", "9"], "psum_stages must be an integer from 1 to 8, not 9"),
    ([*SHAPE, "--format", "bf16", "--psum-stages", "1"], "psum_stages must be an integer from 3 to 8 with format bf16"),
    ([*SHAPE, "--memory", "magic"], f"memory must be one of {', '.join(Impl.MEMORIES)}, not 'magic'"),
    ([*SHAPE, "--multiplier", "magic"], "multiplier must be one of generic"),
    ([*SHAPE, "--name", "../up"], "name must be a Verilog identifier, not '../up'"),
    ([*SHAPE, "--name", ""], "name must be a Verilog identifier, not ''"),
    (["--config", "tpu_v9"], f"config must be one of {PRESET_LIST}, not 'tpu_v9'"),
    (["--config", ""], f"config must be one of {PRESET_LIST}, not ''"),
    ([], f"give --config, or --rows and --cols; presets are {PRESET_LIST}"),
    (["--rows", "4"], f"give --config, or --cols; presets are {PRESET_LIST}"),
    (["--tpu", "tpu_v9"], f"tpu must be one of {', '.join(TPU_PRESETS)}, not 'tpu_v9'"),
    (["--tpu", "tpu_4x4", "--lanes", "5"], "lanes must be from 1 to the 4 columns, not 5"),
    (["--tpu", "tpu_4x4", "--bus-bytes", "12"], "bus_bytes must be a power of two from 4 to 64, not 12"),
    (["--tpu", "tpu_4x4", "--buffer-size", "102"], "buffer_size must be a multiple of 4 from 8 to 2**30, not 102"),
    (["--tpu", "tpu_4x4", "--burst-beats", "257"], "burst_beats must be an integer from 1 to 256, not 257"),
    (["--tpu", "tpu_4x4", "--roundings", "4"], "roundings must be an integer from 1 to 3, not 4"),
    (["--tpu", "tpu_4x4", "--reads-in-flight", "0"], "reads_in_flight must be an integer from 1 to 64, not 0"),
    (["--tpu", "tpu_4x4", "--format", "bf16"], "format must be int8 in a TPU v1, not 'bf16'"),
    (["--tpu", "tpu_4x4", "--config", "int8_8x8"], "change its parameters in place of --config"),
    ([*SHAPE, "--lanes", "2"], "--lanes is of a TPU: give --tpu"),
    ([*SHAPE, "--out", "file"], "cannot write file: "),
    ([*SHAPE, "--out", "file/below"], "cannot write file"),
    ([*SHAPE, "--bogus"], "unrecognized arguments: --bogus"),
    ([*SHAPE, "stray"], "unrecognized arguments: stray"),
    (["--rows"], "--rows: expected one argument"),
]


def run(argv):
    """Exit code, whether main returns it or leaves with it."""
    try:
        return cli.main(argv)
    except SystemExit as exit:
        return exit.code


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory but for a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    return tmp_path


def left_behind(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("arguments, message", BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input_is_one_line(folder, capsys, arguments, message):
    assert run(["generate", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.endswith("\n")
    assert re.match(r"systolic( generate)?: error: ", err) and message in err
    assert [path.name for path in folder.iterdir()] == ["file"] and (folder / "file").read_text() == "mine"


# The command as a process that permissions bind even if root starts it: prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE).
BOUND = """
import ctypes, os, sys
if os.geteuid() == 0:
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "systolic.cli", *sys.argv[1:]])
"""


def test_folder_without_permission(folder):
    protected = folder / "protected"
    protected.mkdir(mode=0o500)
    done = subprocess.run([sys.executable, "-c", BOUND, "generate", *SHAPE, "--out", protected],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and str(protected) in done.stderr
    assert left_behind(folder) == ["file"]


def test_file_that_cannot_be_replaced(folder, capsys):
    (folder / "out" / "int8_2x3.json").mkdir(parents=True)
    assert run(["generate", *SHAPE, "--out", "out"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("systolic: error: cannot write out/int8_2x3.json: ") and err.count("\n") == 1
    assert left_behind(folder) == ["file"]


@pytest.mark.parametrize("arguments", [["fly"], ["--version-of-nothing"]])
def test_unknown_command(folder, capsys, arguments):
    assert run(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_no_command_is_a_call_for_help(capsys):
    assert run([]) == 0
    bare = capsys.readouterr()
    assert run(["--help"]) == 0
    assert bare == capsys.readouterr() and "\n    generate " in bare.out and bare.err == ""


def test_version(capsys):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert run(["--version"]) == 0
    assert capsys.readouterr() == (f"systolic {project['version']}\n", "")


def test_generate_writes_two_files(folder, capsys):
    assert run(["generate", *SHAPE, "--out", "deep/er"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("deep/er/int8_2x3.v\ndeep/er/int8_2x3.json\n", "")
    assert left_behind(folder) == ["deep/er/int8_2x3.json", "deep/er/int8_2x3.v", "file"]
    text = (folder / "deep/er/int8_2x3.v").read_text()
    assert "\nmodule int8_2x3(" in text
    arch = json.loads((folder / "deep/er/int8_2x3.json").read_text())["arch"]
    assert arch == {"rows": 2, "cols": 3, "format": "int8", "accumulator_depth": 512, "weight_fifo_depth": 4,
                    "result_fifo_depth": 0, "taps": 0}


def test_the_installed_command(folder):
    done = subprocess.run([sys.executable, "-m", "systolic.cli", "generate", "--config", "ice40_4x4"],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "build/verilog/ice40_4x4.v\nbuild/verilog/ice40_4x4.json\n"


def test_generate_a_tpu(folder, capsys):
    assert run(["generate", "--tpu", "tpu_4x4", "--rows", "3", "--buffer-size", "1024", "--out", "ip"]) == 0
    assert left_behind(folder) == ["file", "ip/tpu_3x4_variant.json", "ip/tpu_3x4_variant.v"]
    assert "\nmodule tpu_3x4_variant(" in (folder / "ip/tpu_3x4_variant.v").read_text()
    sidecar = json.loads((folder / "ip/tpu_3x4_variant.json").read_text())
    assert sidecar["memories"]["unified_buffer"] == {"bytes": 1024, "banks": 4}


def parse(*arguments, what=options.config_from):
    parser = cli._Parser()
    options.add_config_arguments(parser)
    options.add_tpu_arguments(parser)
    return what(parser.parse_args(arguments))


def test_tpus():
    """A preset, and a preset with changes to the machine or its matrix unit."""
    assert all(parse("--tpu", name, what=options.tpu_from) == config for name, config in TPU_PRESETS.items())
    assert parse("--config", "int8_8x8", what=options.tpu_from) is None
    changed = parse("--tpu", "tpu_8x8", "--cols", "12", "--lanes", "6", "--psum-stages", "2", what=options.tpu_from)
    assert (changed.name, changed.lanes, changed.matrix.name) == ("tpu_8x12_variant", 6, "tpu_8x12_variant_unit")
    assert (changed.matrix.arch.cols, changed.matrix.impl.psum_stages) == (12, 2)
    assert changed.buffer_size == TPU_PRESETS["tpu_8x8"].buffer_size
    assert parse("--tpu", "tpu_8x8", "--name", "mine", what=options.tpu_from).name == "mine"


def test_configurations():
    """A preset, a preset with changes, and a shape of one's own; each with a name that tells."""
    assert all(parse("--config", name) == config for name, config in PRESETS.items())
    assert parse("--config", "int8_8x8", "--name", "mine").name == "mine"
    changed = parse("--config", "tpu_v1_unit", "--rows", "64", "--hop-stages", "2")
    assert changed.arch == Arch(rows=64, cols=256, accumulator_depth=4096)
    assert (changed.impl.hop_stages, changed.name) == (2, "int8_64x256")
    own = parse("--rows", "12", "--cols", "20", "--format", "bf16", "--psum-stages", "4")
    assert own.arch == Arch(rows=12, cols=20, format="bf16")
    assert (own.impl, own.name) == (Impl(psum_stages=4, product_stages=1), "bf16_12x20")


@pytest.mark.parametrize("changes, psum, product", [
    (["--config", "bf16_4x4", "--format", "int8"], 1, 1),
    (["--config", "int8_8x8", "--format", "bf16"], 6, 1),
    (["--config", "bf16_8x8", "--psum-stages", "8"], 8, 0),
])
def test_stages_that_nobody_set_follow_the_changes(changes, psum, product):
    impl = parse(*changes).impl
    assert (impl.psum_stages, impl.product_stages) == (psum, product)


def test_every_parameter_has_an_option_with_help(capsys):
    assert run(["generate", "--help"]) == 0
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    options = ["accumulator-depth", "rows", "weight-fifo-depth", "psum-stages", "memory", "multiplier", "hop-stages"]
    for option in options:
        # The option, its value, and then something in words.
        assert re.search(rf"--{option} [NX] [A-Z]", text), option
    assert "elements of an activation vector" in text and PRESET_LIST in text
    assert "``" not in text


@pytest.mark.parametrize("arguments, hint", [
    (["genrate"], "not 'genrate': did you mean generate?"),
    (["generate", "--confg", "int8_8x8"], "unrecognized arguments: --confg int8_8x8: did you mean --config?"),
    (["generate", "--rwos=3"], "unrecognized arguments: --rwos=3: did you mean --rows?"),
    (["generate", "--config", "int8_8X8"], "not 'int8_8X8': did you mean int8_8x8?"),
    (["generate", "--tpu", "tpu8x8"], "not 'tpu8x8': did you mean tpu_8x8?"),
    (["generate", *SHAPE, "--format", "bfl16"], "not 'bfl16': did you mean bf16?"),
    (["fpga", "--device", "ecp5_85f", *SHAPE], "not 'ecp5_85f': did you mean ecp5-85f?"),
    (["fpga", "--board", "icebraker"], "not 'icebraker': did you mean icebreaker?"),
    (["report", "utilisaton"], "not 'utilisaton': did you mean utilisation?"),
])
def test_did_you_mean(folder, capsys, arguments, hint):
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert hint in err and err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["fly"], ["generate", "--xyz"]])
def test_no_hint_where_nothing_is_alike(capsys, arguments):
    assert run(arguments) == 2
    assert "did you mean" not in capsys.readouterr().err


def test_figures_in_place_of_text(folder, capsys):
    assert run(["fpga", "--list-boards", "--json", "boards.json"]) == 0
    text = capsys.readouterr().out
    assert text.endswith("boards.json\n") and "icebreaker" in text
    assert run(["fpga", "--list-boards", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == json.loads((folder / "boards.json").read_text()) and err == ""
    first = json.loads(out)[0]
    assert set(first) == {"board", "title", "device", "format", "rows", "cols", "clock_mhz"}
    assert run(["fpga", "--list-boards", "--json", "absent/boards.json"]) == 2
    assert "cannot write absent/boards.json" in capsys.readouterr().err


#: Commands that print no figures.
WITHOUT_FIGURES = {"assemble", "disassemble", "driver", "generate", "isa", "registers"}


def commands():
    parser = cli._parser()
    return next(action.choices for action in parser._actions if action.choices)


def test_every_command_with_figures_has_json():
    with_json = {name for name, parser in commands().items() if "--json" in parser._option_string_actions}
    assert with_json == set(commands()) - WITHOUT_FIGURES


@pytest.mark.parametrize("name", commands())
def test_every_default_is_in_the_help(name):
    """In parentheses: the value, or what it follows from."""
    for action in commands()[name]._actions:
        plain = action.option_strings and action.nargs != 0 and not action.required
        if not plain or action.help is None or action.dest in NO_DEFAULT:
            continue
        text = (action.help % {"default": action.default}).replace("\n", " ")
        assert re.search(r"\([^)]*\)|The default", text), f"{name} {action.option_strings[0]}: {text}"


#: Options that do nothing unless they are given, and parameters without a default.
NO_DEFAULT = {"config", "rows", "cols", "tpu", "lanes", "buffer_size", "json", "csv", "svg", "output", "board", "part",
              "timeout", "only"}


def test_quiet_and_verbose(folder, capsys):
    assert run(["generate", *SHAPE, "-q"]) == 0
    assert capsys.readouterr() == ("", "") and (folder / "build/verilog/int8_2x3.v").exists()
    assert run(["generate", "--rows", "0", "--cols", "3", "-q"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert run(["generate", "--rows", "0", "--cols", "3", "-v"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err and err.splitlines()[-1].startswith("systolic: error: rows must be")
    assert run(["generate", *SHAPE, "-q", "-v"]) == 2


def test_verbose_names_the_programs(folder, capsys):
    toolchain.run(["true", "a b"])
    assert capsys.readouterr().err == ""
    with cli._logging(cli._parser().parse_args(["generate", "-v"])):
        toolchain.run(["true", "a b"])
    assert re.fullmatch(r"true 'a b': \d+\.\d s\n", capsys.readouterr().err)


def printed_on_a_terminal(arguments, **environment):
    """What a process prints there."""
    leader, follower = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "systolic.cli", *arguments], stdout=follower, stderr=follower,
                          env={**os.environ, "TERM": "xterm-256color", **environment}) as process:
        os.close(follower)
        text = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            while part := os.read(leader, 4096):
                text += part
    os.close(leader)
    assert process.returncode == 0
    return text.decode()


def test_no_colour_where_none_is_wanted():
    """Numbers that select a colour are 30 to 49 and 90 to 107."""
    colour = re.compile(r"\x1b\[[\d;]*\b([34]\d|9\d|10[0-7])[\d;]*m")
    arguments = ["sim", "--config", "bench_int8_1x1", "--simulator", "verilator"]
    assert colour.search(printed_on_a_terminal(arguments)) is not None
    assert colour.search(printed_on_a_terminal(arguments, NO_COLOR="1")) is None


@pytest.mark.parametrize("line, found", [
    ("systolic gen", ["generate "]),
    ("systolic generate --acc", ["--accumulator-depth "]),
    ("systolic generate --tpu tpu_1", ["tpu_12x20", "tpu_16x16"]),
    ("systolic run --on e", ["emulator "]),
    ("systolic fpga --board ice", ["icebreaker", "icesugar"]),
])
def test_completion(tmp_path, line, found):
    """As a shell asks for it, see the documentation of argcomplete."""
    answer = tmp_path / "answer"
    environment = {**os.environ, "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line,
                   "COMP_POINT": str(len(line)), "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    subprocess.run([sys.executable, "-m", "systolic.cli"], env=environment, check=True)
    assert sorted(answer.read_text().split("\n")) == found


@pytest.mark.parametrize("module, extra", [("ai_edge_litert", "dev"), ("cocotbext.axi", "dev"),
                                           ("argcomplete", "completion"), ("onnxruntime", "demo")])
def test_a_missing_package_is_one_line(monkeypatch, capsys, module, extra):
    """It names the extra that the package is of."""
    def fail(args):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(cli, "_parser", lambda: _failing(fail))
    assert run([]) == 2
    assert capsys.readouterr().err == (f"systolic: error: {module} not found: run '{sys.executable} -m pip install "
                                       f"systolic[{extra}]'\n")


def test_a_missing_module_of_ours_is_no_users_error(monkeypatch):
    def fail(args):
        raise ModuleNotFoundError("No module named 'systolic.nothing'", name="systolic.nothing")

    monkeypatch.setattr(cli, "_parser", lambda: _failing(fail))
    with pytest.raises(ModuleNotFoundError):
        run([])


def _failing(function):
    parser = cli._Parser()
    parser.set_defaults(run=function, parser=parser, verbose=False, quiet=False, json=None)
    return parser


def test_probe(capsys, tmp_path):
    """What a TPU is, and whose programs it executes; golden is none."""
    assert cli.main(["probe", "--on", "emulator", "--tpu", "tpu_8x8", "--json", str(tmp_path / "probe.json")]) == 0
    said = dict(re.findall(r"^(.+?) {2,}(\S+)$", capsys.readouterr().out, re.MULTILINE))
    assert said["rows"] == said["cols"] == "8" and said["buffer_size"] == "65,536"
    assert said["state"] == "idle" and said["programs for"] == "tpu_8x8"
    assert json.loads((tmp_path / "probe.json").read_text()) == tpu_preset("tpu_8x8").identity | {
        "state": "idle", "preset": "tpu_8x8"}
    assert cli.main(["probe", "--on", "fpga"]) == 2
    assert "target must be one of" in capsys.readouterr().err
