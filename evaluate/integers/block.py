# SPDX-License-Identifier: Apache-2.0
"""A network's block in integers: the golden model between the network's real numbers."""

import numpy as np

from ...gen.block_spec import BlockSpec
from ...golden.integer import IntegerModel

__all__ = ["IntegerBlock"]


class IntegerBlock:
    """One block as the hardware computes it, called with and giving real numbers.

    `spec` is the block that `tiled-se sim` would build. Maps may have another number of the stream's lines than those
    that its data format was taken from. With `channels_last` the network's maps are (N, H, W, C), else (N, C, H, W).

    Attributes
    ----------
    spec : BlockSpec
    config : Config
    quantised : Quantised
    format : DataFormat
        Of the block's input.
    """

    def __init__(self, spec: BlockSpec, channels_last: bool = False):
        self.spec, self.config, self.quantised, self.format = spec, spec.config, spec.quantised, spec.format
        self._channels_last = channels_last
        self._model = IntegerModel(spec.config, spec.quantised.parameters)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Real array, maps in the network's layout, to a float32 one of the same shape."""
        return self.reals(self.run(self.integers(x)))

    def run(self, x_q: np.ndarray) -> np.ndarray:
        """Integers (N, H, W, C) to those of the outputs, of the same shape."""
        return self.spec.streamed(self._model.run(self.spec.streamed(x_q)).y.numpy())

    def integers(self, x: np.ndarray) -> np.ndarray:
        """int64 array (N, H, W, C), of maps `x` in the network's layout."""
        # In the order of the stream in memory, too: the model is several times as fast on it.
        return self.format.quantise(np.ascontiguousarray(x if self._channels_last else np.moveaxis(x, 1, 3)))

    def reals(self, y_q: np.ndarray) -> np.ndarray:
        """float32 array in the network's layout: what the outputs (N, H, W, C) stand for."""
        y = (y_q.astype(np.float32) - self.config.outputs_zero_point) * np.float32(self.quantised.y_scale)
        return y if self._channels_last else np.moveaxis(y, 3, 1)
