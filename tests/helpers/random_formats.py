# SPDX-License-Identifier: Apache-2.0
"""Random blocks of all number formats in all contexts, and data that are hard for them."""

import dataclasses

import numpy as np

from tiled_se.golden.block import FloatBlock
from tiled_se.hdl.config import Config, Context, DataType, Gate, GateKind, Mid, Order

__all__ = ["hard_frames", "pick", "random_case"]

GATES = [Gate(), Gate(), *(Gate(GateKind.HARDSIGMOID, *line) for line in ((), (0.2, 0.5), (3.0, -0.7)))]


def pick(rng, values):
    """One of `values`."""
    return values[rng.integers(len(values))]


def _random_tiling(rng, context, large):
    form = {"k": int(rng.integers(1, 31 if large else 6)), "context": context, "order": pick(rng, list(Order))}
    if context.running:
        form["max_rows"] = pick(rng, [1, 2, 7, 20, 4096])
        form["prior_rows"] = pick(rng, [1, 2, 3, 9]) - (context is Context.CUMULATIVE)
    elif context is Context.WINDOW:
        form["window"] = (int(rng.integers(0, 9)), int(rng.integers(1, 9)))
    else:
        form["tile_width"] = int(rng.integers(1, 9))
    return form


def random_case(seed, large=False):
    """(config, block, x_scale, rng): any formats, in any context, with weights of any gain.

    W, C and CR are at most 8, 8 and 6; of `large` ones 56, 64 and 16, with up to 30 rows in a tile instead of 5.
    """
    rng = np.random.default_rng([22, seed])
    most_channels, most_squeeze, most_width = (64, 16, 56) if large else (8, 6, 8)
    data = DataType(int(rng.integers(2, 17)), bool(rng.integers(2)))
    zero = pick(rng, [data.low, data.high, int(rng.integers(data.low, data.high + 1))])
    scale = 10**rng.uniform(-4, 0) * 256 / (data.steps + 1)
    residual = bool(rng.integers(2))
    outputs = {}
    if rng.integers(3):
        most = 20 - data.bits - residual
        exponent = pick(rng, [rng.uniform(-8, min(2, most)), rng.uniform(-8, most), float(rng.integers(-8, most + 1)),
                              rng.uniform(-32, most)])
        outputs["y_ratio"] = pick(rng, [None, 2.0**exponent, 2.0**exponent])
        outputs["y_data"] = pick(rng, [data, DataType(int(rng.integers(2, 17)), bool(rng.integers(2)))])
        y = outputs["y_data"]
        outputs["y_zero_point"] = pick(rng, [y.low, y.high, int(rng.integers(y.low, y.high + 1))])
    channels, squeeze = int(rng.integers(1, most_channels + 1)), int(rng.integers(1, most_squeeze + 1))
    gain = 10**rng.uniform(-0.5, 1)
    prior = rng.uniform(scale * (data.low - zero), scale * (data.high - zero), channels)
    block = FloatBlock(rng.normal(size=(squeeze, channels)) * gain, rng.normal(size=squeeze),
                       rng.normal(size=(channels, squeeze)) * gain, rng.normal(size=channels), pick(rng, list(Mid)),
                       pick(rng, GATES), residual, prior if rng.integers(4) else None)
    config = Config(**_random_tiling(rng, list(Context)[seed % len(Context)], large),
                    width=int(rng.integers(1, most_width + 1)),
                    channels=channels, squeeze=squeeze, data=data, zero_point=zero, mid=block.mid, gate=block.gate,
                    weight_bits=int(rng.integers(2, 9)), residual=residual, loadable=bool(rng.integers(2)), **outputs)
    if config.y_ratio is not None and seed % 5 == 1:
        # Scales are often float32.
        ratio = float(np.float32(scale) / np.float32(scale / config.y_ratio))
        config = dataclasses.replace(config, y_ratio=ratio, requant_bits=None)
    if config.loadable and seed % 3 == 0:
        # Hardware for larger ratios.
        most = min(config.ratio * 2**rng.uniform(0, 10), 2.0 ** (20 - data.bits - residual))
        config = dataclasses.replace(config, max_ratio=max(most, config.ratio), requant_bits=None)
    return config, block, scale, rng


def hard_frames(rng, config, height):
    """Random data, the two ends in turn by rows, by columns and at random, and nothing but each end and the zero."""
    low, high, shape = config.data.low, config.data.high, (height, config.width, config.channels)
    row, column, _ = np.indices(shape)
    return np.stack([rng.integers(low, high + 1, shape), rng.choice([low, high], shape),
                     np.where(row % 2, low, high), np.where(column % 2, low, high), np.full(shape, low),
                     np.full(shape, high), np.full(shape, config.zero_point)])
