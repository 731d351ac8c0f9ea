# SPDX-License-Identifier: Apache-2.0
"""Blocks with random, quantised parameters, and their expected outputs, for tests of generated hardware."""

import dataclasses

import numpy as np

from tiled_se.golden.block import FloatBlock
from tiled_se.golden.integer import IntegerModel
from tiled_se.golden.quantise import fit
from tiled_se.hdl.config import Config
from tiled_se.hdl.sizing import choose_macs

X_SCALE = 1 / 16


def quantised(seed=1, gain=1.0, **shape):
    """A fitted (Config, Parameters); ``macs`` defaults to what ``MACS=auto`` takes."""
    macs = shape.pop("macs", None)
    config = Config(**shape)
    rng = np.random.default_rng(seed)
    channels, squeeze = config.channels, config.squeeze
    block = FloatBlock(
        rng.normal(size=(squeeze, channels)) * gain / channels**0.5, 0.3 * rng.normal(size=squeeze),
        rng.normal(size=(channels, squeeze)) * gain * 2 / squeeze**0.5, rng.normal(size=channels),
        config.mid, config.gate, config.residual)
    config, numbers = fit(config, block, X_SCALE)
    return dataclasses.replace(config, macs=macs or choose_macs(config, 0.05)), numbers.parameters


def random_frame(config, height, rng):
    """int64 array (height, W, C) over the data's whole range."""
    low = -128 if config.signed else 0
    return rng.integers(low, low + 256, (height, config.width, config.channels))


def expected(config, parameters, frame):
    """The golden model's output, an int64 array of the frame's shape."""
    return IntegerModel(config, parameters).run(frame).y.numpy()
