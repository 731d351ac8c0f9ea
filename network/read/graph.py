# SPDX-License-Identifier: Apache-2.0
"""A view of an ONNX graph: who makes a tensor, who reads it, which are constants, and how large it is."""

import collections
import functools
import heapq

import onnx

from ...hdl.config import ConfigError
from .folding import FOLDED, array_of, folded

__all__ = ["Graph", "attributes", "subgraph_reads"]

DOMAINS = ("", "ai.onnx")
# Length of a chain of nodes that makes one constant.
MOST_DEEP = 32


def attributes(node):
    """The attributes of `node` by name, as Python values; graphs among them are left out."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute
            if a.type not in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)}


def subgraph_reads(node):
    """Names that the graphs in `node`'s attributes read of what is around them."""
    found = set()
    for attribute in node.attribute:
        if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
            for graph in (attribute.g, *attribute.graphs):
                found |= _reads_outside(graph)
    return found


def _reads_outside(graph):
    # Exporters call what a branch makes as they call what the whole makes.
    own = {tensor.name for tensor in (*graph.initializer, *graph.input)}
    own |= {tensor.values.name for tensor in graph.sparse_initializer}
    own |= {name for node in graph.node for name in node.output}
    read = {value.name for value in graph.output}
    for node in graph.node:
        read.update(node.input, subgraph_reads(node))
    return read - own - {""}


class Graph:
    """The main graph of `model`.

    Attributes
    ----------
    model : onnx.ModelProto
    opset : int
        Version of the default operator set.
    nodes : list of onnx.NodeProto
        In an order in which every node follows what it reads.
    producer : dict of str to NodeProto
        By tensor.
    readers : dict of str to list of NodeProto
        By tensor; a node that reads it in a graph of its own counts.
    outputs : set of str
    dims : dict of str to tuple
        Declared shapes; None for what is open in them.

    Raises
    ------
    ConfigError
        ("model") where nodes form a cycle, a tensor has two makers, or none.
    """

    def __init__(self, model):
        self.model = model
        self.opset = next((item.version for item in model.opset_import if item.domain in DOMAINS), 0)
        graph = model.graph
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.outputs = {output.name for output in graph.output}
        self.producer, self.readers = {}, {}
        constants = [*(tensor.name for tensor in graph.initializer),
                     *(tensor.values.name for tensor in graph.sparse_initializer)]
        inputs = [value.name for value in graph.input]
        _check_unique(constants)
        _check_unique(inputs)
        given = {*constants, *inputs}
        for node in graph.node:
            for name in filter(None, node.output):
                if name in self.producer or name in given:
                    raise ConfigError("model", name, "must be made by one node only")
                self.producer[name] = node
        self.nodes = self._sorted(given)
        for node in self.nodes:
            for name in self.reads(node):
                self.readers.setdefault(name, []).append(node)
        self.dims = {value.name: dims for value in (*graph.value_info, *graph.input, *graph.output)
                     if (dims := declared_dims(value)) is not None}
        self.dims |= {name: tuple(tensor.dims) for name, tensor in self.initializers.items()}
        self._foldable = self._chains()
        self.constant = functools.cache(self._constant)

    @staticmethod
    def reads(node):
        """Names of the tensors that `node` takes, those included that graphs in its attributes take from outside."""
        return {name for name in node.input if name} | (subgraph_reads(node) if node.attribute else set())

    def _sorted(self, given):
        waiting, readers, ready = {}, {}, []
        for index, node in enumerate(self.model.graph.node):
            needs = set()
            for name in self.reads(node):
                if name in self.producer:
                    needs.add(name)
                elif name in node.input and name not in given:
                    raise ConfigError("model", name, "is read, but nothing makes it")
            waiting[index] = len(needs)
            for name in needs:
                readers.setdefault(name, []).append(index)
            if not needs:
                ready.append(index)
        order = []
        # A heap keeps the file's order wherever that is one.
        while ready:
            node = self.model.graph.node[heapq.heappop(ready)]
            order.append(node)
            for reader in (index for name in set(filter(None, node.output)) for index in readers.get(name, ())):
                waiting[reader] -= 1
                if not waiting[reader]:
                    heapq.heappush(ready, reader)
        if len(order) < len(waiting):
            raise ConfigError("model", f"{len(waiting) - len(order)} nodes", "must not wait for each other in a cycle")
        return order

    def default(self, node):
        """The node's operator, if it is of the default set; "DOMAIN.OPERATOR" otherwise."""
        return node.op_type if node.domain in DOMAINS else f"{node.domain}.{node.op_type}"

    def _chains(self):
        """By tensor that nodes make of constants alone, how many they are one after the other."""
        lengths = dict.fromkeys(self.initializers, 0)
        for node in self.nodes:
            if self.default(node) in FOLDED and any(node.output[:1]):
                length = 1 + max((lengths.get(name, MOST_DEEP) for name in node.input if name), default=0)
                if length <= MOST_DEEP:
                    lengths[node.output[0]] = length
        return lengths

    def _constant(self, name):
        """What tensor `name` always is, as an array; None where that depends on the input or is no plain tensor."""
        if name in self.initializers:
            return array_of(self.initializers[name])
        if name not in self._foldable:
            return None
        node = self.producer[name]
        inputs = [self.constant(item) if item else None for item in node.input]
        if any(item and array is None for item, array in zip(node.input, inputs, strict=True)):
            return None
        return folded(self.default(node), attributes(node), inputs)


def _check_unique(names):
    if len(set(names)) < len(names):
        name = next(name for name, count in collections.Counter(names).items() if count > 1)
        raise ConfigError("model", name, "must be the name of one input or constant only")


def declared_dims(value):
    """The shape that a ValueInfoProto declares, None for open dimensions; None without a shape."""
    if value.type.WhichOneof("value") != "tensor_type" or not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.WhichOneof("value") == "dim_value" and dim.dim_value >= 0 else None
                 for dim in value.type.tensor_type.shape.dim)
