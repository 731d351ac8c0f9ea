# SPDX-License-Identifier: Apache-2.0
"""Writes operators as others that compute the same: a CastLike as a Cast, and layers without their activations.

onnxruntime fuses these in models that it optimises and saves.
"""

import copy

import onnx
from onnx import helper

from ..read.graph import Graph, attributes
from ..read.shapes import infer, inferred

__all__ = ["unfused"]

FUSED = {"com.microsoft.FusedConv": "Conv", "com.microsoft.FusedGemm": "Gemm"}
# Activations, and the attributes that hold their parameters.
PARAMETERS = {"Relu": (), "Sigmoid": (), "Tanh": (), "HardSigmoid": ("alpha", "beta"), "LeakyRelu": ("alpha",),
              "Clip": ("min", "max")}


def unfused(graph: Graph) -> Graph:
    """A graph with the same tensors and shapes, and with no layer that is fused with an activation.

    Nor is there a CastLike to a type that is known. It is `graph` itself if it has none of these.
    """
    operators = set(map(graph.operator, graph.nodes))
    if operators.isdisjoint((*FUSED, "CastLike")):
        return graph
    types = _types(graph.model) if "CastLike" in operators else {}
    model = copy.deepcopy(graph.model)
    nodes = [part for node in graph.model.graph.node for part in _parts(graph, node, types)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    split = Graph(model)
    # Inference knows no fused layers: after them no shape was known.
    split.element_types = graph.element_types | split.element_types
    split.dims = infer(split) | {name: dims for name, dims in graph.dims.items() if dims is not None}
    return split


def _types(model):
    """The element types of tensors by name, as far as they can be inferred."""
    try:
        graph = inferred(model).graph
    except (onnx.shape_inference.InferenceError, ValueError):
        graph = model.graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def _parts(graph, node, types):
    """The nodes that `node` stands for."""
    if graph.operator(node) == "CastLike" and len(node.input) == 2 and types.get(node.input[1]):
        return [helper.make_node("Cast", node.input[:1], node.output, node.name, to=types[node.input[1]],
                                 **attributes(node))]
    operator, attrs = FUSED.get(graph.operator(node)), attributes(node)
    activation = attrs.pop("activation", b"").decode()
    # A fourth input is added before the activation: such a node stays fused.
    if operator is None or activation not in PARAMETERS or len(node.input) > 3:
        return [node]
    values = attrs.pop("activation_params", [attrs.pop(f"activation_{name}", None) for name in ("alpha", "beta")])
    parameters = {name: value for name, value in zip(PARAMETERS[activation], values, strict=False) if value is not None}
    inner = f"{node.output[0]}/unfused"
    return [helper.make_node(operator, node.input, [inner], node.name, **attrs),
            helper.make_node(activation, [inner], node.output, f"{node.name}/{activation}", **parameters)]
