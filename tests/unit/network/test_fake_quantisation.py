# SPDX-License-Identifier: Apache-2.0
"""Numbers of blocks that were rounded to their types, and roundings to integers inside of blocks."""

import ml_dtypes
import numpy as np
import onnx
import pytest

from tests.helpers.onnx_lookalikes import between, excite, gated, pool, pooled
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import Spelling, block, network, whole
from tests.helpers.onnx_parts import GATES
from tests.helpers.onnx_runs import graph_of, only
from tiled_se.network.match.match import match
from tiled_se.network.network import find_blocks


def count(net):
    """How many blocks there are in it, from x to y."""
    return len(find_blocks(whole(net)))


@pytest.mark.parametrize(("kind", "numbers"), {np.float16: "0.16662598,0.49987793", np.float32: "0.16666667,0.5",
                                               ml_dtypes.bfloat16: "0.16699219,0.50097656"}.items())
@pytest.mark.parametrize("mid", ["relu", "sixth"])
def test_rounded_factors(kind, numbers, mid):
    """Slopes are those of the file, without the tails of their type's products; what is one but for rounding is one."""
    for spelling in (Spelling(gate="times", mid=mid), Spelling(gate="unscaled", end="times", mid=mid)):
        form = only(network(spelling, kind=kind)).float_block
        assert form.mid is block(spelling).mid
        assert str(form.gate) == f"hardsigmoid:{numbers}"


def test_the_offset_of_a_gate_plus_one_has_no_tail():
    assert str(only(network(Spelling(gate="unscaled", end="raised"))).float_block.gate) == "hardsigmoid:0.16666667,0.5"
    assert str(only(network(Spelling(gate="fifth", end="one"))).float_block.gate) == "hardsigmoid:0.2,0.5"


@pytest.mark.parametrize(("kind", "found"), {np.float32: 0, np.float16: 0, ml_dtypes.bfloat16: 1}.items())
def test_coarse_constants_loosen_their_own_gate_alone(kind, found):
    """A factor that is a sixth but for rounding to bfloat16 counts as one where it was of that type."""
    net, beside = Net(), Net()
    factor = net("Cast", net.constant(0.167, kind), to=onnx.TensorProto.FLOAT)
    net("Mul", gated(GATES["unscaled"][1])(net), factor, output="y")
    beside("Mul", gated(GATES["unscaled"][1])(beside), beside.constant(float(np.float32(kind(0.167)))), output="y")
    beside.constant(0, kind)
    assert (count(net), count(beside)) == (found, 0)


@pytest.mark.parametrize(("kind", "found"), {np.float32: 0, ml_dtypes.bfloat16: 1}.items())
def test_coarse_constants_loosen_their_own_activation_alone(kind, found):
    net = Net()
    net.constant(0, ml_dtypes.bfloat16)

    def mid(net, x):
        factor = net("Cast", net.constant(0.167, kind), to=onnx.TensorProto.FLOAT)
        return net("Mul", net("Mul", x, net.clip(net("Add", x, net.constant(3)), 0, 6)), factor)

    assert len(find_blocks(whole(net, between(mid)(net)))) == found


def quantised(zero, kind=np.uint8):
    """A network with integers after the first layer, whose lowest is `zero`, and no other activation there."""
    net, held = Net(), block()
    hidden = net("Conv", net("GlobalAveragePool", "x"), net.constant(held.w1[:, :, None, None]), net.constant(held.b1))
    numbers = net.constant(0.01), net.constant(zero, kind)
    hidden = net("DequantizeLinear", net("QuantizeLinear", hidden, *numbers), *numbers)
    logits = net("Conv", hidden, net.constant(held.w2[:, :, None, None]), net.constant(held.b2))
    net("Mul", "x", net("Sigmoid", logits), output="y")
    return only(whole(net))


def test_quantised_relu_is_where_the_lowest_integer_is_zero():
    assert [quantised(zero).float_block.mid.value for zero in (0, 3)] == ["relu", "identity"]
    assert [quantised(zero, np.int8).float_block.mid.value for zero in (-128, 0)] == ["relu", "identity"]
    assert quantised(0).quantised


def rounded(net, x):
    """`x` on its way through integers."""
    numbers = net.constant(0.25), net.constant(0, np.int8)
    return net("DequantizeLinear", net("QuantizeLinear", x, *numbers), *numbers)


def excited(net, x):
    return excite(net, net("GlobalAveragePool", x), gate="unscaled")


