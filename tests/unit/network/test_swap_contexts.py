# SPDX-License-Identifier: Apache-2.0
"""Tiled blocks in ONNX graphs, in every context: against DESIGN's table in float64, in two runtimes."""

import dataclasses
import functools
import os

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from tests.helpers.contexts import scaled
from tests.helpers.onnx_images import network_and_images
from tests.helpers.onnx_networks import CHANNELS, HEIGHT, WIDTH, Spelling, network
from tests.helpers.onnx_runs import close, run
from tiled_se.hdl.config import ConfigError, Context, Order, Tiling
from tiled_se.network.calibration.images import find_images
from tiled_se.network.commands.options import ImageOptions
from tiled_se.network.network import find_blocks, open_network
from tiled_se.network.read.shapes import open_session
from tiled_se.network.tile import tile_blocks

KS = (1, 3, 7, HEIGHT)
PRIOR = np.linspace(-2, 3, CHANNELS)


def tilings():
    """Each context at each k: with and without a prior, few rows that count, both orders."""
    for k in KS:
        for width in (None, 1, 2, 9):
            yield Tiling(k=k, tile_width=width)
        yield Tiling(k=k, tile_width=2, order=Order.COLUMNS)
        for context in (Context.CUMULATIVE, Context.CAUSAL):
            causal = int(context is Context.CAUSAL)
            yield Tiling(k=k, context=context, prior_rows=causal)
            yield Tiling(k=k, context=context, prior_rows=2, max_rows=5)
            yield Tiling(k=k, context=context, prior_rows=causal, order=Order.COLUMNS)
    for window in ((0, 7), (2, 3), (7, 1), (9, 4), (HEIGHT, 2)):
        for order in Order:
            yield Tiling(k=7, context=Context.WINDOW, window=window, order=order)


def named(tiling):
    return "-".join(str(getattr(value, "value", value)) for value in vars(tiling).values() if value is not None)


@functools.cache
def case(tiling, height, width, prior):
    """``(x, y)`` (2, H, W, C) of random numbers: what goes into the block and what must come out."""
    form = find_blocks(network(), check=False)[0].float_block
    x = np.random.default_rng(height).normal(0.3, 1, (2, height, width, CHANNELS)).astype(np.float32)
    return x, np.stack([scaled(tiling, one.astype(np.float64), form, PRIOR if prior else None) for one in x])


def opened(model, last):
    """`model` for any batch, height and width."""
    for value in (*model.graph.input, *model.graph.output):
        for axis, name in zip((0, *((1, 2) if last else (2, 3))), "nhw", strict=True):
            value.type.tensor_type.shape.dim[axis].dim_param = name
    return model


def with_prior(blocks):
    return [dataclasses.replace(block, float_block=dataclasses.replace(block.float_block, prior=PRIOR))
            for block in blocks]


def results(model, x, last, runtimes=2):
    """The output (N, H, W, C) for `x` in onnxruntime, and in ONNX's own evaluator, which shares no code with it."""
    fed = x if last else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    for y in (run(model, fed)[0], ReferenceEvaluator(model).run(None, {"x": fed})[0])[:runtimes]:
        yield y if last else y.transpose(0, 2, 3, 1)


every_tiling = pytest.mark.parametrize("tiling", [*tilings()], ids=named)


@every_tiling
def test_open_sizes(tiling):
    for opset, last in ((11, False), (13, False), (17, True), (18, False), (23, False), (23, True)):
        model = opened(network(Spelling(opset=opset, last=last)), last)
        blocks = find_blocks(model, check=False)
        for prior, held in ((False, blocks), (True, with_prior(blocks))):
            tiled = tile_blocks(model, held, tiling)
            onnx.checker.check_model(tiled, full_check=True)
            for height, width in ((HEIGHT, WIDTH), (4, 8), (1, 1)):
                x, y = case(tiling, height, width, prior)
                for found in results(tiled, x, last):
                    close(found, y, 1e-5)


@every_tiling
@pytest.mark.parametrize(("opset", "last"), [(7, False), (7, True), (11, False), (11, True), (18, False)])
def test_fixed_sizes(tiling, opset, last):
    """Nothing about tiles is left to be computed from a map's size, so old operator sets do, too."""
    model = network(Spelling(opset=opset, last=last), batch=2)
    blocks = find_blocks(model, check=False)
    for prior, held in ((False, blocks), (True, with_prior(blocks))):
        tiled = tile_blocks(model, held, tiling)
        onnx.checker.check_model(tiled, full_check=True)
        assert {"Shape", "Range", "Where"}.isdisjoint(node.op_type for node in tiled.graph.node)
        x, y = case(tiling, HEIGHT, WIDTH, prior)
        for found in results(tiled, x, last):
            close(found, y, 1e-5)


