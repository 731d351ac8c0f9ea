# SPDX-License-Identifier: Apache-2.0
"""Networks without attention have nothing that is left out; of networks of timm all attention is."""

import io
import warnings

import numpy as np
import onnx
import pytest
import torch

from tests.helpers.libraries import library
from tests.helpers.onnx_lookalikes import pool
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, SHAPE, Spelling, se
from tests.helpers.onnx_runs import graph_of
from tiled_se.network.match.match import match

ONE_LAYER = "it has one layer between its mean and its gate; a block has two"


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


def half_the_size(net):
    """Attention over pixels, of a map of half the size."""
    half = net("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2])
    scores = net("Sigmoid", net("Conv", half, net.constant(np.ones((1, CHANNELS, 1, 1)))))
    net("Mul", "x", net("Resize", scores, "", "", net.constant([1, 1, *SHAPE[2:]], np.int64)), output="y")


def mean_of_rows(net):
    """A recogniser's features, without height."""
    rows = net("Conv", net.mean("x", [2]), net.constant(np.ones((CHANNELS, CHANNELS, 1, 1))))
    net("Mul", rows, net("Sigmoid", rows), output="y")


def contraction(net):
    """The scores of each pixel, by a vector that follows from the mean."""
    vector = net("Flatten", net("Sigmoid", net("Conv", pool(net), net.constant(np.ones((CHANNELS, CHANNELS, 1, 1))))))
    net("Einsum", "x", vector, equation="bchw,bc->bhw", output="y")


def swish_after_a_block(net):
    y = se(net, "x", Spelling())
    net("Mul", y, net("Sigmoid", y), output="y")


PLAIN = {
    "classifier": classifier, "resized": resized, "swish-after-a-block": swish_after_a_block,
    "half-the-size": half_the_size, "mean-of-rows": mean_of_rows, "contraction": contraction,
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
        "efficientnet_b0": (16, []), "ghostnetv2_100": (7, []),
        "ecaresnet26t": (0, [ONE_LAYER] * 8), "ese_vovnet19b_dw": (0, [ONE_LAYER] * 4),
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
