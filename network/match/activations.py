# SPDX-License-Identifier: Apache-2.0
"""The functions of a block in any spelling: the activation between its layers, and its gate."""

import math

import onnx

from ...hdl.config import ConfigError, Gate, GateKind, Mid
from ..read.graph import attributes
from .affine import Chain, Layer
from .clamp import Clamp, decimal
from .vectors import ELEMENTWISE

__all__ = ["GATE_OPERATORS", "match_activation", "match_gate", "unsupported_activation"]

# Tensors within one activation; GELU by tanh has nine.
MOST_TENSORS = 24
# Operators for x * sigmoid(alpha * x), with the default of alpha.
SWISHES = {"Swish": 1.0, "com.microsoft.QuickGelu": 1.702}
# Error of a factor around a sigmoid that counts as one. The sigmoid itself can't absorb the rest, as a ramp can.
EXACT = 1e-6
# Scale, offset, low and high of the gate in x * gate(x).
HARDSWISH = (1 / 6, 0.5, 0.0, 1.0)
CLIPPED = {(mid.low, mid.high): mid for mid in Mid if not mid.tabulated}
# The operator of each gate function with a table, and the activations that are x * gate(x) of one.
GATE_OPERATORS = {GateKind.SIGMOID: "Sigmoid"}
SELF_GATED = {GATE_OPERATORS[mid.gate.kind]: mid for mid in Mid
              if mid.gate and mid.gate.kind in GATE_OPERATORS}


def match_activation(chain: Chain, name: str) -> tuple[Mid | None, Clamp]:
    """``(mid, clamp)``: the hidden vector in tensor `name` is the activation `mid` of the linear function `clamp`.

    `mid` is None for an activation that is not supported.
    """
    smooth = _self_gated(chain, chain.origin(name))
    if smooth is not None:
        return smooth
    # Quantisers leave a ReLU or ReLU6 to the saturation where that is the range of their integers.
    clamp = chain.clamp(name).settled(low=0.0)
    clamp = clamp.settled(high=6.0) if clamp.low == 0 else clamp
    return CLIPPED.get((clamp.low, clamp.high)), Clamp(clamp.base, clamp.scale, clamp.offset)


def unsupported_activation(chain: Chain, name: str) -> tuple[Layer | None, tuple[str, ...]]:
    """``(layer, operators)`` if the hidden vector in tensor `name` is any elementwise function of one layer's results.

    `operators` spell that function, in the graph's order. Otherwise ``(None, ())``.
    """
    pending, seen, layers, operators = [name], set(), {}, {}
    while pending:
        name = chain.origin(pending.pop())
        if name in seen or chain.graph.constant(name) is not None:
            continue
        seen.add(name)
        layer = chain.layer(name)
        if layer is not None:
            layers[layer.source, layer.tensor] = layer
            if len(layers) > 1:
                return None, ()
            continue
        operator, node = chain.maker(name)
        if operator is None or operator.split(".")[-1] not in ELEMENTWISE or len(seen) > MOST_TENSORS:
            return None, ()
        operators[name] = node.op_type
        pending += [item for item in node.input if item]
    if not layers or not operators:
        return None, ()
    return layers.popitem()[1], tuple(dict.fromkeys(reversed(operators.values())))


def _self_gated(chain, name):
    """SiLU or hard swish, as one node or as a product of a vector with its own gate; None if it is neither."""
    operator, node = chain.maker(name)
    if operator == "HardSwish" or operator in SWISHES and attributes(node).get("alpha", SWISHES[operator]) == 1:
        return Mid.HARDSWISH if operator == "HardSwish" else Mid.SILU, Clamp(chain.origin(node.input[0]))
    outer = Clamp(name) if operator == "Mul" and not chain.operand(node) else None
    if outer is None:
        # A factor after the product, as in x * relu6(x + 3) / 6.
        outer = node and chain.multiple(node)
        operator, node = chain.maker(outer.base) if outer else (None, None)
        if operator != "Mul" or chain.operand(node):
            return None
    return _self_gated_product(chain, node, outer)


