# SPDX-License-Identifier: Apache-2.0
"""Reading an ONNX file that may be anything: nothing in it is executed, and no size or path in it is believed."""

import math
import os

import onnx
from google.protobuf.message import DecodeError

from ...hdl.config import ConfigError
from .graph import Graph, declared_dims

__all__ = ["load_model"]

# Protocol buffers end here; so does all that is read for one model.
LIMIT_BYTES = 2 << 30
# Elements that a tensor may declare.
MOST_ELEMENTS = 1 << 31
MOST_NODES = 1 << 20
OLDEST_OPSET = 7


def load_model(path, option="model"):
    """The :class:`~.graph.Graph` of the ONNX file `path`, with all weights in memory.

    Raises
    ------
    ConfigError
        Naming `option` and `path`, where the file is missing, no ONNX model, damaged, inconsistent, or larger than 2
        GiB with the weights that it keeps in other files, or names one outside its own folder.
    """
    try:
        model = _parse(_content(path))
        _check_tensors(model.graph, os.path.dirname(os.path.abspath(path)))
        graph = Graph(_inlined(model))
        _check_graph(graph)
        return graph
    except _Refused as error:
        raise ConfigError(option, path, str(error)) from None
    except ConfigError as error:
        raise ConfigError(option, path, f"{_short(error.value)}: {error.allowed}") from None
    except MemoryError:
        raise ConfigError(option, path, "takes more memory than there is") from None


class _Refused(Exception):
    """What is wrong with the file, in a line."""


def _short(text):
    text = str(text)
    return text if len(text) <= 100 else text[:60] + "..." + text[-30:]


def _content(path):
    if not os.path.exists(path):
        raise _Refused("there is no such file; must be an .onnx file")
    if not os.path.isfile(path):
        raise _Refused("is not a regular file; must be an .onnx file")
    if os.path.getsize(path) > LIMIT_BYTES:
        raise _Refused(f"is larger than {LIMIT_BYTES >> 30} GiB, the most that is read")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise _Refused(f"can't be read: {error.strerror}") from None


def _parse(content):
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, RuntimeError):
        raise _Refused("is damaged or no ONNX file") from None
    if not model.graph.node or not model.ir_version or not model.opset_import:
        raise _Refused("is damaged or no ONNX file: it has no graph")
    if len(model.graph.node) > MOST_NODES:
        raise _Refused(f"has {len(model.graph.node):,} nodes; must have {MOST_NODES:,} at most")
    return model


def _graphs(graph):
    """`graph` and all graphs in its nodes' attributes."""
    waiting = [graph]
    while waiting:
        found = waiting.pop()
        yield found
        for node in found.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    waiting.append(attribute.g)
                waiting.extend(attribute.graphs)


def _tensors(graph):
    for inner in _graphs(graph):
        yield from inner.initializer
        for node in inner.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.TENSOR:
                    yield attribute.t
                yield from attribute.tensors


def _check_tensors(graph, folder):
    """Hold every constant's shape to its data, and take in what other files hold of them."""
    left = LIMIT_BYTES
    for tensor in _tensors(graph):
        elements = _elements(tensor.name, tensor.dims)
        size = _packed_bytes(tensor, elements)
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            left -= size
            if left < 0:
                raise _Refused(f"has more than {LIMIT_BYTES >> 30} GiB of weights in other files")
            _take_in(tensor, folder, size)
        held = len(tensor.raw_data)
        if tensor.HasField("raw_data") and held != size:
            raise _Refused(f"tensor {_short(tensor.name)} holds {held:,} bytes; its shape takes {size:,}")
        if not tensor.HasField("raw_data") and elements:
            _check_fields(tensor, elements)


