"""Every board: its pins and constraints, and its whole top in simulation, at the pins."""

import argparse
import dataclasses
import re
from pathlib import Path

import pytest

from systolic.config import Arch, Config, Impl
from systolic.errors import UserError
from systolic_boards import command
from systolic_boards.board import BoardError, board, names
from systolic_boards.chip import to_verilog
from systolic_boards.clocks import Ecp5Pll, Hfosc, Ice40Pll, Oscillator
from systolic_boards.flow import flow, synthesis
from systolic_boards.flow.parts import Part
from systolic_boards.flow.progress import Progress
from systolic_boards.pages.boards import blocks
from systolic_boards.pages.refill import refill
from systolic_boards.selftest.design import design, designs
from systolic_boards.selftest.pattern import expected, program
from systolic_boards.selftest.simulate import simulate
from systolic_boards.tpu.design import TpuDesign
from systolic_boards.tpu.design import design as tpu_design
from systolic_boards.tpu.design import names as tpu_names
from systolic_boards.tpu.play import Played

BOARDS, TPU_BOARDS = names(), tpu_names()
PAGE = Path(__file__).parents[2] / "docs/boards.md"
# Small, of DSPs and LUTs, with the memories and multipliers that the boards' own have.
HYBRID = Config(name="hybrid", arch=Arch(rows=2, cols=2, accumulator_depth=64), impl=Impl(
    multiplier="ecp5_dsp", product_stages=2, memory="ecp5_block", memory_stages=3, lut_rows=1))
FLOAT = Config(name="float", arch=Arch(rows=1, cols=1, format="bf16", accumulator_depth=16), impl=Impl(psum_stages=4))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("name, config", [
    ("icebreaker", None), ("tang_nano_9k", None), ("colorlight_5a75b", HYBRID), ("upduino_v3", FLOAT)])
def test_pass_and_fail_at_the_pins(name, config):
    """Another device family or another way to show it each: two LEDs, three, one; a serial line or none; int8, bf16."""
    test = design(name)
    test = dataclasses.replace(test, config=config or test.config)
    config, target = test.config, test.board
    right, wrong = (simulate(test, fault=fault) for fault in (False, True))
    alive = {"alive"} & target.leds.keys()
    single = "verdict" in target.leds
    assert right.verdict == "PASS" and right.lit - alive == ({"verdict"} if single else {"pass"})
    assert wrong.verdict == "FAIL" and wrong.lit - alive == (set() if single else {"fail"})
    if not target.uart:
        assert right.text == wrong.text == ""
        return
    assert wrong.text.endswith(" FAIL\r\n") and f"{expected(config):08x}" not in wrong.text
    arch = config.arch
    found = re.fullmatch(
        rf"systolic {config.name} {arch.format.name} {arch.rows}x{arch.cols} {target.clock.mhz:g} MHz "
        rf"tiles 64 rows (\d+) cycles (\d+) signature ([0-9a-f]+) PASS\r\n", right.text)
    assert int(found[1]) == len(program(config)) < int(found[2]) and int(found[3], 16) == expected(config)


@pytest.mark.parametrize("design", [
    *map(design, BOARDS), *map(tpu_design, TPU_BOARDS)], ids=[*BOARDS, *(f"{name}-tpu" for name in TPU_BOARDS)])
def test_pins(design):
    """The top has the pins that are constrained and no others, each on a place of its own on the board."""
    target = design.board
    ports = {port.name: port for port in synthesis.read_ports(top(design), target.name)}
    assert ports.keys() == set(design.ports) <= target.pins.keys()
    assert all(port.width == 1 for port in ports.values())
    assert {port.name for port in ports.values() if port.direction == "input"} <= {"clk", "rx"}
    lines = design.constraints
    for port in ports:
        line = rf'(?:COMP|IO_LOC|set_io|Net) "?{port}"? |location .*get_ports {port}]'
        assert len(re.findall(line, lines)) == 1, lines
    sites = {target.pins[port].site for port in ports}
    assert len(sites) == len(ports) and sites <= set(board_sites(target))
    assert {"clk", "led_pass", "led_fail", "led_alive", "led_verdict", "rx", "tx"} >= ports.keys()
    if isinstance(design, TpuDesign):
        assert {"rx", "tx"} <= ports.keys()
    else:
        assert {"led_pass", "led_fail"} <= ports.keys() or "led_verdict" in ports


