# SPDX-License-Identifier: Apache-2.0
"""Operators on integers, in place of which a DequantizeLinear, the operator on real numbers, and a QuantizeLinear are.

ONNX Runtime's format "QOperator" has QLinearConv, QLinearMul and others; QONNX, which Brevitas exports, has Quant. A
network whose operators are written in this form computes the same but for results halfway between two integers.
"""

import math

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .graph import Graph, attributes
from .names import unique

__all__ = ["expanded"]

# Operators on one tensor, on two, and those of layers, by the operators on real numbers.
UNARY = {"com.microsoft.QLinearSigmoid": "Sigmoid", "com.microsoft.QLinearLeakyRelu": "LeakyRelu",
         "com.microsoft.QLinearGlobalAveragePool": "GlobalAveragePool",
         "com.microsoft.QLinearAveragePool": "AveragePool"}
BINARY = {"com.microsoft.QLinearAdd": "Add", "com.microsoft.QLinearMul": "Mul", "QLinearMatMul": "MatMul"}
LAYERS = {"QLinearConv": "Conv", "com.microsoft.QGemm": "Gemm"}
CONCAT = "com.microsoft.QLinearConcat"
QUANTS = tuple(f"{domain}.{name}" for domain in ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")
               for name in ("Quant", "IntQuant"))
# The first operator set in which DequantizeLinear has an axis, the ends of Clip are tensors, Clip takes integers (of 8
# bits, but not of 16), and QuantizeLinear has 16 bits.
AXIS, CLIP, INTEGER_CLIP, WIDE = 13, 11, 12, 21
# Bits of Quant's integers that the operators hold, and those that constants have.
HELD, MOST_HELD = {8: (np.int8, np.uint8), 16: (np.int16, np.uint16)}, 32
ROUNDINGS = ("ROUND", "HALF_EVEN")


