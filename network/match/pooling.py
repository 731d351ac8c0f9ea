# SPDX-License-Identifier: Apache-2.0
"""Means over height and width in an ONNX graph."""

import dataclasses
import functools
import math

import onnx

from ..read.graph import Graph, attributes, declared_dims
from .fake_quantisation import DECIMALS, constant_tolerance
from .layout import Layout
from .passing import MOST_STEPS, Passing
from .shape_arithmetic import known_sizes
from .vectors import Vectors, symbol

__all__ = ["CHANNELS_LAST", "Mean", "Pooling", "transposed"]

# Pairs of axes of a map of four that are height and width, and whether the channels come last then.
CHANNELS_LAST = {(2, 3): False, (1, 2): True}
# Relative error of the number of pixels in a type that is not coarse.
EXACT = 1e-6
# Operators that leave one number of each channel, those with a window if it is as large as the map.
POOLS = ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "AveragePool", "MaxPool", "LpPool")


def transposed(order: tuple, perm: tuple) -> tuple | None:
    """The order of axes after a Transpose by `perm` of the order `order`; () for four axes in their own order.

    None unless `perm` is a permutation of four axes.
    """
    if sorted(perm) != [0, 1, 2, 3]:
        return None
    order = tuple((order or range(4))[axis] for axis in perm)
    return () if order == (0, 1, 2, 3) else order


@dataclasses.dataclass(frozen=True)
class Mean:
    """The means over the `axes` of a map, a tensor of four axes; `tensor` is the name of the one that holds them.

    `kept` are the axes that the tensor with the means has: those of the map, of which `axes` are then of size one.
    """

    map: str
    axes: tuple
    kept: tuple = (0, 1, 2, 3)
    tensor: str = ""


