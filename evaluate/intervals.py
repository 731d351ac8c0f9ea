# SPDX-License-Identifier: Apache-2.0
"""95 % confidence intervals of the difference of two networks on the same images."""

import math
from collections.abc import Iterator

import numpy as np

__all__ = ["RESAMPLES", "middle", "paired_shares", "resamples"]

RESAMPLES = 10_000
# Resamples that are drawn at once: a count for each of a million images takes 8 MB.
AT_ONCE = 1 << 20
# Standard deviations on either side of a normal distribution's mean that hold 95 % of it.
DEVIATIONS = 1.959964


def resamples(images: int, seed: int) -> Iterator[np.ndarray]:
    """Of RESAMPLES resamples, in parts: int array (R, `images`), how often each image is drawn, with replacement.

    The same for every network, so that differences are paired.
    """
    rng, step = np.random.default_rng([seed, images]), max(1, AT_ONCE // images)
    for start in range(0, RESAMPLES, step):
        yield rng.multinomial(images, np.full(images, 1 / images), min(step, RESAMPLES - start))


def middle(values: np.ndarray) -> tuple[float, float]:
    """The ends of the middle 95 % of `values`, those of the resamples."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def paired_shares(gained: int, lost: int, images: int) -> tuple[float, float]:
    """Interval of the difference of two shares of the same `images`: the adjusted Wald interval of Bonett and Price.

    `gained` images count for the first network only, `lost` ones for the second only. Unlike a bootstrap it has a width
    where the networks agree on every image. Bonett and Price, "Adjusted Wald Confidence Interval for a Difference of
    Binomial Proportions Based on Paired Data", Journal of Educational and Behavioral Statistics 37(4), 2012.
    """
    one, other = ((count + 1) / (images + 2) for count in (gained, lost))
    centre, half = one - other, DEVIATIONS * math.sqrt((one + other - (one - other) ** 2) / (images + 2))
    return max(-1.0, centre - half), min(1.0, centre + half)
