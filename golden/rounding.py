# SPDX-License-Identifier: Apache-2.0
"""Named rounding and saturation for the golden model, on int64 numpy arrays or torch tensors."""

from typing import Any

__all__ = ["Array", "clamp", "floor_shift", "require_product", "require_signed", "require_unsigned", "round_shift",
           "saturate_signed", "saturate_unsigned", "scaled_floor", "scaled_round"]

# An int64 numpy array or torch tensor; a function takes one kind and returns the same.
Array = Any


def floor_shift(value: Array, bits: int) -> Array:
    """``value / 2**bits`` rounded towards minus infinity."""
    return value >> bits


def round_shift(value: Array, bits: int | Array) -> Array:
    """``value / 2**bits`` rounded to the nearest integer, ties up; `value` itself if `bits` is 0."""
    return (value + ((1 << bits) >> 1)) >> bits


def _product(value: Array, multiplier: Array, bits: int) -> tuple[Array, Array]:
    """``value * multiplier`` in two limbs: what is above the low `bits`, and these."""
    mask = (1 << bits) - 1
    low = (value & mask) * multiplier
    return (value >> bits) * multiplier + (low >> bits), low & mask


def _shifted(high: Array, low: Array, bits: int, shift: Array) -> Array:
    """Two limbs, `low` of so many `bits`, shifted right."""
    up = (bits - shift).clip(0)
    return (high >> (shift - bits).clip(0) << up) + (low >> (bits - up))


def scaled_floor(value: Array, multiplier: Array, shift: Array) -> Array:
    """``value * multiplier / 2**shift`` rounded towards minus infinity, saturated to about 62 bits.

    In two limbs, because the product may take 94 bits: `value` has up to 62 bits, `multiplier` 32, `shift` is 0 to 63.
    The arguments are of one kind and broadcast.
    """
    high, low = _product(value, multiplier, 31)
    limit = 1 << (62 - (31 - shift).clip(0))
    return _shifted(high.clip(-limit, limit - 1), low, 31, shift)


def scaled_round(value: Array, multiplier: Array, shift: Array) -> Array:
    """``value * multiplier / 2**shift`` rounded to the nearest integer, ties up; the integer must fit 62 bits.

    In two limbs, because the product may take 77 bits: `multiplier` has up to 46, `shift` is 1 to 63. The arguments are
    of one kind and broadcast.
    """
    bits, mask = 16, (1 << 16) - 1
    high, low = _product(value, multiplier, bits)
    half = 1 << (shift - 1)
    low = low + (half & mask)
    return _shifted(high + (half >> bits) + (low >> bits), low & mask, bits, shift)


def clamp(value: Array, low: int | None, high: int | None) -> Array:
    """`value` limited to low..high, both included."""
    return value.clip(low, high)


def saturate_signed(value: Array, bits: int) -> Array:
    """`value` limited to the range of `bits` bits in two's complement."""
    return clamp(value, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def saturate_unsigned(value: Array, bits: int) -> Array:
    """`value` limited to 0..2**bits - 1."""
    return clamp(value, 0, (1 << bits) - 1)


def _extremes(value: Array) -> tuple[int, int]:
    return (int(value.min()), int(value.max())) if len(value.reshape(-1)) else (0, 0)


def _require(stage: str, value: Array, low: int, high: int, kind: str) -> Array:
    smallest, largest = _extremes(value)
    if smallest < low or largest > high:
        raise OverflowError(f"{stage}: {smallest if smallest < low else largest} does not fit {kind}")
    return value


def require_signed(stage: str, value: Array, bits: int) -> Array:
    """`value` itself; OverflowError, naming `stage` and the value, if one exceeds `bits` bits in two's complement."""
    return _require(stage, value, -(1 << (bits - 1)), (1 << (bits - 1)) - 1, f"{bits} bits, signed")


def require_unsigned(stage: str, value: Array, bits: int) -> Array:
    """`value` itself; OverflowError, naming `stage` and the value, if one is not in 0..2**bits - 1."""
    return _require(stage, value, 0, (1 << bits) - 1, f"{bits} bits, unsigned")


def require_product(stage: str, a: Array, b: Array, terms: int = 1) -> None:
    """Raise OverflowError, naming `stage`, if a sum of `terms` products of an `a` and a `b` could exceed int64."""
    largest = max(map(abs, _extremes(a))) * max(map(abs, _extremes(b))) * terms
    if largest >= 1 << 63:
        raise OverflowError(f"{stage}: a product of {largest} does not fit 64 bits, signed")
