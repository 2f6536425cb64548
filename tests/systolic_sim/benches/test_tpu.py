"""The cocotb bench of whole TPUs, and that it notices what it is there to notice."""

import functools
import re

import pytest

from systolic import verilog
from systolic.errors import ConfigError
from systolic_sim.benches import runner
from systolic_sim.benches.runner import TPUS, run_bench

TESTS = {"transfers", "random_programs", "withheld", "dead_bus", "interrupts", "host_registers", "bus_errors",
         "reset_in_mid_flight"}
SMALL = "bench_tpu_3x5"

# A TPU with any of the faults: every port goes through, as it is or spoiled. Compiled once, the run chooses the fault.
FAULTY = """
module faulty({ports});
  {declarations}
  reg [15:0] writes, aw_age, w_age;         // beats so far; cycles that one has waited
  reg [2:0] place;                          // in the burst: instructions come four beats at a time, data up to five
  reg [127:0] earlier;                      // the read data before
  reg rang;
  reg [7:0] fault;                          // place in the table
  initial if (!$value$plusargs("fault=%d", fault)) fault = 8'd0;
  always @(posedge clk) begin
    if (rst | (m_axi_rvalid & m_axi_rready)) place <= rst | m_axi_rlast ? 3'd0 : place + 3'd1;
    writes <= rst ? 16'd0 : writes + (sound_m_axi_wvalid & sound_m_axi_wready);
    aw_age <= rst | ~m_axi_awvalid | m_axi_awready ? 16'd0 : aw_age + 16'd1;
    w_age <= rst | ~m_axi_wvalid | m_axi_wready ? 16'd0 : w_age + 16'd1;
    if (m_axi_rvalid & m_axi_rready) earlier <= m_axi_rdata;
    rang <= ~rst & (rang | sound_irq);
  end
  {tpu} tpu({connections});
  {assigns}
endmodule
"""
# What is spoiled, the tests that notice, and what one of them says.
FAULTS = {
    "none": ({}, "", ""),
    "read bit": ({"sound_m_axi_rdata": "m_axi_rdata ^ (place == 3'd4)"}, "transfers", "bytes differ"),
    "read beat again": ({"sound_m_axi_rdata": "place == 3'd4 ? earlier : m_axi_rdata"}, "transfers", "bytes differ"),
    "read beat lost": ({"sound_m_axi_rvalid": "m_axi_rvalid & place != 3'd4"}, "transfers",
                       "(error 12), and memory has not answered"),
    "write beat lost": ({"m_axi_wvalid": "sound_m_axi_wvalid & writes != 16'd20",
                         "sound_m_axi_wready": "m_axi_wready | writes == 16'd20"}, "transfers", "ProtocolError"),
    "write strobes": ({"m_axi_wstrb": "sound_m_axi_wstrb | {16{sound_m_axi_wlast}}"}, "transfers", "bytes differ"),
    "last missing": ({"m_axi_wlast": "sound_m_axi_wlast & writes < 16'd20"}, "transfers", "w last is 0"),
    "address": ({"m_axi_awaddr": "sound_m_axi_awaddr ^ 32'd16"}, "transfers", "crosses 4 KB|bytes differ"),
    "address withdrawn": ({"m_axi_awvalid": "sound_m_axi_awvalid & aw_age != 16'd2"}, "transfers",
                          "aw withdrawn before ready"),
    "data changes": ({"m_axi_wdata": "sound_m_axi_wdata ^ (w_age == 16'd2)"}, "transfers", "w changed before ready"),
    "response lost": ({"sound_m_axi_bresp": "2'd0"}, "bus_errors", "write_host_memory: SLVERR"),
    "interrupt stays": ({"irq": "rang"}, "interrupts", "AssertionError"),
    "register strobes": ({"sound_s_axi_wstrb": "4'd15"}, "host_registers", "AssertionError"),
}


@functools.cache
def faulty():
    """The sound design in a module that spoils some of its ports."""
    sound = verilog.generate(TPUS[SMALL])
    top = sound.verilog.partition(f"module {sound.name}(")[2].partition("endmodule")[0]
    ports = re.findall(r"^ *(input|output) (\[\d+:0\])? *(\w+);", top, re.MULTILINE)
    declarations, assigns = [], []
    for direction, bits, name in ports:
        declarations += [f"{direction} {bits} {name};", f"wire {bits} sound_{name};"]
        there, here = (f"sound_{name}", name) if direction == "input" else (name, f"sound_{name}")
        spoiled = "".join(f"fault == 8'd{k} ? {changed[there]} : "
                          for k, (changed, *_) in enumerate(FAULTS.values()) if there in changed)
        assigns.append(f"assign {there} = {spoiled}{here};")
    assert {there for changed, *_ in FAULTS.values() for there in changed} <= {line.split()[1] for line in assigns}
    text = FAULTY.format(ports=", ".join(name for *_, name in ports), declarations="\n  ".join(declarations),
                         assigns="\n  ".join(assigns), tpu=sound.name,
                         connections=", ".join(f".{name}(sound_{name})" for *_, name in ports))
    return verilog.Design("faulty", sound.verilog + text, sound.sidecar)


@pytest.mark.parametrize("name, simulator", [
    *((name, "verilator") for name in TPUS), pytest.param(SMALL, "icarus", marks=pytest.mark.needs("icarus"))])
def test_bench(name, simulator):
    report = run_bench(TPUS[name], simulator)
    assert not report.failed, report.log
    assert set(report.passed) == TESTS


@pytest.mark.parametrize("fault", FAULTS)
def test_bench_notices_a_fault(fault, monkeypatch):
    _, test, message = FAULTS[fault]
    chosen = f"+fault={list(FAULTS).index(fault)}"
    monkeypatch.setitem(runner._TEST_ARGS, "verilator", [*runner._TEST_ARGS["verilator"], chosen])
    report = run_bench(TPUS[SMALL], test=test or "host_registers", design=faulty())
    if test:
        assert report.failed == [test], report.log
        assert any(each in report.log for each in message.split("|")), report.log
    else:
        assert not report.failed, report.log


def test_main_runs_the_tpus_asked_for(monkeypatch, capsys):
    ran = []

    def run(config, simulator, **_):
        ran.append((config.name, simulator))
        return runner.Report(config=config.name, simulator=simulator, passed=["a"], failed=[], log="",
                             build_seconds=1.0, test_seconds=1.0)

    monkeypatch.setattr(runner, "run_bench", run)
    monkeypatch.setattr(verilog, "generate", lambda config: None)
    assert runner.main(tpus=["tpu_4x4"], simulators=["verilator"]) == 0
    assert ran == [("tpu_4x4", "verilator")] and "tpu_4x4" in capsys.readouterr().out
    ran.clear()
    assert runner.main(simulators=["verilator"]) == 0
    assert {name for name, _ in ran} == runner.CONFIGS.keys() | TPUS.keys()
    with pytest.raises(ConfigError, match="tpu must be one of tpu_4x4, .*, not 'x'"):
        runner.main(tpus=["x"])
