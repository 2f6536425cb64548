"""Generated Verilog and its sidecar: what the tools say of it, how large it is, and how it gets onto disk."""

import functools
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module

from systolic import registers, verilog
from systolic.config import PRESETS, Arch, Config, Impl
from systolic.gateware.matrix.matrix_unit import MatrixUnit
from systolic.gateware.shared import Library, place
from systolic.gateware.tpu import Tpu
from systolic.readable import readable
from systolic.tpu_config import TPU_PRESETS, TpuConfig
from systolic_sim.rtl import toolchain
from systolic_sim.rtl.primitives import models_for

#: All that the warnings which a generated file waives have to say of it.
WAIVED = {
    "DECLFILENAME": "Filename '.*' does not match MODULE name",
    "PROCASSINIT": "Procedural assignment to declaration with initial value",
    "SYMRSVDWORD": r"Symbol matches C\+\+ keyword: 'switch'",
    "UNUSEDSIGNAL": "(Signal is|Bits of signal are) not (driven, nor )?used",
    "WIDTHEXPAND": "Operator [A-Z]+ expects",
    "WIDTHTRUNC": ".* Assign RHS's SHIFTR generates",
}

SMALL = {
    "int8_1x1": Config(name="int8_1x1", arch=Arch(rows=1, cols=1, accumulator_depth=1, weight_fifo_depth=1)),
    "int8_3x5": Config(name="int8_3x5", arch=Arch(rows=3, cols=5)),
    "int8_17x2": Config(name="int8_17x2", arch=Arch(rows=17, cols=2), impl=Impl(psum_stages=2, hop_stages=3)),
    "int8_2x33": Config(name="int8_2x33", arch=Arch(rows=2, cols=33), impl=Impl(product_stages=0, memory="block")),
    "bf16_1x1": Config(name="bf16_1x1", arch=Arch(rows=1, cols=1, format="bf16", accumulator_depth=1)),
    "bf16_2x3": Config(name="bf16_2x3", arch=Arch(rows=2, cols=3, format="bf16"),
                       impl=Impl(psum_stages=3, memory_stages=2, memory="distributed")),
    "bf16_8": Config(name="bf16_8", arch=Arch(rows=2, cols=2, format="bf16"), impl=Impl(psum_stages=8)),
    "ecp5_2x2": Config(name="ecp5_2x2", arch=Arch(rows=2, cols=2), impl=Impl(multiplier="ecp5_dsp", lut_rows=1)),
    "ice40_2x3": Config(name="ice40_2x3", arch=Arch(rows=2, cols=3), impl=Impl(multiplier="ice40_dsp")),
}
TPUS = {
    # Nothing divides anything else; and the smallest of all.
    "tpu_3x5": TpuConfig(name="tpu_3x5", lanes=2, buffer_size=1024, bus_bytes=16, matrix=Config(arch=Arch(
        rows=3, cols=5, result_fifo_depth=40))),
    "tpu_1x1": TpuConfig(name="tpu_1x1", lanes=1, buffer_size=32, bus_bytes=4, burst_beats=1, reads_in_flight=1,
                         matrix=Config(arch=Arch(rows=1, cols=1, accumulator_depth=1, weight_fifo_depth=1))),
}
UNITS = pytest.mark.parametrize("name", SMALL)
ALL = pytest.mark.parametrize("name", [*SMALL, *TPUS])


@functools.cache
def generate(name):
    return verilog.generate((SMALL | TPUS | PRESETS | TPU_PRESETS)[name])


def modules(text):
    return dict(re.findall(r"^module (\w+)(.*?)^endmodule$", text, re.MULTILINE | re.DOTALL))


def ports(body):
    """Direction and width by name, from the body of a module."""
    found = re.findall(r"^ +(input|output) (?:\[(\d+):0\] )?(\w+);$", body, re.MULTILINE)
    return {name: (direction, int(high or 0) + 1) for direction, high, name in found}


def memories(body):
    """Width and entries of each memory of a module."""
    found = re.findall(r"^ +reg (?:\[(\d+):0\] )?\w+ \[(\d+):0\];$", body, re.MULTILINE)
    return [(int(width or 0) + 1, int(last) + 1) for width, last in found]


# Text


