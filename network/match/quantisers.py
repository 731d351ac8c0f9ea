# SPDX-License-Identifier: Apache-2.0
"""Pairs of QuantizeLinear and DequantizeLinear: the range of numbers that a tensor is clipped and rounded to."""

import dataclasses
import math

import numpy as np
import onnx

from ...golden.block import DataFormat
from ...hdl.config import ConfigError, DataType
from ..read.graph import Graph, attributes
from ..read.storage import is_float, limits, storage_type, top_step

__all__ = ["ANY", "Quantiser", "data_format", "number_range", "quantised_integers", "quantising", "same_numbers",
           "smallest_type", "stored_numbers", "undone_quantiser"]

# The ends of a range that holds every number.
ANY = (-math.inf, math.inf)
# What may be between both operators: a Clip, and where no Clip takes the type of the integers, the Casts around it.
CLIPS = ([], ["Clip"], ["Cast", "Clip", "Cast"])


@dataclasses.dataclass(frozen=True, eq=False)
class Quantiser:
    """What a QuantizeLinear and its DequantizeLinear make of tensor `source`: its numbers, clipped and rounded.

    `low` and `high` are the ends of the range, `step` is the distance of the two highest numbers: each one number, or
    one for each index along an axis if these have different ranges. ``format`` is that of the integers, None if these
    have another one than blocks may have.
    """

    source: str
    low: np.ndarray
    high: np.ndarray
    step: np.ndarray
    format: DataFormat | None = None

    @property
    def several(self) -> bool:
        """Whether there are several ranges."""
        return max(self.low.size, self.high.size) > 1


def number_range(graph: Graph, node: onnx.NodeProto, within: tuple[float, float] = ANY
                 ) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """``(low, high, step)`` of the numbers that the integers of a QuantizeLinear or DequantizeLinear stand for.

    Integers outside of `within` do not come up. None if scale or zero point are no constants, or if the type of the
    integers is not known.
    """
    parameters = stored_numbers(graph, node)
    if parameters is None:
        return None
    scale, zero, dtype = parameters[:3]
    ends = None if dtype is None else limits(dtype)
    if ends is None:
        return None
    ends = max(ends[0], within[0]), min(ends[1], within[1])
    return (ends[0] - zero) * scale, (ends[1] - zero) * scale, np.broadcast_to(scale * top_step(dtype), scale.shape)


def undone_quantiser(graph: Graph, node: onnx.NodeProto) -> Quantiser | None:
    """The :class:`Quantiser` that the DequantizeLinear `node` ends.

    None if there is no QuantizeLinear before it, or one with another scale or zero point: that multiplies or shifts.
    """
    before, within = quantising(graph, node)
    to = attributes(node).get("output_dtype")
    kind = storage_type(to) if to else None
    if before is None or to and (kind is None or not is_float(kind)):
        return None
    ends = number_range(graph, before, within)
    if ends is None or not same_numbers(graph, before, node):
        return None
    return Quantiser(before.input[0], *ends, data_format(graph, before, within))


def data_format(graph: Graph, node: onnx.NodeProto, within: tuple[float, float] = ANY) -> DataFormat | None:
    """The format of the integers of a QuantizeLinear or DequantizeLinear; those outside of `within` do not come up.

    None if it is not known, or if there are several scales, or if a block has no such format.
    """
    scale, zero, dtype = (stored_numbers(graph, node) or (None,) * 3)[:3]
    ends = None if dtype is None or dtype.name.startswith("float") else limits(dtype)
    if ends is None or scale.ndim:
        return None
    low, high = max(ends[0], within[0]), min(ends[1], within[1])
    try:
        return DataFormat(float(scale), int(zero), smallest_type(int(low), int(high), ends[0] < 0))
    except ConfigError:
        return None


def smallest_type(low: int, high: int, signed: bool) -> DataType:
    """The type of the fewest bits that holds `low` to `high`; ConfigError if there is none."""
    bits = max(high, -low - 1).bit_length() + signed
    return DataType(max(bits, 2), signed)


