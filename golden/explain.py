# SPDX-License-Identifier: Apache-2.0
"""Names the modules that are almost squeeze-and-excite blocks, and says what they have instead.

Such a module averages a map, computes a gate of the averages, and multiplies a map by it. It is found in the operators
that a module runs, whatever its name is. The weights do not matter.
"""

import itertools
import math
import warnings
from collections.abc import Collection, Iterator

import torch
from torch import nn

from .check import one_line
from .graph import Graph, Node, blank
from .module import TiledSE
from .reasons import GATING, READS, Finding, is_layer, reason
from .recognise import could_be_block

__all__ = ["explain"]

aten = torch.ops.aten
PRODUCTS = {aten.mul, aten.mul_, aten.div, aten.div_, aten.bmm, aten.mm, aten.addcmul, aten.addcmul_}
# (H, W) of the maps that modules are tried on: large enough for five halvings, then as many networks require it.
SIZES = ((64, 96), (224, 224))
# A module is tried with so many numbers of channels.
TRIES = 4
FALLBACK = 16


def explain(model: nn.Module, taken: Collection[str]) -> dict[str, str]:
    """Why modules of `model` that gate a map by its averages are no blocks, by name; without those `taken` as blocks.

    The smallest module that does it is named. A module that can't be run is named if it looks like a block. `model`
    and torch's random state stay unchanged.
    """
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _explain(model, taken)


def _explain(model: nn.Module, taken: Collection[str]) -> dict[str, str]:
    names = {module: name for name, module in model.named_modules()}
    left_out: dict[str, str] = {}
    queue = [("", model)]
    executed: set[str] = set()
    while queue:
        name, module = queue.pop(0)
        if name in taken or isinstance(module, TiledSE) or not _may_gate(module):
            continue
        runs = name not in executed and type(module).forward is not nn.Module.forward
        graph, error = _run(module) if runs else (None, None)
        if graph is not None and error is None:
            executed |= {_joined(name, inner) for inner in graph.executed}
            for finding in _findings(graph):
                part = module.get_submodule(finding.place)
                inside = any(_is_inside(names[part], other) for other in taken)
                if not inside and not isinstance(part, TiledSE) and names[part] not in left_out:
                    left_out[names[part]] = _reason(finding, part)
            for place in graph.reads:
                part = _like_block(module, graph, place)
                if part is not None and not any(_is_inside(names[part], other) for other in [*taken, *left_out]):
                    left_out[names[part]] = READS
        elif error is not None:
            part = _like_block(module, graph, graph.place if graph is not None else "")
            if part is not None:
                left_out[names[part]] = f"can't be run: {one_line(error)}"
        # Parts that were not run, as auxiliary outputs of training, or of a module that can't be run.
        if not isinstance(module, torch.jit.ScriptModule):
            queue += [(_joined(name, inner), part) for inner, part in module.named_children()]
    return {name: left_out[name] for name in names.values() if name in left_out}


def _reason(finding: Finding, module: nn.Module) -> str:
    try:
        return reason(finding, module)
    except Exception:  # of operators in a use that is not known; the search goes on
        return "is like a block, but not known as one"


def _joined(name: str, inner: str) -> str:
    return ".".join(part for part in (name, inner) if part)


def _is_inside(name: str, other: str) -> bool:
    return name == other or not other or name.startswith(other + ".")


def _may_gate(module: nn.Module) -> bool:
    """Whether `module` is more than one of torch's own layers."""
    return next(module.children(), None) is not None or not type(module).__module__.startswith("torch.nn.modules")


def _run(module: nn.Module) -> tuple[Graph | None, Exception | None]:
    """The graph of a pass, on the first kind of map that `module` takes; else the longest one, and what ended it.

    The meta device computes no numbers, so it is fast. A module that needs them is run on the CPU.
    """
    best: Graph | None = None
    shapes = list(_inputs(module))
    for device in ("meta", "cpu"):
        try:
            copy = blank(module, device)
        except Exception as error:
            return None, error
        graphs = []
        for shape, axes in shapes:
            graph = Graph(copy, shape, axes, device)
            if graph.error is None:
                return graph, None
            graphs.append(graph)
        # The map that got farthest may be of the right kind.
        best = max(graphs, key=lambda graph: len(graph.nodes))
        if not isinstance(best.error, NotImplementedError) and "meta" not in str(best.error):
            break
        shapes = [shapes[graphs.index(best)]]
    return best, best and best.error


