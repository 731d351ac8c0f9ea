# SPDX-License-Identifier: Apache-2.0
"""Quantisation of layer 1 and the scale of the hidden vector, from the exact range of the pre-activations."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from ..hdl.config import GUARD_BITS, Config, ConfigError
from .block import FloatBlock
from .budget import mean_box, product_box, result_box
from .scales import (
    LARGEST_BIAS,
    RealLayer,
    Shifts,
    TooLarge,
    fold,
    largest_multiplier,
    layer_units,
    logit_scale,
    mean_scale,
    quantise_layer,
    row_steps,
    x_range,
)

__all__ = ["hidden_layer", "hidden_range", "largest_frac"]

# Least ratio of layer 2: its multipliers then have 10 bits at a shift of 56, and a finer hidden vector is useless.
SMALLEST_RATIO = 2.0**-46
# If all weights of layer 2 are below this they may become 0; they must not coarsen another scale.
NEGLIGIBLE_WEIGHT = 1e-12


def _negative_bits(config: Config) -> int:
    """Integer bits down to where a tabulated mid is 0 (hardswish: -3) or almost 0 (silu, see the budget)."""
    assert config.mid.gate is not None
    return (math.ceil(min(config.mid.gate.zero_below, config.mid_range)) - 1).bit_length()


def _real_bias(block: FloatBlock, config: Config, x_scale: float) -> Callable[[np.ndarray], np.ndarray]:
    """The function from layer 1's real weights to its real bias, which includes the zero point's share."""
    return lambda real: block.b1 - x_scale * config.signed_zero_point * real.sum(axis=1)


def _range(config: Config, block: FloatBlock, x_scale: float) -> tuple[float, float]:
    """(low, high): the range of all pre-activations with the float weights."""
    lows, highs = _ranges(config, block, x_scale)
    return lows.min(), highs.max()


def _ranges(config: Config, block: FloatBlock, x_scale: float) -> tuple[np.ndarray, np.ndarray]:
    """(low, high), float64 arrays (CR): the range of each pre-activation with the float weights."""
    lows, highs = product_box(block.w1, *x_range(config, x_scale))
    return lows + block.b1, highs + block.b1


def hidden_range(config: Config, block: FloatBlock, x_scale: float) -> tuple[np.ndarray, np.ndarray]:
    """(low, high), float64 arrays (CR): a range that holds each hidden value with the float weights."""
    mid = config.mid
    # From mid(0) = 0 its slope takes it no further than this.
    low, high = (np.clip(mid.slope * end, mid.low, mid.high) for end in _ranges(config, block, x_scale))
    return np.minimum(low, 0), np.maximum(high, 0)


def _least_scale(config: Config, block: FloatBlock, x_scale: float, shifts: Shifts) -> tuple[float, float]:
    """The finest hidden scales that layer 1's multipliers and biases, and layer 2's ratios, allow."""
    # A small margin for the rounding of weights and ratios.
    largest = (largest_multiplier(config) - 1) / 2.0 ** (min(shifts) if shifts else 0)
    finest = row_steps(block.w1, config.largest_weight, block.w1_step).max()
    ratio = finest * mean_scale(config, x_scale) * 2**GUARD_BITS / largest
    bias = np.abs(_real_bias(block, config, x_scale)(block.w1)).max() * 2**GUARD_BITS / (LARGEST_BIAS / 2)
    if np.abs(block.w2).max() < NEGLIGIBLE_WEIGHT:
        return max(ratio, bias), 0.0
    step = row_steps(block.w2, config.largest_weight, block.w2_step).max() * fold(config)[0]
    return max(ratio, bias), SMALLEST_RATIO * logit_scale(config) * 2.0**-GUARD_BITS / step


def _layer(config: Config, block: FloatBlock, x_scale: float, hidden_scale: float,
           shifts: Shifts) -> tuple[RealLayer, tuple[int, ...]]:
    """Layer 1 (RealLayer with its real bias) and its shifts, for a given hidden scale."""
    unit, bias_unit = layer_units(config, x_scale, hidden_scale)[0], hidden_scale * 2.0**-GUARD_BITS
    means = tuple(end / mean_scale(config, x_scale) for end in x_range(config, x_scale))
    real, shifts = quantise_layer(config, block.w1, unit, _real_bias(block, config, x_scale), bias_unit, shifts, "1",
                                  block.w1_step, means)
    bias = block.b1 if block.w1_step is not None else \
        real.layer.bias * bias_unit + x_scale * config.signed_zero_point * real.weight.sum(axis=1)
    return dataclasses.replace(real, bias=bias), shifts


def _free_scale(config: Config, block: FloatBlock, x_scale: float) -> tuple[float, float]:
    """First guess and upper limit of a hidden scale that need not be a power of two."""
    low, high = _range(config, block, x_scale)
    top = (1 << (config.hidden_bits - config.mid.signed)) - 1
    if config.mid.signed:
        return max(abs(low), abs(high)) / top, np.inf
    limit = config.mid.high / top
    # After a relu that is never positive any scale will do.
    return min((high if high > 0 else abs(low)) / top, limit), limit


def _box(config: Config, real: RealLayer, shifts: tuple[int, ...]) -> tuple[int, int]:
    """(low, high): the exact range of all pre-activations, in hidden LSB."""
    low, high = result_box(real.layer, shifts, mean_box(config))
    return int(low.min()), int(high.max())


def _tabulated(config: Config, block: FloatBlock, x_scale: float,
               shifts: Shifts) -> tuple[RealLayer, tuple[int, ...], float]:
    scale = 2.0**-config.hidden_frac
    real, shifts = _layer(config, block, x_scale, scale, shifts)
    low, high = _box(config, real, shifts)
    # Values from -2**bits to just under 2**bits LSB.
    below = min((-low - 1).bit_length() if low < 0 else 0, _negative_bits(config) + config.hidden_frac)
    bits = max(high.bit_length() if high > 0 else 0, below)
    if bits > config.operand_bits - 1:
        raise ConfigError("hidden_frac", config.hidden_frac,
                          f"must be at most {config.hidden_frac - bits + config.operand_bits - 1} for these parameters")
    return real, shifts, scale


def largest_frac(config: Config, block: FloatBlock, x_scale: float) -> int:
    """An upper bound of ``hidden_frac``: with more, the pre-activations exceed a tabulated mid's range."""
    low, high = _range(config, block, x_scale)
    bits = [math.ceil(math.log2(value)) if value > 0 else 0 for value in (high, -low)]
    # The range of the quantised weights may be slightly smaller than that of the float weights.
    return config.operand_bits - max(0, bits[0], min(bits[1], _negative_bits(config)))


