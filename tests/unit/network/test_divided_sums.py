# SPDX-License-Identifier: Apache-2.0
"""A sum over the map is a mean if it is divided by the number of pixels, in whatever way that number is written."""

import numpy as np
import pytest
from onnx import TensorProto

from tests.helpers.onnx_lookalikes import excite
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, HEIGHT, SHAPE, WIDTH
from tests.helpers.onnx_runs import graph_of
from tiled_se.network.match.match import match

OTHER = "its sum over the map is not divided by the number of pixels"
UNKNOWN = "its sum over the map is divided by a number that is not known"
# Sizes that are declared open, and such of which two are the same.
OPEN, SQUARE = (1, CHANNELS, "h", "w"), (1, CHANNELS, CHANNELS, CHANNELS)


def integers(net, *numbers):
    return net.constant(numbers, np.int64)


def product(net, sizes, keepdims=0):
    return net("ReduceProd", sizes, keepdims=keepdims)


def to_float(net, number):
    return net("Cast", number, to=TensorProto.FLOAT)


def sizes_of(net, axes, x="x"):
    return net("Gather", net("Shape", x), integers(net, *axes))


AREAS = {
    "end-of-the-shape": lambda net: to_float(net, product(net, net("Shape", "x", start=2))),
    "end-from-the-right": lambda net: to_float(net, product(net, net("Shape", "x", start=-2), keepdims=1)),
    "part-of-the-shape": lambda net: to_float(net, product(
        net, net("Slice", net("Shape", "x"), integers(net, 2), integers(net, 4)))),
    "picked": lambda net: to_float(net, product(net, sizes_of(net, (2, 3)))),
    "cast-before": lambda net: net("ReduceProd", to_float(net, net("Shape", "x", start=2)), axes=[0], keepdims=0),
}


def network_of(area, shape, operator="Div"):
    net = Net(opset=17)
    means = net(operator, net("ReduceSum", "x", integers(net, 2, 3)), area(net))
    net("Mul", "x", excite(net, means), output="y")
    return match(graph_of(net.model({"x": shape}, {"y": None})))


@pytest.mark.parametrize("area", AREAS.values(), ids=AREAS)
@pytest.mark.parametrize("shape", [SHAPE, OPEN, ("n", *SHAPE[1:])], ids=["fixed", "open", "batch"])
def test_the_number_of_pixels_is_computed(area, shape):
    blocks, reasons = network_of(area, shape)
    assert (len(blocks), reasons) == (1, {})


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_the_reciprocal_is_rounded(kind):
    """To float16, and cast to the type of the map."""
    blocks, reasons = network_of(lambda net: to_float(net, net.constant(1 / (HEIGHT * WIDTH), kind)), SHAPE, "Mul")
    assert (len(blocks), reasons) == (1, {})


@pytest.mark.parametrize(("area", "shape", "reason"), [
    (lambda net: to_float(net, product(net, net("Shape", "x", start=1, end=3))), OPEN, OTHER),
    (lambda net: to_float(net, product(net, net("Shape", "x", start=1))), SHAPE, OTHER),
    (lambda net: net.constant(1.001 * HEIGHT * WIDTH), SHAPE, OTHER),
    # Here C * H is as large as H * W.
    (lambda net: to_float(net, product(net, net("Shape", "x", start=1, end=3))), SQUARE, UNKNOWN),
    (lambda net: to_float(net, product(net, sizes_of(net, (2, 3), net("MaxPool", "x", kernel_shape=[1, 1])))), OPEN,
     UNKNOWN),
    (lambda net: to_float(net, net("Div", net("Size", "x"), integers(net, CHANNELS))), SHAPE, UNKNOWN),
    # One size of each row, of which the first is taken.
    (lambda net: to_float(net, net("Gather", net(
        "ReduceProd", net("Unsqueeze", net("Shape", "x", start=2), integers(net, 1)), axes=[1], keepdims=0),
        integers(net, 0))), OPEN, UNKNOWN),
    (lambda net: net.constant(np.full((CHANNELS, 1, 1), HEIGHT * WIDTH)), SHAPE,
     "between its sum and its first layer is Div"),
    (lambda net: net.clip(to_float(net, product(net, net("Shape", "x", start=2))), 30), OPEN, UNKNOWN)],
    ids=["channels-and-rows", "with-channels", "almost", "same-number", "another-map", "size", "rows", "vector",
         "clipped"])
def test_another_number_and_one_that_is_not_known(area, shape, reason):
    blocks, reasons = network_of(area, shape)
    assert (blocks, list(reasons.values())) == ([], [reason])


def test_a_factor_that_is_computed():
    reasons = network_of(lambda net: net("Reciprocal", AREAS["picked"](net)), OPEN, "Mul")[1]
    assert list(reasons.values()) == [UNKNOWN.replace("divided", "multiplied")]
