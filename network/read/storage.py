# SPDX-License-Identifier: Apache-2.0
"""Storage types of ONNX tensors: casts, and rounding to integers or float8 and back, as the operators are specified.

Where the specification leaves a result open (NaN or a number out of range as an integer), the functions return None.
"""

import math
import re

import numpy as np
from onnx import TensorProto
from onnx.helper import np_dtype_to_tensor_dtype, tensor_dtype_to_np_dtype

__all__ = ["cast", "dequantise", "is_float", "is_number", "limits", "storage_type", "quantise", "top_step"]

FLOATS = ("float16", "bfloat16", "float32", "float64")
FLOAT8S = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
# Types that QuantizeLinear writes, and the widest that DequantizeLinear reads.
MOST_BITS = {"quantise": 16, "dequantise": 32}


def is_float(dtype: np.dtype) -> bool:
    """Whether tensors of that type are the numbers of a network, and no quantised ones."""
    return dtype.name in FLOATS


def is_number(dtype: np.dtype) -> bool:
    """Whether operators compute with that type: floats, and integers of 8 bits or more."""
    return is_float(dtype) or dtype.kind in "iu"


def _bits(dtype):
    """Bits of an integer type, also of one that numpy lacks; 0 for another type."""
    match = re.fullmatch(r"u?int(\d+)", dtype.name)
    return int(match[1]) if match else 0


def limits(dtype: np.dtype) -> tuple[float, float] | None:
    """The lowest and the highest number of an integer or float8 type; None for another type."""
    bits = _bits(dtype)
    if bits:
        return (0, (1 << bits) - 1) if dtype.name.startswith("u") else (-(1 << bits - 1), (1 << bits - 1) - 1)
    if dtype.name not in FLOAT8S:
        return None
    return -_eights(dtype)[-1], _eights(dtype)[-1]


def top_step(dtype: np.dtype) -> float:
    """The distance of the two highest numbers of an integer or float8 type."""
    return 1.0 if _bits(dtype) else _eights(dtype)[-1] - _eights(dtype)[-2]


def _eights(dtype):
    """The numbers of a float8 type in order."""
    numbers = np.arange(256, dtype=np.uint8).view(dtype).astype(np.float64)
    return sorted(set(numbers[np.isfinite(numbers)].tolist()))


def storage_type(to: int) -> np.dtype | None:
    """The numpy type of an ONNX type; None for one that this release of onnx has no numpy type for."""
    try:
        dtype = tensor_dtype_to_np_dtype(to)
        return dtype if np_dtype_to_tensor_dtype(dtype) == to else None
    except (KeyError, ValueError, TypeError):
        return None


def _widened(x):
    """Numbers of a type that numpy lacks as float32, which holds each of them; others as they are."""
    return x.astype(np.float32) if x.dtype.kind == "V" or x.dtype.name in FLOAT8S else x


def cast(attributes: dict, x: np.ndarray) -> np.ndarray | None:
    """Cast."""
    dtype = storage_type(attributes["to"])
    if dtype is None or not (x.dtype.kind == "b" or is_number(x.dtype) or limits(x.dtype)):
        return None
    if x.dtype == dtype:
        return x
    x = _widened(x)
    if dtype.kind == "b":
        return x != 0
    if is_float(dtype):
        return x.astype(dtype)
    if dtype.name in FLOAT8S:
        return _float8(x.astype(np.float32), dtype, attributes.get("saturate", 1))
    ends = limits(dtype)
    if ends is None:
        return None
    # Integers lose their upper bits, which numpy does to its own types alone.
    if x.dtype.kind == "f" or _bits(dtype) < 8:
        whole = np.trunc(x.astype(np.float64))
        # As floats the ends of 64 bits are one too high.
        if not ((whole >= ends[0]) & (whole <= ends[1]) & (abs(whole) < 1 << 63)).all():
            return None
        x = whole.astype(np.int8) if _bits(dtype) < 8 else x
    return x.astype(dtype)


def _float8(x, dtype, saturate):
    """float32 numbers as float8; None if one is out of range and there is no saturation."""
    low, high = limits(dtype)
    if not saturate and not (abs(x) <= high).all():
        return None
    return np.clip(x, low, high).astype(dtype)


def _spread(parameter: np.ndarray, shape: tuple, attributes: dict) -> np.ndarray:
    """A scale or zero point of tensors of `shape` as an array that broadcasts to it; ValueError if it doesn't fit."""
    block, axis = attributes.get("block_size", 0), attributes.get("axis", 1)
    if parameter.size == 1 and parameter.ndim < 2:
        return parameter.reshape(())
    axis = range(len(shape))[axis]
    if block:
        sizes = [math.ceil(size / block) if at == axis else size for at, size in enumerate(shape)]
        if block < 0 or list(parameter.shape) != sizes:
            raise ValueError("blocks of another size")
        return np.repeat(parameter, min(block, shape[axis]), axis).take(range(shape[axis]), axis)
    if parameter.shape != (shape[axis],):
        raise ValueError("not one for each index along the axis")
    return parameter.reshape([-1 if at == axis else 1 for at in range(len(shape))])


def dequantise(attributes: dict, x: np.ndarray, scale: np.ndarray, zero: np.ndarray | None = None
               ) -> np.ndarray | None:
    """DequantizeLinear."""
    dtype = storage_type(attributes["output_dtype"]) if attributes.get("output_dtype") else scale.dtype
    if dtype is None or not is_float(dtype) or not is_float(scale.dtype) or limits(x.dtype) is None or \
            _bits(x.dtype) > MOST_BITS["dequantise"] or zero is not None and zero.dtype != x.dtype:
        return None
    kind = np.float32 if x.dtype.name in FLOAT8S else np.int64
    # The difference of two integers is exact, and is rounded once.
    difference = x.astype(kind) - (0 if zero is None else _spread(zero.astype(kind), x.shape, attributes))
    return (difference.astype(np.float32) * _spread(scale, x.shape, attributes).astype(np.float32)).astype(dtype)


def quantise(attributes: dict, x: np.ndarray, scale: np.ndarray, zero: np.ndarray | None = None) -> np.ndarray | None:
    """QuantizeLinear."""
    dtype = zero.dtype if zero is not None else storage_type(attributes.get("output_dtype") or TensorProto.UINT8)
    if dtype is None or not is_float(scale.dtype) or not (is_float(x.dtype) or x.dtype == np.int32) or \
            limits(dtype) is None or _bits(dtype) > MOST_BITS["quantise"] or \
            attributes.get("precision", 0) not in (0, TensorProto.FLOAT):
        return None
    ratio = x.astype(np.float32) / _spread(scale, x.shape, attributes).astype(np.float32)
    shift = 0 if zero is None else _spread(zero.astype(np.float32), x.shape, attributes)
    if dtype.name in FLOAT8S:
        return None if np.any(shift) else _float8(ratio, dtype, attributes.get("saturate", 1))
    if np.isnan(ratio).any() or not (scale > 0).all():
        return None
    # numpy rounds halves to even, as the operator does.
    return np.clip(np.rint(ratio) + shift, *limits(dtype)).astype(np.int32).astype(dtype)