def _inputs(module: nn.Module) -> Iterator[tuple[tuple[int, ...], tuple[int, int]]]:
    """Shapes of maps, and which of their axes are height and width."""
    channels = list(itertools.islice(dict.fromkeys(_channels(module)), TRIES)) or [FALLBACK]
    for count in channels:
        yield (2, count, *SIZES[0]), (2, 3)
        yield (2, *SIZES[0], count), (1, 2)
    for size in SIZES[1:]:
        yield (2, channels[0], *size), (2, 3)


def _channels(module: nn.Module) -> Iterator[int]:
    """How many channels the input may have: those of the first layers, then lengths of parameters."""
    # A network's own num_features are those of its last layer. Lazy layers know their outputs only.
    for names in (("in_channels", "in_features", "num_features", "num_channels"), ("out_channels", "out_features")):
        for part in module.modules():
            for name in names[:None if next(part.children(), None) is None else 2]:
                value = getattr(part, name, None)
                if isinstance(value, int) and value > 0:
                    yield value
    for parameter in () if isinstance(module, torch.jit.ScriptModule) else module.parameters():
        if not nn.parameter.is_lazy(parameter) and parameter.ndim:
            yield parameter.shape[min(1, parameter.ndim - 1)]


def _findings(graph: Graph) -> Iterator[Finding]:
    """Products of a map with a gate that varies less than the map; and the innermost module that has all of it."""
    for product in graph.nodes:
        sources = [node for node in product.inputs if node.is_from_input] if product.operator in PRODUCTS else []
        for gate in sources:
            if product.operator in (aten.bmm, aten.mm) and product.inputs[-1].shape[-2] != 1:
                continue
            maps = [node for node in sources if set(node.extent) == {"H", "W"}
                    and (gate.is_coarser(node) or gate.is_pooled and not node.is_pooled)]
            if not maps or math.prod(product.shape) < math.prod(maps[0].shape):
                continue
            chain, pools = _chain(gate, maps[0])
            averages = any(pool.operator is not aten.convolution for pool in pools) or not gate.extent
            if pools and averages and any(is_layer(node) or node.operator in GATING for node in chain):
                yield Finding(graph, _innermost([*chain, product]), product, gate, maps[0], chain, pools)
                break


def _innermost(nodes: list[Node]) -> str:
    """The name of the smallest module that all of them are in."""
    same: list[str] = []
    for names in zip(*(node.place.split(".") for node in nodes), strict=False):
        if len(set(names)) > 1:
            break
        same.append(names[0])
    return ".".join(same)


def _chain(gate: Node, over: Node) -> tuple[list[Node], list[Node]]:
    """What computes `gate`, back to where it varied as much as the map `over`; and those of it that average a map."""
    chain: set[Node] = set()
    queue = [gate]
    while queue:
        node = queue.pop()
        if node not in chain and node.is_from_input and node.operator is not None and (
                node.is_coarser(over) or node.is_pooled):
            chain.add(node)
            queue += node.inputs
    ordered = sorted(chain, key=lambda node: node.number)
    return ordered, [node for node in ordered if any(node.is_coarser(source) for source in node.inputs)]


def _like_block(module: nn.Module, graph: Graph | None, place: str) -> nn.Module | None:
    """The innermost module around `place` that has a block's layers, if it averages a map."""
    places = place.split(".") if place else []
    for count in range(len(places), -1, -1):
        inner = ".".join(places[:count])
        part = module.get_submodule(inner)
        if could_be_block(part) and type(part).forward is not nn.Module.forward:
            averages = any(isinstance(layer, nn.AdaptiveAvgPool2d) for layer in part.modules())
            for node in graph.nodes if graph is not None else ():
                averages |= node.is_pooled and not node.extent and _is_inside(node.place, inner)
            return part if averages else None
    return None
