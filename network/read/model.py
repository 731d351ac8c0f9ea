# SPDX-License-Identifier: Apache-2.0
"""Reads an untrusted ONNX file: nothing in it is executed, and every size and path in it is checked before use."""

import contextlib
import os
import struct
from collections.abc import Iterator

import numpy as np
import onnx
from google.protobuf.message import DecodeError, Error

from ...gen.files import read_bytes
from ...hdl.config import ConfigError
from .functions import inlined
from .graph import Graph, declared_dims
from .integer_operators import expanded
from .tensors import check_elements, check_tensors
from .validation import all_tensors, short

__all__ = ["LIMIT_BYTES", "MOST_NODES", "load_model", "model_errors", "read_model"]

# The largest protocol buffer; also the limit of all that is read for one model.
LIMIT_BYTES = 2 << 30
OLDEST_OPSET = 7
# Networks have some thousands.
MOST_NODES = 1 << 16


@contextlib.contextmanager
def model_errors(path: str) -> Iterator[None]:
    """Turn every error about the model in the file `path` into a ConfigError ("model") that names the file."""
    try:
        # Weights may be any numbers, and overflow.
        with np.errstate(all="ignore"):
            yield
    except ConfigError as error:
        if error.option == "model" and error.value != path:
            raise ConfigError("model", path, f"{short(error.value)}: {error.allowed}") from None
        raise
    except MemoryError:
        raise ConfigError("model", path, "takes too much memory") from None
    except (ArithmeticError, AttributeError, Error, LookupError, RuntimeError, TypeError, ValueError,
            struct.error) as error:
        # Nodes with attributes of a wrong type, missing inputs or axes out of range make onnx and numpy raise these.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:100]
        raise ConfigError("model", path, f"is inconsistent ({reason})") from None


def load_model(path: str) -> Graph:
    """The :class:`~.graph.Graph` of the ONNX file `path`.

    Functions are inlined, operators on integers are expanded, and all weights are in memory.

    The file is read in this process, which a hostile file can keep busy or fill: :func:`~..network.open_network` reads
    it in a sandbox. Raises ConfigError ("model") if the file is missing, no ONNX model, damaged or inconsistent, if it
    and its external weights are larger than 2 GiB, or if external weights are outside of its folder.
    """
    with model_errors(path):
        model = read_model(path)
        if model.functions:
            model = inlined(model, MOST_NODES)
            # Inlining copies names and attributes, which may then exceed the limits.
            all_tensors(model)
        if len(model.graph.node) > MOST_NODES:
            raise ConfigError("model", path, f"has {len(model.graph.node):,} nodes; must have {MOST_NODES:,} at most")
        graph = expanded(Graph(model))
        if graph.opset < OLDEST_OPSET:
            raise ConfigError("model", path, f"is of operator set {graph.opset}; must be of {OLDEST_OPSET} or later")
        _check_shapes(graph, path)
        return graph


def read_model(path: str) -> onnx.ModelProto:
    """The ONNX file `path` as it is, but with all weights in memory. Raises ConfigError ("model") as load_model does.
    """
    content = read_bytes("model", path, "an .onnx file", LIMIT_BYTES)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, RuntimeError):
        raise ConfigError("model", path, "is damaged or no ONNX file") from None
    if not model.graph.node or not model.ir_version or not model.opset_import:
        raise ConfigError("model", path, "is damaged or no ONNX file: it has no graph")
    check_tensors(all_tensors(model), os.path.dirname(os.path.abspath(path)), LIMIT_BYTES - len(content))
    return model


def _check_shapes(graph, path):
    """Refuse declared shapes that are too large, or empty for a tensor that can't be."""
    ends = [(value, 0) for value in (*graph.model.graph.input, *graph.model.graph.output)]
    # A list inside the network may be empty: the shape of a scalar, the region of a Resize.
    for value, axes in ends + [(value, 1) for value in graph.model.graph.value_info]:
        dims = declared_dims(value)
        if dims is not None:
            # An open dimension is 1 at least.
            check_elements(value.name, [1 if n is None else n for n in dims])
            if 0 in dims and value.name not in graph.initializers and len(dims) > axes:
                raise ConfigError("model", path,
                                  f"tensor {short(value.name)} has the shape {list(dims)}, which holds nothing")
