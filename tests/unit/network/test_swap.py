# SPDX-License-Identifier: Apache-2.0
"""Tiled blocks in ONNX graphs: outputs are those of strips of the original, whatever spelling and operator set."""

import pathlib

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, SHAPE, SPELLINGS, SQUEEZE, Spelling, network, se, whole
from tests.helpers.onnx_runs import close, data, expected, run, two
from tiled_se.hdl.config import ConfigError
from tiled_se.network.commands import swap as swap_command
from tiled_se.network.network import find_blocks
from tiled_se.network.tile import tile_blocks

HEIGHTS = (11, 1, 23)
# One for each way in which the tiled nodes are written.
WRITTEN = ["pool-global", "layer-bare", "mid-relu6", "mid-silu", "mid-hardswish", "mid-identity", "gate-fifth",
           "gate-steep", "end-add", "end-one", "last-mul", "last-add", "turned-mul", "turned-add", "opset-9",
           "opset-10", "opset-11", "opset-17", "opset-18", "opset-21", "opset-23"]


@pytest.mark.parametrize("name", WRITTEN)
def test_outputs(name):
    """Each strip is what the network that has no tiles gives for it alone."""
    spelling = SPELLINGS[name]
    model = network(spelling, height="h")
    blocks, axis = find_blocks(model), 1 if spelling.last is True else 2
    for k in (1, 3, 7, 11):
        tiled = tile_blocks(model, blocks, k)
        onnx.checker.check_model(tiled)
        for height in HEIGHTS:
            x = data(spelling, height)
            strips = [run(model, part)[0] for part in np.split(x, range(k, height, k), axis)]
            close(run(tiled, x)[0], np.concatenate(strips, axis), 1e-5)


