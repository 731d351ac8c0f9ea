# SPDX-License-Identifier: Apache-2.0
"""Means over height and width in an ONNX graph."""

import functools

from ..read.graph import Graph, attributes, declared_dims
from .broadcast import MOST_STEPS, passed_on, vector_passed_on
from .shape_arithmetic import known_sizes

__all__ = ["Pooling", "transposed"]

# Pairs of axes of a map of four that are height and width, and whether the channels come last then.
CHANNELS_LAST = {(2, 3): False, (1, 2): True}


def transposed(order: tuple, perm: tuple) -> tuple | None:
    """The order of axes after a Transpose by `perm` of the order `order`; () for four axes in their own order.

    None unless `perm` is a permutation of four axes.
    """
    if sorted(perm) != [0, 1, 2, 3]:
        return None
    order = tuple((order or range(4))[axis] for axis in perm)
    return () if order == (0, 1, 2, 3) else order


class Pooling:
    """Finds means in `graph`."""

    def __init__(self, graph: Graph):
        self.graph = graph
        # Whether the file declares the batch, whatever batch its shapes were inferred for.
        shapes = [declared_dims(value) for value in graph.inputs]
        self.fixed_batch = all(dims is not None and None not in dims[:1] for dims in shapes)

    def source(self, name: str) -> tuple[str, tuple]:
        """``(tensor, order)``: tensor `name` is that tensor with its axes in that order; () for their own order."""
        perms = []
        for _ in range(MOST_STEPS):
            operator, node = self.graph.maker(name)
            if operator == "Transpose" and transposed((), attributes(node).get("perm", ())) is not None:
                perms.append(attributes(node)["perm"])
                name = node.input[0]
                continue
            before = passed_on(self.graph, name, ("Identity", "Dropout", "Cast"))
            if before is None:
                break
            name = before
        return name, functools.reduce(transposed, reversed(perms), ())

    def channels_last(self, name: str, x: str) -> bool | None:
        """If tensor `name` holds the means of map `x`: whether x is (N, H, W, C), not (N, C, H, W). Else None."""
        mean = self._mean(name)
        if mean is None:
            return None
        pooled, axes = mean
        base, order = self.source(pooled)
        x_base, x_order = self.source(x)
        if base != x_base:
            return None
        # Axes of the common tensor, then of x.
        axes = [(order or range(4))[axis] for axis in axes]
        axes = sorted(list(x_order or range(4)).index(axis) for axis in axes)
        return CHANNELS_LAST.get(tuple(axes))

    def _mean(self, name):
        """``(tensor, axes)`` of the mean in tensor `name`, over two axes of four."""
        for _ in range(MOST_STEPS):
            operator, node = self.graph.maker(name)
            if operator == "GlobalAveragePool":
                return self._of_map(node.input[0], (2, 3))
            if operator == "AveragePool":
                return self._whole_window(node)
            if operator in ("Mul", "Div"):
                return self._divided_sum(node, operator)
            if operator == "ReduceMean":
                return self._reduced(node)
            name = vector_passed_on(self.graph, name)
            if name is None:
                break
        return None

    def _of_map(self, name, axes):
        """``(name, axes)`` if tensor `name` may have four axes and `axes` are two that can be height and width."""
        dims, axes = self.graph.dims.get(name), tuple(sorted(axes))
        return (name, axes) if axes in CHANNELS_LAST and (dims is None or len(dims) == 4) else None

    def _axes(self, node):
        """The axes of a ReduceMean or ReduceSum as they are written, or None."""
        if len(node.input) > 1 and node.input[1]:
            array = self.graph.constant(node.input[1])
            return None if array is None else tuple(int(axis) for axis in array.reshape(-1))
        return tuple(attributes(node).get("axes", ())) or None

    def _reduced(self, node):
        axes = self._axes(node)
        if axes is not None and len(axes) == 2:
            return self._of_map(node.input[0], (axis % 4 for axis in axes))
        if axes is None or len(axes) != 1:
            return None
        operator, inner = self.graph.maker(node.input[0])
        if operator == self.graph.operator(node):
            return self._reduced_twice(inner, axes[0])
        return self._flat(inner, axes[0]) if operator == "Reshape" else None

    def _reduced_twice(self, inner, outer_axis):
        """A mean of a mean, or a sum of a sum, over one axis each."""
        inner_axes = self._axes(inner)
        if inner_axes is None or len(inner_axes) != 1:
            return None
        first = inner_axes[0] % 4
        kept = attributes(inner).get("keepdims", 1)
        left = [axis for axis in range(4) if kept or axis != first]
        return self._of_map(inner.input[0], (first, left[outer_axis % len(left)]))

    def _flat(self, node, axis):
        """A mean over the last axis of a map (N, C, H, W) that was reshaped to (N, C, H * W)."""
        dims = self.graph.dims.get(node.input[0])
        shape = None if dims is None or len(dims) != 4 else known_sizes(self.graph, node.input[1], node.input[0])
        if shape is None or len(shape) != 3 or axis not in (2, -1):
            return None
        # One size may be -1, for what is left: if the other two are right, it is, too.
        left, area = (-1, ()), None if None in dims[2:] else (dims[2] * dims[3], ())
        batch, channels = ((left, (0, ()), (number, ()), (1, (axis,)))
                           for axis, number in enumerate((dims[0] if self.fixed_batch else None, dims[1])))
        right = shape[0] in batch and shape[1] in channels
        return (node.input[0], (2, 3)) if right and shape[2] in (left, area, (1, (2, 3))) else None

    def _whole_window(self, node):
        """An AveragePool whose window is the whole map, as far as the map's size is known."""
        dims, attrs = self.graph.dims.get(node.input[0]), attributes(node)
        if dims is None or len(dims) != 4 or any(attrs.get("pads", ())) or \
                attrs.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            return None
        if tuple(attrs.get("kernel_shape", ())) != tuple(dims[2:]):
            return None
        return self._unpadded(node.input[0]), (2, 3)

    def _unpadded(self, name):
        """The input of a Pad by zero rows and columns, which some exporters write before each pool; else `name`."""
        operator, node = self.graph.maker(name)
        if operator != "Pad":
            return name
        pads = self.graph.constant(node.input[1]) if len(node.input) > 1 else attributes(node).get("pads", ())
        return name if pads is None or any(pads) else node.input[0]

    def _divided_sum(self, node, operator):
        """A sum over height and width, divided by H * W as a constant or as computed from the shape."""
        for at in (1, 0) if operator == "Mul" else (1,):
            inner_operator, inner = self.graph.maker(node.input[1 - at])
            summed = self._reduced(inner) if inner_operator == "ReduceSum" else None
            dims = summed and self.graph.dims.get(summed[0])
            if not dims:
                continue
            number, sizes = self.graph.constant(node.input[at]), [dims[axis] for axis in summed[1]]
            if number is None:
                computed = known_sizes(self.graph, node.input[at], summed[0])
                return summed if operator == "Div" and computed == [(1, summed[1])] else None
            if number.size != 1 or None in sizes:
                return None
            count = float(number.reshape(-1)[0]) if operator == "Div" else 1 / (float(number.reshape(-1)[0]) or 1)
            return summed if abs(count / (sizes[0] * sizes[1]) - 1) < 1e-6 else None
        return None
