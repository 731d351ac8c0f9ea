# SPDX-License-Identifier: Apache-2.0
"""Operators on integers are read as their operators on real numbers between a DequantizeLinear and a QuantizeLinear."""

import numpy as np
import onnx
import pytest

from tests.helpers.onnx_net import QONNX, Net
from tests.helpers.onnx_quantised import NETWORKS, brevitas, images, quantised
from tests.helpers.onnx_runs import graph_of
from tiled_se.network.network import find_blocks
from tiled_se.network.read.integer_operators import expanded
from tiled_se.network.read.model import load_model, read_model
from tiled_se.network.read.shapes import open_session

SHAPE = (1, 4, 6, 6)


def numbers(net, scale, zero=None, kind=np.uint8):
    """Names of a scale and a zero point."""
    zero = np.zeros(np.shape(scale)) + (131 if kind is np.uint8 else 3) if zero is None else zero
    return net.constant(scale), net.constant(zero, kind)


def integers(net, shape, seed=0):
    return net.constant(np.random.default_rng(seed).integers(-127, 128, shape), np.int8)


def conv(net, x, x_numbers, scale=0.01):
    several = np.full(4, scale) * np.arange(1, 5)
    weight = integers(net, (4, 4, 3, 3)), *numbers(net, several, np.zeros(4), np.int8)
    return net("QLinearConv", x, *x_numbers, *weight, *numbers(net, 0.2), net.constant(range(-200, 200, 100), np.int32),
               kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])


def gemm(net, x, x_numbers, transposed=1, scale=(0.01, 0.02, 0.03), **about):
    zeros = np.zeros(np.shape(scale))
    weight = integers(net, (3, 144) if transposed else (144, 3)), *numbers(net, scale, zeros, np.int8)
    return net("com.microsoft.QGemm", net("Flatten", x), *x_numbers, *weight,
               net.constant([300, -300, 9], np.int32), *numbers(net, 0.5), transB=transposed, **about)


def unary(name, **about):
    return lambda net, x, x_numbers: net(f"com.microsoft.{name}", x, *x_numbers, *numbers(net, 1 / 64), **about)


def binary(name):
    def make(net, x, x_numbers):
        other = net("QuantizeLinear", net("Abs", "x"), *(own := numbers(net, 0.05)))
        return net(f"com.microsoft.{name}", other, *own, x, *x_numbers, *numbers(net, 0.093))

    return make


OPERATORS = {
    "conv": conv, "gemm": gemm, "gemm-alpha": lambda net, x, own: gemm(net, x, own, 0, 0.01, alpha=0.5),
    "matmul": lambda net, x, own: net("QLinearMatMul", x, *own, integers(net, (6, 5)), *numbers(
        net, 0.01 * np.arange(1, 6), np.zeros(5), np.int8), *numbers(net, 0.2)),
    "add": binary("QLinearAdd"), "mul": binary("QLinearMul"), "sigmoid": unary("QLinearSigmoid"),
    "leaky": unary("QLinearLeakyRelu", alpha=0.1), "global": unary("QLinearGlobalAveragePool", channels_last=0),
    "pool": unary("QLinearAveragePool", kernel_shape=[2, 2], strides=[2, 2]),
    "concat": lambda net, x, own: net("com.microsoft.QLinearConcat", *numbers(net, 0.1), x, *own, x, *numbers(
        net, 0.07), axis=1),
}


def network(make, opset=13):
    """What `make` adds after a quantiser, and the integers of its results as the output."""
    net = Net(opset)
    own = numbers(net, 0.05)
    net("DequantizeLinear", make(net, net("QuantizeLinear", "x", *own), own), net.constant(1), output="y")
    return net.model({"x": SHAPE}, {"y": None})


@pytest.mark.parametrize("opset", [11, 13, 19])
@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_is_expanded(name, opset):
    """Both give the same integers, but where a result is halfway between two."""
    model = network(OPERATORS[name], opset)
    operator = next(node.op_type for node in model.graph.node if node.op_type.startswith("Q") and "ize" not in
                    node.op_type)
    graph = expanded(graph_of(onnx.ModelProto.FromString(model.SerializeToString())))
    left = {node.op_type for node in graph.nodes}
    assert operator not in left
    assert {"DequantizeLinear", "QuantizeLinear"} <= left
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32) * 3
    own, other = (open_session(one, threads=1, optimise=False).run(["y"], {"x": x})[0]
                  for one in (model, graph.model))
    assert own.shape == other.shape
    assert np.ptp(own) > 9
    difference = abs(own - other)
    # Some averages are rounded by the operator in another way.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