def top(design):
    """Verilog of a chip alone, for its ports."""
    return {"top.v": to_verilog(design.chip())}


def board_sites(target):
    """All pins that the board's description names: of its resources and its connectors."""
    platform = target.platform()
    for connector in platform.connectors.values():
        yield from connector.mapping.values()
    for resource in platform.resources.values():
        yield from re.findall(r"\w+", repr(resource))


@pytest.mark.parametrize("name", BOARDS)
def test_board_says_what_it_is(name):
    found, target = designs(name), board(name)
    assert len({each.config.arch.format for each in found}) == len(found) and design(name) == found[0]
    assert target.name == name and target.title and "{bitstream}" in target.program
    assert found[0].board == target
    for each in found:
        assert each.board.clock.mhz >= 10 and each.board.pins == target.pins and len(each.text("PASS")) < 120


BLINK = """
module {name}({ports});
  {inputs}
  output {outputs};
  reg [15:0] count = 1;
  always @(posedge clk) count <= count + (count >> 3) + 1;
  assign {{{outputs}}} = {{8{{count[15]}}}};
endmodule
"""


@pytest.mark.needs("nextpnr")
@pytest.mark.parametrize("name", ["icebreaker", "colorlight_5a75b", "tang_nano_9k"])
def test_constraints_are_understood(name, cache):
    """One board for each kind of constraints file, through to a bitstream."""
    target = board(name)
    used = design(name).ports
    outputs = ", ".join(port for port in used if port != "clk")
    text = BLINK.format(name=name, ports=", ".join(used), inputs="input clk;", outputs=outputs)
    built = flow.build(Part(name=name, top=name, sources={"blink.v": text}), target.device, freq=target.clock.pin_mhz,
                       seeds=1, constraints=target.constraints(used), cache=cache, progress=Progress(show=False))
    placed = {cell for _, _, _, cell in built.typical.floor}
    assert len(built.typical.bitstream) > 10_000 and all(
        any(re.match(rf"{port}\b|\$.*\b{port}\b", cell) for cell in placed) for port in used), placed


@pytest.mark.parametrize("clock", [
    *(each.board.clock for name in BOARDS for each in designs(name)), Ecp5Pll("clk", 25, 62.5)])
def test_dividers(clock):
    """The primitives' own arithmetic gives the frequency; their oscillators stay in the data sheets' range."""
    if isinstance(clock, Ecp5Pll):
        reference, feedback, divider = clock.dividers
        output = clock.pin_mhz / reference * feedback
        assert 400 <= output * divider <= 800 and clock.pin_mhz / reference >= 10
    elif isinstance(clock, Ice40Pll):
        reference, feedback, power = clock.dividers
        oscillator = clock.pin_mhz * (feedback + 1) / (reference + 1)
        output = oscillator / 2**power
        assert 533 <= oscillator <= 1066
    else:
        output = clock.pin_mhz
    assert output == clock.mhz


def test_frequencies():
    assert Oscillator("clk", 27).mhz == 27 and Hfosc(mhz=24).mhz == 24 and Hfosc(mhz=24).resource is None
    with pytest.raises(ValueError, match="Ice40Pll cannot make 37.1 MHz of 12 MHz"):
        Ice40Pll("clk", 12, 37.1).build(None, None)


def parse(*arguments):
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    return parser.parse_args(["fpga", *arguments])


def test_command_lists_boards(capsys):
    args = parse("--list-boards")
    assert args.run(args) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == [name for name in BOARDS for _ in designs(name)]


@pytest.mark.parametrize("arguments, code, verdict", [([], 0, "pass"), (["--fault"], 1, "fail")])
def test_command_simulates(arguments, code, verdict, capsys):
    args = parse("--board", "upduino_v3", "--simulate", *arguments)
    assert args.run(args) == code and capsys.readouterr().out == f"LEDs: {verdict}\n"


@pytest.mark.parametrize("wrong, code", [(0, 0), (3, 1)])
def test_command_plays(wrong, code, monkeypatch, capsys):
    """A network on a board's TPU; what it takes minutes to find is given here."""
    monkeypatch.setattr("systolic_boards.tpu.play.play", lambda target: Played(
        wrong=wrong, total=10, digit=7, cycles=75_000))
    args = parse("--board", "ulx3s_12f", "--design", "tpu", "--simulate")
    assert args.run(args) == code
    said = capsys.readouterr().out
    assert f"line: 7; {wrong} of 10 outputs" in said and "75,000 cycles, 1,000 microseconds at 75 MHz" in said


