# SPDX-License-Identifier: Apache-2.0
"""Quantisation of float weights within an error bound, and the choice of the widths that the bound needs."""

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import NoReturn

import numpy as np

from ..hdl.config import (
    FEWEST_MULTIPLIER_BITS,
    GUARD_BITS,
    MAX_REQUANT_BITS,
    MOST_MULTIPLIER_BITS,
    Config,
    ConfigError,
)
from ..hdl.parameters import Parameters
from . import budget
from .block import FloatBlock, check_scale
from .hidden import hidden_layer, hidden_range, largest_frac
from .scales import Shifts, TooLarge, bias_headroom, factor, fold, layer_units, logit_scale, quantise_layer, x_range

__all__ = ["Quantised", "quantise_fixed_widths", "quantise_within_error"]


@dataclasses.dataclass(frozen=True, eq=False)
class Quantised:
    """A quantised block: its integers, the ``config`` that they are for, and their real values.

    ``w1`` (CR, C), ``b1`` (CR), ``w2`` (C, CR), ``b2`` (C) and ``prior`` (C) are the real values that the integers
    stand for, in float64 (docs/design.md, "Scales"): those of the float block for a layer whose weights were given with
    steps; ``prior`` is None if the block has no imaginary rows. ``x_scale``,
    ``hidden_scale`` and ``y_scale`` are the real values of a step of the data, of the hidden vector, and of the
    outputs. ``error_bound_lsb`` is an upper bound of ``|y_q - clamp(y_zero + y_real / y_scale)|`` for every input and
    every number of rows; the clamp is to the range of ``config.outputs``. ``requant_bits`` is the least that these
    parameters need; ``config.requant_bits`` is at least this.
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


def _check(config: Config, block: FloatBlock, x_scale: float) -> None:
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


def _attempt(config: Config, block: FloatBlock, x_scale: float, tight: bool = False,
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
    """`_attempt` with given `shifts` for each layer; None asks for the shortest list."""
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
        prior=None if prior is None else (prior / elements - config.signed_zero_point) * x_scale)


def _formats(config: Config, block: FloatBlock, x_scale: float) -> Iterator[Config]:
    """`config` with each ``hidden_frac`` that may hold the range, the finest first."""
    if not config.mid.tabulated:
        yield dataclasses.replace(config, hidden_frac=0)
        return
    finest = min(config.operand_bits - 1, config.most_hidden_frac, largest_frac(config, block, x_scale))
    for frac in range(finest, 1, -1):
        yield dataclasses.replace(config, hidden_frac=frac)


def _finest(config: Config, block: FloatBlock, x_scale: float, tight: bool) -> Quantised | None:
    """`_attempt` with the finest hidden vector that ``operand_bits`` allows and an exact mid; None if there is none."""
    for candidate in _formats(config, block, x_scale):
        try:
            return _attempt(candidate, block, x_scale, tight, exact_mid=True)
        except ConfigError:
            continue
    return None


def _multipliers(config: Config, block: FloatBlock) -> list[Config]:
    """`config` with each width of requantisation multipliers to try, the least first.

    Those of the quantiser's own steps are exact with any width. The relative error of a given step, times 2**P for a
    ``precision`` of P bits, is some of an output's error in steps. A loadable block has room for other steps: it gets
    P + 16 bits, or the most, and shifts with which 4 of them are lost at most.
    """
    if block.w1_step is None and block.w2_step is None:
        return [config]
    if not config.loadable:
        return [dataclasses.replace(config, multiplier_bits=bits)
                for bits in range(FEWEST_MULTIPLIER_BITS, MOST_MULTIPLIER_BITS + 1, 2)]
    # For ratios from 2**16 down; those that take other shifts than these are too small to matter.
    return [dataclasses.replace(config, multiplier_bits=bits, shifts=(tuple(range(bits - 16, bits + 20, 5)),) * 2)
            for bits in sorted({min(config.precision + 16, MOST_MULTIPLIER_BITS), MOST_MULTIPLIER_BITS})]


def _search(config: Config, block: FloatBlock, x_scale: float, error_lsb: float, least_bits: int,
            tight: bool) -> Quantised | None:
    """The smallest ``operand_bits``, from `least_bits` on, that keep the bound, then the least multipliers and table.

    Returns the `Quantised` (with the widest ``requant_bits``), else the one with the lowest bound, or None.
    """
    nearest, choices = None, _multipliers(config, block)
    for bits in range(max(least_bits, config.data.bits + 2), config.most_operand_bits + 1):
        # Legal ones for now; `_finest` and `_with_table` replace them.
        frac, segment_bits = (2, 1) if config.mid.tabulated else (config.hidden_frac, config.segment_bits)
        *narrower, widened = (dataclasses.replace(choice, operand_bits=bits, requant_bits=MAX_REQUANT_BITS,
                                                  hidden_frac=frac, segment_bits=segment_bits) for choice in choices)
        result = _finest(widened, block, x_scale, tight)
        if result and result.error_bound_lsb <= error_lsb:
            # Costs the tables, and narrower multipliers, only at widths that exact ones would allow.
            for candidate in itertools.chain((_finest(one, block, x_scale, tight) for one in narrower), [result]):
                if candidate and candidate.error_bound_lsb <= error_lsb:
                    result = _with_table(candidate, block, error_lsb, tight)
                    if result.error_bound_lsb <= error_lsb:
                        return result
        if result and (nearest is None or result.error_bound_lsb < nearest.error_bound_lsb):
            nearest = result
    return nearest and _with_table(nearest, block, error_lsb, tight)


def _with_table(result: Quantised, block: FloatBlock, error_lsb: float, tight: bool) -> Quantised:
    """`result`, with the smallest table of its mid that keeps the bound, else with the most exact one."""
    if not result.config.mid.tabulated:
        return result
    config = result.config
    # More segments are not always better: in short segments the evaluation's floors outweigh the closer fit.
    results = []
    for segment_bits in range(1, min(config.most_segment_bits, config.hidden_frac - 1) + 1):
        results.append(_attempt(dataclasses.replace(config, segment_bits=segment_bits), block, result.x_scale, tight))
        if results[-1].error_bound_lsb <= error_lsb:
            break
    return min(results, key=lambda one: one.error_bound_lsb)


def quantise_within_error(config: Config, block: FloatBlock, x_scale: float, error_lsb: float = 1.0,
                          least_bits: int = 0, every_ratio: bool = True) -> tuple[Config, Quantised]:
    """Choose the smallest widths that keep the error bound, and quantise a block for them.

    Parameters
    ----------
    config : Config
        Its widths (``operand_bits``, ``hidden_frac``, ``segment_bits``, ``requant_bits``) and ``shifts`` are replaced,
        and ``multiplier_bits`` where weights have steps. A loadable block keeps the general shifts and at least the
        default ``requant_bits``: others must fit.
    block : FloatBlock
    x_scale : float
        Real value of one step of the data.
    error_lsb, least_bits : float, int
        The largest ``error_bound_lsb`` and the smallest ``operand_bits`` allowed, which are two more than the data have
        at least. Raises ConfigError if no legal width keeps the bound.
    every_ratio : bool
        The widths of a block that ``rescales`` are those of its ``largest_ratio``, if there are any, so that these
        weights fit with every other ratio.
    """
    _check(config, block, x_scale)
    if config.rescales and every_ratio:
        # What a factor's rounding adds is kept free: that of the largest ratio is exact.
        with contextlib.suppress(ConfigError):
            widest, error = config.with_ratio(config.largest_ratio), error_lsb - budget.factor_rounding(config)
            fitted, _ = quantise_within_error(widest, block, x_scale, error, least_bits, every_ratio=False)
            fitted = fitted.with_ratio(config.ratio)
            return fitted, quantise_fixed_widths(fitted, block, x_scale, error_lsb)
    if config.loadable:
        config = dataclasses.replace(config, shifts=Config.shifts)
    result = _search(config, block, x_scale, error_lsb, least_bits, tight=not config.loadable)
    if result is None or result.error_bound_lsb > error_lsb:
        raise ConfigError("error_lsb", error_lsb, f"no operand width up to {config.most_operand_bits} bits keeps this "
                                                  f"for these parameters; {_reached(result)}")
    requant_bits = max(result.requant_bits, result.config.least_requant_bits)
    if config.loadable:
        requant_bits = max(requant_bits, result.config.operand_bits + GUARD_BITS + 3, config.default_requant_bits)
    fitted = dataclasses.replace(result.config, requant_bits=requant_bits)
    result.parameters.validate(fitted)
    return fitted, dataclasses.replace(result, config=fitted)


def _reached(result: Quantised | None) -> str:
    """The bound of the `result` that comes closest, and what of it has the most bits: a mid's grid, multipliers."""
    if result is None:
        return "their range has no format"
    config = result.config
    most = []
    if config.mid.tabulated and config.hidden_frac == config.most_hidden_frac:
        most.append(f"hidden values of {config.hidden_frac} fractional bits, the most of mid={config.mid.value}")
    if config.multiplier_bits == MOST_MULTIPLIER_BITS:
        most.append(f"multipliers of {config.multiplier_bits} bits, the most, for the given steps of the weights")
    limits = f", with {' and '.join(most)}" if most else ""
    return f"the lowest bound reached is {result.error_bound_lsb:.3f}{limits}"


