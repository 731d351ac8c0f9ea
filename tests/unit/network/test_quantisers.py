# SPDX-License-Identifier: Apache-2.0
"""What the range of a quantiser does to a tensor: which activation it is, or that it is none that a block has."""

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto

from tests.helpers.onnx_lookalikes import between, excite, gated, layer, pool
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import SQUEEZE, Spelling, block, whole
from tests.helpers.onnx_parts import GATES, MIDS
from tests.helpers.onnx_runs import graph_of
from tiled_se.network.check.blocks import differing
from tiled_se.network.match.match import match


def rounded(net, x, scale, zero=0, kind=np.uint8, **about):
    """`x` on its way through integers; no zero point is written if it is None."""
    numbers = [net.constant(scale), *([] if zero is None else [net.constant(zero, kind)])]
    return net("DequantizeLinear", net("QuantizeLinear", x, *numbers, **about), *numbers, **about)


def clipped(net, x, scale, ends, zero=0, through=TensorProto.FLOAT, back=True):
    """`x` on its way through uint16, of which only the integers between `ends` come up; without `back` these."""
    numbers = net.constant(scale), net.constant(zero, np.uint16)
    integers = net.clip(net("Cast", net("QuantizeLinear", x, *numbers), to=through), *ends)
    return net("DequantizeLinear", net("Cast", integers, to=TensorProto.UINT16), *numbers) if back else integers


def read(make, opset=21):
    """``(blocks, reasons)`` of the network that `make` writes."""
    net = Net(opset)
    blocks, reasons = match(graph_of(whole(net, make(net))))
    return [found.float_block for found in blocks], list(reasons.values())


def mid_of(make):
    """The activation of the network that has the nodes of `make` between its layers; its reason if it is none."""
    blocks, reasons = read(between(make))
    return blocks[0].mid.value if blocks else reasons[0]


@pytest.mark.parametrize(("mid", "numbers"), [
    ("relu6", (6 / 255, 0)), ("relu6", (6 / 255, None)), ("relu6", (6 / 255, -128, np.int8)),
    ("relu6", (6.01 / 255, 0)), ("relu", (6.02 / 255, 0)), ("relu6", (5.99 / 255, 0)), ("relu", (5.98 / 255, 0)),
    ("relu6", (6 / 65535, 0, np.uint16)), ("relu6", (6 / 15, 0, ml_dtypes.uint4)), ("relu", (1 / 255, 0)),
    ("relu", (9 / 255, None)), ("identity", (6 / 127, 0, np.int8)), ("identity", (6 / 255, 1)),
    ("relu6", ([6 / 255], [0])), ("relu6", ([6 / 255] * SQUEEZE, [0] * SQUEEZE)),
    ("identity", (6 / 448, 0, ml_dtypes.float8_e4m3fn))])
def test_ranges_of_a_hidden_vector(mid, numbers):
    assert mid_of(lambda net, x: rounded(net, x, *numbers)) == mid
    # After an explicit ReLU only the upper end counts.
    upper = "relu6" if mid == "relu6" or numbers[1:] in ((0, np.int8), (1,), (0, ml_dtypes.float8_e4m3fn)) and \
        numbers[0] != 6 / 255 else "relu"
    assert mid_of(lambda net, x: rounded(net, net("Relu", x), *numbers)) == upper


def test_one_end_for_some_channels_is_no_activation():
    reason = mid_of(lambda net, x: rounded(net, x, [1 / 8] * SQUEEZE, [0, 0, 1]))
    assert reason == "its hidden vector is cut at 0 by the range of QuantizeLinear node_quantizelinear_2"


@pytest.mark.parametrize("numbers", [
    ([6 / 255, 1, 1], [0] * SQUEEZE), ([6 / 255, 1, 1], [1, 2, 3]), ([6 / 65535, 9 / 65535, 1], [0] * 3, np.uint16),
    ([1 / 8] * SQUEEZE, [0, 1, 2])])
