# SPDX-License-Identifier: Apache-2.0
"""Weights that a network also lists among its inputs: they are constants in tiled blocks, and swap says so."""

import re

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, Spelling, network, se, whole
from tests.helpers.onnx_runs import two


def listed(model, names, version=8):
    """`model` with those of its constants among its inputs, too; all of them if `names` is None."""
    for tensor in model.graph.initializer:
        if names is None or tensor.name in names:
            model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    model.ir_version = version
    return model


def shared():
    """A factor before the block is the bias of its first layer, too, and the second layer's weights are halved."""
    net = Net()
    net.constant(np.full((CHANNELS, 1, 1), 2))
    net.constant(np.linspace(-1, 1, CHANNELS * CHANNELS).reshape(CHANNELS, CHANNELS, 1, 1))
    net.constant(3)
    x = net("Mul", net("Mul", "x", "number_0"), "number_2")
    hidden = net("Relu", net("Add", net("Conv", net("GlobalAveragePool", x), "number_1"), "number_0"))
    gates = net("Sigmoid", net("Conv", hidden, net("Mul", "number_1", net.constant(0.5))))
    net("Mul", x, gates, output="y")
    return whole(net)


def before_and_after():
    """Constants that no block has."""
    net = Net()
    net.constant(2), net.constant(3)
    net("Mul", se(net, net("Mul", "x", "number_0"), Spelling()), "number_1", output="y")
    return whole(net)


CASES = {
    "none": (network(), [], None),
    "one": (network(), ["number_2"], "input number_2 of the network is a constant"),
    "two": (network(), ["number_1", "number_0"], "inputs number_0, number_1 of the network are constants"),
    "all": (network(), None, "inputs number_0, number_1, number_2 and 1 more of the network are constants"),
    "two-blocks": (two(), None, "inputs number_0, number_1, number_2 and 5 more of the network are constants"),
    "shared": (shared(), None, "inputs number_0, number_1, number_3 of the network are constants"),
    "elsewhere": (before_and_after(), ["number_0", "number_1"], None),
}


@pytest.mark.parametrize("name", CASES)
def test_swap_names_them(tiled_se, name):
    model, names, expected = CASES[name]
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    onnx.save(listed(copied, names), "net.onnx")
    printed = tiled_se.passes("swap", "net.onnx", "-o", "out.onnx").out
    assert re.findall("^note: .*", printed, re.M) == ([f"note: {expected} in its tiled blocks"] if expected else [])


def test_those_of_other_blocks_are_not_named(tiled_se):
    onnx.save(listed(two(), None), "net.onnx")
    printed = tiled_se.passes("swap", "net.onnx", "--skip", "node_mul_5", "-o", "out.onnx").out
    assert "note: inputs number_4, number_5, number_6 and 1 more of the network are constants in" in printed


def test_old_files_list_all_constants(tiled_se):
    """They must."""
    onnx.save(listed(network(Spelling(opset=8)), None, version=3), "net.onnx")
    assert "note:" not in tiled_se.passes("swap", "net.onnx", "-o", "out.onnx").out
