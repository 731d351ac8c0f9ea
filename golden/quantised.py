# SPDX-License-Identifier: Apache-2.0
"""A quantised block, and its quantisation for given widths."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..hdl.config import GUARD_BITS, Config, ConfigError
from ..hdl.parameters import Parameters
from . import budget
from .block import FloatBlock, check_scale
from .hidden import hidden_layer, hidden_range
from .scales import Shifts, TooLarge, bias_headroom, factor, fold, layer_units, logit_scale, quantise_layer, x_range

__all__ = ["Quantised", "attempt", "check"]


@dataclasses.dataclass(frozen=True, eq=False)
class Quantised:
    """A quantised block: its integers, the ``config`` that they are for, and their real values.

    ``w1`` (CR, C), ``b1`` (CR), ``w2`` (C, CR), ``b2`` (C) and ``prior`` (C) are the real values that the integers
    stand for, in float64 (docs/design.md, "Scales"): those of the float block for a layer whose weights were given with
    steps; ``prior`` is None if the block has no imaginary rows. ``w1_step`` (CR) and ``w2_step`` (C) are these steps,
    None where none were given. ``x_scale``, ``hidden_scale`` and ``y_scale`` are the real values of a step of the data,
    of the hidden vector, and of the outputs. ``error_bound_lsb`` is an upper bound of ``|y_q - clamp(y_zero + y_real /
    y_scale)|`` for every input and every number of rows; the clamp is to the range of ``config.outputs``.
    ``requant_bits`` is the least that these parameters need; ``config.requant_bits`` is at least this.
    """

    config: Config
    parameters: Parameters
    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray
    x_scale: float
    hidden_scale: float
    y_scale: float
    error_bound_lsb: float
    requant_bits: int
    prior: np.ndarray | None = None
    w1_step: np.ndarray | None = None
    w2_step: np.ndarray | None = None


def check(config: Config, block: FloatBlock, x_scale: float) -> None:
    """ConfigError where no widths would help."""
    block.check(config)
    check_scale(x_scale)
    _prior(config, block, x_scale)


def _prior(config: Config, block: FloatBlock, x_scale: float) -> np.ndarray | None:
    """``Parameters.prior``: the sum of the imaginary rows. ConfigError if the prior is outside of the data's range."""
    if not config.prior_rows:
        return None
    prior = np.zeros(config.channels) if block.prior is None else block.prior
    steps = prior / x_scale + config.signed_zero_point
    data = config.data.as_signed
    # A step more is allowed, as data at the ends of their range are rounded to it as well.
    wrong = (steps < data.low - 1) | (steps > data.high + 1)
    if wrong.any():
        low, high = x_range(config, x_scale)
        raise ConfigError("prior", f"{prior[wrong][0]:g}", f"must be from {low:g} to {high:g}, the range of x")
    elements = config.prior_rows * config.columns
    return np.rint(elements * np.clip(steps, data.low, data.high)).astype(np.int64)


def attempt(config: Config, block: FloatBlock, x_scale: float, tight: bool = False,
            exact_mid: bool = False) -> Quantised:
    """The integers for `config`, whatever error they give and ``requant_bits`` they need; ConfigError if none exist.

    With `tight`, the config's shifts are replaced by the shortest lists. `exact_mid` is that of `budget.hidden_error`.
    """
    if not tight:
        return _build(config, block, x_scale, config.shifts, exact_mid)
    shifts = _build(config, block, x_scale, (None, None), exact_mid).config.shifts
    # Quantise again with these shifts fixed, so that `quantise_fixed_widths` reproduces the same integers. A scale at
    # the limit may then exceed it.
    try:
        return _build(config, block, x_scale, shifts, exact_mid)
    except TooLarge:
        return _build(config, block, x_scale, tuple(tuple(max(n - 1, 0) for n in layer) for layer in shifts), exact_mid)


def _build(config: Config, block: FloatBlock, x_scale: float, shifts: Sequence[Shifts], exact_mid: bool) -> Quantised:
    """`attempt` with given `shifts` for each layer; None asks for the shortest list."""
    real1, shifts1, hidden_scale = hidden_layer(config, block, x_scale, shifts[0])
    slope, offset = fold(config)
    unit = logit_scale(config) * 2.0**-GUARD_BITS
    inputs = tuple(end / hidden_scale for end in hidden_range(config, block, x_scale))
    real2, shifts2 = quantise_layer(config, block.w2, layer_units(config, x_scale, hidden_scale)[1],
                                    lambda real: block.b2 * slope + offset, unit, shifts[1], "2", block.w2_step, inputs)
    b2 = block.b2 if block.w2_step is not None else (real2.layer.bias * unit - offset) / slope
    hidden = budget.hidden_error(config, real1, shifts1, exact_mid)
    bound = budget.output_error(config, budget.logit_error(real2, hidden).max())
    layers = real1.layer, real2.layer
    prior = _prior(config, block, x_scale)
    elements = config.prior_rows * config.columns
    return Quantised(
        config=dataclasses.replace(config, shifts=(shifts1, shifts2)),
        parameters=Parameters(*layers, config.signed_zero_point, prior,
                              config.signed_outputs_zero_point if config.requantised else None,
                              factor(config)[0] if config.rescales else None),
        w1=real1.weight, b1=real1.bias, w2=real2.weight, b2=b2,
        x_scale=x_scale, hidden_scale=hidden_scale, y_scale=x_scale / config.ratio,
        error_bound_lsb=bound, requant_bits=bias_headroom(layers, (config.operand_bits - 1, config.logit_bits - 1)),
        prior=None if prior is None else (prior / elements - config.signed_zero_point) * x_scale,
        w1_step=block.w1_step, w2_step=block.w2_step)
