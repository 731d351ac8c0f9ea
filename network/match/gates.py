# SPDX-License-Identifier: Apache-2.0
"""The gate function of a block in any spelling, including the factor of the product of gate and map."""


from ...hdl.config import ConfigError, Gate, GateKind
from .affine import Chain
from .clamps import Clamp, decimal

__all__ = ["match_gate"]

# Error of a factor around a sigmoid that counts as one. The sigmoid itself can't absorb the rest, as a ramp can.
EXACT = 1e-6


def match_gate(chain: Chain, multiple: Clamp) -> tuple[Gate, Clamp, bool] | None:
    """``(gate, logits, plus_one)``: `multiple`, a scale of a tensor, is ``gate(logits)``, plus one if `plus_one`.

    `logits` is a linear function. None if no supported gate computes it.
    """
    clamp = chain.clamp(multiple.base).times(multiple)
    for plus_one in (False, True):
        shifted = clamp.scaled(1.0, -1.0) if plus_one else clamp
        gate, logits = _sigmoid(chain, shifted) or _hard_sigmoid(shifted, plus_one) or (None, None)
        if gate is not None:
            return gate, logits, plus_one
    return None


def _hard_sigmoid(clamp, plus_one):
    if clamp.scale > 0 and clamp.near(clamp.scale, clamp.offset, 0.0, 1.0):
        try:
            # A product of float32 constants, such as 3 * 0.16666667, has a tail that nobody wrote. The rounding error
            # is relative to the offset before the one was subtracted.
            offset = decimal(decimal(clamp.offset + plus_one) - plus_one)
            return Gate(GateKind.HARDSIGMOID, decimal(clamp.scale), offset), Clamp(clamp.base)
        except ConfigError:
            pass
    return None


def _sigmoid(chain, clamp):
    """A sigmoid of l as a node, as 1 - sigmoid(-l), as 1 / (1 + exp(-l)), or as 0.5 + 0.5 * tanh(l / 2)."""
    if not clamp.linear:
        return None
    operator, node = chain.maker(clamp.base)
    if operator == "Sigmoid" and _exactly(clamp, 1.0, 0.0):
        return Gate(), Clamp(node.input[0])
    if operator == "Sigmoid" and _exactly(clamp, -1.0, 1.0):
        return _logits(chain, node.input[0], -1.0)
    if operator == "Tanh" and _exactly(clamp, 0.5, 0.5):
        return _logits(chain, node.input[0], 2.0)
    divisor = _divisor(chain, operator, node) if _exactly(clamp, 1.0, 0.0) else None
    power = divisor and chain.clamp(divisor)
    operator, node = chain.maker(power.base) if power else (None, None)
    if operator == "Exp" and power.linear and _exactly(power, 1.0, 1.0):
        return _logits(chain, node.input[0], -1.0)
    return None


def _exactly(clamp, scale, offset):
    return abs(clamp.scale - scale) <= EXACT and abs(clamp.offset - offset) <= EXACT


def _divisor(chain, operator, node):
    """The tensor that `node` divides 1 by, or None."""
    if operator == "Reciprocal":
        return node.input[0]
    operand = chain.operand(node) if operator == "Div" else None
    return operand.tensor if operand and operand.constant_first and operand.numbers.tolist() == [1] else None


def _logits(chain, name, factor):
    clamp = chain.clamp(name).scaled(factor)
    return (Gate(), clamp) if clamp.linear else None
