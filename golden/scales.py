# SPDX-License-Identifier: Apache-2.0
"""Quantisation of one layer: multipliers, shifts, weights, biases (docs/design.md, "Scales")."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from ..hdl.config import GUARD_BITS, MAX_REQUANT_BITS, MAX_SHIFTS, Config
from ..hdl.errors import ConfigError
from ..hdl.parameters import Layer

__all__ = ["LARGEST_BIAS", "RealLayer", "Shifts", "TooLarge", "bias_headroom", "exact_shifts",
           "factor", "fold", "largest_multiplier", "layer_units", "logit_scale", "mean_scale", "quantise_layer",
           "row_steps", "tight_shifts", "x_range"]

LARGEST_SHIFT = 63
# Bits from one shift of a list to the next: a multiplier has at most 7 fewer than the widest.
SHIFT_BITS = 8
# A layer's list of right shifts; None asks for the shortest list.
Shifts = tuple[int, ...] | None
# The largest bias that the widest requant_bits allows.
LARGEST_BIAS = 1 << (MAX_REQUANT_BITS - 2)


class TooLarge(ConfigError):
    """A multiplier or bias exceeds its format at this operand width; at a wider one it may fit."""


@dataclasses.dataclass(frozen=True, eq=False)
class RealLayer:
    """A quantised layer, and the real values that its integers stand for, in float64.

    They are ``weight`` (outputs, inputs) and ``bias`` (outputs). ``ratio`` (outputs) is multiplier / 2**shift: one step
    of the accumulator, in steps of 2**-GUARD_BITS result LSB. ``deviation`` (outputs) is how far a result may be from
    that of the real values, in its LSB, because the ratio and the bias are rounded. It is 0 unless the steps of the
    weights were given: else the real values follow from the integers.
    """

    layer: Layer
    weight: np.ndarray
    bias: np.ndarray
    ratio: np.ndarray
    deviation: np.ndarray | float = 0.0


def largest_multiplier(config: Config) -> int:
    """The largest requantisation multiplier."""
    return (1 << config.multiplier_bits) - 1


def mean_scale(config: Config, x_scale: float) -> float:
    """Real value of one step of a mean."""
    return x_scale / (config.scale_rows * config.columns) * 2.0**-config.mean_frac


def x_range(config: Config, x_scale: float) -> tuple[float, float]:
    """(low, high): the real values of the ends of the data's range."""
    data = config.data.as_signed
    return x_scale * (data.low - config.signed_zero_point), x_scale * (data.high - config.signed_zero_point)


def logit_scale(config: Config) -> float:
    """Real value of one step of a logit, or of the gate for a hard sigmoid."""
    return 2.0**-(config.logit_frac if config.gate.table else config.gate_frac)


def fold(config: Config) -> tuple[float, float]:
    """``(slope, offset)`` of a hard sigmoid, which are folded into layer 2; (1, 0) for a gate that has a table.

    They include the residual's 1 and what the gate stage multiplies by: the ratio, or the power of two above it.
    """
    if config.gate.table:
        return 1.0, 0.0
    whole = math.ldexp(config.gate_top, -config.gate_frac) / (1 + config.residual)
    return config.gate.slope * whole, (config.residual + config.gate.offset) * whole


def factor(config: Config) -> tuple[int, float]:
    """``Parameters.factor`` of a config that ``rescales``, and the exact number that it stands for."""
    exact = math.ldexp(config.ratio * (1 + config.residual), config.gate_frac) / config.gate_top
    return round(math.ldexp(exact, config.factor_bits)), exact


def layer_units(config: Config, x_scale: float, hidden_scale: float) -> tuple[float, float]:
    """Real value of one step of a weight with the ratio 1, in layer 1 and in layer 2."""
    return (hidden_scale * 2.0**-GUARD_BITS / mean_scale(config, x_scale),
            logit_scale(config) * 2.0**-GUARD_BITS / hidden_scale / fold(config)[0])


def row_steps(weight: np.ndarray, largest: int, given: np.ndarray | None = None) -> np.ndarray:
    """float64 array (outputs): the finest step with which each row fits ``-largest..largest``, or the one `given`.

    Rows of zeros have 0.
    """
    most = np.abs(weight).max(axis=1)
    return most / largest if given is None else np.where(most > 0, given, 0.0)


def _largest_shift(ideal: np.ndarray, most: int) -> np.ndarray:
    """The largest shift with which the multiplier of each ratio in `ideal` (> 0) is at most `most`; may be negative."""
    shift = np.floor(np.log2(most / ideal)).astype(np.int64)
    # log2 may be off by one next to a power of two.
    shift += np.ldexp(ideal, shift + 1) <= most
    return shift - (np.ldexp(ideal, shift) > most)


def tight_shifts(ideal: np.ndarray, most: int) -> tuple[int, ...]:
    """The shortest list of shifts with which the largest ratio's multiplier has as many bits as `most`.

    The others have at most 7 fewer. `ideal` is a float64 array (outputs) of the exact ratios, 0 for rows of zeros.
    """
    used = ideal[ideal >= 2.0**-(LARGEST_SHIFT + 1)]
    if not used.size:
        return (0,)
    largest = _largest_shift(used, most)
    base = min(max(int(largest.min()), 0), LARGEST_SHIFT)
    entries = np.unique([min(base + SHIFT_BITS * j, LARGEST_SHIFT) for j in range(MAX_SHIFTS)])
    chosen = np.searchsorted(entries, np.maximum(largest, base), side="right") - 1
    return tuple(int(n) for n in entries[np.unique(chosen)])


