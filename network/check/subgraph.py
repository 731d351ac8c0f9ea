# SPDX-License-Identifier: Apache-2.0
"""A part of an ONNX network as a model of its own, in float32 and without rounding to integers.

Quantisers are read here apart from the matcher, so that a mistake on one side shows on the other.
"""

import re

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..match.activations import GATE_OPERATORS
from ..match.ranges import Ranges
from ..read.graph import Graph, attributes

__all__ = ["Subgraph", "NotSelfContained", "constant_error", "quantise_before", "unrounded"]

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
OTHER_FLOATS = ("float16", "float64", "bfloat16")
# Relative error of a number of each type, several times: constants are computed from constants.
ERRORS = {TensorProto.FLOAT16: 1e-3, TensorProto.BFLOAT16: 8e-3}
FLOAT_ERROR = 2e-5
# Real blocks have some dozens of nodes.
MOST_NODES = 512
# Upper ends of a quantiser's range that stand for a clip: those of ReLU6, and of a gate.
CLIPS = (1.0, 6.0)
LAYERS = ("Conv", "Gemm", "MatMul", "com.microsoft.FusedConv", "com.microsoft.FusedGemm")
LOGIT_READERS = (*GATE_OPERATORS.values(), "HardSigmoid")


class NotSelfContained(Exception):
    """The part can't be a model of its own; the text says why."""


class Subgraph:
    """The nodes that compute tensor `y` from the map in tensor `base` and from constants.

    Both ends of a quantiser that is in `ranges` clip. Raises :class:`NotSelfContained` if `y` depends on any other
    tensor's numbers, or not on `base`.
    """

    def __init__(self, graph: Graph, base: str, y: str, ranges: Ranges):
        self.graph, self.base, self.y, self.ranges = graph, base, y, ranges
        made, pending = {}, [y]
        while pending:
            name = pending.pop()
            if name == base or name in made or name in graph.initializers:
                continue
            node = graph.producer.get(name)
            if node is None:
                raise NotSelfContained(f"it depends on tensor {name}, too")
            if len(made) > MOST_NODES:
                raise NotSelfContained(f"it has more than {MOST_NODES} nodes")
            made |= dict.fromkeys(node.output, node)
            if graph.operator(node) != "Shape":
                pending += Graph.reads(node)
        self.inside = set(made) | {base}
        if not any(base in node.input for node in made.values()):
            raise NotSelfContained(f"it does not depend on tensor {base}")
        kept = {id(node) for node in made.values()}
        self.nodes = [node for node in graph.nodes if id(node) in kept]
        self.computed = {base}
        for node in self.nodes:
            if not self.computed.isdisjoint(Graph.reads(node)):
                self.computed.update(node.output)

    def model(self, taps: list[str], dims: tuple) -> onnx.ModelProto:
        """The model from `base`, float32 of shape `dims`, to tensors `taps`.

        Shapes of tensors outside are constants: the declared ones, where open the sizes of `dims`.
        """
        graph, nodes, constants = self.graph, [], []
        for node in self.nodes:
            if graph.operator(node) == "Shape" and node.input[0] not in self.inside:
                constants.append(self._shape(node, dims))
            elif self.computed.isdisjoint(node.output):
                # What is computed from constants has the network's own types, as these round it.
                nodes.append(node)
            else:
                nodes += self._single(node, constants)
        read = {name for node in nodes for name in Graph.reads(node)}
        constants += [tensor for name, tensor in graph.initializers.items() if name in read]
        source = graph.model.graph
        sparse = [tensor for tensor in source.sparse_initializer if tensor.values.name in read]
        model = helper.make_model(
            helper.make_graph(nodes, "block", [helper.make_tensor_value_info(self.base, TensorProto.FLOAT, dims)],
                              [onnx.ValueInfoProto(name=name) for name in taps], constants, sparse_initializer=sparse),
            opset_imports=graph.model.opset_import)
        model.ir_version = graph.model.ir_version
        return model

    def _shape(self, node, dims):
        declared = self.graph.dims.get(node.input[0])
        if declared is None:
            raise NotSelfContained(f"it depends on the shape of tensor {node.input[0]}, which is not known")
        same = len(declared) == len(dims)
        sizes = [(dims[axis] if same or axis == 0 else 1) if size is None else size
                 for axis, size in enumerate(declared)]
        attrs = attributes(node)
        return numpy_helper.from_array(np.array(sizes[attrs.get("start", 0):attrs.get("end")], np.int64),
                                       node.output[0])

    def _single(self, node, constants):
        """`node`, which computes something from `base`, as nodes in float32."""
        nodes = unrounded(self.graph, node, constants, self.ranges)
        if nodes != [node]:
            return nodes
        single, before = onnx.NodeProto(), []
        single.CopyFrom(node)
        for at, name in enumerate(node.input):
            kind = None if name in self.computed else self.graph.constant(name)
            if kind is not None and kind.dtype.name in OTHER_FLOATS:
                single.input[at] = f"{node.output[0]}/constant_{at}"
                before.append(helper.make_node("Cast", [name], [single.input[at]], to=TensorProto.FLOAT))
        for attribute in single.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type in FLOATS:
                value = numpy_helper.to_array(attribute.t).astype(np.float32)
                attribute.t.CopyFrom(numpy_helper.from_array(value, attribute.t.name))
            elif attribute.name in ("to", "dtype") and attribute.i in FLOATS:
                attribute.i = TensorProto.FLOAT
        return [*before, single]


