# SPDX-License-Identifier: Apache-2.0
"""What the commands print and write about what is left out, and about a network without blocks."""

import json
import pathlib

import onnx
import pytest

from tests.helpers.onnx_lookalikes import excite, lookalike, pool
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import Spelling, se, whole
from tests.helpers.onnx_runs import only

ONE_LAYER = "it has one layer between its mean and its gate; a block has two"
TANH = "its gate (Sigmoid, Tanh) is not known as a sigmoid, or a hard sigmoid from 0 to 1"


def test_inspect(tiled_se):
    onnx.save(lookalike("one-layer"), "net.onnx")
    finished = tiled_se.passes("inspect", "net.onnx", "--json", "blocks.json")
    (name, reason), = json.loads(pathlib.Path("blocks.json").read_text())["others"].items()
    assert (name, reason) == ("node_mul_3", ONE_LAYER)
    assert finished.out.splitlines()[1] == f"left out: {name}: {reason}"


@pytest.mark.parametrize("command", [["swap", "-o", "out.onnx"], ["build", "--calibration", ".", "-o", "out"],
                                     ["sensitivity", "--calibration", ".", "-o", "out"]])
def test_a_network_without_blocks(tiled_se, command):
    """The first three reasons, in one line; nothing is written."""
    net = Net()
    y = "x"
    for _ in range(5):
        y = net("Mul", y, net("Tanh", excite(net, pool(net, y))))
    onnx.save(whole(net, y), "net.onnx")
    names = [node.name for node in net.nodes if node.op_type == "Mul"][:3]
    reasons = "; ".join(f"{name}: {TANH}" for name in names)
    tiled_se.refuses(f"MODEL=net.onnx (--model): has no squeeze-and-excite block; left out: {reasons}; 2 more",
                     command[0], "net.onnx", *command[1:])
    assert not pathlib.Path(command[-1]).exists()


def test_swap_of_nothing(tiled_se):
    net = Net()
    net("Relu", "x", output="y")
    onnx.save(whole(net), "net.onnx")
    tiled_se.refuses("MODEL=net.onnx (--model): has no squeeze-and-excite block", "swap", "net.onnx")
    net = Net()
    onnx.save(whole(net, se(net, "x", Spelling())), "net.onnx")
    name = only(onnx.load("net.onnx")).name
    tiled_se.refuses(f"SKIP={name} (--skip): leaves no block to tile", "swap", "net.onnx", "--skip", name)
    assert [path.name for path in pathlib.Path(".").iterdir()] == ["net.onnx"]


def test_swap(tiled_se):
    net = Net()
    y = net("Mul", se(net, "x", Spelling()), net("Tanh", excite(net, pool(net))))
    onnx.save(whole(net, y), "net.onnx")
    lines = tiled_se.passes("swap", "net.onnx").out.splitlines()
    assert lines[1] == f"left out: node_{y}: {TANH}"
