# SPDX-License-Identifier: Apache-2.0
"""Graphs that ask for far more memory, time or space on the screen than their files have bytes."""

import os
import pathlib
import pickle
import time
import tracemalloc
import types

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, Spelling, network
from tiled_se.hdl.config import ConfigError
from tiled_se.network import network as network_module
from tiled_se.network.read import sandbox, validation
from tiled_se.network.read.graph import Graph
from tiled_se.network.read.sandbox import allow_memory_for, sandboxed

SHAPE = (1, CHANNELS, 11, 5)
GRAPH, VALUE_INFO, NODE, ATTRIBUTE, METADATA = 7, 13, 1, 5, 14


def field(number, content):
    """A field of a message as a file has it, around `content`."""
    size, length = len(content), b""
    while size > 127:
        size, length = size >> 7, length + bytes([size & 127 | 128])
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def changed(change):
    """The bytes of a good network after `change`, a function of its ModelProto."""
    model = network(Spelling(gate="relu6", layer="gemm"))
    change(model)
    return model.SerializeToString()


GOOD = changed(lambda model: None)
EMPTY = 1 << 21


def functions(*bodies):
    """A function for each of `bodies`: the functions that it calls one after the other. The first is called."""
    def change(model):
        model.opset_import.append(helper.make_opsetid("own", 1))
        for index, called in enumerate(bodies):
            ends = ["a", *(f"t{at}" for at in range(1, len(called))), "b"]
            nodes = [helper.make_node(f"f{other}", [ends[at]], [ends[at + 1]], domain="own")
                     for at, other in enumerate(called)] or [helper.make_node("Relu", ["a"], ["b"])]
            model.functions.append(helper.make_function("own", f"f{index}", ["a"], ["b"], nodes, [
                helper.make_opsetid("", 13), helper.make_opsetid("own", 1)]))
        model.graph.node.append(helper.make_node("f0", ["x"], ["z"], domain="own"))
    return change


def shared(count):
    """So many blocks of one pool and one gate."""
    net = Net()
    hidden = net("Relu", net("Conv", net("GlobalAveragePool", "x"), net.constant(np.ones((2, CHANNELS, 1, 1)))))
    gate = net("Sigmoid", net("Conv", hidden, net.constant(np.ones((CHANNELS, 2, 1, 1)))))
    for _ in range(count):
        net("Mul", "x", gate)
    net("Mul", "x", gate, output="y")
    return net.model({"x": SHAPE}, {"y": SHAPE}).SerializeToString()


def nested(depth):
    body = field(1, b"")
    for _ in range(depth):
        body = field(NODE, field(ATTRIBUTE, field(6, body)))
    return GOOD + field(GRAPH, body)


def named(text):
    return changed(lambda model: setattr(model.graph.node[-2], "name", text))


def sparse(model):
    values = helper.make_tensor("s", TensorProto.FLOAT, [2], [1, 2])
    values.ClearField("float_data")
    values.data_location = TensorProto.EXTERNAL
    values.external_data.add(key="location", value="/etc/passwd")
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, helper.make_tensor("i", TensorProto.INT64, [2], [0, 3]), [5]))


