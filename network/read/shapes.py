# SPDX-License-Identifier: Apache-2.0
"""Sizes of the feature maps in an ONNX network, for a given size of its input; onnxruntime sessions that give maps."""

import contextlib
import copy
import dataclasses
import math
import re
import typing
from collections.abc import Iterable

import numpy as np
import onnx
from google.protobuf.message import Error
from onnx.shape_inference import InferenceError

from ...hdl.config import ConfigError
from .graph import Graph, declared_dims, declared_types, default_operator
from .sandbox import sandboxed

if typing.TYPE_CHECKING:
    import onnxruntime

__all__ = ["SHAPE_FORMAT", "InputShape", "fixed_dims", "infer", "inferred", "input_dims", "input_of", "map_size",
           "measured", "numpy_type", "open_session"]

# Elements of an input: a photograph of 100 million pixels.
MOST_ELEMENTS = 3 * 10**8
SHAPE_FORMAT = "must be CxHxW, like 3x640x640"
# What inference raises for a model that it refuses, and for one that is inconsistent.
REFUSALS = (ArithmeticError, Error, InferenceError, LookupError, RuntimeError, TypeError, ValueError)


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
    declared = "x".join("?" if n is None else str(n) for n in dims[1:])
    if any(n not in (None, size) for n, size in zip(dims[1:], sizes, strict=True)):
        raise ConfigError("input_shape", shape, f"the model's input is {declared}")
    if math.prod(sizes) > MOST_ELEMENTS:
        raise ConfigError("input_shape", shape, f"must have {MOST_ELEMENTS:,} elements at most")
    return [dims[0] or 1, *sizes]


def map_size(dims: tuple | None, channels_last: bool) -> tuple[int | None, int | None]:
    """``(height, width)`` of a feature map of shape `dims`, None for what is open."""
    if dims is None or len(dims) != 4:
        return None, None
    height, width = (n if n is None or n > 0 else None for n in (dims[1:3] if channels_last else dims[2:4]))
    return height, width


def measured(graph: Graph, tensors: list[str], dims: list[int]) -> dict:
    """Shapes of `tensors` by name in a run of the network on zeros of shape `dims`, in a sandbox."""
    return sandboxed(_measured, graph.model.SerializeToString(), input_of(graph).name, dims, tensors,
                     what=f"it can't be run on {'x'.join(map(str, dims[1:]))}")


def infer(graph: Graph, dims: list[int] | None = None) -> dict:
    """The shape of each tensor by ONNX's shape inference, None for open dimensions; `dims` are the input's, if known.

    Returns the declared shapes if inference refuses the model. ``graph.element_types`` gets the types that it finds.
    Inference runs in this process, which a crafted file can crash.
    """
    try:
        model = copy.deepcopy(graph.model)
        if dims is not None:
            name = input_of(graph).name
            for value in model.graph.input:
                if value.name == name:
                    for dim, size in zip(value.type.tensor_type.shape.dim, dims, strict=True):
                        dim.dim_value = size
            # The declared shapes of all tensors that follow from it may be others.
            _clear_shapes(model.graph)
        model = inferred(model)
    except REFUSALS:
        # The model may still run. Sizes that stay open are reported as such.
        return dict(graph.dims)
    graph.element_types |= declared_types(model.graph)
    return graph.dims | _declared(model.graph)


def fixed_dims(graph: Graph) -> dict:
    """The shape of each tensor by ONNX's shape inference, with None for what may differ from one input to another.

    Sizes of the input that the file leaves open stay open, the batch, too, whatever ``graph.dims`` are. What is
    declared within the network may be of an exporter's sample, or older than the input's sizes. It counts only for what
    an operator makes that ONNX does not know, in a network whose input has no open size. Inference runs in this
    process, which a crafted file can crash.
    """
    model, kept = copy.deepcopy(graph.model), set()
    if not any(dims is None or None in dims for dims in map(declared_dims, graph.inputs)):
        kept = {name for node in graph.nodes if not default_operator(node) for name in node.output}
    _clear_shapes(model.graph, kept)
    with contextlib.suppress(*REFUSALS):
        model = inferred(model)
    return _declared(model.graph)


def _clear_shapes(graph, kept=frozenset()):
    """Remove the declared shapes of all tensors but the inputs, and those with the names `kept`."""
    values = [copy.deepcopy(value) for value in graph.value_info if value.name in kept]
    del graph.value_info[:]
    graph.value_info.extend(values)
    for value in graph.output:
        if value.name not in kept and declared_dims(value) is not None:
            value.type.tensor_type.ClearField("shape")


def _declared(graph):
    """The declared shapes of a GraphProto's tensors."""
    return {value.name: dims for value in (*graph.value_info, *graph.input, *graph.output)
            if (dims := declared_dims(value)) is not None}


def inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` with the types and shapes that ONNX infers. Raises InferenceError or ValueError."""
    named = [node.domain for node in model.graph.node]
    if any(node.domain and default_operator(node) for node in model.graph.node):
        # ONNX knows no operators of onnxruntime.
        model = copy.deepcopy(model)
        for node in filter(default_operator, model.graph.node):
            node.domain = ""
    # Constants take part, as shapes may be computed from them.
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    for node, domain in zip(model.graph.node, named, strict=True):
        node.domain = domain
    return model


def _measured(content, name, dims, tensors):
    model = onnx.ModelProto.FromString(content)
    kind = next(numpy_type(value) for value in model.graph.input if value.name == name)
    arrays = open_session(content, taps=tensors).run(tensors, {name: np.zeros(dims, kind)})
    return {tensor: array.shape for tensor, array in zip(tensors, arrays, strict=True)}


def numpy_type(value: onnx.ValueInfoProto) -> np.dtype:
    """The numpy type of a tensor's elements."""
    return onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)


def open_session(model: onnx.ModelProto | bytes, taps: Iterable[str] = (), threads: int | None = None,
                 optimise: bool = True) -> "onnxruntime.InferenceSession":
    """An InferenceSession on the CPU with the tensors `taps` as further outputs.

    `threads` are one for each core by default. Without `optimise` the graph is run as it is written.
    """
    import onnxruntime

    model = onnx.ModelProto.FromString(model) if isinstance(model, bytes) else copy.deepcopy(model)
    present = {value.name for value in model.graph.output}
    # onnxruntime infers the types of outputs that declare none.
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(taps) if name not in present)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Each session has threads of its own: those that have nothing to do must not take another's cores.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