ROUNDED = {
    "factor": lambda net, x: net("Div", rounded(net, net("Mul", x, excited(net, x))), net.constant(6)),
    "sum": lambda net, x: net("Add", x, rounded(net, net("Div", net("Mul", x, excited(net, x)), net.constant(6)))),
    "map": lambda net, x: net("Div", net("Mul", rounded(net, x), excited(net, x)), net.constant(6)),
    "multiple": lambda net, x: net("Mul", rounded(net, net("Div", x, net.constant(6))), excited(net, x)),
    "means": lambda net, x: net("Div", net("Mul", x, excited(net, rounded(net, x))), net.constant(6)),
    "gates": lambda net, x: net("Div", net("Mul", x, rounded(net, excited(net, x))), net.constant(6)),
    "summand": lambda net, x: net("Add", rounded(net, x), net("Div", net("Mul", x, excited(net, x)), net.constant(6))),
}


@pytest.mark.parametrize("end", ROUNDED.values(), ids=ROUNDED)
def test_every_rounding_in_a_block_is_told(end):
    net = Net()
    assert only(whole(net, end(net, net("Relu", "x")))).quantised


def test_roundings_around_a_block_are_not_in_it():
    """Quantisers give every reader of the integers a DequantizeLinear of its own."""
    net = Net()
    numbers = net.constant(0.25), net.constant(0, np.int8)
    integers = net("QuantizeLinear", net("Relu", rounded(net, "x")), *numbers)
    x, pooled, summand = (net("DequantizeLinear", integers, *numbers) for _ in range(3))
    scaled = net("Div", net("Mul", x, excited(net, pooled)), net.constant(6))
    found = only(whole(net, rounded(net, net("Add", summand, scaled))))
    assert found.float_block.residual
    assert not found.quantised


def rounded_to(kind, place, like=False):
    """The reasons for a network whose map is float32, and in which a tensor is rounded to another float type.

    With `like` it is that of another tensor.
    """
    def coarse(net, x):
        if like:
            there = net.constant(1, onnx.helper.tensor_dtype_to_np_dtype(kind))
            return net("CastLike", net("CastLike", x, there), "x")
        return net("Cast", net("Cast", x, to=kind), to=onnx.TensorProto.FLOAT)

    makes = {"mean": pooled(lambda net: coarse(net, pool(net))), "hidden": between(lambda net, x: coarse(
        net, net("Relu", x))), "gates": gated(lambda net, x: coarse(net, net("Sigmoid", x))),
        "product": lambda net: coarse(net, net("Mul", "x", excite(net, pool(net)))),
        "map": lambda net: net("Mul", x := coarse(net, "x"), excite(net, pool(net, x)))}
    net = Net(17)
    blocks, reasons = match(graph_of(whole(net, makes[place](net))))
    assert len(blocks) + len(reasons) == 1
    return list(reasons.values())


@pytest.mark.parametrize("like", [False, True])
@pytest.mark.parametrize("place", ["mean", "hidden", "gates"])
def test_a_block_that_is_rounded_to_a_coarser_float_than_its_map_is_left_out(place, like):
    assert rounded_to(onnx.TensorProto.FLOAT16, place, like) == ["it is rounded to float16 inside, its map is not"]
    assert rounded_to(onnx.TensorProto.BFLOAT16, place, like) == ["it is rounded to bfloat16 inside, its map is not"]
    assert rounded_to(onnx.TensorProto.DOUBLE, place, like) == []


@pytest.mark.parametrize("like", [False, True])
@pytest.mark.parametrize("place", ["product", "map"])
def test_roundings_around_a_block_to_coarser_floats(place, like):
    assert rounded_to(onnx.TensorProto.FLOAT16, place, like) == []


def test_layers_of_a_finer_type_than_the_map():
    """As mixed precision is exported: from float16 to float32 and back."""
    for kind in (np.float16, np.float32):
        net, held = Net(17, np.float16), block()
        means = net("Cast", net("GlobalAveragePool", net("Relu", "x")), to=onnx.TensorProto.FLOAT)
        x = net("Relu", net("Conv", means, net.constant(held.w1[:, :, None, None], np.float32)))
        if kind == np.float16:
            x = net("Cast", x, to=onnx.TensorProto.FLOAT16)
        x = net("Conv", x, net.constant(held.w2[:, :, None, None], kind))
        gates = net("Sigmoid", x if kind == np.float16 else net("Cast", x, to=onnx.TensorProto.FLOAT16))
        only(whole(net, net("Mul", net.nodes[0].output[0], gates)))


def test_weights_that_are_rounded_are_no_rounding_of_the_block():
    net, held = Net(), block()
    weight = net("Cast", net("Cast", net.constant(held.w1[:, :, None, None]), to=onnx.TensorProto.FLOAT16), to=1)
    hidden = net("Relu", net("Conv", pool(net), weight))
    y = net("Mul", "x", net("Sigmoid", net("Conv", hidden, net.constant(held.w2[:, :, None, None]))))
    assert not only(whole(net, y)).quantised