def _elements(name, dims):
    if any(n < 0 for n in dims):
        raise _Refused(f"tensor {_short(name)} has the shape {_short(list(dims))}")
    if len(dims) > 1 and 0 in dims:
        raise _Refused(f"tensor {_short(name)} has the shape {_short(list(dims))}, which holds nothing")
    elements = math.prod(dims)
    if elements > MOST_ELEMENTS:
        raise _Refused(f"tensor {_short(name)} has the shape {_short(list(dims))}: more than 2**31 elements")
    return elements


def _packed_bytes(tensor, elements):
    """Bytes of so many elements as raw data; of strings, which have none, 0."""
    if tensor.data_type == onnx.TensorProto.STRING:
        return 0
    try:
        bits = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * 8
    except (KeyError, ValueError, TypeError):
        raise _Refused(f"tensor {_short(tensor.name)} is of no known type") from None
    name = onnx.TensorProto.DataType.Name(tensor.data_type)
    bits = next((n for n in (4, 2) if name.endswith(f"INT{n}") or name.startswith(f"FLOAT{n}E")), bits)
    return (elements * bits + 7) // 8


def _check_fields(tensor, elements):
    """A tensor without raw data has a field with a number for each element, two for complex ones."""
    if tensor.data_type == onnx.TensorProto.STRING:
        held = len(tensor.string_data)
    else:
        field = onnx.helper.tensor_dtype_to_field(tensor.data_type)
        held = len(getattr(tensor, field))
        held //= 2 if tensor.data_type in (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128) else 1
        if 0 < held < elements and _packed_bytes(tensor, elements) < elements:
            held = elements  # two or four of less than 8 bits share a number
    if held != elements:
        raise _Refused(f"tensor {_short(tensor.name)} holds {held:,} numbers; its shape takes {elements:,}")


def _take_in(tensor, folder, size):
    """Read the data of `tensor` from the file that it names, which must be in `folder` or below."""
    about = {entry.key: entry.value for entry in tensor.external_data}
    location, name = about.get("location", ""), _short(tensor.name)
    path = os.path.realpath(os.path.join(folder, location))
    inside = os.path.realpath(folder)
    if not location or os.path.isabs(location) or os.path.commonpath((inside, path)) != inside or "\0" in location:
        raise _Refused(f"tensor {name} is in {_short(location)!r}, which is not in the model's folder")
    try:
        offset, length = int(about.get("offset", 0)), int(about.get("length", size))
        if offset < 0 or length != size:
            raise _Refused(f"tensor {name} takes {size:,} bytes, not {length:,} at {offset:,}")
        if not os.path.isfile(path):
            raise _Refused(f"tensor {name} is in {_short(location)!r}, which is no file")
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read(size)
    except (OSError, ValueError, OverflowError):
        raise _Refused(f"tensor {name} can't be read from {_short(location)!r}") from None
    if len(data) != size:
        raise _Refused(f"tensor {name} goes beyond the end of {_short(location)!r}")
    tensor.raw_data = data
    tensor.ClearField("external_data")
    tensor.data_location = onnx.TensorProto.DEFAULT


def _inlined(model):
    """`model` with its functions put in where they are called."""
    if not model.functions:
        return model
    from .guard import guarded

    content = guarded(_inline, model.SerializeToString(), what="the functions of the model can't be put in")
    return _parse(content)


def _inline(content):
    import onnx.inliner

    return onnx.inliner.inline_local_functions(onnx.ModelProto.FromString(content)).SerializeToString()


def _check_graph(graph):
    if graph.opset < OLDEST_OPSET:
        raise _Refused(f"is of operator set {graph.opset}; must be of {OLDEST_OPSET} or later")
    for value in (*graph.model.graph.input, *graph.model.graph.output, *graph.model.graph.value_info):
        dims = declared_dims(value)
        if dims is not None:
            # Symbolic dimensions are 1 at least.
            _elements(value.name, [1 if n is None else n for n in dims])
            if 0 in dims and value.name not in graph.initializers:
                raise _Refused(f"tensor {_short(value.name)} has the shape {list(dims)}, which holds nothing")