def expanded(graph: Graph) -> Graph:
    """`graph` with its operators on integers expanded; the same object if it has none that can be.

    Its model is changed. What stays are operators that are not listed, and those whose scales or zero points are not
    constant.
    """
    if not any(graph.operator(node) in (*UNARY, *BINARY, *LAYERS, CONCAT, *QUANTS) for node in graph.nodes):
        return graph
    expansion = _Expansion(graph)
    nodes = [part for node in graph.nodes for part in expansion.of(node)]
    if not expansion.count:
        return graph
    model = graph.model
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(expansion.tensors)
    if not any(item.domain == "com.microsoft" for item in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return Graph(model)


class _Unknown(Exception):
    """The operator can't be expanded."""


class _Expansion:
    """Expands the nodes of `graph`: ``tensors`` are the new constants, ``count`` that of expanded nodes."""

    def __init__(self, graph):
        self.graph, self.tensors, self.count = graph, [], 0
        self.used = {name for node in graph.nodes for name in (*node.input, *node.output)} | graph.initializers.keys()
        self.nodes: list = []

    def of(self, node):
        """The nodes in place of `node`, or itself."""
        operator, self.nodes, kept = self.graph.operator(node), [], len(self.tensors)
        try:
            if operator in QUANTS:
                self._quant(node, attributes(node))
            elif operator in LAYERS:
                self._layer(node, LAYERS[operator], attributes(node))
            elif operator in UNARY or operator in BINARY or operator == CONCAT:
                self._elementwise(node, operator, attributes(node))
            else:
                return [node]
        except (_Unknown, ValueError, OverflowError):
            # The runtime reports what is wrong with it.
            del self.tensors[kept:]
            return [node]
        self.count += 1
        return self.nodes

    def _add(self, operator, inputs, output=None, name="", domain="", **about):
        output = output or unique(f"{inputs[0]}/{operator}", self.used, "#")
        self.nodes.append(helper.make_node(operator, inputs, [output], name or output, domain=domain, **about))
        return output

    def _constant(self, array, name):
        self.tensors.append(numpy_helper.from_array(array, unique(name, self.used, "#")))
        return self.tensors[-1].name

    def _value(self, name):
        array = self.graph.constant(name) if name else None
        if array is None or not array.size:
            raise _Unknown
        return array

    def _domain(self, scale, dtype=None):
        """The domain whose operator has such parameters in this operator set."""
        old = self.graph.opset < AXIS and np.size(scale) > 1 or dtype in HELD[16] and self.graph.opset < WIDE
        return "com.microsoft" if old else ""

    def _dequantised(self, name, scale, zero, axis=None):
        """The real numbers of integers `name`; `axis` is that of several scales."""
        several = self._value(scale).size > 1
        if several and axis is None:
            raise _Unknown
        return self._add("DequantizeLinear", [name, scale, *filter(None, [zero])], unique(
            f"{name}/DequantizeLinear", self.used, "#"), domain=self._domain(self._value(scale)),
            **({"axis": axis} if several else {}))

    def _finish(self, node, operator, inputs, scale, zero, **about):
        """The operator on real numbers, named as `node`, and the QuantizeLinear of its results."""
        if self._value(scale).size > 1 or not zero:
            # Without a zero point the integers would be of another type.
            raise _Unknown
        result = self._add(operator, inputs, unique(f"{node.output[0]}/{operator}", self.used, "#"), node.name, **about)
        self._add("QuantizeLinear", [result, scale, zero], node.output[0])

    def _elementwise(self, node, operator, attrs):
        inputs = [*node.input]
        if operator == CONCAT:
            triples, ends = [inputs[at:at + 3] for at in range(2, len(inputs), 3)], inputs[:2]
        else:
            count = 3 if operator in UNARY else 6
            triples, ends = [inputs[at:at + 3] for at in range(0, count, 3)], inputs[count:]
        name = {**UNARY, **BINARY, CONCAT: "Concat"}[operator]
        if attrs.pop("channels_last", 0) or len(ends) != 2:
            raise _Unknown
        axes = [None] * (len(triples) - 1) + [-1 if name == "MatMul" else None]
        parts = [self._dequantised(*triple, axis) for triple, axis in zip(triples, axes, strict=True)]
        self._finish(node, name, parts, *ends, **attrs)

    def _layer(self, node, operator, attrs):
        gemm = operator == "Gemm"
        x, x_scale, x_zero, weight, scale, zero = node.input[:6]
        bias, ends = ([*node.input, "", "", ""][6], node.input[7:9]) if gemm else (
            [*node.input, ""][8], node.input[6:8])
        axis = 1 - attrs.get("transB", 0) if gemm else 0
        parts = [self._dequantised(x, x_scale, x_zero), self._dequantised(weight, scale, zero, axis)]
        if bias:
            # Its integers are in steps of the products.
            steps = self._value(x_scale).reshape(()) * self._value(scale) * np.float32(attrs.get("alpha", 1.0))
            steps = steps if steps.size > 1 else steps.reshape(())
            parts.append(self._dequantised_bias(bias, steps.astype(np.float32)))
        if len(ends) == 2:
            self._finish(node, operator, parts, *ends, **attrs)
        else:
            self._add(operator, parts, node.output[0], node.name, **attrs)

    def _dequantised_bias(self, bias, steps):
        name = self._constant(steps, f"{bias}/scale")
        about = {"axis": 0} if steps.ndim else {}
        return self._add("DequantizeLinear", [bias, name], unique(f"{bias}/DequantizeLinear", self.used, "#"),
                         domain=self._domain(steps), **about)

    def _quant(self, node, attrs):
        """Quant: rounded and clipped to integers of any width, and back."""
        scale, zero, width = (self._value(name) for name in node.input[1:4])
        bits, signed, narrow = int(width.flat[0]), bool(attrs.get("signed", 1)), bool(attrs.get("narrow", 1))
        mode = attrs.get("rounding_mode", b"ROUND").decode().upper()
        if width.size != 1 or bits != width.flat[0] or not 2 <= bits <= MOST_HELD or (zero != np.rint(zero)).any() or \
                mode not in ROUNDINGS or (zero != zero.flat[0]).any() or not (scale > 0).all():
            raise _Unknown
        low = narrow - (1 << bits - 1) if signed else 0
        high = (1 << bits - signed) - 1 - (narrow and not signed)
        x, (steps, axis) = self.graph.constant(node.input[0]), _along(scale.astype(np.float32))
        width = next((held for held in HELD if bits <= held), None)
        kind = np.dtype(np.int32) if width is None else np.dtype(HELD[width][not signed])
        about = {} if axis is None else {"axis": axis}
        if not np.iinfo(kind).min <= zero.flat[0] <= np.iinfo(kind).max:
            raise _Unknown
        zeros = np.full(steps.shape, int(zero.flat[0]), kind)
        clipped = width is not None and (bits < width or narrow)
        if x is None and (width is None or clipped and self.graph.opset < CLIP) or width is None and zeros.any():
            raise _Unknown
        name = node.output[0]
        numbers = [self._constant(steps, f"{name}/scale"), self._constant(zeros, f"{name}/zero_point")]
        domain = self._domain(steps, kind)
        if x is None:
            integers = self._add("QuantizeLinear", [node.input[0], *numbers], unique(
                f"{name}/QuantizeLinear", self.used, "#"), domain=domain, **about)
            if clipped:
                integers = self._clip(integers, low, high, kind, name)
        else:
            ratio = x.astype(np.float32) / scale.astype(np.float32) + zero.astype(np.float32)
            if not np.isfinite(ratio).all():
                raise _Unknown
            integers = self._constant(np.rint(np.clip(ratio.astype(np.float64), low, high)).astype(kind),
                                      f"{name}/integers")
        # Integers of 32 bits have no zero point.
        self._add("DequantizeLinear", [integers, *(numbers if width else numbers[:1])], name, node.name, domain,
                  **about)

    def _clip(self, integers, low, high, kind, name):
        """`integers` of type `kind` from `low` to `high`; in float32, which holds them, where Clip lacks the type."""
        own = kind.itemsize == 1 and self.graph.opset >= INTEGER_CLIP
        ends = [self._constant(np.array(end, kind if own else np.float32), f"{name}/{which}")
                for which, end in (("low", low), ("high", high))]
        if not own:
            integers = self._add("Cast", [integers], to=TensorProto.FLOAT)
        integers = self._add("Clip", [integers, *ends], unique(f"{name}/integers", self.used, "#"))
        return integers if own else self._add("Cast", [integers], to=helper.np_dtype_to_tensor_dtype(kind))


def _along(scale):
    """``(scales, axis)``: a scale that broadcasts to a tensor, as numbers along one of its axes, or one number."""
    if (scale == scale.flat[0]).all():
        return scale.flat[0].reshape(()), None
    axes = [axis for axis, size in enumerate(scale.shape) if size > 1]
    if len(axes) != 1 or math.prod(scale.shape) != scale.shape[axes[0]]:
        raise _Unknown
    return scale.reshape(-1), axes[0] - scale.ndim
