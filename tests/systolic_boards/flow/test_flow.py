"""The whole flow on a design of a few cells: seeds, cache, resumption, bitstream, report, command."""

import argparse
import json
import xml.etree.ElementTree
import zipfile

import pytest

from systolic.config import Arch, Config, Impl
from systolic.tpu_config import tpu_preset
from systolic_boards import command
from systolic_boards.devices import device
from systolic_boards.flow import flow, guards, parts, paths, placement, report, store, synthesis, tools
from systolic_boards.flow.guards import GuardError
from systolic_boards.flow.parts import TPU_PARTS, Part
from systolic_boards.flow.progress import Progress
from systolic_sim.rtl.toolchain import ToolError

SILENT = Progress(show=False)
DEVICE = device("ice40-hx8k")
COUNTER = Part(name="counter", top="counter", macs=1, sources={"counter.v": """
module counter(input clk, input enable, input [3:0] step, output [3:0] count);
  sub inner(clk, enable, step, count);
endmodule
module sub(input clk, input enable, input [3:0] step, output reg [3:0] value);
  initial value = 0;
  always @(posedge clk) if (enable) value <= value + step;
endmodule
"""})
MULTIPLY = Part(name="multiply", top="multiply", sources={
    "multiply.v": "module multiply(input clk, input [7:0] a, b, output reg [15:0] y);\n"
                  "  always @(posedge clk) y <= a * b;\nendmodule\n"})
CONSTRAINTS = "".join(f"set_io {port} {pin}\n" for port, pin in {
    "clk": "J3", "enable": "B5", **{f"step[{k}]": pin for k, pin in enumerate(("B4", "A2", "A1", "C5"))},
    **{f"count[{k}]": pin for k, pin in enumerate(("C4", "B3", "C3", "J1"))}}.items())

needs_placer = pytest.mark.needs("nextpnr")


@pytest.fixture
def build(tmp_path):
    return lambda part=COUNTER, **options: flow.build(
        part, DEVICE, **({"freq": 50, "seeds": 2, "cache": tmp_path, "progress": SILENT} | options))


def forbidden(*arguments, **options):
    raise AssertionError("ran although its result is in the cache, or must not be wanted")



def test_mapping_that_changes_logic_is_done_again(tmp_path):
    """Comparisons in carry chains of a scoreboard: mapped as usual, registers lose their results."""
    ecp5 = device("ecp5-85f")
    part = TPU_PARTS["scoreboard"](ecp5.implement(tpu_preset("tpu_4x4")))
    found = synthesis.synthesise(part, ecp5, alone=False, cache=tmp_path)
    logs = list(tmp_path.glob("fpga/*.zip"))
    assert len(logs) == 2 and "Networks are equivalent" in found.log
    with pytest.raises(GuardError, match="technology mapping changed the logic"):
        for path in logs:
            guards.check_log(zipfile.ZipFile(path).read("synthesis.log").decode())
    cells = json.loads(found.netlist)["modules"][part.top]["cells"]
    for name, cell in cells.items():
        if name.startswith("activation") and name.endswith("_less_16"):
            result = cell["connections"]["S0"]
            users = {each["type"] for each in cells.values()
                     if each is not cell and result in each["connections"].values()}
            assert users == {"TRELLIS_FF", "LUT4"}, name


@needs_placer
def test_seeds_are_placed_once(build, monkeypatch, tmp_path):
    first = build()
    assert [placed.seed for placed in first.placements] == [1, 2]
    assert first.synthesis.cells["SB_DFFE"] == 4
    assert first.synthesis.chip_cells["SB_DFF"] >= 5 + 5 + 4  # shift, capture and output register
    frequencies = sorted(placed.fmax for placed in first.placements)
    assert 50 < frequencies[0] <= first.fmax <= frequencies[1] and first.typical.fmax == frequencies[0]
    assert not any(placed.bitstream for placed in first.placements)
    assert len(list(tmp_path.glob("fpga/*.zip"))) == 3

    ports = synthesis.read_ports(COUNTER.sources, "counter")
    monkeypatch.setattr(synthesis, "read_ports", lambda *_: ports)
    monkeypatch.setattr(tools, "run", forbidden)
    assert build() == first