def test_several_ranges_are_no_activation(numbers):
    """One channel ends at 6, or begins at 0: the others don't."""
    for before in ("Relu", "Identity"):
        reason = mid_of(lambda net, x, before=before: rounded(net, net(before, x), *numbers))
        assert reason.startswith("its hidden vector is cut ")
        assert "several ranges" in reason or (before, numbers[1][:2]) == ("Identity", [0, 1])


def test_several_ranges_of_gates_and_means():
    several = [1 / 127, 1 / 127, 1 / 127, 1 / 127, 1 / 127, 1 / 99], [0] * 6, np.int8
    assert "gates are cut to several ranges" in gate_of(lambda net, x: rounded(net, net("Sigmoid", x), *several))
    reason = read(lambda net: net("Mul", "x", excite(net, rounded(net, pool(net), *several))))[1]
    assert reason == ["its mean is cut to several ranges by QuantizeLinear node_quantizelinear_1"]


@pytest.mark.parametrize(("scale", "kind"), [(6 / 255, np.uint8), (4 / 255, np.uint8), (4 / 65535, np.uint16)])
def test_one_range_for_each_channel_that_is_the_same_is_one_range(scale, kind):
    found = []
    for count in (1, SQUEEZE):
        net = Net(21)
        make = between(lambda net, x, count=count: rounded(net, x, [scale] * count, [0] * count, kind))
        graph = graph_of(whole(net, make(net)))
        (agreeing,), reasons = differing(graph, match(graph)[0])
        assert reasons == {}
        found.append((agreeing.float_block.mid, agreeing.ranges))
    assert found[0] == found[1]


def test_a_cut_before_a_shift_is_no_activation_after_it():
    reason = mid_of(lambda net, x: net("Relu", plus3(net, rounded(net, x, 1 / 8))))
    assert reason.startswith("its activation between the layers (QuantizeLinear")
    assert mid_of(lambda net, x: net("Relu", plus3(net, rounded(net, x, 1 / 8, 100)))) == "relu"


def test_negative_numbers_alone_are_no_activation():
    """Integers whose highest stands for 0."""
    assert "is cut above 0" in mid_of(lambda net, x: rounded(net, x, 1 / 8, 255))


@pytest.mark.parametrize("mid", ["silu", "product", "divided", "hardswish"])
def test_a_smooth_activation_may_be_rounded_but_not_cut(mid):
    assert mid_of(lambda net, x: rounded(net, MIDS[mid][1](net, x), 1 / 8, 3)) == MIDS[mid][0].value
    assert mid_of(lambda net, x: MIDS[mid][1](net, rounded(net, x, 1 / 8, 30))) == MIDS[mid][0].value
    for make in (lambda net, x: rounded(net, MIDS[mid][1](net, x), 1 / 8),
                 lambda net, x: MIDS[mid][1](net, rounded(net, x, 1 / 8))):
        assert "is not supported" in mid_of(make) or "not known" in mid_of(make)


def test_what_a_hard_swish_is_made_of_may_be_clipped_by_the_range():
    def mid(net, x):
        return net("Div", net("Mul", x, rounded(net, net("Add", x, net.constant(3)), 6 / 255)), net.constant(6))

    assert mid_of(mid) == "hardswish"


def gate_of(make):
    blocks, reasons = read(gated(make))
    return str(blocks[0].gate) if blocks else reasons[0]


def plus3(net, x):
    return net("Add", x, net.constant(3))


def sixth(net, x):
    return net("Div", x, net.constant(6))


