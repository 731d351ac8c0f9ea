# SPDX-License-Identifier: Apache-2.0
"""What is like a block but is none is left out, with the reason."""

import io
import json
import pathlib
import warnings

import numpy as np
import onnx
import pytest
import torch

from tests.helpers.libraries import library
from tests.helpers.onnx_attentions import ATTENTIONS
from tests.helpers.onnx_lookalikes import LOOKALIKES, excite, lookalike, pool
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, SHAPE, Spelling, se, whole
from tests.helpers.onnx_runs import graph_of
from tiled_se.network.match.match import match
from tiled_se.network.read.shapes import open_session


def gate(operators):
    return f"its gate ({operators}) is neither a sigmoid nor a hard sigmoid from 0 to 1"


def activation(operators):
    return f"its activation between the layers ({operators}) is not supported"


def layers(count):
    return f"it has {count} between its mean and its gate; a block has two"


# By lookalike; the empty ones don't multiply a map by what follows from a mean over height and width.
LIKE = {
    **dict.fromkeys(("rows", "none", "same-size", "tiles", "padded", "added"), ""),
    "maximum": "it takes the maximum of the map, not the mean",
    "of-another": "it averages relu_0 but scales x",
    "for-another": "it averages x but scales relu_0",
    "of-a-multiple": "it averages x but scales mul_0",
    "integers": "it averages cast_0 but scales x",
    "columns-and-channels": "its mean by ReduceMean node_reducemean_0 is not over height and width alone",
    "sum": "it takes the sum of the map, not the mean",
    **dict.fromkeys(("sum-by-another", "rows-of-sums", "sum-by-rows-of-columns"),
                    "its sum over the map is not divided by the number of pixels"),
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
    "gelu-of-another": activation("Div, Erf, Add, Mul"),
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
    "other-bias": "its constant number_4 varies along the width, not the channels alone",
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
    "three-layers": layers("three layers"),
    "global-context": "its mean is weighted by a Softmax",
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


def test_names_are_those_of_the_products_in_the_order_of_the_graph():
    """Between them is a block, whose own product is not listed, nor what only multiplies it by a constant."""
    net = Net()
    first = net("Mul", "x", net("Tanh", excite(net, pool(net))), output="first")
    second = net("Mul", se(net, first, Spelling(gate="unscaled", end="after")), net.constant(2))
    net("Mul", second, excite(net, pool(net, first)), output="last")
    blocks, reasons = match(graph_of(whole(net, "last")))
    assert len(blocks) == 1
    assert reasons == {"node_first": gate("Sigmoid, Tanh"), "node_last": f"it averages first but scales {second}"}


def classifier(net):
    """A classifier's own layers on the mean, and a gate on its features."""
    features = net("Flatten", pool(net))
    hidden = net("Relu", net("Gemm", features, net.constant(np.ones((CHANNELS, CHANNELS)))))
    net("Mul", features, net("Sigmoid", hidden), output="y")


def normalised(net, axes, operator="Div"):
    mean = net.mean("x", axes)
    centred = net("Sub", "x", mean)
    variance = net("Add", net.mean(net("Mul", centred, centred), axes), net.constant(1e-5))
    deviation = net("Sqrt", variance)
    deviation = deviation if operator == "Div" else net("Reciprocal", deviation)
    net("Mul", net(operator, centred, deviation), net.constant(np.ones((CHANNELS, 1, 1))), output="y")


def resized(net):
    """Sizes that are computed, and a map times another map."""
    sizes = [net("Gather", net("Shape", "x"), net.constant([axis], np.int64)) for axis in range(4)]
    sizes = net("Concat", *sizes, axis=0)
    other = net("Resize", net("MaxPool", "x", kernel_shape=[2, 1], strides=[2, 1]), "", "", sizes)
    net("Mul", "x", net("Sigmoid", other), output="y")


def swish_after_a_block(net):
    y = se(net, "x", Spelling())
    net("Mul", y, net("Sigmoid", y), output="y")


PLAIN = {
    "classifier": classifier, "resized": resized, "swish-after-a-block": swish_after_a_block,
    **{f"normalised-{operator}-{''.join(map(str, axes))}": lambda net, axes=axes, operator=operator: normalised(
        net, axes, operator) for axes in ([1], [2, 3], [1, 2, 3], [3]) for operator in ("Div", "Mul")},
}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("inferred", [True, False], ids=["shapes", "no-shapes"])
def test_networks_without_attention(name, inferred):
    net = Net()
    PLAIN[name](net)
    graph = graph_of(net.model({"x": SHAPE}, {"y": None}))
    if not inferred:
        graph.dims = {tensor: dims for tensor, dims in graph.dims.items() if tensor in graph.initializers}
    assert match(graph)[1] == {}


# Blocks, and reasons without the names in them.
REAL = {"resnet18": (0, []), "mobilenetv2_100": (0, []), "vit_tiny_patch16_224": (0, []), "convnextv2_atto": (0, []),
        "efficientnet_b0": (16, []), "ghostnet_100": (7, []),
        "ecaresnet26t": (0, [layers("one layer")] * 8), "ese_vovnet19b_dw": (0, [layers("one layer")] * 4),
        "skresnet18": (0, ["its gate is a Softmax over 2 branches"] * 8),
        "resnest14d": (0, ["its gate is a Softmax over 2 branches"] * 4)}


@pytest.mark.parametrize("name", REAL)
def test_networks_of_timm(name):
    model = library("timm").create_model(name).eval()
    size = model.default_cfg["input_size"]
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, torch.zeros(1, *size), content, dynamo=False, opset_version=17)
    blocks, reasons = match(graph_of(onnx.load_from_string(content.getvalue())))
    assert (len(blocks), list(reasons.values())) == REAL[name]


