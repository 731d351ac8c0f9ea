# SPDX-License-Identifier: Apache-2.0
"""The error budget: an upper bound of an output's distance from float64, for any input and any number of rows.

The bound follows the stages. Each rounding adds half a step, which the weights and the slopes of `mid` and `gate`
scale; the errors of the tables are measured over all their inputs, against the functions of
:mod:`tiled_se.golden.reference`, which the tables are not made from.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..hdl.config import GUARD_BITS, Config, Mid
from ..hdl.formats import FINE_PRECISION
from ..hdl.parameters import Layer
from ..hdl.tables import QUADRATIC_EXTRA, GateFormat, gate_format, gate_table
from . import activation
from .reciprocal import element_counts, reciprocal
from .reference import GATES, MIDS
from .rounding import scaled_floor, scaled_round
from .scales import RealLayer, factor

__all__ = ["bounded_table_error", "factor_rounding", "gate_error", "hidden_error", "logit_error", "mean_box",
           "mean_error", "measured_table_error", "mid_error", "output_error", "product_box", "result_box"]

# A requantisation floors twice; nested floors are one floor, so it counts as a single rounding.
HALF = 0.5
# Up to so many magnitudes of its table a mid is measured over all of them, which takes about 20 ms.
MEASURED = 1 << 19
# Relative margin for the rounding of this module's float64 sums.
MARGIN = 1e-9


@functools.lru_cache(maxsize=16)
def _mean_figures(config: Config) -> tuple[float, int, int]:
    """(error, low, high) of `mean_error` and `mean_box`."""
    elements = element_counts(config)
    value, q = reciprocal(config, elements)
    # full / elements * 2**mean_frac - value / 2**q, times elements: integers over 2**(q + up). Both may exceed int64,
    # but not their difference, which is then right as well.
    places = q + config.mean_frac
    up = (-places).clip(0)
    missing = (config.scale_rows * config.columns << places.clip(0)) - (elements * value << up)
    inexact = value & ((1 << q) - 1) != 0
    data = config.data.as_signed
    error = np.ldexp(-float(data.low) * np.abs(missing), -(q + up)) + HALF * inexact
    low, high = (scaled_round(elements * extreme, value, q) for extreme in (data.low, data.high))
    return float(error.max()), min(int(low.min()), 0), max(int(high.max()), 0)


def _figures(config: Config) -> tuple[float, int, int]:
    # The other parameters have no influence. With them left at defaults, one entry of the cache serves many configs.
    return _mean_figures(Config(**vars(config.tiling), width=config.width, channels=1, squeeze=1,
                                data=config.data.as_signed, operand_bits=config.operand_bits))


def mean_error(config: Config) -> float:
    """Largest error of a mean, over any number of elements that can occur, in steps of the mean."""
    return _figures(config)[0]


def mean_box(config: Config) -> tuple[int, int]:
    """(low, high): the range of a mean's integer."""
    return _figures(config)[1:]


