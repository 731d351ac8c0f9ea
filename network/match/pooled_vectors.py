# SPDX-License-Identifier: Apache-2.0
"""Finds everything in an ONNX graph that pools a map and multiplies a map by what follows, whatever computes it.

The search goes forward, apart from the matcher, which reads back. A pooled vector is a tensor that depends on maps only
through pools over height and width.
"""

import dataclasses
from collections.abc import Iterable, Iterator

import onnx

from ..read.graph import Graph, attributes

__all__ = ["LAYERS", "Attention", "PooledVectors"]

# What a pool takes of a map.
GLOBAL = {"GlobalAveragePool": "mean", "QLinearGlobalAveragePool": "mean", "GlobalMaxPool": "maximum",
          "GlobalLpPool": "norm"}
WINDOWED = {"AveragePool": "mean", "QLinearAveragePool": "mean", "MaxPool": "maximum", "LpPool": "norm"}
REDUCED = {"ReduceMean": "mean", "QLinearReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "maximum",
           "ReduceMin": "minimum", "ReduceL1": "norm", "ReduceL2": "norm", "ReduceSumSquare": "sum of squares",
           "ReduceLogSum": "logarithm of a sum", "ReduceLogSumExp": "logarithm of a sum", "ReduceProd": "product"}
WEIGHTED = ("MatMul", "Gemm", "Einsum", "QLinearMatMul")
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "FusedConv", "FusedGemm", "FusedMatMul", "QLinearConv",
          "QLinearMatMul", "QGemm", "ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul")
# Functions that a gate without layers must have. A normalisation, which divides by its deviation, has none of them.
FUNCTIONS = ("Sigmoid", "HardSigmoid", "Softmax", "Tanh", "QLinearSigmoid")
# Positions of the operands.
PRODUCTS = {"Mul": (0, 1), "Div": (0, 1), "Einsum": (0, 1), "QLinearMul": (0, 3)}
# Inputs that are sizes, indices or conditions, by operator.
CONTROLS = {**dict.fromkeys(("Expand", "Gather", "Pad", "Reshape", "Resize", "Slice", "Tile"), (1, None)),
            "If": (0, 1), "Loop": (0, 2)}
# Operators whose further inputs are weights or scales.
PARAMETRIC = ("Conv", "Gemm", "QuantizeLinear", "DequantizeLinear")
# Operators between a Softmax and the pool that it weights, and how many in a row.
MOVING = ("Reshape", "Transpose", "Unsqueeze", "Squeeze", "Expand", "Flatten", "Identity", "Cast", "QuantizeLinear",
          "DequantizeLinear")
MOST_MOVING = 8
# Height and width of a window that is rather a whole map than a part of it, if the map's size is open. And the most
# windows along an axis that are large ones, whatever their size.
LARGE, FEW = 4, 2
# Pools that a vector follows from, and nodes on a path: real networks have two and thirty.
MOST_POOLS, MOST_NODES = 8, 256


@dataclasses.dataclass(frozen=True, eq=False)
class Attention:
    """A product of map `x` and `gates`, and how these follow from a map.

    ``product`` is the node. ``pools`` maps the nodes that pool to what they take: "mean", "maximum", "norm", "sum" and
    so on; "weighted" for a mean by weights that are no constants, "part" for means of parts of the map. ``path`` has
    the nodes after a pool that lead to the gates, in order, by the way with the most layers; ``layers`` are those among
    them.
    """

    product: onnx.NodeProto
    x: str
    gates: str
    pools: tuple[tuple[onnx.NodeProto, str], ...]
    path: tuple[onnx.NodeProto, ...]

    @property
    def layers(self) -> list[onnx.NodeProto]:
        """The layers on the path."""
        return [node for node in self.path if node.op_type in LAYERS]


@dataclasses.dataclass(frozen=True)
class _Way:
    """How a vector follows from a pool: the number of layers and of nodes, the last node and the way before it."""

    layers: int
    nodes: int
    node: onnx.NodeProto | None
    before: "_Way | None"
    pools: list[int]


