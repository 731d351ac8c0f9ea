# SPDX-License-Identifier: Apache-2.0
"""Reads chains of ONNX nodes: layers with everything that folds into them, and clipped linear functions."""

import dataclasses
import functools
import math
import typing

import numpy as np
import onnx

from ..read.graph import Graph, attributes
from ..read.storage import is_float
from .broadcast import MOST_STEPS, keeps_shape, origin, vector_passed_on
from .fake_quantisation import DECIMALS, constant_tolerance

__all__ = ["Chain", "Clamp", "Layer", "Operand", "decimal"]

# Axes of a feature map.
MAP_RANK = 4


@dataclasses.dataclass(frozen=True)
class Clamp:
    """``clip(scale * base + offset, low, high)``: scalars, and the name of a tensor as `base`.

    ``tolerance`` is the relative rounding error of the scalars.
    """

    base: str
    scale: float = 1.0
    offset: float = 0.0
    low: float = -math.inf
    high: float = math.inf
    tolerance: float = DECIMALS

    @property
    def linear(self) -> bool:
        """Whether nothing is clipped."""
        return (self.low, self.high) == (-math.inf, math.inf)

    def clipped(self, low: float, high: float) -> "Clamp":
        """This function, then clipped to `low` .. `high`."""
        return dataclasses.replace(self, low=min(max(self.low, low), high), high=min(max(self.high, low), high))

    def scaled(self, factor: float, summand: float = 0.0, tolerance: float = DECIMALS) -> "Clamp":
        """This function times `factor` plus `summand`, two numbers with that relative `tolerance`."""
        # An end may be infinite, and the factor 0.
        ends = sorted((end * factor if factor else 0.0) + summand for end in (self.low, self.high))
        return Clamp(self.base, self.scale * factor, self.offset * factor + summand, *ends,
                     max(self.tolerance, tolerance))

    def times(self, other: "Clamp") -> "Clamp":
        """This function times the scale of `other`."""
        return self.scaled(other.scale, tolerance=other.tolerance)

    def near(self, scale: float, offset: float, low: float, high: float) -> bool:
        """Whether the scalars are these, but for rounding."""
        return all(a == b or abs(a - b) <= self.tolerance * max(abs(b), 0.1) for a, b in (
            (self.scale, scale), (self.offset, offset), (self.low, low), (self.high, high)))


def decimal(number: float) -> float:
    """The shortest decimal number that rounds to the same float32 as `number`: what was meant by it."""
    return float(str(np.float32(number)))


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """``weight @ v + bias`` of the vector v in tensor `source`; float64 (outputs, inputs) and (outputs).

    ``tensor`` is the name of the node's weight operand.
    """

    weight: np.ndarray
    bias: np.ndarray
    source: str
    tensor: str

    def then(self, scale, shift) -> "Layer | None":
        """The layer with its results times `scale` plus `shift`, scalars or vectors; None if these don't fit."""
        if any(np.size(part) not in (1, len(self.bias)) for part in (scale, shift)):
            return None
        return dataclasses.replace(self, weight=self.weight * np.reshape(scale, (-1, 1)),
                                   bias=self.bias * scale + shift)


class Operand(typing.NamedTuple):
    """The operands of a node, one of them constant: a tensor's name, the constant's numbers, and whether these are
    the left operand."""

    tensor: str
    numbers: np.ndarray
    constant_first: bool


