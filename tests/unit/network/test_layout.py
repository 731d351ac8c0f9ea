# SPDX-License-Identifier: Apache-2.0
"""Along which axis vectors and constants lie: after each operator, and in networks whose shapes are computed."""

import dataclasses

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.helpers.onnx_lookalikes import excite, gated, hidden, layer, pool, pooled
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, SHAPE, SQUEEZE, block, whole
from tests.helpers.onnx_runs import graph_of, only
from tests.unit.network.test_match import check
from tiled_se.network.match.layout import Layout
from tiled_se.network.match.match import match

OPEN = Layout("NV11", 6, None, ("x", 0), ("x", 1))
VECTORS = Layout("NV", 6, None, ("x", 0), ("x", 1))
SIX = Layout("NV11", 6, 6, ("x", 0), ("x", 1))
ONE = Layout("1V11", 6, 1, ("x", 0), ("x", 1))
IMAGES, NUMBERS, OTHER = (1, (("x", 0),)), (1, (("x", 1),)), (1, (("z", 0),))


def plain(*numbers):
    return [number if isinstance(number, tuple) else (number, ()) for number in numbers]


@pytest.mark.parametrize(("layout", "shape", "found"), [
    (OPEN, (), 1), (OPEN, (1, 1), 1), (OPEN, (6, 1, 1), 6), (OPEN, (1, 6, 1, 1), 6), (OPEN, (1, 1, 6, 1, 1), 6),
    (OPEN, (6,), None), (OPEN, (6, 1), None), (OPEN, (6, 1, 1, 1), None), (OPEN, (2, 1, 1, 1, 1), None),
    (OPEN, (3, 1, 1), None), (OPEN, (0,), None), (VECTORS, (6,), 6), (VECTORS, (6, 1), None), (SIX, (6, 1, 1, 1), None),
    (ONE, (6, 1, 1, 1), None), (ONE, (6, 1, 1), 6)])
def test_constants_beside_a_vector(layout, shape, found):
    numbers = layout.along(np.arange(np.prod(shape, dtype=int)).reshape(shape))
    assert (None if numbers is None else len(numbers)) == found


@pytest.mark.parametrize(("layout", "shape", "found"), [
    (OPEN, (6, 1, 1), 1), (OPEN, (1, 1, 5), None), (SIX, (6, 6, 1, 1), 1), (OPEN, (6, 6, 1, 1), None),
    (ONE, (2, 6, 1, 1), None)])
def test_one_number_many_times(layout, shape, found):
    """It is one number, unless the tensor gets larger."""
    numbers = layout.along(np.full(shape, 0.5))
    assert (None if numbers is None else len(numbers)) == found


@pytest.mark.parametrize(("layout", "sizes", "axes"), [
    (OPEN, plain(-1, 6), "NV"), (OPEN, plain(0, 6), "NV"), (OPEN, plain(0, -1), "NV"), (OPEN, plain(0, 0), "NV"),
    (OPEN, [IMAGES, *plain(6, 1, 1)], "NV11"), (OPEN, [IMAGES, NUMBERS], "NV"), (OPEN, [IMAGES, *plain(-1)], "NV"),
    (OPEN, [OTHER, *plain(6, 1)], "NV1"), (OPEN, [OTHER, NUMBERS], "NV"), (VECTORS, plain(-1, 1, 1, 6), "N11V"),
    # It runs for one image alone.
    (OPEN, plain(1, 6, 1, 1), "1V11"),
    (OPEN, plain(1, -1), None), (OPEN, plain(-1), None), (OPEN, plain(6, -1), None), (OPEN, plain(-1, 3), None),
    (OPEN, plain(-1, 2, 3), None), (OPEN, [OTHER, *plain(-1)], None), (OPEN, [OTHER, OTHER], None),
    (OPEN, plain(-1, 12), None), (SIX, plain(6, 6), "NV"), (SIX, plain(-1, 6), "NV"), (SIX, plain(6, -1), "NV"),
    (SIX, plain(1, 36), None), (dataclasses.replace(OPEN, images=4), plain(1, 6), None),
    (SIX, plain(1, 6, 6), "1NV"), (ONE, plain(1, -1), "1V"), (ONE, plain(-1), "V"),
    (ONE, plain(6, 1), "V1"), (ONE, plain(2, 3), None), (ONE, [IMAGES, *plain(6)], "1V"),
    (OPEN.transposed([1, 0, 2, 3]), plain(6, -1), None)])