@pytest.mark.parametrize("name", ["int8_1x1", "int8_3x5", "int8_2x33", "bf16_2x3"])
def test_same_bytes_every_time(name):
    """Even after other designs, which leave Yosys with other tables of names."""
    first = verilog.generate(SMALL[name])
    verilog.generate(SMALL["int8_17x2"])
    again = verilog.generate(SMALL[name])
    assert again == first and again is not first


def test_same_bytes_in_another_process():
    program = ("import hashlib, sys; from systolic import verilog; from systolic.config import Arch, Config\n"
               "for format in ('int8', 'bf16'):\n"
               "    design = verilog.generate(Config(arch=Arch(rows=3, cols=5, format=format)))\n"
               "    print(hashlib.sha256(design.verilog.encode()).hexdigest())\n")
    here = [verilog.generate(Config(arch=Arch(rows=3, cols=5, format=format))) for format in ("int8", "bf16")]
    want = [hashlib.sha256(design.verilog.encode()).hexdigest() for design in here]
    seed = {"PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") == "2" else "2"}
    there = subprocess.run([sys.executable, "-c", program], env=os.environ | seed,
                           capture_output=True, text=True, check=True, cwd="/")
    assert there.stdout.split() == want


@ALL
def test_text_is_plain(name):
    """No escaped names, nothing of the machine or the tools that made it, and every module used."""
    text = generate(name).verilog
    assert text.isascii() and text.endswith("endmodule\n\n/* verilator lint_restore */\n")
    assert "\\" not in text
    assert "Yosys" not in text and "yosys" not in text and "generator =" not in text
    paths = [str(pathlib.Path.home()), os.getcwd(), "/tmp", "site-packages", ".py", "src ="]
    assert not [path for path in paths if path in text]
    assert text.startswith(f"// {name}: systolic {'TPU' if name in TPUS else 'matrix unit'}, ")
    for module in modules(text):
        assert module == name or re.search(rf"^  {module} (#\(|\w+ \()", text, re.MULTILINE), module


@UNITS
def test_names_lead_back(name):
    text, config = generate(name).verilog, SMALL[name]
    names = modules(text)
    assert {name, f"{name}_matrix_unit", f"{name}_weight_fifo", f"{name}_accumulators"} <= set(names)
    for part in ("weight_fifo", "grid", "accumulators", "result_fifo", "row_skew"):
        assert re.search(rf"^  \w+ {part} \($", names[f"{name}_matrix_unit"], re.MULTILINE), part
    lanes = re.findall(r"lane_\d+ \($", names[f"{name}_accumulators"], re.MULTILINE)
    assert len(lanes) == config.arch.cols


@pytest.mark.parametrize("memory", ["auto", "block", "distributed"])
def test_memory_style(memory):
    design = verilog.generate(Config(arch=Arch(rows=2, cols=2), impl=Impl(memory=memory)))
    styles = set(re.findall(r'\(\* ram_style = "(\w+)" \*\)', design.verilog))
    assert styles == (set() if memory == "auto" else {memory})


@pytest.mark.parametrize("name, format", [
    ("bf16_decoder", "bf16"), ("float_adder_6", "bf16"), ("generic_multiplier_8_1", "int8"), ("matrix_unit", "int8")])
def test_name_of_another_module(name, format):
    """A top module by the name of a shared one is refused, or they are told apart; in its own process, since Yosys
    ends it."""
    program = ("from systolic import verilog; from systolic.config import *; from systolic.errors import ConfigError\n"
               f"arch = Arch(rows=2, cols=2, format={format!r})\n"
               f"try: print(verilog.generate(Config(name={name!r}, arch=arch)).verilog)\n"
               "except ConfigError as error: print('refused', error)\n")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    names = re.findall(r"^module (\w+)", done.stdout, re.MULTILINE)
    assert done.stdout.startswith("refused name must be") or names.count(name) == 1


# Sidecar


@UNITS
def test_sidecar_describes_the_ports(name):
    design = generate(name)
    want = {"clk": ("input", 1), "rst": ("input", 1)}
    for stream, what in design.sidecar["streams"].items():
        forth, back = ("input", "output") if what["direction"] == "in" else ("output", "input")
        want |= {f"{stream}_valid": (forth, 1), f"{stream}_ready": (back, 1)}
        want |= {f"{stream}_{field}": (forth, width) for field, width in what["fields"].items()}
    assert ports(modules(design.verilog)[name]) == want
    arch = SMALL[name].arch
    fields = {stream: what["fields"] for stream, what in design.sidecar["streams"].items()}
    width = arch.format.width
    address = {"address": arch.address_width} if arch.accumulator_depth > 1 else {}
    assert fields == {"weights": {"data": width * arch.cols},
                      "rows": {"data": width * arch.rows} | address | {"accumulate": 1, "switch": 1, "last": 1},
                      "results": {"data": 32 * arch.cols}}


