# SPDX-License-Identifier: Apache-2.0
"""Random legal blocks, with parameters: what a soak test builds and streams through.

Small ones, because building one takes far longer than streaming through it; but each form that decides something in the
hardware comes up: a beat a tile and thousands, one group a pixel and many, memories of one to three registers.
"""

import dataclasses
import functools

import numpy as np

from ...gen.wording import sizes, tiling
from ...golden.quantise import quantise_fixed_widths, quantise_within_error
from ...hdl.config import Config, ConfigError, Context, Gate, GateKind, Mid
from ...hdl.data_type import FEWEST_BITS, MOST_BITS, DataType
from ...hdl.formats import MOST_PRECISION
from ...hdl.sizing import choose_macs
from ...hdl.timing import Timing
from ..configurations import random_weights

__all__ = ["BlockWithSets", "draw"]

# Streams of random numbers that a seed and a number give; those of streaming.py begin after them.
SHAPE_STREAM = 1
# Cycles that a tile of k rows may take for each of its beats: more would be waiting for excite most of the time.
MOST_CYCLES = 60
# Beats of a tile, and multipliers, that are still built and run in a few seconds.
MOST_WORDS, MOST_MACS = 4000, 24
# How often tiles that stand side by side come, and otherwise each context: tiles of full rows come in more forms.
PATCHES = 0.16
# The share of blocks whose weights have given steps.
STEPS = 0.2
CONTEXTS = {Context.TILE: 0.4, Context.CUMULATIVE: 0.2, Context.CAUSAL: 0.2, Context.WINDOW: 0.2}
# What golden/quantise.py blames where no width keeps the error bound, and where other parameters need other widths.
ERROR, WIDTHS = "error_lsb", ("operand_bits", "hidden_frac", "segment_bits", "requant_bits", "multiplier_bits")
# Sets of parameters that a loadable block gets, and attempts to find one that keeps the first one's widths.
SETS, ATTEMPTS = 3, 6


@dataclasses.dataclass(frozen=True, eq=False)
class BlockWithSets:
    """A block to build, with sets of parameters.

    ``sets`` are the (Config, Parameters) that it may be loaded with, each with `config` but for the zero points and the
    ratio; for a baked block they are the one set that is baked in. ``redraws`` counts the blocks that were drawn before
    it for which no width keeps the error bound.
    """

    config: Config
    sets: tuple
    redraws: int = 0

    @functools.cached_property
    def row(self):
        """Beats of a row."""
        return self.config.width * self.config.groups

    def __str__(self):
        c = self.config
        slack = "auto" if c.slack is None else c.slack
        data = f"{c.data} about {c.zero_point}"
        if c.requantised:
            data += f" to {c.outputs} about {c.outputs_zero_point}, ratio {c.ratio:g}"
        return (f"{sizes(c)} SLACK={slack} {c.mid.value} {c.gate}{' residual' if c.residual else ''} {data}, "
                f"{c.weight_bits}-bit weights, operands of {c.operand_bits} bits, multipliers of {c.multiplier_bits} "
                f"{'loadable' if c.loadable else 'baked'} {tiling(c)}".rstrip())


def draw(seed, number):
    """Block `number` of those that `seed` gives: always the same :class:`BlockWithSets`."""
    rng = np.random.default_rng([seed, number, SHAPE_STREAM])
    redraws = 0
    while True:
        try:
            block = _draw(rng)
        except ConfigError as error:
            if error.option != ERROR:
                # All shapes that are drawn are legal.
                raise
            redraws += 1
            continue
        if Timing(block.config).period(block.config.tile_words) <= MOST_CYCLES * block.config.tile_words:
            return dataclasses.replace(block, redraws=redraws)


