# SPDX-License-Identifier: Apache-2.0
"""How a reason spells nodes and sizes."""

from collections.abc import Iterable

import numpy as np
import onnx

from ..read.graph import Graph

__all__ = ["MOVING", "label", "spelt", "times", "without_moving"]

# Operators that change the order of a vector's numbers, or its type.
MOVING = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Expand", "Dropout", "Cast")
# Operators that a reason names.
MOST_NAMED = 12


def label(node: onnx.NodeProto) -> str:
    """Operator and name of `node`, or of its output if it has no name."""
    return f"{node.op_type} {node.name or node.output[0]}"


def times(sizes: Iterable[int | None]) -> str:
    """Sizes such as "1x6x?x5"."""
    return "x".join("?" if size is None else str(size) for size in sizes)


def without_moving(nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes that compute something."""
    return [node for node in nodes if node.op_type not in (*MOVING, "DequantizeLinear")]


def spelt(graph: Graph, nodes: Iterable[onnx.NodeProto]) -> str:
    """The operators of `nodes`, in order."""
    names = [_operator(graph, node) for node in nodes]
    return ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")


def _operator(graph, node):
    """The operator's name; of a QuantizeLinear, with the range that it cuts to."""
    if node.op_type == "QuantizeLinear":
        scale, zero = (graph.constant(name) for name in (*node.input[1:3], "")[:2])
        if scale is not None and scale.size == 1 and (zero is None or zero.dtype.kind in "iu"):
            ends = np.iinfo(np.uint8 if zero is None else zero.dtype)
            start = 0 if zero is None else int(zero.flat[0])
            low, high = ((end - start) * float(scale.flat[0]) for end in (ends.min, ends.max))
            return f"QuantizeLinear to {low:.4g} .. {high:.4g}"
    return node.op_type
