# SPDX-License-Identifier: Apache-2.0
"""Named rounding and saturation, delay lines, and the counter that all components use."""

from amaranth.hdl import Const, Mux, Signal, Value

__all__ = ["counter", "delay", "round_shift", "saturate"]


def round_shift(value, bits):
    """``floor((value + 2 ** (bits - 1)) / 2 ** bits)``: to nearest, ties up; `value` itself for 0 bits."""
    return (value + (1 << (bits - 1))) >> bits if bits else value


def saturate(value, shape):
    """`value` clipped to the range of `shape` (``signed(n)`` or ``unsigned(n)``), in that shape.

    The upper bits tell whether the value fits. A comparison would need a carry chain.
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
    """`value`, `cycles` clock cycles later. By default the registers have no reset, as data need none."""
    for i in range(cycles):
        stage = Signal.like(value, name=f"{name}_{i + 1}", reset_less=reset_less)
        m.d.sync += stage.eq(value)
        value = stage
    return value


def counter(m, limit, step, clear=None, *, name):
    """A count from 0 to `limit` - 1 that wraps; `step` advances it, `clear` sets it to 0.

    Returns it and whether it is the last one, in a register, so that no comparison is in the path of its users.
    """
    count = Signal(range(limit), name=name)
    last = Signal(name=f"{name}_last", init=limit == 1)
    with m.If(step):
        m.d.sync += [count.eq(Mux(last, 0, count + 1)), last.eq(count == limit - 2 if limit > 1 else 1)]
    if clear is not None:
        with m.If(clear):
            m.d.sync += [count.eq(0), last.eq(limit == 1)]
    return count, last
