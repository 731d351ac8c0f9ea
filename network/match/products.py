# SPDX-License-Identifier: Apache-2.0
"""Products of two tensors in an ONNX graph with the constant factors around them, and sums of one with its own map."""

from ..read.graph import attributes
from .broadcast import MOST_STEPS, idle_cast, quantiser
from .clamps import Ramp
from .pooling import turned

__all__ = ["Products"]

# Nodes between a product and the sum with its map.
SAME = ("Identity", "QuantizeLinear", "DequantizeLinear", "Transpose")
# Constant factors in a row before a product, and behind it; real networks have one.
MOST_FACTORS = 4


class Products:
    """Reads `graph` through its `chain` (:class:`~.affine.Chain`) and `pooling` (:class:`~.pooling.Pooling`)."""

    def __init__(self, graph, chain, pooling):
        self.graph, self.chain, self.pooling = graph, chain, pooling

    def ending(self, node, taken):
        """All readings ``(x, gate)`` of what `node` makes as their product.

        x is a tensor, gate a :class:`~.ramps.Ramp`, of a scale alone. Factors of x's side are x's own in one reading
        and part of the scale in another; those behind the product are part of it. None of a multiple of one of the
        tensors `taken`.
        """
        if self.graph.default(node) not in ("Mul", "Div"):
            return
        factor = Ramp("")
        for _ in range(MOST_FACTORS + 1):
            scaled = self.chain.multiple(node)
            if scaled is None:
                break
            name, factor = self._same(scaled.base), scaled.scaled(factor.scale, tolerance=factor.tolerance)
            node = self.graph.producer.get(name)
            if node is None or name in taken:
                return
        if self.graph.default(node) == "Mul" and len(node.input) == 2 and self.chain.multiple(node) is None:
            for at in (0, 1):
                for before in self._multiples(node.input[at]):
                    gate = Ramp(node.input[1 - at], factor.scale, tolerance=factor.tolerance)
                    yield before.base, gate.scaled(before.scale, tolerance=before.tolerance)

    def _multiples(self, x):
        """Tensors that x is a multiple of, each as the :class:`~.ramps.Ramp` that x is; itself first."""
        factor = Ramp(x)
        yield factor
        for _ in range(MOST_FACTORS):
            node = self.graph.producer.get(self._same(factor.base))
            scaled = node and self.chain.multiple(node)
            if scaled is None:
                return
            factor = scaled.scaled(factor.scale, tolerance=factor.tolerance)
            yield factor

    def _same(self, name):
        """The tensor of the same shape and type whose numbers tensor `name` has."""
        for _ in range(MOST_STEPS):
            node = self.graph.producer.get(name)
            operator = node and self.graph.default(node)
            if operator == "DequantizeLinear":
                node = quantiser(self.graph, node)
            if node is None or operator not in ("Identity", "DequantizeLinear") and not idle_cast(self.graph, node):
                break
            name = node.input[0]
        return name

    def residual(self, y, x):
        """``(x, y)`` of the block that ends with the sum of x and its scaled `y`; None if more reads that."""
        base, order = self.pooling.source(x)
        scaled = order
        while y not in self.graph.outputs and len(readers := self.graph.readers.get(y, [])) == 1:
            (node,) = readers
            operator = self.graph.default(node)
            if operator == "Add":
                others = [name for name in node.input if name != y]
                if len(others) != 1 or self.pooling.source(others[0]) != (base, order):
                    return None
                # Exporters turn the product back first where they turned x for it.
                return x if order == scaled else others[0], node.output[0]
            if operator == "Transpose":
                order = turned(order, attributes(node).get("perm", ()))
            # PyTorch's addcmul is exported with a factor of one.
            scale = self.chain.multiple(node)
            same = operator in SAME or idle_cast(self.graph, node) or scale is not None and scale.scale == 1
            if order is None or not same:
                return None
            y = node.output[0]
        return None
