# SPDX-License-Identifier: Apache-2.0
"""Recognised blocks are run beside their form: every planted error of recognition is found, and nothing else."""

import dataclasses

import numpy as np
import pytest

from tests.helpers.onnx_lookalikes import layer, pool
from tests.helpers.onnx_misleading import quantised
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, Spelling, network, se, whole
from tests.helpers.onnx_runs import graph_of
from tiled_se.hdl.config import Gate, GateKind, Mid
from tiled_se.network.check.blocks import differing
from tiled_se.network.match.match import match


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