def quantising(graph: Graph, node: onnx.NodeProto) -> tuple[onnx.NodeProto | None, tuple[float, float]]:
    """The QuantizeLinear before the DequantizeLinear `node`, or None, and the ends that a Clip between them has.

    Such a Clip makes integers of fewer bits than their type. It may be one of float32, between Casts to that and back.
    """
    operator, before = graph.maker(node.input[0])
    between: list[onnx.NodeProto] = []
    while operator in ("Cast", "Clip") and len(between) < len(CLIPS[-1]):
        between.insert(0, before)
        operator, before = graph.maker(before.input[0])
    if operator != "QuantizeLinear" or [graph.operator(item) for item in between] not in CLIPS:
        return None, ANY
    if not between:
        return before, ANY
    clip = between[len(between) // 2]
    arrays = [graph.constant(name) if name else None for name in [*clip.input, "", ""][1:3]]
    if any(array is None or array.size != 1 or not float(array.flat[0]).is_integer() for array in arrays):
        return None, ANY
    if len(between) > 1:
        kind = (stored_numbers(graph, before) or (None,) * 3)[2]
        forth, back = (attributes(item).get("to") for item in (between[0], between[-1]))
        if kind is None or forth != onnx.TensorProto.FLOAT or storage_type(back) != kind:
            return None, ANY
    return before, (float(arrays[0].flat[0]), float(arrays[1].flat[0]))


def quantised_integers(graph: Graph, node: onnx.NodeProto) -> tuple[str, tuple[float, float]]:
    """The tensor of the integers that the QuantizeLinear `node` makes, after a Clip of them, and the Clip's ends."""
    name = node.output[0]
    for _ in CLIPS[-1]:
        readers = graph.readers.get(name, ())
        if len(readers) != 1 or name in graph.outputs or graph.operator(readers[0]) not in ("Cast", "Clip"):
            break
        name = readers[0].output[0]
    back = [item for item in graph.readers.get(name, ()) if graph.operator(item) == "DequantizeLinear"]
    before, ends = quantising(graph, back[0]) if back else (None, ANY)
    same = before is not None and before.output[0] == node.output[0]
    return (name, ends) if same else (node.output[0], ANY)


def same_numbers(graph: Graph, before: onnx.NodeProto, node: onnx.NodeProto) -> bool | None:
    """Whether the DequantizeLinear `node` has scale and zero point of the QuantizeLinear `before`; None if it is not
    known."""
    pair = [stored_numbers(graph, item) for item in (before, node)]
    if None in pair:
        return None
    (scale, zero, _, *axis), (other_scale, other_zero, _, *other_axis) = pair
    same = np.array_equal(scale, other_scale) and np.array_equal(*np.broadcast_arrays(zero, other_zero)) \
        if np.shape(scale) == np.shape(other_scale) else False
    return same and axis == other_axis


def stored_numbers(graph: Graph, node: onnx.NodeProto, zeros: bool = False) -> tuple | None:
    """``(scale, zero point, type of the integers, axis, block size)``; None if one is not known or not valid.

    A scale of 0 is not valid, but with `zeros`, for constants. The last two are None where they say nothing, and the
    type is None where the node does not tell it.
    """
    names, attrs = [*node.input, "", ""][1:3], attributes(node)
    scale, zero = (graph.constant(name) if name else None for name in names)
    if scale is None or not scale.size or not is_float(scale.dtype) or names[1] and (zero is None or not zero.size):
        return None
    scale = scale.astype(np.float64)
    if not (np.isfinite(scale) & (scale >= 0)).all() or not zeros and not scale.all():
        return None
    dtype = None if zero is None else zero.dtype
    if dtype is None and graph.operator(node) == "QuantizeLinear":
        dtype = storage_type(attrs.get("output_dtype") or onnx.TensorProto.UINT8)
    zero = np.zeros(()) if zero is None else zero.astype(np.float64)
    if zero.size > 1 and zero.shape != scale.shape:
        return None
    if all((part == part.flat[0]).all() for part in (scale, zero)):
        scale, zero = scale.flat[0].reshape(()), zero.flat[0].reshape(())
    return scale, zero, dtype, *((attrs.get("axis", 1), attrs.get("block_size", 0)) if scale.ndim else (None, None))
