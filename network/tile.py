# SPDX-License-Identifier: Apache-2.0
"""Tiled squeeze-and-excite in place of the original, in an ONNX graph: for any height, right in every runtime.

Row means, then a mean over k rows each: an AveragePool with k - 1 rows of padding at the end, which it doesn't
count, has exactly ceil(H / k) windows, of which the last is over what rows there are. (With ceil_mode, runtimes
disagreed before operator set 19.) Each row then gathers the gates of its tile.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..hdl.config import ConfigError, GateKind, Mid
from .read.graph import Graph

__all__ = ["tile"]

NCHW_TO_NHWC, NHWC_TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)
# First operator sets in which something is written as below; before it is an attribute, or missing.
AXES_INPUT, RANGE, CLIP_INPUT, CONSTANT_OF_SHAPE = 18, 11, 11, 9
# The last version of the format in which constants are among the inputs, too.
LAST_WITH_INPUTS = 3
# Rows whose tiles are listed as a constant; those of higher maps are computed.
MOST_LISTED = 1 << 16
# What runtimes have all the operators for; other tensors are cast.
FLOATS = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}


def tile(model, blocks, k=7):
    """A copy of `model` with `blocks` tiled; names of inputs and outputs and all other nodes stay.

    Parameters
    ----------
    model : onnx.ModelProto
    blocks : iterable of Block
        Of :func:`~.recognise.find_blocks` for this model.
    k : int, or mapping of str to int
        Rows of a tile; by block's name, those that aren't in the mapping stay as they are.

    Raises
    ------
    ConfigError
        ("k") for names that are no block's, ("model") for an operator set before 9 with heights that are open.
    """
    blocks = list(blocks)
    rows = dict.fromkeys((block.name for block in blocks), k) if isinstance(k, int) else dict(k)
    known = {block.name for block in blocks}
    for name, value in rows.items():
        if name not in known:
            raise ConfigError("k", name, "is no block of the model")
        if value < 1:
            raise ConfigError("k", value, "must be at least 1")
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    graph = Graph(copied)
    used = set(graph.producer) | set(graph.initializers) | {node.name for node in graph.nodes}
    for block in blocks:
        if block.name in rows:
            tiled = _Tiled(graph, block, rows[block.name], _unused(used, f"tiled_se/{block.name}"))
            tiled.put_in()
            used.update(name for node in tiled.nodes for name in (node.name, *node.output))
    _write(graph, [block for block in blocks if block.name in rows])
    return copied


class _Tiled:
    """The nodes of one tiled block, whose names begin with `prefix`."""

    def __init__(self, graph, block, k, prefix):
        self.graph, self.block, self.k, self.prefix = graph, block, k, prefix
        self.nodes, self.tensors = [], []
        # Exporters leave the sizes of their sample behind in models that take any.
        inputs = [value.name for value in graph.model.graph.input if value.name not in graph.initializers]
        self.fixed = all(name in graph.dims and None not in graph.dims[name][len(graph.dims[name]) == 4:]
                         for name in inputs)
        self.kind = self._kind()

    def put_in(self):
        """Replace the node that makes the block's output by the tiled block's nodes."""
        end = self.graph.producer[self.block.y]
        self._build()
        at = next(i for i, node in enumerate(self.graph.nodes) if node is end)
        self.graph.nodes[at:at + 1] = self.nodes
        self.graph.model.graph.initializer.extend(self.tensors)

    def _node(self, operator, inputs, output=None, **about):
        name = self.prefix + (output or f"{operator}_{len(self.nodes)}")
        result = output if output == self.block.y else name
        self.nodes.append(helper.make_node(operator, inputs, [result], name, **about))
        return result

    def _constant(self, name, array):
        tensor = numpy_helper.from_array(np.array(array, order="C"), self.prefix + name)
        self.tensors.append(tensor)
        return tensor.name

    def _numbers(self, name, array):
        """A constant of the tensors' own type."""
        return self._constant(name, np.asarray(array, np.float64).astype(FLOATS.get(self.kind, np.float32)))

    def _kind(self):
        """The type of x and y."""
        for value in (*self.graph.model.graph.value_info, *self.graph.model.graph.input,
                      *self.graph.model.graph.output):
            if value.name in (self.block.x, self.block.y) and value.type.tensor_type.elem_type:
                return value.type.tensor_type.elem_type
        array = self.graph.constant(self.block.weight)
        if array is None or array.dtype.kind != "f":
            return TensorProto.FLOAT
        return helper.np_dtype_to_tensor_dtype(array.dtype)

    def _build(self):
        block, x = self.block, self.block.x
        cast = self.kind not in FLOATS
        means = self._means(self._node("Cast", [x], to=TensorProto.FLOAT) if cast else x)
        hidden = self._mid(self._layer(means, "1"))
        gates = self._gate(self._layer(hidden, "2"))
        # With a tile a row there is nothing to spread.
        spread = gates if self.k == 1 else self._node("Gather", [gates, self._tile_of_row(x)], axis=2)
        if block.channels_last:
            spread = self._node("Transpose", [spread], perm=NCHW_TO_NHWC)
        if cast:
            spread = self._node("Cast", [spread], to=self.kind)
        if block.float_block.residual:
            scaled = self._node("Mul", [x, spread])
            self._node("Add", [x, scaled], block.y)
        else:
            self._node("Mul", [x, spread], block.y)

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

    def _clip(self, source, low, high):
        if self.graph.opset < CLIP_INPUT:
            return self._node("Clip", [source], min=low, max=high)
        return self._node("Clip", [source, self._numbers("low", low), self._numbers("high", high)])

    def _mid(self, source):
        mid = self.block.float_block.mid
        if mid is Mid.IDENTITY:
            return source
        if mid is Mid.RELU:
            return self._node("Relu", [source])
        if mid is Mid.RELU6:
            return self._clip(source, 0.0, 6.0)
        gate = self._node("Sigmoid", [source]) if mid is Mid.SILU else self._node(
            "HardSigmoid", [source], alpha=1 / 6, beta=0.5)
        return self._node("Mul", [source, gate])

    def _gate(self, source):
        gate = self.block.float_block.gate
        if gate.kind is GateKind.SIGMOID:
            return self._node("Sigmoid", [source])
        return self._node("HardSigmoid", [source], alpha=gate.slope, beta=gate.offset)

    def _tile_of_row(self, x):
        """int64 (H): the tile that each row is in."""
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


