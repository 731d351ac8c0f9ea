# SPDX-License-Identifier: Apache-2.0
"""tiled_se.evaluate.integers.hybrid: a network in segments gives what the whole network gives."""

import weakref

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tiled_se.evaluate.integers.hybrid import Hybrid

CHANNELS = 6


def network(nodes, outputs, initializers=(), inputs=("x",), channels=CHANNELS):
    """A model; its inputs are float (N, C, H, W)."""
    described = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, channels, None, None])
                 for name in inputs]
    graph = helper.make_graph(nodes, "test", described, [onnx.ValueInfoProto(name=name) for name in outputs],
                              [numpy_helper.from_array(array, name) for name, array in dict(initializers).items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def whole(model, **inputs):
    """The outputs of `model` by name, run as it is."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in model.graph.output]
    return dict(zip(names, session.run(names, inputs), strict=True))


def image(height=5, width=4, seed=1):
    return np.random.default_rng(seed).normal(size=(2, CHANNELS, height, width)).astype(np.float32)


def test_the_function_decides_what_y_is_whatever_its_layout():
    nodes = [helper.make_node("Relu", ["x"], ["b"]), helper.make_node("Neg", ["b"], ["y"])]
    x = image()
    found = Hybrid(network(nodes, ["y", "b"]), {"cut": ("x", "b")}).run(
        {"x": x}, {"cut": lambda x: np.asfortranarray(x.astype(np.float64) + 1)})
    np.testing.assert_array_equal(found["b"], x + 1)
    np.testing.assert_array_equal(found["y"], -x - 1)
    assert found["b"].dtype == np.float32


def test_nodes_that_only_the_old_y_needed_are_not_run():
    nodes = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Mystery", ["a"], ["m"], domain="nobody.knows"),
             helper.make_node("Relu", ["m"], ["b"]), helper.make_node("Abs", ["b"], ["y"])]
    found = Hybrid(network(nodes, ["y"]), {"cut": ("a", "b")}).run({"x": image()}, {"cut": lambda x: x})
    np.testing.assert_array_equal(found["y"], np.abs(image()))


def test_a_node_that_makes_y_and_something_else():
    # It runs later than the function: what it makes of y must not come through.
    nodes = [helper.make_node("Relu", ["x"], ["late"]), helper.make_node("Split", ["late"], ["a", "b"], axis=1),
             helper.make_node("Add", ["a", "b"], ["y"])]
    hybrid = Hybrid(network(nodes, ["y", "a", "b"]), {"cut": ("x", "a"), "late": ("x", "late")})
    x = image()
    found = hybrid.run({"x": x}, {"cut": lambda x: 10 + x[:, :3], "late": lambda x: x - 1})
    np.testing.assert_array_equal(found["a"], 10 + x[:, :3])
    np.testing.assert_array_equal(found["b"], x[:, 3:] - 1)
    np.testing.assert_array_equal(found["y"], (10 + x[:, :3]) + (x[:, 3:] - 1))


def test_tensors_and_constants_that_a_graph_within_a_node_takes():
    def branch(operator):
        return helper.make_graph([helper.make_node(operator, ["early", "one"], ["result"])], operator, [],
                                 [helper.make_tensor_value_info("result", TensorProto.FLOAT, None)])

    nodes = [helper.make_node("Constant", [], ["one"], value=numpy_helper.from_array(np.float32([1]))),
             helper.make_node("Neg", ["x"], ["early"]), helper.make_node("Relu", ["early"], ["b"]),
             helper.make_node("ReduceSum", ["b"], ["sum"], keepdims=0),
             helper.make_node("Greater", ["sum", "limit"], ["large"]),
             helper.make_node("If", ["large"], ["y"], then_branch=branch("Add"), else_branch=branch("Sub"))]
    model = network(nodes, ["y", "limit", "one"], {"limit": np.float32(1e6)})
    hybrid = Hybrid(model, {"cut": ("early", "b")})
    for amount, change in ((1e6, 1), (0, -1)):
        found = hybrid.run({"x": image()}, {"cut": lambda x, amount=amount: np.full_like(x, amount)})
        np.testing.assert_array_equal(found["y"], -image() + np.float32(change))
    assert found["limit"] == np.float32(1e6)
    assert found["one"].tolist() == [1]


def random_network(seed):
    """A random graph of sums, and of pairs Abs, Sqrt that may be cut, in a row and side by side; and its cuts."""
    rng = np.random.default_rng(seed)
    tensors, nodes, cuts = ["x"], [], {}
    for number in range(14):
        y = f"t{number}"
        one, other = rng.choice(tensors, 2)
        if rng.random() < 0.5:
            nodes.append(helper.make_node("Add", [one, other], [y]))
        else:
            nodes += [helper.make_node("Abs", [one], [f"{y}_"]), helper.make_node("Sqrt", [f"{y}_"], [y])]
            if rng.random() < 0.7:
                cuts[y] = (one, y)
        tensors.append(y)
    return network(nodes, [*rng.choice(tensors[1:], 2, replace=False)]), cuts


@pytest.mark.parametrize("seed", range(12))
def test_random_networks(seed):
    model, cuts = random_network(seed)
    functions = dict.fromkeys(cuts, lambda x: np.sqrt(np.abs(x)))
    hybrid = Hybrid(model, cuts, threads=1)
    # Sessions are made once and serve any size.
    for x in (image(), image(3, 7)):
        expected, found = whole(model, x=x), hybrid.run({"x": x}, functions)
        assert list(found) == list(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)


def chain(length):
    """Cuts in a row, each with a node behind it."""
    nodes, cuts, tensor = [], {}, "x"
    for number in range(length):
        nodes += [helper.make_node("Relu", [tensor], [f"b{number}"]),
                  helper.make_node("Neg", [f"b{number}"], [f"c{number}"])]
        cuts[str(number)] = (tensor, f"b{number}")
        tensor = f"c{number}"
    return network(nodes, [tensor]), cuts


def test_values_that_nothing_needs_any_more_are_freed():
    model, cuts = chain(4)
    given = []

    def function(x):
        # The newest one is still being read.
        assert all(reference() is None for reference in given[:-1])
        y = x + 1
        given.append(weakref.ref(y))
        return y

    Hybrid(model, cuts).run({"x": image()}, dict.fromkeys(cuts, function))
    assert len(given) == 4


def test_until_gives_what_the_function_would_get_and_calls_only_those_before():
    model, cuts = chain(4)
    hybrid = Hybrid(model, cuts)
    found = hybrid.run({"x": image()}, {"0": lambda x: x + 1, "1": lambda x: x * 3}, until="2")
    assert list(found) == ["c1"]
    np.testing.assert_array_equal(found["c1"], 3 * (image() + 1))


@pytest.mark.parametrize(("cuts", "message"), [
    ({"a": ("x", "nothing")}, "cut a: the network has no tensor nothing"),
    ({"a": ("nothing", "c0")}, "cut a: the network has no tensor nothing"),
    ({"a": ("b0", "x")}, "cut a: x is an input or a constant, which nothing computes"),
    ({"a": ("x", "c1"), "b": ("b0", "c1")}, "cut a: c1 is another cut's, too"),
    ({"a": ("c1", "b0")}, "cut a: x depends on y"),
    ({"a": ("c1", "c1")}, "cut a: x depends on y"),
])
def test_cuts_that_can_not_be(cuts, message):
    model, _ = chain(2)
    with pytest.raises(ValueError, match=f"^{message}$"):
        Hybrid(model, cuts)
