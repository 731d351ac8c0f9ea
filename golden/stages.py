# SPDX-License-Identifier: Apache-2.0
"""The stages of the integer model, one function each, with the names of docs/design.md ("Numbers").

Tensors are int64. A value that exceeds its width raises OverflowError, which names the stage; so does a product that
could exceed int64.
"""

from typing import Any

import torch

from ..hdl.config import GATE_FRAC, GUARD_BITS, Config
from . import activation
from .rounding import require_product, require_signed, require_unsigned, round_shift, saturate_signed, scaled_floor

__all__ = ["acc", "gates", "hidden", "logits", "means", "outputs", "reciprocal", "requantise", "sums"]


def sums(x: torch.Tensor, config: Config) -> torch.Tensor:
    """Tile sums [N, tiles, C] of int8 data `x` [N, H, W, C]; missing rows and columns of a last tile add nothing."""
    n, height, width, channels = x.shape
    # A tile may be much higher than the frame; it is not padded to its full height then.
    k, tile_width = min(config.k, height), min(config.width, width)
    rows, columns = -(-height // k), -(-width // tile_width)
    padded = x.new_zeros((n, rows * k, columns * tile_width, channels))
    padded[:, :height, :width] = x
    tiles = padded.reshape(n, rows, k, columns, tile_width, channels).sum(dim=(2, 4))
    return require_signed("sums", tiles.reshape(n, rows * columns, channels), config.sum_bits)


def reciprocal(config: Config, rows: int, columns: int) -> tuple[int, int]:
    """``(R, q)`` such that a mean over rows x columns is ``S * R / 2**q``, by the rule of ``Config.reciprocals``.

    ``Config.reciprocals`` has those of tiles of full width; tiles at a frame's right edge may be narrower.
    """
    if columns == config.width:
        return config.reciprocals[rows - 1]
    full, count = config.k * config.width, rows * columns
    # floor(log2(full / count)), exactly.
    exponent = full.bit_length() - count.bit_length()
    exponent -= count << exponent > full
    q = config.reciprocal_bits - 1 - exponent - config.mean_frac
    up = q + config.mean_frac
    whole, rest = divmod(full << max(up, 0), count << max(-up, 0))
    # To nearest; the result may be a power of two with one bit too many.
    nearest = whole + (2 * rest >= count << max(-up, 0))
    return (nearest, q) if nearest.bit_length() == config.reciprocal_bits else (nearest >> 1, q - 1)


def means(tile_sums: torch.Tensor, counts: list[tuple[int, int]], config: Config) -> torch.Tensor:
    """Means [N, tiles, C], ``operand_bits``; `counts` is the list of the tiles' (rows, columns)."""
    result = torch.empty_like(tile_sums)
    for size in set(counts):
        chosen = torch.tensor([count == size for count in counts])
        value, q = reciprocal(config, *size)
        values = tile_sums[:, chosen]
        require_product("means", values, torch.tensor(value))
        result[:, chosen] = round_shift(values * value, q)
    return require_signed("means", result, config.operand_bits)


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


def gates(tile_logits: torch.Tensor, config: Config, columns: torch.Tensor) -> torch.Tensor:
    """Gates from logits, 0..2**GATE_FRAC."""
    return require_unsigned("gates", activation.gate(tile_logits, config, columns), config.gate_bits)


def outputs(x: torch.Tensor, tile_gates: torch.Tensor, config: Config, int8_zero_point: int) -> torch.Tensor:
    """Int8 data `x` [N, H, W, C], less the zero point, times the tile's gate, rounded, plus the zero point."""
    n, height, width, channels = x.shape
    grid = tile_gates.reshape(n, -1, -(-width // config.width), channels)
    spread = grid[:, torch.arange(height) // config.k][:, :, torch.arange(width) // config.width]
    return require_signed("y", round_shift((x - int8_zero_point) * spread, GATE_FRAC) + int8_zero_point, 8)