def exact_shifts(ideal: np.ndarray, most: int) -> tuple[int, ...]:
    """As `tight_shifts`, with which as many multipliers as possible have all bits, as the weights' steps are given."""
    used = ideal[ideal >= 2.0**-(LARGEST_SHIFT + 1)]
    if not used.size:
        return (0,)
    entries = np.unique(_largest_shift(used, most).clip(0, LARGEST_SHIFT))
    chosen = np.unique(np.linspace(0, len(entries) - 1, min(len(entries), MAX_SHIFTS)).round().astype(int))
    return tuple(int(n) for n in entries[chosen])


def _multipliers(ideal: np.ndarray, shifts: tuple[int, ...], most: int, name: str,
                 nearest: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smallest ratios m / 2**n that are not under `ideal`, or the `nearest` ones; m is at most `most`.

    Returns int64 arrays of m and of the index of n, and the ratios in float64. A row whose ratio is under half a step
    of the longest shift becomes 0: it is about 2**-50 of the others.
    """
    candidates = (np.rint if nearest else np.ceil)(np.ldexp(ideal[:, None], np.array(shifts)[None, :]))
    candidates[candidates > most] = -1
    legal = candidates >= 0
    if not legal.any(axis=1).all():
        raise TooLarge(name, "too large",
                       f"some rows need a requantisation multiplier of more than {most.bit_length()} bits")
    # The longest legal shift has the finest grid, which contains the grids of the others.
    index = np.argmax(np.where(legal, np.array(shifts), -1), axis=1)
    multiplier = candidates[np.arange(len(ideal)), index]
    shift = np.array(shifts)[index]
    multiplier[np.ldexp(ideal, shift) < 0.5] = 0
    return multiplier.astype(np.int64), index.astype(np.int64), np.ldexp(multiplier, -shift)


def quantise_layer(config: Config, weight: np.ndarray, unit: float, bias: Callable[[np.ndarray], np.ndarray],
                   bias_unit: float, shifts: Shifts, name: str, steps: np.ndarray | None,
                   inputs: Sequence[np.ndarray | float]) -> tuple[RealLayer, tuple[int, ...]]:
    """Quantise the `weight` of one layer, a float64 array (outputs, inputs), whose `unit` is from `layer_units`.

    `bias` computes the layer's real bias, a float64 array (outputs), from the real weights that the integers and their
    ratios make; `bias_unit` is the real value of its step. If `shifts` is None those of `tight_shifts` are used. `name`
    is "1" or "2", for the messages of TooLarge. With `steps` (outputs) the weights are integers times these: the
    integers are kept, and the ratios are as near as multipliers allow. `inputs` are the ends of the exact inputs, in
    steps of the operands. Returns the layer, whose real `bias` is 0 until the caller sets it, and the shifts.
    """
    most, largest = largest_multiplier(config), config.largest_weight
    least = -largest if steps is None else config.least_weight
    if steps is not None:
        integers = np.rint(weight / steps[:, None])
        weight = integers * steps[:, None]
        # A row that would need a wider accumulator has even integers: half of each is the same with twice the step.
        steps = np.where(np.abs(integers).sum(axis=1) > config.most_row_sum, 2 * steps, steps)
    ideal = row_steps(weight, largest, steps) / unit
    shifts = shifts or (tight_shifts if steps is None else exact_shifts)(ideal, most)
    multiplier, index, ratio = _multipliers(ideal, shifts, most, f"w{name}", steps is not None)
    step = np.where(multiplier > 0, ratio * unit if steps is None else steps, np.inf)[:, None]
    integers = np.clip(np.rint(weight / step), least, largest)
    real = integers * (ratio * unit)[:, None]
    exact = bias(real) / bias_unit
    biases = np.rint(exact)
    largest_bias = np.abs(biases).max()
    if largest_bias > LARGEST_BIAS:
        raise TooLarge(f"b{name}", f"{largest_bias * bias_unit:g}", f"must be at most {LARGEST_BIAS * bias_unit:g}")
    layer = Layer(integers.astype(np.int64), multiplier, index, biases.astype(np.int64))
    if steps is None:
        return RealLayer(layer, real, np.zeros(len(real)), ratio), shifts
    off = integers * ratio[:, None] - weight / unit
    above, below = np.clip(off, 0, None), np.clip(off, None, 0)
    low, high = ((above * a + below * b).sum(axis=1) for a, b in (inputs, inputs[::-1]))
    deviation = (np.maximum(-low, high) + np.abs(biases - exact)) / (1 << GUARD_BITS)
    return RealLayer(layer, weight, np.zeros(len(real)), ratio, deviation), shifts


def bias_headroom(layers: tuple[Layer, Layer], top_bits: tuple[int, int]) -> int:
    """``requant_bits`` that two layers need, so that a value which saturates before the bias also saturates after it.

    The layers' results are below ``2**top_bits``.
    """
    needs = []
    for layer, bits in zip(layers, top_bits, strict=True):
        largest = max(int(np.abs(layer.bias).max()), 1 << (bits + GUARD_BITS))
        needs.append((largest - 1).bit_length() + 2)
    return max(needs)
