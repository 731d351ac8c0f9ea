# SPDX-License-Identifier: Apache-2.0
"""Replaces the squeeze-and-excite blocks of an ONNX graph by tiled ones: for any height, correct in every runtime.

A tiled block takes the mean of each row, then the mean of k rows each by an AveragePool. That has k - 1 rows of padding
at the end, which it doesn't count, so it has exactly ceil(H / k) windows, and the last one is over the rows that are
left. (Runtimes disagreed about ceil_mode before operator set 19.) Each row then gathers the gates of its tile.
"""

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..hdl.config import ConfigError, Gate, GateKind, Mid
from .match.match import NetworkBlock
from .read.graph import Graph
from .read.storage import is_float

__all__ = ["LAST_WITH_INPUTS", "tile_blocks"]

NCHW_TO_NHWC, NHWC_TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)
# The first operator sets in which the axes of ReduceMean and the ends of Clip are inputs, and those that introduced
# Range and ConstantOfShape.
AXES_INPUT, CLIP_INPUT, RANGE, CONSTANT_OF_SHAPE = 18, 11, 11, 9
# The last version of the format that lists constants among the inputs, too.
LAST_WITH_INPUTS = 3
# Rows whose tiles are listed in a constant; those of higher maps are computed.
MOST_LISTED = 1 << 16
# Types that runtimes have all the operators for. Tensors of other types are cast, as are those of a type that is too
# coarse for the weights.
FLOATS = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}


def tile_blocks(model: onnx.ModelProto, blocks: Iterable[NetworkBlock], k: int | Mapping[str, int] = 7
                ) -> onnx.ModelProto:
    """A copy of `model` with `blocks`, which are its own, tiled. Names of inputs and outputs and all other nodes stay.

    `k` is the number of rows of a tile, for all blocks or by block's name; a block that the mapping lacks is not tiled.
    Raises ConfigError: ("k") for less than one row or a name that no block has, ("model") for a map of open height in
    an operator set before 9.
    """
    blocks = list(blocks)
    rows = dict.fromkeys((block.name for block in blocks), k) if isinstance(k, int) else dict(k)
    known = {block.name for block in blocks}
    for name, value in rows.items():
        if name not in known:
            raise ConfigError("k", name, "is no block of the model")
        if value < 1:
            raise ConfigError("k", value, "must be at least 1")
    graph = Graph(copy.deepcopy(model))
    used = set(graph.producer) | set(graph.initializers) | {node.name for node in graph.nodes}
    selected = [block for block in blocks if block.name in rows]
    for block in selected:
        tiled = _TiledBlock(graph, block, rows[block.name], _unused(used, f"tiled_se/{block.name}"))
        tiled.replace()
        used.update(name for node in tiled.nodes for name in (node.name, *node.output))
    _write(graph, {block.y for block in selected})
    return graph.model


