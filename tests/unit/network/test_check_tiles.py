# SPDX-License-Identifier: Apache-2.0
"""`swap` runs each tiled block beside the reference: a fault of its nodes is found, and no right block is refused."""

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.helpers.onnx_networks import CHANNELS, Spelling, network
from tiled_se.hdl.config import Context, Order, Tiling
from tiled_se.network.check.runtime import CannotRun
from tiled_se.network.check.tiles import wrong_tiles
from tiled_se.network.commands import swap as swap_command
from tiled_se.network.network import find_blocks
from tiled_se.network.tile import tile_blocks

TILINGS = {
    "tile": Tiling(k=3), "columns": Tiling(k=2, order=Order.COLUMNS), "patches": Tiling(k=4, tile_width=2),
    "cumulative": Tiling(k=3, context=Context.CUMULATIVE, prior_rows=2, max_rows=8),
    "causal": Tiling(k=2, context=Context.CAUSAL, prior_rows=1, max_rows=7),
    "causal-columns": Tiling(k=2, context=Context.CAUSAL, prior_rows=1, max_rows=3, order=Order.COLUMNS),
    "window": Tiling(k=7, context=Context.WINDOW, window=(2, 7)),
    "window-after": Tiling(k=7, context=Context.WINDOW, window=(9, 7)),
}
every_tiling = pytest.mark.parametrize("tiling", TILINGS.values(), ids=TILINGS)


def tiled_network(tiling, height, spelling=None):
    """``(the tiled model, its block as it was found)``, which has a prior."""
    model = network(spelling, height=height)
    (block,) = find_blocks(model, check=False)
    block = dataclasses.replace(block, float_block=dataclasses.replace(
        block.float_block, prior=np.linspace(-2, 3, CHANNELS)))
    return tile_blocks(model, [block], tiling), block


@every_tiling
@pytest.mark.parametrize("height", ["h", 11])
def test_right_tiles(tiling, height):
    for name in ("silu", "relu6", "hardswish"):
        for last in (False, True):
            spelling = Spelling(mid=name, gate="fifth" if last else "sigmoid", end="add", last=last)
            model, block = tiled_network(tiling, height, spelling)
            assert wrong_tiles(model, [block], tiling) is None


def other(array):
    """The same type and shape with other numbers."""
    return ~array if array.dtype == bool else (array + (1 if array.dtype.kind in "iu" else 0.5)).astype(array.dtype)


@every_tiling
@pytest.mark.parametrize(("height", "opset"), [("h", 13), (11, 13), (11, 7)])
def test_every_wrong_constant_is_found(tiling, height, opset):
    model, block = tiled_network(tiling, height, Spelling(opset=opset))
    tensors = [tensor for tensor in model.graph.initializer if tensor.name.startswith("tiled_se/")]
    assert len(tensors) >= 5
    for tensor in tensors:
        # A window with several rows is never compared with one row.
        if tensor.name.endswith("/one_line"):
            continue
        kept = tensor.SerializeToString()
        tensor.CopyFrom(numpy_helper.from_array(other(numpy_helper.to_array(tensor)), tensor.name))
        try:
            assert wrong_tiles(model, [block], tiling) is not None, tensor.name
        except CannotRun:
            pass
        tensor.ParseFromString(kept)


@pytest.mark.parametrize(("name", "attribute", "value"), [
    ("tile", "count_include_pad", 1), ("patches", "count_include_pad", 1), ("cumulative", "exclusive", 1),
    ("causal", "exclusive", 0), ("causal-columns", "exclusive", 0)])
def test_every_wrong_attribute_is_found(name, attribute, value):
    model, block = tiled_network(TILINGS[name], "h")
    (found,) = [item for node in model.graph.node for item in node.attribute if item.name == attribute]
    found.i = value
    assert wrong_tiles(model, [block], TILINGS[name]).startswith(f"the gates of {block.name} differ by ")


def test_the_rows_of_another_tiling():
    for tiling in TILINGS.values():
        model, block = tiled_network(tiling, "h")
        for supposed in TILINGS.values():
            assert (wrong_tiles(model, [block], supposed) is None) == (supposed == tiling)


def test_swap_writes_no_wrong_tiles(tiled_se, monkeypatch):
    """The network that is checked is the one that would be written."""
    monkeypatch.setattr(swap_command, "tile_blocks", lambda model, blocks, tilings, keep: tile_blocks(
        model, blocks, {name: dataclasses.replace(tiling, k=tiling.k + 1) for name, tiling in tilings.items()}))
    onnx.save(network(), "net.onnx")
    for context in ("tile", "cumulative", "causal"):
        tiled_se.refuses_as(f"MODEL=net.onnx (--model): with context={context} it computes something else: on random "
                            "maps the gates of ", "swap", "net.onnx", "--k", 2, "--context", context, "-o", "out.onnx")
