# SPDX-License-Identifier: Apache-2.0
"""The detector's blocks in integers: formats from calibration, and the golden model in the network's place."""

import dataclasses

import numpy as np

from ...gen.block_spec import assemble
from ...gen.data import Input, weights_of
from ...golden.block import DataFormat
from ...golden.integer import IntegerModel
from ...golden.reference import squeeze_excite
from ...hdl.config import Tiling
from ...hdl.sizing import choose_macs
from ...hdl.timing import Timing

__all__ = ["IntegerBlock"]


class IntegerBlock:
    """One block as the hardware computes it, called with and giving real numbers.

    The format is taken from the range of `maps`, feature maps (1, C, H, W) of one size; those that come later may have
    another height. `options` are the BlockOptions of its tiling.

    Attributes
    ----------
    config : Config
    quantised : Quantised
    format : DataFormat
    height, width : int
        Of `maps`.
    elements : int
        How many have been computed.
    largest_error : float
        Of these, against squeeze-and-excite with this tiling in float64, in LSB.
    """

    def __init__(self, block, options, maps):
        self.format = DataFormat.calibrate(min(x.min() for x in maps), max(x.max() for x in maps))
        self.height, self.width = maps[0].shape[2:]
        # What `tiled-se sim` would build.
        self._options = options
        spec = assemble(self._options, weights_of(block.float_block),
                        Input("", "x_q", self.integers(maps[0]), self.format))
        self.config, self.quantised = spec.config, spec.quantised
        self._model = IntegerModel(self.config, self.quantised.parameters)
        self.elements, self.largest_error = 0, 0.0

    def __call__(self, x):
        """float array (1, C, H, W) to one of the same shape."""
        x_q = self.integers(x)
        y_q = self._model.run(x_q).y.numpy()
        q = self.quantised
        real = squeeze_excite(self.format.dequantise(x_q[0]), q, self.config)
        self.elements += y_q.size
        error = np.abs(y_q[0] - self.format.zero_point - real / q.y_scale).max()
        self.largest_error = max(self.largest_error, float(error))
        return self.reals(y_q)

    def integers(self, x):
        """int64 array (1, H, W, C), of x (1, C, H, W)."""
        # In the order of the stream in memory, too: the model is several times as fast on it.
        return self.format.quantise(np.ascontiguousarray(np.moveaxis(x, 1, 3)))

    def reals(self, y_q):
        """float32 array (N, C, H, W): what the outputs (N, H, W, C) stand for."""
        return np.moveaxis((y_q.astype(np.float32) - self.format.zero_point) * np.float32(self.quantised.y_scale), 3, 1)

    def waiting(self):
        """Elements that wait for their gates."""
        config = self.config
        return min(config.waiting(self.width), self.height * self.width) * config.channels

    def buffer_bits(self, tiled=True):
        """Bits of the tile buffer that the generator builds, or of the one that the original form would have."""
        config = self.config
        if not tiled:
            config = dataclasses.replace(config, **vars(Tiling(k=self.height)))
            config = dataclasses.replace(config, macs=choose_macs(config, self._options.sram_overhead))
        return Timing(config).buffer_words * 8 * config.lanes
