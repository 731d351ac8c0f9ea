# SPDX-License-Identifier: Apache-2.0
"""The activation between the two layers, whatever ONNX nodes it is spelt with."""

import math

from ...hdl.config import Mid
from .affine import Ramp
from .graph import attributes

__all__ = ["Mids"]

# Activations that the hardware hasn't, by operator.
OTHERS = ("LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "Tanh", "Softplus", "Softsign", "Mish", "Sigmoid",
          "ThresholdedRelu", "Erf")
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
        zero = self.chain.quantised(name)
        name = self.chain.skip(name)
        smooth = self._self_gated(name)
        if smooth is not None:
            return smooth
        ramp = self.chain.ramp(name)
        plain = Ramp(ramp.base, ramp.scale, ramp.offset)
        for mid, (low, high) in {Mid.IDENTITY: (-math.inf, math.inf), Mid.RELU: (0.0, math.inf),
                                 Mid.RELU6: (0.0, 6.0)}.items():
            if (ramp.low, ramp.high) == (low, high):
                operator, node = self.chain.node(ramp.base)
                if mid is Mid.IDENTITY and operator in OTHERS:
                    return None, Ramp(node.input[0])
                # Quantisers leave a ReLU to the saturation where the lowest integer is 0.0.
                return (Mid.RELU if mid is Mid.IDENTITY and zero and zero[0] == zero[1] else mid), plain
        return None, plain

    def _self_gated(self, name):
        """SiLU or hard swish, as one node or as a product with a gate of its own operand; None if it is neither."""
        operator, node = self.chain.node(name)
        if operator == "HardSwish":
            return Mid.HARDSWISH, Ramp(self.chain.skip(node.input[0]))
        if operator in SWISHES and attributes(node).get("alpha", SWISHES[operator]) == 1:
            return Mid.SILU, Ramp(self.chain.skip(node.input[0]))
        outer = self.chain.ramp(name, stop=name) if operator == "Mul" and not self.chain.operand(node) else None
        factor = 1.0
        if outer is None:
            # A factor behind the product, as in x * relu6(x + 3) / 6.
            found = self.chain.operand(node) if operator in ("Mul", "Div") else None
            if not found or found[1].size != 1 or found[2] and operator == "Div" or not found[1][0]:
                return None
            factor = float(found[1][0]) if operator == "Mul" else 1 / float(found[1][0])
            operator, node = self.chain.node(found[0])
            if operator != "Mul" or self.chain.operand(node):
                return None
        return self._product(node, factor)

    def _product(self, node, factor):
        if len(node.input) != 2:
            return None
        for at in (0, 1):
            base, gate = self.chain.skip(node.input[at]), node.input[1 - at]
            operator, maker = self.chain.node(gate)
            if operator == "Sigmoid" and factor == 1 and self.chain.skip(maker.input[0]) == base:
                return Mid.SILU, Ramp(base)
            ramp = self.chain.ramp(gate, stop=base)
            if ramp.base == base and ramp.scaled(factor).near(*HARDSWISH):
                return Mid.HARDSWISH, Ramp(base)
            # The other factor may be a sixth of the operand.
            part = self.chain.ramp(base, stop=ramp.base)
            if part.base == ramp.base and part.near(part.scale, 0.0, -math.inf, math.inf) and \
                    ramp.scaled(factor * part.scale).near(*HARDSWISH):
                return Mid.HARDSWISH, Ramp(ramp.base)
        return None
