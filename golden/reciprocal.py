# SPDX-License-Identifier: Apache-2.0
"""The factors that turn sums into means, for every number of elements that a descriptor can average."""

import numpy as np
import numpy.typing as npt

from ..hdl.config import Config, Context

__all__ = ["element_counts", "reciprocal"]


def element_counts(config: Config) -> np.ndarray:
    """int64 array: each number of elements that a descriptor can average, imaginary rows included.

    Between the tiles of CAUSAL it has all numbers of rows, although only each k-th occurs.
    """
    # An imaginary row of WINDOW is not added to real ones. Only CAUSAL averages imaginary rows alone.
    least = config.prior_rows + (config.context is not Context.CAUSAL) if config.context.running else 1
    rows = np.arange(least, config.most_rows + 1, dtype=np.int64)
    return np.unique([rows * config.columns, rows * config.last_columns])


def reciprocal(config: Config, elements: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """``(R, q)``, int64 arrays, such that the mean of a sum S of so many `elements` is ``round(S * R / 2**q)``.

    A mean's step is ``2**-mean_frac`` of a step of the sum of ``N = scale_rows * columns`` elements. R / 2**q is
    N / elements * 2**mean_frac, rounded to ``reciprocal_bits`` bits; ties go up. In CUMULATIVE and CAUSAL
    N is a power of two times the width, so R is ``round(2**(reciprocal_bits - 1 + b) / n)`` for n rows, with
    b = ceil(log2(n)).
    """
    elements = np.asarray(elements, np.int64)
    full = config.scale_rows * config.columns
    # floor(log2(full / elements)), exactly: frexp gives the bits of an integer of less than 53.
    exponent = np.frexp((full // elements).astype(np.float64))[1].astype(np.int64) - 1
    places = config.reciprocal_bits - 1 - exponent
    numerator, denominator = full << places.clip(0), elements << (-places).clip(0)
    value = (2 * numerator + denominator) // (2 * denominator)
    # Just under a power of two it may round to that, which has one bit too many.
    over = value >> config.reciprocal_bits
    return value >> over, places - over - config.mean_frac
