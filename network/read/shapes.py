# SPDX-License-Identifier: Apache-2.0
"""Sizes of the feature maps in an ONNX network, for a given size of its input."""

import dataclasses
import math
import re

import numpy as np
import onnx
from google.protobuf.message import Error
from onnx.shape_inference import InferenceError

from ...hdl.config import ConfigError
from .graph import Graph, copied, declared_dims
from .sandbox import sandboxed
from .session import numpy_type, open_session

__all__ = ["SHAPE_FORMAT", "InputShape", "infer", "input_dims", "input_of", "map_size", "measured"]

# Elements of an input: a photograph of 100 million pixels.
MOST_ELEMENTS = 3 * 10**8
SHAPE_FORMAT = "must be CxHxW, like 3x640x640"


@dataclasses.dataclass(frozen=True)
class InputShape:
    """Channels, height and width of a network's input; the batch is 1."""

    channels: int
    height: int
    width: int

    def __str__(self):
        return f"{self.channels}x{self.height}x{self.width}"

    @classmethod
    def parse(cls, text: str) -> "InputShape":
        """The shape that a text like 3x640x640 gives; ConfigError ("input_shape") for another text."""
        match = re.fullmatch(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", text)
        if not match:
            raise ConfigError("input_shape", text, SHAPE_FORMAT)
        return cls(*map(int, match.groups()))


def input_of(graph: Graph) -> onnx.ValueInfoProto:
    """The one input of `graph`; ConfigError ("model") if it has none or several."""
    if len(graph.inputs) != 1:
        raise ConfigError("model", f"{len(graph.inputs)} inputs", "must have one input, the image")
    return graph.inputs[0]


def input_dims(graph: Graph, shape: InputShape | None) -> list[int] | None:
    """The four dimensions of the network's input: as the file declares them, with open ones taken from `shape`.

    Returns None if a dimension is open and `shape` is None. Raises ConfigError ("input_shape") if `shape` contradicts
    the file or is too large.
    """
    if shape is None and len(graph.inputs) != 1:
        return None
    dims = declared_dims(input_of(graph))
    if dims is None or len(dims) != 4:
        if shape is None:
            return None
        raise ConfigError("input_shape", shape, "the model's input is no image of four dimensions")
    if shape is None:
        return None if None in dims[1:] else [dims[0] or 1, *dims[1:]]
    sizes = dataclasses.astuple(shape)
    if dims[3] == shape.channels and dims[1] != shape.channels:
        sizes = (shape.height, shape.width, shape.channels)
    if any(n not in (None, size) for n, size in zip(dims[1:], sizes, strict=True)):
        raise ConfigError("input_shape", shape, f"the model's input is {_text(dims)}")
    if math.prod(sizes) > MOST_ELEMENTS:
        raise ConfigError("input_shape", shape, f"must have {MOST_ELEMENTS:,} elements at most")
    return [dims[0] or 1, *sizes]


def _text(dims):
    return "x".join("?" if n is None else str(n) for n in dims[1:])


def map_size(dims: tuple | None, channels_last: bool) -> tuple[int | None, int | None]:
    """``(height, width)`` of a feature map of shape `dims`, None for what is open."""
    if dims is None or len(dims) != 4:
        return None, None
    height, width = (n if n is None or n > 0 else None for n in (dims[1:3] if channels_last else dims[2:4]))
    return height, width


def measured(graph: Graph, tensors: list[str], dims: list[int]) -> dict:
    """Shapes of `tensors` by name in a run of the network on zeros of shape `dims`, in a sandbox."""
    return sandboxed(_measured, graph.model.SerializeToString(), input_of(graph).name, dims, tensors,
                     what=f"it can't be run on {_text(dims)}")


def infer(graph: Graph, dims: list[int] | None = None) -> dict:
    """The shape of each tensor by ONNX's shape inference, None for open dimensions; `dims` are the input's, if known.

    Returns the declared shapes if inference refuses the model. Inference runs in this process, which a crafted file can
    crash.
    """
    try:
        model = copied(graph.model)
        if dims is not None:
            _fix_input(model, input_of(graph).name, dims)
        # Constants take part, as shapes may be computed from them.
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (ArithmeticError, Error, InferenceError, LookupError, RuntimeError, TypeError, ValueError):
        # The model may still run. Sizes that stay open are reported as such.
        return dict(graph.dims)
    return graph.dims | {value.name: shape
                         for value in (*model.graph.value_info, *model.graph.input, *model.graph.output)
                         if (shape := declared_dims(value)) is not None}


def _fix_input(model, name, dims):
    """Set the dimensions of input `name`, and remove the declared shapes of all tensors that follow from it."""
    for value in model.graph.input:
        if value.name == name:
            for dim, size in zip(value.type.tensor_type.shape.dim, dims, strict=True):
                dim.dim_value = size
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")


def _measured(content, name, dims, tensors):
    model = onnx.ModelProto.FromString(content)
    kind = next(numpy_type(value) for value in model.graph.input if value.name == name)
    arrays = open_session(content, taps=tensors).run(tensors, {name: np.zeros(dims, kind)})
    return {tensor: array.shape for tensor, array in zip(tensors, arrays, strict=True)}
