# SPDX-License-Identifier: Apache-2.0
"""Squeeze-and-excite blocks are found in every spelling with what was put in, and nothing else is taken for one."""

import ml_dtypes
import numpy as np
import pytest

from tests.helpers.onnx_lookalikes import excite, gated
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import (
    CHANNELS,
    HEIGHT,
    SHAPE,
    SPELLINGS,
    SQUEEZE,
    WIDTH,
    Spelling,
    block,
    network,
    se,
    whole,
)
from tests.helpers.onnx_runs import graph_of, only
from tiled_se.network.match.match import match
from tiled_se.network.network import find_blocks
from tiled_se.network.read.shapes import infer


def check(found, expected):
    """`found` is a block of the FloatBlock `expected`."""
    held = found.float_block
    assert (found.channels, found.squeeze) == (CHANNELS, SQUEEZE)
    assert found.parameters == sum(array.size for array in (held.w1, held.b1, held.w2, held.b2))
    for name in ("w1", "b1", "w2", "b2"):
        np.testing.assert_allclose(getattr(held, name), getattr(expected, name), rtol=0, atol=1e-6)
    assert (held.mid, held.gate.kind, held.residual) == (expected.mid, expected.gate.kind, expected.residual)
    numbers = [(gate.slope, gate.offset) for gate in (held.gate, expected.gate)]
    np.testing.assert_allclose(*numbers, rtol=0, atol=1e-7)


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_gives_what_was_put_in(spelling):
    found = only(network(spelling))
    check(found, block(spelling))
    # A product that is turned back before x is added is a block on x as it was.
    assert found.channels_last is (spelling.last is True or spelling.last == "turned" and spelling.end != "add")
    assert not found.quantised
    if not spelling.sized and spelling.joint != "shape":
        # Height and batch may be open.
        check(only(network(spelling, height="H", batch="N")), block(spelling))


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_without_shapes_a_block_is_found_or_left_out(spelling):
    """As where inference does not know an operator before the block."""
    graph = graph_of(network(spelling))
    graph.dims = {tensor: dims for tensor, dims in graph.dims.items() if tensor in graph.initializers}
    blocks, reasons = match(graph)
    assert len(blocks) + len(reasons) == 1


def test_weights_that_are_not_finite_are_reported():
    net = Net()
    held = block()
    held.w2[0, 0] = np.inf
    hidden = net("Relu", net("Conv", net("GlobalAveragePool", "x"), net.constant(held.w1[:, :, None, None])))
    gates = net("Sigmoid", net("Conv", hidden, net.constant(held.w2[:, :, None, None])))
    net("Mul", "x", gates, output="y")
    assert match(graph_of(whole(net))) == ([], {
        "node_y": "w2 is not finite, must hold finite float32 numbers only"})


@pytest.mark.parametrize("kind", [np.float16, np.float64, ml_dtypes.bfloat16], ids=["float16", "float64", "bfloat16"])
@pytest.mark.parametrize("layer", ["conv", "gemm"])
def test_other_types(kind, layer):
    spelling = Spelling(layer=layer, gate="relu6", mid="divided")
    check(only(network(spelling, kind=kind)), block(spelling))


@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (1,) * 5], ids=["batch", "axes"])
def test_a_factor_that_makes_the_map_larger_stays_in_the_network(shape):
    for spelling in (Spelling(), Spelling(end="add")):
        net = Net()
        scaled = se(net, "x", spelling)
        ones = net.constant(np.ones(shape))
        if spelling.end == "add":
            last = net.nodes.pop()
            scaled = last.input[1]
            net("Add", "x", net("Mul", scaled, ones), output="y")
        else:
            net("Mul", scaled, ones, output="y")
        found = only(net.model({"x": SHAPE}, {"y": None}))
        assert (found.y, found.float_block.residual) == (scaled, False)


@pytest.mark.parametrize(("batches", "found"), {(1, 1): 1, ("N", 1): 0, ("N", -1): 1, ("N", 0): 1, (2, 1): 0,
                                                (2, 2): 1}.items())
def test_a_batch_that_is_written_as_a_number_must_be_declared_so(batches, found):
    """Channels of several images would be averaged together otherwise."""
    declared, written = batches
    net = Net()
    means = net.mean(net.reshape("x", written, CHANNELS, HEIGHT * WIDTH if written == -1 else -1), [2])
    net("Mul", "x", excite(net, net.reshape(means, -1, CHANNELS, 1, 1)), output="y")
    graph = graph_of(net.model({"x": (declared, *SHAPE[1:])}, {"y": None}))
    # What is open is inferred for a batch of one.
    graph.dims = infer(graph, [1 if declared == "N" else declared, *SHAPE[1:]])
    assert len(match(graph)[0]) == found


def test_another_factor_stays_in_the_network():
    """The block ends with the product that is one; what multiplies it is none of its nodes."""
    net = Net()
    scaled = se(net, "x", Spelling(gate="fifth"))
    net("Div", net("Mul", scaled, net.constant(2)), net.constant(2), output="y")
    found = only(whole(net))
    assert found.y == scaled
    check(found, block(Spelling(gate="fifth")))


def test_a_factor_in_front_belongs_to_the_map_where_the_mean_is_of_the_multiple():
    net = Net()
    multiple = net("Mul", "x", net.constant(6))
    found = only(whole(net, se(net, multiple, Spelling())))
    assert found.x == multiple
    check(found, block())


