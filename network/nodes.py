# SPDX-License-Identifier: Apache-2.0
"""Writing new nodes and constants of an ONNX graph."""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

__all__ = ["Nodes"]

# The first operator sets in which the axes of a reduction are an input.
AXES_INPUT = {"ReduceMean": 18, "ReduceSum": 13}


class Nodes:
    """New ``nodes`` and ``tensors``, their constants, in operator set `opset`. All names begin with `prefix`."""

    nodes: list[onnx.NodeProto]
    tensors: list[onnx.TensorProto]

    def __init__(self, opset: int, prefix: str) -> None:
        self.opset, self.prefix = opset, prefix
        self.nodes, self.tensors = [], []

    def _node(self, operator: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """Add a node; the name of its output."""
        name = f"{self.prefix}{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output or name], name, **attributes))
        return output or name

    def _constant(self, name: str, array: np.ndarray | int) -> str:
        """Add a constant, unless it is there; its name. One name has the same numbers every time."""
        name = self.prefix + name
        if all(tensor.name != name for tensor in self.tensors):
            self.tensors.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def _reduce(self, operator: str, x: str, name: str, axis: int) -> str:
        """Add a reduction of one axis, which is a constant of that name where it is an input."""
        if self.opset >= AXES_INPUT[operator]:
            return self._node(operator, [x, self._constant(name, np.array([axis]))], keepdims=1)
        return self._node(operator, [x], axes=[axis], keepdims=1)
