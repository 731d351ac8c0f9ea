# SPDX-License-Identifier: Apache-2.0
"""A quadratic with the coefficients of a table's segment, as the activations' tables have."""

from amaranth.hdl import Signal, signed

from .arithmetic import delay
from .latency import product_latency
from .multiplier import multiply_limbs
from .rom import Rom
from .tables import coefficient_bits

__all__ = ["coefficient", "look_up", "quadratic"]


def look_up(m, table, segment):
    """The coefficients of `table`'s row number `segment`, signed integers, ``ram_latency`` of its rows later."""
    widths = [coefficient_bits(column) for column in zip(*table, strict=True)]
    starts = [sum(widths[:i]) for i in range(len(widths))]
    words = [sum((number & ((1 << width) - 1)) << start
                 for number, width, start in zip(row, widths, starts, strict=True)) for row in table]
    m.submodules.table = rom = Rom(width=sum(widths), words=words)
    m.d.comb += rom.raddr.eq(segment)
    return [rom.rdata[start:start + width].as_signed() for width, start in zip(widths, starts, strict=True)]


def coefficient(column, name):
    """A register that holds each of the signed integers of `column`."""
    return Signal(signed(coefficient_bits(column)), name=name, reset_less=True)


def quadratic(m, coefficients, offset, extra, parts, *, name):
    """``(c0 + ((c1 + ((c2 * t) >> n)) * t >> n)) >> extra`` in the register `name`, ``quadratic_latency`` cycles later.

    t is `offset`, unsigned, of n bits. This is Horner's rule with two multiplications, whose factors have as many limbs
    as `parts` says.
    """
    c0, c1, c2 = coefficients
    bits = len(offset)
    first, second = (product_latency(*limbs) for limbs in parts)
    square = multiply_limbs(m, c2, offset, parts[0], name="square")
    slope = Signal(signed(max(len(c1), len(c2)) + 2))
    m.d.comb += slope.eq(delay(m, c1, first, name="c1") + (square >> bits))
    line = multiply_limbs(m, slope, delay(m, offset, first, name="offset_late"), parts[1], name="line")
    result = Signal(signed(max(len(c0), len(slope)) + 1), name=name, reset_less=True)
    m.d.sync += result.eq((delay(m, c0, first + second, name="c0") + (line >> bits)) >> extra)
    return result
