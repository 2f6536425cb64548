"""ONNX models: what the front end makes of them has every byte of ONNX Runtime, or is refused in one line."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from systolic.compiler import CompileError
from systolic.compiler.evaluate import evaluate
from systolic.compiler.frontends.onnx import read_onnx
from systolic.compiler.match import Match
from systolic.compiler.passes import place
from systolic.tpu_config import tpu_preset
from systolic_sim.programs.onnx_models import Qdq


def runtime(model, x):
    """What ONNX Runtime makes of it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def ours(model, x):
    graph = read_onnx(model)
    outputs = evaluate(graph, {graph.inputs[0]: x}, match=Match.ONNXRUNTIME)
    return [outputs[name] for name in graph.outputs]


def conv(q, x, channels, outputs, kernel=3, *, relu=False, group=1, **attributes):
    w, b = q.weights(x, (outputs, channels // group, kernel, kernel), 0)
    y = q.node("Conv", x, w, b, group=group, **attributes)
    return q.quantised(q.node("Relu", y), zero=-128) if relu else q.quantised(y)


def dense(q, x, inputs, outputs):
    w, b = q.weights(x, (inputs, outputs), 1)
    return q.quantised(q.node("Gemm", x, w, b))


def transposed(q, x, channels, outputs, **attributes):
    w, b = q.weights(x, (channels, outputs, 3, 3), 1)
    return q.quantised(q.node("ConvTranspose", x, w, b, **attributes))


def along(q, x, channels, outputs, size, *, group=1, **attributes):
    """A convolution along one axis."""
    w, b = q.weights(x, (outputs, channels // group, size), 0)
    return q.quantised(q.node("Relu", q.node("Conv", x, w, b, group=group, **attributes)), zero=-128)


MAP, LINE = (1, 6, 9, 7), (2, 6, 20)
CASES = {
    "conv": (MAP, lambda q: conv(q, q.x, 6, 5)),
    "conv strides, pads": (MAP, lambda q: conv(q, q.x, 6, 5, strides=[2, 1], pads=[1, 0, 2, 1])),
    "conv dilations": (MAP, lambda q: conv(q, q.x, 6, 4, dilations=[2, 3])),
    "conv same": (MAP, lambda q: conv(q, q.x, 6, 4, auto_pad="SAME_LOWER", strides=[2, 2])),
    "conv relu": (MAP, lambda q: conv(q, q.x, 6, 5, relu=True)),
    "conv conv": (MAP, lambda q: conv(q, conv(q, q.x, 6, 5), 5, 8, kernel=1)),
    "depthwise": (MAP, lambda q: conv(q, q.x, 6, 6, group=6, pads=[1, 1, 1, 1])),
    "depthwise, two outputs a channel": (MAP, lambda q: conv(q, q.x, 6, 12, group=6)),
    "groups": (MAP, lambda q: conv(q, q.x, 6, 4, group=2)),
    "dense": ((1, 20), lambda q: dense(q, q.x, 20, 12)),
    "dense of rows": ((7, 20), lambda q: dense(q, q.x, 20, 12)),
    "flatten dense": (MAP, lambda q: dense(q, q.node("Flatten", conv(q, q.x, 6, 5)), 5 * 7 * 5, 4)),
    "flatten": (MAP, lambda q: q.node("Flatten", conv(q, q.x, 6, 5))),
    "max pool": (MAP, lambda q: q.node("MaxPool", conv(q, q.x, 6, 5), kernel_shape=[3, 2], strides=[2, 2],
                                      pads=[1, 0, 1, 1])),
    "global average pool": (MAP, lambda q: q.quantised(q.node("GlobalAveragePool", conv(q, q.x, 6, 5)), 0.05, 3)),
    "average pool": (MAP, lambda q: q.quantised(q.node("AveragePool", q.x, kernel_shape=[3, 3]), 0.0437, 0)),
    "transpose": (MAP, lambda q: q.node("Transpose", conv(q, q.x, 6, 5), perm=[0, 3, 1, 2])),
    "channels last": ((1, 9, 7, 6), lambda q: conv(q, q.node("Transpose", q.x, perm=[0, 3, 1, 2]), 6, 5)),
    "reshape": (MAP, lambda q: q.node("Reshape", conv(q, q.x, 6, 5), q.constant(np.int64([0, 7, -1])))),
    "slice": (MAP, lambda q: q.node("Slice", q.x, *(q.constant(np.int64(each)) for each in (
        [1, 2], [6, 9], [1, 2], [2, 3])))),
    "resize": (MAP, lambda q: q.node("Resize", q.x, "", q.constant(np.float32([1, 1, 2, 3])), mode="nearest",
                                    coordinate_transformation_mode="asymmetric", nearest_mode="floor")),
    "sigmoid": (MAP, lambda q: q.quantised(q.node("Sigmoid", q.x), 1 / 256, -128)),
    "leaky relu": (MAP, lambda q: q.quantised(q.node("LeakyRelu", q.x, alpha=0.3), 0.05, 4)),
    "tanh": (MAP, lambda q: q.quantised(q.node("Tanh", q.x), 1 / 128, 0)),
    "add": (MAP, lambda q: q.quantised(q.node("Add", conv(q, q.x, 6, 6, pads=[1, 1, 1, 1]), q.x), 0.3, 7)),
    "add, halves": (MAP, lambda q: q.quantised(q.node("Add", conv(q, q.x, 6, 6, pads=[1] * 4), q.x), 0.1, 7)),
    "mul, halves": (MAP, lambda q: q.quantised(q.node("Mul", conv(q, q.x, 6, 6, pads=[1] * 4), q.x), 0.25, 7)),
    "average pool, halves": (MAP, lambda q: q.quantised(q.node("AveragePool", q.x, kernel_shape=[2, 2]), 0.05, 11)),
    "average pool, border counted": (MAP, lambda q: q.quantised(q.node(
        "AveragePool", q.x, kernel_shape=[3, 3], pads=[1, 0, 1, 1], count_include_pad=1), 0.0437, 0)),
    "max pool, beyond the map": (MAP, lambda q: q.node("MaxPool", q.x, kernel_shape=[3, 2], strides=[3, 2],
                                                       ceil_mode=1)),
    "global max pool": (MAP, lambda q: q.node("GlobalMaxPool", conv(q, q.x, 6, 5))),
    "prelu": (MAP, lambda q: q.quantised(q.node("PRelu", q.x, q.quantised(q.constant(
        np.float32([0.1, 0.2, 0.3, 0.4, 0, -0.2]).reshape(6, 1, 1)), 0.002, 3)), 0.05, 4)),
    "line": (LINE, lambda q: along(q, along(q, q.x, 6, 8, 5, pads=[2, 1]), 8, 4, 3, strides=[2], dilations=[2])),
    "line, depthwise": (LINE, lambda q: along(q, q.x, 6, 6, 3, group=6, pads=[1, 1])),
    "line, pools": (LINE, lambda q: q.quantised(q.node("GlobalAveragePool", q.quantised(q.node("AveragePool", q.node(
        "MaxPool", along(q, q.x, 6, 5, 3), kernel_shape=[2], strides=[2]), kernel_shape=[3]))))),
    "line, flattened": (LINE, lambda q: dense(q, q.node("Flatten", along(q, q.x, 6, 5, 3)), 5 * 18, 4)),
    "concat": (MAP, lambda q: q.quantised(q.node("Concat", conv(q, q.x, 6, 5, pads=[1] * 4), q.x, axis=1), 0.3, 7)),
    "softmax of codes": ((3, 10), lambda q: q.quantised(q.node("Softmax", q.x, axis=-1), 1 / 255, -128)),
    "hard sigmoid": (MAP, lambda q: q.quantised(q.node("HardSigmoid", q.x, alpha=1 / 6), 1 / 256, -128)),
    "silu": (MAP, lambda q: q.quantised(q.node("Mul", q.x, q.quantised(q.node("Sigmoid", q.x), 1 / 256, -128)), 0.05)),
    "transposed": (MAP, lambda q: transposed(q, q.x, 6, 5, strides=[2, 2])),
    "transposed, padded": (MAP, lambda q: transposed(q, q.x, 6, 5, strides=[2, 3], pads=[1, 0, 1, 1],
                                                     output_padding=[1, 0])),
    "softmax": ((3, 20), lambda q: q.node("Softmax", q.x, axis=-1)),
}


@pytest.mark.parametrize("unsigned", [False, True], ids=["int8", "uint8"])
@pytest.mark.parametrize("name", CASES)
def test_equals_onnxruntime(name, unsigned):
    shape, build = CASES[name]
    rng = np.random.default_rng(7)
    q = Qdq(rng, shape, unsigned=unsigned)
    model = q.model(build(q))
    for _ in range(3):
        x = rng.normal(0, 3, shape).astype(np.float32)
        for expected, found in zip(runtime(model, x), ours(model, x), strict=True):
            assert found.dtype == expected.dtype and found.shape == expected.shape
            if name == "softmax":  # of floats, by an exponential of the runtime's own
                np.testing.assert_allclose(found, expected, rtol=1e-6)
            else:
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape, build", [
    (MAP, lambda q, w: q.node("Conv", q.x, w((4, 6, 3, 3)))),
    (MAP, lambda q, w: q.node("Conv", q.x, w((6, 1, 3, 3)), group=6)),
    ((3, 20), lambda q, w: q.node("MatMul", q.x, w((20, 9))))])
def test_weights_with_a_zero_point(shape, build):
    """uint8 weights: by the host, with the runtime's bytes."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        q = Qdq(rng, shape, unsigned=True)
        model = q.model(q.quantised(build(q, lambda size, q=q: q.asymmetric(q.x, size)), 0.1, 0))
        x = rng.normal(0, 3, shape).astype(np.float32)
        np.testing.assert_array_equal(ours(model, x)[0], runtime(model, x)[0])
        reasons = place(read_onnx(model), tpu_preset("tpu_8x8"), Match.ONNXRUNTIME)
        assert "the TPU has no weights with a zero point" in reasons.values()


def model_of(*nodes, shape=(1, 4)):
    graph = helper.make_graph(list(nodes), "test", [helper.make_tensor_value_info("x", 1, shape)],
                              [helper.make_tensor_value_info("y", 1, None)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


@pytest.mark.parametrize("model, text", [
    (b"", "nodes and outputs"),
    (b"\x08\x07nonsense", "cut off or damaged"),
    (model_of(helper.make_node("Einsum", ["x"], ["y"], name="e")),
     r"node e \(Einsum\): is not supported; supported are"),
    (model_of(helper.make_node("Relu", ["z"], ["y"], name="r")), "an earlier node makes, not 'z'"),
    (model_of(helper.make_node("Gemm", ["x", "x"], ["y"], name="g")), r"node g \(Gemm\): weights must be constant"),
    (model_of(helper.make_node("Identity", ["x"], ["x"])), "made once"),
    (model_of(helper.make_node("Softmax", ["x"], ["y"]), shape=(1 << 20, 1 << 20)), "elements"),
])
def test_refused(model, text):
    with pytest.raises(CompileError, match=text) as refused:
        read_onnx(model)
    assert "\n" not in str(refused.value)


def test_damaged_files_are_refused_or_read():
    """Cut off anywhere, or with other bytes: a graph, or an error of one line."""
    q = Qdq(np.random.default_rng(1), MAP)
    model, rng, refused = q.model(CASES["flatten dense"][1](q)), np.random.default_rng(2), 0
    for number in range(600):
        damaged = bytearray(model[:rng.integers(len(model))] if number % 2 else model)
        for _ in range(0 if number % 2 else rng.integers(1, 20)):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        try:
            read_onnx(bytes(damaged))
        except CompileError:
            refused += 1
    assert 100 < refused


def test_structure_that_lies_is_refused():
    """Every attribute and input list of a real model, cut short."""
    q = Qdq(np.random.default_rng(1), MAP)
    content = q.model(CASES["flatten dense"][1](q))
    for number in range(len(q.nodes)):
        for change in ("inputs", "attributes", "outputs"):
            model = onnx.load_model_from_string(content)
            node = model.graph.node[number]
            if change == "inputs":
                del node.input[-1]
            elif change == "attributes":
                del node.attribute[:]
            else:
                node.output[0] = node.output[0] + "_"
            try:
                read_onnx(model.SerializeToString())
            except CompileError:
                pass
