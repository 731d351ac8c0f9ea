# SPDX-License-Identifier: Apache-2.0
"""Products of two tensors in an ONNX graph with the constant factors around them, and sums of one with its own map."""

from .graph import attributes
from .pooling import turned
from .vectors import MOST_STEPS, quantiser

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
        """All readings ``(x, gate, factor)`` of what `node` makes as x * gate * factor, `factor` a number.

        x and gate are tensors. Factors of x's side are x's own in one reading and part of `factor` in another; those
        behind the product are part of it. None of a multiple of one of the tensors `taken`.
        """
        if self.graph.default(node) not in ("Mul", "Div"):
            return
        factor = 1.0
        for _ in range(MOST_FACTORS + 1):
            scaled = self._scaled(node)
            if scaled is None:
                break
            name = self._same(scaled[0])
            node, factor = self.graph.producer.get(name), factor * scaled[1]
            if node is None or name in taken:
                return
        if self.graph.default(node) == "Mul" and len(node.input) == 2 and self._scaled(node) is None:
            for at in (0, 1):
                for x, before in self._multiples(node.input[at]):
                    yield x, node.input[1 - at], factor * before

    def _multiples(self, x):
        """``(tensor, factor)`` for tensors that x is a multiple of, itself first."""
        factor = 1.0
        yield x, factor
        for _ in range(MOST_FACTORS):
            node = self.graph.producer.get(self._same(x))
            scaled = node and self._scaled(node)
            if scaled is None:
                return
            x, factor = scaled[0], factor * scaled[1]
            yield x, factor

    def _same(self, name):
        """The tensor of the same shape and type whose numbers tensor `name` has."""
        for _ in range(MOST_STEPS):
            node = self.graph.producer.get(name)
            operator = node and self.graph.default(node)
            if operator == "DequantizeLinear":
                node = quantiser(self.graph, node)
            if node is None or operator not in ("Identity", "DequantizeLinear"):
                break
            name = node.input[0]
        return name

    def _scaled(self, node):
        """``(tensor, number)`` where `node` makes that multiple of that tensor, else None."""
        operator = self.graph.default(node)
        found = self.chain.operand(node) if operator in ("Mul", "Div") else None
        if not found or found[1].size != 1 or operator == "Div" and (found[2] or not found[1][0]):
            return None
        return found[0], float(found[1][0]) if operator == "Mul" else 1 / float(found[1][0])

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
            same = operator in SAME or self._scaled(node) == (y, 1)
            if order is None or not same:
                return None
            y = node.output[0]
        return None
