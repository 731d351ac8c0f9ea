# SPDX-License-Identifier: Apache-2.0
"""The stages of the integer model, one function each, with the names of docs/design.md ("Numbers").

Tensors are int64. A value that exceeds its width raises OverflowError, which names the stage; so does a product that
could exceed int64.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from ..hdl.config import GUARD_BITS, Config
from . import activation
from .reciprocal import reciprocal
from .rounding import (
    require_product,
    require_signed,
    require_unsigned,
    round_shift,
    saturate_signed,
    scaled_floor,
    scaled_round,
)

__all__ = ["acc", "elements", "gates", "hidden", "line_sums", "logits", "means", "outputs", "requantise", "sums"]


def line_sums(x: torch.Tensor, config: Config) -> torch.Tensor:
    """Sums [N, H, tiles across, C] of data `x` [N, H, W, C] over each tile's part of a row.

    Missing columns of a last tile add nothing.
    """
    n, height, width, channels = x.shape
    across = config.across(width)
    padded = functional.pad(x, (0, 0, 0, across * config.columns - width))
    return padded.reshape(n, height, across, config.columns, channels).sum(dim=3)


def sums(rows: torch.Tensor, prior: torch.Tensor, config: Config) -> torch.Tensor:
    """Sums [N, tiles, C] of data in the signed range, of which `rows` are the :func:`line_sums`.

    The `prior` (C) is added where a tile averages imaginary rows. Missing rows of a last tile add nothing.
    """
    n, height, _, channels = rows.shape
    # The sums of the first 0, 1, ..., H rows. A tile's sum is a difference of two.
    above = functional.pad(rows.cumsum(dim=1), (0, 0, 0, 0, 1, 0))
    first, stop = torch.tensor(config.averaged(height)).T
    imaginary = torch.tensor(config.imaginary(height)).clamp(max=1)
    result = above[:, stop] - above[:, first] + (imaginary[:, None] * prior)[:, None]
    return require_signed("sums", result.reshape(n, -1, channels), config.sum_bits)


def elements(height: int, config: Config) -> np.ndarray:
    """int64 array (tiles): how many elements each descriptor of a frame averages, those of imaginary rows included."""
    rows = np.array([stop - first + imaginary for (first, stop), imaginary in zip(
        config.averaged(height), config.imaginary(height), strict=True)], np.int64)
    columns = np.array([stop - first for first, stop in config.spans(config.width)], np.int64)
    return np.outer(rows, columns).reshape(-1)


def means(tile_sums: torch.Tensor, counts: npt.ArrayLike, config: Config) -> torch.Tensor:
    """Means [N, tiles, C], ``operand_bits``, of sums of as many elements as `counts` (tiles) says."""
    value, q = (torch.tensor(part)[:, None] for part in reciprocal(config, counts))
    require_signed("means", tile_sums, config.sum_bits)
    return require_signed("means", scaled_round(tile_sums, value, q), config.operand_bits)


def acc(stage: str, operand: torch.Tensor, weight: torch.Tensor, config: Config) -> torch.Tensor:
    """Accumulators [N, tiles, outputs] of `operand` [N, tiles, inputs] and `weight` (outputs, inputs)."""
    require_product(stage, operand, weight, weight.shape[1])
    return require_signed(stage, operand @ weight.T, config.acc_bits)


def requantise(stage: str, accumulator: torch.Tensor, layer: Any, shifts: tuple[int, ...],
               config: Config) -> torch.Tensor:
    """``round((floor(A * m / 2**n) saturated + b) / 2**GUARD_BITS)``, of the shape of `accumulator`.

    `layer` is a `Layer` of tensors, `shifts` the config's list for it.
    """
    shift = torch.tensor(shifts)[layer.shift]
    v = saturate_signed(scaled_floor(accumulator, layer.multiplier, shift), config.requant_bits)
    return round_shift(v + require_signed(stage, layer.bias, config.requant_bits), GUARD_BITS)


def hidden(pre1: torch.Tensor, config: Config, columns: torch.Tensor) -> torch.Tensor:
    """Hidden vector from pre-activations: ``hidden_bits``, unsigned for relu and relu6."""
    require = require_signed if config.mid.signed else require_unsigned
    return require("hidden", activation.mid(pre1, config, columns), config.hidden_bits)


def logits(pre2: torch.Tensor, config: Config) -> torch.Tensor:
    """Logits from the requantised accumulators of layer 2: saturated to ``logit_bits``."""
    return saturate_signed(pre2, config.logit_bits)


def gates(tile_logits: torch.Tensor, config: Config, columns: torch.Tensor, factor: int | None = None) -> torch.Tensor:
    """Gates from logits, 0..``gate_top``; of a config that ``rescales``, these times the `factor`, rounded."""
    result = activation.gate(tile_logits, config, columns)
    if factor is not None:
        result = round_shift(result * factor, config.factor_bits)
    return require_unsigned("gates", result, config.gate_bits)


def outputs(x: torch.Tensor, tile_gates: torch.Tensor, config: Config, zero_points: tuple[int, int]) -> torch.Tensor:
    """Data `x` [N, H, W, C] less their zero point, times the tile's gate, rounded, plus the outputs' zero point.

    `x`, the result and both `zero_points` are in the signed range. Outputs with a format of their own saturate.
    """
    n, height, width, channels = x.shape
    grid = tile_gates.reshape(n, -1, config.across(width), channels)
    rows, columns = (np.repeat(np.arange(len(parts)), [stop - first for first, stop in parts])
                     for parts in (config.strips(height), config.spans(width)))
    spread = grid[:, rows][:, :, columns]
    zero_point, y_zero_point = zero_points
    y = round_shift((x - zero_point) * spread, config.gate_frac) + y_zero_point
    if config.requantised:
        return saturate_signed(y, config.outputs.bits)
    return require_signed("y", y, config.outputs.bits)
