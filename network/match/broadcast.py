# SPDX-License-Identifier: Apache-2.0
"""Nodes that hand on a vector of channels as it is, in whatever shape, and whether it then scales a map's channels."""

import onnx

from ..read.graph import attributes

__all__ = ["FLOATS", "MOST_STEPS", "handed_on", "idle_cast", "quantiser", "scales_channels", "uniform"]

SAME = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Dropout", "Expand")
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)
# Operators whose results have the type of each operand.
ONE_TYPE = ("Add", "Clip", "Conv", "Div", "Gemm", "HardSigmoid", "MatMul", "Mul", "Relu", "Sigmoid", "Sub")
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


def idle_cast(graph, node):
    """Whether `node` is a Cast of a tensor to the type that it has already, as the nodes and constants before tell."""
    if graph.default(node) != "Cast":
        return False
    waiting = [node.input[0]]
    for _ in range(MOST_STEPS):
        name = waiting.pop() if waiting else ""
        array, before = graph.constant(name), graph.producer.get(name)
        if array is not None:
            return onnx.helper.np_dtype_to_tensor_dtype(array.dtype) == attributes(node).get("to")
        if before is not None and graph.default(before) == "Cast":
            return attributes(before).get("to") == attributes(node).get("to")
        waiting.extend(before.input if before is not None and graph.default(before) in ONE_TYPE else ())
    return False


def uniform(graph, array, name):
    """Whether the constant `array` is one number many times, and tensor `name` keeps its shape when combined with it,
    as far as that is declared."""
    dims = graph.dims.get(name)
    if dims is None or array.ndim > len(dims) or not (array == array.flat[0]).all():
        return False
    return all(size in (1, dim) for size, dim in zip(array.shape[::-1], dims[::-1], strict=False))


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
