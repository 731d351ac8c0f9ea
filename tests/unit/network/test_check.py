# SPDX-License-Identifier: Apache-2.0
"""Recognised blocks are run beside their form: every planted error of recognition is found, and nothing else."""

import dataclasses
import importlib.resources
import importlib.util
import os
import re
import statistics

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.helpers.onnx_lookalikes import excite, layer, pool
from tests.helpers.onnx_misleading import quantised
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, SHAPE, Spelling, block, network, se, whole
from tests.helpers.onnx_parts import POOLS
from tests.helpers.onnx_runs import graph_of
from tiled_se.hdl.config import Gate, GateKind, Mid
from tiled_se.network import network as network_module
from tiled_se.network.check import whole as check_whole
from tiled_se.network.check.blocks import differing
from tiled_se.network.match.match import match
from tiled_se.network.network import find_blocks, open_network
from tiled_se.network.read.shapes import open_session
from tiled_se.network.tile import tile_blocks


def hard(slope=1 / 6, offset=0.5):
    return Gate(GateKind.HARDSIGMOID, slope, offset)


def rounded_in_integers():
    """A block whose mean, hidden vector and gate are rounded to 8 bits; the hidden vector has no other ReLU."""
    net = Net()
    hidden = quantised(net, layer(net, quantised(net, pool(net), 1 / 32, 0, np.int8)), 1 / 16)
    gates = quantised(net, net("Sigmoid", layer(net, hidden, 2)), 1 / 255)
    net("Mul", "x", gates, output="y")
    return whole(net)


def square():
    """A block with as many hidden values as channels, on a map that is as high and wide as it has channels."""
    net = Net()
    weights = np.random.default_rng(5).integers(-9, 10, (2, CHANNELS, CHANNELS, 1, 1)) / 9
    biases = np.random.default_rng(6).integers(-9, 10, (2, CHANNELS)) / 9
    hidden = net("Relu", net("Conv", pool(net), net.constant(weights[0]), net.constant(biases[0])))
    gates = net("Sigmoid", net("Conv", hidden, net.constant(weights[1]), net.constant(biases[1])))
    net("Mul", "x", gates, output="y")
    return whole(net, shape=(1, CHANNELS, CHANNELS, CHANNELS))


def two_maps():
    """A block on the output of another."""
    net = Net()
    net("Identity", se(net, se(net, "x", Spelling()), Spelling(), seed=2), output="y")
    return whole(net)


NETWORKS = {
    "plain": network, "open": lambda: network(height="H", batch="N"), "square": square, "two": two_maps,
    "last": lambda: network(Spelling(last=True)), "residual": lambda: network(Spelling(end="add")),
    "sixth": lambda: network(Spelling(gate="relu6", mid="product")), "silu": lambda: network(Spelling(mid="silu")),
    "relu6": lambda: network(Spelling(mid="relu6", gate="fifth")), "half": lambda: network(kind=np.float16),
    "integers": rounded_in_integers, "normalised": lambda: network(Spelling(layer="normalised")),
    "large": lambda: network(height=700),
}


def form(**changes):
    """A fault that replaces parts of the form by functions of it."""
    return lambda block: dataclasses.replace(block, float_block=dataclasses.replace(
        block.float_block, **{name: change(block.float_block) for name, change in changes.items()}))


def one_weight(held):
    weights = held.w2.copy()
    weights[1, 2] += 0.01
    return weights


