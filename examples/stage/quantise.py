# SPDX-License-Identifier: Apache-2.0
"""The stage in float and in integers: from PyTorch's weights and example frames to what the hardware is built from."""

import dataclasses
import functools
import math

import numpy as np
import torch
from torch import nn

from tiled_se.golden import DataFormat, FloatBlock, Quantised, quantise_within_error, squeeze_excite
from tiled_se.hdl import choose_macs

__all__ = ["HIGH", "MULTIPLIER_BITS", "SHIFT_BITS", "FloatStage", "Layer", "QuantisedStage", "quantise"]

LOW, HIGH = -128, 127
MULTIPLIER_BITS, SHIFT_BITS = 16, 6


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """A convolution in integers: ``y = clamp(y_zero + round(acc * multiplier / 2 ** shift), low, HIGH)``.

    ``acc`` is ``bias`` plus the sum of ``weight * (x - x_zero)``. The arrays are int64: ``weight`` (outputs, inputs)
    of 8 bits, and for each output ``bias``, ``multiplier`` of 16 bits and ``shift`` from 1 to 63.
    """

    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    x_zero: int
    y_zero: int
    low: int = LOW

    @functools.cached_property
    def hardware_bias(self):
        """The bias of the sum of ``weight * x``, without the zero point."""
        return self.bias - self.x_zero * self.weight.sum(axis=1)

    @property
    def acc_bits(self):
        """Signed bits that hold each partial sum, with and without its bias."""
        most = np.abs(self.weight).sum(axis=1) * -LOW + np.abs(self.hardware_bias)
        return int(most.max()).bit_length() + 1


class FloatStage(nn.Module):
    """What is quantised: a depthwise convolution with ReLU, squeeze-and-excite, a projection. Batch norm is folded in.

    Random weights, of the size that training would give them.
    """

    def __init__(self, channels, squeeze, outputs, seed=1):
        super().__init__()
        torch.manual_seed(seed)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.fc1, self.fc2 = nn.Conv2d(channels, squeeze, 1), nn.Conv2d(squeeze, channels, 1)
        self.projection = nn.Conv2d(channels, outputs, 1)
        # Gates that differ: PyTorch's initial weights leave them all near a half.
        nn.init.normal_(self.fc2.weight, std=1.5)
        nn.init.normal_(self.fc2.bias, std=1.5)

    @torch.no_grad()
    def stages(self, x, config):
        """The float64 feature maps (H, W, ...) after each of the three, of the frame `x` (H, W, C)."""
        maps = torch.tensor(x).permute(2, 0, 1)[None]
        first = torch.relu(self.double().depthwise(maps))[0].permute(1, 2, 0).numpy()
        excited = squeeze_excite(first, self.block(), config)
        y = self.projection(torch.tensor(excited).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
        return first, excited, y

    def block(self):
        """The two layers of squeeze-and-excite, as the project's quantiser takes them."""
        w1, w2 = (layer.weight.detach().numpy()[:, :, 0, 0] for layer in (self.fc1, self.fc2))
        return FloatBlock(w1, self.fc1.bias.detach().numpy(), w2, self.fc2.bias.detach().numpy())


@dataclasses.dataclass(frozen=True, eq=False)
class QuantisedStage:
    """The stage in integers, and the formats of its input and output; ValueError if there is no hardware for it."""

    depthwise: Layer
    attention: Quantised
    projection: Layer
    x_format: DataFormat
    y_format: DataFormat

    def __post_init__(self):
        if self.config.width < 2:
            raise ValueError(f"width is {self.config.width}; must be at least 2")
        outputs, lanes = len(self.projection.bias), self.config.lanes
        if outputs % lanes:
            raise ValueError(f"outputs: {outputs}; must be a multiple of the lanes, {lanes}")

    @property
    def config(self):
        return self.attention.config


def quantise(stage, frames, config):
    """The :class:`QuantisedStage` of a :class:`FloatStage`.

    The ranges are those of the float `frames`, arrays (H, W, C). `config` is that of the attention block; its ``macs``,
    widths and zero point are replaced.
    """
    maps = [stage.stages(frame, config) for frame in frames]
    x_format = _format(frames)
    middle, y_format = (_format([stages[number] for stages in maps]) for number in (0, 2))
    config = dataclasses.replace(config, zero_point=middle.zero_point)
    config = dataclasses.replace(config, macs=choose_macs(config))
    _, attention = quantise_within_error(config, stage.block(), middle.scale)
    return QuantisedStage(
        _layer(stage.depthwise, x_format, middle, relu=True), attention, _layer(stage.projection, middle, y_format),
        x_format, y_format)


def _format(arrays):
    return DataFormat.calibrate(min(array.min() for array in arrays), max(array.max() for array in arrays))


def _layer(convolution, x_format, y_format, relu=False):
    """A convolution as a :class:`Layer`, with a scale for each output channel."""
    weight = convolution.weight.detach().double().flatten(1).numpy()
    step = np.abs(weight).max(axis=1) / 127
    ratio = [_fixed_point(value) for value in x_format.scale * step / y_format.scale]
    return Layer(
        np.rint(weight / step[:, None]).astype(np.int64),
        np.rint(convolution.bias.detach().double().numpy() / (step * x_format.scale)).astype(np.int64),
        *np.array(ratio).T, x_format.zero_point, y_format.zero_point, y_format.zero_point if relu else LOW)


def _fixed_point(ratio):
    """`ratio` as (multiplier, shift)."""
    mantissa, exponent = math.frexp(ratio)
    multiplier, shift = round(mantissa * 2**MULTIPLIER_BITS), MULTIPLIER_BITS - exponent
    if multiplier == 1 << MULTIPLIER_BITS:
        multiplier, shift = multiplier >> 1, shift - 1
    if not 1 <= shift < 1 << SHIFT_BITS:
        raise ValueError(f"ratio of the scales is {ratio:g}; must be from 2**-47 to 2**15")
    return multiplier, shift
