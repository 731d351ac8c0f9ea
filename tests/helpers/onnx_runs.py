# SPDX-License-Identifier: Apache-2.0
"""Running small ONNX networks, and what their blocks should give."""

import numpy as np
import onnxruntime
import pytest
import torch

from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, WIDTH, Spelling, block, se
from tiled_se.golden.module import TiledSE
from tiled_se.network.network import find_blocks
from tiled_se.network.read.graph import Graph
from tiled_se.network.read.shapes import inferred, open_session

__all__ = ["close", "data", "expected", "graph_of", "only", "run", "two"]


def run(model, x):
    try:
        session = open_session(model, threads=1)
    except Exception as error:
        # The last one for Python 3.10 knows operator sets up to 23.
        if "is under development" in str(error):
            pytest.skip(f"onnxruntime {onnxruntime.__version__} has no operator set {model.opset_import[0].version}")
        raise
    return session.run(None, {"x": x})


def data(spelling, height):
    x = np.random.default_rng(height).normal(0.3, 1, (1, CHANNELS, height, WIDTH)).astype(np.float32)
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if spelling.last is True else x


def expected(spelling, x, k):
    """What the float module gives in double precision."""
    module = TiledSE.from_block(block(spelling), k).double()
    turn = (lambda a, order: a.transpose(order)) if spelling.last is True else (lambda a, order: a)
    with torch.no_grad():
        y = module(torch.tensor(turn(x, (0, 3, 1, 2)), dtype=torch.float64)).numpy()
    return turn(y, (0, 2, 3, 1))


def close(results, references, relative=1e-4):
    assert np.abs(results - references).max() <= relative * np.abs(references).max()


def two():
    """Two blocks; the gates of the first are read by something else, too."""
    net = Net()
    middle = se(net, "x", Spelling())
    gates = next(node.output[0] for node in net.nodes if node.op_type == "Sigmoid")
    net("Identity", se(net, middle, Spelling(), seed=2), output="y")
    net("ReduceSum", gates, output="z")
    return net.model({"x": (1, CHANNELS, 11, WIDTH)}, {"y": (1, CHANNELS, 11, WIDTH), "z": (1, 1, 1, 1)})


def graph_of(model):
    """The Graph of `model` with the shapes that can be inferred."""
    return Graph(inferred(model))


def only(model):
    """The one block of `model`."""
    (block,) = find_blocks(model)
    return block
