# SPDX-License-Identifier: Apache-2.0
"""A memory budget: bits, or a fraction of what the untiled blocks buffer."""

import dataclasses
import fractions
import re

__all__ = ["Budget", "budget"]

UNITS = {"bits": 1, "KiB": 8 << 10, "MiB": 8 << 20}
# More than any device has.
MOST_BITS, MOST_FRACTION = 1 << 50, 1000
ALLOWED = "must be a size like 64KiB, 1.5MiB or 500000bits, or a fraction like 0.1 of what the untiled blocks buffer"


@dataclasses.dataclass(frozen=True)
class Budget:
    """`amount` bits, or where it is `relative` that part of what the untiled blocks buffer; `text` is as given."""

    text: str
    amount: fractions.Fraction
    relative: bool

    def __str__(self) -> str:
        return self.text

    def bits(self, untiled: int) -> int:
        """Whole bits, where the untiled blocks buffer `untiled` bits."""
        return int(self.amount * untiled if self.relative else self.amount)


def budget(text: str) -> Budget:
    """The format of a budget: a size with its unit, or a fraction without one."""
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)(bits|KiB|MiB)?", text)
    amount = fractions.Fraction(match[1]) if match else 0
    most = MOST_FRACTION
    if match and match[2]:
        amount, most = amount * UNITS[match[2]], MOST_BITS
    if not match or not 0 < amount <= most:
        raise ValueError(ALLOWED)
    return Budget(text, amount, match[2] is None)
