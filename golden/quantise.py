# SPDX-License-Identifier: Apache-2.0
"""Quantisation of float weights within an error bound, and the choice of the widths that the bound needs."""

import contextlib
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn

from ..hdl.config import (
    FEWEST_MULTIPLIER_BITS,
    GUARD_BITS,
    MAX_REQUANT_BITS,
    MOST_MULTIPLIER_BITS,
    MULTIPLIER_OPERAND,
    Config,
    ConfigError,
)
from ..hdl.latency import limbs
from . import budget
from .block import FloatBlock
from .hidden import largest_frac
from .quantised import Quantised, attempt, check
from .scales import TooLarge

__all__ = ["Quantised", "quantise_fixed_widths", "quantise_within_error"]

# By how many bits operands may be wider so that a multiplier takes one DSP block.
WIDER = 3
# The widths that the bound depends on.
WIDTHS = ("operand_bits", "hidden_frac", "segment_bits", "multiplier_bits")


def _formats(config: Config, block: FloatBlock, x_scale: float) -> Iterator[Config]:
    """`config` with each ``hidden_frac`` that may hold the range, the finest first."""
    if not config.mid.tabulated:
        yield dataclasses.replace(config, hidden_frac=0)
        return
    finest = min(config.operand_bits - 1, config.most_hidden_frac, largest_frac(config, block, x_scale))
    for frac in range(finest, 1, -1):
        yield dataclasses.replace(config, hidden_frac=frac)


def _finest(config: Config, block: FloatBlock, x_scale: float, tight: bool) -> Quantised | None:
    """`attempt` with the finest hidden vector that ``operand_bits`` allows and an exact mid; None if there is none."""
    for candidate in _formats(config, block, x_scale):
        try:
            return attempt(candidate, block, x_scale, tight, exact_mid=True)
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
            tight: bool, fewest_bits: bool = True) -> Quantised | None:
    """The smallest ``operand_bits``, from `least_bits` on, that keep the bound, then the least multipliers and table.

    Without `fewest_bits`, multipliers that take several DSP blocks are replaced by those of one, if operands that are a
    little wider, and take no more blocks, keep the bound with them.
    Returns the `Quantised` (with the widest ``requant_bits``), else the one with the lowest bound, or None.
    """
    least, choices = max(least_bits, config.data.bits + 2), _multipliers(config, block)
    result = _narrowest(choices, range(least, config.most_operand_bits + 1), block, x_scale, error_lsb, tight)
    if fewest_bits or result is None or result.error_bound_lsb > error_lsb \
            or result.config.multiplier_bits <= MULTIPLIER_OPERAND:
        return result
    bits = result.config.operand_bits
    wider = [more for more in range(bits + 1, min(bits + WIDER, config.most_operand_bits) + 1)
             if limbs(more) == limbs(bits)]
    # None of them without given steps: the multipliers of `config` are kept.
    narrow = [choice for choice in choices if choice.multiplier_bits <= MULTIPLIER_OPERAND]
    other = _narrowest(narrow, wider, block, x_scale, error_lsb, tight) if narrow else None
    return other if other and other.error_bound_lsb <= error_lsb else result


def _narrowest(choices: Sequence[Config], widths: Iterable[int], block: FloatBlock, x_scale: float, error_lsb: float,
               tight: bool) -> Quantised | None:
    """`_search` among the ``operand_bits`` `widths`, with the multipliers of `choices`, the least first."""
    nearest, config = None, choices[0]
    for bits in widths:
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
        results.append(attempt(dataclasses.replace(config, segment_bits=segment_bits), block, result.x_scale, tight))
        if results[-1].error_bound_lsb <= error_lsb:
            break
    return min(results, key=lambda one: one.error_bound_lsb)