RUNNING = [Tiling(k=1, context=Context.CUMULATIVE, prior_rows=1), Tiling(k=3, context=Context.CAUSAL, prior_rows=1),
           Tiling(k=7, context=Context.WINDOW, window=(0, 1500))]


def scaled_rows(tiling, x, form):
    """As :func:`scaled`, of a high map."""
    rows, causal = np.arange(len(x)) // tiling.k * tiling.k, tiling.context is Context.CAUSAL
    last = np.full(len(x), sum(tiling.window)) if tiling.window else rows if causal else rows + tiling.k
    last = np.minimum(np.minimum(last, len(x)), tiling.max_rows)
    sums = np.concatenate([np.zeros((1, x.shape[2])), np.cumsum(x.mean(axis=1), axis=0)])[last]
    z = sums / (last + (0 if tiling.window else tiling.prior_rows))[:, None]
    logits = np.maximum(z @ form.w1.T + form.b1, 0) @ form.w2.T + form.b2
    return x / (1 + np.exp(-logits))[:, None]


@pytest.mark.parametrize("tiling", RUNNING, ids=named)
@pytest.mark.parametrize(("kind", "allowed"), [(np.float16, 4e-3), (np.float32, 2e-5), (np.float64, 2e-5)])
def test_sums_of_many_rows(tiling, kind, allowed):
    """In float16 they would be infinite: no number is above 65504. Beyond max_rows, rows are not counted."""
    model = opened(network(kind=kind), False)
    (block,) = find_blocks(model, check=False)
    # Of means about 60, logits on the gate's slope.
    form = dataclasses.replace(block.float_block, w1=block.float_block.w1 / 64)
    x = np.random.default_rng(0).uniform(0, 120, (1, 6000, 2, CHANNELS)).astype(kind)
    y = scaled_rows(tiling, x[0].astype(np.float64), form)
    tiled = tile_blocks(model, [dataclasses.replace(block, float_block=form)], tiling)
    for found in results(tiled, x, False):
        assert found.dtype == kind
        close(found[0].astype(np.float64), y, allowed)


LATER = "must be {} or later for context={}, which needs the operator {}$"


@pytest.mark.parametrize(("tiling", "opset", "height", "line"), [
    (RUNNING[0], 10, "h", LATER.format(11, "cumulative", "CumSum")),
    (RUNNING[0], 10, 1025, LATER.format(11, "cumulative", "CumSum")),
    (RUNNING[1], 9, "h", LATER.format(11, "causal", "CumSum")),
    (RUNNING[2], 10, "h", LATER.format(11, "window", "Range")),
], ids=["cumulative", "cumulative-high", "causal", "window"])
def test_operator_sets_that_lack_something(tiling, opset, height, line):
    model = network(Spelling(opset=opset), height=height)
    with pytest.raises(ConfigError, match=f"^model=operator set {opset}: {line}"):
        tile_blocks(model, find_blocks(model, check=False), tiling)


def test_an_operator_set_for_open_widths():
    """Tiles of one row need no list of rows, but one of columns."""
    model = opened(network(Spelling(opset=8)), False)
    with pytest.raises(ConfigError, match="^model=operator set 8: must be 9 or later where widths are open$"):
        tile_blocks(model, find_blocks(model, check=False), Tiling(k=1, tile_width=2))


def test_a_context_for_each_block():
    """By name; the tiling of a block that is not named is none."""
    model = network()
    (block,) = find_blocks(model, check=False)
    tiling = Tiling(k=3, context=Context.CAUSAL, prior_rows=1)
    x, y = case(tiling, HEIGHT, WIDTH, False)
    for found in results(tile_blocks(model, [block], {block.name: tiling}), x[:1], False):
        close(found, y[:1], 1e-5)


SIZE = "3x22x10"


