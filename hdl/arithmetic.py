# SPDX-License-Identifier: Apache-2.0
"""The block's rounding and saturation, each a named function, delay lines, and its one counter."""

from amaranth.hdl import Const, Mux, Signal, Value

__all__ = ["counter", "delay", "round_shift", "saturate"]


def round_shift(value, bits):
    """``floor((value + 2 ** (bits - 1)) / 2 ** bits)``: to nearest, ties up; `value` itself for 0 bits."""
    return (value + (1 << (bits - 1))) >> bits if bits else value


def saturate(value, shape):
    """`value` clipped to what `shape` (``signed(n)`` or ``unsigned(n)``) can hold, in that shape.

    The bits above tell whether it fits: no comparison, which would be a carry chain.
    """
    value = Value.cast(value)
    width, sign = shape.width, value[-1] if value.shape().signed else Const(0)
    magnitude = value[:-1] if value.shape().signed else value
    kept = width - shape.signed
    if shape.signed:
        high, low, misfit = (1 << kept) - 1, 1 << kept, (magnitude[kept:] ^ sign.replicate(len(magnitude[kept:]))).any()
    else:
        high, low, misfit = (1 << kept) - 1, 0, sign | magnitude[kept:].any()
    clipped = Mux(misfit, Mux(sign, low, high), value)[:width]
    return clipped.as_signed() if shape.signed else clipped


def delay(m, value, cycles, *, name, reset_less=True):
    """`value`, `cycles` clock cycles later; data by default, whose registers need no reset."""
    for i in range(cycles):
        stage = Signal.like(value, name=f"{name}_{i + 1}", reset_less=reset_less)
        m.d.sync += stage.eq(value)
        value = stage
    return value


def counter(m, limit, step, clear=None, *, name):
    """A count of 0 to `limit` - 1 and around, that goes on with `step`, and to 0 with `clear`.

    Returns
    -------
    (Signal, Signal)
        The count, and whether it is the last one: a register of its own, so that nothing waits for a comparison.
    """
    count = Signal(range(limit), name=name)
    last = Signal(name=f"{name}_last", init=limit == 1)
    with m.If(step):
        m.d.sync += [count.eq(Mux(last, 0, count + 1)), last.eq(count == limit - 2 if limit > 1 else 1)]
    if clear is not None:
        with m.If(clear):
            m.d.sync += [count.eq(0), last.eq(limit == 1)]
    return count, last
