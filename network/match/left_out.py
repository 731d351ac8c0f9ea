# SPDX-License-Identifier: Apache-2.0
"""Lists what is like a squeeze-and-excite block of a network but is none that is supported, with the reason."""

from collections.abc import Iterable, Mapping

from ..read.graph import Graph
from .affine import Chain
from .difference import Difference
from .passing import MOST_STEPS
from .pooled_vectors import PooledVectors
from .pooling import Pooling
from .products import Products

__all__ = ["LeftOut"]

# Nodes from a block's output to the product in it.
ENDINGS = ("Mul", "Div", "Add", "Identity", "Cast", "Transpose", "QuantizeLinear", "DequantizeLinear")


class LeftOut:
    """Finds what averages a map of `graph` and multiplies a map by what follows."""

    def __init__(self, graph: Graph, chain: Chain, pooling: Pooling, products: Products):
        self.graph, self.chain, self.pooling, self.products = graph, chain, pooling, products
        self.vectors = PooledVectors(graph)

    def reasons(self, blocks: Iterable[tuple[str, str]], known: Mapping[str, tuple[str, str]]) -> dict[str, str]:
        """The reason for each that is no block, by the name of its product, in the graph's order.

        `blocks` are the output and the map x of each block; `known` maps such an output to x and to the matcher's own
        reason.
        """
        attentions = {found.product.output[0]: found for found in self.vectors.attentions()}
        covered = set()
        for y, x in (*blocks, *((y, x) for y, (x, _) in known.items())):
            covered |= self._products_within(y, x, attentions)
        reasons = {}
        for node in self.graph.nodes:
            y = node.output[0] if node.output else ""
            if y in known:
                reasons[node.name or y] = known[y][1]
            elif y in attentions and y not in covered:
                reasons[node.name or y] = Difference(self.graph, self.chain, self.pooling, self.products, self.vectors,
                                                     attentions[y]).reason()
        return reasons

    def _products_within(self, y, x, products):
        """Those of the tensors `products` that are computed between tensors `x` and `y`."""
        base, found, pending, seen = self.pooling.source(x)[0], set(), [y], set()
        while pending and len(seen) < MOST_STEPS:
            name = pending.pop()
            if name in seen or name in self.vectors or self.pooling.source(name)[0] == base:
                continue
            seen.add(name)
            _, node = self.graph.maker(name)
            if name in products:
                found.add(name)
            elif node is not None and node.op_type in ENDINGS:
                pending.extend(node.input)
        return found