class TestCommand:
    """`swap` with a context."""

    @pytest.mark.parametrize(("arguments", "name", "line"), [
        (["--context", "cumulative", "--k", 1], "cumulative1", "cumulative gates for tiles of 1 row of 11"),
        (["--context", "causal", "--k", 3, "--order", "columns"], "causal3_columns",
         "causal gates for tiles of 3 columns of 5, with 1 column of the prior"),
        (["--tile-width", 2], "tse7x2", "tiles of 7 rows of 11, 2 columns wide"),
        (["--context", "window", "--window", "2:5"], "window2-5", "gates from rows 2 to 6 of 11"),
        (["--context", "window", "--window", "9:5"], "window9-5", "gates from rows 9 to 10 of 11"),
        (["--context", "window", "--window", "0:5"], "window0-5", "gates from rows 0 to 4 of 11"),
        (["--context", "causal", "--k", 2, "--max-rows", 3], "causal2",
         "causal gates for tiles of 2 rows of 11, of which the first 3 rows count, with 1 row of the prior"),
        # Such a block no longer depends on the map.
        (["--context", "causal", "--k", 11], "causal11",
         "causal gates for tiles of 11 rows of 11, with 1 row of the prior; a map of 11 rows is a single tile of K=11, "
         "before which no row comes, so all of its gates come from the prior alone"),
        (["--context", "window", "--window", "5:1", "--order", "columns"], "window5-1_columns",
         "a map of 5 columns ends before column 5, the first of the window, so all of its gates come from the prior "
         "alone"),
    ])
    def test_name_and_lines(self, tiled_se, arguments, name, line):
        model = network()
        onnx.save(model, "net.onnx")
        lines = tiled_se.passes("swap", "net.onnx", *arguments).out.splitlines()
        (block,) = find_blocks(model)
        prior = ["the prior of each block is 0, as there is no CALIBRATION"]
        assert lines == [f"{block.name}: {line}", *prior * ("prior" in line or name in ("window2-5", "window9-5")),
                         f"wrote net_{name}.onnx: 1 blocks tiled"]
        assert find_blocks(onnx.load(f"net_{name}.onnx")) == []

    @pytest.mark.parametrize(("options", "rows"), [
        (["--context", "causal"], 1), (["--context", "cumulative"], 1), (["--context", "cumulative", "--prior-rows", 3],
                                                                        3)])
    def test_the_prior_is_the_mean_of_the_maps(self, tiled_se, tmp_path, options, rows):
        """Of the original's maps, whose sizes are of the images; the network still takes any size."""
        path, images = network_and_images(tmp_path)
        out = tiled_se.passes("swap", path, "--k", 2, *options, "--calibration", images, "--input-shape", SIZE, "-o",
                              "out.onnx").out
        assert "the prior of each block is the mean of its maps on 3 images" in out.splitlines()
        model = onnx.load(path)
        opened = open_network(path, SIZE)
        taken = find_images(ImageOptions(calibration=images), opened)
        maps = [block.x for block in opened.blocks]
        means = np.mean([[tensor.mean(axis=(0, 2, 3)) for tensor in open_session(model, taps=maps, threads=1).run(
            maps, {"x": x})] for _, x in taken], axis=0)
        tiling = Tiling(k=2, context=Context(options[1]), prior_rows=rows)
        held = [dataclasses.replace(block, float_block=dataclasses.replace(block.float_block, prior=mean))
                for block, mean in zip(find_blocks(model), means, strict=True)]
        x = np.random.default_rng(0).normal(size=(1, 3, 30, 14)).astype(np.float32)
        results, expected = (run(tiled, x)[0] for tiled in (onnx.load("out.onnx"), tile_blocks(model, held, tiling)))
        close(results, expected, 1e-6)
        # What makes the agreement worth something.
        with pytest.raises(AssertionError):
            close(results, run(tile_blocks(model, find_blocks(model), tiling), x)[0], 1e-3)

    def test_images_that_no_prior_needs(self, tiled_se, tmp_path):
        path, images = network_and_images(tmp_path)
        for arguments in ([], ["--context", "cumulative", "--prior-rows", 0]):
            assert "the prior of" not in tiled_se.passes("swap", path, *arguments, "--calibration", images).out

    @pytest.mark.parametrize(("arguments", "line"), [
        (["--context", "causal", "--prior-rows", 0],
         "PRIOR=0 (--prior-rows): must be at least 1 for context=causal, whose first tile has no rows before it"),
        (["--calibration", "nowhere"],
         "CALIBRATION=nowhere (--calibration): is no folder; must be a folder with .png, .jpg or .bmp images, or .npy "
         "or .npz arrays (C, H, W) or (N, C, H, W)"),
        (["--context", "causal", "--calibration", "images"],
         "INPUT_SHAPE= (--input-shape): is needed, as the model leaves its input's size open; must be CxHxW, like "
         "3x640x640"),
        (["--context", "window"],
         "WINDOW= (--window): is needed for context=window: the first row and the number of rows"),
        (["--context", "cumulative", "--tile-width", 2],
         "TILE_W=2 (--tile-width): context=cumulative has tiles of full rows; only context=tile has narrower ones"),
    ])
    def test_refused(self, tiled_se, arguments, line):
        onnx.save(network(height="h"), "net.onnx")
        os.mkdir("images")
        np.save("images/0.npy", np.zeros((CHANNELS, 8, 8), np.float32))
        tiled_se.refuses(line, "swap", "net.onnx", *arguments, "-o", "out.onnx")
        assert sorted(os.listdir()) == ["images", "net.onnx"]

    def test_operator_set(self, tiled_se):
        onnx.save(network(Spelling(opset=10), height="h"), "net.onnx")
        tiled_se.refuses("MODEL=net.onnx (--model): operator set 10: must be 11 or later for context=cumulative, which "
                         "needs the operator CumSum", "swap", "net.onnx", "--context", "cumulative", "-o", "out.onnx")
