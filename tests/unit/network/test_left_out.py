# SPDX-License-Identifier: Apache-2.0
"""What is like a block but is none is left out, with the reason."""


import numpy as np
import onnx
import pytest

from tests.helpers.onnx_attentions import ATTENTIONS
from tests.helpers.onnx_lookalikes import LOOKALIKES, excite, layer, lookalike, pool
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, SHAPE, Spelling, se, whole
from tests.helpers.onnx_runs import graph_of
from tiled_se.network.match.match import match
from tiled_se.network.read.shapes import open_session


def gate(operators):
    return f"its gate ({operators}) is not known as a sigmoid, or a hard sigmoid from 0 to 1"


def activation(operators):
    return f"its activation between the layers ({operators}) is not supported"


def layers(count):
    return f"it has {count} between its mean and its gate; a block has two"


# By lookalike; the empty ones don't multiply a map by what follows from a mean.
LIKE = {
    **dict.fromkeys(("none", "added"), ""),
    "rows": "its mean by ReduceMean node_reducemean_0 is over axis 3 alone",
    "tiles": "its mean is over a window of 11x1, not over the map",
    **dict.fromkeys(("same-size", "padded"), "its mean is over a window of 11x6 with padding"),
    "maximum": "it takes the maximum of the map, not the mean",
    "of-another": "it averages relu_0 but scales x",
    "for-another": "it averages x but scales relu_0",
    "of-a-multiple": "it averages x but scales mul_0",
    "integers": "it averages cast_0 but scales x",
    "columns-and-channels": "its mean by ReduceMean node_reducemean_0 is not over height and width alone",
    "sum": "it takes the sum of the map, not the mean",
    **dict.fromkeys(("sum-by-another", "sum-by-rows-of-columns"),
                    "its sum over the map is not divided by the number of pixels"),
    "rows-of-sums": "between its sum and its first layer is Div",
    "viewed-by-width": "it is not known that Reshape node_reshape_4 before its mean keeps images and channels apart",
    "half-mean": "between its mean and its first layer is Mul",
    "larger": "it averages what Pad node_pad_0 makes of the map",
    "shuffled": "the order of its mean is not known after Reshape node_reshape_1",
    "mean-in-integers": "its mean is changed by Cast node_cast_1",
    "mean-and-maximum": "it takes the maximum of the map, too, not the mean alone",
    "one-layer": layers("one layer"),
    "three-layers": layers("three layers"),
    "grouped": "its layer Conv node_conv_1 has 3 groups",
    "padded-layer": "its layer Conv node_conv_1 has padding",
    "one-for-all": "its layers go from 6 to 3 and from 3 to 1; a block's go from its channels and back to these",
    "batch": "BatchNormalization node_batchnormalization_2_0 is in training mode",
    "two-layers-beside": activation("Add, Elu"),
    "gelu-of-another": activation("Div, Erf, Add, Mul, Mul"),
    **dict.fromkeys(("clipped-mid", "raised-mid", "mirrored-mid"), activation("Clip")),
    "leaky-mid": activation("LeakyRelu"),
    "gelu-mid": activation("Erf, Add, Mul"),
    "tanh-gelu-mid": activation("Pow, Mul, Add, Tanh"),
    "softmax-mid": activation("Softmax"),
    "quick-gelu-mid": activation("QuickGelu"),
    **dict.fromkeys(("other-swish-mid", "twice-silu-mid"), activation("Sigmoid, Mul")),
    "other-hardswish-mid": activation("HardSigmoid, Mul"),
    "softmax": "its gate is a Softmax over the channels",
    "tanh": gate("Tanh"),
    "twice": gate("Sigmoid, Mul"),
    **dict.fromkeys(("half-more", "and-another"), gate("Sigmoid, Add")),
    "complement-and-half": gate("Sigmoid, Sub"),
    "low-end": gate("HardSigmoid, Clip"),
    "high-end": gate("Add, Clip, Div"),
    "falling": gate("HardSigmoid, Sub"),
    "relu": gate("Relu"),
    **dict.fromkeys(("unscaled", "fifth-after", "divided-into", "factors-of-channels", "factor-of-five-axes",
                     "factor-of-another-type"), gate("Add, Clip")),
    **dict.fromkeys(("power-and-two", "two-by-power"), gate("Neg, Exp, Add, Div")),
    "clipped-power": gate("Clip, Neg, Exp, Add, Div"),
    "half-tanh": gate("Tanh, Mul"),
    "shuffled-gates": "the order of its gates is not known after Reshape node_reshape_5",
    "other-bias": "its constant number_4 has several numbers along the width, not along the channels alone",
    "along-width": "its gates have the shape 1x1x1x6, its map 1x6x11x6",
    "vector-along-width": "its gates have the shape 1x6, its map 1x6x11x6",
    "divided": "it divides the map by its gates",
}


