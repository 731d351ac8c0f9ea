# SPDX-License-Identifier: Apache-2.0
"""Blocks with random, quantised parameters, and their expected outputs, for tests of generated hardware."""

import numpy as np

from tiled_se.golden.integer import IntegerModel
from tiled_se.hdl.parameters import Layer, Parameters
from tiled_se.verify.configurations import quantised

__all__ = ["expected", "quantised", "random_frame", "random_parameters"]


def random_frame(config, height, rng):
    """int64 array (height, W, C) over the data's whole range."""
    return rng.integers(config.data.low, config.data.high + 1, (height, config.width, config.channels))


def expected(config, parameters, frame):
    """The golden model's output, an int64 array of the frame's shape."""
    return IntegerModel(config, parameters).run(frame).y.numpy()


def random_parameters(config, rng):
    """Parameters, not quantised ones, that let most gates depend on the data; for the default list of shifts."""
    def layer(outputs, inputs, multiplier, shift):
        return Layer(rng.integers(-127, 128, (outputs, inputs)), rng.integers(0, multiplier, outputs),
                     np.full(outputs, shift), rng.integers(-(1 << 18), 1 << 18, outputs))

    elements = config.prior_rows * config.columns
    return Parameters(layer(config.squeeze, config.channels, 1 << 12, 2),
                      layer(config.channels, config.squeeze, 1 << 16, 3), config.signed_zero_point,
                      rng.integers(-128 * elements, 127 * elements + 1, config.channels) if elements else None)