class Pooling:
    """Finds means in `graph`."""

    def __init__(self, graph: Graph):
        self.graph, self.passing = graph, Passing(graph)
        # Whether the file declares the batch, whatever batch its shapes were inferred for.
        shapes = [declared_dims(value) for value in graph.inputs]
        self.fixed_batch = all(dims is not None and None not in dims[:1] for dims in shapes)

    @functools.cached_property
    def vectors(self) -> Vectors:
        """The vectors that the graph computes from means."""
        return Vectors(self.passing, self._layout)

    def source(self, name: str) -> tuple[str, tuple]:
        """``(tensor, order)``: tensor `name` is that tensor with its axes in that order; () for their own order.

        The numbers may be rounded on the way, and cut below zero.
        """
        return self._source(name)[:2]

    def _source(self, name):
        """The same, and whether numbers are cut below zero on the way."""
        perms, cut = [], False
        for _ in range(MOST_STEPS):
            operator, node = self.graph.maker(name)
            if operator == "Transpose" and transposed((), attributes(node).get("perm", ())) is not None:
                perms.append(attributes(node)["perm"])
                name = node.input[0]
                continue
            before = self.passing.passed_on(name, ("Identity", "Dropout", "Cast"))
            quantiser = None if before is not None else self.passing.quantiser(name)
            if quantiser is not None and self.passing.cut(quantiser) == "negative":
                before, cut = quantiser.source, True
            if before is None:
                break
            name = before
        return name, functools.reduce(transposed, reversed(perms), ()), cut

    def cuts(self, name: str) -> bool:
        """Whether numbers are cut below zero between tensor `name` and its :meth:`source`."""
        return self._source(name)[2]

    def same(self, name: str, order: tuple, x: str) -> bool:
        """Whether tensor `name` is map `x`, but for roundings, with its axes in that `order` of their common source."""
        base, _, cut = self._source(x)
        return self._source(name) == (base, order, cut)

    def channels_last(self, name: str, x: str) -> bool | None:
        """If tensor `name` holds the means of map `x`: whether x is (N, H, W, C), not (N, C, H, W). Else None."""
        mean = self.mean(name)
        if mean is None:
            return None
        base, order, cut = self._source(mean.map)
        x_base, x_order, x_cut = self._source(x)
        if (base, cut) != (x_base, x_cut):
            return None
        # Axes of x: those of the images are the first ones of both.
        axes = [tuple(x_order or range(4)).index((order or range(4))[axis]) for axis in (0, *mean.axes)]
        return None if axes[0] else CHANNELS_LAST.get(tuple(sorted(axes[1:])))

    def mean(self, name: str) -> Mean | None:
        """The :class:`Mean` whose numbers tensor `name` holds, or None."""
        node = self.graph.producer.get(self.vectors.origin(name))
        mean = node and self._mean(node)
        return mean and dataclasses.replace(mean, tensor=node.output[0])

    def map_sizes(self, x: str) -> list[set]:
        """The sizes of the axes of map `x`, in each known spelling of :func:`~.shape_arithmetic.known_sizes`."""
        dims = self.graph.dims.get(x) or (None,) * 4
        sizes = [{(1, (symbol(self.graph, x, axis),)), (size, ())} for axis, size in enumerate(dims)]
        if not self.fixed_batch:
            sizes[0].discard((dims[0], ()))
        return sizes

    def _layout(self, node):
        """The :class:`Layout` of what `node` computes of a map over height and width, means or not; or None."""
        operator, mean = self.graph.operator(node), None
        if operator.startswith("Reduce"):
            mean = self._reduced(node, "Reduce")
        elif operator in POOLS and (operator.startswith("Global")
                                    or self.graph.dims.get(node.output[0], ())[2:] == (1, 1)):
            mean = self._of_map(node.input[0], (2, 3))
        if mean is None:
            return None
        dims = self.graph.dims.get(mean.map) or (None,) * 4
        channel = 3 if CHANNELS_LAST[mean.axes] else 1
        images = dims[0] if self.fixed_batch else None
        letters = {0: "1" if images == 1 else "N", channel: "V"}
        return Layout("".join(letters.get(axis, "1") for axis in mean.kept), dims[channel], images,
                      symbol(self.graph, mean.map, 0), symbol(self.graph, mean.map, channel))

    def _mean(self, node):
        """The :class:`Mean` that `node` computes, over two axes of four; None if it computes something else."""
        operator = self.graph.operator(node)
        if operator == "GlobalAveragePool":
            return self._of_map(node.input[0], (2, 3))
        if operator == "AveragePool":
            return self._whole_window(node)
        if operator in ("Mul", "Div"):
            summed, counted = self.divided_sum(node)
            return summed if counted else None
        return self._reduced(node, operator) if operator == "ReduceMean" else None

    def _rank(self, name):
        """The number of axes of tensor `name`, or None: that of its shape, or of the weights of a Conv on it."""
        dims = self.graph.dims.get(name)
        if dims is not None:
            return len(dims)
        pools = [node for node in self.graph.readers.get(name, ()) if node.op_type == "GlobalAveragePool"]
        nodes = [*self.graph.readers.get(name, ()), *(reader for node in pools
                                                      for reader in self.graph.readers.get(node.output[0], ()))]
        nodes += [self.graph.producer[name]] if name in self.graph.producer else []
        weights = [node.input[1] for node in nodes if self.graph.operator(node) == "Conv"
                   and name not in node.input[1:]]
        ranks = [len(self.graph.dims[weight]) for weight in weights if weight in self.graph.dims]
        return ranks[0] if ranks else None

    def _of_map(self, name, axes, kept=(0, 1, 2, 3)):
        """The :class:`Mean` over `axes` if tensor `name` has four axes and these can be height and width."""
        axes = tuple(sorted(axes))
        return Mean(name, axes, kept) if axes in CHANNELS_LAST and self._rank(name) == 4 else None

    def _axes(self, node):
        """The axes of a ReduceMean or ReduceSum as they are written, or None."""
        if len(node.input) > 1 and node.input[1]:
            array = self.graph.constant(node.input[1])
            return None if array is None else tuple(int(axis) for axis in array.reshape(-1))
        return tuple(attributes(node).get("axes", ())) or None

    def _reduced(self, node, like):
        """The :class:`Mean` of a node that reduces a map, maybe after another whose operator begins with `like`."""
        axes, keeps = self._axes(node), attributes(node).get("keepdims", 1)
        if axes is not None and len(axes) == 2:
            axes = tuple(axis % 4 for axis in axes)
            return self._of_map(node.input[0], axes, tuple(axis for axis in range(4) if keeps or axis not in axes))
        if axes is None or len(axes) != 1:
            return None
        operator, inner = self.graph.maker(node.input[0])
        if operator is not None and operator.startswith(like):
            return self._reduced_twice(inner, axes[0], keeps)
        return self._flat(inner, axes[0], keeps) if operator == "Reshape" else None

    def _reduced_twice(self, inner, outer_axis, keeps):
        """A mean of a mean, or a sum of a sum, over one axis each."""
        inner_axes = self._axes(inner)
        if inner_axes is None or len(inner_axes) != 1:
            return None
        first = inner_axes[0] % 4
        kept = attributes(inner).get("keepdims", 1)
        left = [axis for axis in range(4) if kept or axis != first]
        second = left[outer_axis % len(left)]
        return self._of_map(inner.input[0], (first, second), tuple(axis for axis in left if keeps or axis != second))

    def _flat(self, node, axis, keeps):
        """A mean over the last axis of a map (N, C, H, W) that was reshaped to (N, C, H * W)."""
        dims = self.graph.dims.get(node.input[0])
        if dims is None or len(dims) != 4 or axis not in (2, -1):
            return None
        shape = known_sizes(self.graph, node.input[1], self._shape)
        if shape is None or len(shape) != 3 or attributes(node).get("allowzero") and (0, ()) in shape:
            return None
        names = [symbol(self.graph, node.input[0], axis) for axis in range(4)]
        # One size may be -1, for what is left: if the other two are right, it is, too.
        left, area = (-1, ()), None if None in dims[2:] else (dims[2] * dims[3], ())
        batch, channels = ((left, (0, ()), (number, ()), (1, (names[axis],)))
                           for axis, number in enumerate((dims[0] if self.fixed_batch else None, dims[1])))
        right = shape[0] in batch and shape[1] in channels
        return self._of_map(node.input[0], (2, 3), (0, 1, 2) if keeps else (0, 1)) if right and shape[2] in (
            left, area, (1, tuple(sorted(names[2:], key=str)))) else None

    def _shape(self, name):
        """The sizes of tensor `name` for :func:`~.shape_arithmetic.known_sizes`, by names."""
        rank = self._rank(name)
        return None if rank is None else [(1, (symbol(self.graph, name, axis),)) for axis in range(rank)]

    def _whole_window(self, node):
        """An AveragePool whose window is the whole map, as far as the map's size is known."""
        dims, attrs = self.graph.dims.get(node.input[0]), attributes(node)
        if dims is None or len(dims) != 4 or any(attrs.get("pads", ())) or \
                attrs.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            return None
        if tuple(attrs.get("kernel_shape", ())) != tuple(dims[2:]):
            return None
        return self._of_map(self._unpadded(node.input[0]), (2, 3))

    def _unpadded(self, name):
        """The input of a Pad by zero rows and columns, which some exporters write before each pool; else `name`."""
        operator, node = self.graph.maker(name)
        if operator != "Pad":
            return name
        pads = self.graph.constant(node.input[1]) if len(node.input) > 1 else attributes(node).get("pads", ())
        return name if pads is None or any(pads) else node.input[0]

    def divided_sum(self, node: onnx.NodeProto) -> tuple[Mean | None, bool | None]:
        """``(sum, counted)``: the sum over height and width that a Mul or Div reads beside one number, as the Mean that
        it is of, and whether the node divides it by the number of pixels, None if that is not known.

        (None, None) if the node reads no such sum, or several numbers.
        """
        for at in (1, 0) if node.op_type == "Mul" else (1,):
            operator, inner = self.graph.maker(node.input[1 - at])
            summed = self._reduced(inner, "ReduceSum") if operator == "ReduceSum" else None
            if summed and self._is_number(node.input[at], len(summed.kept)):
                return summed, self._counts(node.input[at], summed, node.op_type)
        return None, None

    def _counts(self, name, summed, operator):
        """Whether number `name` is the number of pixels, a constant or computed from the shape; for a Mul, 1 / it."""
        dims = self.graph.dims.get(summed.map) or (None,) * 4
        sizes, number = [dims[axis] for axis in summed.axes], self.graph.constant(name)
        if number is not None:
            count = float(number.reshape(-1)[0])
            count = count if operator == "Div" else 1 / (count or 1)
            tolerance = constant_tolerance(self.graph, [name])
            return None not in sizes and abs(count / math.prod(sizes) - 1) < (
                tolerance if tolerance > DECIMALS else EXACT)
        computed = known_sizes(self.graph, name, self._shape) if operator == "Div" else None
        names = [symbol(self.graph, summed.map, axis) for axis in range(4)]
        if computed == [(1, tuple(sorted((names[axis] for axis in summed.axes), key=str)))]:
            return True
        if not computed or not set(names).issuperset(computed[0][1]):
            # Axes of other tensors may have the same sizes.
            return None
        others = [computed[0][0], *(dims[names.index(axis)] for axis in computed[0][1])]
        return None if None not in (*sizes, *others) and math.prod(others) == math.prod(sizes) else False

    def _is_number(self, name, rank):
        """Whether tensor `name` holds one number, and leaves the shape of a tensor with `rank` axes."""
        array, dims = self.graph.constant(name), self.graph.dims.get(name)
        dims = dims if array is None else array.shape
        return dims is not None and len(dims) <= rank and all(size == 1 for size in dims)
