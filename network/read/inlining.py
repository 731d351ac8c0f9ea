# SPDX-License-Identifier: Apache-2.0
"""Inlines the functions of an ONNX model, if the result has no more nodes than can be read."""

import collections
import graphlib

import onnx
import onnx.inliner

from ...hdl.config import ConfigError

__all__ = ["MOST_NODES", "inlined"]

# Networks have some thousands.
MOST_NODES = 1 << 16


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
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
