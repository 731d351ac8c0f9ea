# SPDX-License-Identifier: Apache-2.0
"""The integer constants in the activations' tables.

RTL and golden model share the constants, but have separate evaluations. golden/budget.py measures the tables' error
against float64 over all inputs, so a wrong constant increases the error bound or fails tests.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from .activations import Gate, GateKind, Mid
from .config import Config
from .formats import FINE_PRECISION

__all__ = ["MID_EXTRA", "GateFormat", "coefficient_bits", "gate_format", "gate_table", "mid_table", "slope_bits"]

# Bits that the coefficients of quadratics have below the result's LSB: those of `mid`, and a sigmoid's.
MID_EXTRA = QUADRATIC_EXTRA = 2


@dataclasses.dataclass(frozen=True)
class GateFormat:
    """The format of a gate function's table, for logits of `frac` fractional bits with magnitudes of 0 to `reach`.

    A unit has ``2 ** segment_bits`` segments. Their coefficients have `extra` bits below the gate's LSB.
    """

    kind: GateKind
    frac: int
    reach: int
    segment_bits: int
    extra: int
    quadratic: bool

    @property
    def offset_bits(self) -> int:
        """Bits of a logit's offset in its segment."""
        return self.frac - self.segment_bits

    @property
    def segments(self) -> int:
        """Number of segments."""
        return self.reach << self.segment_bits


def gate_format(config: Config) -> GateFormat:
    """The format of the table of `config`'s gate: piecewise linear for a low precision, else piecewise quadratic.

    The gate must have a table. The segments keep the interpolation's error under a tenth of an output's step. The
    linear ones have as many bits below the gate's LSB as the offset has, so that their slopes are as fine as their
    constants.
    """
    quadratic = config.precision > FINE_PRECISION
    segment_bits = (config.precision - 5) // 3 if quadratic else (config.precision - 1) // 2
    segment_bits += config.gate.steepness
    frac = config.logit_frac
    return GateFormat(config.gate.kind, frac, config.logit_range, segment_bits,
                         QUADRATIC_EXTRA if quadratic else frac - segment_bits, quadratic)


@functools.lru_cache(maxsize=64)
def gate_table(form: GateFormat, gate_top: float, residual: bool) -> tuple[tuple[int, ...], ...]:
    """The gates of logits that are not negative: for each segment its coefficients, (c0, c1) or (c0, c1, c2).

    With g the gate function, a logit's gate is ``gate_top * g``, or ``gate_top * (1 + g) / 2`` if `residual`. With i
    the segment of the logit's magnitude, t its offset there and n the offset's bits, a linear segment has the gate
    ``(c0[i] + c1[i] * t + half) >> extra``. A quadratic one has
    ``(c0[i] + ((c1[i] + ((c2[i] * t) >> n)) * t >> n) + half) >> extra``. Half is ``2 ** (extra - 1)``; shifts round
    down. No gate is above ``round(gate_top)``. A negative logit's gate is ``round(gate_top)`` (residual: 1.5 times
    ``gate_top``, rounded) less its magnitude's.
    """
    unit, span = gate_top * (1 << form.extra), 1 << form.offset_bits
    # What rounds to the largest gate.
    most = (2 * round(gate_top) + 1 << form.extra - 1) - 1

    exact = Gate(form.kind).exact

    def function(a: float) -> float:
        value = exact(a)
        return (1 + value) / 2 * unit if residual else value * unit

    table: list[tuple[int, ...]] = []
    if form.quadratic:
        for c0, c1, c2 in _quadratics(function, form.segments, form.segment_bits):
            # The largest value of the parabola, of which an evaluation that rounds down is never above.
            peak = min(max(-c1 / (2 * c2), 0), 1) if c2 < 0 else 1
            table.append((min(c0, most - math.ceil(max(0, (c1 + c2 * peak) * peak))), c1, c2))
        return tuple(table)
    for i in range(form.segments):
        points = [function((i * span + t) / (1 << form.frac)) for t in range(span)]
        c1 = round((points[-1] - points[0]) / (span - 1))
        deviations = [p - c1 * t for t, p in enumerate(points)]
        c0 = round((min(deviations) + max(deviations)) / 2)
        table.append((min(c0, most - c1 * (span - 1)), c1))
    return tuple(table)


@functools.lru_cache(maxsize=64)
def mid_table(mid: Mid, frac: int, segment_bits: int, mid_range: int) -> tuple[tuple[int, int, int], ...]:
    """Piecewise quadratic ``relu(a) - mid(a)`` for magnitudes of 0 to `mid_range`; `mid` is tabulated.

    `frac` is the number of fractional bits of a; a unit has ``2 ** segment_bits`` segments. Returns a tuple of triples
    of int (c0, c1, c2) in steps of ``2 ** -(frac + MID_EXTRA)``: with the segment's index i and the offset t in it, n
    bits (n = frac - segment_bits), the correction is ``c0 + ((c1 + ((c2 * t) >> n)) * t >> n)``, shifts rounding down.
    """
    unit = 1 << (frac + MID_EXTRA)
    return tuple(_quadratics(lambda a: mid.correction(a) * unit, mid_range << segment_bits, segment_bits))


def coefficient_bits(column: Sequence[int]) -> int:
    """The signed width that holds each of the integers of `column`."""
    return max(min(column).bit_length(), max(column).bit_length()) + 1


@functools.lru_cache(maxsize=64)
def slope_bits(table: Callable[..., tuple[tuple[int, ...], ...]], *args: Any) -> tuple[int, int]:
    """Signed widths of what a quadratic of ``table(*args)`` multiplies by the offset: c2, and c1 plus its product."""
    _, c1, c2 = (coefficient_bits(column) for column in zip(*table(*args), strict=True))
    return c2, max(c1, c2) + 2


def _quadratics(function: Callable[[float], float], segments: int,
                segment_bits: int) -> list[tuple[int, int, int]]:
    """A quadratic (c0, c1, c2) of the place in the segment, 0 to 1, for each segment of `function` from 0 on."""
    width = 2.0**-segment_bits
    # Chebyshev nodes of degree 2 on [0, 1]: the interpolant is close to the minimax one.
    nodes = [0.5 + 0.5 * math.cos(math.pi * (2 * j + 1) / 6) for j in range(3)]
    table = []
    for i in range(segments):
        f = [function((i + t) * width) for t in nodes]
        d01 = (f[1] - f[0]) / (nodes[1] - nodes[0])
        d12 = (f[2] - f[1]) / (nodes[2] - nodes[1])
        c2 = (d12 - d01) / (nodes[2] - nodes[0])
        c1 = d01 - c2 * (nodes[0] + nodes[1])
        c0 = f[0] - c1 * nodes[0] - c2 * nodes[0] ** 2
        # Both shifts of the evaluation round down, by half a step on average.
        table.append((round(c0 + 0.5), round(c1 + 0.5), round(c2)))
    return table
