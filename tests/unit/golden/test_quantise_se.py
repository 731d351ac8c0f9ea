# SPDX-License-Identifier: Apache-2.0
"""Networks whose blocks become quantised ones: conversion and back, calibration, saving, and bad input."""

import copy
import io
import re

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers import torch_blocks as blocks
from tiled_se.golden import (
    BlockFormats,
    DataFormat,
    Histogram,
    QuantisedTiledSE,
    RangeKind,
    RangeMethod,
    TiledSE,
    calibrate_blocks,
    mean_descriptors,
    quantise_se,
    tile_se,
    untile_se,
)
from tiled_se.hdl.config import ConfigError, Context, DataType, Tiling

FOUR = BlockFormats(DataType(4), 4)
OWN = BlockFormats(DataType(8, signed=False), outputs=DataType(6), x_zero_point=3)
CAUSAL = Tiling(k=1, context=Context.CAUSAL, prior_rows=1)


def made():
    return nn.Sequential(nn.Conv2d(3, 6, 3), blocks.Residual(blocks.Block(6, 4)), nn.Conv2d(6, 5, 1),
                         blocks.ClassicSELayer(5, 2)).eval()


def images(count=4):
    return torch.randn(count, 3, 9, 7)


def test_tile_se_makes_quantised_blocks():
    """They share the parameters, hooks and mode of the originals, and untile_se gives the originals back."""
    network, x, seen = made(), images(), []
    parameters, before, original = list(network.parameters()), network(x), network[3]
    original.register_forward_hook(lambda *_: seen.append(1))
    network[3].train()
    assert tile_se(network, 3, quantised=True) is network
    assert all(one is other for one, other in zip(network.parameters(), parameters, strict=True))
    assert type(network[1]) is type(network[3]) is QuantisedTiledSE
    assert (network[1].training, network[3].training) == (False, True)
    assert (network[1].residual, network[3].tiling, network[3].formats) == (True, Tiling(k=3), BlockFormats())
    calibrate_blocks(network, [x])
    seen.clear()
    network(x)
    assert seen == [1]
    assert network[1].y_format.scale == 2 * network[1].x_format.scale
    untile_se(network)
    assert network[3] is original
    assert torch.equal(network(x), before)


def test_quantised_blocks_are_near_the_tiled_ones():
    network, x = made(), images()
    tile_se(network, 2)
    expected = network(x)
    quantise_se(network, BlockFormats(DataType(12)))
    calibrate_blocks(network, [x])
    assert 0 < (network(x) - expected).abs().max() < 0.01 * expected.abs().max()
    quantise_se(network, FOUR)
    calibrate_blocks(network, [x])
    assert (network(x) - expected).abs().max() > 0.01 * expected.abs().max()


def test_quantise_se_by_names():
    """Tilings stay, also those of a trained network; blocks that are not named stay as they are."""
    network = tile_se(made(), {"1": CAUSAL, "3": 2}, priors={"1": np.arange(6.0) / 9})
    first = network[1]
    quantise_se(network, {"3": OWN})
    assert network[1] is first
    assert network[3].formats == OWN
    quantise_se(network, {"1": FOUR})
    assert network[1].tiling == CAUSAL
    assert torch.equal(network[1].prior, first.prior)
    assert network[1].fc1.weight is first.fc1.weight
    # Other formats take the place of these.
    calibrate_blocks(network, [images()])
    assert list(mean_descriptors(network, [images()])) == ["1", "3"]
    quantise_se(network)
    assert network[3].formats == BlockFormats()
    assert not hasattr(network[3], "y_scale")
    assert torch.isnan(network[3].x_scale)
    alone = quantise_se(TiledSE(4, 2))
    assert type(alone) is QuantisedTiledSE