class PooledVectors:
    """The pooled vectors of `graph`; tensors `fixed` are constants of a graph around it.

    With `parts`, so are tensors that depend on maps only through means of rows, columns or large windows. ``fixed`` has
    the tensors that depend on constants and shapes alone.
    """

    def __init__(self, graph: Graph, fixed: Iterable[str] = (), parts: bool = False):
        self.graph, self.parts = graph, parts
        sparse = (tensor.values.name for tensor in graph.model.graph.sparse_initializer)
        self.fixed = {*fixed, *graph.initializers, *sparse}
        # How each vector follows from a pool.
        self._ways, self._pools = {}, []
        for node in graph.nodes:
            self._read(node)

    def _read(self, node):
        ignored = node.input[slice(*CONTROLS.get(node.op_type, (0, 0)))]
        reads = [name for name in self.graph.reads(node) - set(ignored) if name not in self.fixed]
        if node.op_type in PARAMETRIC and node.input[0] in self._ways:
            # Weights and scales may be no constants.
            reads = [node.input[0]]
        outputs = [name for name in node.output if name]
        if not reads or node.op_type in ("Shape", "Size"):
            self.fixed.update(outputs)
            return
        if all(name in self._ways for name in reads):
            before = max((self._ways[name] for name in reads), key=lambda way: (way.layers, way.nodes))
            pools = sorted({pool for name in reads for pool in self._ways[name].pools})[:MOST_POOLS]
            way = _Way(before.layers + (node.op_type in LAYERS), before.nodes + 1, node, before, pools)
        else:
            kind = self._pool(node) if outputs and node.output[0] else None
            kind = "part" if kind is None and self.parts and self._of_parts(node) else kind
            if kind is None:
                return
            self._pools.append((node, kind))
            way = _Way(0, 0, None, None, [len(self._pools) - 1])
        self._ways.update(dict.fromkeys(outputs, way))

    def __contains__(self, name: str) -> bool:
        return name in self._ways

    def attentions(self) -> Iterator[Attention]:
        """Every product of a map and a vector that layers or a gate's function made of a pool."""
        for node in self.graph.nodes:
            for at in PRODUCTS.get(node.op_type, ()):
                x, gates = self._operands(node, at)
                way = self._ways.get(gates)
                if way is None or not node.output[0] or x in self._ways or x in self.fixed or not self._is_map(x):
                    continue
                pools, path = tuple(self._pools[pool] for pool in way.pools), []
                while way.node is not None and len(path) < MOST_NODES:
                    path.append(way.node)
                    way = way.before
                found = Attention(node, x, gates, pools, tuple(path[::-1]))
                if found.layers or any(inner.op_type in FUNCTIONS for inner in path):
                    yield found

    def _operands(self, node, at):
        places = PRODUCTS[node.op_type]
        names = [node.input[place] if place < len(node.input) else "" for place in places]
        if node.op_type == "Einsum":
            terms, _, result = attributes(node).get("equation", b"").decode().replace(" ", "").partition("->")
            if len(node.input) != 2 or terms.split(",")[at:at + 1] != [result]:
                return "", ""
        return names[places.index(at)], names[1 - places.index(at)]

    def _extents(self, name):
        """How many axes of tensor `name`, besides the first, may have more than one element; None if it isn't known."""
        dims = self.graph.dims.get(name)
        return None if dims is None else sum(size != 1 for size in dims[1:])

    def _is_map(self, name):
        extents = self._extents(name)
        return extents is None or extents > 1

    def _pool(self, node):
        """What `node` takes of a map if it makes a vector of it; else None."""
        operator, x, y = node.op_type, node.input[0] if node.input else "", node.output[0]
        before, after = self._extents(x), self._extents(y)
        if operator in GLOBAL:
            return GLOBAL[operator]
        if operator in WINDOWED:
            return WINDOWED[operator] if self._is_map(x) and self._is_single(node) else None
        if operator in REDUCED:
            known = None not in (before, after)
            reduced = before > 1 >= after if known else len(self.axes(node)) > 1 or self._of_flat(node)
            return None if not reduced else "weighted" if self.softmax_before(node) else REDUCED[operator]
        if operator in WEIGHTED and after is None:
            return "weighted" if self.softmax_before(node) else None
        if operator in WEIGHTED and after <= 1:
            wide = [name for name in node.input if name not in self.fixed and (self._extents(name) or 0) > 1]
            return "weighted" if wide else None
        return None

    def _is_single(self, node):
        """Whether the results of a pool by windows are one for each channel, or may be so with large windows."""
        dims = self.graph.dims.get(node.output[0])
        if dims is not None and None not in dims[2:]:
            return len(dims) > 2 and set(dims[2:]) == {1}
        return min(attributes(node).get("kernel_shape", ()), default=0) >= LARGE

    def _of_parts(self, node):
        """Whether `node` takes the means of the rows or the columns of a map of four axes, or of large parts of it."""
        dims, results = (self.graph.dims.get(names[0]) for names in (node.input, node.output))
        if dims is None or len(dims) != 4 or 1 in dims[2:]:
            return False
        if node.op_type == "ReduceMean":
            return [axis % 4 for axis in self.axes(node)] in ([2], [3])
        if node.op_type != "AveragePool" or results is None:
            return False
        few = None not in results[2:] and max(results[2:]) <= FEW
        return 1 in results[2:] or few or min(attributes(node).get("kernel_shape", ()), default=0) >= LARGE

    def axes(self, node: onnx.NodeProto) -> list[int]:
        """The axes of a reduction, as they are written."""
        array = self.graph.constant(node.input[1]) if len(node.input) > 1 and node.input[1] else None
        return list(attributes(node).get("axes", ())) if array is None else array.reshape(-1).tolist()

    def _of_flat(self, node):
        """Whether `node`, a reduction over one axis, is of a map that was flattened or reduced over another before."""
        _, before = self.graph.maker(node.input[0])
        return before is not None and before.op_type in ("Reshape", "Flatten", *REDUCED)

    def softmax_before(self, pool: onnx.NodeProto) -> onnx.NodeProto | None:
        """The Softmax whose results weight what `pool` sums: as its operand, or as that of a Mul before it."""
        before = self._moved(pool.input[0])
        for name in before.input if before is not None and before.op_type in PRODUCTS else pool.input:
            node = self._moved(name)
            if node is not None and node.op_type in ("Softmax", "QLinearSoftmax"):
                return node
        return None

    def _moved(self, name):
        """The node that makes the numbers in tensor `name`, before it is moved; None for an input."""
        for _ in range(MOST_MOVING):
            _, node = self.graph.maker(name)
            if node is None or node.op_type not in MOVING:
                return node
            name = node.input[0]
        return None
