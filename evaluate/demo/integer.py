# SPDX-License-Identifier: Apache-2.0
"""The detector's blocks in integers: formats from calibration, buffers, and the error against float64."""

import dataclasses

import numpy as np

from ...gen.block_spec import assemble
from ...gen.data import Input, weights_of
from ...golden.block import DataFormat
from ...golden.reference import squeeze_excite
from ...hdl.config import Tiling
from ...hdl.sizing import choose_macs
from ...hdl.timing import Timing
from ..integers import IntegerBlock

__all__ = ["DetectorBlock"]


class DetectorBlock(IntegerBlock):
    """One block as the hardware computes it, which notes its error.

    The format is taken from the range of `maps`, feature maps (1, C, H, W) of one size; those that come later may have
    another height. `options` are the BlockOptions of its tiling.

    Attributes
    ----------
    height, width : int
        Of `maps`.
    elements : int
        How many have been computed.
    largest_error : float
        Of these, against squeeze-and-excite with this tiling in float64, in LSB.
    """

    def __init__(self, block, options, maps):
        data_format = DataFormat.calibrate(min(x.min() for x in maps), max(x.max() for x in maps))
        first = data_format.quantise(np.moveaxis(maps[0], 1, 3))
        # What `tiled-se sim` would build.
        super().__init__(assemble(options, weights_of(block.float_block), Input("", "x_q", first, data_format)))
        self.height, self.width = maps[0].shape[2:]
        self._options = options
        self.elements, self.largest_error = 0, 0.0

    def run(self, x_q):
        """See :class:`IntegerBlock`; of one map."""
        y_q = super().run(x_q)
        real = squeeze_excite(self.format.dequantise(x_q[0]), self.quantised, self.config)
        self.elements += y_q.size
        error = np.abs(y_q[0] - self.format.zero_point - real / self.quantised.y_scale).max()
        self.largest_error = max(self.largest_error, float(error))
        return y_q

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
        return Timing(config).buffer_words * config.data.bits * config.lanes
