# SPDX-License-Identifier: Apache-2.0
"""The layout of every vector that a graph computes from means of a map, node by node."""

from collections.abc import Callable

import onnx

from ..read.graph import Graph, attributes
from ..read.storage import is_float
from .layout import Layout, Symbol
from .passing import MOST_STEPS, Passing, origin
from .shape_arithmetic import known_sizes

__all__ = ["ELEMENTWISE", "SAME_SHAPE", "Vectors", "symbol"]

# Operators, of any domain, that activations are spelt with. Each computes one number from one number.
ELEMENTWISE = frozenset((
    "Abs Add And BiasGelu Celu Clip Cos Div Elu Equal Erf Exp FastGelu Gelu Greater GreaterOrEqual HardSigmoid "
    "HardSwish LeakyRelu Less LessOrEqual Log Max Min Mish Mul Neg Not Or PRelu Pow QuickGelu Reciprocal Relu Selu "
    "Sigmoid Sign Sin Softplus Softsign Sqrt Sub Swish Tanh ThresholdedRelu Where").split())
# Operators that keep a tensor's shape.
IN_PLACE = frozenset((
    "Identity Cast CastLike Dropout QuantizeLinear DequantizeLinear Softmax LogSoftmax LayerNormalization "
    "InstanceNormalization GroupNormalization LpNormalization Floor Ceil Round").split())
# Operators that keep the order of a vector's numbers, if they leave it in one piece.
RESHAPING = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Dropout", "Expand")
# Operators between tensors whose axes are called alike.
SAME_SHAPE = ("Identity", "Cast", "Clip", "Dropout", "QuantizeLinear", "DequantizeLinear")


