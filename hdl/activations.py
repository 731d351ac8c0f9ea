# SPDX-License-Identifier: Apache-2.0
"""The activations that a block can have."""

import dataclasses
import enum
import math

from .errors import ConfigError

__all__ = ["Gate", "GateKind", "Mid"]


class Mid(enum.Enum):
    """Activation between the two layers."""

    RELU = "relu"
    RELU6 = "relu6"
    SILU = "silu"
    HARDSWISH = "hardswish"
    IDENTITY = "identity"

    @property
    def tabulated(self) -> bool:
        """Whether it is computed from a table; the hidden vector's scale is then a power of two."""
        return self in (Mid.SILU, Mid.HARDSWISH)

    @property
    def signed(self) -> bool:
        """Whether the hidden vector has negative values."""
        return self not in (Mid.RELU, Mid.RELU6)


class GateKind(enum.Enum):
    """Activation after the second layer."""

    SIGMOID = "sigmoid"
    HARDSIGMOID = "hardsigmoid"


@dataclasses.dataclass(frozen=True)
class Gate:
    """A gate function: ``sigmoid(l)``, or ``clip(slope * l + offset, 0, 1)`` for a hard sigmoid."""

    kind: GateKind = GateKind.SIGMOID
    slope: float = 1 / 6
    offset: float = 0.5

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and 1e-6 <= self.slope <= 1e6):
            raise ConfigError("gate", self, "a hard sigmoid's slope must be from 1e-6 to 1e6")
        if not (math.isfinite(self.offset) and abs(self.offset) <= 1e6):
            raise ConfigError("gate", self, "a hard sigmoid's offset must be from -1e6 to 1e6")

    def __str__(self) -> str:
        if self.kind is GateKind.SIGMOID:
            return "sigmoid"
        # repr() gives the shortest decimals that read back as the same numbers.
        return f"hardsigmoid:{float(self.slope)!r},{float(self.offset)!r}"
