# SPDX-License-Identifier: Apache-2.0
"""Tiled blocks in trained networks: whole-map tiles are the original, others what the float module computes."""

import dataclasses
import functools
import importlib.resources
import importlib.util

import numpy as np
import onnx
import pytest
import torch

from tests.helpers.onnx_runs import close, run
from tiled_se.golden.module import TiledSE
from tiled_se.hdl.tiling import Context, Order, Tiling
from tiled_se.network.network import find_blocks
from tiled_se.network.read.shapes import open_session
from tiled_se.network.tile import tile_blocks

# Height and width of the input, and rows of a tile. The recogniser takes images of 48 rows only, and its first block
# has 12 of them; heights of the others' blocks are 40, 20, 10, 5 and 44, 11, 6.
TRAINED = {
    "PP-OCRv6_det_small.onnx": (160, 96, (3, 7)),
    "ch_ppocr_mobile_v2.0_cls_mobile.onnx": (176, 64, (3, 7)),
    "PP-OCRv6_rec_small.onnx": (48, 96, (3, 5, 7)),
}
trained = pytest.mark.parametrize("name", TRAINED)
pytestmark = pytest.mark.skipif(importlib.util.find_spec("rapidocr") is None, reason="rapidocr isn't installed")


@functools.cache
def network(name):
    """``(model, its blocks)``"""
    model = onnx.load(str(importlib.resources.files("rapidocr") / "models" / name))
    return model, find_blocks(model)


def picture(height, width):
    """Dark words in lines on paper that is unevenly lit: float32 (1, 3, height, width) from -1 to 1."""
    y, x = np.mgrid[:height, :width]
    words = (y % 24 < 12) & (x % 29 > 4) & ((x // 3 + y // 4 * (x // 7)) % 3 > 0)
    light = 0.6 + 0.3 * np.cos(y / 31) * np.cos(x / 47)
    shades = [light - words * dark for dark in (1.2, 1.1, 0.9)]
    return np.stack(shades)[None].astype(np.float32)


def tapped(model, blocks, x):
    """Arrays by tensor name: inputs and outputs of `blocks`, as the network computes them."""
    names = list(dict.fromkeys(name for block in blocks for name in (block.x, block.y)))
    return dict(zip(names, open_session(model, taps=names, threads=1).run(names, {"x": x}), strict=True))


def declared(model, shape):
    """The network with the sizes of its input declared, from which those of its maps follow."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    for dim, size in zip(copied.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        dim.dim_value = size
    return copied


def float_module(block, k, x):
    """The output for tensor `x`, in double precision."""
    with torch.no_grad():
        return TiledSE.from_block(block.float_block, k).double()(x.double()).numpy()


@trained
def test_whole_maps_are_the_original(name):
    """Tiles of each block's own height, and far higher ones."""
    model, blocks = network(name)
    x = picture(*TRAINED[name][:2])
    (original,) = run(model, x)
    assert np.ptp(original) > 0.1
    maps = tapped(model, blocks, x)
    for k in ({block.name: maps[block.x].shape[2] for block in blocks}, 10**6):
        (found,) = run(tile_blocks(model, blocks, k), x)
        close(found, original)


@pytest.mark.parametrize(("name", "fixed"), [*((name, False) for name in TRAINED), ("PP-OCRv6_det_small.onnx", True)])
def test_each_block_is_the_float_module(name, fixed):
    model, blocks = network(name)
    height, width, rows = TRAINED[name]
    x = picture(height, width)
    if fixed:
        model = declared(model, x.shape)
        blocks = find_blocks(model)
    # That of the recogniser's maps follows from the height of its input, which is not open.
    height_is_open = not model.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    assert height_is_open == (not fixed and "_rec_" not in name)
    ragged = 0
    for k in rows:
        tiled = tile_blocks(model, blocks, k)
        computed = any(node.op_type == "Shape" and node.name.startswith("tiled_se") for node in tiled.graph.node)
        assert computed == height_is_open
        maps = tapped(tiled, blocks, x)
        for block in blocks:
            before = torch.tensor(maps[block.x])
            close(maps[block.y], float_module(block, k, before))
            if k < before.shape[2] and before.shape[2] % k:
                ragged += 1
                # What makes the agreement worth something: the tiles' gates are not the whole map's.
                with pytest.raises(AssertionError):
                    close(maps[block.y], float_module(block, before.shape[2], before), 1e-3)
    assert ragged >= 4


CONTEXTS = [
    Tiling(k=1, context=Context.CUMULATIVE, prior_rows=1), Tiling(k=3, context=Context.CAUSAL, prior_rows=1),
    Tiling(k=2, context=Context.CAUSAL, prior_rows=1, order=Order.COLUMNS), Tiling(k=3, tile_width=4),
    Tiling(k=7, context=Context.WINDOW, window=(2, 7))]


@trained
@pytest.mark.parametrize("tiling", CONTEXTS, ids=lambda tiling: f"{tiling.context.value}-{tiling.order.value}")
def test_each_block_in_every_context(name, tiling):
    """Maps of open size in operator set 11, which lacks Min of integers."""
    model, blocks = network(name)
    rng = np.random.default_rng(0)
    blocks = [dataclasses.replace(block, float_block=dataclasses.replace(
        block.float_block, prior=rng.normal(0, 1, block.channels))) for block in blocks]
    tiled = tile_blocks(model, blocks, tiling)
    maps = tapped(tiled, blocks, picture(*TRAINED[name][:2]))
    for block in blocks:
        close(maps[block.y], float_module(block, tiling, torch.tensor(maps[block.x])))
