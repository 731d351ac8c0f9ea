# SPDX-License-Identifier: Apache-2.0
"""The ways to choose the range of a data format from samples. Options name them, so nothing slow is imported."""

import dataclasses
import enum
import re

from ..hdl.errors import ConfigError

__all__ = ["RangeKind", "RangeMethod"]

DEFAULT_PERCENTILE = 99.99
ALLOWED = "must be min-max, percentile, percentile:P with P from 50 to 100, or mse"


class RangeKind(enum.Enum):
    """How a range is chosen; see :class:`RangeMethod`."""

    MIN_MAX = "min-max"
    PERCENTILE = "percentile"
    MSE = "mse"


@dataclasses.dataclass(frozen=True)
class RangeMethod:
    """A range that holds all samples (MIN_MAX), the middle `percentile` per cent of them (PERCENTILE: half of the rest
    is clipped at each end), or that gives the least mean squared error of rounding and clipping (MSE).
    """

    kind: RangeKind
    percentile: float = DEFAULT_PERCENTILE

    def __post_init__(self) -> None:
        if not 50 <= self.percentile <= 100:
            raise ConfigError("percentile", self.percentile, "must be from 50 to 100")

    @classmethod
    def parse(cls, text: str) -> "RangeMethod":
        """``min-max``, ``percentile``, ``percentile:99.9`` or ``mse``; ValueError says what is allowed."""
        match = re.fullmatch(r"(min-max|percentile|mse)|percentile:([0-9]{1,3}(?:\.[0-9]{1,12})?)", text)
        if not match:
            raise ValueError(ALLOWED)
        if match[1]:
            return cls(RangeKind(match[1]))
        try:
            return cls(RangeKind.PERCENTILE, float(match[2]))
        except ConfigError:
            raise ValueError(ALLOWED) from None

    def __str__(self) -> str:
        return f"percentile:{self.percentile!r}" if self.kind is RangeKind.PERCENTILE else self.kind.value
