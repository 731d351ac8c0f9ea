# SPDX-License-Identifier: Apache-2.0
"""The integers of a stream."""

import dataclasses
import re

from .errors import ConfigError, check_integer

__all__ = ["INT8", "UINT8", "DataType"]

FEWEST_BITS, MOST_BITS = 2, 16


@dataclasses.dataclass(frozen=True, order=True)
class DataType:
    """Integers of `bits` bits, 2 to 16, in two's complement if `signed`: int2 to int16 and uint2 to uint16.

    The hardware computes with signed integers: ``offset`` is subtracted from unsigned ones, which inverts the top bit.
    """

    bits: int
    signed: bool = True

    def __post_init__(self) -> None:
        check_integer("bits", self.bits, FEWEST_BITS, MOST_BITS)

    @classmethod
    def parse(cls, name: str, option: str = "dtype") -> "DataType":
        """The type of this `name`; ConfigError that names the `option` if there is none."""
        match = re.fullmatch(r"(u?)int([1-9][0-9]?)", name)
        if not match or not FEWEST_BITS <= int(match[2]) <= MOST_BITS:
            raise ConfigError(option, name, f"must be int{FEWEST_BITS} to int{MOST_BITS} "
                                            f"or uint{FEWEST_BITS} to uint{MOST_BITS}")
        return cls(int(match[2]), not match[1])

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}int{self.bits}"

    @property
    def low(self) -> int:
        """The smallest integer."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The largest integer."""
        return self.low + self.steps

    @property
    def steps(self) -> int:
        """Steps from the smallest to the largest integer, ``2 ** bits - 1``."""
        return (1 << self.bits) - 1

    @property
    def offset(self) -> int:
        """What is subtracted for the hardware's signed range."""
        return 0 if self.signed else 1 << (self.bits - 1)

    @property
    def as_signed(self) -> "DataType":
        """The signed type of as many bits: the hardware's own range."""
        return DataType(self.bits)

    @property
    def numpy(self) -> str:
        """The name of the smallest numpy type that holds these integers."""
        return f"{'' if self.signed else 'u'}int{8 if self.bits <= 8 else 16}"

    def beat_bytes(self, lanes: int) -> int:
        """Bytes of the ``tdata`` of a beat: `lanes` integers side by side, padded at the top to whole bytes."""
        return -(-self.bits * lanes // 8)


INT8, UINT8 = DataType(8), DataType(8, signed=False)
