# SPDX-License-Identifier: Apache-2.0
"""The reason for what is left out is true: each names the part that differs, whatever else is in the network."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.helpers.onnx_lookalikes import between, excite, gated, layer, pool
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, HEIGHT, SHAPE, SQUEEZE, WIDTH, block, whole
from tests.helpers.onnx_runs import graph_of
from tests.unit.network.test_left_out import activation, gate
from tiled_se.network.match.match import match
from tiled_se.network.read.shapes import open_session


def reasons_of(model):
    open_session(model, threads=1)
    blocks, reasons = match(graph_of(model))
    assert blocks == []
    return list(reasons.values())


def reason_of(make, shape=SHAPE):
    net = Net(opset=17)
    net("Identity", make(net), output="y")
    (reason,) = reasons_of(net.model({"x": shape}, {"y": None}))
    return reason


def integers(net, *numbers):
    return net.constant(numbers, np.int64)


def normalised(operator, axes, **about):
    """A normalisation of the hidden vector, with a scale for each of its numbers."""
    def make(net, x):
        arrays = [net.constant(np.ones((SQUEEZE,) + (1,) * (axes - 1))) for _ in range(2)]
        return net("Relu", net(operator, x, *arrays, **about))
    return between(make)


def quantised(zero, kind):
    """Logits that a quantiser cuts off at 0."""
    def make(net, x):
        numbers = net.constant(1 / 16), net.constant(zero, kind)
        return net("Sigmoid", net("DequantizeLinear", net("QuantizeLinear", x, *numbers), *numbers))
    return gated(make)


def dense(net, hidden=None, first=None):
    """Gates by matrices: `first` makes the hidden vector of means (N, C)."""
    held = block()
    rows = net("Flatten", pool(net))
    inner = first(net, rows) if first else net("MatMul", rows, net.constant(held.w1.T))
    logits = net("MatMul", net("Relu", hidden(net, inner) if hidden else inner), net.constant(held.w2.T))
    return net("Mul", "x", net("Unsqueeze", net("Sigmoid", logits), integers(net, 2, 3)))


def matrices(net):
    """A matrix for each image."""
    rows = net("Unsqueeze", net("Flatten", pool(net)), integers(net, 1))
    held = block()
    inner = net("Relu", net("MatMul", rows, net.constant(np.stack([held.w1.T, -held.w1.T]))))
    logits = net("MatMul", inner, net.constant(held.w2.T))
    return net("Mul", "x", net.reshape(net("Sigmoid", logits), 2, CHANNELS, 1, 1))


def turned_integers(net):
    """The mean is taken of integers that are transposed to (N, H, W, C)."""
    numbers = net.constant(1 / 16), net.constant(128, np.uint8)
    held, codes = block(), net("QuantizeLinear", "x", *numbers)
    means = net.mean(net("DequantizeLinear", net("Transpose", codes, perm=[0, 2, 3, 1]), *numbers), [1, 2])
    for weight, bias, end in ((held.w1, held.b1, "Relu"), (held.w2, held.b2, "Sigmoid")):
        means = net(end, net("Add", net("MatMul", means, net.constant(weight.T)), net.constant(bias)))
    gates = net("Transpose", means, perm=[0, 3, 1, 2])
    return net("Mul", net("DequantizeLinear", codes, *numbers), gates)


def windows(**about):
    kernel = [HEIGHT + 2, WIDTH + 2]
    return lambda net: net("Mul", "x", excite(net, net("AveragePool", "x", kernel_shape=kernel, **about)))


def einsum(net):
    hidden = net("Einsum", pool(net), net.constant(block().w1), equation="bcij,rc->brij")
    return net("Mul", "x", net("Sigmoid", layer(net, net("Relu", hidden), 2)))


def by_einsum(equation, *, turned=False):
    def make(net):
        operands = ["x", net("Flatten", excite(net, pool(net)))]
        return net("Einsum", *(operands[::-1] if turned else operands), equation=equation)
    return make


def pooled_by(operator):
    return lambda net: net("Mul", "x", excite(net, net(operator, "x", axes=[2, 3])))


def coordinates(net):
    """Coordinate attention: the means of rows and those of columns have gates of their own."""
    rows, columns = net.mean("x", [3]), net("Transpose", net.mean("x", [2]), perm=[0, 1, 3, 2])
    hidden = net("Relu", layer(net, net("Concat", rows, columns, axis=2)))
    ends = [net("Slice", hidden, *(integers(net, number) for number in (*ends, 2)))
            for ends in ((0, HEIGHT), (HEIGHT, HEIGHT + WIDTH))]
    gates = net("Sigmoid", layer(net, ends[0], 2))
    others = net("Sigmoid", layer(net, net("Transpose", ends[1], perm=[0, 1, 3, 2]), 2))
    return net("Mul", net("Mul", "x", gates), others)


def by_windows(kernel):
    """Gates for each window, resized to the map."""
    def make(net):
        gates = excite(net, net("AveragePool", "x", kernel_shape=kernel, strides=kernel))
        return net("Mul", "x", net("Resize", gates, "", "", integers(net, *SHAPE)))
    return make


CASES = {
    "einsum-product": (by_einsum("bchw,bc->bchw"),
                       "its gates multiply the map by Einsum node_einsum_6, which is not supported"),
    "turned-einsum": (by_einsum("bc, bchw -> bchw", turned=True),
                      "its gates multiply the map by Einsum node_einsum_6, which is not supported"),
    "norm": (pooled_by("ReduceL1"), "it takes the norm of the map, not the mean"),
    "squares": (pooled_by("ReduceSumSquare"), "it takes the sum of squares of the map, not the mean"),
    "logarithm": (pooled_by("ReduceLogSumExp"), "it takes the logarithm of a sum of the map, not the mean"),
    "matrix-of-einsum": (lambda net: dense(net, first=lambda net, x: net(
        "Einsum", x, net.constant(np.stack([block().w1] * 2, axis=2)), equation="bc,rck->br")),
        "its layer Einsum node_einsum_2 is not supported"),
    "columns": (lambda net: net("Mul", "x", excite(net, net.mean("x", [-2]))),
                "its mean by ReduceMean node_reducemean_0 is over axis 2 alone"),
    "grid": (by_windows([5, 2]), "its mean is over a window of 5x2, not over the map"),
    "rows-of-windows": (by_windows([1, WIDTH]), f"its mean is over a window of 1x{WIDTH}, not over the map"),
    "instance-normalisation": (normalised("InstanceNormalization", 1), activation("InstanceNormalization, Relu")),
    "layer-normalisation": (normalised("LayerNormalization", 3, axis=1), activation("LayerNormalization, Relu")),
    "logits-below": (quantised(0, np.uint8), "its logits are cut at 0 by the range of DequantizeLinear "
                                             "node_dequantizelinear_5"),
    "logits-above": (quantised(255, np.uint8), "its logits are cut above 0 by the range of QuantizeLinear "
                                               "node_quantizelinear_4"),
    "turned-integers": (turned_integers, "it averages dequantizelinear_2 but scales dequantizelinear_11"),
    "einsum": (einsum, "its layer Einsum node_einsum_1 is not supported"),
    "fused-matrix": (lambda net: dense(net, first=lambda net, x: net(
        "com.microsoft.FusedMatMul", x, net.constant(block().w1), transB=1)),
        "its layer FusedMatMul node_com_microsoft_fusedmatmul_2 is not supported"),
    "transposed-convolution": (lambda net: net("Mul", "x", net("Sigmoid", layer(net, net("Relu", net(
        "ConvTranspose", pool(net), net.constant(block().w1.T[:, :, None, None]))), 2))),
        "its layer ConvTranspose node_convtranspose_1 is not supported"),
    "padding": (windows(pads=[1] * 4), f"its mean is over a window of {HEIGHT + 2}x{WIDTH + 2} with padding"),
    "counted-padding": (windows(pads=[1] * 4, count_include_pad=1),
                        f"its mean is over a window of {HEIGHT + 2}x{WIDTH + 2} with padding"),
    "softmax-of-one": (gated(lambda net, x: net("Softmax", x, axis=2)), "its gate is a Softmax over one number"),
    "resized-gate": (lambda net: net("Mul", "x", net("Resize", excite(net, pool(net)), "", "", integers(
        net, *SHAPE))), gate("Sigmoid, Resize")),
    "three-axes": (lambda net: dense(net, first=lambda net, x: net.reshape(
        net("MatMul", x, net.constant(block().w1.T[None])), -1, SQUEEZE)),
        "it is not known that its layer MatMul node_matmul_2 is one on the channels alone"),
    "computed-bias": (lambda net: net("Mul", "x", net("Sigmoid", layer(net, net("Relu", net(
        "Conv", pool(net), net.constant(block().w1[:, :, None, None]), net("RandomNormal", shape=[SQUEEZE]))), 2))),
        "it is not known that its layer Conv node_conv_2 is one on the channels alone"),
    "computed-weights": (lambda net: net("Mul", "x", net("Sigmoid", layer(net, net("Relu", net(
        "Conv", pool(net), net("Mul", net("ReduceMax", "x", keepdims=0), net.constant(
            block().w1[:, :, None, None])))), 2))), "the weights of its layer Conv node_conv_3 are computed by "
                                                    "Mul node_mul_2"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_reason(name):
    make, reason = CASES[name]
    assert reason_of(make) == reason


def mixed_images(net):
    return dense(net, first=lambda net, x: net("MatMul", net("MatMul", net.constant(np.ones((2, 2))), x),
                                               net.constant(block().w1.T)))


BATCH = {
    "matrices": (matrices, "its layer MatMul node_matmul_3 has 2 matrices, not one for all images"),
    "mixed-images": (mixed_images, "its layer MatMul node_matmul_2 mixes the images of a batch"),
    "bias-of-images": (lambda net: dense(net, first=lambda net, x: net(
        "Gemm", x, net.constant(block().w1.T), net.constant([[1], [2]]))),
        "its constant number_1 has several numbers along the batch, not along the channels alone"),
}


def test_both_products_of_coordinate_attention():
    net = Net()
    net("Identity", coordinates(net), output="y")
    assert reasons_of(whole(net)) == ["its mean by ReduceMean node_reducemean_0 is over axis 3 alone"] * 2


@pytest.mark.parametrize("name", BATCH)
def test_the_reason_where_images_differ(name):
    make, reason = BATCH[name]
    assert reason_of(make, (2, *SHAPE[1:])) == reason


def test_channels_that_are_as_many_as_images():
    """The layer is on the means of one channel in all images."""
    net = Net()
    net("Mul", "x", excite(net, net("Transpose", pool(net), perm=[1, 0, 2, 3])), output="y")
    assert reasons_of(net.model({"x": (CHANNELS, *SHAPE[1:])}, {"y": None})) == [
        "its layer Conv node_conv_2 mixes the images of a batch"]


def test_branches_that_are_as_many_as_columns():
    """What is not known to be the channels is not called so."""
    net = Net()
    logits = net.reshape(layer(net, net("Relu", layer(net, pool(net))), 2), 1, 3, 2, 1, 1)
    gates = net.reshape(net("Softmax", logits, axis=2), 1, CHANNELS, 1, 1)
    net("Mul", "x", gates, output="y")
    for columns, reason in {2: "its gate is a Softmax", 4: "its gate is a Softmax over 2 branches"}.items():
        assert reasons_of(net.model({"x": (*SHAPE[:3], columns)}, {"y": None})) == [reason]


@pytest.mark.parametrize("node", [False, True], ids=["tensor", "node"])
def test_sparse_weights(node):
    net = Net()
    values = helper.make_tensor("sparse", TensorProto.FLOAT, [2], [1.0, -2.0])
    sparse = helper.make_sparse_tensor(values, helper.make_tensor("at", TensorProto.INT64, [2], [0, 3]),
                                       [CHANNELS, SQUEEZE])
    if node:
        net("Constant", output="sparse", sparse_value=sparse)
    hidden = net("Relu", net("MatMul", net("Flatten", pool(net)), "sparse"))
    net("Mul", "x", net("Sigmoid", layer(net, net.reshape(hidden, 1, SQUEEZE, 1, 1), 2)), output="y")
    model = whole(net)
    model.graph.sparse_initializer.extend([] if node else [sparse])
    assert list(match(graph_of(model))[1].values()) == [
        f"the weights of its layer MatMul node_matmul_{2 + node} are sparse"]


@pytest.mark.parametrize("scale", [-1 / 16, "given"], ids=["negative", "input"])
def test_rounding_that_is_not_known(scale):
    """Not every scale that isn't understood is another one on the way back."""
    net = Net()
    numbers = scale if scale == "given" else net.constant(scale), net.constant(0, np.uint8)
    gates = gated(lambda net, x: net("DequantizeLinear", net("QuantizeLinear", net("Sigmoid", x), *numbers), *numbers))
    net("Identity", gates(net), output="y")
    model = net.model({"x": SHAPE, "given": ()}, {"y": None})
    assert list(match(graph_of(model))[1].values()) == [
        "it is not known that its gates are only rounded by QuantizeLinear node_quantizelinear_5"]


