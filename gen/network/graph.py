# SPDX-License-Identifier: Apache-2.0
"""A view of an ONNX graph: who makes a tensor, who reads it, which are constants, and how large it is."""

import functools
import heapq

import numpy as np
import onnx
from onnx import numpy_helper

from ...hdl.config import ConfigError

__all__ = ["Graph", "attributes", "subgraph_reads"]

DOMAINS = ("", "ai.onnx")
# Elements of a folded constant: weights of a layer are far smaller, and a file can ask for more.
MOST_FOLDED = 1 << 24
# Length of a chain of nodes that makes one constant.
MOST_DEEP = 32


def attributes(node):
    """The attributes of `node` by name, as Python values; graphs among them are left out."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute
            if a.type not in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)}


def subgraph_reads(node):
    """Names that the graphs in `node`'s attributes read, whoever makes them."""
    found, graphs = set(), [node]
    while graphs:
        for attribute in graphs.pop().attribute:
            for graph in (attribute.g, *attribute.graphs) if attribute.type in (
                    onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) else ():
                found.update(name for inner in graph.node for name in inner.input)
                found.update(output.name for output in graph.output)
                graphs.extend(graph.node)
    return found


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
        given = set(self.initializers) | {value.name for value in graph.input}
        given |= {tensor.values.name for tensor in graph.sparse_initializer}
        for node in graph.node:
            for name in filter(None, node.output):
                if name in self.producer or name in given:
                    raise ConfigError("model", name, "must be made by one node only")
                self.producer[name] = node
        self.nodes = self._sorted(given)
        for node in self.nodes:
            for name in self._reads(node):
                self.readers.setdefault(name, []).append(node)
        self.dims = {value.name: dims for value in (*graph.value_info, *graph.input, *graph.output)
                     if (dims := declared_dims(value)) is not None}
        self.dims |= {name: tuple(tensor.dims) for name, tensor in self.initializers.items()}
        self.constant = functools.cache(self._constant)

    @staticmethod
    def _reads(node):
        return {name for name in node.input if name} | (subgraph_reads(node) if node.attribute else set())

    def _sorted(self, given):
        waiting, readers, ready = {}, {}, []
        for index, node in enumerate(self.model.graph.node):
            needs = set()
            for name in self._reads(node):
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

    def _constant(self, name, depth=0):
        """What tensor `name` always is, as an array; None where that depends on the input or is no plain tensor."""
        if name in self.initializers:
            return _array(self.initializers[name])
        node = self.producer.get(name)
        if node is None or depth > MOST_DEEP or self.default(node) not in FOLDED:
            return None
        inputs = [self._constant(item, depth + 1) if item else None for item in node.input]
        if any(item and array is None for item, array in zip(node.input, inputs, strict=True)):
            return None
        if sum(array.size for array in inputs if array is not None) > MOST_FOLDED:
            return None
        try:
            result = np.asarray(FOLDED[self.default(node)](attributes(node), *inputs))
        except (ValueError, TypeError, KeyError, IndexError, ZeroDivisionError):
            # What makes no sense is no constant of ours; whoever runs the model will say so.
            return None
        return result if result.size <= MOST_FOLDED else None


def declared_dims(value):
    """The shape that a ValueInfoProto declares, None for open dimensions; None without a shape."""
    if value.type.WhichOneof("value") != "tensor_type" or not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.WhichOneof("value") == "dim_value" and dim.dim_value >= 0 else None
                 for dim in value.type.tensor_type.shape.dim)


def _array(tensor):
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _value(attribute):
    for name in ("value_float", "value_floats", "value_int", "value_ints"):
        if name in attribute:
            return np.array(attribute[name], np.float32 if "float" in name else np.int64)
    return _array(attribute["value"])


def _axes(attribute, axes):
    axes = attribute.get("axes") if axes is None else axes.tolist()
    return None if axes is None else tuple(axes)


def _cast(attribute, x):
    return x.astype(onnx.helper.tensor_dtype_to_np_dtype(attribute["to"]))


def _reshape(attribute, x, shape):
    return x.reshape([x.shape[i] if n == 0 and not attribute.get("allowzero") else n
                      for i, n in enumerate(shape.tolist())])


def _dequantise(attribute, x, scale, zero=0):
    form = [1] * x.ndim
    if scale.ndim == 1 and scale.size > 1:
        form[attribute.get("axis", 1)] = -1
    elif scale.ndim > 1:
        raise ValueError("blocks")
    return ((x.astype(np.int64) - np.asarray(zero, np.int64).reshape(form)) * scale.reshape(form)).astype(scale.dtype)


FOLDED = {
    "Constant": lambda attribute: _value(attribute),
    "Identity": lambda attribute, x: x,
    "Cast": _cast,
    "Reshape": _reshape,
    "Transpose": lambda attribute, x: x.transpose(attribute.get("perm")),
    "Squeeze": lambda attribute, x, axes=None: x.squeeze(_axes(attribute, axes)),
    "Unsqueeze": lambda attribute, x, axes=None: np.expand_dims(x, _axes(attribute, axes)),
    "DequantizeLinear": _dequantise,
    "Add": lambda attribute, a, b: a + b,
    "Sub": lambda attribute, a, b: a - b,
    "Mul": lambda attribute, a, b: a * b,
    "Neg": lambda attribute, a: -a,
}
