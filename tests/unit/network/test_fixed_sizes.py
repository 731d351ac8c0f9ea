# SPDX-License-Identifier: Apache-2.0
"""Sizes that a tiled block takes as fixed: those that follow from the sizes of the network's input, and no others."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.helpers.contexts import scaled
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, HEIGHT, WIDTH, Spelling, se
from tests.helpers.onnx_runs import close, run
from tiled_se.hdl.config import Context, Order, Tiling
from tiled_se.network.network import find_blocks, open_network
from tiled_se.network.read.graph import declared_dims
from tiled_se.network.tile import tile_blocks

FIXED = (1, CHANNELS, HEIGHT, WIDTH)
TILINGS = {"tile": Tiling(k=3), "patches": Tiling(k=4, tile_width=2),
           "causal": Tiling(k=3, context=Context.CAUSAL, prior_rows=1),
           "columns": Tiling(k=2, context=Context.CUMULATIVE, order=Order.COLUMNS),
           "window": Tiling(k=7, context=Context.WINDOW, window=(2, 3))}


def inside(shape, opset=7, last=False, sample=None, before=None, output=False):
    """A network from x of `shape` with a block of a map inside, of which the file declares no shape but `sample`.

    With `output` the map is an output, too.
    """
    net = Net(opset)
    x = before(net) if before else net("Relu", "x")
    net("Identity", se(net, x, Spelling(opset=opset, last=last)), output="y")
    model = net.model({"x": shape}, {"y": None})
    if sample:
        declared = model.graph.output if output else model.graph.value_info
        declared.append(helper.make_tensor_value_info(x, TensorProto.FLOAT, sample))
    return model


def fused(net):
    """A layer whose shapes ONNX infers only without its activation."""
    return net("FusedConv", "x", net.constant(np.eye(CHANNELS)[:, :, None, None]), activation="Relu")


def joined(net):
    """All maps of the batch, one below the other."""
    return net.reshape(net("Transpose", "x", perm=[1, 0, 2, 3]), 1, CHANNELS, -1, WIDTH)


def compressed(net):
    """The rows of all positive means, and of means 0: their number depends on the numbers."""
    negative = net("Less", net("ReduceMean", "x", axes=[0, 1, 3], keepdims=0), net.constant(0))
    return net("Compress", "x", net("Not", negative), axis=2)


def reshaped(net):
    """The same, of which ONNX infers no shape."""
    kept = compressed(net)
    return net("Reshape", kept, net("Abs", net("Shape", kept)))


HIGH = (1, CHANNELS, 2 * HEIGHT, WIDTH)
CASES = {
    "fixed": (FIXED, {}, (HEIGHT, WIDTH)),
    "batch": (("n", *FIXED[1:]), {}, (HEIGHT, WIDTH)),
    "height": ((1, CHANNELS, "h", WIDTH), {}, (None, WIDTH)),
    "width": ((1, CHANNELS, HEIGHT, "w"), {}, (HEIGHT, None)),
    "last": ((1, HEIGHT, "w", CHANNELS), {"last": True}, (HEIGHT, None)),
    "sample": ((1, CHANNELS, "h", WIDTH), {"sample": FIXED}, (None, WIDTH)),
    "sample-output": ((1, CHANNELS, "h", WIDTH), {"sample": FIXED, "output": True}, (None, WIDTH)),
    "older": (FIXED, {"sample": HIGH}, (HEIGHT, WIDTH)),
    "older-output": (FIXED, {"sample": HIGH, "output": True}, (HEIGHT, WIDTH)),
    "older-fused": (FIXED, {"sample": HIGH, "before": fused}, (HEIGHT, WIDTH)),
    "compressed": (FIXED, {"before": compressed}, (None, WIDTH)),
    "compressed-sample": (FIXED, {"before": compressed, "sample": FIXED}, (None, WIDTH)),
    "compressed-output": (FIXED, {"before": compressed, "sample": FIXED, "output": True}, (None, WIDTH)),
    "reshaped-sample": (FIXED, {"before": reshaped, "sample": FIXED}, (None, None)),
    "fused": (FIXED, {"before": fused}, (HEIGHT, WIDTH)),
    "joined": (("n", *FIXED[1:]), {"before": joined}, (None, WIDTH)),
    "joined-sample": (("n", *FIXED[1:]), {"before": joined, "sample": FIXED}, (None, WIDTH)),
    # Of onnxruntime's own operators ONNX infers nothing.
    "unknown": (FIXED, {"before": lambda net: net("QuickGelu", "x")}, (None, None)),
    "unknown-declared": (FIXED, {"before": lambda net: net("QuickGelu", "x"), "sample": FIXED}, (HEIGHT, WIDTH)),
    "unknown-sample": (("n", *FIXED[1:]), {"before": lambda net: net("QuickGelu", "x"), "sample": FIXED},
                       (None, None)),
}


@pytest.mark.parametrize(("shape", "about", "fixed"), CASES.values(), ids=CASES)
def test_fixed_sizes(tmp_path, shape, about, fixed):
    """Without and with a size of the input, which is that of the images: the network takes others all the same."""
    model = inside(shape, 13, **about)
    (block,) = find_blocks(model)
    assert block.fixed_size == fixed
    onnx.save(model, tmp_path / "net.onnx")
    for size in (None, f"{CHANNELS}x{HEIGHT}x{WIDTH}"):
        (block,) = open_network(str(tmp_path / "net.onnx"), size).blocks
        assert block.fixed_size == fixed
    assert (block.height, block.width) == (HEIGHT, WIDTH)


@pytest.mark.parametrize("tiling", TILINGS.values(), ids=TILINGS)
@pytest.mark.parametrize(("opset", "about"), [(7, {}), (13, {}), (13, {"before": joined, "sample": FIXED})],
                         ids=["old", "new", "joined"])
def test_outputs_for_any_batch(tmp_path, opset, about, tiling):
    onnx.save(inside(("n", *FIXED[1:]), opset, **about), tmp_path / "net.onnx")
    network = open_network(str(tmp_path / "net.onnx"))
    tiled = tile_blocks(network.model, network.blocks, tiling)
    assert all(declared_dims(value)[2] is None for value in tiled.graph.value_info)
    assert ("Shape" in {node.op_type for node in tiled.graph.node}) == (
        "before" in about and tiling is not TILINGS["columns"])
    for count in (1, 3):
        x = np.random.default_rng(count).normal(0.3, 1, (count, *FIXED[1:])).astype(np.float32)
        maps = x.transpose(1, 0, 2, 3).reshape(1, CHANNELS, -1, WIDTH) if "before" in about else np.maximum(x, 0)
        y = np.stack([scaled(tiling, one.transpose(1, 2, 0).astype(np.float64), network.blocks[0].float_block, None)
                      for one in maps])
        close(run(tiled, x)[0], y.transpose(0, 3, 1, 2), 1e-5)


STALE = {
    # Sizes of the input, sizes that are declared for the map, heights of images, how the network begins.
    "open": (("n", CHANNELS, "h", WIDTH), FIXED, (HEIGHT, 2 * HEIGHT, 23), {}),
    "part": (("n", CHANNELS, "h", WIDTH), ("n", *FIXED[1:]), (HEIGHT, 23), {}),
    "older": (HIGH, FIXED, (2 * HEIGHT,), {}),
    "older-fused": (HIGH, FIXED, (2 * HEIGHT,), {"before": fused}),
    "compressed": (HIGH, HIGH, (2 * HEIGHT,), {"before": compressed}),
    "reshaped": (HIGH, HIGH, (2 * HEIGHT,), {"before": reshaped}),
}


@pytest.mark.parametrize("tiling", TILINGS.values(), ids=TILINGS)
@pytest.mark.parametrize("output", [False, True], ids=["inside", "output"])
@pytest.mark.parametrize(("shape", "sample", "heights", "about"), STALE.values(), ids=STALE)
def test_outputs_beside_declared_sizes(shape, sample, heights, about, output, tiling):
    """What the file declares for the map is not its size."""
    model = inside(shape, 13, sample=sample, output=output, **about)
    (block,) = find_blocks(model)
    tiled = tile_blocks(model, [block], tiling)
    for height in heights:
        x = np.random.default_rng(height).normal(0.1, 1, (1, CHANNELS, height, WIDTH)).astype(np.float32)
        kept = x.mean(axis=(0, 1, 3)) >= 0
        maps = x[:, :, kept] if about.get("before") in (compressed, reshaped) else np.maximum(x, 0)
        y = scaled(tiling, maps[0].transpose(1, 2, 0).astype(np.float64), block.float_block, None)
        close(run(tiled, x)[0][0], y.transpose(2, 0, 1), 1e-5)


WINDOW = ["--context", "window", "--window", "2:3"]


@pytest.mark.parametrize("size", [[], ["--input-shape", f"{CHANNELS}x{HEIGHT}x{WIDTH}"]], ids=["declared", "given"])
@pytest.mark.parametrize(("opset", "arguments"), [(8, ["--k", 3]), (9, WINDOW), (9, ["--context", "causal", "--k", 1])])
def test_swap(tiled_se, opset, arguments, size):
    """Old operator sets lack what maps of open size need; this network has none."""
    onnx.save(inside(FIXED, opset), "net.onnx")
    tiled_se.passes("swap", "net.onnx", *arguments, *size, "-o", "out.onnx")
    graph = onnx.load("out.onnx").graph
    assert {"Shape", "Less"}.isdisjoint(node.op_type for node in graph.node)
    assert not graph.value_info


@pytest.mark.parametrize("size", [[], ["--input-shape", f"{CHANNELS}x{HEIGHT}x{WIDTH}"]], ids=["open", "given"])
@pytest.mark.parametrize("output", [False, True], ids=["inside", "output"])
def test_swap_of_a_sample(tiled_se, output, size):
    """The network that is written takes maps of other heights, and keeps the rank and the type of its outputs."""
    onnx.save(inside(("n", CHANNELS, "h", WIDTH), 13, sample=FIXED, output=output), "net.onnx")
    tiled_se.passes("swap", "net.onnx", "--k", 4, *size, "-o", "out.onnx")
    tiled = onnx.load("out.onnx")
    *_, value = tiled.graph.output if output else tiled.graph.value_info
    assert declared_dims(value) == (None, CHANNELS, None, WIDTH)
    assert value.type.tensor_type.elem_type == TensorProto.FLOAT
    for height in (HEIGHT, 23):
        x = np.ones((2, CHANNELS, height, WIDTH), np.float32)
        assert run(tiled, x)[0].shape == x.shape


def test_a_given_size_fixes_nothing(tiled_se):
    onnx.save(inside(("n", CHANNELS, "h", WIDTH), 9), "net.onnx")
    tiled_se.refuses_as("MODEL=net.onnx (--model): operator set 9: must be 11 or later for context=window", "swap",
                        "net.onnx", *WINDOW, "--input-shape", f"{CHANNELS}x{HEIGHT}x{WIDTH}", "-o", "out.onnx")


@pytest.mark.parametrize(("command", "height", "own"), [("swap", "h", 8), ("build", 1025, 1025)])
def test_refused_before_the_network_runs(tiled_se, tmp_path, command, height, own):
    """On images, for a prior: none is printed about them. A map of 1025 rows has too many means for one product."""
    onnx.save(inside((1, CHANNELS, height, 2), 10), "net.onnx")
    (tmp_path / "images").mkdir()
    np.save("images/0.npy", np.zeros((CHANNELS, own, 2), np.float32))
    tiled_se.refuses_as("MODEL=net.onnx (--model): operator set 10: must be 11 or later for context=causal", command,
                        "net.onnx", "--context", "causal", "--k", 1, "--calibration", "images", "--input-shape",
                        f"{CHANNELS}x{own}x2", "-o", "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "net.onnx"]
