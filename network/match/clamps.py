# SPDX-License-Identifier: Apache-2.0
"""Clipped linear functions of a tensor, with how far their numbers may be from what was meant."""

import dataclasses
import math

import numpy as np

from .fake_quantisation import DECIMALS

__all__ = ["Ramp", "decimal"]


@dataclasses.dataclass(frozen=True)
class Ramp:
    """``clip(scale * base + offset, low, high)``, all scalars but the tensor named `base`.

    ``tolerance`` is how far the scalars may be from what was meant by them, relative.
    """

    base: str
    scale: float = 1.0
    offset: float = 0.0
    low: float = -math.inf
    high: float = math.inf
    tolerance: float = DECIMALS

    def clipped(self, low, high):
        """The ramp, then cut to `low` .. `high`."""
        return dataclasses.replace(self, low=min(max(self.low, low), high), high=min(max(self.high, low), high))

    def scaled(self, factor, summand=0.0, tolerance=DECIMALS):
        """The ramp times `factor` plus `summand`, which are known to that `tolerance`."""
        ends = sorted((_times(self.low, factor) + summand, _times(self.high, factor) + summand))
        return Ramp(self.base, self.scale * factor, self.offset * factor + summand, *ends,
                    max(self.tolerance, tolerance))

    def near(self, numbers):
        """Whether scale, offset, low and high are `numbers`, but for rounding."""
        return all(a == b or abs(a - b) <= self.tolerance * max(abs(b), 0.1)
                   for a, b in zip((self.scale, self.offset, self.low, self.high), numbers, strict=True))


def _times(end, factor):
    return 0.0 if factor == 0 else end * factor


def decimal(number):
    """A float32 number as the decimal number that was meant by it: the shortest that rounds to it."""
    return float(str(np.float32(number)))
