# SPDX-License-Identifier: Apache-2.0
"""Tiled blocks in ONNX graphs: the outputs are those of the float module, whatever spelling and operator set."""

import pathlib

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from tiled_se.gen.network.recognise import find_blocks
from tiled_se.gen.network.swap import tile
from tiled_se.golden.float_module import TiledSE
from tiled_se.hdl.config import ConfigError

from .onnx_net import Net
from .onnx_networks import CHANNELS, SPELLINGS, WIDTH, Spelling, block, network, se

HEIGHTS = (11, 1, 23)
# One for each way in which the tiled nodes are written.
WRITTEN = ["pool-global", "layer-bare", "mid-relu6", "mid-silu", "mid-hardswish", "mid-identity", "gate-fifth",
           "gate-steep", "end-add", "end-one", "last-mul", "last-add", "turned-mul", "turned-add", "opset-9",
           "opset-10", "opset-11", "opset-17", "opset-18", "opset-21", "opset-23"]


def run(model, x):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
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


def close(found, wanted, relative=1e-4):
    assert np.abs(found - wanted).max() <= relative * np.abs(wanted).max()


@pytest.mark.parametrize("name", WRITTEN)
def test_outputs(name):
    spelling = SPELLINGS[name]
    model = network(spelling, height="h")
    blocks = find_blocks(model)
    for k in (1, 3, 5, 7, 9, 11):
        tiled = tile(model, blocks, k)
        onnx.checker.check_model(tiled)
        for height in HEIGHTS:
            x = data(spelling, height)
            close(run(tiled, x)[0], expected(spelling, x, k))


@pytest.mark.parametrize("name", SPELLINGS)
def test_large_tiles_are_the_original(name):
    spelling = SPELLINGS[name]
    if name in ("mid-swish", "mid-quick"):
        pytest.skip("onnxruntime has the operator in part of its releases only")
    model = network(spelling)
    x = data(spelling, 11)
    close(run(tile(model, find_blocks(model), 10**6), x)[0], run(model, x)[0], 1e-5)


@pytest.mark.parametrize("opset", [7, 13])
def test_fixed_height(opset):
    spelling = Spelling(opset=opset)
    model = network(spelling)
    x = data(spelling, 11)
    tiled = tile(model, find_blocks(model), 4)
    assert "Shape" not in {node.op_type for node in tiled.graph.node}
    close(run(tiled, x)[0], expected(spelling, x, 4))


def test_old_operators_need_a_fixed_height():
    model = network(Spelling(opset=7), height="h")
    with pytest.raises(ConfigError, match="must be 9 or later where heights are open"):
        tile(model, find_blocks(model), 4)


def test_against_strips_of_the_original():
    """Every strip by itself through the network that has no tiles: no module of ours."""
    spelling = Spelling(mid="silu", end="add")
    model = network(spelling, height="h")
    x = data(spelling, 11)
    strips = [run(model, x[:, :, row:row + 4])[0] for row in (0, 4, 8)]
    close(run(tile(model, find_blocks(model), 4), x)[0], np.concatenate(strips, axis=2), 1e-5)


def two():
    """Two blocks; the gates of the first are read by something else, too."""
    net = Net()
    middle = se(net, "x", Spelling())
    gates = next(node.output[0] for node in net.nodes if node.op_type == "Sigmoid")
    net("Identity", se(net, middle, Spelling(), seed=2), output="y")
    net("ReduceSum", gates, output="z")
    return net.model({"x": (1, CHANNELS, 11, WIDTH)}, {"y": (1, CHANNELS, 11, WIDTH), "z": (1, 1, 1, 1)})


def test_what_else_reads_the_inside_is_as_before():
    model, x = two(), data(Spelling(), 11)
    y, z = run(tile(model, find_blocks(model), 3), x)
    before = run(model, x)
    np.testing.assert_allclose(z, before[1], rtol=1e-6)
    assert np.abs(y - before[0]).max() > 1e-3


def test_rows_by_name():
    model, x = two(), data(Spelling(), 11)
    first, second = find_blocks(model)
    some = run(tile(model, [first, second], {second.name: 3}), x)[0]
    middle = TiledSE.from_block(first.float_block, 11)(torch.tensor(x))
    wanted = TiledSE.from_block(second.float_block, 3)(middle).detach().numpy()
    close(some, wanted)
    with pytest.raises(ConfigError, match="k=nothing: is no block of the model"):
        tile(model, [first], {"nothing": 3})


def test_one_after_the_other():
    """A network that has tiled blocks already."""
    model, x = two(), data(Spelling(), 11)
    first, second = find_blocks(model)
    once = tile(model, [first], 3)
    (left,) = find_blocks(once)
    close(run(tile(once, [left], 3), x)[0], run(tile(model, [first, second], 3), x)[0], 1e-6)


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_types(kind):
    model = network(Spelling(), kind=kind)
    x = data(Spelling(), 11)
    found = run(tile(model, find_blocks(model), 4), x.astype(kind))[0]
    assert found.dtype == kind
    close(found, expected(Spelling(), x, 4), 4e-3 if kind == np.float16 else 1e-5)


class TestCommand:
    def test_default_name(self, tiled_se):
        onnx.save(two(), "net.onnx")
        finished = tiled_se("swap", "net.onnx", "--k", 3)
        assert (finished.status, finished.err) == (0, "")
        assert finished.out.splitlines()[-1] == "wrote net_tse3.onnx: 2 blocks tiled"
        assert find_blocks(onnx.load("net_tse3.onnx")) == []

    def test_skip(self, tiled_se):
        onnx.save(two(), "net.onnx")
        name = find_blocks(two())[0].name
        assert tiled_se("swap", "net.onnx", "--skip", name, "-o", "out/o.onnx").status == 0
        assert [found.name for found in find_blocks(onnx.load("out/o.onnx"))] == [name]

    @pytest.mark.parametrize(("arguments", "line"), [
        (["net.onnx", "-o", "net.onnx"], "OUT=net.onnx (--out): is the model itself; must be another file"),
        (["net.onnx", "-o", "."], "OUT=. (--out): is a folder; must be a file's name"),
        (["none.onnx"], "MODEL=none.onnx (--model): there is no such file; must be an .onnx file"),
        (["net.onnx", "--k", "0"], "K=0 (--k): must be an integer from 1 to 65536"),
        ([], "MODEL= (--model): is needed: an .onnx file"),
    ])
    def test_refused(self, tiled_se, arguments, line):
        onnx.save(two(), "net.onnx")
        before = pathlib.Path("net.onnx").read_bytes()
        finished = tiled_se("swap", *arguments)
        assert (finished.status, finished.err) == (2, f"tiled-se: error: {line}\n")
        assert pathlib.Path("net.onnx").read_bytes() == before
