# SPDX-License-Identifier: Apache-2.0
"""Reading an ONNX file that may be anything: nothing in it is executed, and no size or path in it is believed."""

import os

import onnx
from google.protobuf.message import DecodeError

from ...hdl.config import ConfigError
from .graph import Graph, declared_dims
from .inlining import MOST_NODES, inlined
from .tensors import check_elements, check_tensors
from .validation import all_tensors, short

__all__ = ["LIMIT_BYTES", "load_model"]

# Protocol buffers end here; so does all that is read for one model.
LIMIT_BYTES = 2 << 30
OLDEST_OPSET = 7


def load_model(path, option="model"):
    """The :class:`~.graph.Graph` of the ONNX file `path`, with all weights in memory.

    It is read in this process, which a hostile file may keep busy or fill; see :func:`~.blocks.open_network`.

    Raises
    ------
    ConfigError
        Naming `option` and `path`, where the file is missing, no ONNX model, damaged, inconsistent, or larger than 2
        GiB with the weights that it keeps in other files, or names one outside its own folder.
    """
    try:
        content = _content(path)
        model = _parse(content)
        check_tensors(all_tensors(model), os.path.dirname(os.path.abspath(path)), LIMIT_BYTES - len(content))
        if model.functions:
            model = inlined(model)
            # Calls that hand on much make more of it.
            all_tensors(model)
        graph = Graph(_counted(model))
        _check_graph(graph)
        return graph
    except _Refused as error:
        raise ConfigError(option, path, str(error)) from None
    except ConfigError as error:
        raise ConfigError(option, path, f"{short(error.value)}: {error.allowed}") from None


class _Refused(Exception):
    """What is wrong with the file, in a line."""


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
    return _counted(model)


def _counted(model):
    if len(model.graph.node) > MOST_NODES:
        raise _Refused(f"has {len(model.graph.node):,} nodes; must have {MOST_NODES:,} at most")
    return model


def _check_graph(graph):
    if graph.opset < OLDEST_OPSET:
        raise _Refused(f"is of operator set {graph.opset}; must be of {OLDEST_OPSET} or later")
    ends = [(value, 0) for value in (*graph.model.graph.input, *graph.model.graph.output)]
    # Lists inside may be empty: the shape of a scalar, a Resize's region.
    for value, axes in ends + [(value, 1) for value in graph.model.graph.value_info]:
        dims = declared_dims(value)
        if dims is not None:
            # Symbolic dimensions are 1 at least.
            check_elements(value.name, [1 if n is None else n for n in dims])
            if 0 in dims and value.name not in graph.initializers and len(dims) > axes:
                raise _Refused(f"tensor {short(value.name)} has the shape {list(dims)}, which holds nothing")
