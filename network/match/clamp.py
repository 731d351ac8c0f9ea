# SPDX-License-Identifier: Apache-2.0
"""Clipped linear functions of one number, as chains of nodes compute them."""

import dataclasses
import math

import numpy as np

from .fake_quantisation import DECIMALS

__all__ = ["Clamp", "decimal"]


@dataclasses.dataclass(frozen=True)
class Clamp:
    """``clip(scale * base + offset, low, high)``: scalars, and the name of a tensor as `base`.

    ``tolerance`` is the relative rounding error of the scalars. A quantiser clips the result to ``ends``, which are
    exact to ``half_step``: what that does is :meth:`settled`.
    """

    base: str
    scale: float = 1.0
    offset: float = 0.0
    low: float = -math.inf
    high: float = math.inf
    tolerance: float = DECIMALS
    ends: tuple[float, float] = (-math.inf, math.inf)
    half_step: float = 0.0

    @property
    def linear(self) -> bool:
        """Whether nothing is clipped."""
        return (self.low, self.high) == (-math.inf, math.inf)

    def clipped(self, low: float, high: float) -> "Clamp":
        """This function, then clipped to `low` .. `high`."""
        return dataclasses.replace(self, low=min(max(self.low, low), high), high=min(max(self.high, low), high))

    def quantised(self, low: float, high: float, step: float) -> "Clamp":
        """This function, then rounded to numbers `step` apart from `low` to `high`."""
        ends = max(self.ends[0], low), min(self.ends[1], high)
        return dataclasses.replace(self, ends=ends, half_step=max(self.half_step, step / 2))

    def settled(self, low: float | None = None, high: float | None = None) -> "Clamp":
        """This function, clipped to `low` and `high` if that is what the range of a quantiser does.

        Another end is one of calibration: the range holds all that came up then.
        """
        # Within half a step, but for rounding.
        (lowest, highest), near = self.ends, self.half_step * 1.001
        if low is not None and self.low < low and abs(lowest - low) <= near:
            return self.clipped(low, math.inf).settled(None, high)
        if high is not None and self.high > high and abs(highest - high) <= near:
            return self.clipped(-math.inf, high)
        return self

    def scaled(self, factor: float, summand: float = 0.0, tolerance: float = DECIMALS) -> "Clamp":
        """This function times `factor` plus `summand`, two numbers with that relative `tolerance`."""
        def moved(ends):
            # An end may be infinite, and the factor 0.
            return sorted((end * factor if factor else 0.0) + summand for end in ends)

        return Clamp(self.base, self.scale * factor, self.offset * factor + summand, *moved((self.low, self.high)),
                     max(self.tolerance, tolerance), tuple(moved(self.ends)), self.half_step * abs(factor))

    def times(self, other: "Clamp") -> "Clamp":
        """This function times the scale of `other`."""
        return self.scaled(other.scale, tolerance=other.tolerance)

    def near(self, scale: float, offset: float, low: float, high: float) -> bool:
        """Whether the scalars are these, but for rounding."""
        return all(a == b or abs(a - b) <= self.tolerance * max(abs(b), 0.1) for a, b in (
            (self.scale, scale), (self.offset, offset), (self.low, low), (self.high, high)))


def decimal(number: float) -> float:
    """The shortest decimal number that rounds to the same float32 as `number`: what was meant by it."""
    return float(str(np.float32(number)))