ABSORBED = {
    "both": lambda net, x: rounded(net, sixth(net, plus3(net, x)), 1 / 255),
    "both-in-int8": lambda net, x: rounded(net, sixth(net, plus3(net, x)), 1 / 255, -128, np.int8),
    "both-before-the-division": lambda net, x: sixth(net, rounded(net, plus3(net, x), 6 / 255, None)),
    "low": lambda net, x: sixth(net, rounded(net, net("Min", plus3(net, x), net.constant(6)), 7 / 255)),
    "high": lambda net, x: sixth(net, rounded(net, net("Relu", plus3(net, x)), 6 / 255)),
    "none": lambda net, x: rounded(net, sixth(net, net.clip(plus3(net, x), 0, 6)), 0.9 / 255),
    "mirrored": lambda net, x: net("Sub", net.constant(1), rounded(net, net("Sub", net.constant(0.5), sixth(
        net, x)), 1 / 255)),
    "ends-of-the-logits": lambda net, x: net("Add", net.constant(0.5), sixth(net, rounded(
        net, x, 6 / 65535, 32768, np.uint16))),
}


@pytest.mark.parametrize("make", ABSORBED.values(), ids=ABSORBED)
def test_a_quantiser_may_clip_the_gate(make):
    assert gate_of(make) == "hardsigmoid:0.16666667,0.5"


@pytest.mark.parametrize("make", [
    lambda net, x: rounded(net, sixth(net, plus3(net, x)), 1.01 / 255),
    lambda net, x: rounded(net, sixth(net, plus3(net, x)), 1 / 255, 1),
    lambda net, x: sixth(net, rounded(net, net("Relu", plus3(net, x)), 7 / 255))], ids=["high", "low", "calibrated"])
def test_a_linear_gate_whose_ends_are_others_is_none(make):
    assert "is not known as a sigmoid" in gate_of(make)


@pytest.mark.parametrize(("make", "high"), [
    (lambda net, x: rounded(net, sixth(net, plus3(net, x)), 0.8 / 255), 0.8),
    (lambda net, x: sixth(net, rounded(net, plus3(net, x), 5.1 / 255)), 0.85),
    (lambda net, x: net("Mul", net.constant(2), rounded(net, net("Div", plus3(net, x), net.constant(12)), 0.3 / 255)),
     0.6)], ids=["gate", "before-the-division", "before-a-product"])
def test_a_clip_that_calibration_never_came_up_to(make, high):
    """Quantisers leave a hard sigmoid's upper end out if no gate came up to one; the block has their range, too."""
    net = Net(21)
    graph = graph_of(whole(net, gated(make)(net)))
    (found,) = match(graph)[0]
    assert str(found.float_block.gate) == "hardsigmoid:0.16666667,0.5"
    assert found.ranges.stages == {"gates": (-np.inf, pytest.approx(high))}
    assert differing(graph, [found]) == ([found], {})


def test_a_range_before_the_division_of_the_product():
    blocks, _ = read(lambda net: sixth(net, gated(lambda net, x: rounded(net, plus3(net, x), 6 / 255))(net)))
    assert str(blocks[0].gate) == "hardsigmoid:0.16666667,0.5"


@pytest.mark.parametrize("gate", GATES)
def test_every_gate_may_be_rounded_at_each_node(gate):
    """Ranges that begin at 0 cut nothing off what is positive anyway."""
    net, positive = Net(21), {"Sigmoid", "HardSigmoid", "Exp", "Clip", "Min", "Max", "Reciprocal"}
    gates = GATES[gate][1](net, layer(net, net("Relu", layer(net, pool(net))), 2))
    first = next(at for at, node in enumerate(net.nodes) if node.op_type == "Conv" and at > 2)
    nodes, net.nodes = net.nodes, []
    names = {}
    for at, node in enumerate(nodes):
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)
        net.nodes.append(node)
        if at > first:
            low = node.op_type in positive and gate not in ("mirrored", "ends")
            names[node.output[0]] = rounded(net, node.output[0], 16 / 255, 0 if low else 128)
    y = net("Mul", "x", names[gates])
    model = whole(net, net("Div", y, net.constant(6)) if gate == "unscaled" else y)
    (found,) = match(graph_of(model))[0]
    assert found.float_block.gate.kind is GATES[gate][0].kind


