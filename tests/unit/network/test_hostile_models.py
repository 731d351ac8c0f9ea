# SPDX-License-Identifier: Apache-2.0
"""Models that are no models, or lie, or ask for far more than their files have bytes: one line, status 2, no file."""

import os
import pathlib
import time
import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, Spelling, network
from tiled_se.hdl.config import ConfigError
from tiled_se.network import network as network_module
from tiled_se.network.match.match import match
from tiled_se.network.read import validation
from tiled_se.network.read.graph import Graph
from tiled_se.network.read.model import load_model, model_errors
from tiled_se.network.tile import tile_blocks

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


def cyclic(model):
    model.graph.node[0].input[0] = model.graph.node[-2].output[0]


def external(location, **about):
    def change(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **about}.items():
            tensor.external_data.add(key=key, value=str(value))
    return change


def dims(*sizes):
    return lambda model: model.graph.initializer[0].dims.__setitem__(slice(None), sizes)


def declared(*sizes):
    def change(model):
        for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim, sizes, strict=True):
            dim.dim_value = size
    return change


FILES = {
    "empty": b"",
    "text": b"# no model\n" * 50,
    "random": np.random.default_rng(1).bytes(4000),
    **{f"truncated-{at}": GOOD[:len(GOOD) * at // 10] for at in (1, 3, 5, 7, 9)},
    "cyclic": changed(cyclic),
    "own-output": changed(lambda model: model.graph.node[0].input.__setitem__(0, model.graph.node[0].output[0])),
    "made-twice": changed(lambda model: model.graph.node[1].output.__setitem__(0, model.graph.node[0].output[0])),
    "made-by-nobody": changed(lambda model: model.graph.node[2].input.__setitem__(0, "nobody")),
    "huge-weights": changed(dims(1 << 40, 1 << 40)),
    "large-weights": changed(dims(1 << 15, 1 << 15)),
    "negative-weights": changed(dims(-3, 6)),
    "no-weights": changed(dims(0, 6)),
    "huge-input": changed(declared(1, 1 << 40, 1 << 40, 1 << 40)),
    "no-input": changed(declared(1, CHANNELS, 0, 5)),
    "unknown-type": changed(lambda model: setattr(model.graph.initializer[0], "data_type", 999)),
    "absolute": changed(external("/etc/passwd")),
    "outside": changed(external("../weights.bin")),
    "device": changed(external("/dev/zero")),
    "folder": changed(external(".")),
    "missing": changed(external("weights.bin")),
    "link": changed(external("link.bin")),
    "short": changed(external("short.bin")),
    "offset": changed(external("short.bin", offset=1 << 70)),
    "old": changed(lambda model: setattr(model.opset_import[0], "version", 3)),
    "no-opset": changed(lambda model: model.ClearField("opset_import")),
    "recursive": (changed(functions([0])), "must not call itself"),
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
    "pipe": (changed(external("pipe")), "which is not a file"),
    "nul": (changed(external("a\0b")), "can't be read"),
    "many-axes": (changed(lambda model: model.graph.initializer[0].dims.extend([1] * 100_000)), "larger than 64 axes"),
}


@pytest.mark.parametrize("name", FILES)
def test_file(tiled_se, tmp_path, name):
    content, reason = FILES[name] if isinstance(FILES[name], tuple) else (FILES[name], "")
    pathlib.Path("net.onnx").write_bytes(content)
    pathlib.Path("short.bin").write_bytes(b"1234")
    pathlib.Path(tmp_path.parent, "weights.bin").write_bytes(bytes(1000))
    os.symlink("/etc/passwd", "link.bin")
    os.mkfifo("pipe")
    before = set(os.listdir())
    start = time.monotonic()
    finished = tiled_se("swap", "net.onnx", "-o", "out.onnx")
    assert (finished.status, finished.out) == (2, "")
    assert finished.err.startswith("tiled-se: error: MODEL=net.onnx (--model): ")
    assert reason in finished.err
    assert len(finished.err.splitlines()) == 1
    assert len(finished.err) < 400
    assert set(os.listdir()) == before
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


@pytest.mark.parametrize("make", [lambda: os.mkfifo("net.onnx"), lambda: os.mkdir("net.onnx"),
                                  lambda: os.symlink("net.onnx", "net.onnx")])
def test_no_file(tiled_se, make):
    make()
    finished = tiled_se("inspect", "net.onnx")
    assert (finished.status, len(finished.err.splitlines())) == (2, 1)


def test_weights_in_a_file_beside(tiled_se):
    model = network()
    onnx.save(model, "net.onnx", save_as_external_data=True, size_threshold=0, location="net.bin")
    assert tiled_se("swap", "net.onnx", "-o", "out/tiled.onnx").status == 0
    assert not any(tensor.external_data for tensor in onnx.load("out/tiled.onnx").graph.initializer)


def test_no_number_of_nodes_takes_long():
    """Chains, and multiplications that share one, are looked through once or not far."""
    net, name = Net(), "x"
    for _ in range(20_000):
        name = net("Identity", name)
    for _ in range(5_000):
        net("Mul", "x", name)
    net("Identity", name, output="y")
    path = "long.onnx"
    start = time.monotonic()
    model = net.model({"x": (1, 2, 3, 4)}, {"y": (1, 2, 3, 4)})
    pathlib.Path(path).write_bytes(model.SerializeToString())
    try:
        assert match(load_model(path)).blocks == ()
    finally:
        os.unlink(path)
    assert time.monotonic() - start < 30


def test_changed_bytes(tmp_path):
    """Of any three hundred damaged files each is read, or refused with a reason."""
    rng = np.random.default_rng(7)
    path, outcomes = str(tmp_path / "net.onnx"), {"read": 0, "refused": 0}
    for _ in range(300):
        content = bytearray(GOOD)
        for at in rng.integers(0, len(content), rng.integers(1, 6)):
            content[at] = rng.integers(256)
        pathlib.Path(path).write_bytes(content)
        try:
            with model_errors(path):
                graph = load_model(path)
                tile_blocks(graph.model, match(graph).blocks, 3)
            outcomes["read"] += 1
        except ConfigError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 20
