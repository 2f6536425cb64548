"""Core files of generated designs, read and built by FuseSoC itself."""

import os
import subprocess
import sys

from systolic import verilog
from systolic.cli import main
from systolic.config import preset
from systolic_sim.rtl.toolchain import verilator_root

USER = """CAPI=2:
name: ::user:1.0
filesets:
  rtl:
    files: [user.v]
    file_type: verilogSource-2005
    depend: [int8_2x3, tpu_4x4]
targets:
  lint:
    filesets: [rtl]
    toplevel: user
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall, -Wno-PINCONNECTEMPTY, -Wno-PINMISSING]
"""
TOP = """module user(input clk, input rst, output irq);
  int8_2x3 unit(.clk(clk), .rst(rst));
  tpu_4x4 tpu(.clk(clk), .rst(rst), .irq(irq));
endmodule
"""


def lint(folder, core):
    root = verilator_root()
    env = os.environ | {"VERILATOR_ROOT": str(root), "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run([sys.executable, "-m", "fusesoc.main", "--cores-root", "ip", "run", "--target=lint", core],
                          cwd=folder, env=env | {"XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)},
                          capture_output=True, text=True)


def test_a_matrix_unit_and_a_tpu_in_a_users_design(tmp_path, capsys):
    ip = str(tmp_path / "ip")
    assert main(["generate", "--rows", "2", "--cols", "3", "--fusesoc", "--out", ip]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{ip}/int8_2x3.{end}" for end in ("v", "json", "core")]
    assert main(["generate", "--tpu", "tpu_4x4", "--fusesoc", "--out", ip]) == 0
    (tmp_path / "ip/user.core").write_text(USER)
    (tmp_path / "ip/user.v").write_text(TOP)
    for core in ("int8_2x3", "tpu_4x4", "user"):
        done = lint(tmp_path, core)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "%Warning" not in done.stdout + done.stderr
    # It does build the design: without one of the modules it fails.
    (tmp_path / "ip/user.v").write_text(TOP.replace("tpu_4x4 tpu", "tpu_5x5 tpu"))
    assert lint(tmp_path, "user").returncode != 0


def test_only_when_asked_for(tmp_path):
    design = verilog.generate(preset("ice40_4x4"))
    assert [path.suffix for path in verilog.write(design, tmp_path)] == [".v", ".json"]
    assert [path.suffix for path in verilog.write(design, tmp_path, fusesoc=True)] == [".v", ".json", ".core"]