@pytest.mark.parametrize("name", LOOKALIKES)
def test_nothing_else_is_taken_for_a_block(name):
    """A lookalike is a valid network, and is left out with what it has instead."""
    model = lookalike(name)
    onnx.checker.check_model(model, full_check=True)
    open_session(model, threads=1)
    blocks, reasons = match(graph_of(model))
    assert blocks == []
    assert list(reasons.values()) == [LIKE[name]] * bool(LIKE[name])


def integer(operators):
    return f"it has operators on integers ({operators}): take the float model"


ATTENTION = {
    **dict.fromkeys(("effective", "efficient"), layers("one layer")),
    **dict.fromkeys(("mean-and-deviation", "resized-gates"), layers("one layer")),
    "no-layer": layers("no layer"),
    "three-layers": layers("three layers"),
    "flattened-map": "its map has 3 axes; a block's has four",
    "kernel": "its layer Conv node_conv_3 has a kernel of 3x3",
    **dict.fromkeys(("global-context", "weighted-sum"), "its mean is weighted by a Softmax"),
    **dict.fromkeys(("selective-kernel", "split-attention"), "its gate is a Softmax over 2 branches"),
    "mean-and-maximum": "it takes the maximum of the map, too, not the mean alone",
    **dict.fromkeys(("maximum", "maximum-by-reduction"), "it takes the maximum of the map, not the mean"),
    "sum": "it takes the sum of the map, not the mean",
    "part-of-the-map": "its mean is over a window of 3x5, not over the map",
    "softmax-gate": "its gate is a Softmax over the channels",
    "tanh-gate": gate("Tanh"),
    "relu-gate": gate("Relu"),
    "twice-the-gate": gate("Sigmoid, Mul"),
    "no-gate": "it has no gate: the results of its second layer multiply the map",
    "grouped": "its layer Conv node_conv_1 has 2 groups",
    "normalised": activation("LayerNormalization, Relu"),
    "of-another": "it averages relu_0 but scales x",
    "divided": "it divides the map by its gates",
    "dynamic-layers": integer("DynamicQuantizeLinear, ConvInteger"),
    "dynamic-matrices": integer("DynamicQuantizeLinear, MatMulInteger"),
    "dynamic-vector": integer("DynamicQuantizeLinear"),
    "integer-layers": integer("QLinearConv"),
    "integer-product": integer("QLinearGlobalAveragePool, QLinearConv, QLinearSigmoid, QLinearMul"),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_of_another_form(name):
    blocks, reasons = match(graph_of(ATTENTIONS[name].model()))
    assert (blocks, list(reasons.values())) == ([], [ATTENTION[name]])


@pytest.mark.parametrize("name", ["global-context", "weighted-sum"])
@pytest.mark.parametrize("inferred", [True, False], ids=["shapes", "no-shapes"])
def test_a_weighted_mean_in_a_quantised_network(name, inferred):
    """Each tensor is rounded to 8 bits, whatever its shape is."""
    model = ATTENTIONS[name].model()
    scale, zero = (onnx.numpy_helper.from_array(np.array(number), text) for number, text in (
        (np.float32(1 / 64), "scale"), (np.int8(0), "zero")))
    model.graph.initializer.extend([scale, zero])
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        result, = node.output
        if result != "y":
            node.output[0] = f"{result}_float"
            nodes += [
                onnx.helper.make_node("QuantizeLinear", [f"{result}_float", "scale", "zero"], [f"{result}_integers"]),
                onnx.helper.make_node("DequantizeLinear", [f"{result}_integers", "scale", "zero"], [result])]
    rounded = onnx.helper.make_graph(nodes, "rounded", model.graph.input, model.graph.output, model.graph.initializer)
    model.graph.CopyFrom(rounded)
    open_session(model, threads=1)
    graph = graph_of(model)
    if not inferred:
        graph.dims = {tensor: dims for tensor, dims in graph.dims.items() if tensor in graph.initializers}
    assert list(match(graph)[1].values()) == ["its mean is weighted by a Softmax"]


def test_each_branch_is_listed():
    reasons = match(graph_of(ATTENTIONS["branches-apart"].model()))[1]
    assert list(reasons.values()) == ["its gate is a Softmax over 2 branches"] * 2


def test_names_are_those_of_the_products_in_the_order_of_the_graph():
    """Between them is a block, whose own product is not listed, nor what only multiplies it by a constant."""
    net = Net()
    first = net("Mul", "x", net("Tanh", excite(net, pool(net))), output="first")
    second = net("Mul", se(net, first, Spelling(gate="unscaled", end="after")), net.constant(2))
    net("Mul", second, excite(net, pool(net, first)), output="last")
    blocks, reasons = match(graph_of(whole(net, "last")))
    assert len(blocks) == 1
    assert reasons == {"node_first": gate("Sigmoid, Tanh"), "node_last": f"it averages first but scales {second}"}


def test_two_of_the_same_name():
    net = Net()
    y = net("Mul", net("Mul", "x", net("Tanh", pool(net))), net("Tanh", pool(net)))
    model = whole(net, y)
    for node in model.graph.node:
        node.name = "node"
    assert list(match(graph_of(model))[1]) == ["node", "node#2"]


@pytest.mark.parametrize("depth", [1, 2])
def test_inside_of_a_branch(depth):
    """Constants may be outside of the branch, or in it; the other branch has no attention."""
    net, inner = Net(), Net()
    positive = net("Greater", net.mean("x", [0, 1, 2, 3], keepdims=0), net.constant(0))
    weight = net("Identity", net.constant(np.ones((CHANNELS, CHANNELS, 1, 1))))
    hidden = inner("Conv", pool(inner), weight)
    inner("Mul", "x", inner("Sigmoid", inner("Conv", hidden, inner.constant(np.ones((CHANNELS, CHANNELS, 1, 1))))),
          output="scaled")
    inner.tensors[0].name = inner.nodes[-3].input[1] = "inner_weight"
    plain = Net()
    plain("Relu", "x", output="plain")
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("scaled", "plain")]
    branches = [onnx.helper.make_graph(part.nodes, end.name, [], [end], part.tensors)
                for part, end in zip((inner, plain), ends, strict=True)]
    names = ["if_0", "y"][-depth:]
    for name in names[:-1]:
        node = onnx.helper.make_node("If", [positive], [name], name, then_branch=branches[0], else_branch=branches[1])
        end = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        branches[0] = onnx.helper.make_graph([node], name, [], [end])
    net("If", positive, output="y", then_branch=branches[0], else_branch=branches[1])
    model = whole(net)
    open_session(model, threads=1)
    assert match(graph_of(model)) == ([], {"node_scaled": "it is inside of If node_y"})


