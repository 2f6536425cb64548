"""Compiled models: streams, stalls, resets, the cache, and the matrix unit against its golden model."""

import concurrent.futures
import multiprocessing
import types

import numpy as np
import pytest

from systolic.config import Arch, Config, Impl
from systolic_sim.cycles import schedule as cycles
from systolic_sim.golden.matrix_unit import MatrixUnit
from systolic_sim.golden.program import matmul_program, random_program, untile
from systolic_sim.rtl import toolchain
from systolic_sim.rtl.beats import Layout, pack, unpack
from systolic_sim.rtl.matrix_unit import MatrixUnitRtl, Rtl, RtlError

# Doubles the data in each of two halves. Ready depends on the payload: slow beats get in only every fourth cycle.
VERILOG = """
module doubler(input clk, input rst, input i_valid, output i_ready, input [39:0] i_data, input i_slow,
               output reg o_valid, input o_ready, output reg [79:0] o_data, output reg o_slow);
  reg [1:0] count;
  assign i_ready = (!o_valid | o_ready) & (!i_slow | &count);
  always @(posedge clk) begin
    count <= rst ? 2'd0 : count + 2'd1;
    if (o_ready) o_valid <= 0;
    if (i_valid & i_ready) begin
      o_valid <= 1;
      o_data <= {i_data << 1, i_data};
      o_slow <= i_slow;
    end
    if (rst) o_valid <= 0;
  end
endmodule
"""
DESIGN = types.SimpleNamespace(name="doubler", verilog=VERILOG, sidecar={"streams": {
    "o": {"direction": "out", "fields": {"data": 80, "slow": 1}},
    "i": {"direction": "in", "fields": {"data": 40, "nothing": 0, "slow": 1}},
}})


@pytest.fixture(scope="module")
def doubler():
    return Rtl(DESIGN, trace=True)


def beats(count, slow=0):
    data = np.arange(5 * count, dtype=np.uint8).reshape(count, 5) % 100
    return {"i": {"data": data, "slow": np.full(count, slow)}}


def expected(inputs):
    data = inputs["i"]["data"]
    return np.concatenate([data, data * 2], axis=1)


def data_of(run):
    return unpack(run.outputs["o"]["data"], np.uint8, 10)


@pytest.mark.parametrize(("dtype", "count", "width"), [
    (np.int8, 3, 24), (np.int8, 8, 64), (np.uint16, 3, 48), (np.int32, 5, 160), (np.uint32, 1, 32)])