def _draw(rng):
    geometry = _geometry(rng)
    functions = _functions(rng)
    config = Config(**geometry, **functions, **_numbers(rng, functions["residual"]), **_tiling(rng, geometry),
                    loadable=bool(rng.random() < 0.5),
                    slack=[None, 0, int(rng.integers(1, 30))][rng.choice(3, p=(0.5, 0.25, 0.25))])
    x_scale = float(2.0 ** (rng.uniform(0, 10) - config.data.bits))
    # Wider formats, narrower ones, and those that have no room to spare.
    least, error = config.data.bits + int(rng.choice([2, 2, 6, 14])), float(rng.choice([1, 1, 1, 4]))
    if config.loadable:
        least = max(least, config.data.bits + 10)
    config, numbers = quantise_within_error(config, _weights(rng, config, x_scale), x_scale, error, least)
    config = dataclasses.replace(config, macs=_macs(rng, config))
    sets = [(config, numbers.parameters)]
    while config.loadable and len(sets) < SETS:
        other = _other(rng, config, x_scale, error)
        if other is None:
            break
        sets.append(other)
    return BlockWithSets(config, tuple(sets))


def _geometry(rng):
    """k, width, channels, squeeze, lanes."""
    lanes, groups, squeeze = (int(rng.choice(choices)) for choices in (
        (1, 1, 2, 2, 3, 4, 4, 5, 7, 8), (1, 1, 2, 3, 4, 5, 6, 8, 11, 16), (1, 1, 2, 3, 4, 5, 7, 9, 16)))
    k = int(rng.choice([1, 1, 2, 3, 3, 4, 5, 7, 8, 13, 40]))
    width = int(rng.choice([1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 25, 33]))
    form = rng.random()
    if form < 0.06:
        # Every memory of sums, gates and records has three registers.
        k, width, lanes, groups, squeeze = 1, int(rng.integers(1, 4)), 1, int(rng.integers(513, 640)), 2
    elif form < 0.12:
        k, width, squeeze = 3, int(rng.choice([7, 40])), int(rng.integers(513, 600))
    elif form < 0.2:
        # Two registers.
        lanes, groups, squeeze = 1, int(rng.integers(33, 70)), int(rng.integers(20, 70))
    elif form < 0.25:
        # A beat a tile, or a few.
        k, width, groups = int(rng.integers(1, 3)), int(rng.integers(1, 3)), 1
    elif form < 0.35:
        # A deep tile buffer.
        k, width = int(rng.integers(3, 20)), int(rng.integers(20, 80))
    k = max(1, min(k, MOST_WORDS // (width * groups)))
    return {"k": k, "width": width, "channels": lanes * groups, "squeeze": squeeze, "lanes": lanes}


def _functions(rng):
    """mid, gate, residual."""
    hard = Gate(GateKind.HARDSIGMOID, float(rng.choice([1 / 6, 0.2, rng.uniform(0.05, 1)])),
                float(rng.choice([0.5, rng.uniform(0, 1)])))
    tabulated = [Gate(kind) for kind in GateKind if kind.table]
    return {"mid": list(Mid)[rng.integers(len(Mid))],
            "gate": hard if rng.random() < 0.4 else tabulated[rng.integers(len(tabulated))],
            "residual": bool(rng.random() < 0.3)}


def _numbers(rng, residual):
    """data, zero_point, weight_bits; y_data, y_zero_point, y_ratio of half of the blocks."""
    data, zero_point = _integers(rng)
    numbers = {"data": data, "zero_point": zero_point, "weight_bits": int(rng.choice([8, 8, 8, rng.integers(2, 8)]))}
    if rng.random() < 0.5:
        return numbers
    y_data, y_zero_point = _integers(rng)
    # Outputs about as wide as their range, so that some of them saturate.
    ratio = float(2.0 ** (y_data.bits - data.bits + rng.uniform(-2, 1)))
    return numbers | {"y_data": y_data, "y_zero_point": y_zero_point,
                      "y_ratio": min(ratio, 2.0 ** (MOST_PRECISION - data.bits - residual))}


def _integers(rng):
    """A DataType, of 8 bits in half of the blocks, and a zero point."""
    bits = 8 if rng.random() < 0.5 else int(rng.integers(FEWEST_BITS, MOST_BITS + 1))
    data = DataType(bits, signed=bool(rng.random() < 0.6))
    middle = data.low + (data.steps + 1) // 2
    return data, int(rng.choice([data.low, middle, data.high, rng.integers(data.low, data.high + 1)]))


def _tiling(rng, geometry):
    """tile_width, or context and what belongs to it; a window ends after about as many rows as a tile has."""
    k, width = geometry["k"], geometry["width"]
    if rng.random() < PATCHES and width > 1:
        return {"tile_width": int(rng.integers(1, width))}
    context = list(CONTEXTS)[rng.choice(len(CONTEXTS), p=list(CONTEXTS.values()))]
    if context is Context.WINDOW:
        first = int(rng.choice([0, rng.integers(3), rng.integers(k)]))
        return {"context": context, "window": (first, max(1, k - first))}
    if not context.running:
        return {}
    # Few rows that count, so that frames have more.
    return {"context": context, "prior_rows": int(rng.choice([context is Context.CAUSAL, 1, 2, 3, 8])),
            "max_rows": int(rng.choice([4096, 4096, rng.integers(1, 13)]))}


def _weights(rng, config, x_scale, loudest=12.0):
    """A FloatBlock with a random gain, and a prior if the block has one; some have integers with given steps."""
    block = random_weights(rng, config, float(np.exp(rng.uniform(np.log(0.3), np.log(loudest)))), x_scale)
    return _with_steps(rng, block, config) if rng.random() < STEPS else block


def _with_steps(rng, block, config):
    """The block with its weights rounded to steps for each output; some rows have nothing but the least integer."""
    arrays = {}
    for name in ("w1", "w2"):
        weight = getattr(block, name)
        steps = abs(weight).max(axis=1) / config.largest_weight * rng.uniform(1, 1.5, len(weight))
        integers = np.clip(np.rint(weight / steps[:, None]), config.least_weight, config.largest_weight)
        integers[rng.random(len(weight)) < 0.2] = config.least_weight
        arrays |= {name: integers * steps[:, None], f"{name}_step": steps}
    return dataclasses.replace(block, **arrays)


def _macs(rng, config):
    """Multipliers: few, many, more than there are channels, or what MACS=auto takes."""
    most = max(config.channels, config.squeeze)
    chosen = rng.choice(["auto", "few", "any", "all", "more"])
    if chosen == "auto" and most <= 64:
        return min(choose_macs(config, 0.05), MOST_MACS)
    numbers = {"few": int(rng.integers(1, 4)), "all": config.channels, "more": most + int(rng.integers(1, 4))}
    return min(numbers.get(chosen) or int(rng.integers(1, most + 1)), MOST_MACS)


def _other(rng, config, x_scale, error):
    """Other parameters, for other zero points and another ratio, that `config`'s widths hold; None: none was found."""
    loudest = 12.0
    for _ in range(ATTEMPTS):
        numbers = {"zero_point": int(rng.integers(config.data.low, config.data.high + 1))}
        if config.requantised:
            numbers["y_zero_point"] = int(rng.integers(config.outputs.low, config.outputs.high + 1))
        if config.rescales:
            # Any that the hardware takes, most often about the largest; or the usual one.
            most, usual = config.largest_ratio, 0.5 if config.residual else 1.0
            ratio = max(most * 2.0 ** -rng.exponential(1), config.ratio_limits[0])
            numbers |= {"max_ratio": most, "y_ratio": usual if usual <= most and rng.random() < 0.3 else ratio}
        other = dataclasses.replace(config, **numbers)
        try:
            block = _weights(rng, other, x_scale, loudest)
            return other, quantise_fixed_widths(other, block, x_scale, error).parameters
        except ConfigError as refused:
            if refused.option not in (ERROR, *WIDTHS):
                raise
            # They need wider formats, or wider ones than there are.
            loudest = max(loudest / 2, 0.4)
    return None
