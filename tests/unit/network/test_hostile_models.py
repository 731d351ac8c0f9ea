# SPDX-License-Identifier: Apache-2.0
"""Models that are no models, or lie: one line, status 2, nothing written, in little time and memory."""

import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, Spelling, network
from tiled_se.hdl.config import ConfigError
from tiled_se.network.match.match import match
from tiled_se.network.read.model import load_model, model_errors
from tiled_se.network.read.sandbox import sandboxed
from tiled_se.network.tile import tile_blocks


def changed(change):
    """The bytes of a good network after `change`, a function of its ModelProto."""
    model = network(Spelling(gate="relu6", layer="gemm"))
    change(model)
    return model.SerializeToString()


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


GOOD = changed(lambda model: None)
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
    "recursive": changed(lambda model: (
        model.functions.append(helper.make_function("own", "f", ["a"], ["b"], [
            helper.make_node("f", ["a"], ["b"], domain="own")], [helper.make_opsetid("own", 1)])),
        model.opset_import.append(helper.make_opsetid("own", 1)),
        model.graph.node.append(helper.make_node("f", ["x"], ["z"], domain="own")))),
}


@pytest.mark.parametrize("name", FILES)
def test_file(tiled_se, tmp_path, name):
    pathlib.Path("net.onnx").write_bytes(FILES[name])
    pathlib.Path("short.bin").write_bytes(b"1234")
    pathlib.Path(tmp_path.parent, "weights.bin").write_bytes(bytes(1000))
    os.symlink("/etc/passwd", "link.bin")
    before = set(os.listdir())
    start = time.monotonic()
    finished = tiled_se("swap", "net.onnx", "-o", "out.onnx")
    assert finished.status == 2
    assert finished.err.startswith("tiled-se: error: MODEL=net.onnx (--model): ")
    assert len(finished.err.splitlines()) == 1
    assert set(os.listdir()) == before
    assert time.monotonic() - start < 20


def test_good(tiled_se):
    pathlib.Path("net.onnx").write_bytes(GOOD)
    assert tiled_se("swap", "net.onnx", "-o", "out.onnx").status == 0


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


def crash():
    os.abort()


def loop():
    while True:
        pass


def grow():
    # Not touched: it is the address space that is limited.
    return [np.empty(1 << 28) for _ in range(1000)]


def refuse():
    raise ConfigError("calibration", "a.png", "is damaged")


@pytest.mark.parametrize(("function", "seconds", "line"), [
    (crash, 60, "model=it: the process ended with status -6"),
    (loop, 2, "model=it: it takes more than 2 s"),
    (grow, 100, "model=it: it takes too much memory"),
    (refuse, 60, "calibration=a.png: is damaged"),
])
def test_guard(function, seconds, line):
    with pytest.raises(ConfigError) as error:
        sandboxed(function, what="it", seconds=seconds)
    assert str(error.value) == line


def test_a_script_that_reads_a_network_runs_once(tmp_path):
    # Whoever trains a network in the same script would see it trained again, if the process ran that script.
    onnx.save(network(Spelling()), tmp_path / "net.onnx")
    (tmp_path / "json.py").write_text("raise SystemExit('a file of the working folder is no module of ours')")
    script = tmp_path / "script.py"
    script.write_text("import sys; sys.path.remove(sys.path[0])\n"
                      "from tiled_se.network.network import open_network\n"
                      "print(len(open_network('net.onnx').blocks))\n")
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
