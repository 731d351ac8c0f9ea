# SPDX-License-Identifier: Apache-2.0
"""Blocks with random, quantised parameters, and their expected outputs, for tests of generated hardware."""

from tiled_se.golden.integer import IntegerModel
from tiled_se.verify.configurations import quantised

__all__ = ["expected", "quantised", "random_frame"]


def random_frame(config, height, rng):
    """int64 array (height, W, C) over the data's whole range."""
    low = -128 if config.signed else 0
    return rng.integers(low, low + 256, (height, config.width, config.channels))


def expected(config, parameters, frame):
    """The golden model's output, an int64 array of the frame's shape."""
    return IntegerModel(config, parameters).run(frame).y.numpy()