class Vectors:
    """The vectors in the graph of `passing`: ``layouts`` by tensor name.

    ``pooled_layout(node)`` is the layout of what `node` computes of a map, if it pools it, or None.
    """

    def __init__(self, passing: Passing, pooled_layout: Callable[[onnx.NodeProto], Layout | None]):
        self.passing, self.graph = passing, passing.graph
        self.layouts: dict[str, Layout] = {}
        for node in self.graph.nodes:
            layout = pooled_layout(node) or self._layout(node)
            if layout is not None and node.output and node.output[0]:
                self.layouts[node.output[0]] = layout

    def passed_on(self, name: str) -> str | None:
        """The tensor whose vectors the maker of tensor `name` passes on, whatever shape they take; else None.

        A quantiser with several ranges cuts each channel off elsewhere, which no activation does.
        """
        before, quantiser = self.passing.passed_on(name, RESHAPING), self.passing.quantiser(name)
        return None if name not in self.layouts or quantiser is not None and quantiser.several else before

    def origin(self, name: str) -> str:
        """The first tensor that has the vectors of tensor `name`."""
        return origin(self.passed_on, name)

    def shape(self, name: str) -> list[tuple] | None:
        """The sizes of tensor `name` for :func:`~.shape_arithmetic.known_sizes`, with names for those of open axes."""
        layout = self.layouts.get(name)
        if layout is not None:
            vector = (layout.size, ()) if layout.size else layout.size_symbol and (1, (layout.size_symbol,))
            by_letter = {"1": (1, ()), "N": (1, (layout.images_symbol,)), "V": vector}
            return [by_letter[letter] for letter in layout.axes] if vector and not layout.repeated else None
        dims = self.graph.dims.get(name)
        return None if dims is None else [(1, (symbol(self.graph, name, axis),)) for axis in range(len(dims))]

    def _layout(self, node):
        operator, inputs = self.graph.operator(node), list(node.input)
        if operator.split(".")[-1] in ELEMENTWISE:
            return self._combined(inputs)
        layout = self.layouts.get(inputs[0]) if inputs else None
        if operator in IN_PLACE:
            return layout
        if operator == "MatMul":
            return self._matrix_product(*inputs)
        if layout is None or layout.repeated:
            return None
        attrs = attributes(node)
        if operator in ("Conv", "BatchNormalization"):
            return self._convolved(operator, layout.with_vector_at(1), attrs, inputs)
        if operator == "Gemm":
            layout = layout.with_vector_at(1) if len(layout.axes) == 2 and not attrs.get("transA") else None
            return layout and self._of_size(layout, inputs[1], 0 if attrs.get("transB") else 1)
        if operator == "Reshape":
            sizes = known_sizes(self.graph, inputs[1], self.shape)
            return sizes and layout.reshaped(sizes, attrs.get("allowzero", 0))
        if operator == "Expand":
            sizes = self._expanded_sizes(node.output[0], known_sizes(self.graph, inputs[1], self.shape))
            return layout.expanded(sizes) if sizes else None
        if operator == "Transpose":
            return layout.transposed(attrs.get("perm"))
        if operator == "Flatten":
            return layout.flattened(attrs.get("axis", 1))
        return self._with_axes(operator, layout, inputs, attrs)

    def _expanded_sizes(self, name, sizes):
        """The sizes of tensor `name`, which an Expand to `sizes` makes, in every spelling that is known."""
        dims, names = self.graph.dims.get(name), self.graph.axis_names.get(name, ())
        rank = len(sizes or dims or ())
        spellings = [{size} for size in sizes or [(1, ((name, axis),)) for axis in range(rank)]]
        if dims is not None and len(dims) == rank:
            for axis, size in enumerate(dims):
                # The batch is inferred for one image.
                spellings[axis] |= {(size, ())} if axis and size is not None else set()
        if len(names) == rank:
            for axis, axis_name in enumerate(names):
                spellings[axis] |= {(1, (axis_name,))} if axis_name else set()
        return spellings

    def _with_axes(self, operator, layout, inputs, attrs):
        """The layout after a Squeeze or an Unsqueeze."""
        if operator not in ("Squeeze", "Unsqueeze"):
            return None
        axes = attrs.get("axes")
        if len(inputs) > 1 and inputs[1]:
            array = self.graph.constant(inputs[1])
            if array is None:
                return None
            axes = array.reshape(-1).tolist()
        if operator == "Squeeze":
            return layout.squeezed(axes)
        return layout.unsqueezed(axes) if axes is not None else None

    def _combined(self, inputs):
        """The layout of the results of an elementwise operator."""
        layouts = [self.layouts[name] for name in inputs if name in self.layouts]
        if not layouts or any(layout != layouts[0] for layout in layouts):
            return None
        layout, rank = layouts[0], len(layouts[0].axes)
        for name in inputs:
            array = self.graph.constant(name) if name and name not in self.layouts else None
            if array is not None:
                if layout.along(array) is None:
                    return None
                rank = max(rank, array.ndim)
            elif name and name not in self.layouts:
                # A number that is computed from the shape.
                dims = self.graph.dims.get(name)
                if dims is None or len(dims) > rank or any(size != 1 for size in dims):
                    return None
        return layout.raised(rank)

    def _convolved(self, operator, layout, attrs, inputs):
        """The layout after a Conv with a kernel of one element, or after a BatchNormalization."""
        if layout is None or layout.axes[0] not in "N1" or layout.axes[2:].strip("1"):
            return None
        if operator == "BatchNormalization":
            return layout
        array = self.graph.constant(inputs[1])
        if any(attrs.get("pads", ())) or array is None or array.ndim != len(layout.axes) or array.ndim < 3 or \
                array.size != array.shape[0] * array.shape[1]:
            return None
        return self._of_size(layout, inputs[1], 0)

    def _matrix_product(self, left, right):
        """The layout after a MatMul with a constant matrix on either side."""
        for vectors, matrix, axis in ((left, right, -1), (right, left, -2)):
            layout, array = self.layouts.get(vectors), self.graph.constant(matrix)
            if layout is None or layout.repeated or array is None or array.ndim != 2:
                continue
            # A matrix on the left is multiplied with columns.
            placed = layout.with_vector_at(axis)
            return placed and self._of_size(placed, matrix, 1 if axis == -1 else 0)
        return None

    def _of_size(self, layout, weight, axis):
        """`layout` for vectors with as many numbers as there are indices along an axis of tensor `weight`."""
        array = self.graph.constant(weight)
        if array is None or not is_float(array.dtype) or axis >= array.ndim or layout.size not in (
                None, array.size // array.shape[axis]):
            return None
        return Layout(layout.axes, array.shape[axis], layout.images, layout.images_symbol)


def symbol(graph: Graph, name: str, axis: int) -> Symbol:
    """What the size of an axis of tensor `name` is called.

    It is the first declared name in a row of tensors of the same shape, else the last of these tensors and the axis.
    """
    for _ in range(MOST_STEPS):
        names = graph.axis_names.get(name, ())
        if axis < len(names) and names[axis]:
            return names[axis]
        operator, node = graph.maker(name)
        if operator not in SAME_SHAPE or name != node.output[0]:
            break
        name = node.input[0]
    return name, axis
