# SPDX-License-Identifier: Apache-2.0
"""A quadratic with the coefficients of a table's segment, as the activations' tables have."""

from amaranth.hdl import Signal, signed, unsigned

from .arithmetic import delay
from .latency import MULTIPLY
from .multiplier import Multiplier

__all__ = ["coefficient", "quadratic"]


def coefficient(column, name):
    """A register that holds each of the signed integers of `column`."""
    low, high = min(column), max(column)
    return Signal(signed(max(low.bit_length(), high.bit_length()) + 1), name=name, reset_less=True)


def quadratic(m, coefficients, offset, extra, *, name):
    """``(c0 + ((c1 + ((c2 * t) >> n)) * t >> n)) >> extra`` in the register `name`, ``QUADRATIC`` cycles later.

    t is `offset`, unsigned, of n bits. This is Horner's rule with two multiplications.
    """
    c0, c1, c2 = coefficients
    bits = len(offset)
    m.submodules.square = square = Multiplier(c2.shape(), unsigned(bits))
    slope = Signal(signed(max(len(c1), len(c2)) + 2))
    m.submodules.line = line = Multiplier(slope.shape(), unsigned(bits))
    result = Signal(signed(max(len(c0), len(slope)) + 1), name=name, reset_less=True)
    m.d.comb += [
        square.i_a.eq(c2), square.i_b.eq(offset),
        slope.eq(delay(m, c1, MULTIPLY, name="c1") + (square.o >> bits)),
        line.i_a.eq(slope), line.i_b.eq(delay(m, offset, MULTIPLY, name="offset_late")),
    ]
    m.d.sync += result.eq((delay(m, c0, 2 * MULTIPLY, name="c0") + (line.o >> bits)) >> extra)
    return result
