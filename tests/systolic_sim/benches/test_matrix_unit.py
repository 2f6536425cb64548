"""The cocotb benches on both simulators, and that they notice what they are there to notice."""

import dataclasses

import pytest

from systolic import verilog
from systolic.errors import ConfigError
from systolic_sim.benches import runner
from systolic_sim.benches.runner import CONFIGS, run_bench
from systolic_sim.rtl import toolchain

SIMULATORS = ["verilator", pytest.param("icarus", marks=pytest.mark.needs("icarus"))]
TESTS = {"latency", "first_row_switches", "random_programs", "random_stalls", "back_to_back_switches",
         "accumulate_chains", "extremes", "reset_in_mid_flight", "results_withheld", "weights_withheld"}

# A faulty copy of the smallest matrix unit: the sound one, with a spoiled result stream.
FAULTY = """
module faulty(input clk, input rst, input weights_valid, output weights_ready, input [7:0] weights_data,
              input rows_valid, output rows_ready, input [7:0] rows_data, input rows_accumulate,
              input rows_switch, input rows_last,
              output results_valid, input results_ready, output [31:0] results_data);
  wire valid, ready;
  wire [31:0] data;
  reg [5:0] age;  // of the result on offer
  reg [4:0] count;  // of results
  always @(posedge clk) begin
    age <= rst | ~valid | ready ? 6'd0 : age + 6'd1;
    count <= rst ? 5'd0 : count + {4'd0, valid & ready};
  end
  SOUND unit(.clk(clk), .rst(rst), .weights_valid(weights_valid), .weights_ready(weights_ready),
    .weights_data(weights_data), .rows_valid(rows_valid), .rows_ready(rows_ready), .rows_data(rows_data),
    .rows_accumulate(rows_accumulate), .rows_switch(rows_switch), .rows_last(rows_last),
    .results_valid(valid), .results_ready(ready), .results_data(data));
  FAULT
endmodule
"""
PASS = {"results_valid": "valid", "results_data": "data", "ready": "results_ready"}
FAULTS = {
    "none": ({}, set()),
    "wrong bit": ({"results_data": "data ^ {count == 5'd3, 31'd0}"}, {"random_programs", "random_stalls"}),
    "valid withdrawn": ({"results_valid": "valid & age != 6'd3"}, {"random_stalls", "results_withheld"}),
    "payload changes": ({"results_data": "data ^ {31'd0, age == 6'd3}"}, {"random_stalls", "results_withheld"}),
    "result lost": ({"results_valid": "valid & count != 5'd5", "ready": "results_ready | count == 5'd5"},
                    {"random_programs", "random_stalls", "back_to_back_switches"}),
    "result repeated": ({"ready": "results_ready & !(count == 5'd2 & age == 6'd0)"},
                        {"random_programs", "random_stalls"}),
}


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("name", ["bench_int8_1x1", "bench_int8_3x5", "bench_bf16_2x3"])
def test_bench(name, simulator):
    report = run_bench(CONFIGS[name], simulator)
    assert not report.failed, report.log
    assert set(report.passed) == TESTS


@pytest.mark.parametrize("fault", FAULTS)
def test_bench_notices_a_fault(fault):
    config = CONFIGS["bench_int8_1x1"]
    sound = verilog.generate(config)
    changed, failures = FAULTS[fault]
    assigns = "\n  ".join(f"assign {name} = {value};" for name, value in (PASS | changed).items())
    text = FAULTY.replace("SOUND", sound.name).replace("FAULT", assigns)
    simulator = "icarus" if toolchain.icarus_available() else "verilator"
    report = run_bench(config, simulator, design=verilog.Design("faulty", sound.verilog + text, sound.sidecar))
    assert failures <= set(report.failed), report.log
    assert failures or not report.failed, report.log


def test_bench_notices_another_latency():
    config = CONFIGS["bench_int8_3x5"]
    slower = dataclasses.replace(config, impl=dataclasses.replace(config.impl, product_stages=2))
    report = run_bench(config, design=verilog.generate(slower))
    assert {"latency", "random_programs", "back_to_back_switches"} <= set(report.failed)
    assert "random_stalls" in report.passed


def test_main(monkeypatch, capsys):
    monkeypatch.setattr(toolchain, "icarus_available", lambda: False)
    assert runner.main(configs=["bench_int8_1x1"]) == 0
    output = capsys.readouterr().out
    assert "Icarus Verilog is not installed" in output
    assert "bench_int8_1x1" in output and "verilator" in output


def test_main_fails_with_a_test(monkeypatch, capsys):
    report = runner.Report(config="x", simulator="verilator", passed=["a"], failed=["b"], log="what went wrong",
                           build_seconds=1.0, test_seconds=1.0)
    monkeypatch.setattr(runner, "run_bench", lambda *_, **__: report)
    assert runner.main(configs=["bench_int8_1x1"], simulators=["verilator"]) == 1
    assert "what went wrong" in capsys.readouterr().out


def test_main_names_what_there_is():
    with pytest.raises(ConfigError, match="config must be one of bench_int8_1x1, .*, not 'x'"):
        runner.main(configs=["x"])
    with pytest.raises(ConfigError, match="simulator must be one of verilator, icarus, not 'x'"):
        runner.main(simulators=["x"])