@pytest.mark.parametrize(("make", "factor"), [
    (lambda net, x: net("Add", net("Mul", net("Tanh", x), net.constant(0.5)), net.constant(0.5)), 2),
    (lambda net, x: net("Reciprocal", net("Add", net("Exp", x), net.constant(1))), -1),
    (lambda net, x: net("Sub", net.constant(1), net("Sigmoid", x)), -1)], ids=["tanh", "power", "complement"])
def test_sigmoids_of_scaled_logits(make, factor):
    net = Net()
    found = only(whole(net, gated(make)(net))).float_block
    np.testing.assert_array_equal(found.w2, factor * block().w2)
    np.testing.assert_array_equal(found.b2, factor * block().b2)


def residual_of(end, outputs=("y",)):
    """Whether the block of a network is residual; `end` makes the output from the net and the scaled map."""
    net = Net()
    net("Identity", end(net, se(net, "x", Spelling())), output="y")
    return only(net.model({"x": SHAPE}, dict.fromkeys(outputs, SHAPE))).float_block.residual


def test_what_is_no_residual():
    assert residual_of(lambda net, y: net("Add", "x", y))
    assert not residual_of(lambda net, y: net("Sub", y, "x"))
    assert not residual_of(lambda net, y: net("Add", y, y))
    assert not residual_of(lambda net, y: net("Add", net("Relu", "x"), y))
    assert not residual_of(lambda net, y: net("Add", "x", net("Mul", y, net.constant(0.5))))
    assert not residual_of(lambda net, y: net("Add", net("Mul", "x", net.constant(2)), y))
    assert not residual_of(lambda net, y: net("Add", net("Relu", y), net("Add", "x", y)))


def test_a_scaled_map_that_is_an_output_is_no_residual_sum():
    def end(net, y):
        net.nodes[-1].output[0] = "scaled"
        return net("Add", "x", "scaled")

    assert residual_of(end)
    assert not residual_of(end, ["y", "scaled"])


def test_one_gate_for_two_maps_is_one_block():
    net = Net()
    gates = excite(net, net("GlobalAveragePool", "x"))
    net("Add", net("Mul", "x", gates, output="first"), net("Mul", net("Relu", "x"), gates), output="y")
    assert only(whole(net)).y == "first"


def test_blocks_on_blocks_and_beside_each_other():
    net = Net()
    outer = se(net, "x", Spelling(), seed=2)
    inner = se(net, outer, Spelling(end="add"), seed=3)
    beside = se(net, "x", Spelling(gate="fifth"), seed=4)
    found = find_blocks(whole(net, net("Add", net("Add", inner, outer), beside)))
    assert [(item.x, item.y) for item in found] == [("x", outer), (outer, inner), ("x", beside)]
    for item, seed, spelling in zip(found, (2, 3, 4), (Spelling(), Spelling(end="add"), Spelling(gate="fifth")),
                                    strict=True):
        check(item, block(spelling, seed))


def test_fused_layers():
    net, held = Net(), block()
    hidden = net("FusedConv", net("GlobalAveragePool", "x"), net.constant(held.w1[:, :, None, None]),
                 net.constant(held.b1), activation="Relu")
    gates = net("FusedConv", hidden, net.constant(held.w2[:, :, None, None]), net.constant(held.b2),
                activation="HardSigmoid", activation_params=[0.2, 0.5])
    net("Mul", "x", gates, output="y")
    check(only(whole(net)), block(Spelling(gate="fifth")))


def named(layers, ends):
    """Names of the blocks in a chain of them whose first layer and last node have these names."""
    net, x = Net(), "x"
    for seed, (layer, end) in enumerate(zip(layers, ends, strict=True)):
        first = len(net.nodes)
        x = se(net, x, Spelling(), seed=seed)
        next(node for node in net.nodes[first:] if node.op_type == "Conv").name = layer
        net.nodes[-1].name = end
    return [item.name for item in find_blocks(whole(net, x))]


def test_names():
    assert named(["/stage.1/se/fc1/Conv", "Conv.3"], ["/stage.1/se/Mul", "Mul.4"]) == ["stage.1/se", "Mul.4"]
    assert named(["/a/fc/Conv"] * 3, ["/a/Mul"] * 3) == ["a", "a#2", "a#3"]
    assert named(["/a/Conv"], ["/b/Mul"]) == ["/b/Mul"]
    # Of nodes without names, the tensors'.
    assert named(["", ""], ["", ""]) == ["mul_5", "mul_11"]


def test_a_transpose_of_what_is_flat_already_is_none_for_a_batch():
    """Gates whose batch and channels are exchanged go with no map of as many images as channels."""
    net, held = Net(), block()
    means = net("Flatten", net("GlobalAveragePool", "x"))
    turned = net("Transpose", means, perm=[1, 0])
    hidden = net("Relu", net("Gemm", turned, net.constant(held.w1), net.constant(held.b1), transB=1))
    gates = net("Sigmoid", net("Gemm", hidden, net.constant(held.w2), net.constant(held.b2), transB=1))
    net("Mul", "x", net.reshape(gates, CHANNELS, CHANNELS, 1, 1), output="y")
    shape = (CHANNELS, *SHAPE[1:])
    assert find_blocks(whole(net, shape=shape)) == []