def test_pack_unpack(dtype, count, width):
    values = np.random.default_rng(0).integers(-128, 127, (7, count)).astype(dtype)
    words = pack(values, width)
    assert words.dtype == np.uint32 and words.shape == (7, -(-width // 32))
    whole = [sum(int(word) << 32 * i for i, word in enumerate(row)) for row in words]
    assert whole == [int.from_bytes(row.tobytes(), "little") for row in values]
    np.testing.assert_array_equal(unpack(words, dtype, count), values)


def test_pack_integers():
    np.testing.assert_array_equal(pack(np.array([True, False]), 1), [[1], [0]])
    np.testing.assert_array_equal(pack([3, 2**40 - 1], 40), [[3, 0], [2**32 - 1, 255]])
    with pytest.raises(ValueError, match="8 does not fit into 3 bits"):
        pack([7, 8], 3)
    with pytest.raises(ValueError, match="do not make beats of 32 bits"):
        pack(np.zeros((2, 3), np.int8), 32)


def test_layout_names_what_does_not_fit():
    layout = Layout({"data": 40, "slow": 1})
    for fields, message in [
            ({"data": [1]}, "fields must be data, slow, not data"),
            ({"data": [1], "slow": [0, 1]}, "equally long"),
            ({"data": [1], "slow": [2]}, "field slow: 2 does not fit into 1 bits")]:
        with pytest.raises(ValueError, match=message):
            layout.beats(fields)


def test_one_beat_a_cycle(doubler):
    run = doubler.run(beats(100), {"o": 100})
    np.testing.assert_array_equal(data_of(run), expected(beats(100)))
    np.testing.assert_array_equal(run.accepted["i"], np.arange(100))
    np.testing.assert_array_equal(run.accepted["o"], np.arange(1, 101))
    assert run.cycles == 101


def test_ready_that_depends_on_the_payload(doubler):
    run = doubler.run(beats(10, slow=1), {"o": 10})
    np.testing.assert_array_equal(run.accepted["i"], 3 + 4 * np.arange(10))
    np.testing.assert_array_equal(run.outputs["o"]["slow"], 1)


@pytest.mark.parametrize("stalls", [0.5, {"i": 0.9}, {"o": 0.9}, {"i": 0.3, "o": 0.6}])
def test_stalls_lose_nothing(doubler, stalls):
    inputs = beats(1000)
    run = doubler.run(inputs, {"o": 1000}, stalls=stalls, seed=3)
    np.testing.assert_array_equal(data_of(run), expected(inputs))
    most = max(stalls.values()) if isinstance(stalls, dict) else stalls
    assert run.cycles > 0.9 * 1000 / (1 - most)
    again = doubler.run(inputs, {"o": 1000}, stalls=stalls, seed=3)
    np.testing.assert_array_equal(again.accepted["i"], run.accepted["i"])
    other = doubler.run(inputs, {"o": 1000}, stalls=stalls, seed=4)
    assert not np.array_equal(other.accepted["i"], run.accepted["i"])


def test_state_lives_on_without_reset(doubler):
    assert doubler.run(beats(5), {"o": 4}).cycles == 5
    run = doubler.run({}, {"o": 1}, reset=False)
    np.testing.assert_array_equal(data_of(run), expected(beats(5))[4:])
    doubler.run(beats(5), {"o": 4})
    with pytest.raises(RtlError, match=r"doubler: no end after 50 cycles.*waiting: o at beat 0 of 1 for valid"):
        doubler.run({}, {"o": 1}, patience=50)


def test_stop_in_mid_flight(doubler):
    run = doubler.run(beats(100), {"o": 100}, stop_after_cycles=7)
    assert run.cycles == 7 and len(run.accepted["i"]) == 7
    np.testing.assert_array_equal(data_of(run), expected(beats(6)))
    doubler.run(beats(3, slow=1), {"o": 3}, stop_after_cycles=2)
    with pytest.raises(ValueError, match="beats on i are still on offer: reset first"):
        doubler.run({}, {"o": 1}, reset=False)
    assert doubler.run(beats(3), {"o": 3}).cycles == 4


def test_no_progress_is_an_error(doubler):
    with pytest.raises(RtlError, match="waiting: i at beat 6 of 10 for ready"):
        doubler.run(beats(10), {"o": 5}, patience=100)
    with pytest.raises(RtlError, match="o at beat 10 of 11 for valid"):
        doubler.run(beats(10), {"o": 11}, patience=100)
    with pytest.raises(RtlError, match="no end after 3 cycles"):
        doubler.run(beats(10), {"o": 10}, max_cycles=3)


def test_bad_arguments(doubler):
    for arguments, message in [
            (({"x": {}}, {}), "no input stream x, only i"), (({}, {"i": 1}), "no output stream i, only o"),
            (({"i": {"data": [1]}}, {}), "i: fields must be data, slow")]:
        with pytest.raises(ValueError, match=message):
            doubler.run(*arguments)
    for stalls in ({"z": 0.5}, 1.0, {"i": -1}):
        with pytest.raises(ValueError, match="stalls must be of i, o"):
            doubler.run(beats(1), {"o": 1}, stalls=stalls)


def test_waveform(doubler, tmp_path):
    for name in ("first.vcd", "second.vcd"):
        doubler.run(beats(20), {"o": 20}, trace=tmp_path / name)
        text = (tmp_path / name).read_text()
        assert "$var" in text and "i_data" in text and text.count("\n#") > 40
    with pytest.raises(OSError, match="cannot write"):
        doubler.run(beats(1), {"o": 1}, trace=tmp_path / "missing" / "x.vcd")
    with pytest.raises(ValueError, match="trace=True"):
        Rtl(DESIGN).run(beats(1), {"o": 1}, trace=tmp_path / "x.vcd")


def test_models_share_no_state(doubler):
    other = Rtl(DESIGN, trace=True)
    doubler.run(beats(5), {"o": 4})
    other.run(beats(1), {"o": 1})
    assert doubler.run({}, {"o": 1}, reset=False).cycles == 1


def test_cache(tmp_path):
    steps = []
    design = types.SimpleNamespace(**vars(DESIGN))
    Rtl(design, cache=tmp_path, progress=lambda done, total: steps.append((done, total)))
    assert steps[-1][0] == steps[-1][1] > 0
    before = sorted(tmp_path.iterdir())
    assert not [path for path in before if path.is_dir()]
    Rtl(design, cache=tmp_path, progress=lambda done, total: pytest.fail("compiled again"))
    design.verilog += "// another\n"
    Rtl(design, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == len(before) + 1


def _run_in(folder):
    return Rtl(DESIGN, cache=folder).run(beats(10), {"o": 10}).cycles


def test_cache_race(tmp_path):
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(_run_in, [tmp_path] * 2)) == [11, 11]


def test_illegal_verilog(tmp_path):
    design = types.SimpleNamespace(name="doubler", verilog="module doubler(;", sidecar=DESIGN.sidecar)
    with pytest.raises(toolchain.ToolError, match="syntax error"):
        Rtl(design, cache=tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(toolchain.ToolError, match="not found: install the package"):
        Rtl(DESIGN, cache=tmp_path)


def _config(rows, cols, format="int8", *, accumulator_depth=16, weight_fifo_depth=2, **impl):
    return Config(name=f"{format}_{rows}x{cols}", impl=Impl(**impl), arch=Arch(
        rows=rows, cols=cols, format=format, weight_fifo_depth=weight_fifo_depth, accumulator_depth=accumulator_depth))


CONFIGS = [
    _config(1, 1, accumulator_depth=1), _config(3, 5, psum_stages=2, hop_stages=3), _config(8, 2, memory_stages=2),
    _config(4, 4, weight_fifo_depth=1, product_stages=2), _config(2, 3, "bf16"),
    _config(3, 2, "bf16", psum_stages=3, memory_stages=2, product_stages=1, hop_stages=2),
    _config(5, 2, gate_stages=1, adder_stages=2, memory="ecp5_block", memory_stages=3),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_matrix_unit(config):
    unit = MatrixUnitRtl(config)
    rng = np.random.default_rng(5)
    for seed in range(60):
        program = random_program(config.arch, rng)
        golden, schedule = MatrixUnit(config.arch).run(program), cycles.schedule(config, program)
        results, run = unit.run(program)
        np.testing.assert_array_equal(results, golden)
        np.testing.assert_array_equal(run.accepted["rows"], schedule.accepted)
        np.testing.assert_array_equal(run.accepted["results"], schedule.results)
        assert run.cycles == schedule.total
        assert not unit.rtl.run({}, {"results": 1}, reset=False, stop_after_cycles=2 * config.latency).outputs[
            "results"]["data"].size, "one result too many"
        results, _ = unit.run(program, stalls=dict(zip(unit.rtl.streams, rng.choice([0, 0.2, 0.8], 3), strict=True)),
                              seed=seed)
        np.testing.assert_array_equal(results, golden)


def test_matrix_unit_after_a_stop():
    config = CONFIGS[1]
    unit = MatrixUnitRtl(config)
    rng = np.random.default_rng(6)
    for stop in range(1, 60):
        unit.run(random_program(config.arch, rng, tiles=6), stop_after_cycles=stop, stalls=0.2, seed=stop)
        program = random_program(config.arch, rng)
        np.testing.assert_array_equal(unit.run(program)[0], MatrixUnit(config.arch).run(program))


def test_accumulators_wrap():
    config = CONFIGS[0]
    unit = MatrixUnitRtl(config)
    x, w = np.full((1, 140_000), -128, np.int8), np.full((140_000, 1), -128, np.int8)
    results, _ = unit.run(matmul_program(config.arch, x, w))
    assert results.item() == 140_000 * 2**14 - 2**32


def test_whole_product():
    config = CONFIGS[1]
    rng = np.random.default_rng(7)
    x, w = rng.integers(-128, 128, (50, 20), np.int8), rng.integers(-128, 128, (20, 13), np.int8)
    results, _ = MatrixUnitRtl(config).run(matmul_program(config.arch, x, w))
    np.testing.assert_array_equal(untile(config.arch, results, 50, 13), x.astype(np.int32) @ w.astype(np.int32))
