# SPDX-License-Identifier: Apache-2.0
"""Means over height and width in an ONNX graph, and whether they are of a given tensor."""

import functools

from ..read.graph import attributes, declared_dims
from .broadcast import FLOATS, MOST_STEPS, handed_on, quantiser
from .shape_arithmetic import known_sizes

__all__ = ["Pooling", "turned"]


def turned(order, perm):
    """The order of axes that a Transpose by `perm` makes of `order`, () for none moved; None unless it is of four."""
    if sorted(perm) != [0, 1, 2, 3]:
        return None
    order = tuple((order or range(4))[axis] for axis in perm)
    return () if order == (0, 1, 2, 3) else order


class Pooling:
    """Looks for means in `graph`."""

    def __init__(self, graph):
        self.graph = graph
        # Whether the file is for a batch of one size, whatever size its shapes are inferred for.
        inputs = [declared_dims(value) for value in graph.model.graph.input if value.name not in graph.initializers]
        self.fixed = all(dims is not None and None not in dims[:1] for dims in inputs)

    def source(self, name):
        """``(tensor, order)``: tensor `name` is that tensor with its axes in that order; () where none are moved."""
        perms = []
        for _ in range(MOST_STEPS):
            node = self.graph.producer.get(name)
            operator = node and self.graph.default(node)
            if operator == "Transpose":
                perm = attributes(node).get("perm", ())
                if turned((), perm) is None:
                    break
                perms.append(perm)
            elif operator == "DequantizeLinear":
                node = quantiser(self.graph, node)
                if node is None:
                    break
            elif operator not in ("Identity", "Dropout", "Cast") or \
                    operator == "Cast" and attributes(node).get("to") not in FLOATS:
                break
            name = node.input[0]
        return name, functools.reduce(turned, reversed(perms), ())

    def of(self, name, x):
        """None unless tensor `name` holds the means of tensor `x`; else whether x is (N, H, W, C), not (N, C, H, W)."""
        found = self._mean(name)
        if found is None:
            return None
        pooled, axes = found
        base, order = self.source(pooled)
        x_base, x_order = self.source(x)
        if base != x_base:
            return None
        # Axes of the common tensor, then of x.
        axes = [(order or range(4))[axis] for axis in axes]
        axes = sorted(list(x_order or range(4)).index(axis) for axis in axes)
        return {(2, 3): False, (1, 2): True}.get(tuple(axes))

    def _mean(self, name):
        """``(tensor, axes)`` of the mean in tensor `name`, two axes of four."""
        for _ in range(MOST_STEPS):
            node = self.graph.producer.get(name)
            if node is None:
                return None
            operator = self.graph.default(node)
            if operator == "GlobalAveragePool":
                return (node.input[0], (2, 3)) if self._rank(node.input[0]) in (None, 4) else None
            if operator == "AveragePool":
                return self._whole(node)
            if operator in ("Mul", "Div"):
                return self._summed(node, operator)
            if operator == "ReduceMean":
                return self._reduced(node)
            name = handed_on(self.graph, name)
        return None

    def _rank(self, name):
        dims = self.graph.dims.get(name)
        return None if dims is None else len(dims)

    def _axes(self, node):
        """The axes of a ReduceMean or ReduceSum as they are written, or None."""
        if len(node.input) > 1 and node.input[1]:
            array = self.graph.constant(node.input[1])
            return None if array is None else tuple(int(axis) for axis in array.reshape(-1))
        return tuple(attributes(node).get("axes", ())) or None

    def _reduced(self, node):
        axes = self._axes(node)
        if axes is None:
            return None
        rank = self._rank(node.input[0])
        if len(axes) == 2:
            axes = tuple(sorted(axis % 4 for axis in axes)) if rank in (None, 4) else ()
            return (node.input[0], axes) if axes in ((2, 3), (1, 2)) else None
        if len(axes) != 1:
            return None
        inner = self.graph.producer.get(node.input[0])
        operator = inner and self.graph.default(inner)
        if operator == self.graph.default(node):
            return self._twice(inner, axes[0], attributes(inner).get("keepdims", 1))
        return self._flat(inner, axes[0]) if operator == "Reshape" else None

    def _twice(self, inner, outer_axis, kept):
        """A mean of a mean, or a sum of a sum, over one axis each."""
        inner_axes = self._axes(inner)
        if inner_axes is None or len(inner_axes) != 1 or self._rank(inner.input[0]) not in (None, 4):
            return None
        first = inner_axes[0] % 4
        left = [axis for axis in range(4) if kept or axis != first]
        second = left[outer_axis % len(left)]
        axes = tuple(sorted((first, second)))
        return (inner.input[0], axes) if axes in ((2, 3), (1, 2)) else None

    def _flat(self, node, axis):
        """A mean over the last axis of a (N, C, H, W) that was made (N, C, H * W)."""
        dims = self.graph.dims.get(node.input[0])
        shape = None if dims is None or len(dims) != 4 else known_sizes(self.graph, node.input[1], node.input[0])
        if shape is None or len(shape) != 3 or axis not in (2, -1):
            return None
        # One number may be -1, for what is left; with two right ones it is right, too.
        left, area = (-1, ()), None if None in dims[2:] else (dims[2] * dims[3], ())
        batch, channels = ((left, (0, ()), (number, ()), (1, (axis,)))
                           for axis, number in enumerate((dims[0] if self.fixed else None, dims[1])))
        right = shape[0] in batch and shape[1] in channels
        return (node.input[0], (2, 3)) if right and shape[2] in (left, area, (1, (2, 3))) else None

    def _whole(self, node):
        """An AveragePool whose window is the whole map, as far as the map's size is declared."""
        dims, about = self.graph.dims.get(node.input[0]), attributes(node)
        if dims is None or len(dims) != 4 or any(about.get("pads", ())) or \
                about.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            return None
        if tuple(about.get("kernel_shape", ())) != tuple(dims[2:]):
            return None
        return self._unpadded(node.input[0]), (2, 3)

    def _unpadded(self, name):
        """What tensor `name` is a padding of by nothing, as some exporters write one before each pool."""
        node = self.graph.producer.get(name)
        if node is None or self.graph.default(node) != "Pad":
            return name
        pads = self.graph.constant(node.input[1]) if len(node.input) > 1 else attributes(node).get("pads", ())
        return name if pads is None or any(pads) else node.input[0]

    def _summed(self, node, operator):
        """A sum over height and width, divided by their product, which is declared or computed from the shape."""
        for at in (1, 0) if operator == "Mul" else (1,):
            inner = self.graph.producer.get(node.input[1 - at])
            found = self._reduced(inner) if inner is not None and self.graph.default(inner) == "ReduceSum" else None
            dims = found and self.graph.dims.get(found[0])
            if not dims:
                continue
            number, sizes = self.graph.constant(node.input[at]), [dims[axis] for axis in found[1]]
            if number is None:
                computed = known_sizes(self.graph, node.input[at], found[0])
                return found if operator == "Div" and computed == [(1, found[1])] else None
            if number.size != 1 or None in sizes:
                return None
            count = float(number.reshape(-1)[0]) if operator == "Div" else 1 / (float(number.reshape(-1)[0]) or 1)
            return found if abs(count / (sizes[0] * sizes[1]) - 1) < 1e-6 else None
        return None
