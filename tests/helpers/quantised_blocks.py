# SPDX-License-Identifier: Apache-2.0
"""Quantised PyTorch blocks of random formats, and the same blocks as the commands on one block make them."""

import dataclasses

import numpy as np
import torch

from tests.helpers.random_formats import hard_frames, random_case
from tiled_se.gen.block_spec import assemble
from tiled_se.gen.data import Input, weights_of
from tiled_se.gen.options import BlockOptions
from tiled_se.golden import BlockFormats, DataFormat, IntegerModel, QuantisedTiledSE, TiledSE
from tiled_se.hdl.config import Context, Order

__all__ = ["by_commands", "random_block"]


def random_block(seed, dtype=torch.float64):
    """(module, maps, x format, y format or None): a block of :func:`random_case` in evaluation mode, and hard maps.

    Every other of its patches is a strip of whole rows here.
    The maps, (N, C, H, W), have numbers at, between and half-way between the integers, and beyond the range.
    """
    config, block, scale, rng = random_case(seed)
    x = DataFormat(float(np.float32(scale)), config.zero_point, config.data)
    y = DataFormat(x.scale / config.ratio, config.outputs_zero_point, config.outputs) if config.requantised else None
    low, high = x.dequantise(config.data.low), x.dequantise(config.data.high)
    prior = None if block.prior is None else block.prior.clip(low, high)
    formats = BlockFormats(config.data, config.weight_bits, y and y.data)
    tiling = dataclasses.replace(config.tiling, tile_width=None) if seed // len(Context) % 2 else config.tiling
    block = TiledSE.from_block(dataclasses.replace(block, prior=prior), tiling)
    module = QuantisedTiledSE.of(block.to(dtype).eval(), formats)
    module.x_format = x
    if y is not None:
        module.y_format = y
    frames = hard_frames(rng, config, int(rng.integers(1, 12)))
    offset = rng.choice([0.0, 0.5, -0.5, 1.0, -1.0, *rng.uniform(-0.5, 0.5, 8), *rng.uniform(-9, 9, 2)], frames.shape)
    maps = (frames - config.zero_point + offset) * x.scale
    if config.order is Order.COLUMNS:
        maps = maps.swapaxes(1, 2)
    return module, torch.as_tensor(np.ascontiguousarray(maps.transpose(0, 3, 1, 2))).to(dtype), x, y


def by_commands(module, maps, x, y):
    """(spec, x_q, y_q) of the integer model as `sim` sets it up for the block's weights and these maps; (N, C, H, W).
    """
    x_q = x.quantise(maps.double().numpy()).transpose(0, 2, 3, 1)
    tiling = dict(vars(module.tiling))
    options = BlockOptions(**tiling, weight_bits=module.formats.weight_bits, lanes=1, macs=1, dtype=str(x.data),
                           y_dtype=y and str(y.data))
    spec = assemble(options, weights_of(module.block(), y), Input("", "x_q", x_q, x))
    y_q = IntegerModel(spec.config, spec.quantised.parameters).run(spec.streamed(x_q)).y.numpy()
    return spec, *(frames.transpose(0, 3, 1, 2) for frames in (x_q, spec.streamed(y_q)))