def test_calibration():
    """The formats are those of the maps that a block sees in the float network; modes are restored."""
    network = tile_se(made(), 2)
    batches, seen = [images(2), (images(3),), {"input": images(1)}], {"x": Histogram(), "y": Histogram()}

    def add(_, args, result):
        seen["x"].add(args[0].detach())
        seen["y"].add(result.detach())

    handle = network[3].register_forward_hook(add)
    for batch in (batches[0], batches[1][0], batches[2]["input"]):
        network(batch)
    handle.remove()
    quantise_se(network, OWN)
    network[1].train()
    for method, same in ((None, RangeMethod(RangeKind.MSE)), (RangeMethod(RangeKind.MIN_MAX),) * 2):
        calibrate_blocks(network, iter(batches), method)
        x, y = (seen[stream].format(same, data, zero) for stream, data, zero in (
            ("x", OWN.data, 3), ("y", OWN.outputs, None)))
        assert (network[3].x_format.zero_point, network[3].y_format.zero_point) == (3, y.zero_point)
        for found, wanted in ((network[3].x_format, x), (network[3].y_format, y)):
            assert wanted.scale <= found.scale <= wanted.scale * (1 + 2**-23)
            assert float(np.float32(found.scale)) == found.scale
    assert [module.training for module in (network, network[1], network[3])] == [False, True, False]


def test_scales_within_the_ratios_that_a_block_takes():
    block = QuantisedTiledSE(3, 2, formats=BlockFormats(DataType(16), outputs=DataType(16)))
    with torch.no_grad():
        block.fc2.bias.fill_(-20)
    x = torch.randn(1, 3, 4, 4)
    calibrate_blocks(block, [x])
    assert block.x_format.scale / block.y_format.scale == 16
    block(x)


def test_saving_and_copies():
    """Formats are saved and loaded with the weights; copies have their own."""
    network, x = quantise_se(tile_se(made(), 2), OWN), images()
    calibrate_blocks(network, [x])
    expected = network(x)
    other = quantise_se(tile_se(made(), 2), OWN)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(x), expected)
    third = copy.deepcopy(network)
    third[3].x_format = DataFormat(1.0, 3, OWN.data)
    assert not torch.equal(third(x), expected)
    assert torch.equal(network(x), expected)
    assert torch.equal(nn.DataParallel(network)(x), expected)
    # Of a float network the weights; formats stay. Nor does a change of weights or formats leave old integers.
    other.load_state_dict(tile_se(made(), 2).state_dict())
    assert other[3].x_format == network[3].x_format
    assert not torch.equal(other(x), expected)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(x), expected)