@UNITS
def test_sidecar_describes_the_memories(name):
    design, arch = generate(name), SMALL[name].arch
    text, sizes = modules(design.verilog), design.sidecar["memories"]
    width = {"int8": 32, "bf16": 35}[arch.format.name]
    assert sizes["accumulators"] == {"entries": arch.accumulator_depth, "width": width * arch.cols}
    assert memories(text[f"{name}_accumulator"]) == [(width, arch.accumulator_depth)]
    for fifo, queue in (("weight_fifo", "weight_queue"), ("result_fifo", "result_queue")):
        body, = (body for module, body in text.items() if re.match(rf"{name}_{queue}_\d+x\d+(?!\w*_storage)", module))
        slices = re.findall(r"^  (\w+_storage_\d+) storage_\d+ \($", body, re.MULTILINE)
        shapes = [shape for part in slices for shape in memories(text[part])]
        assert sum(width for width, _ in shapes) == sizes[fifo]["width"]
        # Some of the entries wait at the output, and memory is made of powers of two.
        entries = sizes[fifo]["entries"] - SMALL[name].fifo_stages
        assert {entries for _, entries in shapes} == {1 << (entries - 1).bit_length()}


@UNITS
def test_sidecar_is_json_of_the_configuration(name):
    design, config = generate(name), SMALL[name]
    sidecar = json.loads(json.dumps(design.sidecar))
    assert sidecar == design.sidecar
    assert Config(name=sidecar["name"], arch=Arch(**sidecar["arch"]), impl=Impl(**sidecar["impl"])) == config
    assert sidecar["cycles"] == {"row_to_result": config.latency, "accumulate_turnaround": config.turnaround,
                                 "weight_to_array": config.weight_latency}
    assert (sidecar["clock"], sidecar["reset"]["port"]) == ("clk", "rst")


@pytest.mark.parametrize("name", TPUS)
def test_a_tpu_has_flat_buses(name):
    """Named as AXI names them; the sidecar tells their widths and where the registers are."""
    design, config = generate(name), TPUS[name]
    found, data = ports(modules(design.verilog)[name]), 8 * config.bus_bytes
    master = {"awaddr": 32, "awlen": 8, "awsize": 3, "awburst": 2, "awvalid": 1, "wdata": data, "wstrb": data // 8,
              "wlast": 1, "wvalid": 1, "bready": 1, "araddr": 32, "arlen": 8, "arsize": 3, "arburst": 2, "arvalid": 1,
              "rready": 1}
    answers = {"awready": 1, "wready": 1, "bresp": 2, "bvalid": 1, "arready": 1, "rdata": data, "rresp": 2, "rlast": 1,
               "rvalid": 1}
    assert {port.removeprefix("m_axi_"): what for port, what in found.items() if port.startswith("m_axi_")} == {
        **{port: ("output", width) for port, width in master.items()},
        **{port: ("input", width) for port, width in answers.items()}}
    assert found["s_axi_awaddr"] == ("input", design.sidecar["buses"]["s_axi"]["address_width"])
    assert found["s_axi_rdata"] == ("output", 32) and found["irq"] == ("output", 1)
    assert {"clk", "rst", "irq"} == {port for port in found if not port.startswith(("m_axi_", "s_axi_"))}
    assert design.sidecar["registers"]["STATUS"] == registers.address("STATUS")
    assert design.sidecar["memories"]["unified_buffer"]["bytes"] == config.buffer_size
    json.dumps(design.sidecar)


# Tools


def with_models(name):
    """The Verilog, and models of the primitives in it; without their checks, which are SystemVerilog."""
    text = generate(name).verilog
    return text + models_for(text)


def warnings(name, text):
    """Verilator's warnings of the generated part of a text: kind and message."""
    own = generate(name).verilog.count("\n")
    found = [re.match(r"%Warning-(\w+): [^:]*:(\d+):\d+: (.*)", warning).groups()
             for warning in toolchain.lint(text, name)]
    return [(kind, message) for kind, line, message in found if int(line) <= own]