def test_what_is_not_known_stays():
    def computed(net, x, own):
        scale = net("ReduceMax", "x", keepdims=0)
        return net("com.microsoft.QLinearSigmoid", x, scale, own[1], *numbers(net, 1 / 256))

    makes = (computed, unary("QLinearGlobalAveragePool", channels_last=1), unary("QLinearSoftmax", axis=1, opset=13))
    for make in makes:
        graph = graph_of(network(make))
        assert expanded(graph) is graph


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_integer_operators(tmp_path, name):
    """The same blocks as in the format with QuantizeLinear and DequantizeLinear. Each operator gives the same integers.
    """
    path = quantised(name, "s8-channel", str(tmp_path), operators=True)
    original, graph = read_model(path), load_model(path)
    operators = {node.op_type for node in original.graph.node}
    assert {"QLinearConv", "QLinearMul"} <= operators
    assert not any(node.op_type.startswith("QLinear") for node in graph.nodes)
    blocks = find_blocks(graph.model)
    assert len(blocks) == {"mobilenet_v3_small": 9, "regnety_002": 13}[name]
    assert len(blocks) == len(find_blocks(load_model(quantised(name, "s8-channel", str(tmp_path))).model))
    nodes = [node for node in original.graph.node if node.op_type.startswith("QLinear")]
    tensors = list(dict.fromkeys(tensor for node in nodes for tensor in (*node.input, *node.output)
                                 if tensor and tensor not in graph.initializers))
    arrays = dict(zip(tensors, open_session(original, tensors, 1, optimise=False).run(tensors, {"x": images(1)}),
                      strict=True))
    for node in nodes:
        difference = abs(alone(node, original, arrays).astype(int) - arrays[node.output[0]].astype(int))
        assert difference.max() <= 1
        assert (difference > 0).mean() <= 0.01


def alone(node, model, arrays):
    """The result of `node` of `model`, expanded, for inputs as in `arrays`."""
    constants = [tensor for tensor in model.graph.initializer if tensor.name in node.input]
    held = {tensor.name for tensor in constants}
    constants += [onnx.numpy_helper.from_array(arrays[name], name) for name in dict.fromkeys(node.input)
                  if name and name not in held]
    single = onnx.helper.make_model(onnx.helper.make_graph([node], "one", [], [], constants),
                                    opset_imports=model.opset_import, ir_version=model.ir_version)
    found = expanded(graph_of(single))
    assert len(found.nodes) > 1
    return open_session(found.model, node.output, 1, optimise=False).run([*node.output], {})[0]


# Bits, signed, narrow.
FORMATS = [(2, 1, 0), (3, 0, 0), (4, 0, 0), (4, 1, 1), (5, 0, 1), (8, 1, 0), (8, 0, 0), (8, 1, 1), (9, 0, 1),
           (10, 0, 0), (10, 1, 1), (12, 0, 0), (12, 1, 0), (15, 1, 0), (16, 0, 0), (16, 1, 1)]


def run_by_qonnx(model, x):
    """All tensors by name."""
    executed = pytest.importorskip("qonnx.core.onnx_exec")
    wrapper = pytest.importorskip("qonnx.core.modelwrapper").ModelWrapper(model)
    shapes = pytest.importorskip("qonnx.transformation.infer_shapes").InferShapes()
    return executed.execute_onnx(wrapper.transform(shapes), {"x": x}, return_full_exec_context=True)


def quant(bits, signed, narrow, scale=0.1, zero=0, mode="ROUND", opset=13, of="x"):
    net = Net(opset)
    net(f"{QONNX}.Quant", of and net("Identity", of) or net.constant(np.linspace(-3, 3, 144).reshape(SHAPE)),
        net.constant(scale), net.constant(zero), net.constant(bits), signed=signed, narrow=narrow, rounding_mode=mode,
        output="y")
    return net.model({"x": SHAPE}, {"y": SHAPE})


