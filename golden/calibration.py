# SPDX-License-Identifier: Apache-2.0
"""Chooses a data format from samples: by their ends, a percentile, or the mean squared error (docs/networks.md)."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ..hdl.config import ConfigError, DataType
from ..hdl.data_type import INT8
from .block import DataFormat
from .range_method import RangeKind, RangeMethod

__all__ = ["Calibration", "Fit", "Histogram", "Noise", "calibrate", "held_out"]

# Bins on each side of 0, which go up to the power of two above the largest magnitude.
BINS = 1 << 14
# The smallest such power, so that the width of a bin is no denormal number.
LEAST_EXPONENT = -1000
# Parts of the largest range at which MSE puts an end: each 3 % less, down to 1 / 4096. First both ends have the same
# part; then one of them moves by so many parts, and by a quarter of these where no move is better.
PARTS = np.geomspace(1, 2.0**-12, 256)
FIRST_MOVE = 64
# Of so many samples one is held out.
HELD_OUT = 4


class Histogram:
    """Counts of numbers, added array by array, from which a range is chosen.

    There are ``2 * BINS`` bins of the same width. If an array exceeds their range, the width doubles, and pairs of bins
    are merged: the order of the arrays does not matter. ``low`` and ``high`` are the ends of the numbers, exact, and
    0 if that is not among them. Zeros are counted apart, as they are exact in every format.
    """

    def __init__(self) -> None:
        self.low, self.high, self.zeros = 0.0, 0.0, 0
        self._counts, self._exponent = np.zeros(2 * BINS, np.int64), LEAST_EXPONENT

    def add(self, samples: npt.ArrayLike) -> None:
        """Count `samples`, real numbers of any shape. ConfigError ("x") if one is not finite."""
        x = np.asarray(samples, np.float64).reshape(-1)
        if not np.isfinite(x).all():
            raise ConfigError("x", "not finite", "must hold finite numbers only")
        if not x.size:
            return
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))
        # Numbers are below 2**exponent.
        self._widen(math.frexp(max(self.high, -self.low))[1])
        others = x[x != 0]
        self.zeros += x.size - others.size
        bins = np.floor(others / self._width).astype(np.int64) + BINS
        self._counts += np.bincount(bins, minlength=2 * BINS)

    def merge(self, other: "Histogram") -> None:
        """Count what `other` has counted."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self._widen(other._exponent)
        self._counts += _merged(other._counts, self._exponent - other._exponent)
        self.zeros += other.zeros

    @property
    def count(self) -> int:
        """How many numbers were counted."""
        return self.zeros + int(self._counts.sum())

    def _widen(self, exponent: int) -> None:
        if exponent > self._exponent:
            self._counts, self._exponent = _merged(self._counts, exponent - self._exponent), exponent

    @property
    def _width(self) -> float:
        return math.ldexp(1.0, self._exponent) / BINS

    def format(self, method: RangeMethod, data: DataType = INT8, zero_point: int | None = None) -> DataFormat:
        """The format of `data` whose range `method` chooses, with `zero_point` if that is given.

        Errors are those of :meth:`.DataFormat.calibrate`, which for MIN_MAX also gives the format.
        """
        widest = DataFormat.calibrate(self.low, self.high, data, zero_point)
        if method.kind is RangeKind.MIN_MAX or self.low == self.high:
            return widest
        if method.kind is RangeKind.PERCENTILE:
            rest = (100 - method.percentile) / 200
            return DataFormat.calibrate(self._quantile(rest), self._quantile(1 - rest), data, zero_point)
        return self._least_error(data, zero_point)

    def _quantile(self, part: float) -> float:
        """The number below which there is this part of all: as if numbers were evenly spread in their bin."""
        counts = np.insert(self._counts, BINS, self.zeros)
        edges = np.insert(np.arange(-BINS, BINS), BINS, 0) * self._width
        below = np.cumsum(counts)
        at = min(int(np.searchsorted(below, part * below[-1])), len(counts) - 1)
        inside = (part * below[-1] - below[at] + counts[at]) / counts[at] if counts[at] else 0.0
        value = edges[at] + (0.0 if at == BINS else inside * self._width)
        return float(min(max(value, self.low), self.high))

    def _least_error(self, data: DataType, zero_point: int | None) -> DataFormat:
        """The format with the least squared error among those with ends at PARTS of the range."""
        used = np.flatnonzero(self._counts)
        centres, counts = (used - BINS + 0.5) * self._width, self._counts[used]

        def held(low: int, high: int) -> DataFormat:
            return DataFormat.calibrate(PARTS[low] * self.low, PARTS[high] * self.high, data, zero_point)

        @functools.cache
        def error(ends: tuple[int, int]) -> float:
            return _squared_error(held(*ends), centres, counts, self._width)

        last = len(PARTS) - 1
        ends, move = min(((part, part) for part in range(last + 1)), key=error), FIRST_MOVE
        while move:
            low, high = ends
            moved = min([ends, *((min(max(low + step, 0), last), high) for step in (-move, move)),
                         *((low, min(max(high + step, 0), last)) for step in (-move, move))], key=error)
            ends, move = moved, move // 4 if moved == ends else move
        return held(*ends)


