# SPDX-License-Identifier: Apache-2.0
"""Constants are folded as a runtime computes them, by the type that they are stored in, or not at all."""

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers.onnx_lookalikes import layer
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import Spelling, block, whole
from tests.helpers.onnx_runs import only
from tests.unit.network.test_match import check
from tiled_se.network.read.graph import Graph
from tiled_se.network.read.shapes import open_session

INTEGERS = {name: getattr(TensorProto, name.upper()) for name in (
    "int4", "uint4", "int8", "uint8", "int16", "uint16", "int32")}
FLOAT8S = {"float8_e4m3fn": TensorProto.FLOAT8E4M3FN, "float8_e4m3fnuz": TensorProto.FLOAT8E4M3FNUZ,
           "float8_e5m2": TensorProto.FLOAT8E5M2, "float8_e5m2fnuz": TensorProto.FLOAT8E5M2FNUZ}
# Halves, what rounds to either side, and what is beyond most types.
NUMBERS = np.array([[-1e6, -200.3, -129, -7.5, -1.5, -0.5], [0.5, 1.5, 2.5, 0.7, 300, 1e6]], np.float32)


def both(operator, inputs, **about):
    """What `operator` gives of constants: folded, and in onnxruntime as float32."""
    names = ["" if value is None else f"c{at}" for at, value in enumerate(inputs)]
    tensors = [value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value))
               for value in inputs if value is not None]
    for tensor, name in zip(tensors, filter(None, names), strict=True):
        tensor.name = name
    nodes = [helper.make_node(operator, names, ["y"], **about),
             helper.make_node("Cast", ["y"], ["z"], to=TensorProto.FLOAT)]
    graph = helper.make_graph(nodes, "g", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    (reference,) = open_session(model, threads=1).run(None, {})
    return Graph(model).constant("y"), reference


def same(found, reference):
    np.testing.assert_array_equal(found.astype(np.float32), reference)


def stored(name, numbers):
    """Integers as a tensor of that type."""
    return helper.make_tensor(name, INTEGERS[name], np.shape(numbers), np.ravel(numbers).tolist())


@pytest.mark.parametrize("name", [name for name in INTEGERS if name != "int32"])
def test_rounding_to_integers(name):
    found, reference = both("QuantizeLinear", [NUMBERS, np.float32(0.5), stored(name, 1)])
    assert found.dtype.name == name
    same(found, reference)
    assert found.astype(int).min() == (0 if name[0] == "u" else -(1 << int(name.strip("int")) - 1))


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_integers_as_floats(name, kind):
    zero = None if name == "int32" else stored(name, 3)
    found, reference = both("DequantizeLinear", [stored(name, [0, 1, 7, 5]), kind(0.3), zero])
    assert found.dtype == kind
    same(found, reference)


@pytest.mark.parametrize("name", FLOAT8S)
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_float8(name, kind):
    x = NUMBERS.clip(-6e4, 6e4).astype(kind)
    eights = both("QuantizeLinear", [x, kind(0.5), helper.make_tensor("z", FLOAT8S[name], (), [0])])
    same(*eights)
    assert eights[0].dtype.name == name
    same(*both("Cast", [x], to=FLOAT8S[name]))
    eights = helper.make_tensor("q", FLOAT8S[name], (3,), [0.75, -3.5, 40])
    found, reference = both("DequantizeLinear", [eights, kind(2)])
    same(found, reference)
    assert found.tolist() == [1.5, -7, 80]


def test_float8_without_saturation_is_folded_within_its_range():
    small = np.array([0.3, -9, 400], np.float32)
    same(*both("Cast", [small], to=TensorProto.FLOAT8E4M3FN, saturate=0))
    assert both("Cast", [NUMBERS], to=TensorProto.FLOAT8E4M3FN, saturate=0)[0] is None


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_scale_for_each_index_of_an_axis(axis):
    count = NUMBERS.shape[axis]
    scales, zeros = np.linspace(0.1, 2, count, dtype=np.float32), np.arange(count).astype(np.uint8)
    found, reference = both("QuantizeLinear", [NUMBERS, scales, zeros], axis=axis)
    same(found, reference)
    same(*both("DequantizeLinear", [found, scales, zeros], axis=axis))


@pytest.mark.parametrize(("axis", "shape"), [(0, (1, 6)), (1, (2, 2))])
def test_blocks_of_an_axis(axis, shape):
    """Four indices share a scale; the last block may be shorter."""
    scales = np.linspace(0.1, 2, np.prod(shape), dtype=np.float32).reshape(shape)
    zeros = np.arange(scales.size).reshape(shape).astype(np.int8)
    found, reference = both("QuantizeLinear", [NUMBERS, scales, zeros], axis=axis, block_size=4)
    same(found, reference)
    same(*both("DequantizeLinear", [found, scales, zeros], axis=axis, block_size=4))


@pytest.mark.parametrize("inputs", [
    [np.zeros((2, 6), np.int8), np.ones(5, np.float32)], [np.zeros((2, 6), np.int8), np.ones((1, 6), np.float32)],
    [np.zeros((2, 6), np.int8), np.float32(1), np.uint8(0)], [np.zeros((2, 1), np.int8), np.ones(6, np.float32)]],
    ids=["count", "axes", "type", "larger"])
def test_what_is_no_valid_node_is_not_folded(inputs):
    tensors = [numpy_helper.from_array(np.asarray(value), f"c{at}") for at, value in enumerate(inputs)]
    node = helper.make_node("DequantizeLinear", [tensor.name for tensor in tensors], ["y"])
    graph = helper.make_graph([node], "g", [], [helper.make_tensor_value_info("y", 1, None)], tensors)
    assert Graph(helper.make_model(graph)).constant("y") is None


@pytest.mark.parametrize("to", ["INT8", "UINT8", "INT32", "INT64", "BOOL", "FLOAT16", "BFLOAT16", "DOUBLE"])
def test_casts(to):
    found, reference = both("Cast", [np.array([0.0, 0.3, 1.5, 2.7, 99.9], np.float32)], to=getattr(TensorProto, to))
    same(found, reference)


@pytest.mark.parametrize("to", ["INT8", "UINT8", "INT32", "INT64", "UINT64"])
def test_a_cast_that_the_specification_leaves_open_is_not_folded(to):
    for number in (-1e20, 1e20, 2.0 ** 64, np.nan, np.inf):
        node = helper.make_node("Cast", ["c"], ["y"], to=getattr(TensorProto, to))
        graph = helper.make_graph([node], "g", [], [helper.make_tensor_value_info("y", 1, None)],
                                  [numpy_helper.from_array(np.float32([number]), "c")])
        assert Graph(helper.make_model(graph)).constant("y") is None


def test_integers_lose_their_upper_bits():
    found, reference = both("Cast", [np.array([300, -129, 7])], to=TensorProto.INT8)
    same(found, reference)
    assert found.tolist() == [44, 127, 7]


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul"])
def test_float16_is_rounded_as_in_the_network(operator):
    a, b = (np.random.default_rng(seed).normal(0, 300, 99).astype(np.float16) for seed in (1, 2))
    found, _ = both(operator, [a, b])
    assert found.dtype == np.float16
    with np.errstate(over="ignore"):
        exact = getattr(np, {"Add": "add", "Sub": "subtract", "Mul": "multiply"}[operator])(*map(np.float64, (a, b)))
        np.testing.assert_array_equal(found, exact.astype(np.float16))


def weights_stored_as(make):
    """The block whose first layer's weights are made from ``w1`` by nodes that `make` adds to a net."""
    net, held = Net(21), block()
    weight = make(net, held.w1[:, :, None, None])
    hidden = net("Relu", net("Conv", net("GlobalAveragePool", "x"), weight, net.constant(held.b1)))
    return only(whole(net, net("Mul", "x", net("Sigmoid", layer(net, hidden, 2)))))


def behind_a_quantiser(net, w):
    numbers = net.constant(1 / 128), net.constant(0, np.int8)
    return net("DequantizeLinear", net("QuantizeLinear", net.constant(w), *numbers), *numbers)


@pytest.mark.parametrize("make", {
    "int16": lambda net, w: net("DequantizeLinear", net.constant(w * 128, np.int16), net.constant(1 / 128)),
    "bfloat16": lambda net, w: net("Cast", net.constant(w, ml_dtypes.bfloat16), to=TensorProto.FLOAT),
    "blocks": lambda net, w: net("DequantizeLinear", net.constant(w * 128, np.int8), net.constant(
        np.full((3, 2, 1, 1), 1 / 128)), axis=1, block_size=4),
    "quantiser": behind_a_quantiser,
}.items(), ids=lambda item: item[0])
def test_weights_of_any_storage(make):
    check(weights_stored_as(make[1]), block(Spelling()))


def test_weights_in_float8():
    w = np.array([[0.75, -1.5, 3, 0.5, 6, -0.25]] * 3)
    found = weights_stored_as(lambda net, _: net("DequantizeLinear", net.constant(
        w[:, :, None, None], ml_dtypes.float8_e4m3fn), net.constant(0.5)))
    np.testing.assert_array_equal(found.float_block.w1, w / 2)