def unrounded(graph: Graph, node: onnx.NodeProto, constants: list, ranges: Ranges) -> list[onnx.NodeProto]:
    """`node`; a DequantizeLinear of what was quantised with the same numbers becomes the clip of its range, in float32.

    New constants are appended to `constants`. Both ends clip if the quantiser is in `ranges`. Of another an end clips
    where it is that of a function: below 0.0, and above 1 or 6 after a layer.
    """
    before = quantise_before(graph, node) if graph.operator(node) == "DequantizeLinear" else None
    if before is not None and graph.operator(before) == "QuantizeLinear":
        ends = _ends(graph, before, node, node.output[0] in ranges.tensors)
        if ends is not None:
            return _clip(before.input[0], node.output[0], *ends, constants)
    return [node]


def quantise_before(graph: Graph, node: onnx.NodeProto) -> onnx.NodeProto | None:
    """The node that makes the integers of the DequantizeLinear `node`, whether or not a Clip of integers follows it."""
    clip = _clip_of_integers(graph, node)
    before = graph.producer.get((node if clip is None else clip).input[0])
    # In float32, which holds all integers of 16 bits, where no Clip takes these.
    cast = clip is not None and before is not None and graph.operator(before) == "Cast" and \
        attributes(before).get("to") == TensorProto.FLOAT
    return graph.producer.get(before.input[0]) if cast else before


def _clip_of_integers(graph, node):
    """The Clip whose integers the DequantizeLinear `node` reads, perhaps by a Cast from float32; else None."""
    before = graph.producer.get(node.input[0])
    if before is not None and graph.operator(before) == "Cast":
        before = graph.producer.get(before.input[0])
    return before if before is not None and graph.operator(before) == "Clip" else None


def _clip(source, result, low, high, constants):
    """Nodes for ``result = min(max(source, low), high)``; an end that is None stays open."""
    nodes = []
    for operator, end in (("Max", low), ("Min", high)):
        if end is not None:
            bound = f"{result}/{operator}"
            constants.append(numpy_helper.from_array(np.float32(end), bound))
            nodes.append(helper.make_node(operator, [nodes[-1].output[0] if nodes else source, bound],
                                          [f"{result}/clipped" if operator == "Max" and high is not None else result],
                                          bound))
    return nodes or [helper.make_node("Identity", [source], [result], f"{result}/Identity")]


def _ends(graph, quantise, dequantise, both):
    """``(low, high)`` of the clip, None for an end that does not; only None if the pair may do more."""
    numbers = _numbers(graph, quantise)
    if numbers is None or numbers != _numbers(graph, dequantise):
        return None
    step, zero, lowest, highest = numbers
    clip = _clip_of_integers(graph, dequantise)
    if clip is not None:
        lowest, highest = (int(graph.constant(name).item()) for name in clip.input[1:3])
    if both:
        return (lowest - zero) * step, (highest - zero) * step
    low = 0.0 if zero == lowest else None
    high = next((end for end in CLIPS if abs((highest - zero) * step - end) <= step / 2), None)
    readers = map(graph.operator, graph.readers.get(dequantise.output[0], ()))
    clips = low is not None and _after_layer(graph, quantise.input[0]) and not any(
        operator in LOGIT_READERS for operator in readers)
    return low, high if clips else None


def _numbers(graph, node):
    """``(scale, zero point, lowest, highest)`` of a QuantizeLinear or DequantizeLinear; None if not known."""
    scale, zero = (graph.constant(node.input[at]) if len(node.input) > at and node.input[at] else None for at in (1, 2))
    if scale is None or not scale.size or (scale != scale.flat[0]).any():
        return None
    # One for each channel may be the same for all.
    scale = scale.reshape(-1)[:1]
    if zero is None:
        missing = len(node.input) < 3 or not node.input[2]
        plain = attributes(node).get("output_dtype", 0) in (0, TensorProto.UINT8)
        return (float(scale.item()), 0, 0, 255) if missing and plain else None
    integer = re.fullmatch(r"(u?)int(\d+)", zero.dtype.name)
    if not zero.size or (zero != zero.flat[0]).any() or not integer:
        return None
    unsigned, bits = bool(integer[1]), int(integer[2])
    lowest = 0 if unsigned else -(1 << bits - 1)
    return float(scale.item()), int(zero.flat[0]), lowest, lowest + (1 << bits) - 1


def _after_layer(graph, name):
    """Whether tensor `name` is computed with a layer, as far back as vectors go."""
    for _ in range(16):
        node = graph.producer.get(name)
        if node is None or graph.operator(node) in LAYERS:
            return node is not None
        name = node.input[0]
    return False


def constant_error(graph: Graph, nodes: list[onnx.NodeProto]) -> float:
    """The relative error that constants of `nodes` have by their types."""
    tensors = [graph.initializers[name] for node in nodes for name in node.input if name in graph.initializers]
    tensors += [attribute.t for node in nodes for attribute in node.attribute
                if attribute.type == onnx.AttributeProto.TENSOR]
    return max((ERRORS.get(tensor.data_type, FLOAT_ERROR) for tensor in tensors), default=FLOAT_ERROR)
