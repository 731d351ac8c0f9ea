# SPDX-License-Identifier: Apache-2.0
"""Says in one line what a module that gates a map by its averages has instead of a squeeze-and-excite block."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

from .check import one_line
from .graph import SLICES, Graph, Node, blank
from .recognise import activation_of, gate_of
from .trace import GRID, UNTAGGED

__all__ = ["GATING", "READS", "Finding", "is_layer", "reason"]

aten = torch.ops.aten
LAYERS = {aten.convolution: 1, aten.mm: 1, aten.addmm: 2, aten.bmm: 1, aten.linear: 1}
MAXIMA = {aten.amax, aten.max, aten.max_pool2d_with_indices, aten.adaptive_max_pool2d}
AVERAGES = {aten.mean, aten.sum, aten.avg_pool2d, aten._adaptive_avg_pool2d, aten.adaptive_avg_pool2d}
WINDOWS = {aten.avg_pool2d, aten._adaptive_avg_pool2d}
WEIGHTED = {aten.bmm, aten.mm}
BATCH_NORMS = {aten.native_batch_norm, aten.cudnn_batch_norm, aten._native_batch_norm_legit_no_training}
OTHER_NORMS = {aten.native_layer_norm: "layer normalisation", aten.native_group_norm: "group normalisation"}
SOFTMAX = {aten._softmax}
GATING = {aten.sigmoid, aten.sigmoid_, aten.hardsigmoid, aten.hardsigmoid_, aten.tanh, aten.tanh_, aten.clamp,
          aten.clamp_, aten.hardtanh, aten.hardtanh_, aten.exp} | SOFTMAX
# Operators that compute nothing.
COPIES = {aten.clone, aten._to_copy, aten._unsafe_view, aten.alias}
NAMES = {
    "gelu": "GELU", "leaky_relu": "LeakyReLU", "elu": "ELU", "mish": "Mish", "softplus": "Softplus", "tanh": "Tanh",
    "sigmoid": "Sigmoid", "hardsigmoid": "Hardsigmoid", "hardtanh": "Hardtanh", "_prelu_kernel": "PReLU",
    "log_sigmoid_forward": "LogSigmoid", "softshrink": "Softshrink", "hardshrink": "Hardshrink", "exp": "Exp",
    "threshold": "Threshold", "rrelu_with_noise": "RReLU", "relu": "ReLU", "silu": "SiLU", "hardswish": "Hardswish",
    "_softmax": "Softmax", "clamp": "Clamp"}
FUNCTIONS: dict[str, Callable] = {
    "GELU": functional.gelu, "GELU (by tanh)": lambda x: functional.gelu(x, approximate="tanh"),
    "Mish": functional.mish, "ELU": functional.elu, "SELU": functional.selu, "LeakyReLU": functional.leaky_relu,
    "Softplus": functional.softplus, "Softsign": functional.softsign, "Tanh": torch.tanh, "Sigmoid": torch.sigmoid,
    "Hardsigmoid": functional.hardsigmoid, "squared ReLU": lambda x: functional.relu(x).square()}
READS = "reads numbers of its input in Python, so what it computes may depend on them"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A `product` of a map, `over`, with a `gate`, in the module `place`.

    `chain` has the nodes that compute the gate, `pools` those of them that average a map.
    """

    graph: Graph
    place: str
    product: Node
    gate: Node
    over: Node
    chain: list[Node]
    pools: list[Node]


def is_layer(node: Node) -> bool:
    """Whether it multiplies by a matrix that does not depend on the input."""
    return node.operator in LAYERS and not _weight(node).is_from_input


def reason(finding: Finding, module: nn.Module) -> str:
    """What `module`, which `finding` is in, has that a block has not."""
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        return "is compiled by torch.jit, so its layers can't be replaced"
    if any(nn.parameter.is_lazy(tensor) for tensor in itertools.chain(module.parameters(), module.buffers())):
        return "has lazy parameters without a shape; run the model once before"
    if any(node.func.namespace == "quantized" for node in finding.chain):
        return "has layers of quantised integers"
    layers = [node for node in finding.chain if is_layer(node)]
    return (_averaged(finding) or _branches(finding) or _layers(layers) or _norms(finding) or _weights(layers, module)
            or _mean(finding, layers[0]) or _functions(finding, layers) or _maps(finding) or _around(finding, module)
            or "computes something else than mean, layer, activation, layer, gate and product with the input")


