# SPDX-License-Identifier: Apache-2.0
"""Constant folding: computes the operators that exporters write on weights, with a bound on the result's size."""

import math

import numpy as np
import onnx
from onnx import numpy_helper

from .storage import cast, dequantise, is_number, quantise

__all__ = ["FOLDED", "array_of", "folded"]

# Elements of a folded constant. The weights of a layer are far smaller, but a small file can ask for far more.
MOST_FOLDED = 1 << 24


def array_of(tensor: onnx.TensorProto) -> np.ndarray | None:
    """The numbers of a TensorProto; None if it holds strings or can't be read."""
    if tensor.data_type == onnx.TensorProto.STRING:
        return None
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def folded(operator: str, attributes: dict, inputs: list) -> np.ndarray | None:
    """The result of `operator`, one of FOLDED, on constant `inputs` (arrays, or None for an input that is left out).

    None if the node is invalid, or an input or the result is larger than MOST_FOLDED elements.
    """
    if sum(array.size for array in inputs if array is not None) > MOST_FOLDED:
        return None
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(FOLDED[operator](attributes, *inputs))
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
        # The runtime reports an invalid node when the model is run.
        return None
    return None if result.size > MOST_FOLDED or result.dtype.hasobject else result


def _value(attributes):
    for name in ("value_float", "value_floats", "value_int", "value_ints"):
        if name in attributes:
            return np.array(attributes[name], np.float32 if "float" in name else np.int64)
    return array_of(attributes["value"])


def _axes(attributes, axes):
    axes = attributes.get("axes") if axes is None else axes.tolist()
    if axes == []:
        raise ValueError("none or all: runtimes disagree")
    return None if axes is None else tuple(axes)


def _reshape(attributes, x, shape):
    return x.reshape([x.shape[i] if n == 0 and not attributes.get("allowzero") else n
                      for i, n in enumerate(shape.tolist())])


def _broadcast(function, a, b):
    """``function(a, b)``, rounded to the type of both; ValueError if two small arrays broadcast to one that is too
    large."""
    if a.dtype != b.dtype or not is_number(a.dtype):
        raise TypeError("two types, or one that has no arithmetic")
    if math.prod(np.broadcast_shapes(a.shape, b.shape)) > MOST_FOLDED:
        raise ValueError("too large")
    return function(a, b)


FOLDED = {
    "Constant": lambda attributes: _value(attributes),
    "Identity": lambda attributes, x: x,
    "Cast": cast,
    "Reshape": _reshape,
    "Transpose": lambda attributes, x: x.transpose(attributes.get("perm")),
    "Squeeze": lambda attributes, x, axes=None: x.squeeze(_axes(attributes, axes)),
    "Unsqueeze": lambda attributes, x, axes=None: np.expand_dims(x, _axes(attributes, axes)),
    "DequantizeLinear": dequantise,
    "QuantizeLinear": quantise,
    "Add": lambda attributes, a, b: _broadcast(np.add, a, b),
    "Sub": lambda attributes, a, b: _broadcast(np.subtract, a, b),
    "Mul": lambda attributes, a, b: _broadcast(np.multiply, a, b),
    "Neg": lambda attributes, a: -a if is_number(a.dtype) else None,
}