def quantise_within_error(config: Config, block: FloatBlock, x_scale: float, error_lsb: float = 1.0,
                          least_bits: int = 0, fewest_bits: bool = False) -> tuple[Config, Quantised]:
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
    fewest_bits : bool
        No operand is wider than these parameters need. Otherwise the widths of a block that ``rescales`` are those of
        its ``largest_ratio``, if there are any, so that these weights fit with every other ratio; and operands of a
        baked block may be wider so that multipliers are narrower, if weights have steps.
    """
    check(config, block, x_scale)
    if config.rescales and not fewest_bits:
        # What a factor's rounding adds is kept free: that of the largest ratio is exact.
        with contextlib.suppress(ConfigError):
            widest, error = config.with_ratio(config.largest_ratio), error_lsb - budget.factor_rounding(config)
            fitted, _ = quantise_within_error(widest, block, x_scale, error, least_bits, fewest_bits=True)
            fitted = fitted.with_ratio(config.ratio)
            return fitted, quantise_fixed_widths(fitted, block, x_scale, error_lsb)
    if config.loadable:
        config = dataclasses.replace(config, shifts=Config.shifts)
    result = _search(config, block, x_scale, error_lsb, least_bits, not config.loadable, fewest_bits or config.loadable)
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
    """Raise ConfigError that names the fewest widths which keep the bound; `reached` says what `config` gives."""
    wider = _search(config, block, x_scale, error_lsb, config.operand_bits, tight=False)
    if wider is None or wider.error_bound_lsb > error_lsb:
        raise ConfigError("error_lsb", error_lsb, f"no widths keep this for these parameters ({reached})")
    to_keep = f"to keep {error_lsb:g} LSB ({reached})"
    own = [name for name in WIDTHS if getattr(wider.config, name) != getattr(config, name)]
    if not own:
        raise ConfigError("shifts", config.shifts, f"must be {wider.config.shifts} {to_keep}")
    choices = (names for size in range(1, len(own)) for names in itertools.combinations(own, size))
    names = next((names for names in choices if _keeps(config, wider.config, names, block, x_scale, error_lsb)), own)
    first, *others = ((name, getattr(config, name), getattr(wider.config, name)) for name in names)
    more = "".join(f" and {name} {_limit(value, needed)}" for name, value, needed in others)
    raise ConfigError(*first[:2], f"must be {_limit(*first[1:])}{more} {to_keep}")


def _limit(value: int, needed: int) -> str:
    return f"at {'least' if needed > value else 'most'} {needed}"


def _keeps(config: Config, wider: Config, names: Sequence[str], block: FloatBlock, x_scale: float,
           error_lsb: float) -> bool:
    """Whether `config` keeps the bound if these of its fields are as in `wider`, and shifts are as multipliers."""
    fields = [*names, "shifts"] if "multiplier_bits" in names else names
    with contextlib.suppress(ConfigError):
        changed = dataclasses.replace(config, **{name: getattr(wider, name) for name in fields})
        return attempt(changed, block, x_scale).error_bound_lsb <= error_lsb
    return False


def quantise_fixed_widths(config: Config, block: FloatBlock, x_scale: float, error_lsb: float = 1.0) -> Quantised:
    """Quantise a block for the widths and shifts that `config` has.

    Parameters are those of `quantise_within_error`; returns a `Quantised` with `config` itself. Raises ConfigError,
    naming the option and the width that it needs, if the error bound exceeds `error_lsb` or a bias does not fit.
    """
    check(config, block, x_scale)
    try:
        result = attempt(config, block, x_scale)
    except TooLarge as error:
        _require_width(config, block, x_scale, error_lsb, str(error))
    if result.error_bound_lsb > error_lsb:
        _require_width(config, block, x_scale, error_lsb, f"now {result.error_bound_lsb:.3f}")
    if result.requant_bits > config.requant_bits:
        raise ConfigError("requant_bits", config.requant_bits,
                          f"must be at least {result.requant_bits} for these parameters")
    result.parameters.validate(config)
    return result
