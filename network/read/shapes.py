# SPDX-License-Identifier: Apache-2.0
"""Sizes of the feature maps that reach the blocks of an ONNX network, for a given size of its input."""

import dataclasses
import math

import numpy as np
import onnx
from google.protobuf.message import Error
from onnx.shape_inference import InferenceError

from ...hdl.config import ConfigError
from ..calibration.session import numpy_type, open_session
from .graph import declared_dims
from .sandbox import guarded

__all__ = ["InputShape", "infer", "input_of", "maps", "resolved"]

# Elements of an input: a photograph of 100 million pixels.
MOST_ELEMENTS = 3 * 10**8


@dataclasses.dataclass(frozen=True)
class InputShape:
    """Channels, height and width of a network's input; the batch is 1."""

    channels: int
    height: int
    width: int

    def __str__(self):
        return f"{self.channels}x{self.height}x{self.width}"


def input_of(graph):
    """The ValueInfoProto of the one input of `graph`; ConfigError ("model") where there is none or are more."""
    inputs = _inputs(graph)
    if len(inputs) != 1:
        raise ConfigError("model", f"{len(inputs)} inputs", "must have one input, the image")
    return inputs[0]


def _inputs(graph):
    return [value for value in graph.model.graph.input if value.name not in graph.initializers]


def resolved(graph, wanted):
    """The dimensions of the network's input, a list of four: as the file declares them, open ones as `wanted` says.

    Parameters
    ----------
    wanted : InputShape or None

    Returns
    -------
    list of int, or None
        None where something is open and nothing wanted.

    Raises
    ------
    ConfigError
        ("input_shape") where `wanted` contradicts the file or is too large.
    """
    if wanted is None and len(_inputs(graph)) != 1:
        return None
    dims = declared_dims(input_of(graph))
    if dims is None or len(dims) != 4:
        if wanted is None:
            return None
        raise ConfigError("input_shape", wanted, "the model's input is no image of four dimensions")
    if wanted is None:
        return None if None in dims[1:] else [dims[0] or 1, *dims[1:]]
    sizes = dataclasses.astuple(wanted)
    if dims[3] == wanted.channels and dims[1] != wanted.channels:
        sizes = (wanted.height, wanted.width, wanted.channels)
    if any(n not in (None, size) for n, size in zip(dims[1:], sizes, strict=True)):
        raise ConfigError("input_shape", wanted, f"the model's input is {_shown(dims)}")
    if math.prod(sizes) > MOST_ELEMENTS:
        raise ConfigError("input_shape", wanted, f"must have {MOST_ELEMENTS:,} elements at most")
    return [dims[0] or 1, *sizes]


def _shown(dims):
    return "x".join("?" if n is None else str(n) for n in dims[1:])


def maps(graph, blocks, dims=None, measure=False):
    """``(height, width)`` of each block's feature map, by the block's name; None for what stays open.

    Parameters
    ----------
    graph : Graph
        With inferred shapes, see :func:`infer`.
    blocks : list of Block
    dims : list of int, optional
        Of the input.
    measure : bool
        Whether to run the network where inference leaves sizes open.
    """
    found = graph.dims
    if measure and any(None in _size(block, found) for block in blocks):
        found = found | guarded(_measured, graph.model.SerializeToString(), input_of(graph).name, dims,
                                [block.x for block in blocks], what=f"it can't be run on {_shown(dims)}")
    return {block.name: _size(block, found) for block in blocks}


def _size(block, found):
    dims = found.get(block.x)
    if dims is None or len(dims) != 4:
        return None, None
    return tuple(n if n is None or n > 0 else None for n in (dims[1:3] if block.channels_last else dims[2:4]))


def infer(graph, dims=None):
    """Shapes of all tensors by ONNX's inference, by name, None for open dimensions; with the input's `dims`, if given.

    Of a model that inference refuses, the declared shapes. It runs in this process, which a crafted file may end.
    """
    try:
        value = input_of(graph).name if dims is not None else None
        # Weights take no part, but constants do, which shapes may be computed from.
        model = onnx.shape_inference.infer_shapes(_fixed(_copy(graph.model), value, dims), data_prop=True)
    except (ArithmeticError, Error, InferenceError, LookupError, RuntimeError, TypeError, ValueError):
        # A model may run all the same; what stays open is said to be.
        return dict(graph.dims)
    return graph.dims | {item.name: found for item in (*model.graph.value_info, *model.graph.input, *model.graph.output)
                         if (found := declared_dims(item)) is not None}


def _copy(model):
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def _fixed(model, value, dims):
    """`model` with the dimensions of input `value`, and without declared shapes of what follows from it."""
    if dims is None:
        return model
    for item in model.graph.input:
        if item.name == value:
            for dim, size in zip(item.type.tensor_type.shape.dim, dims, strict=True):
                dim.dim_value = size
    del model.graph.value_info[:]
    for item in model.graph.output:
        item.type.tensor_type.ClearField("shape")
    return model


def _measured(content, value, dims, names):
    """Shapes of the tensors `names` in a run on zeros."""
    model = onnx.ModelProto.FromString(content)
    kind = next(numpy_type(item) for item in model.graph.input if item.name == value)
    session = open_session(content, taps=names)
    arrays = session.run(names, {value: np.zeros(dims, kind)})
    return {name: array.shape for name, array in zip(names, arrays, strict=True)}