def _require_width(config: Config, block: FloatBlock, x_scale: float, error_lsb: float, reached: str) -> NoReturn:
    """Raise ConfigError that names the width which keeps the bound; `reached` says what `config` gives."""
    wider = _search(config, block, x_scale, error_lsb, config.operand_bits, tight=False)
    if wider is None or wider.error_bound_lsb > error_lsb:
        raise ConfigError("operand_bits", config.operand_bits,
                          f"no width keeps {error_lsb:g} LSB for these parameters ({reached})")
    option = next((name for name in ("operand_bits", "hidden_frac", "segment_bits", "multiplier_bits")
                   if getattr(wider.config, name) != getattr(config, name)), None)
    if option is None:
        raise ConfigError("shifts", config.shifts, f"must be {wider.config.shifts} to keep {error_lsb:g} LSB "
                                                   f"({reached})")
    value, needed = getattr(config, option), getattr(wider.config, option)
    raise ConfigError(option, value, f"must be at {'least' if needed > value else 'most'} {needed} "
                                     f"to keep {error_lsb:g} LSB ({reached})")


def quantise_fixed_widths(config: Config, block: FloatBlock, x_scale: float, error_lsb: float = 1.0) -> Quantised:
    """Quantise a block for the widths and shifts that `config` has.

    Parameters are those of `quantise_within_error`; returns a `Quantised` with `config` itself. Raises ConfigError,
    naming the option and the width that it needs, if the error bound exceeds `error_lsb` or a bias does not fit.
    """
    _check(config, block, x_scale)
    try:
        result = _attempt(config, block, x_scale)
    except TooLarge as error:
        _require_width(config, block, x_scale, error_lsb, str(error))
    if result.error_bound_lsb > error_lsb:
        _require_width(config, block, x_scale, error_lsb, f"now {result.error_bound_lsb:.3f}")
    if result.requant_bits > config.requant_bits:
        raise ConfigError("requant_bits", config.requant_bits,
                          f"must be at least {result.requant_bits} for these parameters")
    result.parameters.validate(config)
    return result
