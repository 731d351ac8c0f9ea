# SPDX-License-Identifier: Apache-2.0
"""The block's rounding and saturation, each a named function, and delay lines."""

from amaranth.hdl import Mux, Signal

__all__ = ["delay", "round_shift", "saturate"]


def round_shift(value, bits):
    """``floor((value + 2 ** (bits - 1)) / 2 ** bits)``: to nearest, ties up; `value` itself for 0 bits."""
    return (value + (1 << (bits - 1))) >> bits if bits else value


def saturate(value, shape):
    """`value` clipped to what `shape` (``signed(n)`` or ``unsigned(n)``) can hold, in that shape."""
    low, high = (-1 << (shape.width - 1), (1 << (shape.width - 1)) - 1) if shape.signed else (0, (1 << shape.width) - 1)
    clipped = Mux(value > high, high, Mux(value < low, low, value))[:shape.width]
    return clipped.as_signed() if shape.signed else clipped


def delay(m, value, cycles, *, name, reset_less=True):
    """`value`, `cycles` clock cycles later; data by default, whose registers need no reset."""
    for i in range(cycles):
        stage = Signal.like(value, name=f"{name}_{i + 1}", reset_less=reset_less)
        m.d.sync += stage.eq(value)
        value = stage
    return value
