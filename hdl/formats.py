# SPDX-License-Identifier: Apache-2.0
"""The formats of a block's input, weights, gates and outputs (docs/design.md, "Numbers")."""

import dataclasses
import math

from .activations import Gate, Mid
from .data_type import INT8, DataType
from .errors import ConfigError, check_integer
from .geometry import Geometry

__all__ = ["Formats"]

# Fractional bits of a gate beyond the data's: its rounding then costs at most 2**-5 steps of an output.
GATE_EXTRA = 4
# Fractional bits of the logit that enters a gate's table, beyond the bits of the precision: its rounding costs 2**-5.
LOGIT_EXTRA = 2
# Fewest and most bits of the precision (`Formats.precision`), and the least ratio of steps, 2**-n.
FEWEST_PRECISION, MOST_PRECISION = 2, 20
# Up to this precision tables are as for 8 bits.
FINE_PRECISION = 8
SMALLEST_RATIO_BITS = 32
# By this part of it a ratio may exceed a power of two and still count as that. Ratios of scales that are stored as
# float32 are up to 1.2e-7 off.
RATIO_TOLERANCE = 1e-6


def _octave(ratio: float) -> int:
    """The least n for which `ratio` is at most ``2 ** n``, but for the tolerance."""
    mantissa, exponent = math.frexp(ratio / (1 + RATIO_TOLERANCE))
    return exponent - (mantissa == 0.5)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Formats(Geometry):
    """What decides a block's number formats; see :class:`~tiled_se.hdl.config.Config`."""

    data: DataType = INT8
    zero_point: int = 0
    weight_bits: int = 8
    y_data: DataType | None = None
    y_zero_point: int | None = None
    y_ratio: float | None = None
    max_ratio: float | None = None
    mid: Mid = Mid.RELU
    gate: Gate = Gate()
    residual: bool = False
    loadable: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for option, kind in (("mid", Mid), ("gate", Gate), ("data", DataType)):
            if not isinstance(getattr(self, option), kind):
                raise TypeError(f"{option}={getattr(self, option)!r}: must be a {kind.__name__}")
        self._take_integer("zero_point", self.data.low, self.data.high)
        self._take_integer("weight_bits", 2, 8)
        self._validate_outputs()

    def _validate_outputs(self) -> None:
        """Check the outputs' own format; what is as by default is stored as None."""
        if self.y_data is not None and not isinstance(self.y_data, DataType):
            raise TypeError(f"y_data={self.y_data!r}: must be a DataType")
        zero_point = check_integer("y_zero_point", self.outputs_zero_point, self.outputs.low, self.outputs.high)
        (least, most), why = self._all_ratios, f"{self.data} data"
        for name, value in (("max_ratio", self.max_ratio), ("y_ratio", self.ratio)):
            if value is None:
                continue
            if not least <= value <= most * (1 + RATIO_TOLERANCE):
                raise ConfigError(name, value, f"must be from {least:g} to {most:g} for {why}")
            if name == "max_ratio":
                most, why = self.largest_ratio, f"a max_ratio of {value:g}"
        if self.max_ratio is not None and not self.loadable:
            raise ConfigError("max_ratio", self.max_ratio, "must be None for a block that is not loadable")
        for name, own, default in (("y_data", self.outputs, self.data), ("y_zero_point", zero_point, self.zero_point),
                                   ("y_ratio", float(self.ratio), self._default_ratio)):
            object.__setattr__(self, name, None if own == default else own)
        # Nor is it stored if the outputs make the same hardware anyway.
        default = (self.y_data, self.y_zero_point, self.y_ratio) == (None, None, None)
        if not default and self.precision == self._precision(self.ratio):
            object.__setattr__(self, "max_ratio", None)

    @property
    def signed_zero_point(self) -> int:
        """Zero point in the hardware's signed range: the ``offset`` of the data is subtracted."""
        return self.zero_point - self.data.offset

    @property
    def largest_weight(self) -> int:
        """Largest integer of a weight."""
        return (1 << (self.weight_bits - 1)) - 1

    @property
    def least_weight(self) -> int:
        """Least integer of a weight. Only weights that were integers before use it: others are symmetric."""
        return -(1 << (self.weight_bits - 1))

    @property
    def outputs(self) -> DataType:
        """The integers of the outputs."""
        return self.data if self.y_data is None else self.y_data

    @property
    def outputs_zero_point(self) -> int:
        """Integer of the outputs that stands for 0.0, in their own range."""
        return self.zero_point if self.y_zero_point is None else self.y_zero_point

    @property
    def signed_outputs_zero_point(self) -> int:
        """That in the hardware's signed range."""
        return self.outputs_zero_point - self.outputs.offset

    @property
    def _default_ratio(self) -> float:
        return 0.5 if self.residual else 1.0

    @property
    def ratio(self) -> float:
        """A step of the input divided by a step of the outputs."""
        return self._default_ratio if self.y_ratio is None else self.y_ratio

    @property
    def ratio_limits(self) -> tuple[float, float]:
        """The least and the largest ratio; of a block with a ``max_ratio`` the largest that its hardware takes."""
        least, most = self._all_ratios
        return least, most if self.max_ratio is None else self.largest_ratio

    @property
    def _all_ratios(self) -> tuple[float, float]:
        return 2.0**-SMALLEST_RATIO_BITS, 2.0**(MOST_PRECISION - self.data.bits - self.residual)

    @property
    def largest_ratio(self) -> float:
        """The largest ratio that the hardware of a loadable block takes, a power of two."""
        return 2.0 ** (self.precision - self.data.bits - self.residual)

    @property
    def requantised(self) -> bool:
        """Whether outputs have a format of their own; they can then saturate."""
        return any(own is not None for own in (self.y_data, self.y_zero_point, self.y_ratio, self.max_ratio))

    @property
    def rescales(self) -> bool:
        """Whether gates are multiplied by a factor that is loaded; a baked block has it in its gate function."""
        return self.loadable and self.requantised

    @property
    def largest_deviation(self) -> int:
        """Largest possible |x - zero| of an input."""
        return max(self.data.high - self.zero_point, self.zero_point - self.data.low)

    def _precision(self, ratio: float) -> int:
        return max(self.data.bits + _octave(ratio) + self.residual, FEWEST_PRECISION)

    @property
    def precision(self) -> int:
        """Bits of the largest output, in steps, that an input can have: ``data.bits`` and those of the ratio.

        An error of the gate function (0 to 1) costs an output up to ``2 ** precision`` times as many steps. Tables and
        logits follow from this. A ``max_ratio`` takes the place of the ratio.
        """
        return self._precision(self.ratio if self.max_ratio is None else self.max_ratio)

    @property
    def gate_frac(self) -> int:
        """Fractional bits of a gate; a gate is what (x - zero) is multiplied by, the ratio of the steps included."""
        return self.data.bits + GATE_EXTRA

    @property
    def gate_top(self) -> float:
        """The gate stage's largest result, exact, in steps of ``2 ** -gate_frac``.

        It is ``ratio * (1 + residual)``; where gates are rescaled, the power of two that is at least this.
        """
        if self.rescales:
            return 2.0 ** (self.precision + GATE_EXTRA)
        return math.ldexp(self.ratio * (1 + self.residual), self.gate_frac)

    @property
    def gate_bits(self) -> int:
        """Unsigned width of a gate, 0 to ``gate_top`` rounded."""
        return max(round(self.gate_top).bit_length(), 1)

    @property
    def factor_bits(self) -> int:
        """Fractional bits of the factor by which a block that ``rescales`` multiplies its gates.

        It is 0 to 1, but for ``RATIO_TOLERANCE``, and has an integer bit. Gates keep their width with any factor of so
        many bits.
        """
        return self.precision + GATE_EXTRA

    @property
    def logit_frac(self) -> int:
        """Fractional bits of the logit of a gate that has a table."""
        return self.precision + LOGIT_EXTRA + self.gate.steepness

    @property
    def logit_range(self) -> int:
        """Magnitude, a power of two, beyond which the gate is 0 or 1 but for less than a tenth of an output's step."""
        return next(1 << n for n in range(8) if math.ldexp(self.gate.exact(-(1 << n)), self.precision) <= 0.1)

    @property
    def logit_bits(self) -> int:
        """Signed width of a logit: the gate table's input, or for a hard sigmoid a value in steps of the gate."""
        if self.gate.table:
            return self.logit_frac + self.logit_range.bit_length()
        return self.gate_bits + 1

    @property
    def mid_range(self) -> int:
        """Magnitude beyond which a tabulated mid is relu: silu(16) is 16 less 2e-6."""
        return 16 if self.precision <= FINE_PRECISION else 32

    @property
    def most_segment_bits(self) -> int:
        """The largest ``segment_bits``."""
        return 5 if self.precision <= FINE_PRECISION else 7

    @property
    def widest_operand_bits(self) -> int:
        """The widest ``operand_bits`` of any shape. Parameters that need more are rejected."""
        return 40 if self.precision <= FINE_PRECISION else 44

    @property
    def most_hidden_frac(self) -> int:
        """The largest ``hidden_frac``: with it tables are evaluated in int64, and are about as fine as the grid."""
        return 28 if self.precision <= FINE_PRECISION else 30
