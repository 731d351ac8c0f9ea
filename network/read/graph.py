# SPDX-License-Identifier: Apache-2.0
"""An ONNX graph with what the matcher asks of it: which node makes a tensor, which read it, constants and shapes."""

import collections
import functools
import graphlib
import heapq

import numpy as np
import onnx

from ...hdl.config import ConfigError
from .folding import FOLDED, array_of, folded

__all__ = ["Graph", "attributes", "declared_dims", "declared_types", "default_operator"]

DEFAULT_DOMAINS = ("", "ai.onnx")
# Operators that onnxruntime also has in a domain of its own, for types that older default operator sets lack.
ALSO_MICROSOFT = ("QuantizeLinear", "DequantizeLinear")
# Length of a chain of nodes that makes one constant.
MOST_DEEP = 32


def attributes(node: onnx.NodeProto) -> dict:
    """The attributes of `node` by name, as Python values, without those that are graphs."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute
            if a.type not in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)}


def default_operator(node: onnx.NodeProto) -> bool:
    """Whether `node` has an operator of the default operator set, or the same one of onnxruntime's own domain."""
    return node.domain in DEFAULT_DOMAINS or node.domain == "com.microsoft" and node.op_type in ALSO_MICROSOFT


class Graph:
    """The main graph of `model`.

    By a tensor's name: ``initializers``, TensorProtos; ``producer``, the node that makes it; ``readers``, the nodes
    that read it, also within graphs in their attributes; ``dims``, its declared shape, a tuple with None for an open
    dimension; ``axis_names``, the declared names of its axes, a tuple with "" for none; ``element_types``,
    the declared type of its numbers. ``outputs`` are names. ``nodes`` are in an order in which every node comes after
    the nodes that it reads. ``opset`` is the version of the default operator set.

    Raises ConfigError ("model") if nodes form a cycle, or if a tensor that is read is made by no node or by two.
    """

    def __init__(self, model: onnx.ModelProto):
        self.model = model
        self.opset = next((item.version for item in model.opset_import if item.domain in DEFAULT_DOMAINS), 0)
        graph = model.graph
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.outputs = {output.name for output in graph.output}
        self.producer: dict = {}
        self.readers: dict = {}
        constants = [*(tensor.name for tensor in graph.initializer),
                     *(tensor.values.name for tensor in graph.sparse_initializer)]
        inputs = [value.name for value in graph.input]
        for names in (constants, inputs):
            for name, count in collections.Counter(names).items():
                if count > 1:
                    raise ConfigError("model", name, "must be the name of one input or constant only")
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
        self.axis_names = {value.name: tuple(dim.dim_param for dim in value.type.tensor_type.shape.dim)
                           for value in (*graph.value_info, *graph.input, *graph.output)}
        self.element_types = declared_types(graph)
        self.dims |= {name: tuple(tensor.dims) for name, tensor in self.initializers.items()}
        self._foldable = self._constant_chains()
        self.constant = functools.cache(self._constant)

    @property
    def inputs(self) -> list:
        """The ValueInfoProto of each input of the network; old files list their constants as inputs, too."""
        return [value for value in self.model.graph.input if value.name not in self.initializers]

    @staticmethod
    def reads(node: onnx.NodeProto) -> set[str]:
        """Names of the tensors that `node` reads, also within graphs in its attributes."""
        names = set(node.input)
        for attribute in node.attribute:
            if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
                for graph in (attribute.g, *attribute.graphs):
                    # A branch may give its own tensor the name of a tensor outside, as exporters do for the result.
                    own = {tensor.name for tensor in (*graph.initializer, *graph.input)}
                    own |= {tensor.values.name for tensor in graph.sparse_initializer}
                    own.update(*(inner.output for inner in graph.node))
                    read = {value.name for value in graph.output}
                    names |= read.union(*map(Graph.reads, graph.node)) - own
        return names - {""}

    def _sorted(self, given):
        nodes = self.model.graph.node
        index_of = {name: index for index, node in enumerate(nodes) for name in node.output}
        needs = {}
        for index, node in enumerate(nodes):
            reads = self.reads(node)
            needs[index] = {index_of[name] for name in reads if name in self.producer}
            for name in node.input:
                if name in reads - given and name not in self.producer:
                    raise ConfigError("model", name, "is read, but no node makes it")
        sorter = graphlib.TopologicalSorter(needs)
        try:
            sorter.prepare()
        except graphlib.CycleError as error:
            raise ConfigError("model", f"{len(error.args[1]) - 1} nodes",
                              "must not depend on each other in a cycle") from None
        order, ready = [], []
        # The heap keeps the file's order wherever it is a valid one.
        while sorter.is_active():
            for index in sorter.get_ready():
                heapq.heappush(ready, index)
            index = heapq.heappop(ready)
            order.append(nodes[index])
            sorter.done(index)
        return order

    def operator(self, node: onnx.NodeProto) -> str:
        """The node's operator: its name alone in the default operator set, else "DOMAIN.NAME".

        onnxruntime's own forms of QuantizeLinear and DequantizeLinear are these, too.
        """
        return node.op_type if default_operator(node) else f"{node.domain}.{node.op_type}"

    def maker(self, name: str) -> tuple:
        """``(operator, node)`` that makes tensor `name`; (None, None) for an input or a constant."""
        node = self.producer.get(name)
        return (None, None) if node is None else (self.operator(node), node)

    def constants_between(self, x: str, y: str) -> set[str]:
        """Names of the initializers that `y` is computed with, a tensor, but for those that only tensor `x` needs."""
        return self.needed(y, self.needed(x) - self._foldable.keys()) & self.initializers.keys()

    def needed(self, name, stops=frozenset()):
        """Names of all tensors that tensor `name` is computed from, and itself, but not further than those in `stops`.
        """
        found, pending = {name}, [name]
        while pending:
            node = self.producer.get(pending.pop())
            read = set() if node is None else self.reads(node) - found - stops
            found |= read
            pending += read
        return found

    def _constant_chains(self):
        """Number of nodes in a row that compute each tensor which depends on constants alone."""
        lengths = dict.fromkeys(self.initializers, 0)
        for node in self.nodes:
            if self.operator(node) in FOLDED and any(node.output[:1]):
                length = 1 + max((lengths.get(name, MOST_DEEP) for name in node.input if name), default=0)
                if length <= MOST_DEEP:
                    lengths[node.output[0]] = length
        return lengths

    def _constant(self, name: str) -> np.ndarray | None:
        """The value of tensor `name`; None if it depends on the network's input or is not a plain tensor."""
        if name in self.initializers:
            return array_of(self.initializers[name])
        if name not in self._foldable:
            return None
        node = self.producer[name]
        inputs = [self.constant(item) if item else None for item in node.input]
        if any(item and array is None for item, array in zip(node.input, inputs, strict=True)):
            return None
        return folded(self.operator(node), attributes(node), inputs)


def declared_types(graph: onnx.GraphProto) -> dict[str, int]:
    """The declared element type of each tensor, where it is known."""
    return {value.name: kind for value in (*graph.value_info, *graph.input, *graph.output)
            if (kind := value.type.tensor_type.elem_type)}


def declared_dims(value: onnx.ValueInfoProto) -> tuple | None:
    """The declared shape of a tensor, with None for open dimensions; None if no shape is declared."""
    if value.type.WhichOneof("value") != "tensor_type" or not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.WhichOneof("value") == "dim_value" and dim.dim_value >= 0 else None
                 for dim in value.type.tensor_type.shape.dim)
