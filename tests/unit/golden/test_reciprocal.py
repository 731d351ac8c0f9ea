# SPDX-License-Identifier: Apache-2.0
"""Numbers of elements, and the factors that turn sums of so many into means: golden model, hardware, error budget."""

import dataclasses
import fractions
import math

import numpy as np
import pytest
import torch

from tiled_se.golden import budget, stages
from tiled_se.golden.reciprocal import element_counts, reciprocal
from tiled_se.golden.stages import elements
from tiled_se.hdl.config import Config, Context, DataType

TILINGS = {
    "strips": dict(k=7),
    "tall strips": dict(k=700),
    "patches": dict(k=5, tile_width=7),
    # 709 * 741 elements are 2 * 491 * 535 - 1, so that R would round to a power of two of one bit more.
    "patches, almost halved": dict(k=709, width=741 + 535, tile_width=741),
    "patches of a column": dict(k=24, tile_width=1),
    "cumulative": dict(k=1, context=Context.CUMULATIVE),
    "cumulative, prior": dict(k=3, context=Context.CUMULATIVE, prior_rows=3, max_rows=130),
    "cumulative, two rows": dict(k=3, context=Context.CUMULATIVE, max_rows=2),
    "causal": dict(k=1, context=Context.CAUSAL, prior_rows=1, max_rows=600),
    "causal, long prior": dict(k=2, context=Context.CAUSAL, prior_rows=65, max_rows=5),
    "window": dict(k=1, context=Context.WINDOW, window=(4, 13)),
}


def config_of(tiling, **more):
    return Config(**{"width": 20, "channels": 1, "squeeze": 1} | tiling | more)


@pytest.mark.parametrize("name", TILINGS)
def test_counts(name):
    """The numbers of elements that frames of all heights have; between causal tiles of several rows a few more."""
    config = config_of(TILINGS[name])
    heights = [*range(1, max(200, config.k + 1)), 4096]
    seen = set().union(*(elements(height, config).tolist() for height in heights))
    counts = element_counts(config).tolist()
    assert counts == sorted(set(counts))
    if name == "causal, long prior":
        assert [count // 20 for count in sorted(seen)] == [65, 67, 69, 70]
        assert counts == [20 * rows for rows in range(65, 71)]
    else:
        assert counts == sorted(seen)


@pytest.mark.parametrize("operand_bits", [10, 18, 19, 27])
@pytest.mark.parametrize("name", TILINGS)
def test_reciprocal(name, operand_bits):
    """As `Config.reciprocal`, for every number of elements: to nearest, and of full length."""
    config = config_of(TILINGS[name], operand_bits=operand_bits)
    counts = element_counts(config)
    full = fractions.Fraction(config.scale_rows * config.columns) * fractions.Fraction(2)**config.mean_frac
    for count, value, q in zip(counts.tolist(), *(part.tolist() for part in reciprocal(config, counts)), strict=True):
        assert value.bit_length() == config.reciprocal_bits
        assert abs(full / count - fractions.Fraction(value, 1 << q)) <= fractions.Fraction(1, 1 << (q + 1))
        for columns in {config.columns, config.last_columns}:
            if count % columns == 0 and count // columns <= config.most_rows:
                assert (value, q) == config.reciprocal(count // columns, columns)


def test_running_reciprocal_is_a_division():
    """One rule for any number of rows, which a serial divider computes: no table, no exception."""
    config = config_of(TILINGS["cumulative"], operand_bits=21)
    assert config.scale_rows == 4096
    for rows in (*range(1, 70), 1023, 1024, 1025, 4095, 4096):
        b = (rows - 1).bit_length()
        value, q = reciprocal(config, rows * config.columns)
        assert value == round(fractions.Fraction(1 << (22 + b), rows))
        assert q == 22 + b - 12 - config.mean_frac


@pytest.mark.parametrize("operand_bits", [10, 18, 21])
@pytest.mark.parametrize("name", TILINGS)
def test_mean_error(name, operand_bits):
    """Over sums of every number of elements: within the bound, not much under it; within the box, reaching its ends."""
    config = config_of(TILINGS[name], operand_bits=operand_bits)
    rng = np.random.default_rng(operand_bits)
    worst, low, high = 0.0, 0, 0
    counts = element_counts(config)
    for count, value, q in zip(counts.tolist(), *(part.tolist() for part in reciprocal(config, counts)), strict=True):
        total = np.concatenate([np.arange(-128 * count, -128 * count + 99), rng.integers(-128 * count, 127 * count, 99),
                                np.arange(127 * count - 98, 127 * count + 1)])
        total = total[(-128 * count <= total) & (total <= 127 * count)]
        means = (total * value + (1 << (q - 1))) >> q
        exact = total * (config.scale_rows * config.columns / count) * 2.0**config.mean_frac
        worst = max(worst, np.abs(means - exact).max())
        low, high = min(low, means.min()), max(high, means.max())
    assert budget.mean_box(config) == (low, high)
    assert -1 << (operand_bits - 1) <= low
    assert high < 1 << (operand_bits - 1)
    bound = budget.mean_error(config)
    assert worst <= bound + 1e-9
    assert bound <= worst * 2 + 1e-9


@pytest.mark.parametrize("name", ["patches, almost halved", "cumulative", "causal, long prior"])
def test_wide_means(name):
    """Sums of 16-bit data times the longest reciprocals, which exceed int64, in fractions: within bound and box."""
    config = config_of(TILINGS[name], data=DataType(16))
    config = dataclasses.replace(config, operand_bits=config.most_operand_bits)
    assert config.sum_bits + config.reciprocal_bits > 64
    counts = np.unique(np.random.default_rng(1).choice(element_counts(config), 60))
    bound, (low, high) = budget.mean_error(config), budget.mean_box(config)
    for start, end in ((-32768, 1), (32767, -1)):
        totals = [int(count) * start + end * extra for count in counts for extra in (0, 1, 12345)]
        repeated = counts.repeat(3)
        means = stages.means(torch.tensor(totals)[None, :, None], repeated, config).flatten().tolist()
        assert low <= min(means)
        assert max(means) <= high
        for total, count, mean in zip(totals, repeated.tolist(), means, strict=True):
            value, q = (int(part) for part in reciprocal(config, count))
            product = fractions.Fraction(total * value, 1 << q)
            assert mean == math.floor(product + fractions.Fraction(1, 2))
            full = fractions.Fraction(config.scale_rows * config.columns, count)
            assert abs(mean - total * full * fractions.Fraction(2)**config.mean_frac) <= bound


def test_means_of_powers_of_two_are_exact():
    config = config_of(TILINGS["cumulative, two rows"], operand_bits=18)
    assert budget.mean_error(config) == 0
    assert budget.mean_error(dataclasses.replace(config, max_rows=3)) > 0


def test_most_rows_of_all():
    """The largest tables take no longer than a look at each number, and no number leaves int64."""
    rows = 1 << 16
    config = config_of(dict(k=1, context=Context.CAUSAL, prior_rows=rows, max_rows=rows), width=1, operand_bits=34)
    assert 0.5 < budget.mean_error(config) < 0.626
    assert budget.mean_box(config) == (-1 << 33, 127 << 26)