class Chain:
    """Reads chains of nodes in `graph` back from a tensor. Methods return None if the nodes have another form."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self._passed_on = functools.partial(vector_passed_on, graph)

    def origin(self, name: str) -> str:
        """The first tensor that has the numbers of the vector in tensor `name`, in the same order."""
        return origin(self._passed_on, name)

    def maker(self, name: str) -> tuple:
        """``(operator, node)`` that makes the numbers in tensor `name`, or (None, None)."""
        return self.graph.maker(self.origin(name))

    def _numbers(self, name):
        array = self.graph.constant(name)
        # A constant with more axes than a map would give the map more axes.
        if array is None or not array.size or array.ndim > MAP_RANK or not is_float(array.dtype):
            return None
        return array.reshape(-1).astype(np.float64)

    def operand(self, node: onnx.NodeProto) -> Operand | None:
        """The operands of a node with two inputs, one of them constant."""
        if len(node.input) == 2:
            for at in (1, 0):
                tensor, numbers = node.input[1 - at], self._numbers(node.input[at])
                if numbers is not None:
                    uniform = keeps_shape(self.graph, self.graph.constant(node.input[at]), tensor)
                    return Operand(tensor, numbers[:1] if uniform else numbers, at == 0)
        return None

    def multiple(self, node: onnx.NodeProto) -> Clamp | None:
        """The :class:`Clamp`, a scale only, that `node` computes by a multiplication or division with one number."""
        operator = self.graph.operator(node)
        operand = self.operand(node) if operator in ("Mul", "Div") else None
        if operand is None or operand.numbers.size != 1:
            return None
        scaling = _scaling(operator, operand)
        return scaling and Clamp(operand.tensor, float(scaling[0][0]),
                                 tolerance=constant_tolerance(self.graph, node.input))

    def clamp(self, name: str, stop: str | None = None) -> Clamp:
        """Tensor `name` as a :class:`Clamp` of the furthest tensor back, but not further than tensor `stop`."""
        steps, name, coarsest = [], self.origin(name), DECIMALS
        for _ in range(MOST_STEPS):
            step = None if name == stop else self._clamp_step(name)
            if step is None:
                break
            coarsest = max(coarsest, constant_tolerance(self.graph, self.graph.producer[name].input))
            name = self.origin(step[0])
            steps.append(step[1])
        clamp = Clamp(name, tolerance=coarsest)
        for step in reversed(steps):
            clamp = step(clamp)
        return clamp

    def _clamp_step(self, name):
        """The operand of tensor `name`, and the function from the operand's Clamp to that of `name`."""
        operator, node = self.graph.maker(name)
        if node is None:
            return None
        attrs = attributes(node)
        if operator == "Relu":
            return node.input[0], lambda clamp: clamp.clipped(0.0, math.inf)
        if operator == "Neg":
            return node.input[0], lambda clamp: clamp.scaled(-1.0)
        if operator == "HardSigmoid":
            slope, offset = decimal(attrs.get("alpha", 0.2)), decimal(attrs.get("beta", 0.5))
            return node.input[0], lambda clamp: clamp.scaled(slope, offset).clipped(0.0, 1.0)
        if operator == "Clip":
            ends = self._clip_ends(node, attrs)
            return ends and (node.input[0], lambda clamp: clamp.clipped(*ends))
        operand = self.operand(node) if operator in ("Add", "Sub", "Mul", "Div", "Min", "Max") else None
        if operand is None or operand.numbers.size != 1:
            return None
        (number,) = operand.numbers
        if operator in ("Min", "Max"):
            ends = (-math.inf, number) if operator == "Min" else (number, math.inf)
            return operand.tensor, lambda clamp: clamp.clipped(*ends)
        scaling = _scaling(operator, operand._replace(numbers=number))
        return scaling and (operand.tensor, lambda clamp: clamp.scaled(*scaling))

    def _clip_ends(self, node, attrs):
        ends = [attrs.get("min", -math.inf), attrs.get("max", math.inf)]
        for at, name in enumerate(node.input[1:3]):
            if name:
                number = self._numbers(name)
                if number is None or number.size != 1:
                    return None
                ends[at] = float(number[0])
        return ends if ends[0] <= ends[1] else None

    def layer(self, name: str) -> Layer | None:
        """The :class:`Layer` whose results tensor `name` holds, with the nodes that follow it folded in."""
        steps = []
        for _ in range(MOST_STEPS):
            operator, node = self.maker(name)
            if operator in ("Conv", "Gemm", "MatMul"):
                layer = self._product(operator, node)
                for scale, shift in reversed(steps):
                    layer = layer and layer.then(scale, shift)
                return layer
            if operator == "BatchNormalization":
                name, step = node.input[0], self._normalisation(node, attributes(node))
            elif operator in ("Add", "Sub", "Mul", "Div") and (operand := self.operand(node)):
                name, step = operand.tensor, _scaling(operator, operand)
            else:
                return None
            if step is None:
                return None
            steps.append(step)
        return None

    def _normalisation(self, node, attrs):
        arrays = [self._numbers(name) for name in node.input[1:5]]
        if len(arrays) != 4 or any(array is None for array in arrays):
            return None
        gain, bias, mean, variance = arrays
        if len({array.size for array in arrays}) > 1 or (variance < 0).any() or attrs.get("training_mode"):
            return None
        scale = gain / np.sqrt(variance + attrs.get("epsilon", 1e-5))
        return scale, bias - mean * scale

    def _weights(self, name, transposed):
        """The constant `name` as a float64 matrix (outputs, inputs); further axes must be of size 1."""
        array = self.graph.constant(name)
        if array is None or not is_float(array.dtype) or array.ndim < 2 or array.size != np.prod(array.shape[:2]):
            return None
        matrix = array.reshape(array.shape[:2]).astype(np.float64)
        return matrix.T if transposed else matrix

    def _bias(self, node, outputs):
        """The third input of `node`, zeros if it has none; None if it doesn't fit the outputs."""
        if len(node.input) < 3 or not node.input[2]:
            return np.zeros(outputs)
        numbers = self._numbers(node.input[2])
        return None if numbers is None or numbers.size not in (1, outputs) else np.broadcast_to(numbers, outputs)

    def _product(self, operator, node):
        """The :class:`Layer` that a Conv, Gemm or MatMul computes alone."""
        attrs = attributes(node)
        if attrs.get("group", 1) != 1 or any(attrs.get("pads", ())) or attrs.get("transA", 0):
            return None
        # A MatMul may have its weights on either side.
        for at in (1, 0) if operator == "MatMul" else (1,):
            transposed = at == 1 and operator != "Conv" and not attrs.get("transB", 0)
            weight = self._weights(node.input[at], transposed)
            bias = None if weight is None else self._bias(node, len(weight))
            if bias is not None:
                return Layer(weight * attrs.get("alpha", 1.0), bias * attrs.get("beta", 1.0), node.input[1 - at],
                             node.input[at])
        return None


def _scaling(operator, operand):
    """``(scale, shift)`` of an Add, Sub, Mul or Div with a constant; None for a division by the tensor or by zero."""
    numbers, constant_first = operand.numbers, operand.constant_first
    if operator == "Add":
        return 1.0, numbers
    if operator == "Sub":
        return (-1.0, numbers) if constant_first else (1.0, -numbers)
    if operator == "Mul":
        return numbers, 0.0
    return None if constant_first or not np.all(numbers) else (1.0 / numbers, 0.0)
