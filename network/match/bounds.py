# SPDX-License-Identifier: Apache-2.0
"""Bounds on the numbers in the tensors of an ONNX graph: which of them can't be negative."""

import math

from ..read.graph import Graph, attributes
from ..read.storage import is_float
from .quantisers import ANY, number_range, undone_quantiser

__all__ = ["ANY", "Bounds", "computed_bounds"]

Bounds = tuple[float, float]
# Operators whose results are numbers of their first input or means of them.
PASSED = frozenset((
    "Identity Transpose Reshape Flatten Squeeze Unsqueeze Expand Slice Gather Split Tile DepthToSpace SpaceToDepth "
    "MaxPool GlobalMaxPool GlobalAveragePool ReduceMean ReduceMax ReduceMin").split())
# The same with zeros beside them.
PADDED = frozenset(("AveragePool", "Dropout", "Pad", "Resize", "Upsample"))
FIXED = {"Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0), "Softmax": (0.0, 1.0), "Tanh": (-1.0, 1.0),
         "Erf": (-1.0, 1.0), "Exp": (0.0, math.inf), "Softplus": (0.0, math.inf), "Abs": (0.0, math.inf),
         "Sqrt": (0.0, math.inf)}
# Elements of a constant that are looked at.
MOST_ELEMENTS = 1 << 16


def computed_bounds(graph: Graph) -> dict[str, Bounds]:
    """``(lowest, highest)`` by tensor name; what is not listed may be any number."""
    bounds: dict = {}

    def of(name):
        if name not in bounds and name not in graph.producer:
            array = graph.constant(name) if name in graph.initializers else None
            small = array is not None and 0 < array.size <= MOST_ELEMENTS and is_float(array.dtype)
            bounds[name] = (float(array.min()), float(array.max())) if small else ANY
        return bounds.get(name, ANY)

    for node in graph.nodes:
        operator = graph.operator(node)
        array = graph.constant(node.output[0]) if operator == "Constant" and any(node.output) else None
        if array is not None and array.size and is_float(array.dtype):
            bounds[node.output[0]] = float(array.min()), float(array.max())
        elif node.input:
            result = _bounds(graph, operator, node, of)
            if result is not None and not any(map(math.isnan, result)):
                bounds |= dict.fromkeys(node.output, result)
    return bounds


def _bounds(graph, operator, node, of):
    """The bounds of the results of `node`, or None; ``of(name)`` gives those of its inputs."""
    low, high = of(node.input[0])
    if operator in FIXED:
        return FIXED[operator]
    if operator in PASSED:
        return low, high
    if operator in PADDED:
        attrs = attributes(node)
        # A cubic Resize overshoots, a Dropout in training scales, and a Pad may have another number.
        if attrs.get("mode") == b"cubic" or operator == "Pad" and (len(node.input) > 2 or "value" in attrs) or \
                operator == "Dropout" and len(node.input) > 2 or attrs.get("extrapolation_value"):
            return (0.0, math.inf) if operator == "Dropout" and low >= 0 else None
        return min(low, 0.0), max(high, 0.0)
    if operator == "Relu":
        return max(low, 0.0), max(high, 0.0)
    if operator == "Clip":
        return _clipped(graph, node, low, high)
    if operator == "Cast":
        # A float stays on its side of zero.
        return (0.0 if low >= 0 else -math.inf), (0.0 if high <= 0 else math.inf)
    if operator == "ReduceSum":
        return (0.0 if low >= 0 else -math.inf), (0.0 if high <= 0 else math.inf)
    if operator in ("Neg", "Reciprocal"):
        return (-high, -low) if operator == "Neg" else (0.0, math.inf) if low >= 0 else None
    if operator == "Concat":
        ends = [of(name) for name in node.input]
        return min(end for end, _ in ends), max(end for _, end in ends)
    if operator in ("Max", "Min"):
        function, ends = (max if operator == "Max" else min), [of(name) for name in node.input]
        return function(end for end, _ in ends), function(end for _, end in ends)
    if operator in ("Add", "Sub", "Mul", "Div") and len(node.input) == 2:
        return _arithmetic(operator, (low, high), of(node.input[1]))
    if operator == "DequantizeLinear":
        return _dequantised(graph, node, of)
    return None


def _clipped(graph, node, low, high):
    attrs = attributes(node)
    ends = [attrs.get("min", -math.inf), attrs.get("max", math.inf)]
    for at, name in enumerate(node.input[1:3]):
        array = graph.constant(name) if name else None
        if name and (array is None or array.size != 1):
            return None
        ends[at] = float(array.reshape(-1)[0]) if name else ends[at]
    return min(max(low, ends[0]), ends[1]), min(max(high, ends[0]), ends[1])


def _arithmetic(operator, left, right):
    if operator == "Add":
        return left[0] + right[0], left[1] + right[1]
    if operator == "Sub":
        return left[0] - right[1], left[1] - right[0]
    if operator == "Div":
        if right[0] < 0:
            return None
        right = tuple(1 / end if end else math.inf for end in right[::-1])
    products = [a * b if a and b else 0.0 for a in left for b in right]
    return min(products), max(products)


def _dequantised(graph, node, of):
    """Integers stand for numbers from the type's lowest to its highest; a quantiser keeps zero and the signs."""
    quantiser = undone_quantiser(graph, node)
    ends = number_range(graph, node) if quantiser is None else (quantiser.low, quantiser.high)
    if ends is None:
        return None
    source = ANY if quantiser is None else of(quantiser.source)
    return (0.0 if source[0] >= 0 else float(ends[0].min())), (0.0 if source[1] <= 0 else float(ends[1].max()))