def _self_gated_product(chain: Chain, node: onnx.NodeProto, outer: Clamp):
    """The same for the product `node` times the scale of `outer`."""
    if len(node.input) != 2:
        return None
    for at in (0, 1):
        base, gate = chain.origin(node.input[at]), node.input[1 - at]
        operator, maker = chain.maker(gate)
        if operator in SELF_GATED and outer.scale == 1 and chain.origin(maker.input[0]) == base:
            return SELF_GATED[operator], Clamp(base)
        clamp = chain.clamp(gate, stop=base).times(outer).settled(0.0, 1.0)
        if clamp.base == base and clamp.near(*HARDSWISH):
            return Mid.HARDSWISH, Clamp(base)
        # The sixth may be a factor of the operand.
        part = chain.clamp(base, stop=clamp.base)
        if part.base == clamp.base and part.near(part.scale, 0.0, -math.inf, math.inf) and \
                clamp.times(part).settled(0.0, 1.0).near(*HARDSWISH):
            return Mid.HARDSWISH, Clamp(clamp.base)
    return None


def match_gate(chain: Chain, multiple: Clamp) -> tuple[Gate, Clamp, bool] | None:
    """``(gate, logits, plus_one)``: `multiple`, a scale of a tensor, is ``gate(logits)``, plus one if `plus_one`.

    `logits` is a linear function. None if no supported gate computes it.
    """
    clamp = chain.clamp(multiple.base).times(multiple)
    for plus_one in (False, True):
        shifted = clamp.scaled(1.0, -1.0) if plus_one else clamp
        gate, logits = _tabulated(chain, shifted) or _hard_sigmoid(shifted, plus_one) or (None, None)
        if gate is not None:
            return gate, logits, plus_one
    return None


def _hard_sigmoid(clamp, plus_one):
    clamp = clamp.settled(0.0, 1.0)
    if clamp.low == 0 and clamp.high > 1 > clamp.ends[1]:
        # Calibration saw no higher gates: the network's gates never come up to where the clip would be.
        clamp = clamp.clipped(0.0, 1.0)
    if clamp.scale > 0 and clamp.near(clamp.scale, clamp.offset, 0.0, 1.0):
        try:
            # A product of float32 constants, such as 3 * 0.16666667, has a tail that nobody wrote. The rounding error
            # is relative to the offset before the one was subtracted.
            offset = decimal(decimal(clamp.offset + plus_one) - plus_one)
            return Gate(GateKind.HARDSIGMOID, decimal(clamp.scale), offset), Clamp(clamp.base)
        except ConfigError:
            pass
    return None


def _tabulated(chain, clamp):
    """A gate function that has a table, in any spelling."""
    for kind, spelling in SPELLINGS.items():
        logits = spelling(chain, clamp) if clamp.linear else None
        if logits is not None and logits.linear:
            return Gate(kind), logits
    return None


def _sigmoid(chain, clamp):
    """The l of a sigmoid as a node, as 1 - sigmoid(-l), as 1 / (1 + exp(-l)), or as 0.5 + 0.5 * tanh(l / 2)."""
    operator, node = chain.maker(clamp.base)
    if operator == "Sigmoid" and _exactly(clamp, 1.0, 0.0):
        return Clamp(node.input[0])
    if operator == "Sigmoid" and _exactly(clamp, -1.0, 1.0):
        return chain.clamp(node.input[0]).scaled(-1.0)
    if operator == "Tanh" and _exactly(clamp, 0.5, 0.5):
        return chain.clamp(node.input[0]).scaled(2.0)
    divisor = _divisor(chain, operator, node) if _exactly(clamp, 1.0, 0.0) else None
    power = divisor and chain.clamp(divisor)
    operator, node = chain.maker(power.base) if power else (None, None)
    if operator == "Exp" and power.linear and _exactly(power, 1.0, 1.0):
        return chain.clamp(node.input[0]).scaled(-1.0)
    return None


# For each gate function with a table: the function from a linear Clamp to its logits, or None.
SPELLINGS = {GateKind.SIGMOID: _sigmoid}


def _exactly(clamp, scale, offset):
    return abs(clamp.scale - scale) <= EXACT and abs(clamp.offset - offset) <= EXACT


def _divisor(chain, operator, node):
    """The tensor that `node` divides 1 by, or None."""
    if operator == "Reciprocal":
        return node.input[0]
    operand = chain.operand(node) if operator == "Div" else None
    return operand.tensor if operand and operand.constant_first and operand.numbers.tolist() == [1] else None