POSITIVE = {
    "relu": lambda net, x: net("Relu", x),
    "clip": lambda net, x: net.clip(x, 0, 9),
    "sigmoid": lambda net, x: net("Sigmoid", x),
    "pool": lambda net, x: net("MaxPool", net("Relu", x), kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "sum": lambda net, x: net("Add", net("Relu", x), net("AveragePool", net("Relu", x), kernel_shape=[1, 1])),
    "concat": lambda net, x: net("Concat", *[net("Relu", part) for part in halves(net, x)], axis=1),
    "transposed": lambda net, x: net("Transpose", net("Transpose", net("Relu", x), perm=[0, 2, 3, 1]),
                                     perm=[0, 3, 1, 2]),
    "scaled": lambda net, x: net("Mul", net("Relu", x), net.constant(3)),
    "quantised": lambda net, x: rounded(net, x, 1 / 16),
    "quantised-twice": lambda net, x: rounded(net, net("MaxPool", rounded(net, x, 1 / 16), kernel_shape=[1, 1]), 1 / 8),
    "gated": lambda net, x: net("Mul", net("Relu", x), net("HardSigmoid", x)),
}
ANY = {
    "x": lambda net, x: x,
    "leaky": lambda net, x: net("LeakyRelu", x),
    "clip": lambda net, x: net.clip(x, -1, 9),
    "difference": lambda net, x: net("Sub", net("Relu", x), net("Sigmoid", x)),
    "negative": lambda net, x: net("Mul", net("Relu", x), net.constant(-3)),
    "concat": lambda net, x: net("Concat", *[net(operator, part) for operator, part in zip(
        ("Relu", "Tanh"), halves(net, x), strict=True)], axis=1),
    "quantised": lambda net, x: rounded(net, x, 1 / 16, 1),
    "cubic": lambda net, x: net("Resize", net("Relu", x), "", net.constant([1, 1, 1, 1]), mode="cubic"),
}


def halves(net, x):
    ends = [([0], [3]), ([3], [6])]
    return [net("Slice", x, *(net.constant(end, np.int64) for end in (low, high, [1]))) for low, high in ends]


def of_a_cut_mean(make):
    def network(net):
        x = make(net, "x")
        return net("Mul", x, excite(net, rounded(net, pool(net, x), 1 / 8)))

    return network


@pytest.mark.parametrize("make", POSITIVE.values(), ids=POSITIVE)
def test_a_mean_that_is_cut_where_it_is_positive_anyway(make):
    assert len(read(of_a_cut_mean(make))[0]) == 1


@pytest.mark.parametrize("make", ANY.values(), ids=ANY)
def test_a_mean_that_may_be_negative_must_not_be_cut(make):
    blocks, (reason,) = read(of_a_cut_mean(make))
    assert blocks == []
    assert reason.startswith("its mean is cut at 0 by the range of QuantizeLinear")


def test_a_map_that_is_cut_for_the_mean_and_the_product_is_one_map():
    def network(net, again=1 / 8):
        numbers = net.constant(1 / 8), net.constant(0, np.uint8)
        integers = net("QuantizeLinear", "x", *numbers)
        pooled = net("DequantizeLinear", integers, net.constant(again), numbers[1])
        return net("Mul", net("DequantizeLinear", integers, *numbers), excite(net, pool(net, pooled)))

    assert len(read(network)[0]) == 1
    assert read(lambda net: network(net, again=1 / 4))[0] == []
    for one in (lambda net: net("Mul", rounded(net, "x", 1 / 8), excite(net, pool(net))),
                lambda net: net("Mul", "x", excite(net, pool(net, rounded(net, "x", 1 / 8))))):
        assert read(one) == ([], ["a quantiser cuts its map at 0 for the mean alone, or for the product alone"])


@pytest.mark.parametrize(("zero", "residual"), [(128, True), (0, False)])
def test_a_product_that_is_cut_is_no_part_of_a_residual_sum(zero, residual):
    (found,), _ = read(lambda net: net("Add", "x", rounded(net, net("Mul", "x", excite(net, pool(net))), 1 / 8, zero)))
    assert found.residual is residual
    (found,), _ = read(lambda net: net("Add", x := net("Relu", "x"), rounded(
        net, net("Mul", x, excite(net, pool(net, x))), 1 / 8, zero)))
    assert found.residual


@pytest.mark.parametrize(("ends", "mid"), [((0, 2400), "relu6"), ((0, 2000), "relu"), ((0, 65535), "relu")])
def test_integers_that_are_clipped_as_floats(ends, mid):
    """The ends of the Clip are those of the range."""
    assert mid_of(lambda net, x: clipped(net, x, 1 / 400, ends)) == mid


@pytest.mark.parametrize(("ends", "through"), [((0, 2400), TensorProto.FLOAT16), ((0, 2399.5), TensorProto.FLOAT),
                                               ((0, None), TensorProto.FLOAT)])
def test_what_may_not_only_clip(ends, through):
    """A coarser type rounds the integers, and half an integer is none."""
    (blocks, _) = read(between(lambda net, x: clipped(net, x, 1 / 400, ends, through=through)))
    assert blocks == []


@pytest.mark.parametrize(("back", "zero", "residual"), [(True, 2048, True), (True, 0, False), (False, 2048, False)])
def test_a_product_whose_integers_are_clipped_in_a_residual_sum(back, zero, residual):
    """The product is dequantised before the sum, or it is another one."""
    (found,), _ = read(lambda net: net("Add", "x", clipped(net, net("Mul", "x", excite(net, pool(net))), 1 / 64,
                                                           (0, 4095), zero, back=back)))
    assert found.residual is residual


def test_logits_may_be_rounded_but_not_cut():
    assert gate_of(lambda net, x: net("Sigmoid", rounded(net, x, 1 / 8, 128))) == "sigmoid"
    assert "its logits are cut at 0" in gate_of(lambda net, x: net("Sigmoid", rounded(net, x, 1 / 8)))


@pytest.mark.parametrize("place", ["hidden", "gates", "mean"])
@pytest.mark.parametrize(("forth", "back"), [
    ((1 / 8, 0), (1 / 4, 0)), ((1 / 8, 3), (1 / 8, 4)), ((1 / 8, None), (1 / 8, 3)),
    ((1 / 8, 0), ([1 / 8, 1 / 4, 1], [0] * 3))], ids=["scale", "zero", "missing", "axis"])
def test_other_numbers_on_the_way_back_are_a_factor(place, forth, back):
    def turned(net, x):
        def numbers(scale, zero):
            return [net.constant(scale), *([] if zero is None else [net.constant(zero, np.uint8)])]

        return net("DequantizeLinear", net("QuantizeLinear", x, *numbers(*forth)), *numbers(*back))

    makes = {"hidden": between(lambda net, x: turned(net, net("Relu", x))),
             "gates": gated(lambda net, x: turned(net, net("Sigmoid", x))),
             "mean": lambda net: net("Mul", x := net("Relu", "x"), excite(net, turned(net, pool(net, x))))}
    blocks, (reason,) = read(makes[place])
    assert blocks == []
    assert "quantised and dequantised with different numbers" in reason


def test_a_missing_zero_point_is_a_zero():
    def mid(net, x):
        scale = net.constant(6 / 255)
        return net("DequantizeLinear", net("QuantizeLinear", x, scale), scale, net.constant(0, np.uint8))

    assert mid_of(mid) == "relu6"


def test_numbers_that_are_computed_are_not_known():
    def mid(net, x):
        scale = net("Cast", net("Gather", net("Shape", "x"), net.constant(2, np.int64)), to=TensorProto.FLOAT)
        return net("DequantizeLinear", net("QuantizeLinear", x, scale), scale)

    assert "not known that its hidden vector is only rounded" in mid_of(mid)


def test_the_block_of_a_quantised_network_has_its_weights():
    (found,), _ = read(between(lambda net, x: rounded(net, x, 1 / 8)))
    np.testing.assert_allclose(found.w1, block(Spelling()).w1, atol=1e-6)
