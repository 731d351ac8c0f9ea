# SPDX-License-Identifier: Apache-2.0
"""The stage in integers, computed with PyTorch: what the hardware must equal bit for bit."""

import torch
import torch.nn.functional as F

from tiled_se.golden import IntegerModel

__all__ = ["GoldenStage"]


class GoldenStage:
    """The integer model of a ``quantise.QuantisedStage``."""

    def __init__(self, stage):
        self.stage = stage
        self.attention = IntegerModel(stage.config, stage.attention.parameters)

    def run(self, x):
        """int64 array (H, W, outputs) of a frame `x`, integers (H, W, C)."""
        depthwise, projection = self.stage.depthwise, self.stage.projection
        channels = len(depthwise.bias)
        weight = torch.tensor(depthwise.weight).reshape(channels, 1, 3, 3)
        y = self._convolve(torch.tensor(x, dtype=torch.int64), depthwise, weight, padding=1, groups=channels)
        y = self.attention.run(y).y
        return self._convolve(y, projection, torch.tensor(projection.weight)[:, :, None, None]).numpy()

    @staticmethod
    def _convolve(x, layer, weight, **how):
        # In float64, which is exact for these integers: PyTorch convolves integers with few options only.
        maps = (x - layer.x_zero).permute(2, 0, 1)[None].double()
        acc = F.conv2d(maps, weight.double(), torch.tensor(layer.bias).double(), **how)
        acc = acc[0].permute(1, 2, 0).to(torch.int64)
        shift = torch.tensor(layer.shift)
        y = (acc * torch.tensor(layer.multiplier) + (1 << (shift - 1))) >> shift
        return (y + layer.y_zero).clamp(layer.low, 127)
