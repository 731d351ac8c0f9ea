# SPDX-License-Identifier: Apache-2.0
"""Every rounding and saturation of the golden model, by name; for int64 numpy arrays and torch tensors alike."""

__all__ = ["clamp", "floor_shift", "require_product", "require_signed", "require_unsigned", "round_shift",
           "saturate_signed", "saturate_unsigned", "scaled_floor"]


def floor_shift(value, bits):
    """``value / 2**bits`` rounded towards minus infinity."""
    return value >> bits


def round_shift(value, bits):
    """``value / 2**bits`` rounded to the nearest integer, ties up; `value` itself where `bits` is 0."""
    return (value + (1 << (bits - 1))) >> bits if bits else value


def scaled_floor(value, multiplier, shift):
    """``value * multiplier / 2**shift`` rounded towards minus infinity, saturated to about 62 bits.

    In two limbs, because the product may take 78 bits: `value` up to 62 bits, `multiplier` 16, `shift` 0 to 63; arrays
    of one kind that broadcast.
    """
    mask = (1 << 32) - 1
    low = (value & mask) * multiplier
    high = (value >> 32) * multiplier + (low >> 32)
    up = (32 - shift).clip(0)
    limit = 1 << (62 - up)
    high = high.clip(-limit, limit - 1)
    return (high >> (shift - 32).clip(0) << up) + ((low & mask) >> (32 - up))


def clamp(value, low, high):
    """`value` limited to low..high, both included."""
    return value.clip(low, high)


def saturate_signed(value, bits):
    """`value` limited to what `bits` bits hold in two's complement."""
    return clamp(value, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def saturate_unsigned(value, bits):
    """`value` limited to 0..2**bits - 1."""
    return clamp(value, 0, (1 << bits) - 1)


def _extremes(value):
    return (int(value.min()), int(value.max())) if len(value.reshape(-1)) else (0, 0)


def _require(stage, value, low, high, kind):
    smallest, largest = _extremes(value)
    if smallest < low or largest > high:
        raise OverflowError(f"{stage}: {smallest if smallest < low else largest} does not fit {kind}")
    return value


def require_signed(stage, value, bits):
    """`value` itself; OverflowError naming `stage` and the value that `bits` bits in two's complement can't hold."""
    return _require(stage, value, -(1 << (bits - 1)), (1 << (bits - 1)) - 1, f"{bits} bits, signed")


def require_unsigned(stage, value, bits):
    """`value` itself; OverflowError naming `stage` and the value that is not in 0..2**bits - 1."""
    return _require(stage, value, 0, (1 << bits) - 1, f"{bits} bits, unsigned")


def require_product(stage, a, b, terms=1):
    """OverflowError naming `stage` where a sum of `terms` products of an `a` and a `b` could leave int64."""
    largest = max(map(abs, _extremes(a))) * max(map(abs, _extremes(b))) * terms
    if largest >= 1 << 63:
        raise OverflowError(f"{stage}: a product of {largest} does not fit 64 bits, signed")
