# SPDX-License-Identifier: Apache-2.0
"""Files that are no models, lie, or ask for far more than they hold: one line, status 2, nothing written, soon."""

import os
import pathlib
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, Spelling, network
from tiled_se.hdl.config import ConfigError
from tiled_se.network.match.match import match
from tiled_se.network.network import open_network
from tiled_se.network.read.model import load_model, model_errors
from tiled_se.network.tile import tile_blocks

SHAPE = (1, CHANNELS, 11, 5)
# Numbers of fields in the file format.
GRAPH, VALUE_INFO, NODE, ATTRIBUTE, METADATA = 7, 13, 1, 5, 14
EMPTY = 1 << 21


def field(number, content):
    """The bytes of a field around `content`."""
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


def reading(node, name):
    return changed(lambda model: model.graph.node[node].input.__setitem__(0, name(model.graph.node)))


def dims(*sizes):
    return changed(lambda model: model.graph.initializer[0].dims.__setitem__(slice(None), sizes))


def declared(*sizes):
    def change(model):
        for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim, sizes, strict=True):
            dim.dim_value = size
    return changed(change)


def external(location, **about):
    def change(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **about}.items():
            tensor.external_data.add(key=key, value=str(value))
    return changed(change)


def sparse(model):
    values = helper.make_tensor("s", TensorProto.FLOAT, [2], [1, 2])
    values.ClearField("float_data")
    values.data_location = TensorProto.EXTERNAL
    values.external_data.add(key="location", value="/etc/passwd")
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, helper.make_tensor("i", TensorProto.INT64, [2], [0, 3]), [5]))


def functions(*bodies):
    """A function for each of `bodies`: the functions that it calls one after the other. The first one is called."""
    def change(model):
        model.opset_import.append(helper.make_opsetid("own", 1))
        for index, called in enumerate(bodies):
            ends = ["a", *(f"t{at}" for at in range(1, len(called))), "b"]
            nodes = [helper.make_node(f"f{other}", [ends[at]], [ends[at + 1]], domain="own")
                     for at, other in enumerate(called)] or [helper.make_node("Relu", ["a"], ["b"])]
            model.functions.append(helper.make_function("own", f"f{index}", ["a"], ["b"], nodes, [
                helper.make_opsetid("", 13), helper.make_opsetid("own", 1)]))
        model.graph.node.append(helper.make_node("f0", ["x"], ["z"], domain="own"))
    return changed(change)


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


