# SPDX-License-Identifier: Apache-2.0
"""QuantizeLinear and DequantizeLinear of onnxruntime's own domain are read as those of the default operator set."""

import re

import numpy as np
import onnx
import pytest

from tests.helpers.onnx_lookalikes import excite, pool
from tests.helpers.onnx_misleading import QUANTISERS, quantised
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, HEIGHT, SQUEEZE, WIDTH, whole
from tests.helpers.onnx_runs import close, graph_of, run
from tiled_se.network.check.blocks import differing
from tiled_se.network.match.match import match
from tiled_se.network.network import find_blocks
from tiled_se.network.tile import tile_blocks


def microsoft(model):
    """`model` with all its quantisers in onnxruntime's domain."""
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.domain = "com.microsoft"
    return model


def seen(model):
    """What the matcher says about `model`, and the check."""
    graph = graph_of(model)
    blocks, reasons = match(graph)
    arrays = [[getattr(block.float_block, name).tolist() for name in ("w1", "b1", "w2", "b2")] for block in blocks]
    forms = [(str(block.float_block.mid), str(block.float_block.gate), block.ranges, block.quantised)
             for block in blocks]
    return forms, arrays, reasons, differing(graph, blocks)[1]


@pytest.mark.parametrize("name", QUANTISERS)
def test_they_are_read_as_those_of_the_default_operator_set(name):
    assert seen(microsoft(QUANTISERS[name].model())) == seen(QUANTISERS[name].model())


def sixteen_bits(opset=17, height=HEIGHT):
    """A network as onnxruntime writes one with activations of 16 bits before operator set 21."""
    net = Net(opset)
    weights = []
    for seed, shape in enumerate([(SQUEEZE, CHANNELS, 1, 1), (CHANNELS, SQUEEZE, 1, 1)]):
        integers = np.random.default_rng(seed).integers(-99, 100, shape)
        weights.append(net("DequantizeLinear", net.constant(integers, np.int8), net.constant(1 / 64)))

    def step(x, scale, zero=0):
        return quantised(net, x, scale, zero, np.uint16)

    x = step("x", 8 / 65535, 32768)
    hidden = step(net("Conv", step(net("GlobalAveragePool", x), 8 / 65535, 32768), weights[0]), 20 / 65535)
    gates = step(net("Sigmoid", step(net("Conv", hidden, weights[1]), 40 / 65535, 32768)), 1 / 65535)
    net("Identity", step(net("Mul", x, gates), 8 / 65535, 32768), output="y")
    return microsoft(whole(net, shape=(1, CHANNELS, height, WIDTH)))


@pytest.mark.parametrize("opset", [10, 13, 17, 21])
def test_sixteen_bits(tiled_se, opset):
    model = sixteen_bits(opset)
    onnx.save(model, "net.onnx")
    printed = tiled_se.passes("swap", "net.onnx", "--k", "3", "-o", "out.onnx").out
    assert re.search("^[^:]+: tiles of 3 rows of 11; it was quantised, and is in float now$", printed, re.M)
    tiled = onnx.load("out.onnx")
    # The map is rounded before and after the block as it was, and the block's inner quantisers are gone.
    assert [node.op_type for node in tiled.graph.node if node.domain] == ["QuantizeLinear", "DequantizeLinear"] * 2
    x = np.random.default_rng(1).normal(size=(1, CHANNELS, HEIGHT, WIDTH)).astype(np.float32)
    strips = [run(sixteen_bits(opset, part.shape[2]), part)[0] for part in np.split(x, (3, 6, 9), 2)]
    close(run(tiled, x)[0], np.concatenate(strips, 2), 1e-3)


def test_from_python():
    model = sixteen_bits()
    (block,) = find_blocks(model)
    assert (block.quantised, block.height) == (True, HEIGHT)
    onnx.checker.check_model(tile_blocks(model, [block], 3))
    assert model == sixteen_bits()


def test_others_of_that_domain_are_other_operators():
    net = Net()
    net("Mul", "x", excite(net, net("com.microsoft.GlobalAveragePool", pool(net))), output="y")
    assert graph_of(whole(net)).operator(net.nodes[1]) == "com.microsoft.GlobalAveragePool"
