# SPDX-License-Identifier: Apache-2.0
"""What a chain of ONNX nodes does to a vector of channels: layers with all that folds into them, and ramps."""

import dataclasses
import math

import numpy as np

from ..read.graph import attributes
from .broadcast import MOST_STEPS, handed_on, uniform
from .clamps import Ramp, decimal
from .fake_quantisation import DECIMALS, tolerance

__all__ = ["Chain", "Layer"]

# Axes of a feature map.
MAP_RANK = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """``weight @ v + bias`` of the vector in tensor `source`; float64 (outputs, inputs) and (outputs).

    ``tensor`` is the name of the operand that the weights are from.
    """

    weight: np.ndarray
    bias: np.ndarray
    source: str
    tensor: str

    def then(self, scale, shift):
        """The layer with its results times `scale` plus `shift`, scalars or vectors."""
        return dataclasses.replace(self, weight=self.weight * np.reshape(scale, (-1, 1)),
                                   bias=self.bias * scale + shift)


class Chain:
    """Reads chains of nodes in `graph`, from their ends back. What isn't of the wanted form gives None."""

    def __init__(self, graph):
        self.graph = graph

    def skip(self, name):
        """The tensor whose numbers tensor `name` has, in the same order."""
        for _ in range(MOST_STEPS):
            before = handed_on(self.graph, name)
            if before is None:
                break
            name = before
        return name

    def node(self, name):
        """``(operator, node)`` that makes what tensor `name` holds, or (None, None)."""
        node = self.graph.producer.get(self.skip(name))
        return (None, None) if node is None else (self.graph.default(node), node)

    def _numbers(self, name):
        array = self.graph.constant(name)
        # What has more axes than a map gives them to what it is combined with.
        if array is None or not array.size or array.ndim > MAP_RANK or not _real(array):
            return None
        return array.reshape(-1).astype(np.float64)

    def operand(self, node):
        """``(tensor, numbers, first)`` of a node with one constant operand; `first` if that is the left one."""
        if len(node.input) == 2:
            for at in (1, 0):
                tensor, numbers = node.input[1 - at], self._numbers(node.input[at])
                if numbers is not None:
                    one = uniform(self.graph, self.graph.constant(node.input[at]), tensor)
                    return tensor, numbers[:1] if one else numbers, at == 0
        return None

    def multiple(self, node):
        """The :class:`Ramp`, of a scale alone, that `node` makes of a tensor, or None."""
        operator = self.graph.default(node)
        found = self.operand(node) if operator in ("Mul", "Div") else None
        if not found or found[1].size != 1 or operator == "Div" and (found[2] or not found[1][0]):
            return None
        number = float(found[1][0])
        return Ramp(found[0], number if operator == "Mul" else 1 / number,
                    tolerance=tolerance(self.graph, node.input))

    def ramp(self, name, stop=None):
        """The :class:`Ramp` that tensor `name` is of the furthest tensor back, at most of tensor `stop`."""
        steps, name, coarsest = [], self.skip(name), DECIMALS
        for _ in range(MOST_STEPS):
            step = None if name == stop else self._ramp_step(name)
            if step is None:
                break
            coarsest = max(coarsest, tolerance(self.graph, self.graph.producer[name].input))
            name = self.skip(step[0])
            steps.append(step[1])
        ramp = Ramp(name, tolerance=coarsest)
        for step in reversed(steps):
            ramp = step(ramp)
        return ramp

    def _ramp_step(self, name):
        """The operand and the function from its ramp to that of tensor `name`."""
        node = self.graph.producer.get(name)
        if node is None:
            return None
        operator, about = self.graph.default(node), attributes(node)
        if operator == "Relu":
            return node.input[0], lambda ramp: ramp.clipped(0.0, math.inf)
        if operator == "Neg":
            return node.input[0], lambda ramp: ramp.scaled(-1.0)
        if operator == "HardSigmoid":
            slope, offset = decimal(about.get("alpha", 0.2)), decimal(about.get("beta", 0.5))
            return node.input[0], lambda ramp: ramp.scaled(slope, offset).clipped(0.0, 1.0)
        if operator == "Clip":
            ends = self._clip_ends(node, about)
            return ends and (node.input[0], lambda ramp: ramp.clipped(*ends))
        found = self.operand(node) if operator in ("Add", "Sub", "Mul", "Div", "Min", "Max") else None
        if found is None or found[1].size != 1:
            return None
        tensor, (number,), first = found
        if operator in ("Min", "Max"):
            ends = (-math.inf, number) if operator == "Min" else (number, math.inf)
            return tensor, lambda ramp: ramp.clipped(*ends)
        scaling = _scaling(operator, number, first)
        return scaling and (tensor, lambda ramp: ramp.scaled(*scaling))

    def _clip_ends(self, node, about):
        ends = [about.get("min", -math.inf), about.get("max", math.inf)]
        for at, name in enumerate(node.input[1:3]):
            if name:
                number = self._numbers(name)
                if number is None or number.size != 1:
                    return None
                ends[at] = float(number[0])
        return ends if ends[0] <= ends[1] else None

    def layer(self, name):
        """The :class:`Layer` whose results tensor `name` holds, with what follows it folded in."""
        steps = []
        for _ in range(MOST_STEPS):
            operator, node = self.node(name)
            if operator in ("Conv", "Gemm", "MatMul"):
                found = getattr(self, f"_{operator.lower()}")(node, attributes(node))
                return found and self._fold(found, steps)
            if operator == "BatchNormalization":
                step = self._normalisation(node, attributes(node))
            elif operator in ("Add", "Sub", "Mul", "Div"):
                found = self.operand(node)
                step = found and _scaling(operator, found[1], found[2])
            else:
                return None
            if step is None:
                return None
            name = node.input[0] if operator == "BatchNormalization" else found[0]
            steps.append(step)
        return None

    @staticmethod
    def _fold(layer, steps):
        for scale, shift in reversed(steps):
            if any(np.size(part) not in (1, len(layer.bias)) for part in (scale, shift)):
                return None
            layer = layer.then(scale, shift)
        return layer

    def _normalisation(self, node, about):
        arrays = [self._numbers(name) for name in node.input[1:5]]
        if len(arrays) != 4 or any(array is None for array in arrays):
            return None
        gain, bias, mean, variance = arrays
        if len({array.size for array in arrays}) > 1 or (variance < 0).any() or about.get("training_mode"):
            return None
        scale = gain / np.sqrt(variance + about.get("epsilon", 1e-5))
        return scale, bias - mean * scale

    def _weights(self, name, transposed=False):
        """A matrix (outputs, inputs) in float64, whatever ones its shape has behind."""
        array = self.graph.constant(name)
        if array is None or not _real(array) or array.ndim < 2 or array.size != np.prod(array.shape[:2]):
            return None
        matrix = array.reshape(array.shape[:2]).astype(np.float64)
        return matrix.T if transposed else matrix

    def _bias(self, node, at, outputs):
        if len(node.input) <= at or not node.input[at]:
            return np.zeros(outputs)
        numbers = self._numbers(node.input[at])
        return None if numbers is None or numbers.size not in (1, outputs) else np.broadcast_to(numbers, outputs)

    def _conv(self, node, about):
        weight = self._weights(node.input[1])
        if weight is None or about.get("group", 1) != 1 or any(about.get("pads", ())):
            return None
        bias = self._bias(node, 2, len(weight))
        return None if bias is None else Layer(weight, bias, node.input[0], node.input[1])

    def _gemm(self, node, about):
        weight = self._weights(node.input[1], transposed=not about.get("transB", 0))
        if weight is None or about.get("transA", 0):
            return None
        bias = self._bias(node, 2, len(weight))
        if bias is None:
            return None
        return Layer(weight * about.get("alpha", 1.0), bias * about.get("beta", 1.0), node.input[0], node.input[1])

    def _matmul(self, node, about):
        for at in (1, 0):
            weight = self._weights(node.input[at], transposed=at == 1)
            if weight is not None:
                return Layer(weight, np.zeros(len(weight)), node.input[1 - at], node.input[at])
        return None


def _scaling(operator, number, first):
    """``(scale, shift)`` of a node that combines a tensor with a constant, which is the left operand if `first`."""
    if operator == "Add":
        return 1.0, number
    if operator == "Sub":
        return (-1.0, number) if first else (1.0, -number)
    if operator == "Mul":
        return number, 0.0
    return None if first or not np.all(number) else (1.0 / number, 0.0)


def _real(array):
    return array.dtype.kind in "iuf" or array.dtype.name == "bfloat16"
