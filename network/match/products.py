# SPDX-License-Identifier: Apache-2.0
"""Products of a map and its gate with the constant factors around them, and the sum of a product with its map."""

from collections.abc import Collection, Iterator

import onnx

from ..read.graph import Graph, attributes
from .affine import Chain
from .clamp import Clamp
from .passing import origin, redundant_cast
from .pooling import Pooling, transposed
from .quantisers import quantised_integers

__all__ = ["Products"]

# Nodes between a product and the sum with its map.
PASSED = ("Identity", "Transpose")
# Constant factors in a row before a product and after it; real networks have one.
MOST_FACTORS = 4


class Products:
    """Finds products in `graph`."""

    def __init__(self, graph: Graph, chain: Chain, pooling: Pooling):
        self.graph, self.chain, self.pooling = graph, chain, pooling

    def readings(self, node: onnx.NodeProto, taken: Collection[str]) -> Iterator[tuple[str, Clamp]]:
        """Every ``(x, gate)`` whose product is the output of `node`: a tensor, and a :class:`Clamp` that only scales.

        A constant factor of x belongs to x in one reading and to the gate's scale in another; factors after the product
        belong to the scale. A multiple of one of the tensors `taken` has no reading.
        """
        if self.graph.operator(node) not in ("Mul", "Div"):
            return
        factor = Clamp("")
        for _ in range(MOST_FACTORS + 1):
            multiple = self.chain.multiple(node)
            if multiple is None:
                break
            name, factor = self._same(multiple.base), multiple.times(factor)
            node = self.graph.producer.get(name)
            if node is None or name in taken:
                return
        if self.graph.operator(node) == "Mul" and len(node.input) == 2 and self.chain.multiple(node) is None:
            for at in (0, 1):
                for before in self._multiples(node.input[at]):
                    yield before.base, Clamp(node.input[1 - at]).times(factor).times(before)

    def _multiples(self, x):
        """Tensor `x` as a scale of each tensor that it is a multiple of, itself first."""
        factor = Clamp(x)
        yield factor
        for _ in range(MOST_FACTORS):
            node = self.graph.producer.get(self._same(factor.base))
            multiple = node and self.chain.multiple(node)
            if multiple is None:
                return
            factor = multiple.times(factor)
            yield factor

    def _same(self, name):
        """The first tensor of the same shape and type that has the numbers of tensor `name`."""
        def step(name):
            _, node = self.graph.maker(name)
            cast = node is not None and redundant_cast(self.graph, node)
            return node.input[0] if cast else self.chain.passing.passed_on(name, ["Identity"])

        return origin(step, name)

    def residual(self, y: str, x: str) -> tuple[str, str] | None:
        """``(x, y)`` of the residual block that ends with the sum of `x` and its product `y`.

        None if there is no such sum, or if another node reads the product.
        """
        base, order = self.pooling.source(x)
        product_order = order
        while y not in self.graph.outputs and len(readers := self.graph.readers.get(y, [])) == 1:
            (node,) = readers
            operator = self.graph.operator(node)
            if operator == "Add":
                others = [name for name in node.input if name != y]
                if len(others) != 1 or not self.pooling.same(others[0], order, x):
                    return None
                # Exporters that transpose x for the product transpose the product back before the sum.
                return x if order == product_order else others[0], node.output[0]
            if operator == "QuantizeLinear":
                # After it, and maybe a Clip of its integers, only its DequantizeLinear goes on. It must only undo it.
                y, _ = quantised_integers(self.graph, node)
                continue
            if operator == "Transpose":
                order = transposed(order, attributes(node).get("perm", ()))
            # PyTorch's addcmul is exported with a factor of one.
            multiple = self.chain.multiple(node)
            undone = self.chain.passing.passed_on(node.output[0], ()) is not None
            same = operator in PASSED or undone or redundant_cast(self.graph, node) or \
                multiple is not None and multiple.scale == 1
            if order is None or not same:
                return None
            y = node.output[0]
        return None