def product_box(weight: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """(low, high), arrays (outputs): the range of ``weight @ x`` for every x from `low` to `high`."""
    positive, negative = weight.clip(0, None).sum(axis=1), weight.clip(None, 0).sum(axis=1)
    return positive * low + negative * high, positive * high + negative * low


def result_box(layer: Layer, shifts: tuple[int, ...], box: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(low, high), int64 arrays (outputs): the exact range of a layer's result for inputs within `box`.

    The saturations of the requantised accumulator and of the result are ignored.
    """
    shift = np.array(shifts)[layer.shift]
    low, high = ((scaled_floor(acc, layer.multiplier, shift) + layer.bias + (1 << (GUARD_BITS - 1))) >> GUARD_BITS
                 for acc in product_box(layer.weight, *box))
    return low, high


def _real_high(config: Config, real: RealLayer) -> np.ndarray:
    """float64 array (CR): upper bounds of the exact pre-activations, in hidden LSB."""
    full = config.scale_rows * config.columns * 2.0**config.mean_frac
    data = config.data.as_signed
    acc = product_box(real.layer.weight, data.low, data.high)[1] * full
    return (acc * real.ratio + real.layer.bias) / (1 << GUARD_BITS) + MARGIN * acc * real.ratio


def hidden_error(config: Config, real: RealLayer, shifts: tuple[int, ...], exact_mid: bool = False) -> np.ndarray:
    """float64 array (CR): the largest error of each hidden value, in its LSB, given layer 1 as a `RealLayer`.

    With `exact_mid` the error of the mid's table is left out: what no table can better.
    """
    layer = real.layer
    total = np.abs(layer.weight).sum(axis=1)
    bias_only = total == 0
    rounded = layer.bias + (1 << (GUARD_BITS - 1)) >> GUARD_BITS
    rounding = np.where(bias_only, np.abs(rounded - layer.bias / (1 << GUARD_BITS)), HALF)
    error = mean_error(config) * total * real.ratio / (1 << GUARD_BITS) + rounding + real.deviation
    error = error * config.mid.slope
    if not exact_mid:
        error = error + mid_error(config.mid, config.hidden_frac, config.segment_bits, config.mid_range)
    if not config.mid.signed:
        # Where the integer is always 0, the error is at most the exact value.
        never = result_box(layer, shifts, mean_box(config))[1] <= 0
        error = np.where(never, np.minimum(error, np.maximum(_real_high(config, real) + real.deviation, 0)), error)
    return error


def logit_error(real: RealLayer, hidden: np.ndarray) -> np.ndarray:
    """float64 array (C): the largest error of each logit, in its LSB, given layer 2 and `hidden_error`."""
    return np.abs(real.layer.weight) @ hidden * real.ratio / (1 << GUARD_BITS) + HALF + real.deviation


def _exact_correction(mid: Mid, a: np.ndarray | np.float64) -> Any:
    """``relu(a) - mid(a)`` for magnitudes `a`, in float64."""
    # It is even: this is relu(-a) - mid(-a).
    return -MIDS[mid](-a)


@functools.lru_cache(maxsize=256)
def measured_table_error(mid: Mid, frac: int, segment_bits: int, mid_range: int) -> float:
    """Largest error of a tabulated mid over all magnitudes of its table, in LSB."""
    columns = activation.mid_columns(mid, frac, segment_bits, mid_range)
    worst = 0.0
    # In pieces whose scratch arrays fit the CPU's cache.
    size = min(1 << 15, mid_range << frac)
    for start in range(0, mid_range << frac, size):
        a = np.arange(start, start + size, dtype=np.int64)
        correction = activation.correction(a, columns, frac - segment_bits)
        worst = max(worst, float(np.abs(correction - _exact_correction(mid, a * 2.0**-frac) * 2.0**frac).max()))
    return worst


@functools.lru_cache(maxsize=256)
def bounded_table_error(mid: Mid, frac: int, segment_bits: int, mid_range: int) -> float:
    """Upper bound of `measured_table_error`; its cost does not grow with `frac`."""
    columns = activation.mid_columns(mid, frac, segment_bits, mid_range)
    # The third derivative is under 1.
    return _quadratic_error(columns, lambda a: _exact_correction(mid, a) * 2.0**frac, segment_bits, 2.0**frac)


def _quadratic_error(columns: np.ndarray, exact: Callable[[np.ndarray], np.ndarray], segment_bits: int,
                     third: float) -> float:
    """Upper bound of a piecewise quadratic table's error, in steps, for an `exact` function in steps.

    A unit of the argument has ``2 ** segment_bits`` segments; `third` is a bound of the third derivative.
    """
    c0, c1, c2 = columns[:, :, None].astype(np.float64)
    unit = 1 << QUADRATIC_EXTRA
    points = 1 << min(9, 14 - segment_bits)
    t = np.arange(points + 1) / points
    a = (np.arange(columns.shape[1])[:, None] + t) * 2.0**-segment_bits
    error = c0 + (c1 + c2 * t) * t - exact(a) * unit
    # Between two points: at most an eighth of the second derivative, which is that of c2's error and its rounding.
    between = (unit * third * 8.0**-segment_bits + 1) / (8 * points**2)
    # The evaluation floors twice, by less than a step each, and then rounds.
    return float(max(error.max(), 2 - error.min()) + between) / unit + HALF


def mid_error(mid: Mid, frac: int, segment_bits: int, mid_range: int) -> float:
    """Upper bound of a mid's own error, for an exact argument, in hidden LSB."""
    if not mid.tabulated:
        return 0.0
    measured = mid_range << frac <= MEASURED
    table = (measured_table_error if measured else bounded_table_error)(mid, frac, segment_bits, mid_range)
    # Beyond the table the integer is relu.
    return max(table, float(_exact_correction(mid, np.float64(mid_range))) * 2.0**frac)


def _exact_gate(config: Config, logit: np.ndarray | float) -> np.ndarray:
    """The exact result of the gate stage for real logits, in its steps."""
    return config.gate_top * ((config.residual + GATES[config.gate.kind](logit)) / (1 + config.residual))


def _measured_gate_error(config: Config, delta: float) -> float:
    """Largest error of a tabulated gate stage over all logits, each up to `delta` LSB from the exact one; in steps."""
    logit = np.arange(-(1 << (config.logit_bits - 1)), 1 << (config.logit_bits - 1), dtype=np.int64)
    got = activation.gate(logit, config, activation.gate_columns(config))
    low, high = (logit - delta) * 2.0**-config.logit_frac, (logit + delta) * 2.0**-config.logit_frac
    # The outermost integers also stand for all logits beyond them.
    low[0], high[-1] = -np.inf, np.inf
    return float(max((got - _exact_gate(config, low)).max(), (_exact_gate(config, high) - got).max()))


def _bounded_gate_error(config: Config, delta: float) -> float:
    """Upper bound of `_measured_gate_error` for a quadratic table; its cost grows with the table only."""
    scale = config.gate_top / (1 + config.residual)
    # A negative logit's gate is the rounded sum of both, less its magnitude's.
    both = scale * (1 + 2 * config.residual)
    # A logit at the end of the range stands for all beyond it.
    last = ((1 << (config.logit_bits - 1)) - 1 - delta) * 2.0**-config.logit_frac
    beyond = float(GATES[config.gate.kind](np.float64(-last)))
    off = max(delta * 2.0**-config.logit_frac * config.gate.largest_slope, beyond) * scale
    return _table_error(gate_format(config), config.gate_top, config.residual) + abs(round(both) - both) + off


@functools.lru_cache(maxsize=256)
def _table_error(form: GateFormat, gate_top: float, residual: bool) -> float:
    """Upper bound of the error of a gate's quadratic table for exact logits, in steps."""
    columns = np.array(gate_table(form, gate_top, residual), np.int64).T
    scale, gate = gate_top / (1 + residual), form.kind.table
    assert gate is not None
    return _quadratic_error(columns, lambda a: scale * (residual + GATES[form.kind](a)), form.segment_bits,
                            scale * gate.third)


def gate_error(config: Config, delta: float) -> float:
    """Largest error of what (x - zero) is multiplied by, for logits with an error of up to `delta` LSB.

    It is in steps of the output for a step of the input, and includes the rounding of the gate and of the factor.
    """
    if not config.gate.table:
        # Limits that are rounded to a step cost nothing beyond the half step that an unlimited logit may be off.
        error = max(delta, HALF)
    elif config.precision <= FINE_PRECISION:
        error = _measured_gate_error(config, delta)
    else:
        error = _bounded_gate_error(config, delta)
    if config.rescales:
        integer, exact = factor(config)
        given = math.ldexp(integer, -config.factor_bits)
        error = error * given + config.gate_top * abs(given - exact) + HALF
    return error * 2.0**-config.gate_frac


def factor_rounding(config: Config) -> float:
    """The most that the rounding of a loaded factor adds to `output_error`, in LSB; that of the largest ratio is exact.
    """
    return config.largest_deviation * HALF * 2.0**-config.gate_frac


def output_error(config: Config, delta: float) -> float:
    """Strict bound of an output's error in LSB, given the largest of `logit_error`.

    Saturation does not add to it: both the output and what it should be are limited to the same range, and limiting two
    numbers brings them no further apart.
    """
    return (HALF + config.largest_deviation * gate_error(config, delta)) * (1 + MARGIN)
