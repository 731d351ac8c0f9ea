# SPDX-License-Identifier: Apache-2.0
"""The integer constants in the activations' tables.

RTL and golden model share the constants, but have separate evaluations. golden/budget.py measures the tables' error
against float64 over all inputs, so a wrong constant increases the error bound or fails tests.
"""

import functools
import math

from .config import Mid

__all__ = ["SIGMOID_EXTRA", "SIGMOID_SEGMENT", "MID_RANGE", "mid_table", "sigmoid_table"]

# The formats of 8-bit data.
GATE_FRAC, LOGIT_FRAC, LOGIT_BITS = 12, 10, 14
# A sigmoid segment has 2**7 logit steps, 1/8; its coefficients have 7 bits below the gate's LSB.
SIGMOID_SEGMENT = 7
SIGMOID_EXTRA = 7
# Beyond +-16 silu(a) equals relu(a) to 2e-6, and hardswish(a) exactly (beyond +-3).
MID_RANGE = 16
# Bits that the coefficients of `mid` have below the hidden vector's LSB.
MID_EXTRA = 2


@functools.cache
def sigmoid_table(residual=False):
    """Piecewise linear sigmoid for logits of 0 to 8: a tuple of 64 pairs of int (c0, c1).

    For a magnitude a of ``LOGIT_FRAC`` fractional bits, with i = a >> 7 and t = a & 127, the gate is
    ``(c0[i] + c1[i] * t + 64) >> 7`` in steps of ``2 ** -GATE_FRAC``. With `residual` it is (1 + sigmoid) / 2. A
    negative logit's gate is ``2 ** GATE_FRAC`` (residual: 1.5 times that) less its magnitude's.
    """
    unit = 1 << (GATE_FRAC + SIGMOID_EXTRA)
    span = 1 << SIGMOID_SEGMENT

    def function(a):
        value = 1 / (1 + math.exp(-a / (1 << LOGIT_FRAC)))
        return (1 + value) / 2 * unit if residual else value * unit

    table = []
    for i in range(1 << (LOGIT_BITS - 1 - SIGMOID_SEGMENT)):
        points = [function(i * span + t) for t in range(span)]
        c1 = round((points[-1] - points[0]) / (span - 1))
        deviations = [p - c1 * t for t, p in enumerate(points)]
        table.append((round((min(deviations) + max(deviations)) / 2), c1))
    return tuple(table)


def _correction(mid, a):
    """``relu(a) - mid(a)``, an even function of a."""
    if mid is Mid.SILU:
        return a / (1 + math.exp(a))
    return a * max(3 - a, 0) / 6


@functools.cache
def mid_table(mid, frac, segment_bits):
    """Piecewise quadratic ``relu(a) - mid(a)`` for magnitudes of 0 to ``MID_RANGE``; `mid` is SILU or HARDSWISH.

    `frac` is the number of fractional bits of a; a unit has ``2 ** segment_bits`` segments. Returns a tuple of triples
    of int (c0, c1, c2) in steps of ``2 ** -(frac + MID_EXTRA)``: with the segment's index i and the offset t in it, n
    bits (n = frac - segment_bits), the correction is ``c0 + ((c1 + ((c2 * t) >> n)) * t >> n)``, shifts rounding down.
    """
    unit = 1 << (frac + MID_EXTRA)
    width = 2.0**-segment_bits
    # Chebyshev nodes of degree 2 on [0, 1]: the interpolant is close to the minimax one.
    nodes = [0.5 + 0.5 * math.cos(math.pi * (2 * j + 1) / 6) for j in range(3)]
    table = []
    for i in range(MID_RANGE << segment_bits):
        f = [_correction(mid, (i + t) * width) * unit for t in nodes]
        d01 = (f[1] - f[0]) / (nodes[1] - nodes[0])
        d12 = (f[2] - f[1]) / (nodes[2] - nodes[1])
        c2 = (d12 - d01) / (nodes[2] - nodes[0])
        c1 = d01 - c2 * (nodes[0] + nodes[1])
        c0 = f[0] - c1 * nodes[0] - c2 * nodes[0] ** 2
        # Both shifts of the evaluation round down, by half a step on average.
        table.append((round(c0 + 0.5), round(c1 + 0.5), round(c2)))
    return tuple(table)
