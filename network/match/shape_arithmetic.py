# SPDX-License-Identifier: Apache-2.0
"""Sizes that an ONNX graph computes from a tensor's shape, as exporters write them if the shape is open."""

import functools
from collections.abc import Callable

from onnx import TensorProto

from ..read.folding import array_of
from ..read.graph import Graph, attributes

__all__ = ["known_sizes"]

WIDE = (TensorProto.INT32, TensorProto.INT64, TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16,
        TensorProto.BFLOAT16)
# Nodes between a shape and its use, numbers in a tensor of sizes, and the largest size.
MOST_DEEP, MOST_NUMBERS, HIGHEST = 16, 8, 1 << 40


def known_sizes(graph: Graph, name: str, shape_of: Callable[[str], list | None]) -> list[tuple] | None:
    """The numbers in tensor `name`, each as ``(factor, axes)``: an integer times the sizes of these axes.

    ``shape_of(tensor)`` gives the sizes of a tensor in the same form, or None; what it calls an axis is its own matter.
    ``(-1, ())`` is -1, and ``(1, ("H", "W"))`` may be H * W. None if the numbers are not of that form.
    """
    # Several nodes may read the same tensor.
    results: dict = {}

    def sizes(name, depth):
        if name not in results:
            computed = _computed(graph, name, shape_of, depth, sizes)
            small = computed and len(computed) <= MOST_NUMBERS and all(abs(n) <= HIGHEST for n, _ in computed)
            results[name] = computed if small else None
        return results[name]

    return sizes(name, MOST_DEEP)


def _computed(graph, name, shape_of, depth, sizes):
    """The same from the node that makes tensor `name`; ``sizes(name, depth)`` gives the sizes in its inputs."""
    array = graph.constant(name)
    if array is not None:
        integers = array.dtype.kind in "iu" and array.size <= MOST_NUMBERS
        return [(number, ()) for number in array.reshape(-1).tolist()] if integers else None
    operator, node = graph.maker(name)
    if operator == "Shape":
        # Of sizes, the shape is their number.
        attrs, listed = attributes(node), depth and len(graph.dims.get(node.input[0]) or ()) == 1
        inner = sizes(node.input[0], depth - 1) if listed else None
        shape = [(len(inner), ())] if inner else shape_of(node.input[0])
        return shape and shape[attrs.get("start"):attrs.get("end")]
    if operator not in OPERATORS or not depth:
        return None
    if operator == "ReduceProd" and len(graph.dims.get(node.input[0]) or ()) != 1:
        # Of a matrix the product may be one of each row.
        return None
    inputs = [sizes(item, depth - 1) for item in node.input]
    try:
        return None if None in inputs else OPERATORS[operator](attributes(node), *inputs)
    except (LookupError, TypeError, ValueError):
        # The runtime reports an invalid node when the model is run.
        return None


def _numbers(sizes):
    """Sizes as plain integers; ValueError if they depend on a shape."""
    if any(axes for _, axes in sizes):
        raise ValueError("open size")
    return [number for number, _ in sizes]


def _slice(attrs, sizes, *inputs):
    if inputs:
        (start,), (end,), *others = map(_numbers, inputs)
    else:
        (start,), (end,), others = attrs["starts"], attrs["ends"], []
    # A tensor of sizes has one axis: the input for the axes says nothing.
    (step,) = others[1] if len(others) > 1 else [1]
    return sizes[start:end:step]


def _pairs(*operands):
    """The numbers of several operands that belong together, of which one of one number goes with all."""
    count = max(map(len, operands))
    return zip(*(operand * count if len(operand) == 1 else operand for operand in operands), strict=True)


def _product(attrs, *factors):
    # The axes of a size may be names and pairs.
    return [(number * other, tuple(sorted((*axes, *more), key=str))) for (number, axes), (other, more) in
            _pairs(*factors)]


def _reduced_product(attrs, sizes, axes=()):
    """The product of all sizes, which have one axis."""
    if not axes and not attrs.get("axes") and attrs.get("noop_with_empty_axes"):
        return sizes
    return functools.reduce(lambda left, right: _product(attrs, left, right), ([size] for size in sizes))


def _equal(attrs, *operands):
    """1 for equal numbers, else 0; ValueError if it is not known."""
    def equal(left, right):
        if left == right or not left[1] and not right[1]:
            return left == right
        # A size is not negative.
        if min((left, right), key=lambda size: len(size[1]))[0] >= 0:
            raise ValueError("open size")
        return False

    return [(int(equal(*pair)), ()) for pair in _pairs(*operands)]


def _filled(attrs, count):
    """The numbers of a ConstantOfShape."""
    (count,), value = _numbers(count), attrs.get("value")
    if not 0 < count <= MOST_NUMBERS:
        raise ValueError("another rank, or too many")
    return [(0 if value is None else int(array_of(value).item()), ())] * count


def _cast(attrs, sizes):
    # A narrow type changes large sizes.
    if attrs["to"] not in WIDE:
        raise ValueError("narrow type")
    return sizes


OPERATORS = {
    "Cast": _cast,
    "Gather": lambda attrs, sizes, positions: [sizes[at] for at in _numbers(positions)],
    "Slice": _slice,
    "Mul": _product,
    "ReduceProd": _reduced_product,
    "Equal": _equal,
    "ConstantOfShape": _filled,
    "Where": lambda attrs, *operands: [left if condition[0] else right for condition, left, right in _pairs(*operands)],
    "Concat": lambda attrs, *parts: [size for part in parts for size in part],
    **dict.fromkeys(("Unsqueeze", "Squeeze", "Identity", "Reshape"), lambda attrs, sizes, shape=None: sizes)}
