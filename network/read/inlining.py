# SPDX-License-Identifier: Apache-2.0
"""Functions of an ONNX model put in where they are called, if that gives no more nodes than can be read."""

import collections
import graphlib

import onnx
import onnx.inliner

from ...hdl.config import ConfigError

__all__ = ["MOST_NODES", "inlined"]

# Networks have some thousands.
MOST_NODES = 1 << 16


def inlined(model):
    """`model` without functions; ConfigError ("model") where they call themselves or double too often."""
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
        raise ConfigError("model", f"more than {MOST_NODES:,} nodes", "must have fewer with its functions put in")
    return onnx.inliner.inline_local_functions(model)


def _size(counts, sizes):
    return sum(count * sizes.get(key, 1) for key, count in counts.items())


def _key(item):
    """Of a function, or of the one that a node calls."""
    name = item.op_type if isinstance(item, onnx.NodeProto) else item.name
    return item.domain, name, item.overload


def _nodes(container):
    """Nodes of a graph or a function, and of all graphs in their attributes."""
    waiting = list(container.node)
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                waiting.extend(graph.node)
