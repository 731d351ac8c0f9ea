# SPDX-License-Identifier: Apache-2.0
"""Layers that onnxruntime has fused with their activations when it saved an optimised model, as two nodes again."""

import onnx
from onnx import helper

from ..read.graph import Graph, attributes

__all__ = ["unfused"]

FUSED = {"com.microsoft.FusedConv": "Conv", "com.microsoft.FusedGemm": "Gemm"}
# Attributes that the parameters of an activation are.
PARAMETERS = {"Relu": (), "Sigmoid": (), "Tanh": (), "HardSigmoid": ("alpha", "beta"), "LeakyRelu": ("alpha",),
              "Clip": ("min", "max")}


def unfused(graph):
    """`graph`, or one with the same tensors and shapes in which no layer is fused with an activation."""
    if not any(graph.default(node) in FUSED for node in graph.nodes):
        return graph
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    nodes = [part for node in model.graph.node for part in _parts(graph, node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    found = Graph(model)
    found.dims = graph.dims | found.dims
    return found


def _parts(graph, node):
    """The nodes that `node` stands for."""
    operator, about = FUSED.get(graph.default(node)), attributes(node)
    activation = about.pop("activation", b"").decode()
    # A fourth input is added before the activation.
    if operator is None or activation not in PARAMETERS or len(node.input) > 3:
        return [_copy(node)]
    values = about.pop("activation_params", [about.pop(f"activation_{name}", None) for name in ("alpha", "beta")])
    parameters = {name: value for name, value in zip(PARAMETERS[activation], values, strict=False) if value is not None}
    inner = f"{node.output[0]}/unfused"
    return [helper.make_node(operator, node.input, [inner], node.name, **about),
            helper.make_node(activation, [inner], node.output, f"{node.name}/{activation}", **parameters)]


def _copy(node):
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    return copied
