# SPDX-License-Identifier: Apache-2.0
"""The functions that a block can have, one row each: what they compute, and how the hardware evaluates them.

Quantiser, tables, integer model, hardware and networks ask these objects. The float64 reference, against which the
error budget measures the tables, is written apart (golden/reference.py), so that it can disagree; so are PyTorch's
functions (golden/module.py). Tests compare all three. CONTRIBUTING.md says how to add a function.
"""

import dataclasses
import enum
import math
from collections.abc import Callable

from .errors import ConfigError

__all__ = ["Gate", "GateKind", "GateTable", "Mid"]


@dataclasses.dataclass(frozen=True)
class GateTable:
    """A gate function that is computed from a table of its values for logits that are not negative.

    ``exact`` is the function in float64, for magnitudes up to the table's range. It rises from 0 to 1, and
    ``exact(-l)`` is ``1 - exact(l)``. Its first three derivatives are nowhere larger than the largest ones of
    ``sigmoid(2 ** steepness * l)``, which has logits and segments as fine as it needs.
    """

    exact: Callable[[float], float]
    steepness: int = 0

    @property
    def slope(self) -> float:
        """The largest slope."""
        return 2.0**self.steepness / 4

    @property
    def third(self) -> float:
        """A bound of the third derivative."""
        return 8.0**self.steepness / 8


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


class GateKind(enum.Enum):
    """Activation after the second layer: its name, and its table. Without one it is folded into layer 2 and clamped."""

    SIGMOID = "sigmoid", GateTable(_sigmoid)
    HARDSIGMOID = "hardsigmoid"

    table: GateTable | None

    def __new__(cls, name: str, table: GateTable | None = None) -> "GateKind":
        member = object.__new__(cls)
        member._value_ = name
        member.table = table
        return member


@dataclasses.dataclass(frozen=True)
class Gate:
    """A gate function: the table's of its kind, or ``clip(slope * l + offset, 0, 1)`` for a hard sigmoid."""

    kind: GateKind = GateKind.SIGMOID
    slope: float = 1 / 6
    offset: float = 0.5

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and 1e-6 <= self.slope <= 1e6):
            raise ConfigError("gate", self, "a hard sigmoid's slope must be from 1e-6 to 1e6")
        if not (math.isfinite(self.offset) and abs(self.offset) <= 1e6):
            raise ConfigError("gate", self, "a hard sigmoid's offset must be from -1e6 to 1e6")

    def __str__(self) -> str:
        if self.table is not None:
            return self.kind.value
        # repr() gives the shortest decimals that read back as the same numbers.
        return f"{self.kind.value}:{float(self.slope)!r},{float(self.offset)!r}"

    @property
    def table(self) -> GateTable | None:
        """The function, if it is computed from a table; None if it is a clamp, folded into layer 2."""
        return self.kind.table

    def exact(self, logit: float, factor: float = 1.0) -> float:
        """`factor` times the gate of a real logit within the table's range."""
        if self.table is not None:
            return factor * self.table.exact(logit)
        # With 3 and 6 in place of 1/2 and 1/6 the usual slope has one rounding.
        return factor * min(max(self.offset / self.slope + logit, 0.0), 1 / self.slope) / (1 / self.slope)

    @property
    def steepness(self) -> int:
        """Bits by which logits and segments are finer than a sigmoid's; 0 for a clamp."""
        return 0 if self.table is None else self.table.steepness

    @property
    def largest_slope(self) -> float:
        """The largest slope."""
        return self.slope if self.table is None else self.table.slope

    @property
    def zero_below(self) -> float:
        """The magnitude of the logit below which the gate is exactly 0; infinity if there is none."""
        return self.offset / self.slope if self.table is None else math.inf


class Mid(enum.Enum):
    """Activation between the two layers: its name, and what it computes of a.

    It is ``clip(a, low, high)``, which is a saturation in the hardware; or ``a * gate(a)`` for a gate with
    ``gate(-a) = 1 - gate(a)``, which is relu minus an even function that a table has. The third derivative of that
    function is under 1; ``slope`` is the largest absolute slope of the activation.
    """

    RELU = "relu", 0.0
    RELU6 = "relu6", 0.0, 6.0
    SILU = "silu", -math.inf, math.inf, Gate(), 1.0998394
    HARDSWISH = "hardswish", -math.inf, math.inf, Gate(GateKind.HARDSIGMOID), 1.5
    IDENTITY = "identity"

    low: float
    high: float
    gate: Gate | None
    slope: float

    def __new__(cls, name: str, low: float = -math.inf, high: float = math.inf, gate: Gate | None = None,
                slope: float = 1.0) -> "Mid":
        member = object.__new__(cls)
        member._value_ = name
        member.low, member.high, member.gate, member.slope = low, high, gate, slope
        return member

    @property
    def tabulated(self) -> bool:
        """Whether it is computed from a table; the hidden vector's scale is then a power of two."""
        return self.gate is not None

    @property
    def signed(self) -> bool:
        """Whether the hidden vector has negative values."""
        return self.low < 0

    def correction(self, a: float) -> float:
        """``relu(a) - mid(a)`` of a tabulated one, for magnitudes `a`."""
        return self.gate.exact(-a, a) if self.gate is not None else 0.0
