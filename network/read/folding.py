# SPDX-License-Identifier: Apache-2.0
"""Operators computed on constants, as weights are written with: none makes much of little."""

import math

import numpy as np
import onnx
from onnx import numpy_helper

__all__ = ["FOLDED", "array_of", "folded"]

# Elements of a folded constant: weights of a layer are far smaller, and a file can ask for more.
MOST_FOLDED = 1 << 24


def array_of(tensor):
    """The numbers of a TensorProto; None where they can't be read, or are texts."""
    if tensor.data_type == onnx.TensorProto.STRING:
        return None
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def folded(operator, about, inputs):
    """What `operator`, one of FOLDED, with the attributes `about` makes of the arrays `inputs`.

    None where it makes no sense, or is larger than MOST_FOLDED elements.
    """
    if sum(array.size for array in inputs if array is not None) > MOST_FOLDED:
        return None
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(FOLDED[operator](about, *inputs))
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
        # Whoever runs the model will say so.
        return None
    return None if result.size > MOST_FOLDED or result.dtype.hasobject else result


def _value(attribute):
    for name in ("value_float", "value_floats", "value_int", "value_ints"):
        if name in attribute:
            return np.array(attribute[name], np.float32 if "float" in name else np.int64)
    return array_of(attribute["value"])


def _axes(attribute, axes):
    axes = attribute.get("axes") if axes is None else axes.tolist()
    return None if axes is None else tuple(axes)


def _cast(attribute, x):
    return x.astype(onnx.helper.tensor_dtype_to_np_dtype(attribute["to"]))


def _reshape(attribute, x, shape):
    return x.reshape([x.shape[i] if n == 0 and not attribute.get("allowzero") else n
                      for i, n in enumerate(shape.tolist())])


def _dequantise(attribute, x, scale, zero=0):
    form = [1] * x.ndim
    if scale.ndim == 1 and scale.size > 1:
        form[attribute.get("axis", 1)] = -1
    elif scale.ndim > 1:
        raise ValueError("blocks")
    difference = _spread(np.subtract, x.astype(np.int64), np.asarray(zero, np.int64).reshape(form))
    return _spread(np.multiply, difference, scale.reshape(form)).astype(scale.dtype)


def _spread(function, a, b):
    """``function(a, b)``, unless a small `a` and `b` give something large together."""
    if math.prod(np.broadcast_shapes(a.shape, b.shape)) > MOST_FOLDED:
        raise ValueError("large")
    return function(a, b)


FOLDED = {
    "Constant": lambda attribute: _value(attribute),
    "Identity": lambda attribute, x: x,
    "Cast": _cast,
    "Reshape": _reshape,
    "Transpose": lambda attribute, x: x.transpose(attribute.get("perm")),
    "Squeeze": lambda attribute, x, axes=None: x.squeeze(_axes(attribute, axes)),
    "Unsqueeze": lambda attribute, x, axes=None: np.expand_dims(x, _axes(attribute, axes)),
    "DequantizeLinear": _dequantise,
    "Add": lambda attribute, a, b: _spread(np.add, a, b),
    "Sub": lambda attribute, a, b: _spread(np.subtract, a, b),
    "Mul": lambda attribute, a, b: _spread(np.multiply, a, b),
    "Neg": lambda attribute, a: -a,
}
