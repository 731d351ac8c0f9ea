# SPDX-License-Identifier: Apache-2.0
"""Nodes that hand on a vector of channels as it is, in whatever shape, and whether it then scales a map's channels."""

import onnx

from .graph import attributes

__all__ = ["FLOATS", "MOST_STEPS", "handed_on", "quantiser", "rounding", "scales_channels"]

SAME = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Dropout", "Expand")
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)
# How far numbers that were rounded to a type, or written as decimals, may be from what was meant, relative.
ROUNDING = {onnx.TensorProto.FLOAT16: 5e-4, onnx.TensorProto.BFLOAT16: 4e-3}
DECIMALS = 1e-4
# Nodes of one chain; real ones have ten.
MOST_STEPS = 64


def handed_on(graph, name):
    """The tensor one node back that has the numbers of tensor `name` in the same order; None where that isn't so."""
    node = graph.producer.get(name)
    if node is None or name != node.output[0]:
        return None
    operator = graph.default(node)
    if operator == "DequantizeLinear":
        # A quantised network rounds here; the block that it stands for doesn't.
        node = quantiser(graph, node)
        return node and node.input[0]
    if operator not in SAME or operator == "Cast" and attributes(node).get("to") not in FLOATS:
        return None
    if operator == "Transpose" and not _in_order(graph.dims.get(node.input[0]), attributes(node).get("perm")):
        return None
    return node.input[0]


def rounding(graph):
    """The relative rounding of the constants in `graph`, that of the coarsest type of them."""
    tensors = [*graph.initializers.values(),
               *(item.t for node in graph.nodes if graph.default(node) == "Constant" for item in node.attribute)]
    return max((ROUNDING.get(tensor.data_type, DECIMALS) for tensor in tensors), default=DECIMALS)


def quantiser(graph, node):
    """The QuantizeLinear before the DequantizeLinear `node`, or None."""
    before = graph.producer.get(node.input[0])
    return before if before is not None and graph.default(before) == "QuantizeLinear" else None


def _in_order(dims, perm):
    """Whether a Transpose only moves axes of 1, as far as the shape is known."""
    if dims is None:
        return True
    perm = range(len(dims))[::-1] if perm is None else perm
    large = [axis for axis in perm if axis < len(dims) and dims[axis] not in (None, 1)]
    return large == sorted(large)


def scales_channels(graph, name, channels, channels_last):
    """Whether a map times tensor `name` has its channels scaled, and not its rows or columns, as far as that is known.

    Parameters
    ----------
    channels : int
        How many the map has.
    channels_last : bool
        Whether the map is (N, H, W, C), not (N, C, H, W).
    """
    for _ in range(MOST_STEPS):
        node = graph.producer.get(name)
        if node is None or graph.default(node) != "Expand":
            break
        name = node.input[0]
    dims = graph.dims.get(name)
    if dims is None:
        return True
    if len(dims) > 4:
        return False
    dims = (1,) * (4 - len(dims)) + dims
    axis = 3 if channels_last else 1
    return dims[axis] in (None, channels) and all(dims[other] in (None, 1) for other in (1, 2, 3) if other != axis)
