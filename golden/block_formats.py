# SPDX-License-Identifier: Apache-2.0
"""The number formats that a quantised block is to have."""

import dataclasses

from ..hdl.config import ConfigError, DataType
from ..hdl.data_type import INT8
from ..hdl.errors import check_integer
from .block import check_zero_point

__all__ = ["DEFAULT", "BlockFormats"]

# The errors that the option ERROR takes, in LSB.
LEAST_ERROR, LARGEST_ERROR = 0.5, 256.0


@dataclasses.dataclass(frozen=True)
class BlockFormats:
    """The integers of one quantised block. Scales are not among them: calibration finds those.

    Parameters
    ----------
    data : DataType
        The integers of x.
    weight_bits : int
        Bits of a weight, 2 to 8.
    outputs : DataType, optional
        The integers of y, which then have a scale and a zero point of their own. None: y has those of x, with twice the
        scale in the residual form.
    x_zero_point, y_zero_point : int, optional
        The integers that stand for 0.0. None: calibration chooses them.
    error_lsb : float
        The largest error bound that widths may bring, 0.5 to 256 LSB of the output: the option ERROR.

    Raises TypeError or ConfigError that names a bad parameter.
    """

    data: DataType = INT8
    weight_bits: int = 8
    outputs: DataType | None = None
    x_zero_point: int | None = None
    y_zero_point: int | None = None
    error_lsb: float = 1.0

    def __post_init__(self) -> None:
        for option, value in (("data", self.data), ("outputs", self.outputs)):
            if not isinstance(value, DataType) and not (option == "outputs" and value is None):
                raise TypeError(f"{option}={value!r}: must be a DataType")
        check_integer("weight_bits", self.weight_bits, 2, 8)
        if not LEAST_ERROR <= self.error_lsb <= LARGEST_ERROR:
            raise ConfigError("error_lsb", self.error_lsb, f"must be from {LEAST_ERROR:g} to {LARGEST_ERROR:g}")
        if self.x_zero_point is not None:
            check_zero_point("x_zero_point", self.x_zero_point, self.data)
        if self.y_zero_point is not None:
            if self.outputs is None:
                raise ConfigError("y_zero_point", self.y_zero_point, "must be None for outputs with the format of x")
            check_zero_point("y_zero_point", self.y_zero_point, self.outputs)


# int8 data and weights of 8 bits.
DEFAULT = BlockFormats()