@needs_placer
def test_interrupted_run_goes_on(build, monkeypatch):
    """The second seed is stopped; afterwards only that one runs."""
    run, seeds = tools.run, []

    def interrupted(program, arguments, folder, **options):
        if "--seed" in arguments:
            seeds.append(arguments[arguments.index("--seed") + 1])
            if seeds == ["1", "2"]:
                raise KeyboardInterrupt
        return run(program, arguments, folder, **options)

    monkeypatch.setattr(tools, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(jobs=1)
    assert len(build(jobs=1).routed) == 2 and seeds == ["1", "2", "2"]


@needs_placer
def test_whole_chip_has_a_bitstream(build, tmp_path):
    built = build(constraints=CONSTRAINTS, seeds=1)
    assert built.synthesis.cells == built.synthesis.chip_cells
    assert len(built.typical.bitstream) > 100_000
    report.write(built, tmp_path / "out")
    assert (tmp_path / "out" / "counter.bin").read_bytes() == built.typical.bitstream
    with pytest.raises(GuardError, match=r"clock clk\S* reaches .* MHz, the board's is 5000.0 MHz"):
        build(constraints=CONSTRAINTS, seeds=1, freq=5000)


@needs_placer
def test_failure_is_kept_and_told(build):
    wrong = CONSTRAINTS.replace("J3", "ZZ9")
    for _ in range(2):
        with pytest.raises(ToolError, match="nextpnr_ice40: .*ZZ9"):
            build(constraints=wrong, seeds=1)


@needs_placer
def test_report_tells_names_and_draws(build, tmp_path):
    figures = report.write(build(), tmp_path)
    assert json.loads(json.dumps(figures)) == json.loads((tmp_path / "report.json").read_text())
    assert figures["resources"]["FF"] == {"used": 4, "available": 7680} and figures["claimed_mhz"] > 50
    assert figures["fmax_mhz"]["min"] <= figures["fmax_mhz"]["median"] <= figures["fmax_mhz"]["max"]
    path = figures["critical_path"]
    assert path["start"].startswith(("inner.value[", "step[", "enable", "q")), path
    assert path["end"].startswith(("inner.value[", "q")), path
    parts_of_delay = [path[key] for key in ("clock_to_out", "logic", "routing", "setup")]
    assert sum(parts_of_delay) == pytest.approx(path["delay"], abs=0.03)
    text = (tmp_path / "report.md").read_text()
    assert "| 4 of 7680 |" in text and f"`{path['end']}`" in text
    for name in ("utilisation.svg", "floorplan.svg"):
        assert len(xml.etree.ElementTree.parse(tmp_path / name).getroot()) > 3
    assert "inner" in (tmp_path / "floorplan.svg").read_text()


@pytest.mark.parametrize("name, cells", [
    ("ecp5-25f", {"MULT18X18D": 1}), ("ice40-up5k", {"SB_MAC16": 0}), ("gowin-gw1nr-9c", {"MULT9X9": 1})])
def test_synthesis_for_each_family(name, cells, tmp_path):
    found = synthesis.synthesise(MULTIPLY, device(name), cache=tmp_path).cells
    assert {cell: found.get(cell, 0) for cell in cells} == cells
    assert device(name).family.count(found)["FF"] == 16


def test_cells_behind_walls_count_as_often_as_they_are(tmp_path):
    text = COUNTER.sources["counter.v"].replace("module sub", "(* keep_hierarchy *)\nmodule sub").replace(
        "sub inner(clk, enable, step, count);",
        "wire [3:0] between;\n  sub inner(clk, enable, step, between);\n  sub outer(clk, enable, between, count);")
    found = synthesis.synthesise(Part(name="walls", top="counter", sources={"counter.v": text}), DEVICE, cache=tmp_path)
    assert found.cells["SB_DFFE"] == 8 and "sub" not in found.cells
    names = paths.Names(found)
    registers = {names.cell(name) for name, cell in names._cells.items() if cell["type"] == "SB_DFFE"}
    assert registers == {f"{module}.value[{bit}]" for module in ("inner", "outer") for bit in range(4)}


def test_guards_come_before_placing(tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "place", forbidden)
    monkeypatch.setattr(tools, "version", lambda program: program.wheel)  # the placer need not be installed
    options = {"freq": 50, "cache": tmp_path, "progress": SILENT}
    lost = Part(name="lost", top="multiply", sources=MULTIPLY.sources, cells={"MULT18X18D": 2})
    with pytest.raises(GuardError, match="2 MULT18X18D planned, but the netlist has 1"):
        flow.build(lost, device("ecp5-25f"), **options)
    latch = "module latch(input clk, input e, d, output reg q);\n  always @* if (e) q = d;\nendmodule\n"
    with pytest.raises(ToolError, match="Latch inferred for signal"):
        flow.build(Part(name="latch", top="latch", sources={"latch.v": latch}), device("ecp5-25f"), **options)


def config(**impl):
    return Config(name="tiny", arch=Arch(rows=2, cols=3, accumulator_depth=4), impl=Impl(**impl))


@pytest.mark.parametrize("part", parts.PARTS.values())
def test_parts(part):
    built = part(config())
    ports = {port.name: port for port in synthesis.read_ports(built.sources, built.top)}
    assert built.macs == 6 and built.cells == {} and ports["clk"].direction == "input"
    assert ports["a" if part is parts.array else "rows_data"].width == 16


@pytest.mark.parametrize("name", TPU_PARTS)
def test_parts_of_a_tpu(name):
    """Each has a clock, and ports on either side to be timed from and to."""
    part = TPU_PARTS[name](tpu_preset("tpu_4x4"))
    ports = {port.name: port for port in synthesis.read_ports(part.sources, part.top)}
    assert ports["clk"].direction == "input" and {port.direction for port in ports.values()} == {"input", "output"}
    assert part.macs == (16 if name == "tpu" else 0) and name in part.name


def test_planned_cells():
    plan = {"MULT18X18D": 0, "SB_MAC16": 0, "MULT9X9": 0}
    assert parts.array(config(multiplier="ecp5_dsp")).cells == plan | {"MULT18X18D": 6}
    assert parts.array(config(multiplier="ecp5_dsp", lut_rows=1)).cells == plan | {"MULT18X18D": 3}
    assert parts.array(config(multiplier="ecp5_lut")).cells == plan
    assert parts.array(config(multiplier="ice40_dsp")).cells == plan | {"SB_MAC16": 4}
    assert parts.array(config(multiplier="gowin_dsp")).cells == plan | {"MULT9X9": 6}


def test_missing_wheel_is_named():
    absent = tools.Program(wheel="no-such-wheel", module="no_such_module", function="run")
    with pytest.raises(ToolError, match="^no-such-wheel not found: run '.* -m pip install no-such-wheel'$"):
        tools.run(absent, [], ".")


def test_slow_tool_is_stopped(tmp_path):
    waiting = tools.Program(wheel="python", module="http.server")
    with pytest.raises(ToolError, match="^http.server: took more than 1 s$"):
        tools.run(waiting, ["--bind", "127.0.0.1", "0"], tmp_path, timeout=1)


def test_phases_of_a_placement():
    lines = {"Info: Packing LUTs..": "packing", "Info:     at iteration #7, type ALL: wirelen": "placing 7",
             "Info: Routing..": "routing",
             "Info:       6000 |     2118       3881 |  144   856 |      9530|       0.75       5.03|": "routing 9530",
             "Info: Checksum: 0x6283915b": ""}
    assert {line: placement._phase(line) for line in lines} == lines


def parse(*arguments):
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    return parser.parse_args(["fpga", *arguments])


@needs_placer
def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(store, "cache_folder", lambda: tmp_path)
    args = parse("--device", "ice40-hx8k", "--part", "array", "--rows", "1", "--cols", "1", "--freq", "40",
                 "--seeds", "1", "--out", str(tmp_path / "out"))
    assert args.run(args) == 0
    printed = capsys.readouterr()
    assert "int8_1x1_array on ice40-hx8k: " in printed.out and "MHz" in printed.out and "seed 1: " in printed.err
    folder = tmp_path / "out" / "int8_1x1_array-ice40-hx8k"
    assert sorted(path.name for path in folder.iterdir()) == [
        "floorplan.svg", "report.json", "report.md", "utilisation.svg"]


def test_bad_usage(capsys):
    with pytest.raises(SystemExit):
        parse("--seeds", "0")
    assert "must be a positive integer, not 0" in capsys.readouterr().err