@ALL
def test_verilator_has_nothing_to_add(name):
    assert not warnings(name, with_models(name))


def test_waivers_hide_what_they_say_alone():
    """And each is needed."""
    kinds = set()
    for name in ("int8_3x5", "bf16_2x3", "ecp5_2x2", "tpu_3x5"):
        for kind, message in warnings(name, re.sub(r"/\* verilator lint_\w+.*", "", with_models(name))):
            assert re.match(WAIVED.get(kind, "$"), message), (kind, message)
            kinds.add(kind)
    assert kinds == set(WAIVED) == set(verilog.LINT_WAIVERS)


@ALL
@pytest.mark.needs("icarus")
def test_icarus_reads_it_clean(name, tmp_path):
    (tmp_path / "design.v").write_text(with_models(name))
    done = subprocess.run(["iverilog", "-g2005", "-Wall", "-s", name, "-o", "design.vvp", "design.v"],
                          cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@ALL
def test_yosys_reads_it_clean(name, tmp_path):
    yosys(with_models(name), name, tmp_path)


def yosys(text, top, folder):
    """The log of reading and checking a text, of which there is nothing to warn. In a process of its own, since an
    error of Yosys ends it."""
    (folder / "design.v").write_text(text)
    (folder / "script.ys").write_text(
        f"read_verilog design.v\nhierarchy -check -top {top}\nproc\ncheck -assert\n")
    program = "from pyosys import libyosys as ys; ys.Pass.call(ys.Design(), 'script script.ys')"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    log = done.stdout + done.stderr
    assert done.returncode == 0, log[-2000:]
    assert "found and reported 0 problems" in log.lower()
    # Of a memory with one entry: right, and what is wanted.
    said = [line for line in log.splitlines() if "Warning" in line]
    assert not [line for line in said if not re.search(r"Replacing memory \\\w+ with list of registers", line)]
    return log


# Several designs in one


def shape(body):
    """Ports and memories of a module, and the modules that it is made of."""
    body = re.sub(r"^  function.*?endfunction$", "", body, flags=re.MULTILINE | re.DOTALL)
    return ports(body), memories(body), re.findall(r"^  (\w+) (?:#\(|\w+ \()", body, re.MULTILINE)


def pair(*components):
    """Verilog of a top with those components, from one library; their unconnected inputs are its own registers."""
    m, library = Module(), Library("pair_")
    for number, component in enumerate(components):
        place(m, f"part_{number}", component)
    text = rtlil.convert(m, "pair", library, ports=[], emit_src=False)
    return readable(verilog._rtlil_to_verilog("\n".join([*library.modules.values(), text]), "auto"))


@pytest.mark.parametrize("names", [("int8_3x5", "int8_17x2"), ("tpu_3x5", "tpu_1x1"), ("int8_3x5", "tpu_1x1")])
def test_two_designs_in_one_top(names, tmp_path):
    """Through one library: every module is there in the shape that it has in a file of its own."""
    configs = [(SMALL | TPUS)[name] for name in names]
    text = pair(*(Tpu(each) if isinstance(each, TpuConfig) else MatrixUnit(each) for each in configs))
    found = {module: shape(body.replace("pair_", "")) for module, body in modules(text).items()}
    for name in names:
        own = {f"pair_{module}": shape(body) for module, body in modules(generate(name).verilog).items()}
        del own[f"pair_{name}"]
        assert own == {module: found[module] for module in own}
    waivers = "".join(f"/* verilator lint_off {kind} */\n" for kind in (*verilog.LINT_WAIVERS, "UNDRIVEN"))
    assert not toolchain.lint(waivers + text, "pair")
    said = yosys(text, "pair", tmp_path)
    assert {f"pair_{name}_accumulators" for name in names} <= set(re.findall(r"\w+_accumulators", said))


def test_two_designs_of_one_name_are_refused():
    one, other = (MatrixUnit(Config(arch=Arch(rows=rows, cols=2))) for rows in (2, 3))
    with pytest.raises(ValueError, match=r"(?s)config\.arch\.rows") as caught:
        pair(one, other)
    assert "rows=2" in str(caught.value) and "rows=3" in str(caught.value)


def test_files_of_all_presets_in_one_project():
    """No two of them have a module of the same name, even where one preset's name begins another's."""
    names = [module for name in (*PRESETS, *TPU_PRESETS) for module in modules(generate(name).verilog)]
    assert len(names) == len(set(names)) > 500


def test_lines_are_readable():
    """None is about a wire that has a number for a name, and none is wider than a page, but for constants; of all
    presets that take a second or two."""
    names = [name for name in (*PRESETS, *TPU_PRESETS) if not name.startswith("tpu_v")]
    lines = [line for name in names for line in generate(name).verilog.split("\n")]
    assert not [line for line in lines if re.search(r"\b_\d+_\b", line)]
    assert not [line for line in lines if len(line) > 120 and not re.search(r"'h\w{80}", line)]


# Size


def test_size_grows_with_the_sum_of_the_sides():
    """Text and modules, not R x C: 64 x 64 has 16 times the cells of 16 x 16."""
    texts = {n: verilog.generate(Config(arch=Arch(rows=n, cols=n))).verilog for n in (8, 16, 32, 64)}
    for rows, cols in ((64, 1), (1, 64)):
        assert len(verilog.generate(Config(arch=Arch(rows=rows, cols=cols))).verilog) < len(texts[64])
    sizes = {n: len(text) for n, text in texts.items()}
    counts = {n: len(modules(text)) for n, text in texts.items()}
    assert sizes[64] < 3 * sizes[16] and sizes[32] < 2 * sizes[16] and sizes[16] < 2 * sizes[8]
    assert counts[64] - counts[8] < 64 and counts[64] < 2 * counts[32]
    for text in texts.values():
        assert len(re.findall(r"^module \w+_cell\b", text, re.MULTILINE)) == 1


def test_tpu_v1_is_a_small_file():
    text = generate("tpu_v1_unit").verilog
    assert len(text.encode()) < 1_000_000
    assert re.search(r"^module tpu_v1_unit\(", text, re.MULTILINE)


# Files


DESIGN = verilog.Design("some", "module some;\nendmodule\n", {"name": "some", "cycles": 3})


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_write(tmp_path):
    """Both files, into a folder that need not be there; over what an earlier run left."""
    folder = tmp_path / "a" / "b"
    for design in (DESIGN, verilog.Design("some", "// other\n", {})):
        written = verilog.write(design, folder)
        assert written == (folder / "some.v", folder / "some.json")
        assert written[0].read_text() == design.verilog
        assert json.loads(written[1].read_text()) == design.sidecar
        assert written[1].read_text().endswith("\n")
    assert files(folder) == ["some.json", "some.v"]
    verilog.write(DESIGN, str(tmp_path / "c"))
    assert files(tmp_path / "c") == ["some.json", "some.v"]


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("operation", ["write_text", "replace"])
@pytest.mark.parametrize("fails", [1, 2])
def test_write_both_or_neither(tmp_path, monkeypatch, operation, fails, before):
    """The disk is full, or the folder protected, at the first or the second file: all is as it was."""
    if before:
        verilog.write(verilog.Design("some", "// before\n", {"before": 1}), tmp_path)
    contents = {name: (tmp_path / name).read_text() for name in files(tmp_path)}
    original, calls = getattr(pathlib.Path, operation), []

    def fail(path, *arguments, **options):
        calls.append(path)
        if len(calls) == fails:
            raise OSError(28, "No space left on device", str(path))
        return original(path, *arguments, **options)
    monkeypatch.setattr(pathlib.Path, operation, fail)
    with pytest.raises(OSError):
        verilog.write(DESIGN, tmp_path)
    monkeypatch.undo()
    assert {name: (tmp_path / name).read_text() for name in files(tmp_path)} == contents


@pytest.mark.parametrize("suffix", [".v", ".json"])
def test_write_where_a_folder_is_in_the_way(tmp_path, suffix):
    (tmp_path / f"some{suffix}").mkdir()
    with pytest.raises(OSError) as caught:
        verilog.write(DESIGN, tmp_path)
    assert files(tmp_path) == [f"some{suffix}"]
    assert caught.value.filename in (str(tmp_path / f"some{suffix}"), tmp_path / f"some{suffix}")


def test_write_where_it_cannot(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError):
            verilog.write(DESIGN, folder)
    assert files(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "mine"