def _write(graph, replaced):
    """Put the new list of nodes into the model, without what only the old blocks needed."""
    model = graph.model.graph
    nodes = _without_dead(graph, {block.y for block in replaced})
    copies = []
    for node in nodes:
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        copies.append(copied)
    del model.node[:]
    model.node.extend(copies)
    read = {name for node in copies for name in Graph.reads(node)} | graph.outputs
    constants = {tensor.name for tensor in model.initializer}
    _keep(model.input, lambda name: name in read or name not in constants)
    _keep(model.initializer, lambda name: name in read)
    _keep(model.value_info, lambda name: name in read)
    if graph.model.ir_version <= LAST_WITH_INPUTS:
        present = {value.name for value in model.input}
        model.input.extend(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
                           for tensor in model.initializer if tensor.name not in present)


def _keep(field, wanted):
    """Leave what has a `wanted` name only."""
    copies = [type(item).FromString(item.SerializeToString()) for item in field if wanted(item.name)]
    del field[:]
    field.extend(copies)


def _unused(names, prefix):
    """`prefix`, with a number if need be, and a slash: none of `names`, of tensors and nodes, begins like that."""
    names = [name for name in names if name.startswith(prefix)]
    unused, count = f"{prefix}/", 1
    while any(name.startswith(unused) for name in names):
        count += 1
        unused = f"{prefix}#{count}/"
    return unused


def _without_dead(graph, ys):
    """The nodes, without those that only led to the old makers of tensors `ys`."""
    uses = {}
    for node in graph.nodes:
        for name in Graph.reads(node):
            uses[name] = uses.get(name, 0) + 1
    waiting = [name for y in ys for name in Graph.reads(graph.producer[y])]
    dead = set()
    while waiting:
        name = waiting.pop()
        node = graph.producer.get(name)
        if node is None or id(node) in dead:
            continue
        if any(uses.get(output) or output in graph.outputs for output in node.output):
            continue
        dead.add(id(node))
        for read in Graph.reads(node):
            uses[read] -= 1
            waiting.append(read)
    return [node for node in graph.nodes if id(node) not in dead]
