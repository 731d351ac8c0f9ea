# SPDX-License-Identifier: Apache-2.0
"""Means over height and width in an ONNX graph, and whether they are of a given tensor."""

from .affine import MOST_STEPS, SAME
from .graph import attributes

__all__ = ["Pooling"]


class Pooling:
    """Looks for means in `graph`."""

    def __init__(self, graph):
        self.graph = graph

    def source(self, name):
        """``(tensor, order)``: tensor `name` is that tensor with its axes in that order; () where none are moved."""
        order = ()
        for _ in range(MOST_STEPS):
            node = self.graph.producer.get(name)
            operator = node and self.graph.default(node)
            if operator == "Transpose":
                step = tuple(attributes(node).get("perm", ()))
                if len(step) != 4 or set(step) != set(range(4)):
                    break
                order = tuple(step[axis] for axis in order) if order else step
            elif operator == "DequantizeLinear":
                node = self.graph.producer.get(node.input[0])
                if not node or self.graph.default(node) != "QuantizeLinear":
                    break
            elif operator not in ("Identity", "Dropout", "Cast"):
                break
            name = node.input[0]
        return name, () if order == (0, 1, 2, 3) else order

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
            if operator == "DequantizeLinear":
                node = self.graph.producer.get(node.input[0])
                if not node or self.graph.default(node) != "QuantizeLinear":
                    return None
            elif operator not in SAME:
                return None
            name = node.input[0]
        return None

    def _rank(self, name):
        dims = self.graph.dims.get(name)
        return None if dims is None else len(dims)

    def _axes(self, node):
        """The axes of a ReduceMean as they are written, or None."""
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
        if operator == "ReduceMean":
            return self._twice(inner, axes[0], attributes(inner).get("keepdims", 1))
        if operator in ("Reshape", "Flatten"):
            return self._flat(inner, axes[0])
        return None

    def _twice(self, inner, outer_axis, kept):
        """A mean of a mean, over one axis each."""
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
        if self._rank(node.input[0]) != 4 or self.graph.default(node) != "Reshape":
            return None
        shape = self.graph.constant(node.input[1])
        dims = self.graph.dims.get(node.input[0])
        if shape is None or shape.size != 3 or axis not in (2, -1):
            return None
        if shape[1] not in (0, dims[1]) and not (shape[1] == -1 and shape[2] > 0):
            return None
        return node.input[0], (2, 3)

    def _whole(self, node):
        """An AveragePool whose window is the whole map, as far as the map's size is declared."""
        dims, about = self.graph.dims.get(node.input[0]), attributes(node)
        if dims is None or len(dims) != 4 or any(about.get("pads", ())):
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
        """A sum over height and width, divided by their product, which must be declared."""
        for at in (0, 1):
            number = self.graph.constant(node.input[at])
            inner = self.graph.producer.get(node.input[1 - at])
            if number is None or number.size != 1 or inner is None or self.graph.default(inner) != "ReduceSum":
                continue
            found = self._reduced(inner)
            dims = found and self.graph.dims.get(found[0])
            if not dims or operator == "Div" and at == 0:
                return None
            sizes = [dims[axis] for axis in found[1]]
            count = float(number.reshape(-1)[0]) if operator == "Div" else 1 / (float(number.reshape(-1)[0]) or 1)
            return found if None not in sizes and abs(count / (sizes[0] * sizes[1]) - 1) < 1e-6 else None
        return None
