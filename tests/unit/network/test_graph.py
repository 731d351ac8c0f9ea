# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs: constants that ask for far more memory or time than their file has bytes, and names in branches."""

import time
import tracemalloc

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, network
from tiled_se.hdl.config import ConfigError
from tiled_se.network.read import validation
from tiled_se.network.read.graph import Graph

SHAPE = (1, CHANNELS, 11, 5)


def test_numbers_are_counted(monkeypatch):
    model = network()
    model.graph.node[0].attribute.append(helper.make_attribute("many", [1] * 1000))
    monkeypatch.setattr(validation, "MOST_NUMBERS", 1000)
    with pytest.raises(ConfigError, match="more than 1,000 numbers"):
        validation.all_tensors(model)


def graph_of(net, *tensors):
    net("Mul", "x", *tensors, output="y")
    return Graph(net.model({"x": SHAPE}, {"y": SHAPE}))


def test_constants_are_computed_once():
    net = Net()
    name = net.constant([1])
    for _ in range(24):
        name = net("Add", name, name)
    start = time.process_time()
    assert graph_of(net, name).constant(name) == 1 << 24
    assert time.process_time() - start < 2


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "DequantizeLinear"])
def test_small_constants_make_no_large_one(operator):
    net = Net()
    kind = np.int8 if operator == "DequantizeLinear" else np.float32
    name = net(operator, net.constant(np.ones((1 << 13, 1)), kind), net.constant(np.ones(1 << 13)))
    graph = graph_of(net, name)
    tracemalloc.start()
    try:
        assert graph.constant(name) is None
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_texts_are_no_constants():
    net = Net()
    net.tensors.append(numpy_helper.from_array(np.full(3, b"text", object), "t"))
    name = net("Add", "t", "t")
    assert graph_of(net, name).constant(name) is None


def test_names_within_a_branch_are_its_own():
    """A branch may give its result the name of the whole node's result; what it reads from outside counts."""
    net = Net()
    inner = helper.make_graph([helper.make_node("Relu", ["r"], ["y"])], "branch", [],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)])
    condition = net.constant(True, bool)
    net("If", condition, output="y", then_branch=inner, else_branch=inner)
    net("Relu", "x", output="r")
    graph = Graph(net.model({"x": SHAPE}, {"y": SHAPE}))
    assert [one.op_type for one in graph.nodes] == ["Relu", "If"]
    assert [one.op_type for one in graph.readers["r"]] == ["If"]
