"""Where the simulators come from, and what is said when something is missing."""

import os
import subprocess

import pytest

from systolic_sim.rtl import toolchain

CLEAN = "module top(input clk, input d, output reg q);\n  always @(posedge clk) q <= d;\nendmodule\n"


def test_verilator_runs_with_nothing_set(monkeypatch):
    monkeypatch.delenv("VERILATOR_ROOT", raising=False)
    assert " rev " in toolchain.verilate("--version")
    assert (toolchain.verilator_root() / "include" / "verilated.cpp").exists()


def test_environment_leaves_out_an_outer_make(monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", " -j --jobserver-auth=3,4")
    monkeypatch.setenv("MAKELEVEL", "1")
    monkeypatch.setenv("VERILATOR_ROOT", "/elsewhere")
    env = toolchain.environment()
    assert "MAKEFLAGS" not in env and "MAKELEVEL" not in env
    assert env["VERILATOR_ROOT"] == str(toolchain.verilator_root())


def test_missing_program_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    for program in ("g++", "make", "perl"):
        with pytest.raises(toolchain.ToolError, match=f"^{program.replace('+', '.')} not found: install the package"):
            toolchain.require(program)
    assert not toolchain.icarus_available()


def test_lint():
    assert toolchain.lint(CLEAN, "top") == []
    warnings = toolchain.lint(CLEAN.replace("input d", "input [1:0] d"), "top")
    assert ["WIDTHTRUNC" in warnings[0], "UNUSEDSIGNAL" in warnings[1]] == [True, True]
    assert toolchain.lint(CLEAN.replace("input d", "input d, input e"), "top", "UNUSEDSIGNAL") == []
    with pytest.raises(toolchain.ToolError, match="syntax error"):
        toolchain.lint("module top(;", "top")


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert toolchain.cache_folder() == tmp_path / "systolic"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert toolchain.cache_folder() == tmp_path / ".cache" / "systolic"


def test_cache_folder_falls_back(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(toolchain.tempfile, "gettempdir", lambda: str(tmp_path))
    assert toolchain.cache_folder() == tmp_path / f"systolic-{os.getuid()}"


def test_wheel_builds_through_its_makefile(tmp_path):
    """What cocotb's runner does: the makefile's own settings alone would fail on precompiled headers."""
    (tmp_path / "top.v").write_text(CLEAN)
    runner = toolchain.Verilator()
    runner.build(sources=[tmp_path / "top.v"], hdl_toplevel="top", build_dir=tmp_path / "build",
                 build_args=["--timing"], log_file=tmp_path / "log.txt")
    assert subprocess.run([tmp_path / "build" / "top", "--help"], check=True, env=runner.env).returncode == 0
