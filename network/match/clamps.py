# SPDX-License-Identifier: Apache-2.0
"""Clipped linear functions of a tensor, with the rounding error of their numbers."""

import dataclasses
import math

import numpy as np

from .fake_quantisation import DECIMALS

__all__ = ["Clamp", "decimal"]


@dataclasses.dataclass(frozen=True)
class Clamp:
    """``clip(scale * base + offset, low, high)``: scalars, and the name of a tensor as `base`.

    ``tolerance`` is the relative rounding error of the scalars.
    """

    base: str
    scale: float = 1.0
    offset: float = 0.0
    low: float = -math.inf
    high: float = math.inf
    tolerance: float = DECIMALS

    @property
    def linear(self) -> bool:
        """Whether nothing is clipped."""
        return (self.low, self.high) == (-math.inf, math.inf)

    def clipped(self, low: float, high: float) -> "Clamp":
        """This function, then clipped to `low` .. `high`."""
        return dataclasses.replace(self, low=min(max(self.low, low), high), high=min(max(self.high, low), high))

    def scaled(self, factor: float, summand: float = 0.0, tolerance: float = DECIMALS) -> "Clamp":
        """This function times `factor` plus `summand`, two numbers with that relative `tolerance`."""
        ends = sorted((_times(self.low, factor) + summand, _times(self.high, factor) + summand))
        return Clamp(self.base, self.scale * factor, self.offset * factor + summand, *ends,
                     max(self.tolerance, tolerance))

    def times(self, other: "Clamp") -> "Clamp":
        """This function times the scale of `other`."""
        return self.scaled(other.scale, tolerance=other.tolerance)

    def near(self, scale: float, offset: float, low: float, high: float) -> bool:
        """Whether the scalars are these, but for rounding."""
        return all(a == b or abs(a - b) <= self.tolerance * max(abs(b), 0.1) for a, b in (
            (self.scale, scale), (self.offset, offset), (self.low, low), (self.high, high)))


def _times(end, factor):
    return 0.0 if factor == 0 else end * factor


def decimal(number: float) -> float:
    """The shortest decimal number that rounds to the same float32 as `number`: what was meant by it."""
    return float(str(np.float32(number)))
