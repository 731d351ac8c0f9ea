# SPDX-License-Identifier: Apache-2.0
"""Reads chains of ONNX nodes: layers with everything that folds into them, and clipped linear functions."""

import dataclasses
import math
import typing

import numpy as np
import onnx

from ..read.graph import attributes
from ..read.storage import is_float
from .clamp import Clamp, decimal
from .fake_quantisation import DECIMALS, constant_tolerance
from .passing import MOST_STEPS
from .vectors import Vectors

__all__ = ["Chain", "Layer", "Operand"]

# Axes of a feature map.
MAP_RANK = 4


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
    """Reads chains of nodes back from a tensor of `vectors`. Methods return None if the nodes have another form."""

    def __init__(self, vectors: Vectors):
        self.vectors, self.graph, self.passing = vectors, vectors.graph, vectors.passing
        self.origin = vectors.origin

    def maker(self, name: str) -> tuple:
        """``(operator, node)`` that makes the numbers in tensor `name`, or (None, None)."""
        return self.graph.maker(self.origin(name))

    def _numbers(self, name, tensor):
        """float64: the constant `name` beside tensor `tensor`, one number, or one for each of the vector's.

        None if it is no constant, or varies along another axis, or makes the tensor larger.
        """
        array, layout = self.graph.constant(name), self.vectors.layouts.get(tensor)
        if array is None or not array.size or not is_float(array.dtype):
            return None
        if layout is not None:
            numbers = layout.along(array)
        else:
            # A map.
            numbers = array.reshape(-1)[:1] if self._keeps_map(array, self.graph.dims.get(tensor)) else None
        return None if numbers is None else numbers.astype(np.float64)

    def _keeps_map(self, array, dims):
        """Whether a map of shape `dims`, times the constant `array`, is a multiple of the map."""
        if array.size == 1:
            return array.ndim <= MAP_RANK
        return dims is not None and array.ndim <= len(dims) and bool((array == array.flat[0]).all()) and all(
            size in (1, dim) for size, dim in zip(array.shape[::-1], dims[::-1], strict=False))

    def operand(self, node: onnx.NodeProto) -> Operand | None:
        """The operands of a node with two inputs, one of them constant."""
        if len(node.input) == 2:
            for at in (1, 0):
                numbers = self._numbers(node.input[at], node.input[1 - at])
                if numbers is not None:
                    return Operand(node.input[1 - at], numbers, at == 0)
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
        steps, coarsest = [], DECIMALS
        for _ in range(2 * MOST_STEPS):
            step = None if name == stop else self._quantiser_step(name) or self._clamp_step(name)
            before = step[0] if step else None if name == stop else self.vectors.passed_on(name)
            if before is None:
                break
            if step:
                coarsest = max(coarsest, constant_tolerance(self.graph, self.graph.producer[name].input))
                steps.append(step[1])
            name = before
        clamp = Clamp(name, tolerance=coarsest)
        for step in reversed(steps):
            clamp = step(clamp)
        return clamp

    def _quantiser_step(self, name):
        """The same as :meth:`_clamp_step` for the end of a quantiser, unless that clips in another way than at zero."""
        quantiser = self.passing.quantiser(name)
        cut = quantiser and self.passing.cut(quantiser)
        if quantiser is None or quantiser.several or cut == "other":
            return None
        ends = float(quantiser.low), float(quantiser.high), float(quantiser.step)

        def step(clamp):
            return (clamp.clipped(0.0, math.inf) if cut else clamp).quantised(*ends)

        return quantiser.source, step

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
                number = self._numbers(name, node.input[0])
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
        layout = self.vectors.layouts.get(node.output[0])
        arrays = [self.graph.constant(name) for name in node.input[1:5]]
        # Further outputs are those of training.
        if layout is None or len(arrays) != 4 or any(node.output[1:]) or attrs.get("training_mode") or \
                not attrs.get("spatial", 1):
            return None
        if any(array is None or array.shape != (layout.size,) or not is_float(array.dtype) for array in arrays):
            return None
        gain, bias, mean, variance = (array.astype(np.float64) for array in arrays)
        if (variance < 0).any():
            return None
        scale = gain / np.sqrt(variance + attrs.get("epsilon", 1e-5))
        return scale, bias - mean * scale

    def _product(self, operator, node):
        """The :class:`Layer` that a Conv, Gemm or MatMul computes alone."""
        attrs, layout = attributes(node), self.vectors.layouts.get(node.output[0])
        if layout is None or attrs.get("group", 1) != 1:
            return None
        # A MatMul may have its weights on either side.
        at = 0 if operator == "MatMul" and node.input[1] in self.vectors.layouts else 1
        array = self.graph.constant(node.input[at])
        transposed = at == 1 and operator != "Conv" and not attrs.get("transB", 0)
        weight = array.reshape(array.shape[:2]).astype(np.float64)
        weight, bias = weight.T if transposed else weight, 0.0
        if len(node.input) > 2 and node.input[2]:
            bias = self.graph.constant(node.input[2])
            if bias is not None and operator == "Conv":
                # The bias of a Conv has one axis, that of the channels.
                bias = bias if bias.shape == (layout.size,) and is_float(bias.dtype) else None
            else:
                bias = self._numbers(node.input[2], node.output[0])
            if bias is None:
                return None
        bias = np.broadcast_to(np.asarray(bias, np.float64) * attrs.get("beta", 1.0), layout.size)
        return Layer(weight * attrs.get("alpha", 1.0), bias, node.input[1 - at], node.input[at])


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