class TestCommands:
    def test_inspect(self, tiled_se):
        onnx.save(lookalike("one-layer"), "net.onnx")
        finished = tiled_se.passes("inspect", "net.onnx", "--json", "blocks.json")
        (name, reason), = json.loads(pathlib.Path("blocks.json").read_text())["others"].items()
        assert (name, reason) == ("node_mul_3", LIKE["one-layer"])
        assert finished.out.splitlines()[1] == f"left out: {name}: {reason}"

    @pytest.mark.parametrize("command", [["swap", "-o", "out.onnx"], ["build", "--calibration", ".", "-o", "out"],
                                         ["sensitivity", "--calibration", ".", "-o", "out"]])
    def test_a_network_without_blocks(self, tiled_se, command):
        """The first three reasons, in one line; nothing is written."""
        net = Net()
        y = "x"
        for _ in range(5):
            y = net("Mul", y, net("Tanh", excite(net, pool(net, y))))
        onnx.save(whole(net, y), "net.onnx")
        names = [node.name for node in net.nodes if node.op_type == "Mul"][:3]
        reasons = "; ".join(f"{name}: {gate('Sigmoid, Tanh')}" for name in names)
        tiled_se.refuses(f"MODEL=net.onnx (--model): has no squeeze-and-excite block; left out: {reasons}; 2 more",
                         command[0], "net.onnx", *command[1:])
        assert not pathlib.Path(command[-1]).exists()

    def test_swap_of_nothing(self, tiled_se):
        net = Net()
        net("Relu", "x", output="y")
        onnx.save(whole(net), "net.onnx")
        tiled_se.refuses("MODEL=net.onnx (--model): has no squeeze-and-excite block", "swap", "net.onnx")
        net = Net()
        onnx.save(whole(net, se(net, "x", Spelling())), "net.onnx")
        name = match(graph_of(onnx.load("net.onnx")))[0][0].name
        tiled_se.refuses(f"SKIP={name} (--skip): leaves no block to tile", "swap", "net.onnx", "--skip", name)
        assert [path.name for path in pathlib.Path(".").iterdir()] == ["net.onnx"]

    def test_swap(self, tiled_se):
        net = Net()
        y = net("Mul", se(net, "x", Spelling()), net("Tanh", excite(net, pool(net))))
        onnx.save(whole(net, y), "net.onnx")
        lines = tiled_se.passes("swap", "net.onnx").out.splitlines()
        assert lines[1] == f"left out: node_{y}: {gate('Sigmoid, Tanh')}"
