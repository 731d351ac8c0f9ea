# SPDX-License-Identifier: Apache-2.0
"""The activation between the two layers, whatever ONNX nodes it is spelt with."""

import math

from ...hdl.config import Mid
from ..read.graph import attributes
from .clamps import Ramp
from .fake_quantisation import lowest

__all__ = ["Mids"]

# What activations are spelt with, each number by itself; in any domain.
ELEMENTWISE = frozenset((
    "Abs Add And BiasGelu Celu Clip Cos Div Elu Equal Erf Exp FastGelu Gelu Greater GreaterOrEqual HardSigmoid "
    "HardSwish LeakyRelu Less LessOrEqual Log Max Min Mish Mul Neg Not Or PRelu Pow QuickGelu Reciprocal Relu Selu "
    "Sigmoid Sign Sin Softplus Softsign Sqrt Sub Swish Tanh ThresholdedRelu Where").split())
# Tensors inside of one activation; that of GELU by tanh has nine.
MOST_TENSORS = 24
# x * sigmoid(alpha * x), and alpha where it is not written.
SWISHES = {"Swish": 1.0, "com.microsoft.QuickGelu": 1.702}
HARDSWISH = (1 / 6, 0.5, 0.0, 1.0)


class Mids:
    """Recognises the activations of hidden vectors, read by `chain`."""

    def __init__(self, chain):
        self.chain = chain

    def of(self, name):
        """``(mid, ramp)`` of the hidden vector in tensor `name`.

        The ramp, not clipped, is what the activation `mid` is of; `mid` is None for one that is not built.
        """
        zero = lowest(self.chain.graph, name)
        name = self.chain.skip(name)
        smooth = self._self_gated(name)
        if smooth is not None:
            return smooth
        ramp = self.chain.ramp(name)
        plain = Ramp(ramp.base, ramp.scale, ramp.offset)
        for mid, (low, high) in {Mid.IDENTITY: (-math.inf, math.inf), Mid.RELU: (0.0, math.inf),
                                 Mid.RELU6: (0.0, 6.0)}.items():
            if (ramp.low, ramp.high) == (low, high):
                # Quantisers leave a ReLU to the saturation where the lowest integer is 0.0.
                return (Mid.RELU if mid is Mid.IDENTITY and zero else mid), plain
        return None, plain

    def unbuilt(self, name):
        """``(layer, operators)`` where the hidden vector in tensor `name` is any function of that layer's results, each
        number by itself; operators that it is written with, a tuple in the graph's order. Else (None, ())."""
        graph, waiting, seen, layers, operators = self.chain.graph, [name], set(), {}, {}
        while waiting:
            name = self.chain.skip(waiting.pop())
            if name in seen or graph.constant(name) is not None:
                continue
            seen.add(name)
            layer = self.chain.layer(name)
            if layer is not None:
                layers[layer.source, layer.tensor] = layer
                if len(layers) > 1:
                    return None, ()
                continue
            operator, node = self.chain.node(name)
            if operator is None or operator.split(".")[-1] not in ELEMENTWISE or len(seen) > MOST_TENSORS:
                return None, ()
            operators[name] = node.op_type
            waiting += [item for item in node.input if item]
        if not layers or not operators:
            return None, ()
        return layers.popitem()[1], tuple(dict.fromkeys(reversed(operators.values())))

    def _self_gated(self, name):
        """SiLU or hard swish, as one node or as a product with a gate of its own operand; None if it is neither."""
        operator, node = self.chain.node(name)
        if operator == "HardSwish":
            return Mid.HARDSWISH, Ramp(self.chain.skip(node.input[0]))
        if operator in SWISHES and attributes(node).get("alpha", SWISHES[operator]) == 1:
            return Mid.SILU, Ramp(self.chain.skip(node.input[0]))
        outer = self.chain.ramp(name, stop=name) if operator == "Mul" and not self.chain.operand(node) else None
        if outer is None:
            # A factor behind the product, as in x * relu6(x + 3) / 6.
            outer = node and self.chain.multiple(node)
            operator, node = self.chain.node(outer.base) if outer else (None, None)
            if operator != "Mul" or self.chain.operand(node):
                return None
        return self._product(node, outer)

    def _product(self, node, outer):
        """The same of the product `node` times the scale of the :class:`Ramp` `outer`."""
        if len(node.input) != 2:
            return None
        for at in (0, 1):
            base, gate = self.chain.skip(node.input[at]), node.input[1 - at]
            operator, maker = self.chain.node(gate)
            if operator == "Sigmoid" and outer.scale == 1 and self.chain.skip(maker.input[0]) == base:
                return Mid.SILU, Ramp(base)
            ramp = self.chain.ramp(gate, stop=base).scaled(outer.scale, tolerance=outer.tolerance)
            if ramp.base == base and ramp.near(HARDSWISH):
                return Mid.HARDSWISH, Ramp(base)
            # The other factor may be a sixth of the operand.
            part = self.chain.ramp(base, stop=ramp.base)
            if part.base == ramp.base and part.near((part.scale, 0.0, -math.inf, math.inf)) and \
                    ramp.scaled(part.scale, tolerance=part.tolerance).near(HARDSWISH):
                return Mid.HARDSWISH, Ramp(ramp.base)
        return None
