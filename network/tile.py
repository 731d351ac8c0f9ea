# SPDX-License-Identifier: Apache-2.0
"""Replaces the squeeze-and-excite blocks of an ONNX graph by tiled ones."""

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping

import onnx
from onnx import helper

from ..hdl.config import ConfigError
from ..hdl.tiling import Tiling
from .kept_block import KeptBlock
from .match.match import NetworkBlock
from .match.unfuse import unfused
from .read.graph import Graph, declared_dims
from .read.shapes import fixed_dims
from .tiled_block import TiledBlock

__all__ = ["LAST_WITH_INPUTS", "tile_blocks", "tilings_by_name"]

# The last version of the format that lists constants among the inputs, too.
LAST_WITH_INPUTS = 3


def tile_blocks(model: onnx.ModelProto, blocks: Iterable[NetworkBlock],
                k: int | Tiling | Mapping[str, int | Tiling] = 7, keep: bool = False) -> onnx.ModelProto:
    """A copy of `model` with `blocks`, which are its own, tiled. Names of inputs and outputs and all other nodes stay.

    Declared sizes of tensors and outputs that don't follow from the declared size of the input are left open.
    `k` is the tiling, or the number of rows of a tile, for all blocks or by block's name; a block that the mapping
    lacks is not tiled. A tiling that averages rows of a prior, too, takes that of each block's ``float_block``.
    With `keep` a block keeps its own nodes and constants, and only its mean becomes that of its tiles: what it rounds
    to integers is rounded as before. Without, it becomes a float block.
    Raises ConfigError: ("k") for a number of rows that is not legal or a name that no block has, ("model") for an
    operator set without what the tiling needs where a height is open: 9, or 11 for other contexts than tile,
    ("keep_quantised") for a block whose nodes can't be kept.
    """
    blocks = list(blocks)
    tilings = tilings_by_name(blocks, k)
    graph = Graph(copy.deepcopy(model))
    used = set(graph.producer) | set(graph.initializers) | {node.name for node in graph.nodes}
    selected = [block for block in blocks if block.name in tilings]
    _open_sizes(graph)
    for block in selected:
        make = KeptBlock if keep else TiledBlock
        tiled = make(graph, block, tilings[block.name], _unused(used, f"tiled_se/{block.name}"))
        tiled.replace()
        used.update(name for node in tiled.nodes for name in (node.name, *node.output))
        if keep:
            # These have the shape of one vector.
            _keep(graph.model.graph.value_info, lambda name, vectors=tiled.vectors: name not in vectors)
    _write(graph, {block.mean.tensor if keep else block.y for block in selected}, keep)
    return graph.model


def tilings_by_name(blocks: Iterable[NetworkBlock],
                    k: int | Tiling | Mapping[str, int | Tiling]) -> dict[str, Tiling]:
    """The tilings of `blocks` by name, of `k` as :func:`tile_blocks` takes it."""
    names = [block.name for block in blocks]
    tilings = dict(k) if isinstance(k, Mapping) else dict.fromkeys(names, k)
    for name in tilings:
        if name not in names:
            raise ConfigError("k", name, "is no block of the model")
    return {name: Tiling.of(value) for name, value in tilings.items()}


def _open_sizes(graph: Graph):
    """Leave declared sizes of tensors and outputs open, but for those that follow from the input's.

    They may be those of an exporter's sample, and runtimes would take them for the sizes of every map.
    """
    # What follows a fused layer can be inferred without its activation only.
    fixed = fixed_dims(unfused(graph))
    for value in (*graph.model.graph.value_info, *graph.model.graph.output):
        if (declared := declared_dims(value)) is not None:
            found = fixed.get(value.name, ())
            sizes = found if len(found) == len(declared) else [None] * len(declared)
            for dim, size in zip(value.type.tensor_type.shape.dim, sizes, strict=True):
                if dim.HasField("dim_value") and dim.dim_value != size:
                    dim.ClearField("dim_value")


def _write(graph: Graph, replaced: set[str], keep: bool):
    """Write the graph's list of nodes into its model, without what only the old makers of tensors `replaced` needed.

    With `keep` all constants stay.
    """
    model = graph.model.graph
    nodes = [copy.deepcopy(node) for node in _without_dead(graph, replaced)]
    del model.node[:]
    model.node.extend(nodes)
    read = {name for node in nodes for name in Graph.reads(node)} | graph.outputs
    constants = {tensor.name for tensor in model.initializer}
    _keep(model.input, lambda name: keep or name in read or name not in constants)
    _keep(model.initializer, lambda name: keep or name in read)
    _keep(model.value_info, lambda name: name in read)
    if graph.model.ir_version <= LAST_WITH_INPUTS:
        present = {value.name for value in model.input}
        model.input.extend(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
                           for tensor in model.initializer if tensor.name not in present)


def _keep(field, condition: Callable[[str], bool]):
    """Remove the items of a repeated field whose name doesn't fulfil `condition`."""
    copies = [copy.deepcopy(item) for item in field if condition(item.name)]
    del field[:]
    field.extend(copies)


def _unused(names: set[str], prefix: str) -> str:
    """`prefix`, a number if need be, and a slash: no name of `names` begins with it."""
    names = {name for name in names if name.startswith(prefix)}
    candidates = (f"{prefix}{f'#{count}' if count > 1 else ''}/" for count in itertools.count(1))
    return next(unused for unused in candidates if not any(name.startswith(unused) for name in names))


def _without_dead(graph: Graph, replaced: set[str]) -> list[onnx.NodeProto]:
    """The graph's nodes, without those that only led to the old makers of tensors `replaced`."""
    candidates = {name for y in replaced for name in Graph.reads(graph.producer[y])}
    read, kept = set(graph.outputs), []
    # Every reader of a tensor comes after its maker.
    for node in reversed(graph.nodes):
        if candidates.isdisjoint(node.output) or not read.isdisjoint(node.output):
            read |= Graph.reads(node)
            kept.append(node)
        else:
            candidates |= Graph.reads(node)
    return kept[::-1]
