# SPDX-License-Identifier: Apache-2.0
"""Nodes that pass a tensor's numbers on unchanged, and what a tensor does to a feature map that it is combined with."""

from collections.abc import Callable, Collection

import numpy as np
import onnx

from ..read.graph import Graph, attributes

__all__ = ["MOST_STEPS", "keeps_shape", "origin", "passed_on", "quantiser", "redundant_cast", "scales_channels",
           "vector_passed_on"]

# Operators that keep the order of a vector's numbers, whatever its shape becomes.
RESHAPING = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Dropout", "Expand")
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)
# Operators whose results have the type of each operand.
ONE_TYPE = ("Add", "Clip", "Conv", "Div", "Gemm", "HardSigmoid", "MatMul", "Mul", "Relu", "Sigmoid", "Sub")
# Nodes in a row; real blocks have ten.
MOST_STEPS = 64


def origin(step: Callable[[str], str | None], name: str) -> str:
    """The tensor that repeated `step` leads to from tensor `name`: the first without a next one."""
    for _ in range(MOST_STEPS):
        before = step(name)
        if before is None:
            break
        name = before
    return name


def passed_on(graph: Graph, name: str, operators: Collection[str]) -> str | None:
    """The tensor whose numbers the maker of tensor `name` passes on, if that is one of `operators`; else None.

    A pair of QuantizeLinear and DequantizeLinear always passes its numbers on: a quantised network rounds there, the
    float block that it stands for does not. A Cast does so only to a float type.
    """
    operator, node = graph.maker(name)
    if node is None or name != node.output[0]:
        return None
    if operator == "DequantizeLinear":
        node = quantiser(graph, node)
        return node and node.input[0]
    if operator not in operators or operator == "Cast" and attributes(node).get("to") not in FLOATS:
        return None
    return node.input[0]


def vector_passed_on(graph: Graph, name: str) -> str | None:
    """The same for a vector, whose shape may change: the tensor that has its numbers in the same order."""
    before = passed_on(graph, name, RESHAPING)
    operator, node = graph.maker(name)
    if operator == "Transpose" and not _in_order(graph.dims.get(node.input[0]), attributes(node).get("perm")):
        return None
    return before


def _in_order(dims, perm):
    """Whether a Transpose by `perm` only moves axes of size 1, as far as the shape is known."""
    if dims is None:
        return True
    perm = range(len(dims))[::-1] if perm is None else perm
    large = [axis for axis in perm if axis < len(dims) and dims[axis] not in (None, 1)]
    return large == sorted(large)


def quantiser(graph: Graph, node: onnx.NodeProto) -> onnx.NodeProto | None:
    """The QuantizeLinear before the DequantizeLinear `node`, or None."""
    operator, before = graph.maker(node.input[0])
    return before if operator == "QuantizeLinear" else None


def redundant_cast(graph: Graph, node: onnx.NodeProto) -> bool:
    """Whether `node` is a Cast to the type that its tensor already has, as far as the nodes before it tell."""
    if graph.operator(node) != "Cast":
        return False
    to, pending = attributes(node).get("to"), [node.input[0]]
    for _ in range(MOST_STEPS):
        name = pending.pop() if pending else ""
        array, (operator, before) = graph.constant(name), graph.maker(name)
        if array is not None:
            return onnx.helper.np_dtype_to_tensor_dtype(array.dtype) == to
        if operator == "Cast":
            return attributes(before).get("to") == to
        pending.extend(before.input if operator in ONE_TYPE else ())
    return False


def keeps_shape(graph: Graph, array: np.ndarray, name: str) -> bool:
    """Whether the constant `array` holds one number, and combining it with tensor `name` keeps that tensor's shape.

    False if the tensor's shape is not known.
    """
    dims = graph.dims.get(name)
    if dims is None or array.ndim > len(dims) or not (array == array.flat[0]).all():
        return False
    return all(size in (1, dim) for size, dim in zip(array.shape[::-1], dims[::-1], strict=False))


def scales_channels(graph: Graph, name: str, channels: int, channels_last: bool) -> bool:
    """Whether tensor `name` scales the channels of a map, and not its rows or columns, as far as its shape is known.

    The map has `channels` channels; it is (N, H, W, C) if `channels_last`, else (N, C, H, W).
    """
    dims = graph.dims.get(origin(lambda name: passed_on(graph, name, ["Expand"]), name))
    if dims is None:
        return True
    if len(dims) > 4:
        return False
    dims = (1,) * (4 - len(dims)) + dims
    axis = 3 if channels_last else 1
    return dims[axis] in (None, channels) and all(dims[other] in (None, 1) for other in (1, 2, 3) if other != axis)
