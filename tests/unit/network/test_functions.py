# SPDX-License-Identifier: Apache-2.0
"""Functions of a network are inlined, with the default attributes of those that a call does not give."""

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, helper

from tests.helpers.onnx_lookalikes import layer, pool
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, SHAPE, whole
from tests.helpers.onnx_runs import close, run
from tiled_se.network.network import open_network
from tiled_se.network.read import functions
from tiled_se.network.read.model import load_model

OPSETS = [helper.make_opsetid("", 13), helper.make_opsetid("own", 1)]
FLOAT = AttributeProto.FLOAT


def call(operator, x, y, refers=(), domain="own", **given):
    """A node from `x` to `y`; its attributes `refers` are those of the function that it is in, by name."""
    node = helper.make_node(operator, [x], [y], f"node_{y}", domain=domain, **given)
    for name, referred in dict(refers).items():
        node.attribute.add(name=name, ref_attr_name=referred, type=FLOAT)
    return node


def function(name, nodes, attributes=(), **defaults):
    """A function from tensor "u" to "v" with these attributes, and with these that have a default."""
    return helper.make_function("own", name, ["u"], ["v"], nodes, OPSETS, list(attributes),
                                [helper.make_attribute(key, value) for key, value in defaults.items()])


def inner(**defaults):
    return function("Inner", [call("HardSigmoid", "u", "v", {"alpha": "slope"}, domain="")],
                    () if defaults else ["slope"], **defaults)


def branches(**given):
    """An If whose branches both call the inner function."""
    graphs = [helper.make_graph([call("Inner", "l", name, **given)], name, [], [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)]) for name in ("one", "other")]
    return helper.make_node("If", ["true"], ["g"], "node_g", then_branch=graphs[0], else_branch=graphs[1])


def two(first, second):
    """The gate of a function times 1, and another call of that function that changes nothing."""
    return [call("Outer", "l", "g0", **first), call("Outer", "l", "g1", **second),
            helper.make_node("Sub", ["g1", "g1"], ["nothing"]), helper.make_node("Add", ["g0", "nothing"], ["g"])]


def outer(attributes=("own_slope",), **defaults):
    return function("Outer", [call("Inner", "u", "v", {"slope": "own_slope"})], attributes, **defaults)


# The nodes from the logits l to the gates g, the functions that they call, and the slope of the gate.
CASES = {
    "default": ([call("Inner", "l", "g")], [inner(slope=0.4)], 0.4),
    "given": ([call("Inner", "l", "g", slope=0.1)], [inner(slope=0.4)], 0.1),
    "none": ([call("Inner", "l", "g")], [inner()], 0.2),
    "nested": ([call("Outer", "l", "g")], [function("Outer", [call("Inner", "u", "v")]), inner(slope=0.4)], 0.4),
    "caller-has-default": ([call("Outer", "l", "g")], [outer((), own_slope=0.3), inner(slope=0.4)], 0.3),
    "caller-is-given": ([call("Outer", "l", "g", own_slope=0.1)], [outer(), inner(slope=0.4)], 0.1),
    "caller-has-none": ([call("Outer", "l", "g")], [outer(), inner(slope=0.4)], 0.4),
    "undeclared": ([call("Outer", "l", "g")], [outer(()), inner(slope=0.4)], 0.4),
    "none-and-given": (two({}, {"own_slope": 0.1}), [outer(), inner(slope=0.4)], 0.4),
    "given-and-none": (two({"own_slope": 0.1}, {}), [outer(), inner(slope=0.4)], 0.1),
    "in-a-branch": ([branches()], [inner(slope=0.4)], 0.4),
}


def network(nodes, bodies):
    net = Net()
    net("Identity", layer(net, net("Relu", layer(net, pool(net))), 2), output="l")
    net.nodes += nodes
    net("Mul", "x", "g", output="y")
    model = whole(net)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "true"))
    model.opset_import.append(OPSETS[1])
    model.functions.extend(bodies)
    return model


@pytest.mark.parametrize("name", CASES)
def test_attributes(name, tmp_path):
    nodes, bodies, slope = CASES[name]
    model = network(nodes, bodies)
    path = str(tmp_path / "net.onnx")
    onnx.save(model, path)
    inlined = load_model(path).model
    assert not inlined.functions
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    expected = run(model, x)[0]
    close(run(inlined, x)[0], expected, 1e-6)
    close(run(network([call("HardSigmoid", "l", "g", domain="", alpha=slope)], []), x)[0], expected, 1e-6)


def test_a_block_has_the_default(tmp_path):
    onnx.save(network(*CASES["default"][:2]), tmp_path / "net.onnx")
    (block,) = open_network(str(tmp_path / "net.onnx")).blocks
    assert block.channels == CHANNELS
    assert block.float_block.gate.slope == pytest.approx(0.4)


def test_a_default_that_is_a_graph_may_not_call_its_function(tmp_path):
    body = helper.make_graph([call("Outer", "l", "t")], "body", [], [
        helper.make_tensor_value_info("t", onnx.TensorProto.FLOAT, None)])
    model = network([call("Outer", "l", "g")], [function("Outer", [call("Relu", "u", "v", domain="")], body=body)])
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(functions.ConfigError, match="a function: must not call itself"):
        load_model(str(tmp_path / "net.onnx"))


def test_swap_runs_the_file_itself(tiled_se, monkeypatch):
    onnx.save(network(*CASES["default"][:2]), "net.onnx")
    tiled_se.passes("swap", "net.onnx", "-o", "out.onnx")
    monkeypatch.setattr(functions, "_give_defaults", lambda model: None)
    tiled_se.refuses_as("MODEL=net.onnx (--model): with its functions inlined it computes something else: on random "
                        "inputs tensor y differs by ", "swap", "net.onnx", "-o", "other.onnx")