def outside(location):
    def change(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
    return change


FILES = {
    "empty-values": (GOOD + field(GRAPH, field(VALUE_INFO, b"") * EMPTY), "messages: must have fewer"),
    "empty-attributes": (GOOD + field(GRAPH, field(NODE, field(ATTRIBUTE, b"") * EMPTY)), "messages: must have fewer"),
    "empty-metadata": (GOOD + field(METADATA, b"") * EMPTY, "messages: must have fewer"),
    "nested": (nested(10_000), "is damaged"),
    "doubling": (changed(functions(*([n + 1, n + 1] for n in range(40)), [])), "fewer with its functions inlined"),
    "calling-each-other": (changed(functions([1], [2], [0])), "must not call itself"),
    "escape": (named("\x1b[2J"), r"'\x1b[2J': a name must be printable"),
    "two-lines": (named("a\nb"), r"'a\nb': a name must be printable"),
    "separator": (named("a\u2028b"), "a name must be printable"),
    "turned-text": (named("a\u202eb"), "a name must be printable"),
    "long-name": (named("n" * 10_000_000), "a name must have 16,384 characters at most"),
    "many-blocks": (shared(256), "257 blocks: must be 256 at most"),
    "two-constants": (changed(lambda model: model.graph.initializer.append(model.graph.initializer[0])), "one input"),
    "two-inputs": (changed(lambda model: model.graph.input.append(model.graph.input[0])), "one input or"),
    "sparse": (changed(sparse), "which is not in the model's folder"),
    "pipe": (changed(outside("pipe")), "which is not a file"),
    "nul": (changed(outside("a\0b")), "can't be read"),
    "many-axes": (changed(lambda model: model.graph.initializer[0].dims.extend([1] * 100_000)), "larger than 64 axes"),
}


@pytest.mark.parametrize("name", FILES)
def test_file(tiled_se, name):
    content, reason = FILES[name]
    pathlib.Path("net.onnx").write_bytes(content)
    os.mkfifo("pipe")
    start = time.monotonic()
    finished = tiled_se("inspect", "net.onnx", "--json", "out.json")
    assert (finished.status, finished.out) == (2, "")
    assert finished.err.startswith("tiled-se: error: MODEL=net.onnx (--model): ")
    assert reason in finished.err
    assert len(finished.err.splitlines()) == 1
    assert len(finished.err) < 400
    assert set(os.listdir()) == {"net.onnx", "pipe"}
    assert time.monotonic() - start < 20


def node(operator, inputs, outputs, **about):
    return lambda model: model.graph.node.append(helper.make_node(operator, inputs, outputs, **about))


def constant(array):
    def change(model):
        tensor = model.graph.initializer[0]
        tensor.CopyFrom(numpy_helper.from_array(array(tuple(tensor.dims)), tensor.name))
    return change


@pytest.mark.parametrize("change", [
    node("Mul", ["x", "x"], []), node("Mul", [], ["q"]), node("Mul", ["x", ""], [""]),
    node("AveragePool", ["x"], ["q"], kernel_shape=[1 << 62, -1 << 62], pads=[1 << 62] * 4),
    node("ReduceMean", ["x"], ["q"], axes=[1 << 62, -1 << 62]), node("HardSigmoid", ["x"], ["q"], alpha="slope"),
    node("Transpose", ["x"], ["q"], perm=1.5), node("Constant", [], ["q"], value=3),
    constant(lambda dims: np.full(dims, np.nan, np.float32)), constant(lambda dims: np.full(dims, 1e300)),
    constant(lambda dims: np.full(dims, b"text", object)),
], ids=range(11))
def test_strange_nodes(tiled_se, change):
    """They are no blocks, or are refused in a line; none gives a traceback or a warning."""
    pathlib.Path("net.onnx").write_bytes(changed(change))
    finished = tiled_se("swap", "net.onnx", "-o", "out.onnx")
    assert (finished.status, len(finished.err.splitlines())) in ((0, 0), (2, 1))
    assert os.path.exists("out.onnx") == (finished.status == 0)


@pytest.mark.parametrize("command", ["inspect", "swap", "build", "sensitivity", "report"])
def test_commands(tiled_se, command):
    pathlib.Path("net.onnx").write_bytes(named("\x1b[2J"))
    os.mkdir("images")
    options = ("--calibration", "images") if command in ("build", "sensitivity") else ()
    finished = tiled_se(command, "net.onnx", *options)
    assert finished.status == 2
    assert finished.err == "tiled-se: error: MODEL=net.onnx (--model): '\\x1b[2J': a name must be printable\n"
    assert set(os.listdir()) == {"net.onnx", "images"}


def test_spaces_of_other_scripts(tiled_se):
    """A name may hold any space that stays in the line."""
    pathlib.Path("net.onnx").write_bytes(named("\u00e9t\u00e9\u00a0\u3000\u5c42"))
    assert tiled_se("inspect", "net.onnx").status == 0


def test_empty_lists_inside(tiled_se):
    """As inference declares them: the shape of a scalar, a Resize's region."""
    model = onnx.ModelProto.FromString(GOOD)
    model.graph.node.append(helper.make_node("Constant", [], ["region"], value=numpy_helper.from_array(
        np.zeros(0, np.float32))))
    model.graph.value_info.append(helper.make_tensor_value_info("region", TensorProto.FLOAT, [0]))
    onnx.save(model, "net.onnx")
    assert tiled_se("inspect", "net.onnx").status == 0
    model.graph.value_info[-1].type.tensor_type.shape.dim.add().dim_value = 0
    onnx.save(model, "net.onnx")
    with pytest.raises(ConfigError, match=r"tensor region: has the shape \[0, 0\], which holds nothing"):
        network_module.open_network("net.onnx")


def test_reading_has_limits(tiled_se, monkeypatch):
    pathlib.Path("net.onnx").write_bytes(GOOD)
    monkeypatch.setattr(network_module, "READING_SECONDS", 0.01)
    finished = tiled_se("inspect", "net.onnx")
    assert finished.err == "tiled-se: error: MODEL=net.onnx (--model): it takes more than 0.01 s\n"


def fill(more=0):
    """How many MiB this process can have."""
    allow_memory_for(more << 20)
    taken = []
    try:
        while len(taken) < 80:
            taken.append(np.empty(64 << 20, np.uint8))
    except MemoryError:
        pass
    return 64 * len(taken)


def test_memory_follows_what_is_read():
    least = sandboxed(fill, what="it", reads=0)
    assert 1900 < least < 2100
    assert sandboxed(fill, what="it", reads=64 << 20) - least in range(512 - 64, 512 + 65, 64)
    assert sandboxed(fill, 64, what="it", reads=0) - least in range(512 - 64, 512 + 65, 64)


def end():
    os._exit(3)


def end_within_answer():
    sandbox.pickle = types.SimpleNamespace(dumps=lambda answer: pickle.dumps(answer)[:9])
    return "a long answer"


@pytest.mark.parametrize(("function", "status"), [(end, 3), (end_within_answer, 0)])
def test_ended_process(function, status):
    with pytest.raises(ConfigError, match=f"the process ended with status {status}"):
        sandboxed(function, what="it")


def test_numbers_are_counted(monkeypatch):
    model = onnx.ModelProto.FromString(GOOD)
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
    start = time.monotonic()
    assert graph_of(net, name).constant(name) == 1 << 24
    assert time.monotonic() - start < 2


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
    """A branch may call its result as the whole node's result is called; what it reads from outside counts."""
    net = Net()
    inner = helper.make_graph([helper.make_node("Relu", ["r"], ["y"])], "branch", [],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)])
    condition = net.constant(True, bool)
    net("If", condition, output="y", then_branch=inner, else_branch=inner)
    net("Relu", "x", output="r")
    graph = Graph(net.model({"x": SHAPE}, {"y": SHAPE}))
    assert [one.op_type for one in graph.nodes] == ["Relu", "If"]
    assert [one.op_type for one in graph.readers["r"]] == ["If"]