def test_a_branch_on_the_way():
    """The condition may depend on the map; sizes and indices may, too."""
    net = Net()
    found = net("Gather", net.reshape(net("Greater", "x", net.constant(0)), -1), net.constant(0, np.int64))
    ends = [onnx.helper.make_graph([onnx.helper.make_node(operator, ["hidden"], [operator])], operator, [], [
        onnx.helper.make_tensor_value_info(operator, onnx.TensorProto.FLOAT, None)]) for operator in ("Relu", "Tanh")]
    net("Identity", layer(net, pool(net)), output="hidden")
    hidden = net("If", found, then_branch=ends[0], else_branch=ends[1])
    net("Mul", "x", net("Sigmoid", layer(net, hidden, 2)), output="y")
    model = whole(net)
    open_session(model, threads=1)
    assert match(graph_of(model))[1] == {"node_y": f"its hidden vector is changed by If node_{hidden}"}


def test_a_vector_times_gates():
    """A convolution as large as the map leaves nothing that a block could tile."""
    net = Net()
    single = net("Conv", "x", net.constant(np.ones((CHANNELS, CHANNELS, *SHAPE[2:]))))
    net("Mul", single, excite(net, pool(net)), output="y")
    assert match(graph_of(net.model({"x": SHAPE}, {"y": None}))) == ([], {})


@pytest.mark.parametrize(("size", "reasons"), {
    ("h", "w"): ["its mean is over a window of 11x5 of a map of open size"],
    (12, 5): ["its mean is over a window of 11x5, not over the map"], (11, 5): []}.items())
def test_a_window_as_large_as_the_map(size, reasons):
    net = Net()
    means = net("AveragePool", "x", kernel_shape=[11, 5], strides=[11, 5])
    net("Mul", "x", excite(net, means), output="y")
    assert list(match(graph_of(net.model({"x": (1, CHANNELS, *size)}, {"y": None})))[1].values()) == reasons


def test_sizes_that_depend_on_the_map():
    net = Net()
    end = net("ArgMax", net.reshape("x", -1), keepdims=1)
    ends = net.constant([0], np.int64), end, net.constant([1], np.int64)
    sliced = net("Slice", layer(net, pool(net)), *ends)
    net("Mul", "x", net("Sigmoid", layer(net, sliced, 2)), output="y")
    assert list(match(graph_of(whole(net)))[1].values()) == [
        f"the order of its hidden vector is not known after Slice node_{sliced}"]