def test_reshape(layout, sizes, axes):
    result = layout.reshaped(sizes, keep_zeros=False)
    assert (result and result.axes) == axes


def test_a_zero_may_be_a_size():
    assert OPEN.reshaped(plain(0, 6), keep_zeros=True) is None
    assert OPEN.reshaped(plain(-1, 6), keep_zeros=True).axes == "NV"


@pytest.mark.parametrize(("layout", "axis", "axes"), [
    (OPEN, 1, "NV"), (OPEN, -3, "NV"), (OPEN, 2, None), (OPEN, 0, None), (ONE, 0, "1V"), (ONE, 2, "V1")])
def test_flatten(layout, axis, axes):
    result = layout.flattened(axis)
    assert (result and result.axes) == axes


@pytest.mark.parametrize(("layout", "removed", "axes"), [
    (OPEN, [2, 3], "NV"), (OPEN, [-1], "NV1"), (OPEN, None, "NV"), (ONE, None, "V"), (OPEN, [0], None),
    (OPEN, [1], None), (Layout("NV11", 1, None, ("x", 0)), None, None)])
def test_squeeze(layout, removed, axes):
    result = layout.squeezed(removed)
    assert (result and result.axes) == axes


def test_unsqueeze_and_transpose():
    assert VECTORS.unsqueezed([2, 3]).axes == VECTORS.unsqueezed([-1, -2]).axes == "NV11"
    assert VECTORS.unsqueezed([1, 2]).axes == "N11V"
    assert OPEN.transposed([0, 2, 3, 1]).axes == "N11V"
    assert OPEN.transposed(None).axes == "11VN"
    assert OPEN.transposed([0, 1]) is None


SIZES = [{(1, (("x", axis),)), (size, ())} for axis, size in enumerate((None, 6, 11, 6))]


@pytest.mark.parametrize(("layout", "last", "expected"), [
    (OPEN, False, True), (OPEN, True, False), (VECTORS, True, False), (Layout("N11V", 6, None, ("x", 0)), True, True),
    (Layout("1V11", 6, 1, ("x", 0)), False, True), (Layout("V11", 6, 1, ("x", 0)), False, True),
    (Layout("V", 6, 1, ("x", 0)), True, True), (Layout("V", 6, 1, ("x", 0)), False, False),
    (Layout("1NV11", 6, None, ("x", 0)), False, False), (Layout("1V11N", 6, None, ("x", 0)), False, False),
    (Layout("NV11", 3, None, ("x", 0)), False, False)])
def test_products_with_a_map(layout, last, expected):
    assert layout.scales(6, last, SIZES) is expected


@pytest.mark.parametrize(("sizes", "expected"), [
    ([IMAGES, *plain(6, 11, 6)], True), (plain(1, 1, 11, 6), True),
    ([IMAGES, NUMBERS, *plain(11), (1, (("x", 3),))], True), (plain(5, 6, 11, 6), False),
    ([OTHER, *plain(6, 11, 6)], False), ([IMAGES, *plain(6, 11, 7)], False),
    (plain(1, 1, 6, 11, 6), False), (plain(2, 1, 1, 1, 1), False)])
def test_products_with_an_expanded_vector(sizes, expected):
    """They must not make the map larger."""
    expanded = OPEN.expanded([{size} for size in sizes])
    assert expanded.scales(6, False, SIZES) is expected


def unread(make, **about):
    """Whether the network that `make` writes has neither a block nor is passed over without a reason."""
    net = Net()
    blocks, reasons = match(graph_of(whole(net, make(net), **about)))
    return not blocks and bool(reasons)


def sizes_of(net, tensor, *parts):
    """A shape: numbers, and axes of a tensor as texts."""
    shape = net("Shape", tensor)
    return net("Concat", *(net.constant([part], np.int64) if isinstance(part, int) else
                           net("Gather", shape, net.constant([int(part)], np.int64)) for part in parts), axis=0)


COMPUTED = {
    "of-the-map": lambda net, x: net("Reshape", x, sizes_of(net, "x", "0", "1")),
    "what-is-left": lambda net, x: net("Reshape", x, sizes_of(net, "x", "0", -1)),
    "squeezed": lambda net, x: net("Squeeze", x),
}