@pytest.mark.parametrize("of", ["x", None], ids=["tensor", "constant"])
@pytest.mark.parametrize(("bits", "signed", "narrow"), FORMATS)
@pytest.mark.parametrize("scale", [0.1, np.array([0.1, 0.2, 0.3, 0.4])[None, :, None, None]], ids=["one", "several"])
def test_quant(bits, signed, narrow, scale, of):
    scale = scale * 2.0 ** (5 - bits)
    model = quant(bits, signed, narrow, scale, 0 if signed else 1 << bits - 1, of=of)
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32) * 3
    expected = run_by_qonnx(model, x)["y"]
    graph = expanded(graph_of(model))
    assert not any(node.domain == QONNX for node in graph.nodes)
    (found,) = open_session(graph.model, threads=1, optimise=False).run(["y"], {"x": x})
    assert len(np.unique(expected)) > min(2 ** bits, 40) / 3
    assert_same_integers(found, expected, scale)


def assert_same_integers(found, expected, scale):
    """Real numbers stand for the same integers, and are these times `scale`."""
    np.testing.assert_array_equal(np.rint(found / scale), np.rint(expected / scale))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("opset", [11, 12, 21])
@pytest.mark.parametrize(("bits", "signed", "narrow"), [(4, 0, 0), (8, 1, 1), (12, 1, 0), (16, 0, 1)])
def test_quant_of_other_operator_sets(bits, signed, narrow, opset):
    """Where Clip lacks the type of the integers, it is one of float32. Both ends of the integers come up."""
    scale = 4 / 2**bits
    model = quant(bits, signed, narrow, scale, opset=opset)
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32) * 3
    graph = expanded(graph_of(model))
    assert not any(node.domain == QONNX for node in graph.nodes)
    (found,) = open_session(graph.model, threads=1, optimise=False).run(["y"], {"x": x})
    ends = (narrow - 2 ** (bits - 1), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1 - narrow)
    assert_same_integers(found, np.clip(np.rint(x / np.float32(scale)), *ends) * scale, scale)
    assert (found.min(), found.max()) == tuple(end * scale for end in ends)


@pytest.mark.parametrize("arguments", [
    (1, 1, 0), (17, 1, 0), (4, 0, 0, 0.1, 0.5), (4, 0, 0, 0.1, 300), (4, 0, 0, 0.1, np.inf), (4, 0, 0, 0.1, 0, "FLOOR"),
    (4, 0, 0, 0.1, 0, "ROUND", 10)], ids=["1-bit", "17-bits", "zero", "far-zero", "infinite-zero", "floor", "opset"])
def test_a_quant_that_no_quantiser_is(arguments):
    graph = graph_of(quant(*arguments))
    assert expanded(graph) is graph


def test_a_constant_may_have_any_bits():
    assert expanded(graph_of(quant(9, 1, 0, of=None))).producer["y"].op_type == "DequantizeLinear"


@pytest.mark.parametrize("arguments", [
    {}, {"bits": 3, "inside": 5, "weight_bits": 2}, {"bits": 12, "inside": 10, "weight_bits": 8},
    {"bits": 16, "inside": 16, "weight_bits": 8}, {"opset": 21}, {"opset": 11}],
    ids=["4", "3", "12", "16", "21", "11"])
def test_a_network_of_brevitas(tmp_path, arguments):
    path = brevitas(str(tmp_path / "net.onnx"), **arguments)
    graph = load_model(path)
    (block,) = find_blocks(graph.model)
    assert block.quantised
    bits = arguments.get("bits", 4)
    assert (str(block.numbers.x.data), str(block.numbers.y.data)) == (f"uint{bits}", f"uint{bits}")
    assert block.ranges.stages.keys() == {"mean", "hidden", "gates"}
    x = images(1, size=16)
    expected = run_by_qonnx(onnx.load(path), x)
    names = [node.output[0] for node in onnx.load(path).graph.node if node.op_type == "Quant"]
    found = open_session(graph.model, names, 1, optimise=False).run(names, {"x": x})
    for name, array in zip(names, found, strict=True):
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-6)