class _TiledBlock:
    """The nodes of one tiled block. Their names begin with `prefix`."""

    def __init__(self, graph, block, k, prefix):
        self.graph, self.block, self.k, self.prefix = graph, block, k, prefix
        self.nodes, self.tensors = [], []
        # Exporters declare the sizes of their sample inside models that take any: they hold only for a fixed input.
        self.fixed = all(value.name in graph.dims and None not in graph.dims[value.name][
            len(graph.dims[value.name]) == 4:] for value in graph.inputs)
        self.type = self._type()
        self.inner_type = self.type if self._holds_weights(FLOATS.get(self.type)) else TensorProto.FLOAT

    def replace(self):
        """Put the tiled block's nodes in place of the node that makes the block's output."""
        block, x, end = self.block, self.block.x, self.graph.producer[self.block.y]
        cast = self.inner_type != self.type
        means = self._means(self._node("Cast", [x], to=TensorProto.FLOAT) if cast else x)
        sums = self._cut("sums", self._layer(self._cut("mean", means), "1"))
        logits = self._cut("logits", self._layer(self._cut("hidden", self._mid(sums)), "2"))
        gates = self._cut("gates", self._gate(logits, block.float_block.gate))
        # Tiles of one row have a gate for each row already.
        gates = gates if self.k == 1 else self._node("Gather", [gates, self._tile_of_row(x)], axis=2)
        if block.channels_last:
            gates = self._node("Transpose", [gates], perm=NCHW_TO_NHWC)
        if cast:
            gates = self._node("Cast", [gates], to=self.type)
        if block.float_block.residual:
            self._node("Add", [x, self._node("Mul", [x, gates])], block.y)
        else:
            self._node("Mul", [x, gates], block.y)
        at = next(i for i, node in enumerate(self.graph.nodes) if node is end)
        self.graph.nodes[at:at + 1] = self.nodes
        self.graph.model.graph.initializer.extend(self.tensors)

    def _node(self, operator, inputs, output=None, **attributes):
        name = f"{self.prefix}{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output or name], name, **attributes))
        return output or name

    def _constant(self, name, array):
        tensor = numpy_helper.from_array(np.array(array, order="C"), self.prefix + name)
        self.tensors.append(tensor)
        return tensor.name

    def _numbers(self, name, array):
        """A constant of the type that the block computes with."""
        return self._constant(name, np.asarray(array, np.float64).astype(FLOATS[self.inner_type]))

    def _holds_weights(self, kind):
        """Whether the network has its weights in type `kind`, and this holds them with the constants folded in.

        Products of weights and factors may be too large or too small for a type that holds both.
        """
        array = self.graph.constant(self.block.weight)
        if kind is None or array is not None and array.dtype != kind:
            return False
        held = self.block.float_block
        numbers = np.concatenate([array.reshape(-1) for array in (held.w1, held.b1, held.w2, held.b2)])
        with np.errstate(over="ignore", under="ignore"):
            error = abs(numbers.astype(kind).astype(np.float64) - numbers)
        return bool((error <= np.finfo(kind).eps * abs(numbers)).all())

    def _type(self):
        """The element type of x and y."""
        if self.block.element_type:
            return self.block.element_type
        array = self.graph.constant(self.block.weight)
        if array is None or not is_float(array.dtype):
            return TensorProto.FLOAT
        return helper.np_dtype_to_tensor_dtype(array.dtype)

    def _means(self, x):
        """(N, C, tiles, 1)."""
        axis = 2 if self.block.channels_last else 3
        if self.graph.opset >= AXES_INPUT:
            rows = self._node("ReduceMean", [x, self._constant("axis", np.array([axis]))], keepdims=1)
        else:
            rows = self._node("ReduceMean", [x], axes=[axis], keepdims=1)
        if self.block.channels_last:
            rows = self._node("Transpose", [rows], perm=NHWC_TO_NCHW)
        if self.k == 1:
            return rows
        return self._node("AveragePool", [rows], kernel_shape=[self.k, 1], strides=[self.k, 1],
                          pads=[0, 0, self.k - 1, 0], count_include_pad=0)

    def _layer(self, source, which):
        weight, bias = (getattr(self.block.float_block, name + which) for name in "wb")
        return self._node("Conv", [source, self._numbers("w" + which, weight[:, :, None, None]),
                                   self._numbers("b" + which, bias)], kernel_shape=[1, 1])

    def _mid(self, source):
        mid = self.block.float_block.mid
        if mid is Mid.IDENTITY:
            return source
        if mid is Mid.RELU:
            return self._node("Relu", [source])
        if mid is Mid.RELU6:
            return self._clip("relu6", source, 0.0, 6.0)
        gate = Gate() if mid is Mid.SILU else Gate(GateKind.HARDSIGMOID)
        return self._node("Mul", [source, self._gate(source, gate)])

    def _cut(self, stage, source):
        """`source` within the range of the integers that the network has there."""
        ends = self.block.ranges.stages.get(stage)
        return self._clip(stage, source, *ends) if ends else source

    def _clip(self, name, source, low, high):
        ends = {which: end for which, end in (("min", low), ("max", high)) if np.isfinite(end)}
        if self.graph.opset < CLIP_INPUT:
            return self._node("Clip", [source], **ends)
        inputs = [self._numbers(f"{name}_{which}", ends[which]) if which in ends else "" for which in ("min", "max")]
        return self._node("Clip", [source, *inputs])

    def _gate(self, source, gate):
        if gate.kind is GateKind.SIGMOID:
            return self._node("Sigmoid", [source])
        return self._node("HardSigmoid", [source], alpha=gate.slope, beta=gate.offset)

    def _tile_of_row(self, x):
        """int64 (H): the tile of each row."""
        axis = 1 if self.block.channels_last else 2
        dims = self.graph.dims.get(x)
        if self.fixed and dims is not None and dims[axis] is not None and dims[axis] <= MOST_LISTED:
            return self._constant("tile_of_row", np.arange(dims[axis]) // self.k)
        if self.graph.opset < CONSTANT_OF_SHAPE:
            raise ConfigError("model", f"operator set {self.graph.opset}",
                              f"must be {CONSTANT_OF_SHAPE} or later where heights are open")
        shape = self._node("Shape", [x])
        if self.graph.opset >= RANGE:
            height = self._node("Gather", [shape, self._constant("height_axis", np.array(axis))], axis=0)
            rows = self._node("Range", [self._constant("zero", np.array(0)), height,
                                        self._constant("one", np.array(1))])
        else:
            # The indices of H ones.
            height = self._node("Gather", [shape, self._constant("height_axis", np.array([axis]))], axis=0)
            ones = self._node("ConstantOfShape", [height],
                              value=helper.make_tensor("one", TensorProto.INT64, [1], [1]))
            rows = self._node("Squeeze", [self._node("NonZero", [ones])], axes=[0])
        return self._node("Div", [rows, self._constant("k", np.array(self.k))])


def _write(graph: Graph, replaced: set[str]):
    """Write the graph's list of nodes into its model, without what only the old makers of tensors `replaced` needed."""
    model = graph.model.graph
    nodes = [copy.deepcopy(node) for node in _without_dead(graph, replaced)]
    del model.node[:]
    model.node.extend(nodes)
    read = {name for node in nodes for name in Graph.reads(node)} | graph.outputs
    constants = {tensor.name for tensor in model.initializer}
    _keep(model.input, lambda name: name in read or name not in constants)
    _keep(model.initializer, lambda name: name in read)
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