def _averaged(finding: Finding) -> str | None:
    """What is not the mean over height and width."""
    operators = {pool.operator for pool in finding.pools} - SLICES
    if finding.over.extents[1]:
        return "has maps (N, H, W, C) instead of (N, C, H, W)"
    if operators & WEIGHTED:
        return "has a weighted mean of the map instead of the mean"
    if operators & MAXIMA:
        return f"has a maximum {'beside' if operators & AVERAGES else 'instead of'} the mean"
    if not operators <= AVERAGES:
        return f"has {_listed(operators - AVERAGES)} over the map instead of the mean"
    if any(pool.operator in WINDOWS and pool.extent for pool in finding.pools):
        return "has means over windows instead of over the whole map"
    return "has means over one axis of the map instead of over both" if finding.gate.extent else None


def _listed(operators: Iterable[Any]) -> str:
    names = (operator.__name__.rstrip("_") for operator in operators)
    return ", ".join(dict.fromkeys(NAMES.get(name, name) for name in names))


def _branches(finding: Finding) -> str | None:
    shape = finding.over.shape
    return f"has gates for {shape[1]} branches instead of one" if len(shape) > 4 else None


def _layers(layers: list[Node]) -> str | None:
    kernels = [_weight(node).shape[2:] if node.operator is aten.convolution else () for node in layers]
    if any(len(kernel) == 1 and kernel != (1,) for kernel in kernels):
        return "has a 1D convolution over the channels instead of two layers"
    if len(layers) != 2:
        count = {0: "no layer", 1: "one layer"}.get(len(layers), f"{len(layers)} layers")
        return f"has {count} instead of two"
    for place, (node, kernel) in enumerate(zip(layers, kernels, strict=True), 1):
        if node.operator is aten.convolution and node.args[8] != 1:
            return f"has {node.args[8]} groups in layer {place}"
        if any(size != 1 for size in kernel):
            return f"has a kernel of {'x'.join(map(str, kernel))} in layer {place}"
    return None


def _norms(finding: Finding) -> str | None:
    for node in finding.chain:
        if node.operator in OTHER_NORMS:
            return f"has {OTHER_NORMS[node.operator]} between its layers"
        if node.operator in BATCH_NORMS:
            statistics = [value for value in node.args[3:5] if isinstance(value, Node)]
            if any(not value.name for value in statistics) or len(statistics) < 2:
                return "has a normalisation without stored statistics"
    return None


def _mean(finding: Finding, layer: Node) -> str | None:
    """What is done to the mean before layer 1."""
    pools = [pool for pool in finding.pools if pool.operator in AVERAGES]
    start = pools[-1]
    values = _values(_input(layer), start)
    summed = math.prod(math.prod(pool.inputs[0].shape) / math.prod(pool.shape)
                       for pool in pools if pool.operator is aten.sum)
    if values is not None and torch.allclose(summed * values, GRID, rtol=1e-6):
        return None
    if summed != 1:
        return "has a sum over the map instead of the mean"
    return f"has {_function(finding, values, start, layer)} between the mean and layer 1"


def _weights(layers: list[Node], module: nn.Module) -> str | None:
    for place, node in enumerate(layers, 1):
        weight = _origin(_weight(node))
        if weight.operator is not None or not weight.name:
            kinds = sorted({type(how).__name__ for part in module.modules() if parametrize.is_parametrized(part)
                            for hows in part.parametrizations.values() for how in hows})
            kinds += sorted({type(hook).__name__ for part in module.modules()
                             for hook in part._forward_pre_hooks.values() if hasattr(hook, "remove")})
            return f"computes the weights of layer {place}" + (f": {', '.join(kinds)}" if kinds else "")
    return None


def _functions(finding: Finding, layers: list[Node]) -> str | None:
    """The activation between the layers, and the gate."""
    first, second = layers
    values = _values(_input(second), first)
    if values is None or activation_of(values) is None:
        return f"has {_function(finding, values, first, second)} between its layers, which is not supported"
    values = _values(finding.gate, second)
    if values is None or gate_of(values) is None and gate_of(values - 1) is None:
        return f"has {_function(finding, values, second, None)} as gate instead of a sigmoid or hard sigmoid"
    return None


