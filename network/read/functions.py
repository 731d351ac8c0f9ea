# SPDX-License-Identifier: Apache-2.0
"""Functions of an ONNX model, in place of which their nodes are written."""

import collections
import copy
import graphlib
from collections.abc import Iterator

import onnx
import onnx.inliner

from ...hdl.config import ConfigError
from .names import unique

__all__ = ["inlined"]


def inlined(model: onnx.ModelProto, most_nodes: int) -> onnx.ModelProto:
    """`model` without functions. It may be the same object, and the given one may be changed.

    Raises ConfigError ("model") if functions call themselves, or expand to more than `most_nodes` nodes.
    """
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
        sizes[key] = min(_size(calls[key], sizes), most_nodes + 1)
    if _size(collections.Counter(_key(node) for node in _nodes(model.graph)), sizes) > most_nodes:
        raise ConfigError("model", f"more than {most_nodes:,} nodes", "must have fewer with its functions inlined")
    if any(function.attribute_proto for function in model.functions):
        _give_defaults(model)
    return onnx.inliner.inline_local_functions(model)


def _give_defaults(model):
    """Give each call in `model` the default attributes of its function that it lacks: the inliner leaves them out.

    A function that passes an attribute on to another passes none where it got none, and the other's default holds:
    there is a copy of the function for each set of attributes that it gets.
    """
    functions = {_key(function): function for function in model.functions}
    references = {key: {attribute.ref_attr_name for node in _nodes(function) for attribute in node.attribute}
                  for key, function in functions.items()}
    copies, names = {}, {name for _, name, _ in functions}
    pending = [(model.graph, frozenset())]
    while pending:
        container, missing = pending.pop()
        for node in _nodes(container):
            for attribute in [item for item in node.attribute if item.ref_attr_name in missing]:
                node.attribute.remove(attribute)
            function = functions.get(_key(node))
            if function is None:
                continue
            given = {attribute.name for attribute in node.attribute}
            node.attribute.extend(default for default in function.attribute_proto if default.name not in given)
            given.update(default.name for default in function.attribute_proto)
            variant = _key(node), frozenset(references[_key(node)] - given - {""})
            if variant not in copies:
                copies[variant] = copy.deepcopy(function)
                copies[variant].name = unique(function.name, names, "#") if variant[1] else function.name
                pending.append((copies[variant], variant[1]))
            node.op_type = copies[variant].name
    del model.functions[:]
    model.functions.extend(copies.values())


def _size(counts, sizes):
    """Nodes after inlining; `counts` are calls by key, `sizes` the known sizes of functions."""
    return sum(count * sizes.get(key, 1) for key, count in counts.items())


def _key(item):
    """What identifies a function, or the function that a node calls."""
    name = item.op_type if isinstance(item, onnx.NodeProto) else item.name
    return item.domain, name, item.overload


def _nodes(container: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.NodeProto]:
    """All nodes of a graph or a function, including those of graphs in attributes and in their defaults."""
    graphs = list(container.attribute_proto) if isinstance(container, onnx.FunctionProto) else []
    pending = [*container.node, *(node for attribute in graphs for graph in (attribute.g, *attribute.graphs)
                                  for node in graph.node)]
    while pending:
        node = pending.pop()
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                pending.extend(graph.node)