def _merged(counts: np.ndarray, doublings: int) -> np.ndarray:
    """Counts of as many bins that are ``2 ** doublings`` times as wide."""
    merged = np.zeros_like(counts)
    np.add.at(merged, (np.arange(-BINS, BINS) >> min(doublings, 63)) + BINS, counts)
    return merged


def _squared_error(data_format: DataFormat, centres: np.ndarray, counts: np.ndarray, width: float) -> float:
    """The sum of the squared errors of numbers in bins of this `width`."""
    scale, zero, data = data_format.scale, data_format.zero_point, data_format.data
    steps = centres / scale
    # Where a bin has several steps, its numbers are anywhere within one.
    steps = np.clip(np.rint(steps) if scale > 2 * width else steps, data.low - zero, data.high - zero)
    return float(((steps * scale - centres)**2 + min(scale, width)**2 / 12) @ counts)


class Noise:
    """Sums of the squares of numbers and of their errors."""

    def __init__(self) -> None:
        self.signal, self.noise = 0.0, 0.0

    def add(self, exact: np.ndarray, found: np.ndarray) -> None:
        """Add the squares of `exact` and of what `found` differs from it."""
        self.signal += float((exact**2).sum())
        self.noise += float(((found - exact)**2).sum())

    @property
    def sqnr_db(self) -> float | None:
        """Signal to quantisation noise ratio in dB; None where either is 0."""
        return 10 * math.log10(self.signal / self.noise) if self.signal and self.noise else None


@dataclasses.dataclass(frozen=True)
class Fit:
    """What a method gives: the ``format`` from all samples, the share of all numbers that it clips, and its SQNR in dB.

    ``held_out`` is the noise on the samples that were held out, with the format from the others.
    """

    format: DataFormat
    clipped: float
    sqnr_db: float | None
    held_out: Noise


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The chosen ``method``, what each method gives (``fits``), and the indices of the samples that were ``held_out``.
    """

    method: RangeMethod
    fits: dict[RangeMethod, Fit]
    held_out: tuple[int, ...]

    @property
    def format(self) -> DataFormat:
        """The format from all samples by the chosen method."""
        return self.fits[self.method].format

    @property
    def figures(self) -> dict:
        """JSON-serialisable."""
        return {"method": str(self.method), "held_out": list(self.held_out), "methods": {
            str(method): {"scale": fit.format.scale, "zero_point": fit.format.zero_point, "clipped": fit.clipped,
                          "sqnr_db": fit.sqnr_db, "held_out_sqnr_db": fit.held_out.sqnr_db}
            for method, fit in self.fits.items()}}


def held_out(count: int) -> tuple[int, ...]:
    """The indices of the samples that are held out of `count`: every fourth from the last one on; none of one."""
    return tuple(range(count))[::-HELD_OUT][::-1] if count > 1 else ()


def rounding_noise(x: np.ndarray, data_format: DataFormat, noise: Noise) -> None:
    """Add the error of `x` in this format to `noise`."""
    noise.add(x, data_format.dequantise(data_format.quantise(x)))


def calibrate(samples: Sequence[npt.ArrayLike], data: DataType = INT8, method: RangeMethod | None = None,
              zero_point: int | None = None,
              error: Callable[[np.ndarray, DataFormat, Noise], None] = rounding_noise) -> Calibration:
    """Choose a format of `data` for `samples`: arrays of real numbers of any shape, each of which is read twice.

    Without `method`, the one is chosen that has the least error on the samples of :func:`held_out`, with a range from
    the others; the first of MIN_MAX, PERCENTILE and MSE where several have it, or where there is one sample only. The
    format then comes from all samples. `error` adds the error of a held-out sample to a :class:`Noise`: that of the
    numbers themselves, or of what is computed from them. With `zero_point` all formats have this one. Raises
    ConfigError as :meth:`Histogram.add` and :meth:`.DataFormat.calibrate` do.
    """
    apart, counted, held = held_out(len(samples)), Histogram(), Histogram()
    for index, sample in enumerate(samples):
        (held if index in apart else counted).add(sample)
    methods = [method if method is not None and method.kind is kind else RangeMethod(kind) for kind in RangeKind]
    trial = {one: counted.format(one, data, zero_point) for one in methods}
    counted.merge(held)
    formats = {one: counted.format(one, data, zero_point) for one in methods}
    noises, unseen = ({one: Noise() for one in methods} for _ in range(2))
    clipped, elements = dict.fromkeys(methods, 0), 0
    for index, sample in enumerate(samples):
        x = np.asarray(sample, np.float64)
        elements += x.size
        for one, final in formats.items():
            steps = np.rint(x / final.scale) + final.zero_point
            kept = np.clip(steps, data.low, data.high)
            clipped[one] += int((steps != kept).sum())
            noises[one].add(x, final.dequantise(kept))
            if index in apart:
                error(x, trial[one], unseen[one])
    chosen = method or min(methods, key=lambda one: unseen[one].noise)
    return Calibration(chosen, {one: Fit(formats[one], clipped[one] / elements if elements else 0.0,
                                         noises[one].sqnr_db, unseen[one]) for one in methods}, apart)
