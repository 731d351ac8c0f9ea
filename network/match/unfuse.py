# SPDX-License-Identifier: Apache-2.0
"""Splits layers that onnxruntime fused with their activations, in a model that it optimised and saved."""

import copy

from onnx import helper

from ..read.graph import Graph, attributes
from ..read.shapes import infer

__all__ = ["unfused"]

FUSED = {"com.microsoft.FusedConv": "Conv", "com.microsoft.FusedGemm": "Gemm"}
# Activations, and the attributes that hold their parameters.
PARAMETERS = {"Relu": (), "Sigmoid": (), "Tanh": (), "HardSigmoid": ("alpha", "beta"), "LeakyRelu": ("alpha",),
              "Clip": ("min", "max")}


def unfused(graph: Graph) -> Graph:
    """A graph with the same tensors and shapes in which no layer is fused with an activation; `graph` if none is."""
    if not any(graph.operator(node) in FUSED for node in graph.nodes):
        return graph
    model = copy.deepcopy(graph.model)
    nodes = [part for node in graph.model.graph.node for part in _parts(graph, node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    split = Graph(model)
    # Inference knows no fused layers: after them no shape was known.
    split.dims = infer(split) | {name: dims for name, dims in graph.dims.items() if dims is not None}
    return split


def _parts(graph, node):
    """The nodes that `node` stands for."""
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
