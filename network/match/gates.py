# SPDX-License-Identifier: Apache-2.0
"""The gate of a block, whatever ONNX nodes it is spelt with, and whatever factor its product with the map has."""

import dataclasses
import math

from ...hdl.config import ConfigError, Gate, GateKind
from .clamps import Ramp, decimal

__all__ = ["Gated", "gated"]

# How far a factor that belongs to a sigmoid may be from the one that leaves it a sigmoid: nothing absorbs the rest.
EXACT = 1e-6


@dataclasses.dataclass(frozen=True)
class Gated:
    """``gate(logits)``, plus one if `plus_one`; the logits are a :class:`~.ramps.Ramp` without clipping."""

    gate: Gate
    logits: Ramp
    plus_one: bool


def gated(chain, multiple):
    """The :class:`Gated` that `multiple`, a :class:`~.ramps.Ramp` of a scale alone, is; None if that is no gate that
    is built."""
    ramp = chain.ramp(multiple.base).scaled(multiple.scale, tolerance=multiple.tolerance)
    for plus_one in (False, True):
        shifted = ramp.scaled(1.0, -1.0) if plus_one else ramp
        gate, logits = _sigmoid(chain, shifted) or _hard(shifted, plus_one) or (None, None)
        if gate is not None:
            return Gated(gate, logits, plus_one)
    return None


def _hard(ramp, plus_one):
    if ramp.scale > 0 and ramp.near((ramp.scale, ramp.offset, 0.0, 1.0)):
        try:
            # Products of float32 constants, 3 * 0.16666667, are what was meant by them but for their rounding; that is
            # relative to what they were before the one was taken off.
            offset = decimal(decimal(ramp.offset + plus_one) - plus_one)
            return Gate(GateKind.HARDSIGMOID, decimal(ramp.scale), offset), Ramp(ramp.base)
        except ConfigError:
            pass
    return None


def _sigmoid(chain, ramp):
    """A sigmoid as a node, as 1 - sigmoid(-l), as 1 / (1 + exp(-l)), or as 0.5 + 0.5 * tanh(l / 2)."""
    if (ramp.low, ramp.high) != (-math.inf, math.inf):
        return None
    operator, node = chain.node(ramp.base)
    if operator == "Sigmoid" and _exactly(ramp, 1.0, 0.0):
        return Gate(), Ramp(node.input[0])
    if operator == "Sigmoid" and _exactly(ramp, -1.0, 1.0):
        return _logits(chain, node.input[0], -1.0)
    if operator == "Tanh" and _exactly(ramp, 0.5, 0.5):
        return _logits(chain, node.input[0], 2.0)
    divided = _divided(chain, operator, node) if _exactly(ramp, 1.0, 0.0) else None
    if divided is None:
        return None
    power = chain.ramp(divided)
    operator, node = chain.node(power.base)
    unclipped = (power.low, power.high) == (-math.inf, math.inf)
    if operator != "Exp" or not unclipped or not _exactly(power, 1.0, 1.0):
        return None
    return _logits(chain, node.input[0], -1.0)


def _exactly(ramp, scale, offset):
    return abs(ramp.scale - scale) <= EXACT and abs(ramp.offset - offset) <= EXACT


def _divided(chain, operator, node):
    """The tensor that 1 is divided by in `node`, or None."""
    if operator == "Reciprocal":
        return node.input[0]
    found = chain.operand(node) if operator == "Div" else None
    return found[0] if found and found[2] and found[1].size == 1 and found[1][0] == 1 else None


def _logits(chain, name, factor):
    ramp = chain.ramp(name).scaled(factor)
    return (Gate(), ramp) if (ramp.low, ramp.high) == (-math.inf, math.inf) else None