# A fault of recognition, by the networks in which it is planted.
FAULTS = {
    "w1 is transposed": (form(w1=lambda held: held.w1.T), ["square"]),
    "w2 is transposed": (form(w2=lambda held: held.w2.T), ["square"]),
    "the layers are swapped": (form(w1=lambda held: held.w2, b1=lambda held: held.b2, w2=lambda held: held.w1,
                                    b2=lambda held: held.b1), ["square"]),
    "the biases are swapped": (form(b1=lambda held: held.b2, b2=lambda held: held.b1), ["square"]),
    "channels come last": (lambda block: dataclasses.replace(block, channels_last=True), ["square"]),
    "b1 is dropped": (form(b1=lambda held: 0 * held.b1), NETWORKS),
    "b2 is dropped": (form(b2=lambda held: 0 * held.b2), NETWORKS),
    "b1 is subtracted": (form(b1=lambda held: -held.b1), NETWORKS),
    "b2 is of one number": (form(b2=lambda held: np.full_like(held.b2, held.b2[0])), NETWORKS),
    "w1 is twice as large": (form(w1=lambda held: 2 * held.w1), NETWORKS),
    "w2 is twice as large": (form(w2=lambda held: 2 * held.w2), NETWORKS),
    "w1 is 1 % larger": (form(w1=lambda held: 1.01 * held.w1), NETWORKS),
    "one weight is another": (form(w2=one_weight), NETWORKS),
    "channels are reversed": (form(w1=lambda held: held.w1[:, ::-1]), NETWORKS),
    "gates are rolled": (form(w2=lambda held: np.roll(held.w2, 1, 0), b2=lambda held: np.roll(held.b2, 1)), NETWORKS),
    "the hidden vector is rolled": (form(w2=lambda held: np.roll(held.w2, 1, 1)), NETWORKS),
    "the activation is dropped": (form(mid=lambda held: Mid.IDENTITY), NETWORKS),
    "relu is read for relu6": (form(mid=lambda held: Mid.RELU), ["relu6"]),
    "relu6 is read for relu": (form(mid=lambda held: Mid.RELU6), ["plain", "open", "last", "half", "large"]),
    "hard swish is read for SiLU": (form(mid=lambda held: Mid.HARDSWISH), ["silu"]),
    "SiLU is read for hard swish": (form(mid=lambda held: Mid.SILU), ["sixth"]),
    "the slope is a fifth": (form(gate=lambda held: hard(0.2)), ["sixth"]),
    "the slope is 1 % larger": (form(gate=lambda held: hard(held.gate.slope * 1.01)), ["sixth", "relu6"]),
    "the offset is 0.49": (form(gate=lambda held: hard(held.gate.slope, 0.49)), ["sixth", "relu6"]),
    "the gate is a sigmoid": (form(gate=lambda held: Gate()), ["sixth", "relu6"]),
    "the gate is hard": (form(gate=lambda held: hard()), ["plain", "silu", "residual", "large"]),
    "it is residual, too": (form(residual=lambda held: not held.residual), NETWORKS),
    "x is another map": (lambda block: dataclasses.replace(block, x="x"), ["two"]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_was_put_in_agrees(name):
    graph = graph_of(NETWORKS[name]())
    blocks, _ = match(graph)
    assert blocks
    assert differing(graph, blocks) == (blocks, {})


@pytest.mark.parametrize(("fault", "name"), [(fault, name) for fault, (_, names) in FAULTS.items() for name in names])
def test_planted_errors_are_found(fault, name):
    graph = graph_of(NETWORKS[name]())
    block = FAULTS[fault][0](match(graph)[0][-1])
    agreeing, reasons = differing(graph, [block])
    assert agreeing == []
    assert reasons[block.name].startswith("when it is run, its gates differ by up to ")


def test_gates_that_are_not_finite():
    """Weights whose products are beyond float32: the network has infinity less infinity where the form has a number."""
    net = Net()
    weights = np.full((3, CHANNELS, 1, 1), 1e30), np.resize([1e30, -1e30], (CHANNELS, 3, 1, 1))
    hidden = net("Relu", net("Conv", pool(net), net.constant(weights[0])))
    net("Mul", "x", net("Sigmoid", net("Conv", hidden, net.constant(weights[1]))), output="y")
    graph = graph_of(whole(net))
    assert differing(graph, match(graph)[0]) == ([], {"node_y": "when it is run, its gates are not finite"})


def w1_doubled(block):
    return FAULTS["w1 is twice as large"][0](block)


@pytest.fixture
def misreading(monkeypatch):
    """The matcher takes every weight of the first layer for twice as large."""
    def misread(graph):
        blocks, reasons = match(graph)
        return list(map(w1_doubled, blocks)), reasons

    monkeypatch.setattr(network_module, "match", misread)


REASON = r"when it is run, its gates differ by up to 0\.\d+ from those of the block that it was read as"


@pytest.mark.usefixtures("misreading")
def test_every_command_leaves_a_misread_block_out(tiled_se):
    onnx.save(network(), "net.onnx")
    assert re.search(f"^left out: node_mul_5: {REASON}$", tiled_se.passes("inspect", "net.onnx").out, re.M)
    for command in ("swap", "build", "sensitivity"):
        finished = tiled_se.refuses_as("MODEL=net.onnx (--model): has no squeeze-and-excite block; "
                                       "left out: node_mul_5: when it is run", command, "net.onnx", "-o", "out")
        assert finished.out == ""
    assert os.listdir() == ["net.onnx"]
    assert find_blocks(network()) == []


@pytest.mark.usefixtures("misreading")
def test_unchecked(tiled_se):
    """Nor does swap compare whole networks then: the wrong one is written."""
    onnx.save(network(), "net.onnx")
    assert "left out" not in tiled_se.passes("inspect", "net.onnx", "--check-blocks", "0").out
    tiled_se.passes("swap", "net.onnx", "--check-blocks", "0", "-o", "out.onnx")
    assert len(find_blocks(network(), check=False)) == 1


@pytest.mark.parametrize("make", [network, rounded_in_integers], ids=["float", "integers"])
@pytest.mark.parametrize("fault", ["w2 is twice as large", "b2 is dropped"])
def test_swap_writes_no_other_network(tiled_se, monkeypatch, make, fault):
    """What is written computes something else, though all blocks are read right."""
    spoiled = FAULTS[fault][0]
    onnx.save(make(), "net.onnx")
    tiled_se.passes("swap", "net.onnx", "-o", "out.onnx")
    os.remove("out.onnx")
    monkeypatch.setattr(check_whole, "tile_blocks", lambda model, blocks, k, keep: tile_blocks(
        model, list(map(spoiled, blocks)), k))
    tiled_se.refuses_as("MODEL=net.onnx (--model): with tiles of all rows it computes something else: "
                        "on random inputs tensor ", "swap", "net.onnx", "-o", "out.onnx")
    assert os.listdir() == ["net.onnx"]


def test_a_network_that_cannot_be_run_is_swapped_unchecked_alone(tiled_se):
    net = Net()
    net.nodes.append(onnx.helper.make_node("Unknown", ["x"], ["z"], domain="of.nobody"))
    net("Identity", se(net, "z", Spelling()), output="y")
    model = whole(net)
    model.opset_import.append(onnx.helper.make_opsetid("of.nobody", 1))
    onnx.save(model, "net.onnx")
    finished = tiled_se.refuses_as("MODEL=net.onnx (--model): can't be run, to compare it with tiles "
                                   "and without (", "swap", "net.onnx", "-o", "out.onnx")
    assert finished.err.endswith("; CHECK_BLOCKS=0 swaps its blocks unchecked\n")
    tiled_se.passes("swap", "net.onnx", "--check-blocks", "0", "-o", "out.onnx")


def test_halves_inside_of_a_network_round_more(tiled_se):
    """As the converters to float16 that keep the types of inputs and outputs write them."""
    net = Net(kind=np.float16)
    inner = net("Cast", "x", to=onnx.TensorProto.FLOAT16)
    for seed in range(4):
        inner = se(net, inner, Spelling(layer="normalised", mid="sixth"), seed=seed)
    net("Cast", inner, output="y", to=onnx.TensorProto.FLOAT)
    model = whole(net)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    onnx.save(model, "net.onnx")
    tiled_se.passes("swap", "net.onnx", "-o", "out.onnx")


def test_a_map_of_another_type_than_the_weights(tiled_se):
    """No file declares the types of its inner tensors, but inference knows them."""
    net = Net()
    x = net("Cast", "x", to=onnx.TensorProto.FLOAT16)
    gates = excite(net, pool(net, net("Cast", x, to=onnx.TensorProto.FLOAT)))
    net("Cast", net("Mul", x, net("Cast", gates, to=onnx.TensorProto.FLOAT16)), output="y", to=onnx.TensorProto.FLOAT)
    onnx.save(whole(net), "net.onnx")
    tiled_se.passes("swap", "net.onnx", "-o", "out.onnx")
    open_session(onnx.load("out.onnx"))


def test_what_another_runtime_refuses_is_not_written(tiled_se, monkeypatch):
    """ONNX's own evaluator would take operands of two types."""
    def spoiled(model, blocks, k, keep):
        tiled = tile_blocks(model, blocks, k)
        tiled.graph.initializer[-1].CopyFrom(numpy_helper.from_array(numpy_helper.to_array(
            tiled.graph.initializer[-1]).astype(np.float64), tiled.graph.initializer[-1].name))
        return tiled

    onnx.save(network(), "net.onnx")
    monkeypatch.setattr(check_whole, "tile_blocks", spoiled)
    tiled_se.refuses_as("MODEL=net.onnx (--model): can't be run, to compare", "swap", "net.onnx", "-o", "out.onnx")


UNCOMPARED = "not compared with the original, because the network amplifies small differences before them: "


def stepped(net, y):
    """An index of the largest number may be another one for sums in another order."""
    net("ArgMax", net("Mul", y, net.constant(0)), output="y", axis=1)


def amplified(net, y):
    """The last bits of numbers."""
    net("Sin", net("Mul", y, net.constant(1e6)), output="y")


@pytest.mark.parametrize(("end", "compared"), [
    (stepped, False), (amplified, False), (lambda net, y: net("Neg", y, output="y"), True),
    (lambda net, y: net("Add", y, net("Floor", net.constant(2.5)), output="y"), True)],
    ids=["step", "amplified", "plain", "step-beside"])
def test_what_is_not_compared_is_told(tiled_se, end, compared):
    net = Net()
    end(net, se(net, "x", Spelling(layer="normalised")))
    model = net.model({"x": SHAPE}, {"y": None})
    if end is stepped:
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    onnx.save(model, "net.onnx")
    lines = tiled_se.passes("swap", "net.onnx", "-o", "out.onnx").out.splitlines()
    assert (UNCOMPARED + "y" in lines) is not compared


def test_no_small_map_stands_for_a_large_one():
    """A mean over rows that are all rows of small maps only."""
    net = Net()
    means = pool(net, net("Slice", "x", *(net.constant([n], np.int64) for n in (0, 20, 2))))
    net("Mul", "x", excite(net, means), output="y")
    ends = "node_mul_5", "x", "y"
    (block,) = match(graph_of(network(height=40)))[0]
    block = dataclasses.replace(block, **dict(zip(("name", "x", "y"), ends, strict=True)))
    for height, agrees in ((20, True), (40, False)):
        graph = graph_of(whole(net, shape=(1, CHANNELS, height, 5)))
        assert (differing(graph, [dataclasses.replace(block, height=height)])[1] == {}) is agrees


@pytest.mark.parametrize("pool", ["divided", "multiplied", "window"])
@pytest.mark.parametrize("open_size", [True, False])
def test_a_mean_for_maps_of_one_size_needs_a_fixed_size(tiled_se, pool, open_size):
    """The tiled network would take any height otherwise, and compute something else."""
    net = Net()
    means = net("AveragePool", "x", kernel_shape=(11, 5), strides=(99, 99)) if pool == "window" else \
        POOLS[pool](net, "x", (11, 5))
    net("Mul", "x", excite(net, means), output="y")
    onnx.save(whole(net, shape=("N", CHANNELS, "H" if open_size else 11, 5)), "net.onnx")
    found = open_network("net.onnx", f"{CHANNELS}x11x5")
    assert len(found.blocks) == (not open_size)
    assert [*found.unsupported.values()] == open_size * [
        "it is a block for maps of 11x5 only, and the input's size is open"]


DEDICATED = {
    "each": lambda net, pairs: (pairs(net), pairs(net)), "product": lambda net, pairs: (pairs(net), "x"),
    "mean": lambda net, pairs: ("x", pairs(net)), "one": lambda net, pairs: (pairs(net),) * 2,
}


@pytest.mark.parametrize("end", [False, True], ids=["product", "residual"])
@pytest.mark.parametrize("name", DEDICATED)
def test_each_reader_of_a_map_may_have_a_quantiser_of_its_own(tiled_se, name, end):
    net = Net()
    scaled, averaged = DEDICATED[name](net, lambda net: quantised(net, "x", 1 / 16, 128))
    made = net("Mul", scaled, excite(net, pool(net, averaged)))
    onnx.save(whole(net, net("Add", made, scaled) if end else made), "net.onnx")
    tiled_se.passes("swap", "net.onnx", "-o", "out.onnx")


def test_weights_behind_quantisers_stay_rounded(tiled_se):
    net, held = Net(), block()
    weights = [quantised(net, net.constant(w[:, :, None, None]), 1 / 50, 0, np.int8) for w in (held.w1, held.w2)]
    hidden = quantised(net, net("Relu", net("Conv", pool(net), weights[0])), 1 / 32)
    net("Mul", "x", net("Sigmoid", net("Conv", hidden, weights[1])), output="y")
    onnx.save(whole(net), "net.onnx")
    tiled_se.passes("swap", "net.onnx", "-o", "out.onnx")


@pytest.mark.skipif(importlib.util.find_spec("rapidocr") is None, reason="rapidocr isn't installed")
def test_checking_takes_no_longer_than_reading():
    """On the largest network here. Both times are of the same runs; another process may disturb two of three tries."""
    path = importlib.resources.files("rapidocr") / "models" / "PP-OCRv6_rec_small.onnx"

    def medians():
        networks = [open_network(str(path), "3x48x320") for _ in range(5)]
        assert all(len(network.blocks) == 5 for network in networks)
        return [statistics.median(network.seconds[part] for network in networks) for part in ("reading", "checking")]

    assert any(0 < checking <= reading for reading, checking in (medians() for _ in range(3)))
