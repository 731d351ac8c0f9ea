# SPDX-License-Identifier: Apache-2.0
"""Rounding in an ONNX graph: of constants to their types, and of tensors to integers."""

import numpy as np

from .broadcast import MOST_STEPS, handed_on, quantiser

__all__ = ["DECIMALS", "lowest", "rounds", "tolerance"]

# How far numbers that were written as decimals, or rounded to a type, may be from what was meant, relative.
DECIMALS = 1e-4
TYPES = {"float16": 5e-4, "bfloat16": 4e-3}


def tolerance(graph, names):
    """The relative rounding of the constants among tensors `names`: by the coarsest type that they have, or had."""
    found, waiting, seen = DECIMALS, list(names), set()
    while waiting and len(seen) < MOST_STEPS:
        name = waiting.pop()
        array = graph.constant(name) if name and name not in seen else None
        if array is not None:
            seen.add(name)
            found = max(found, TYPES.get(array.dtype.name, DECIMALS))
            waiting.extend(graph.producer[name].input if name in graph.producer else ())
    return found


def lowest(graph, name):
    """Whether 0.0 is the lowest number of the integers that tensor `name` is quantised to, on its way as a vector."""
    for _ in range(MOST_STEPS):
        node, before = graph.producer.get(name), handed_on(graph, name)
        if before is None:
            return False
        if graph.default(node) == "DequantizeLinear":
            inputs = quantiser(graph, node).input
            zero = None if len(inputs) < 3 else graph.constant(inputs[2])
            return zero is not None and zero.size == 1 and zero.dtype.kind in "iu" and \
                int(zero.reshape(-1)[0]) == np.iinfo(zero.dtype).min
        name = before
    return False


def rounds(graph, x, y, base):
    """Whether tensor `y` is rounded to integers on its way from tensor `x`, or was made of another rounding of `base`.

    `x` has the numbers of tensor `base` but for what :meth:`~.pooling.Pooling.source` passes.
    """
    # Tensors with x's own numbers: quantisers give every reader a DequantizeLinear of its own.
    same, name = {x}, x
    while name != base:
        node = graph.producer[name]
        name = node.input[0]
        same.add(name)
        if graph.default(node) == "DequantizeLinear":
            break
    waiting, seen = [y], set()
    while waiting and len(seen) < MOST_STEPS:
        name = waiting.pop()
        node = None if name in same or name in seen else graph.producer.get(name)
        if name == base and name not in same or node is not None and graph.default(node) == "QuantizeLinear":
            return True
        if node is not None:
            seen.add(name)
            # Sizes aren't rounded, whatever they are of.
            waiting.extend(() if graph.default(node) == "Shape" else node.input)
    return False
