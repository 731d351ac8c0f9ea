# SPDX-License-Identifier: Apache-2.0
"""Checks a tiled network: runs it with tiles of all rows, which computes the same as the original, and its blocks."""

import copy
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from ...hdl.config import ConfigError
from ...hdl.tiling import Tiling
from ..match.match import NetworkBlock
from ..match.pooling import Pooling
from ..network import Network
from ..read.functions import inlined
from ..read.graph import Graph, attributes, declared_dims
from ..read.model import MOST_NODES, read_model
from ..read.sandbox import sandboxed
from ..read.shapes import numpy_type
from ..tile import tile_blocks
from .runtime import CannotRun, runner
from .subgraph import NotSelfContained, Subgraph, quantise_before, unrounded
from .tiles import wrong_tiles

__all__ = ["check_tiled"]

# Heights and widths for an input of open size, of which the first is taken that the network runs on. No map of a
# network is higher than MOST_ROWS then.
SIZES = (64, 224, 48, 320)
MOST_ROWS = 1024
# Differences that are allowed, relative to a tensor's largest number: sums in another order.
ALLOWED, ALLOWED_HALF = 2e-4, 1e-2
# The most that is allowed where the network makes more of rounding.
MOST_ALLOWED = 0.1
# How many times the rounding of a network's input may count.
ROUNDINGS = 16
# Operators that make a step of a small difference.
STEPS = ("ArgMax", "ArgMin", "Ceil", "Floor", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "NonMaxSuppression",
         "NonZero", "QuantizeLinear", "Round", "TopK")
SECONDS = 600


def check_tiled(network: Network, blocks: Sequence[NetworkBlock], tiled: onnx.ModelProto,
                tilings: Mapping[str, Tiling], keep: bool = False) -> list[str]:
    """Check `tiled`, which is `network` with `blocks` tiled as `tilings` says, by their names, and kept as `keep` says.

    Each block of `tiled` is run on random maps, beside the reference. And `network` is compared with itself with tiles
    of all rows in `blocks`: their outputs and its own, on random inputs. What the network rounds to integers within
    these blocks is not rounded here. If its file has functions, which are inlined in `network`, the file itself is run,
    too. Returns the names of tensors that can't be compared, because the network makes a step or a large difference of
    a small one before them. Raises ConfigError ("model") that names the block or the tensor which differs, or says why
    the network can't be run.
    """
    graph = network.graph
    stepped = _after_steps(graph, {block.y for block in blocks})
    tensors = [block.y for block in blocks] + [name for name in sorted(graph.outputs) if name not in stepped]
    # A height that is not fixed may be that of other maps than these inputs lead to.
    rows = max(block.fixed_size[0] or max(block.height or 0, MOST_ROWS) for block in blocks)
    whole = tile_blocks(network.model, blocks, rows, keep)
    if keep:
        # What both round is left out of both: a small difference would make a step of it.
        tiled, whole = (_unrounded(Graph(model), blocks) for model in (tiled, whole))
    models = [model.SerializeToString() for model in (tiled, _unrounded(graph, blocks), whole)]
    inputs = [(value.name, numpy_type(value), network.dims or declared_dims(value)) for value in graph.inputs]
    least = ALLOWED_HALF if _computes_in_halves(graph) else ALLOWED
    differences = sandboxed(_checked, network.path, blocks, tilings, *models, inputs, list(dict.fromkeys(tensors)),
                            least, what=network.path, seconds=SECONDS)
    sensitive = []
    for name, (difference, allowed) in differences.items():
        if least < difference <= allowed and allowed > MOST_ALLOWED:
            sensitive.append(name)
        elif not difference <= allowed:
            raise ConfigError("model", network.path, f"with tiles of all rows it computes something else: on random "
                              f"inputs tensor {name} differs by {difference:.2g} of its largest number")
    return sensitive + [name for name in sorted(graph.outputs) if name in stepped]


def _after_steps(graph, changed):
    """Names of the tensors that depend on tensors `changed` and come after an operator of STEPS."""
    changed, stepped = set(changed), set()
    for node in graph.nodes:
        reads = Graph.reads(node)
        if graph.operator(node) in ("Shape", "Size") or changed.isdisjoint(reads):
            continue
        changed.update(node.output)
        if graph.operator(node) in STEPS or not stepped.isdisjoint(reads):
            stepped.update(node.output)
    return stepped


def _computes_in_halves(graph):
    """Whether a tensor is of 16-bit floats, perhaps between inputs and outputs of 32 bits."""
    halves = TensorProto.FLOAT16, TensorProto.BFLOAT16
    kinds = [tensor.data_type for tensor in graph.initializers.values()]
    kinds += [value.type.tensor_type.elem_type for value in graph.inputs]
    kinds += [attributes(node).get("to") for node in graph.nodes if node.op_type == "Cast"]
    return any(kind in halves for kind in kinds)


def _unrounded(graph: Graph, blocks: Iterable[NetworkBlock]) -> onnx.ModelProto:
    """The model of `graph` without roundings to integers within `blocks`, each of which reads its map from x only."""
    replaced, constants, pooling = {}, [], Pooling(graph)
    for block in blocks:
        if block.quantised:
            base, order = pooling.source(block.x)
            try:
                subgraph = Subgraph(graph, base, block.y, block.ranges)
                before = Subgraph(graph, base, block.x, block.ranges).nodes if base != block.x else []
            except NotSelfContained:
                continue
            for node in subgraph.nodes:
                if node not in before and not subgraph.computed.isdisjoint(node.output):
                    replaced[node.output[0]] = _of_map(graph, node, block.x, base if order == () else block.x) or \
                        unrounded(graph, node, constants, block.ranges)
    model = copy.deepcopy(graph.model)
    nodes = [part for node in graph.model.graph.node for part in replaced.get(node.output[0], [node])]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(constants)
    return model