def hidden_layer(config: Config, block: FloatBlock, x_scale: float,
                 shifts: Shifts) -> tuple[RealLayer, tuple[int, ...], float]:
    """Quantise layer 1; returns the layer, its shifts (the shortest list if None is given), the hidden vector's scale.

    No value saturates, except at relu6's 6, at relu's 0, and where a tabulated mid is 0. Raises TooLarge if a
    multiplier or a bias exceeds its format, ConfigError if a tabulated mid's ``hidden_frac`` is too large.
    """
    if config.mid.tabulated:
        return _tabulated(config, block, x_scale, shifts)
    scale, limit = _free_scale(config, block, x_scale)
    scale = max(scale, *_least_scale(config, block, x_scale, shifts)) or 1.0
    top = (1 << (config.hidden_bits - config.mid.signed)) - 1
    for exponent in range(-20, 20):
        scale = min(scale, limit)
        real, chosen = _layer(config, block, x_scale, scale, shifts)
        low, high = _box(config, real, chosen)
        over = max(high / top, -low / (top + 1) if config.mid.signed else 0)
        if over <= 1 or scale == limit:
            return real, chosen, scale
        # A new scale rounds the weights differently, so the range does not shrink in exact proportion.
        scale *= over * (1 + 2.0**exponent)
    raise TooLarge("w1", "too large", "no scale of the hidden vector holds its range")
