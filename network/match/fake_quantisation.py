# SPDX-License-Identifier: Apache-2.0
"""Rounding in an ONNX graph: of constants to their types, and of tensors to integers and back."""

import onnx

from ..read.graph import Graph, attributes
from ..read.storage import is_float
from .passing import MOST_STEPS

__all__ = ["DECIMALS", "constant_tolerance", "narrowed_inside", "rounds_inside"]

# Relative error of numbers that were written as decimals, and of those that were rounded to a coarse type.
DECIMALS = 1e-4
# Bits of the numbers of each float type, without the leading one. A tiled block computes in float32 at best.
DIGITS = {onnx.TensorProto.BFLOAT16: 7, onnx.TensorProto.FLOAT16: 10, onnx.TensorProto.FLOAT: 23,
          onnx.TensorProto.DOUBLE: 23}
COARSE_TYPES = {"float16": 5e-4, "bfloat16": 4e-3}


def constant_tolerance(graph: Graph, names) -> float:
    """The relative error of the constants among tensors `names`, by the coarsest type that they have or were cast from.
    """
    coarsest, pending, seen = DECIMALS, list(names), set()
    while pending and len(seen) < MOST_STEPS:
        name = pending.pop()
        array = graph.constant(name) if name and name not in seen else None
        if array is not None:
            seen.add(name)
            coarsest = max(coarsest, COARSE_TYPES.get(array.dtype.name, DECIMALS))
            pending.extend(graph.producer[name].input if name in graph.producer else ())
    return coarsest


def rounds_inside(graph: Graph, x: str, y: str, base: str) -> bool:
    """Whether a tensor is rounded to integers between tensors `x` and `y`, or `y` reads another rounding of `base`.

    `x` has the numbers of tensor `base`, but for roundings and transpositions: see :meth:`~.pooling.Pooling.source`.
    """
    same, seen = _same(graph, x, base), set()
    for node in _between(graph, same, y):
        seen.update(node.input)
        if graph.operator(node) == "QuantizeLinear":
            return True
    return base in seen - same


def narrowed_inside(graph: Graph, x: str, y: str, base: str) -> str | None:
    """The name of a float type that is coarser than that of `x`, and that a Cast between `x` and `y` rounds to.

    None if there is no such Cast, or if the type of `x` is not known.
    """
    own, coarsest = _element_type(graph, x), None
    for node in _between(graph, _same(graph, x, base), y) if own in DIGITS else ():
        to = attributes(node).get("to") if graph.operator(node) == "Cast" else None
        if DIGITS.get(to, DIGITS[own]) < DIGITS[own]:
            coarsest = to
    return coarsest and onnx.TensorProto.DataType.Name(coarsest).lower()


def _same(graph, x, base):
    """Names of the tensors that have the numbers of `x`, back to `base` or to the integers that stand for them.

    Quantisers give every reader of the integers a DequantizeLinear of its own, so that several tensors have them.
    """
    same, name = {x}, x
    while name != base:
        operator, node = graph.maker(name)
        name = node.input[0]
        same.add(name)
        if operator == "DequantizeLinear":
            break
    return same


def _between(graph, same, y):
    """The nodes between the tensors `same` and `y`, without those that compute constants and shapes."""
    pending, seen = [y], set(same)
    while pending and len(seen) < MOST_STEPS + len(same):
        name = pending.pop()
        node = None if name in seen else graph.producer.get(name)
        seen.add(name)
        if node is not None and graph.constant(name) is None:
            yield node
            # A shape doesn't depend on a tensor's numbers.
            pending.extend(() if graph.operator(node) == "Shape" else node.input)


def _element_type(graph, name):
    """The type of the numbers in tensor `name`: the declared one, or that of a constant that it is computed with."""
    for _ in range(MOST_STEPS):
        if name in graph.element_types:
            return graph.element_types[name]
        operator, node = graph.maker(name)
        if node is None:
            return None
        if operator == "Cast":
            return attributes(node).get("to")
        arrays = [graph.constant(item) for item in node.input[1:] if item]
        kinds = [array.dtype for array in arrays if array is not None and is_float(array.dtype)]
        if kinds and operator != "QuantizeLinear":
            return onnx.helper.np_dtype_to_tensor_dtype(kinds[0])
        name = node.input[0]
    return None