def test_images_and_channels_are_exchanged():
    """After the layers; the shapes fit."""
    net = Net()
    net("Mul", "x", net("Transpose", excite(net, pool(net)), perm=[1, 0, 2, 3]), output="y")
    assert reasons_of(net.model({"x": (CHANNELS, *SHAPE[1:])}, {"y": None})) == [
        "the images and the channels of its gates are exchanged"]


def test_weights_that_are_an_input():
    net = Net()
    net("Mul", "x", net("Sigmoid", layer(net, net("Relu", net("Conv", pool(net), "w")), 2)), output="y")
    model = net.model({"x": SHAPE, "w": (SQUEEZE, CHANNELS, 1, 1)}, {"y": None})
    assert reasons_of(model) == ["the weights of its layer Conv node_conv_1 are no constant"]


@pytest.mark.parametrize("whole_block", [False, True], ids=["gate", "block"])
def test_a_function_of_another_operator_set(whole_block):
    """It is not inlined."""
    net, inner = Net(opset=17), Net()
    if whole_block:
        inner("Mul", "x", excite(inner, pool(inner)), output="y")
        given = ["x", *(tensor.name for tensor in inner.tensors)]
        net.tensors = inner.tensors
        net("local.Part", *given, output="result")
    else:
        inner("Sigmoid", "x", output="y")
        given = ["x"]
        net("Identity", gated(lambda net, x: net("local.Part", x))(net), output="result")
    model = net.model({"x": SHAPE}, {"result": SHAPE})
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.functions.append(helper.make_function("local", "Part", given, ["y"], inner.nodes,
                                                [helper.make_opsetid("", 13)]))
    reason = "it is inside of Part node_result" if whole_block else \
        "Part node_local_part_4 is a function of another operator set"
    assert reasons_of(model) == [reason]