@pytest.mark.parametrize("make", COMPUTED.values(), ids=COMPUTED)
def test_shapes_that_are_computed_from_the_map(make):
    net, held = Net(), block()
    means = make(net, pool(net))
    inner = net("Relu", net("Gemm", means, net.constant(held.w1), net.constant(held.b1), transB=1))
    gates = net("Sigmoid", net("Gemm", inner, net.constant(held.w2), net.constant(held.b2), transB=1))
    gates = net("Reshape", gates, sizes_of(net, "x", "0", "1", 1, 1))
    # As PyTorch writes expand().
    target = sizes_of(net, "x", "0", "1", "2", "3")
    ones = net("ConstantOfShape", net("Shape", target), value=helper.make_tensor("one", TensorProto.INT64, [1], [1]))
    target = net("Where", net("Equal", target, net("Mul", ones, net.constant(-1, np.int64))), ones, target)
    net("Mul", "x", net("Expand", gates, target), output="y")
    check(only(net.model({"x": ("N", CHANNELS, "H", "W")}, {"y": None})), held)


@pytest.mark.parametrize(("name", "found"), [("images", 1), ("others", 0), ("", 0)])
def test_axes_of_one_declared_name_are_of_one_size(name, found):
    """The batch of another input may be another."""
    net = Net()
    gates = net("Expand", excite(net, pool(net)), sizes_of(net, "z", "0", 1, 1, 1))
    net("Mul", "x", gates, output="y")
    model = net.model({"x": ("images", *SHAPE[1:]), "z": (name or None, 2)}, {"y": None})
    assert len(match(graph_of(model))[0]) == found


UNREAD = {
    "added-batch": hidden(lambda net: net("Relu", net("Add", layer(net, pool(net)), net.constant(
        np.arange(3).reshape(3, 1, 1, 1))))),
    "columns-of-logits": gated(lambda net, x: net("Sigmoid", net("Mul", x, net.constant(np.arange(1.0, 6))))),
    "larger-mean": pooled(lambda net: net("Add", pool(net), net.constant(np.zeros((2, 1, 1, 1))))),
    "five-axes": lambda net: net("Reshape", net("Mul", "x", net("Mul", excite(net, pool(net)), net.constant(
        np.ones((1,) * 5)))), net("Shape", "x")),
    "normalised": hidden(lambda net: net("Relu", net("BatchNormalization", net("Transpose", layer(net, pool(
        net)), perm=[1, 0, 2, 3]), *(net.constant(np.arange(1, 4)) for _ in range(4))))),
    "dropout": hidden(lambda net: net("Dropout", net("Relu", layer(net, pool(net))), net.constant(0.5),
                                      net("Not", net.constant(False, bool)))),
    "repeated-hidden": hidden(lambda net: net("Expand", net("Relu", layer(net, pool(net))), sizes_of(
        net, "x", 2, 1, 1, 1))),
}


@pytest.mark.parametrize("make", UNREAD.values(), ids=UNREAD)
def test_what_changes_a_vector_is_no_part_of_a_block(make):
    assert unread(make, shape=(3, *SHAPE[1:]))


@pytest.mark.parametrize(("perm", "found"), [
    ([1, 0, 2, 3], 0), ([2, 1, 0, 3], 0), ([0, 1, 3, 2], 1), ([0, 1, 2, 3], 1)])
def test_a_map_whose_axes_are_exchanged(perm, found):
    """Its images must stay its images; rows and columns are averaged together."""
    net = Net()
    net("Mul", net("Transpose", "x", perm=perm), excite(net, pool(net)), output="y")
    model = net.model({"x": (CHANNELS,) * 4}, {"y": None})
    assert len(match(graph_of(model))[0]) == found


def test_a_matrix_from_the_left_takes_columns_alone():
    held = block()

    def model(columns):
        net = Net()
        x = net.reshape(pool(net), *((-1, CHANNELS, 1) if columns else (CHANNELS, CHANNELS)))
        x = net("Relu", net("MatMul", net.constant(held.w1), x))
        x = net("MatMul", net.constant(held.w2), x)
        gates = net("Sigmoid", net.reshape(x, CHANNELS, CHANNELS, 1, 1))
        return whole(net, net("Mul", "x", gates), (CHANNELS, *SHAPE[1:]))

    found = only(model(columns=True))
    np.testing.assert_allclose(found.float_block.w1, held.w1)
    assert found.squeeze == SQUEEZE
    assert match(graph_of(model(columns=False)))[0] == []