@pytest.mark.parametrize("last", [False, True], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize("end", ["mul", "add"])
@pytest.mark.parametrize(("opset", "mid"), [(7, "relu6"), (11, "silu"), (13, "product"), (18, "relu")])
def test_outputs_in_another_runtime(opset, mid, end, last):
    """ONNX's own evaluator, which follows the operators' definitions and shares no code with onnxruntime."""
    spelling = Spelling(opset=opset, mid=mid, gate="fifth" if last else "sigmoid", end=end, last=last)
    for height in HEIGHTS:
        model, x = network(spelling, height="h" if opset >= 9 else height), data(spelling, height)
        blocks = find_blocks(model)
        for k in (1, 3, 5, 7, 9, height):
            (found,) = ReferenceEvaluator(tile_blocks(model, blocks, k)).run(None, {"x": x})
            assert found.dtype == np.float32
            close(found, expected(spelling, x, k))


@pytest.mark.parametrize("name", SPELLINGS)
def test_large_tiles_are_the_original(name):
    spelling = SPELLINGS[name]
    model = network(spelling)
    x = data(spelling, 11)
    try:
        original = run(model, x)[0]
    except RuntimeError:
        if name != "mid-swish":
            raise
        pytest.skip("this release of onnxruntime lacks the operator Swish")
    close(run(tile_blocks(model, find_blocks(model), 10**6), x)[0], original, 1e-5)


@pytest.mark.parametrize("opset", [7, 13])
def test_fixed_height(opset):
    spelling = Spelling(opset=opset)
    model = network(spelling)
    x = data(spelling, 11)
    tiled = tile_blocks(model, find_blocks(model), 4)
    assert "Shape" not in {node.op_type for node in tiled.graph.node}
    close(run(tiled, x)[0], expected(spelling, x, 4))
    if opset < 9:
        model = network(spelling, height="h")
        with pytest.raises(ConfigError, match="must be 9 or later where heights are open"):
            tile_blocks(model, find_blocks(model), 4)


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_types(kind):
    model = network(Spelling(), kind=kind)
    x = data(Spelling(), 11)
    found = run(tile_blocks(model, find_blocks(model), 4), x.astype(kind))[0]
    assert found.dtype == kind
    close(found, expected(Spelling(), x, 4), 4e-3 if kind == np.float16 else 1e-5)


def half(first, second, factors, kind=np.float16):
    """A network in float16 whose layers have these weights, each times a factor, in type `kind`."""
    net = Net(17, np.float16)
    x = net("GlobalAveragePool", "x")
    x = x if kind == np.float16 else net("Cast", x, to=TensorProto.FLOAT)
    for weight, factor, shape in zip((first, second), factors, ((SQUEEZE, CHANNELS), (CHANNELS, SQUEEZE)), strict=True):
        x = net("Conv", x, net.constant(np.full((*shape, 1, 1), weight), kind))
        x = net(*(("Mul", x, net.constant(factor, kind)) if factor else ("Identity", x)))
        x = net("Relu" if weight == first else "Sigmoid", x)
    x = x if kind == np.float16 else net("Cast", x, to=TensorProto.FLOAT16)
    return whole(net, net("Mul", "x", x))


HALVES = {"fits": ((0.01, 0.02, (3, 0.5)), False), "overflow": ((-0.01, 300, (1, 300)), True),
          "underflow": ((1e-4, 2e-7, (1, 1e-3)), True), "small": ((1e-4, 300, (1e-3, 2)), True),
          "mixed": ((3e5, 1e-7, (None, None), np.float32), True)}


@pytest.mark.parametrize(("arguments", "cast"), HALVES.values(), ids=HALVES)
def test_weights_that_float16_does_not_hold(arguments, cast):
    """A product of weight and factor may overflow or vanish where neither does: such a block computes in float32."""
    model = half(*arguments)
    tiled = tile_blocks(model, find_blocks(model), 10**6)
    assert ("Cast" in {node.op_type for node in tiled.graph.node}) == cast
    x = (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 9).astype(np.float16)
    result = run(tiled, x)[0]
    assert result.dtype == np.float16
    # onnxruntime folds the factors into the weights, too, and then gives NaN.
    (original,) = ReferenceEvaluator(model).run(None, {"x": x})
    close(result.astype(float), original.astype(float), 2e-3)
    assert np.ptp(original) > 1


def test_the_type_of_a_network_in_bfloat16_without_declared_shapes():
    """Inside of it no tensor has a declared type: that of the weights tells it."""
    net = Net(17, ml_dtypes.bfloat16)
    net("Identity", se(net, net("Identity", "x"), Spelling()), output="y")
    model = whole(net)
    tiled = tile_blocks(model, find_blocks(model), 4)
    assert [attribute.i for node in tiled.graph.node if node.op_type == "Cast" for attribute in node.attribute] == [
        TensorProto.FLOAT, TensorProto.BFLOAT16]
    onnx.checker.check_model(tiled, full_check=True)


class TestCommand:
    def test_default_name(self, tiled_se):
        onnx.save(two(), "net.onnx")
        finished = tiled_se.passes("swap", "net.onnx", "--k", 3)
        assert finished.out.splitlines()[-1] == "wrote net_tse3.onnx: 2 blocks tiled"
        assert find_blocks(onnx.load("net_tse3.onnx")) == []

    def test_skip(self, tiled_se):
        onnx.save(two(), "net.onnx")
        name = find_blocks(two())[0].name
        assert tiled_se("swap", "net.onnx", "--skip", name, "-o", "out/o.onnx").status == 0
        assert [block.name for block in find_blocks(onnx.load("out/o.onnx"))] == [name]

    def test_what_the_checker_refuses_in_the_original(self, tiled_se):
        """Runtimes run it: an output without a shape."""
        model = two()
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        onnx.save(model, "net.onnx")
        assert tiled_se("swap", "net.onnx", "--k", 11).status == 0
        x = data(Spelling(), 11)
        for result, original in zip(run(onnx.load("net_tse11.onnx"), x), run(two(), x), strict=True):
            close(result, original, 1e-5)

    def test_what_it_refuses_in_the_result_alone(self, tiled_se, monkeypatch):
        def broken(model, *_):
            model = onnx.ModelProto.FromString(model.SerializeToString())
            model.graph.node[0].input[0] = "nothing"
            return model

        monkeypatch.setattr(swap_command, "tile_blocks", broken)
        onnx.save(two(), "net.onnx")
        tiled_se.refuses_as("MODEL=net.onnx (--model): the tiled network: ", "swap", "net.onnx", "-o", "o.onnx")
        assert not pathlib.Path("o.onnx").exists()

    @pytest.mark.parametrize(("arguments", "line"), [
        (["net.onnx", "-o", "net.onnx"], "OUT=net.onnx (--out): is the model itself; must be another file"),
        (["net.onnx", "-o", "."], "OUT=. (--out): is a folder; must be a file's name"),
        (["none.onnx"], "MODEL=none.onnx (--model): there is no such file; must be an .onnx file"),
        ([], "MODEL= (--model): is needed: an .onnx file"),
    ])
    def test_refused(self, tiled_se, arguments, line):
        onnx.save(two(), "net.onnx")
        before = pathlib.Path("net.onnx").read_bytes()
        tiled_se.refuses(line, "swap", *arguments)
        assert pathlib.Path("net.onnx").read_bytes() == before