@pytest.mark.parametrize("arguments, message", [
    (["--board", "brick"], "board must be one of colorlight_5a75b, .*, not 'brick'"),
    (["--board", "icebreaker", "--format", "bf16"], "format must be one of int8 on icebreaker, not 'bf16'"),
    (["--board", "icebreaker", "--part", "array"], "--part, --freq and --tpu go with --device"),
    (["--simulate", "--rows", "2", "--cols", "2"], "--simulate and --fault go with --board"),
    (["--board", "icebreaker", "--design", "tpu"], "board must be one of colorlight_5a75b, .* with --design tpu, not"),
    (["--board", "ulx3s_85f", "--design", "tpu", "--fault"], "takes no --fault"),
    (["--design", "tpu"], "--design, --simulate and --fault go with --board"),
    (["--board", "icebreaker", "--tpu", "tpu_4x4"], "--part, --freq and --tpu go with --device"),
    (["--part", "row_reader", "--config", "int8_8x8"], "--part must be one of array, matrix_unit without --tpu"),
    (["--part", "array", "--tpu", "tpu_4x4"], "--part must be one of tpu, core, .* with --tpu, not array"),
    (["--board", "icebreaker", "--lut-rows", "2"], "give --config, or --rows and --cols"),
])
def test_bad_usage(arguments, message):
    args = parse(*arguments)
    with pytest.raises(UserError, match=message):
        args.run(args)


def test_device_and_board_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        parse("--board", "icebreaker", "--device", "ecp5-25f")
    assert "not allowed with argument" in capsys.readouterr().err
    with pytest.raises(BoardError):
        design("icebreaker", "fp8")


def test_builds_the_bitstream_of_a_board(tmp_path, monkeypatch, capsys):
    """The command, with the flow replaced: what it hands over, and where the results go."""
    handed = {}
    monkeypatch.setattr(flow, "build", lambda part, device, **options: handed.update(options, part=part) or "built")
    monkeypatch.setattr("systolic_boards.flow.report.write", lambda build, folder, clock: {
        "part": "icebreaker", "device": "d", "resources": {}, "fmax_mhz": {"min": 1, "median": 2, "max": 3},
        "gops": 1.15, "clock_mhz": clock, "note": "", "critical_path": None})
    args = parse("--board", "icebreaker", "--seeds", "2", "--out", str(tmp_path))
    assert args.run(args) == 0
    assert handed["freq"] == 45 and "set_io tx 9" in handed["constraints"] and handed["part"].top == "icebreaker"
    assert f"{tmp_path}/icebreaker/icebreaker.bin" in capsys.readouterr().out


def test_page():
    """One row a unit, with as many cells as its head; what failed says why."""
    seen = {"verdicts": ["PASS", "FAIL"], "transcripts": ["LEDs: pass", "LEDs: fail"]}
    figures = seen | {
        "resources": {name: {"used": 50, "available": 100} for name in ("LUT", "FF", "BRAM")} | {
            "DSP": {"used": 0, "available": 0}}, "fmax_mhz": {"min": 40.1, "median": 41.2, "max": 43.3}, "gops": 1.15,
        "seeds": [{"seed": 1}], "bitstream_bytes": 104090, "tools": {"place": "nextpnr 1"}, "note": "no times of DSPs"}
    filled = blocks([(design("icebreaker"), figures), (design("hx8k_b_evn"), seen | {"error": "too slow"})])
    text = refill(PAGE.read_text(), filled)
    rows = [line for line in filled["table"].splitlines() if line.startswith("| ")]
    assert [row.count("|") for row in rows[:3]] == [13] * 3
    assert "| int8 4x4 | 50 of 100 | 50 of 100 | 50 of 100 | none | 45 | 43.3 |" in rows[1]
    assert rows[1].endswith("| 1.15 | 104,090 | PASS, FAIL |")
    assert "too slow" in rows[2] and "the fastest of 1 seed, with nextpnr 1" in text
    assert f"* {board('icebreaker').title}: no times of DSPs." in text
    assert "$ systolic fpga --board icebreaker --simulate --fault\nLEDs: fail\n" in text
    assert "build/fpga/icebreaker/icebreaker.bin" in text