def _function(finding: Finding, values: torch.Tensor | None, start: Node, end: Node | None) -> str:
    """The name of the function between two layers, or after the last one."""
    nodes = [node for node in finding.chain if start.number < node.number and (end is None or node.number < end.number)
             and not _is_copy(node) and not _is_of_layer(node)]
    names = _listed(node.operator for node in nodes)
    if len(nodes) == 1:
        return names
    if values is not None:
        for name, function in FUNCTIONS.items():
            if torch.allclose(values, function(GRID), rtol=1e-6, atol=1e-6):
                return name
    return f"a function of {names}" if names else "no function"


def _maps(finding: Finding) -> str | None:
    """How the map that is averaged, the one that is multiplied and the module's result are apart."""
    averaged = next(_origin(source) for source in finding.pools[0].inputs if source.is_from_input)
    over = finding.over
    if finding.product.operator in (aten.mul_, aten.div_) and finding.product.inputs[0] is over:
        return "changes its input in place"
    if averaged is not _origin(over):
        for node, start, what in ((over, averaged, "product"), (averaged, over, "mean")):
            if (factor := _factor(node, start)) is not None:
                return f"has a factor of {factor:g} on the {what}"
        return "averages another map than it multiplies"
    return None


def _factor(node: Node, start: Node) -> float | None:
    """The number by which `node` is a multiple of `start`; None if it is something else."""
    values = _values(node, start, through_layers=False)
    if values is None or values.shape != GRID.shape:
        return None
    factor = (values[-1] / GRID[-1]).item()
    return factor if torch.allclose(values, factor * GRID, rtol=1e-6) else None


def _around(finding: Finding, module: nn.Module) -> str | None:
    """What the module has beside the block."""
    own, place = {*finding.chain, finding.product}, finding.place
    if any(read == place or place and read.startswith(place + ".") for read in finding.graph.reads):
        return READS
    more = [node for node in finding.graph.nodes
            if node.is_from_input and node.operator is not None and node not in own and not _is_copy(node)
            and (not place or node.place == place or node.place.startswith(place + "."))]
    more = [node for node in more if node.operator not in BATCH_NORMS or node.shape != (0,)]
    if any(is_layer(node) or node.operator in BATCH_NORMS or node.operator in AVERAGES for node in more):
        return "is written out in the forward of a larger module"
    channels = finding.over.shape[1]
    alone = Graph(blank(module), (2, channels, 8, 6), (2, 3))
    if alone.error is not None:
        return f"can't be run by itself: {one_line(alone.error)}"
    if alone.overwrites:
        return "changes its input in place"
    used = {source for node in alone.nodes for source in node.inputs}
    names = [node.name for node in alone.nodes if node.name and node not in used and len(node.shape)]
    if names:
        return f"has a parameter or buffer that it does not use: {names[0]}"
    return f"computes {_listed(node.operator for node in more)} beside the block" if more else None


def _input(layer: Node) -> Node:
    return layer.inputs[1] if layer.operator is aten.addmm else layer.inputs[0]


def _weight(node: Node) -> Node:
    return [value for value in node.args if isinstance(value, Node)][LAYERS[node.operator]]


def _is_copy(node: Node) -> bool:
    """Whether it has the elements of its input, repeated perhaps."""
    return node.func is not None and (node.operator in COPIES or node.func.is_view and (
        math.prod(node.shape) >= math.prod(node.inputs[0].shape)))


def _is_of_layer(node: Node) -> bool:
    """Whether it is a batch normalisation, or adds a bias."""
    return node.operator in BATCH_NORMS or node.operator in (aten.add, aten.add_) and any(
        source.name and len(source.shape) == 1 for source in node.inputs)


def _origin(node: Node) -> Node:
    """What `node` is a view or a copy of."""
    while _is_copy(node):
        node = node.inputs[0]
    return node


def _values(node: Node, start: Node, through_layers: bool = True) -> torch.Tensor | None:
    """`node` as a function of `start`, at the points of GRID; None if it is not a function of each element.

    `through_layers` passes over batch normalisations and biases.
    """
    if node is start:
        return GRID
    if node.func is None or not node.is_from_input:
        return None
    if _is_copy(node) or through_layers and _is_of_layer(node):
        return _values(next(source for source in node.inputs if source.is_from_input), start, through_layers)
    if torch.Tag.pointwise not in node.func.tags and node.operator not in UNTAGGED:
        return None
    args: list[Any] = []
    for value in node.args:
        if isinstance(value, Node):
            value = _values(value, start, through_layers)
            if value is None:
                return None
            value = value.clone()  # the operator may work in place
        args.append(value)
    return node.func(*args, **node.kwargs).to(GRID.dtype)  # of a comparison, too
