# SPDX-License-Identifier: Apache-2.0
"""The activations on integers, evaluated from the tables of :mod:`tiled_se.hdl.tables`.

The functions take int64 numpy arrays (the error budget) or torch tensors (the integer model). The caller passes the
columns of a table, from `mid_columns` or `gate_columns`, as the same kind.
"""

import numpy as np

from ..hdl.config import Config, Mid
from ..hdl.tables import MID_EXTRA, gate_format, gate_table, mid_table
from .rounding import Array, clamp, floor_shift, round_shift, saturate_signed, saturate_unsigned

__all__ = ["correction", "gate", "gate_columns", "mid", "mid_columns"]


def mid_columns(mid_kind: Mid, frac: int, segment_bits: int, mid_range: int) -> np.ndarray:
    """int64 array (3, segments): c0, c1 and c2 of a mid; empty if it needs no table."""
    if not mid_kind.tabulated:
        return np.zeros((3, 0), np.int64)
    return np.array(mid_table(mid_kind, frac, segment_bits, mid_range), np.int64).T


def gate_columns(config: Config) -> np.ndarray:
    """int64 array (coefficients, segments): c0, c1 and, of a quadratic, c2 of the gate; empty for a hard sigmoid."""
    if not config.gate.table:
        return np.zeros((2, 0), np.int64)
    return np.array(gate_table(gate_format(config), config.gate_top, config.residual), np.int64).T


def _quadratic(magnitude: Array, columns: Array, fraction: int, extra: int) -> Array:
    """Piecewise quadratic of coefficients with `extra` bits; a segment has ``2**fraction`` magnitudes."""
    c0, c1, c2 = (column[magnitude >> fraction] for column in columns)
    t = magnitude & ((1 << fraction) - 1)
    u = c1 + floor_shift(c2 * t, fraction)
    return round_shift(c0 + floor_shift(u * t, fraction), extra)


def correction(magnitude: Array, columns: Array, fraction: int) -> Array:
    """Piecewise quadratic ``relu(a) - mid(a)`` in hidden LSB; a segment has ``2**fraction`` magnitudes."""
    return _quadratic(magnitude, columns, fraction, MID_EXTRA)


def mid(a: Array, config: Config, columns: Array) -> Array:
    """Hidden vector from the pre-activations `a`: saturated to ``hidden_bits``."""
    if not config.mid.signed:
        return saturate_unsigned(a, config.hidden_bits)
    a = saturate_signed(a, config.operand_bits)
    if not config.mid.tabulated:
        return a
    limit = config.mid_range << config.hidden_frac
    magnitude = abs(a)
    inside = magnitude < limit
    fraction = config.hidden_frac - config.segment_bits
    excess = correction(clamp(magnitude, 0, limit - 1), columns, fraction) * inside
    return saturate_signed(clamp(a, 0, None) - excess, config.hidden_bits)


def _positive(magnitude: Array, config: Config, columns: Array) -> Array:
    """Gates of logits that are not negative."""
    form = gate_format(config)
    if form.quadratic:
        return _quadratic(magnitude, columns, form.offset_bits, form.extra)
    c0, c1 = (column[magnitude >> form.offset_bits] for column in columns)
    return round_shift(c0 + c1 * (magnitude & ((1 << form.offset_bits) - 1)), form.extra)


def gate(logit: Array, config: Config, columns: Array) -> Array:
    """Gates, 0..``gate_top``, from logits of ``logit_bits``; where the config ``rescales``, before the factor."""
    # The gates of a logit of minus infinity, 0 but for a residual, and of infinity.
    low, high = (config.gate_top * share / (1 + config.residual) for share in (config.residual, 1 + config.residual))
    if not config.gate.table:
        return clamp(logit, round(low), round(high))
    positive = _positive(clamp(abs(logit), 0, (1 << (config.logit_bits - 1)) - 1), config, columns)
    # The exact gates of l and -l add up to low + high, as the gate function of -l is 1 less that of l.
    return positive + (round(low + high) - 2 * positive) * (logit < 0)
