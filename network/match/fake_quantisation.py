# SPDX-License-Identifier: Apache-2.0
"""Rounding in an ONNX graph: of constants to their types, and of tensors to integers and back."""

from ..read.graph import Graph
from .passing import MOST_STEPS

__all__ = ["DECIMALS", "constant_tolerance", "rounds_inside"]

# Relative error of numbers that were written as decimals, and of those that were rounded to a coarse type.
DECIMALS = 1e-4
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
    # Quantisers give every reader a DequantizeLinear of its own, so several tensors have x's numbers.
    same, name = {x}, x
    while name != base:
        operator, node = graph.maker(name)
        name = node.input[0]
        same.add(name)
        if operator == "DequantizeLinear":
            break
    pending, seen = [y], set()
    while pending and len(seen) < MOST_STEPS:
        name = pending.pop()
        operator, node = (None, None) if name in same or name in seen else graph.maker(name)
        if name == base and name not in same or operator == "QuantizeLinear":
            return True
        if node is not None:
            seen.add(name)
            # A shape doesn't depend on a tensor's numbers.
            pending.extend(() if operator == "Shape" else node.input)
    return False