# Contents of the file, and a part of the message.
FILES = {
    "empty": (b"", "is damaged or no ONNX file: it has no graph"),
    "text": (b"# no model\n" * 50, "is damaged or no ONNX file"),
    "random": (np.random.default_rng(1).bytes(4000), "is damaged or no ONNX file"),
    **{f"truncated-{at}": (GOOD[:len(GOOD) * at // 10], "is damaged or no ONNX file") for at in (1, 5, 9)},
    "cyclic": (reading(0, lambda nodes: nodes[-2].output[0]), "must not depend on each other in a cycle"),
    "own-output": (reading(0, lambda nodes: nodes[0].output[0]), "1 nodes: must not depend on each other in a cycle"),
    "made-twice": (changed(lambda model: model.graph.node[1].output.__setitem__(0, model.graph.node[0].output[0])),
                   "must be made by one node only"),
    "made-by-nobody": (reading(2, lambda nodes: "nobody"), "nobody: is read, but no node makes it"),
    "huge-weights": (dims(1 << 40, 1 << 40), "is larger than 64 axes and 2**31 elements"),
    "large-weights": (dims(1 << 15, 1 << 15), "its shape takes 8,589,934,592"),
    "negative-weights": (dims(-3, 6), "has the shape [-3, 6], which is negative"),
    "no-weights": (dims(0, 6), "has the shape [0, 6], which holds nothing"),
    "many-axes": (changed(lambda model: model.graph.initializer[0].dims.extend([1] * 100_000)), "larger than 64 axes"),
    "huge-input": (declared(1, 1 << 40, 1 << 40, 1 << 40), "is larger than 64 axes and 2**31 elements"),
    "no-input": (declared(1, CHANNELS, 0, 5), "which holds nothing"),
    "unknown-type": (changed(lambda model: setattr(model.graph.initializer[0], "data_type", 999)), "an unknown type"),
    "absolute": (external("/etc/passwd"), "which is not in the model's folder"),
    "outside": (external("../weights.bin"), "which is not in the model's folder"),
    "link": (external("link.bin"), "which is not in the model's folder (or is a link out of it)"),
    "device": (external("/dev/zero"), "which is not in the model's folder"),
    "folder": (external("."), "which is not a file"),
    "pipe": (external("pipe"), "which is not a file"),
    "missing": (external("weights.bin"), "which is not a file"),
    "short": (external("short.bin"), "goes beyond the end of 'short.bin'"),
    "offset": (external("short.bin", offset=1 << 70), "goes beyond the end of 'short.bin'"),
    "nul": (external("a\0b"), "can't be read"),
    "sparse": (changed(sparse), "which is not in the model's folder"),
    "old": (changed(lambda model: setattr(model.opset_import[0], "version", 3)), "is of operator set 3; must be of 7"),
    "no-opset": (changed(lambda model: model.ClearField("opset_import")), "it has no graph"),
    "calling-itself": (functions([0]), "must not call itself"),
    "calling-each-other": (functions([1], [2], [0]), "must not call itself"),
    "doubling": (functions(*([n + 1, n + 1] for n in range(40)), []), "fewer with its functions inlined"),
    "empty-values": (GOOD + field(GRAPH, field(VALUE_INFO, b"") * EMPTY), "messages: must have fewer"),
    "empty-attributes": (GOOD + field(GRAPH, field(NODE, field(ATTRIBUTE, b"") * EMPTY)), "messages: must have fewer"),
    "empty-metadata": (GOOD + field(METADATA, b"") * EMPTY, "messages: must have fewer"),
    "nested": (nested(10_000), "is damaged"),
    "escape": (named("\x1b[2J"), r"'\x1b[2J': a name must be printable"),
    "two-lines": (named("a\nb"), r"'a\nb': a name must be printable"),
    "separator": (named("a\u2028b"), "a name must be printable"),
    "turned-text": (named("a\u202eb"), "a name must be printable"),
    "long-name": (named("n" * 10_000_000), "a name must have 16,384 characters at most"),
    "many-blocks": (shared(256), "257 blocks: must be 256 at most"),
    "two-constants": (changed(lambda model: model.graph.initializer.append(model.graph.initializer[0])), "one input"),
    "two-inputs": (changed(lambda model: model.graph.input.append(model.graph.input[0])), "one input or"),
}


@pytest.mark.parametrize("name", FILES)
def test_file(tiled_se, tmp_path, name):
    content, reason = FILES[name]
    pathlib.Path("net.onnx").write_bytes(content)
    pathlib.Path("short.bin").write_bytes(b"1234")
    pathlib.Path(tmp_path.parent, "weights.bin").write_bytes(bytes(1000))
    os.symlink("/etc/passwd", "link.bin")
    os.mkfifo("pipe")
    before = set(os.listdir())
    start = time.process_time()
    finished = tiled_se.refuses_as("MODEL=net.onnx (--model): ", "swap", "net.onnx", "-o", "out.onnx")
    assert reason in finished.err
    assert len(finished.err) < 400
    assert set(os.listdir()) == before
    assert time.process_time() - start < 20


@pytest.mark.parametrize("command", ["inspect", "build", "sensitivity", "plan", "report"])
def test_other_commands(tiled_se, command):
    pathlib.Path("net.onnx").write_bytes(named("\x1b[2J"))
    os.mkdir("images")
    options = ("--calibration", "images") if command in ("build", "sensitivity", "plan") else ()
    options += ("--budget", "1") if command == "plan" else ()
    tiled_se.refuses("MODEL=net.onnx (--model): '\\x1b[2J': a name must be printable", command, "net.onnx", *options)
    assert set(os.listdir()) == {"net.onnx", "images"}


@pytest.mark.parametrize("make", [lambda: os.mkfifo("net.onnx"), lambda: os.mkdir("net.onnx"),
                                  lambda: os.symlink("net.onnx", "net.onnx")])
def test_no_file(tiled_se, make):
    make()
    tiled_se.refuses_as("MODEL=net.onnx (--model): ", "inspect", "net.onnx")


@pytest.mark.parametrize("content", [GOOD, named("\u00e9t\u00e9\u00a0\u3000\u5c42")], ids=["plain", "spaces"])
def test_good(tiled_se, content):
    """Names may have spaces of other scripts that stay in the line."""
    pathlib.Path("net.onnx").write_bytes(content)
    assert tiled_se("swap", "net.onnx", "-o", "out.onnx").status == 0


def test_weights_in_a_file_beside(tiled_se):
    onnx.save(network(), "net.onnx", save_as_external_data=True, size_threshold=0, location="net.bin")
    assert tiled_se("swap", "net.onnx", "-o", "out/tiled.onnx").status == 0
    assert not any(tensor.external_data for tensor in onnx.load("out/tiled.onnx").graph.initializer)


def test_empty_lists_inside(tmp_path):
    """Inference declares the shape of a scalar and the region of a Resize as empty lists; other tensors hold data."""
    model, path = onnx.ModelProto.FromString(GOOD), str(tmp_path / "net.onnx")
    model.graph.node.append(helper.make_node("Constant", [], ["region"], value=numpy_helper.from_array(
        np.zeros(0, np.float32))))
    model.graph.value_info.append(helper.make_tensor_value_info("region", TensorProto.FLOAT, [0]))
    onnx.save(model, path)
    assert len(open_network(path).blocks) == 1
    model.graph.value_info[-1].type.tensor_type.shape.dim.add().dim_value = 0
    onnx.save(model, path)
    with pytest.raises(ConfigError, match=r"tensor region: has the shape \[0, 0\], which holds nothing"):
        open_network(path)


def node(operator, inputs, outputs, **about):
    return changed(lambda model: model.graph.node.append(helper.make_node(operator, inputs, outputs, **about)))


def constant(array):
    def change(model):
        tensor = model.graph.initializer[0]
        tensor.CopyFrom(numpy_helper.from_array(array(tuple(tensor.dims)), tensor.name))
    return changed(change)


@pytest.mark.parametrize("content", [
    node("Mul", ["x", "x"], []), node("Mul", [], ["q"]), node("Mul", ["x", ""], [""]),
    node("AveragePool", ["x"], ["q"], kernel_shape=[1 << 62, -1 << 62], pads=[1 << 62] * 4),
    node("ReduceMean", ["x"], ["q"], axes=[1 << 62, -1 << 62]), node("HardSigmoid", ["x"], ["q"], alpha="slope"),
    node("Transpose", ["x"], ["q"], perm=1.5), node("Constant", [], ["q"], value=3),
    constant(lambda dims: np.full(dims, np.nan, np.float32)), constant(lambda dims: np.full(dims, 1e300)),
    constant(lambda dims: np.full(dims, b"text", object)),
], ids=range(11))
def test_strange_nodes(tiled_se, content):
    """They are no blocks, or are refused in a line; none gives a traceback or a warning."""
    pathlib.Path("net.onnx").write_bytes(content)
    finished = tiled_se("swap", "net.onnx", "-o", "out.onnx")
    assert (finished.status, len(finished.err.splitlines())) in ((0, 0), (2, 1))
    assert os.path.exists("out.onnx") == (finished.status == 0)


def test_no_number_of_nodes_takes_long(tmp_path):
    """Long chains, and many multiplications that share one, are followed once or not far."""
    net, name = Net(), "x"
    for _ in range(8_000):
        name = net("Identity", name)
    for _ in range(3_000):
        net("Mul", "x", name)
    net("Identity", name, output="y")
    path = tmp_path / "long.onnx"
    path.write_bytes(net.model({"x": (1, 2, 3, 4)}, {"y": (1, 2, 3, 4)}).SerializeToString())
    start = time.process_time()
    assert match(load_model(str(path))) == ([], {})
    assert time.process_time() - start < 15


def test_changed_bytes(tmp_path):
    """Each of three hundred damaged files is read, or refused with a reason."""
    rng = np.random.default_rng(7)
    path, outcomes = tmp_path / "net.onnx", {"read": 0, "refused": 0}
    for _ in range(300):
        content = bytearray(GOOD)
        for at in rng.integers(0, len(content), rng.integers(1, 6)):
            content[at] = rng.integers(256)
        path.write_bytes(content)
        try:
            with model_errors(str(path)):
                graph = load_model(str(path))
                tile_blocks(graph.model, match(graph)[0], 3)
            outcomes["read"] += 1
        except ConfigError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 20
