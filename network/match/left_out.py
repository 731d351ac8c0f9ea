# SPDX-License-Identifier: Apache-2.0
"""Lists what is like a squeeze-and-excite block of a network but is none that is supported, with the reason."""

from collections.abc import Iterable, Iterator, Mapping

import onnx

from ...hdl.config import ConfigError
from ..read.graph import Graph
from ..read.names import unique
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
        self.parts = PooledVectors(graph, parts=True)

    def reasons(self, blocks: Iterable[tuple[str, str]], known: Mapping[str, tuple[str, str]]) -> dict[str, str]:
        """The reason for each that is no block, by the name of its product, in the graph's order.

        `blocks` are the output and the map x of each block; `known` maps such an output to x and to the matcher's own
        reason.
        """
        attentions = {found.product.output[0]: (vectors, found) for vectors in (self.parts, self.vectors)
                      for found in vectors.attentions()}
        covered = set()
        for y, x in (*blocks, *((y, x) for y, (x, _) in known.items())):
            covered |= self._products_within(y, x, attentions)
        reasons, names = {}, set()
        for node in self.graph.nodes:
            y = node.output[0] if node.output else ""
            if y in known:
                reasons[unique(node.name or y, names, "#")] = known[y][1]
            elif y in attentions and y not in covered:
                difference = Difference(self.graph, self.chain, self.pooling, self.products, *attentions[y])
                reasons[unique(node.name or y, names, "#")] = difference.reason()
            for product in _inner_products(self.graph, node, self.vectors.fixed):
                reasons[unique(product.name or product.output[0], names, "#")] = \
                    f"it is inside of {node.op_type} {node.name or y}"
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


def _inner_products(outer: Graph, node: onnx.NodeProto, fixed: Iterable[str]) -> Iterator[onnx.NodeProto]:
    """The products of a map and its gates in the graphs that are attributes of `node`, and in its function if that is
    not inlined, however deep.

    Tensors `fixed` of the graph `outer` are constants.
    """
    for graph in _inner_graphs(outer, node):
        # A function in a damaged model may call itself.
        functions = [function for function in outer.model.functions if function.name != node.op_type]
        model = onnx.ModelProto(opset_import=outer.model.opset_import, functions=functions)
        model.graph.CopyFrom(graph)
        given = {value.name for value in (*graph.input, *graph.initializer)}
        made = {name for inner in graph.node for name in inner.output}
        reads = {name for inner in graph.node for name in Graph.reads(inner)} - given - made
        model.graph.input.extend(onnx.ValueInfoProto(name=name) for name in sorted(reads))
        try:
            inner = Graph(model)
        except ConfigError:
            # The runtime reports an invalid graph when the model is run.
            continue
        inner.dims |= {name: outer.dims[name] for name in reads if name in outer.dims}
        vectors = PooledVectors(inner, reads.intersection(fixed))
        yield from (found.product for found in vectors.attentions())
        for deeper in inner.nodes:
            yield from _inner_products(inner, deeper, vectors.fixed)


def _inner_graphs(outer, node):
    """The graphs that are attributes of `node`, and the body of its function."""
    for attribute in node.attribute:
        yield from (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else []))
    for function in outer.model.functions:
        if (function.domain, function.name) == (node.domain, node.op_type):
            ends = [[onnx.ValueInfoProto(name=name) for name in names] for names in (function.input, function.output)]
            yield onnx.helper.make_graph(function.node, function.name, *ends)