def test_scales_of_other_integers():
    """The scales of a state dict are never taken for those of other integers, nor some of them without the others."""
    eight, four = (quantise_se(tile_se(made(), 2), formats) for formats in (BlockFormats(), FOUR))
    calibrate_blocks(eight, [images()])
    file = io.BytesIO()
    torch.save(eight.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    with pytest.raises(RuntimeError, match="the scales of 1 are for integers of types {'x': 'int8', 'y': 'None'}, "
                                           "not {'x': 'int4', 'y': 'None'}; leave them out and calibrate, or use"):
        four.load_state_dict(state)
    for name in [name for name in state if name.endswith(("_scale", "_zero_point"))]:
        del state[name]
    four.load_state_dict(state)
    assert torch.equal(four[1].fc1.weight, eight[1].fc1.weight)
    own = quantise_se(tile_se(made(), 2), BlockFormats(outputs=DataType(8)))
    with pytest.raises(RuntimeError, match="Missing key.*: \"1.y_scale\", \"1.y_zero_point\", \"3.y_scale"):
        own.load_state_dict(dict(eight.state_dict()))


def test_precision_of_formats():
    """Scales stay float64, on the device of the others, and shown with the rest."""
    network = quantise_se(tile_se(made(), 2), OWN)
    calibrate_blocks(network, [images()])
    scale = network[3].x_format.scale
    network.half().to("cpu").bfloat16()
    assert network[3].fc1.weight.dtype == torch.bfloat16
    assert network[3].x_format.scale == scale
    assert "k=2, mid=relu, gate=sigmoid, residual=False, data=uint8, outputs=int6, x_zero_point=3" in repr(network[3])
    network.to("meta")
    assert network[3].x_scale.is_meta


def test_other_sizes_and_channels_last():
    """One block takes maps of any size; integers of a few widths are kept."""
    block = QuantisedTiledSE(4, 2, 2)
    block.x_format = DataFormat(0.03, 0)
    for width in [*range(1, 30), 3]:
        block(torch.randn(1, 4, 3, width))
    assert len(block._fits._known) == 16
    x = torch.randn(2, 4, 5, 6)
    block.eval()
    expected = block(x)
    assert torch.equal(block(x.contiguous(memory_format=torch.channels_last)), expected)
    assert torch.equal(block(torch.cat([x] * 4000))[-2:], expected)


def test_tiled_blocks_stay_with_a_warning():
    network = tile_se(made(), {"1": 2})
    with pytest.warns(UserWarning, match=re.escape("tiled blocks stay float; quantise_se quantises them: '1'")):
        tile_se(network, 3, quantised=OWN)
    assert type(network[1]) is TiledSE
    assert network[3].formats == OWN


@pytest.mark.parametrize(("run", "message"), [
    (lambda: QuantisedTiledSE(2, 1)(torch.zeros(1, 2, 3, 3)),
     "x_scale=unknown: must be calibrated first, with calibrate_blocks, or set"),
    (lambda: QuantisedTiledSE(2, 1)(torch.zeros(1, 3, 3, 3)),
     "x=[1, 3, 3, 3]: must have the shape [N, C, H, W] or [C, H, W] with C = 2"),
    (lambda: calibrated()(torch.full((1, 2, 3, 3), torch.inf)), "x=not finite: must hold finite numbers only"),
    (lambda: calibrated()(torch.full((1, 2, 3, 3), torch.nan)), "x=not finite: must hold finite numbers only"),
    (lambda: setattr(calibrated(), "x_format", DataFormat(1.0, 0, DataType(4))),
     "x_format=int4: must be int8, as the block's formats say"),
    (lambda: setattr(calibrated(), "y_format", DataFormat(1.0, 0)),
     "y_format=1.0: must not be set, as outputs have the format of x"),
    (lambda: BlockFormats(weight_bits=9), "weight_bits=9: must be from 2 to 8"),
    (lambda: BlockFormats(error_lsb=0.1), "error_lsb=0.1: must be from 0.5 to 256"),
    (lambda: BlockFormats(x_zero_point=128), "x_zero_point=128: must be from -128 to 127"),
    (lambda: BlockFormats(y_zero_point=1), "y_zero_point=1: must be None for outputs with the format of x"),
    (lambda: BlockFormats(outputs=DataType(2), y_zero_point=2), "y_zero_point=2: must be from -2 to 1"),
    (lambda: quantise_se(tile_se(made(), {"1": 2}), {"3": OWN}),
     "formats=3: must name tiled blocks of the model: 1"),
    (lambda: calibrate_blocks(tile_se(made(), 2), [images()]),
     "model=Sequential: must have quantised blocks: tile_se(quantised=...)"),
    (lambda: calibrate_blocks(calibrated(), []), "batches=0: must be at least one"),
    (lambda: calibrate_blocks(calibrated(), [torch.full((1, 2, 3, 3), torch.nan)]),
     "batches=not finite: must give finite maps at every quantised block"),
    (lambda: calibrate_blocks(QuantisedTiledSE(2, 1, formats=BlockFormats(x_zero_point=-128)),
                              [torch.full((1, 2, 3, 3), -1.0)]),
     "zero_point=-128: leaves no integers for numbers from -1 to 0"),
])
def test_bad_input(run, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        run()


def calibrated():
    block = QuantisedTiledSE(2, 1)
    block.x_format = DataFormat(0.03, 0)
    return block


def test_other_formats():
    """Scales are never taken for those of other integers."""
    block = calibrated()
    for formats in (FOUR, OWN):
        block.formats = formats
        with pytest.raises(ConfigError, match="^[xy]_scale=unknown: must be calibrated first"):
            block(torch.ones(1, 2, 3, 3))
    calibrate_blocks(block, [torch.randn(1, 2, 3, 3)])
    assert block.y_format.data == OWN.outputs


def test_a_failed_calibration_changes_nothing():
    block = calibrated()
    with pytest.raises(ConfigError):
        calibrate_blocks(block, [torch.ones(1, 2, 3, 3), torch.full((1, 2, 3, 3), torch.nan)])
    assert block.x_format == DataFormat(0.03, 0)
    block(torch.ones(1, 2, 3, 3))


def test_wrong_types():
    with pytest.raises(TypeError, match=re.escape("data='int8': must be a DataType")):
        BlockFormats("int8")
    network = made()
    modules = list(network)
    for convert in (lambda: tile_se(network, 2, quantised="int8"), lambda: quantise_se(TiledSE(3, 2), "int8"),
                    lambda: QuantisedTiledSE(3, 2, formats="int8")):
        with pytest.raises(TypeError, match=re.escape("formats='int8': must be BlockFormats")):
            convert()
    assert list(network) == modules
