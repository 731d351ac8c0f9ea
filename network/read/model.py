# SPDX-License-Identifier: Apache-2.0
"""Reads an untrusted ONNX file: nothing in it is executed, and every size and path in it is checked before use."""

import collections
import contextlib
import graphlib
import os
import struct
from collections.abc import Iterator

import numpy as np
import onnx
import onnx.inliner
from google.protobuf.message import DecodeError, Error

from ...gen.files import read_bytes
from ...hdl.config import ConfigError
from .graph import Graph, declared_dims
from .tensors import check_elements, check_tensors
from .validation import all_tensors, short

__all__ = ["LIMIT_BYTES", "load_model", "model_errors"]

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
    """The :class:`~.graph.Graph` of the ONNX file `path`, with functions inlined and all weights in memory.

    The file is read in this process, which a hostile file can keep busy or fill: :func:`~..network.open_network` reads
    it in a sandbox. Raises ConfigError ("model") if the file is missing, no ONNX model, damaged or inconsistent, if it
    and its external weights are larger than 2 GiB, or if external weights are outside of its folder.
    """
    with model_errors(path):
        content = read_bytes("model", path, "an .onnx file", LIMIT_BYTES)
        model = onnx.ModelProto()
        try:
            model.ParseFromString(content)
        except (DecodeError, RuntimeError):
            raise ConfigError("model", path, "is damaged or no ONNX file") from None
        if not model.graph.node or not model.ir_version or not model.opset_import:
            raise ConfigError("model", path, "is damaged or no ONNX file: it has no graph")
        check_tensors(all_tensors(model), os.path.dirname(os.path.abspath(path)), LIMIT_BYTES - len(content))
        if model.functions:
            model = _inlined(model)
            # Inlining copies names and attributes, which may then exceed the limits.
            all_tensors(model)
        if len(model.graph.node) > MOST_NODES:
            raise ConfigError("model", path, f"has {len(model.graph.node):,} nodes; must have {MOST_NODES:,} at most")
        graph = Graph(model)
        if graph.opset < OLDEST_OPSET:
            raise ConfigError("model", path, f"is of operator set {graph.opset}; must be of {OLDEST_OPSET} or later")
        _check_shapes(graph, path)
        return graph


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


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` without functions; ConfigError ("model") if they call themselves or expand to too many nodes."""
    if not model.functions:
        return model
    calls = {_key(function): collections.Counter(_key(node) for node in _nodes(function))
             for function in model.functions}
    try:
        order = list(graphlib.TopologicalSorter({
            key: [called for called in inner if called in calls] for key, inner in calls.items()}).static_order())
    except graphlib.CycleError:
        raise ConfigError("model", "a function", "must not call itself") from None
    sizes = {}
    for key in order:
        sizes[key] = min(_size(calls[key], sizes), MOST_NODES + 1)
    if _size(collections.Counter(_key(node) for node in _nodes(model.graph)), sizes) > MOST_NODES:
        raise ConfigError("model", f"more than {MOST_NODES:,} nodes", "must have fewer with its functions inlined")
    return onnx.inliner.inline_local_functions(model)


def _size(counts, sizes):
    """Nodes after inlining; `counts` are calls by key, `sizes` the known sizes of functions."""
    return sum(count * sizes.get(key, 1) for key, count in counts.items())


def _key(item):
    """What identifies a function, or the function that a node calls."""
    name = item.op_type if isinstance(item, onnx.NodeProto) else item.name
    return item.domain, name, item.overload


def _nodes(container):
    """All nodes of a graph or a function, including those of graphs in attributes."""
    pending = list(container.node)
    while pending:
        node = pending.pop()
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                pending.extend(graph.node)
