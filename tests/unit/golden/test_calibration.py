# SPDX-License-Identifier: Apache-2.0
"""Data formats chosen from samples, beside their definitions on the samples themselves."""

import numpy as np
import pytest
import torch

from tiled_se.golden import DataFormat, Histogram, RangeMethod, calibrate
from tiled_se.golden.calibration import BINS, held_out
from tiled_se.hdl.config import ConfigError, DataType

MIN_MAX, PERCENTILE, MSE = map(RangeMethod.parse, ("min-max", "percentile", "mse"))
TYPES = [DataType(8), DataType(8, signed=False), DataType(4), DataType(2), DataType(12), DataType(16, signed=False)]


def normal(count, seed=0, low=-np.inf):
    """Arrays of normal numbers, those under `low` cut."""
    rng = np.random.default_rng(seed)
    return [np.maximum(rng.normal(0.5, 2, (5, 6, 40)), low).astype(np.float32) for _ in range(count)]


def with_outliers(count, seed=0, low=-np.inf, size=150.0):
    """The same with two numbers in a thousand that are far outside."""
    samples = normal(count, seed, low)
    for index, sample in enumerate(samples):
        at = np.random.default_rng(index).choice(sample.size, sample.size // 1000 * 2, replace=False)
        sample.reshape(-1)[at] = size * np.random.default_rng(index).uniform(0.2, 1, len(at))
    return samples


def rounded(x, form):
    """The real values of the nearest integers, and which of them are outside of their type."""
    steps = np.floor(x.astype(np.float64) / form.scale + 0.5) + form.zero_point
    return (np.clip(steps, form.data.low, form.data.high) - form.zero_point) * form.scale, \
        (steps < form.data.low) | (steps > form.data.high)


def sqnr(x, form):
    x = x.astype(np.float64)
    return 10 * np.log10(np.sum(x * x) / np.sum((rounded(x, form)[0] - x)**2))


def histogram(samples):
    found = Histogram()
    for sample in samples:
        found.add(sample)
    return found


@pytest.mark.parametrize("data", TYPES, ids=str)
@pytest.mark.parametrize("low", [-np.inf, 0.0])
def test_min_max(data, low):
    """The ends of all samples, as they are."""
    samples = with_outliers(5, low=low)
    everything = np.concatenate(samples)
    expected = DataFormat.calibrate(everything.min(), everything.max(), data)
    assert histogram(samples).format(MIN_MAX, data) == expected
    chosen = calibrate(samples, data, MIN_MAX)
    assert (chosen.format, chosen.method, chosen.fits[MIN_MAX].clipped) == (expected, MIN_MAX, 0)


@pytest.mark.parametrize("method", [MIN_MAX, PERCENTILE, MSE], ids=str)
@pytest.mark.parametrize("zero_point", [None, 3])
def test_nothing_but_zeros_and_one_number(method, zero_point):
    for numbers in ([], [[0, 0]]):
        zeros = DataFormat.calibrate(0, 0, zero_point=zero_point)
        assert histogram(numbers).format(method, zero_point=zero_point) == zeros
    for number in (5e-324, 1e-30, 3.0):
        form = histogram([[0, number]]).format(method, zero_point=zero_point)
        assert form.scale <= DataFormat.calibrate(0, number, zero_point=zero_point).scale
        assert form.dequantise(form.quantise(number)) == pytest.approx(number, rel=0.05, abs=2.0**-40)


@pytest.mark.parametrize("percentile", [60.0, 90.0, 99.0, 99.9, 100.0])
@pytest.mark.parametrize("low", [-np.inf, 0.0])
def test_percentile(percentile, low):
    """Half of the rest is beyond each end, but for a bin, and for zeros below the lower one."""
    samples = with_outliers(8, low=low)
    everything, method = np.concatenate(samples), RangeMethod.parse(f"percentile:{percentile}")
    form, margin = histogram(samples).format(method, DataType(16)), 256 / BINS
    first, last = form.dequantise([form.data.low, form.data.high])
    rest = (100 - percentile) / 200 * everything.size
    assert (everything > last + margin).sum() - 1 <= rest <= (everything > last - margin).sum() + 1
    assert (everything < first - margin).sum() - 1 <= rest
    assert rest <= (everything < first + margin).sum() + 1
    clipped = calibrate(samples, DataType(16), method).fits[method].clipped * everything.size
    assert clipped == rounded(everything, form)[1].sum()
    assert clipped == pytest.approx(rest if low == 0 else 2 * rest, rel=0.02, abs=2)


@pytest.mark.parametrize("data", TYPES, ids=str)
@pytest.mark.parametrize("low", [-np.inf, 0.0])
@pytest.mark.parametrize("make", [normal, with_outliers])
def test_mse(make, low, data):
    """No other pair of ends has much less error on the samples themselves."""
    samples = make(4, low=low)
    everything = np.concatenate(samples)
    parts = np.geomspace(1, 1 / 200, 60)
    best = max(sqnr(everything, DataFormat.calibrate(everything.min() * first, everything.max() * second, data))
               for second in parts for first in (parts[:30] if low < 0 else parts[:1]))
    form = histogram(samples).format(MSE, data)
    assert sqnr(everything, form) >= best - 0.1
    assert sqnr(everything, form) >= sqnr(everything, histogram(samples).format(MIN_MAX, data)) - 1e-6


def test_mse_of_steps_within_a_bin():
    """So many numbers that one outlier is not worth a wider step, though bins are wider than steps then."""
    bulk, outlier, times = np.random.default_rng(2).uniform(-0.4, 0.8, 1000), 400.0, 2**30
    counted = histogram([bulk])
    while counted.count < times * bulk.size:
        counted.merge(counted)
    counted.add([outlier])

    def noise(form):
        return times * ((rounded(bulk, form)[0] - bulk)**2).sum() + (rounded(np.array([outlier]), form)[0][0]
                                                                     - outlier)**2

    best = min(noise(DataFormat.calibrate(-0.4, high)) for high in np.geomspace(0.4, outlier, 300))
    assert noise(counted.format(MSE)) < 1.5 * best < 0.01 * noise(counted.format(MIN_MAX))


def test_outliers():
    """Both clip, which gains much at 4 bits; the figures are those of the samples."""
    samples = with_outliers(8, size=40.0)
    everything = np.concatenate(samples)
    found = calibrate(samples, DataType(4), RangeMethod.parse("percentile:99"))
    assert [str(method) for method in found.fits] == ["min-max", "percentile:99.0", "mse"]
    widest, *narrower = found.fits.values()
    assert (widest.clipped, found.format) == (0, narrower[0].format)
    for fit in (widest, *narrower):
        assert fit.clipped == rounded(everything, fit.format)[1].mean()
        assert fit.sqnr_db == pytest.approx(sqnr(everything, fit.format), abs=1e-9)
    assert all(0.002 < fit.clipped < 0.011 for fit in narrower)
    # Each is better for what it is for.
    assert narrower[1].sqnr_db > max(widest.sqnr_db + 1, narrower[0].sqnr_db)
    bulk = everything[everything < 10]
    assert sqnr(bulk, narrower[0].format) > sqnr(bulk, narrower[1].format) > sqnr(bulk, widest.format) + 2


def test_held_out():
    assert [held_out(count) for count in range(6)] == [(), (), (1,), (2,), (3,), (0, 4)]
    assert held_out(16) == (3, 7, 11, 15)


@pytest.mark.parametrize(("samples", "expected"), [
    # All have outliers: holding these costs more than clipping them.
    (with_outliers(9, size=20.0), MSE),
    # Those that decide the range have none, those held out have: what reaches furthest is best.
    ([*normal(3), 30 * np.ones(3)], MIN_MAX),
    # The opposite, with so few that only those who do not weigh them clip them.
    ([*(np.append(np.tile(one, 100), 3000) for one in normal(3)), *normal(1)], PERCENTILE)])
def test_auto(samples, expected):
    """The method with the least error on what is held out of choosing the range; the format is from all samples."""
    found, data = calibrate(samples, DataType(4)), DataType(4)
    rest = histogram(sample for index, sample in enumerate(samples) if index not in found.held_out)
    errors = {method: sum(float(((rounded(samples[index], rest.format(method, data))[0] - samples[index])**2).sum())
                          for index in found.held_out) for method in (MIN_MAX, PERCENTILE, MSE)}
    assert found.method == min(errors, key=errors.get) == expected
    assert {method: fit.held_out.noise for method, fit in found.fits.items()} == pytest.approx(errors)
    assert found.format == histogram(samples).format(expected, data)
    assert found.figures["held_out"] == list(held_out(len(samples)))
    figures = found.figures["methods"][str(expected)]
    assert (figures["scale"], figures["zero_point"]) == (found.format.scale, found.format.zero_point)


def test_one_sample():
    """None can be held out."""
    found = calibrate(with_outliers(1), DataType(4))
    assert (found.method, found.held_out) == (MIN_MAX, ())
    assert [figures["held_out_sqnr_db"] for figures in found.figures["methods"].values()] == [None] * 3
    assert found.fits[MSE].sqnr_db > found.fits[MIN_MAX].sqnr_db


def test_error_of_what_is_computed():
    """Where outliers are all that counts afterwards, nothing is clipped."""
    samples = with_outliers(8, size=20.0)

    def largest(x, form, noise):
        noise.add(x[x > 5], rounded(x[x > 5], form)[0])

    assert calibrate(samples, DataType(4)).method == MSE
    assert calibrate(samples, DataType(4), error=largest).method == MIN_MAX


def test_order_and_parts_do_not_matter():
    """Numbers of all magnitudes; bins are merged."""
    samples = [np.random.default_rng(3).normal(size=50) * scale for scale in (1e-20, 1.0, 1e4, 3.0, 1e-3)]
    forward, backward, merged = histogram(samples), histogram(samples[::-1]), histogram(samples[:2])
    merged.merge(histogram(samples[2:]))
    for method in (MIN_MAX, PERCENTILE, MSE, RangeMethod.parse("percentile:70")):
        assert forward.format(method) == backward.format(method) == merged.format(method)


def test_tensors():
    samples = [torch.from_numpy(sample) for sample in normal(3)]
    assert calibrate(samples).format == calibrate(normal(3)).format


def test_what_is_not_finite():
    with pytest.raises(ConfigError, match="x=not finite: must hold finite numbers only"):
        calibrate([np.ones(3), np.array([1, np.inf])])


def test_zero_point():
    found = calibrate(with_outliers(8, size=20.0), DataType(8, signed=False), zero_point=100)
    assert {fit.format.zero_point for fit in found.fits.values()} == {100}
    assert found.fits[MSE].sqnr_db > found.fits[MIN_MAX].sqnr_db


@pytest.mark.parametrize("text", ["min-max", "mse", "percentile:99.99", "percentile:50.0", "percentile:100.0"])
def test_names(text):
    assert str(RangeMethod.parse(text)) == text
    assert RangeMethod.parse("percentile") == RangeMethod.parse("percentile:99.99")


@pytest.mark.parametrize("text", ["", "minmax", "mse:3", "percentile:", "percentile:49", "percentile:100.1",
                                  "percentile:1e2", "percentile:nan", "entropy"])
def test_names_of_none(text):
    with pytest.raises(ValueError, match="must be min-max, percentile, percentile:P with P from 50 to 100, or mse"):
        RangeMethod.parse(text)
