# SPDX-License-Identifier: Apache-2.0
"""Nodes that pass a tensor's numbers on unchanged."""

from collections.abc import Callable, Collection

import onnx

from ..read.graph import Graph, attributes
from .bounds import ANY, computed_bounds
from .quantisers import Quantiser, undone_quantiser

__all__ = ["MOST_STEPS", "Passing", "origin", "redundant_cast"]

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


class Passing:
    """Tells which nodes of `graph` pass numbers on."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.bounds = computed_bounds(graph)

    def passed_on(self, name: str, operators: Collection[str]) -> str | None:
        """The tensor whose numbers the maker of tensor `name` passes on, if that is one of `operators`; else None.

        A pair of QuantizeLinear and DequantizeLinear passes its numbers on, too, unless :meth:`cut` says that it clips
        them: a quantised network rounds there, the float block that it stands for does not, and where the range ends is
        a matter of calibration. A Cast passes numbers on to a float type only, and a Dropout unless it trains.
        """
        operator, node = self.graph.maker(name)
        if node is None or name != node.output[0]:
            return None
        if operator == "DequantizeLinear":
            quantiser = undone_quantiser(self.graph, node)
            return None if quantiser is None or self.cut(quantiser) else quantiser.source
        if operator not in operators or operator == "Cast" and attributes(node).get("to") not in FLOATS or \
                operator == "Dropout" and self._trains(node):
            return None
        return node.input[0]

    def quantiser(self, name: str) -> Quantiser | None:
        """The :class:`Quantiser` whose results tensor `name` holds, or None."""
        operator, node = self.graph.maker(name)
        return undone_quantiser(self.graph, node) if operator == "DequantizeLinear" else None

    def cut(self, quantiser: Quantiser) -> str:
        """Which numbers the range cuts off: "" for none, "negative" for all below zero, "other" for anything else.

        A range that begins at zero is an activation, unless there are no negative numbers.
        """
        lowest, highest = self.bounds.get(quantiser.source, ANY)
        negative = (quantiser.low == 0) if lowest < 0 else quantiser.low > 0
        if not negative.any() and not (highest > 0 and (quantiser.high == 0).any()):
            return ""
        return "negative" if negative.all() and not (quantiser.high == 0).any() else "other"

    def _trains(self, node):
        """Whether a Dropout may drop numbers."""
        if len(node.input) < 3 or not node.input[2]:
            return False
        training = self.graph.constant(node.input[2])
        return training is None or bool(training.any())


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
