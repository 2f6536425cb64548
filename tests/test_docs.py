"""What the documentation says is what the design does."""

import re
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Fragment
from amaranth.sim import Simulator

from systolic import isa, registers
from systolic.config import PRESETS, Arch, Config
from systolic.gateware.matrix.matrix_unit import MatrixUnit
from systolic.tpu_config import tpu_preset
from systolic_sim.rtl.tpu import TpuRtl

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])

# A 2x2 int8 unit, two rows of x times two tiles of w: names and what is offered, beat by beat.
WEIGHTS = ["v1", "v0", "w1", "w0"]
ROWS = [("x0", "s"), ("x1", ""), ("y0", "sal"), ("y1", "al")]


def timeline():
    """The example's handshakes as text, from Amaranth's simulator."""
    dut = MatrixUnit(Config(arch=Arch(rows=2, cols=2)))
    cycles = []

    async def testbench(ctx):
        sent = {"weights": 0, "rows": 0, "results": 0}
        ctx.set(dut.results.ready, 1)
        while sent["results"] < 2:
            flags = ROWS[sent["rows"]][1] if sent["rows"] < len(ROWS) else ""
            ctx.set(dut.weights.valid, sent["weights"] < len(WEIGHTS))
            ctx.set(dut.rows.valid, sent["rows"] < len(ROWS))
            for name, letter in (("switch", "s"), ("accumulate", "a"), ("last", "l")):
                ctx.set(dut.rows.payload[name], letter in flags)
            ctx.set(dut.rows.payload.address, sent["rows"] % 2)
            streams = {"weights": dut.weights, "rows": dut.rows, "results": dut.results}
            state = {name: (ctx.get(stream.valid), ctx.get(stream.ready)) for name, stream in streams.items()}
            cycles.append((dict(sent), state, flags))
            for name, (valid, ready) in state.items():
                sent[name] += valid and ready
            await ctx.tick()

    simulator = Simulator(Fragment.get(dut, None))
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return "\n".join(_lines(cycles))


def _lines(cycles):
    def level(values):
        return "".join("‾‾‾" if value else "___" for value in values)

    def data(names, stream):
        return "".join(f"{names[sent[stream]]:3}" if state[stream][0] else " . " for sent, state, _ in cycles)

    names = {"weights": WEIGHTS, "rows": [name for name, _ in ROWS], "results": ["r0", "r1"]}
    yield "cycle            " + "".join(f"{cycle:<3}" for cycle in range(len(cycles))).rstrip()
    for stream in names:
        yield f"{stream + '_valid':17}" + level(state[stream][0] for _, state, _ in cycles)
        yield f"{stream + '_ready':17}" + level(state[stream][1] for _, state, _ in cycles)
        yield f"{stream + '_data':17}" + data(names[stream], stream).rstrip()
        if stream == "rows":
            for name in ("switch", "accumulate", "last"):
                yield f"{'rows_' + name:17}" + level(name[0] in flags for *_, flags in cycles)


def test_the_waveform_in_the_interface_page_is_what_the_design_does():
    assert timeline() in (ROOT / "docs/interfaces.md").read_text(), timeline()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), link


def test_presets_are_all_documented():
    text = (ROOT / "docs/interfaces.md").read_text()
    assert [name for name in PRESETS if f"`{name}`" not in text] == []


def driver(rtl):
    """The function ``run`` of the page, on a compiled TPU, with nothing around it but what the page says."""
    text, = re.findall(r"```python\n(def run\(.*?)```", (ROOT / "docs/tpu.md").read_text(), re.DOTALL)

    def wait_for_irq():
        assert rtl.wait(2_000_000), "no interrupt"

    names = {"read": rtl.read32, "write": rtl.write32, "wait_for_irq": wait_for_irq}
    exec(registers.constants(), names)
    exec(text, names)
    return names["run"]


def test_the_recipe_for_drivers_works():
    """As it is written, from reset on: programs that halt, one that does not, one on a memory that falls silent."""
    rtl = TpuRtl(tpu_preset("tpu_4x4"))
    run, memory, tag = driver(rtl), np.zeros(256, np.uint8), registers.address("DEBUG_TAG")
    for number in range(3):
        memory[:128] = np.frombuffer(isa.encode([isa.operation("debug_tag", tag=number), isa.operation("halt")]), "u1")
        rtl.connect(memory)
        run(0, 2)
        assert rtl.read32(tag) == number
        with pytest.raises(RuntimeError, match="error 10 at instruction 1"):
            run(0, 1)
    rtl.connect(memory, silent={"r": 0})
    with pytest.raises(TimeoutError, match="memory does not answer"):
        run(0, 2)
    rtl.reset()
    rtl.connect(memory)
    run(0, 2)


def test_the_makefile_has_each_target_once_and_declares_it():
    lines = (ROOT / "Makefile").read_text().splitlines()
    targets = [line.split(":")[0] for line in lines if re.match(r"[a-z-]+:", line)]
    declared = next(line for line in lines if line.startswith(".PHONY:")).split()[1:]
    assert sorted(targets) == sorted(declared)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_commands_in_pages_exist(page):
    targets = set(re.findall(r"^([a-z./-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in re.findall(r"(?:`|^ *)make (\S+?)[`\s,)]", page.read_text(), re.MULTILINE):
        assert name in targets, name