def _of_map(graph, node, x, base):
    """`node` as a node that reads tensor `x`, if it reads `base` or another rounding of it; else None."""
    quantiser = quantise_before(graph, node) if graph.operator(node) == "DequantizeLinear" else None
    if quantiser is not None and (quantiser.input[0] == base or x in graph.producer and
                                  graph.producer[x].input == node.input):
        return [helper.make_node("Identity", [x], node.output)]
    if base == x or base not in node.input or graph.operator(node) == "QuantizeLinear":
        return None
    other = onnx.NodeProto()
    other.CopyFrom(node)
    other.input[:] = [x if name == base else name for name in node.input]
    return [other]


def _checked(path, blocks, tilings, tiled, original, whole, inputs, tensors, least):
    """What :func:`_differences` gives for models `original` and `whole`, if the blocks of `tiled` are right."""
    try:
        # Weights may be any numbers, and overflow.
        with np.errstate(all="ignore"):
            wrong = wrong_tiles(onnx.ModelProto.FromString(tiled), blocks, tilings)
        if wrong:
            contexts = ", ".join(sorted({tiling.context.value for tiling in tilings.values()}))
            raise ConfigError("model", path, f"with context={contexts} it computes something else: on random maps "
                              f"{wrong}")
        runs = _runners(*map(onnx.ModelProto.FromString, (original, whole)), tensors)
        feeds = _feeds(runs[0], inputs)
        _check_inlined(path, feeds[0])
    except CannotRun as error:
        raise RuntimeError(f"can't be run, to compare it with tiles and without ({error}); CHECK_BLOCKS=0 swaps its "
                           "blocks unchecked") from None
    return _differences(runs, feeds, tensors, least)


def _differences(runs, feeds, tensors, least):
    """``(difference, allowed)`` of each of `tensors`, relative to its largest number, by name.

    At least `least` is allowed.
    """
    worst = {}
    for fed in feeds:
        own, other = (run(fed) for run in runs)
        # What a network makes of the rounding of its input, it makes of that of its blocks.
        rounded = runs[0]({name: _rounded_otherwise(array) for name, array in fed.items()})
        for name, a, b, c in zip(tensors, own, other, rounded, strict=True):
            difference, rounding = _difference(a, b), _difference(a, c)
            allowed = least + ROUNDINGS * rounding
            if name not in worst or not difference - allowed <= worst[name][0] - worst[name][1]:
                worst[name] = difference, allowed
    return worst


def _runners(original, tiled, tensors):
    """Functions that run both models, in the same runtime: ONNX's own takes models that no other takes."""
    try:
        own = runner(original, tensors, fallback=False)
    except CannotRun:
        return [runner(model, tensors) for model in (original, tiled)]
    return [own, runner(tiled, tensors, fallback=False)]


def _check_inlined(path, feeds):
    """Raise ConfigError ("model") if the file `path` has functions and gives other outputs once they are inlined."""
    model = read_model(path)
    if not model.functions:
        return
    names = [value.name for value in model.graph.output]
    own, other = (runner(item, names)(feeds) for item in (model, inlined(read_model(path), MOST_NODES)))
    for name, a, b in zip(names, own, other, strict=True):
        difference = _difference(a, b)
        if difference > (ALLOWED_HALF if a.dtype == np.float16 else ALLOWED):
            raise ConfigError("model", path, f"with its functions inlined it computes something else: on random inputs "
                              f"tensor {name} differs by {difference:.2g} of its largest number")


def _difference(a, b):
    """The largest difference of two arrays where the first is finite, relative to its largest number."""
    a, b = (np.asarray(array, np.float64) for array in (a, b))
    if a.shape != b.shape:
        return np.inf
    finite = np.isfinite(a)
    with np.errstate(all="ignore"):
        difference = np.abs(a - b)[finite].max(initial=0.0) / max(np.abs(a[finite]).max(initial=0.0), 1e-30)
    return np.inf if np.isnan(difference) else float(difference)


def _rounded_otherwise(array):
    """`array` with another last bit in each number, if it has floats."""
    return array if array.dtype.kind in "iu" else np.nextafter(array, np.asarray(np.inf, array.dtype))


def _feeds(run, inputs):
    """Random inputs by name, of the sizes that are declared; where they are open, of sizes that the network takes."""
    for size in SIZES:
        feeds = [{name: _random(np.random.default_rng(seed), kind, _filled(dims, size)) for name, kind, dims in inputs}
                 for seed in range(2)]
        try:
            run(feeds[0])
        except CannotRun:
            if size == SIZES[-1]:
                raise
        else:
            break
    return feeds


def _filled(dims, size):
    """`dims` with numbers for open dimensions: a batch of 1, 3 channels, and `size` for height and width."""
    if dims is None:
        return 1, 3, size, size
    channels_last = len(dims) == 4 and dims[3] in (1, 3)
    defaults = (1, size, size, 3) if channels_last else (1, 3, size, size)
    return [(defaults[axis] if axis < 4 else size) if n is None else n for axis, n in enumerate(dims)]


def _random(rng, kind, shape):
    if kind.kind in "iu":
        return rng.integers(0, min(np.iinfo(kind).max, 255), shape, endpoint=True).astype(kind)
    return rng.normal(size=shape).astype(kind)
