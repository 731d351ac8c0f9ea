# SPDX-License-Identifier: Apache-2.0
"""The activation between the two layers of a block, in any spelling."""

import math

import onnx

from ...hdl.config import Mid
from ..read.graph import attributes
from .affine import Chain, Layer
from .clamps import Clamp
from .fake_quantisation import lowest_is_zero

__all__ = ["match_activation", "unsupported_activation"]

# Operators, of any domain, that activations are spelt with. Each computes one number from one number.
ELEMENTWISE = frozenset((
    "Abs Add And BiasGelu Celu Clip Cos Div Elu Equal Erf Exp FastGelu Gelu Greater GreaterOrEqual HardSigmoid "
    "HardSwish LeakyRelu Less LessOrEqual Log Max Min Mish Mul Neg Not Or PRelu Pow QuickGelu Reciprocal Relu Selu "
    "Sigmoid Sign Sin Softplus Softsign Sqrt Sub Swish Tanh ThresholdedRelu Where").split())
# Tensors within one activation; GELU by tanh has nine.
MOST_TENSORS = 24
# Operators for x * sigmoid(alpha * x), with the default of alpha.
SWISHES = {"Swish": 1.0, "com.microsoft.QuickGelu": 1.702}
# Scale, offset, low and high of the gate in x * gate(x).
HARDSWISH = (1 / 6, 0.5, 0.0, 1.0)
CLIPPED = {(-math.inf, math.inf): Mid.IDENTITY, (0.0, math.inf): Mid.RELU, (0.0, 6.0): Mid.RELU6}


def match_activation(chain: Chain, name: str) -> tuple[Mid | None, Clamp]:
    """``(mid, clamp)``: the hidden vector in tensor `name` is the activation `mid` of the linear function `clamp`.

    `mid` is None for an activation that is not supported.
    """
    hidden_relu = lowest_is_zero(chain.graph, name)
    name = chain.origin(name)
    smooth = _self_gated(chain, name)
    if smooth is not None:
        return smooth
    clamp = chain.clamp(name)
    mid = CLIPPED.get((clamp.low, clamp.high))
    # Quantisers leave a ReLU to the saturation where the lowest integer stands for 0.0.
    return (Mid.RELU if mid is Mid.IDENTITY and hidden_relu else mid), Clamp(clamp.base, clamp.scale, clamp.offset)


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
        if operator == "Sigmoid" and outer.scale == 1 and chain.origin(maker.input[0]) == base:
            return Mid.SILU, Clamp(base)
        clamp = chain.clamp(gate, stop=base).times(outer)
        if clamp.base == base and clamp.near(*HARDSWISH):
            return Mid.HARDSWISH, Clamp(base)
        # The sixth may be a factor of the operand.
        part = chain.clamp(base, stop=clamp.base)
        if part.base == clamp.base and part.near(part.scale, 0.0, -math.inf, math.inf) and \
                clamp.times(part).near(*HARDSWISH):
            return Mid.HARDSWISH, Clamp(clamp.base)
    return None
