# SPDX-License-Identifier: Apache-2.0
"""The ONNX nodes of one tiled block: for any height and width, correct in every runtime.

Tiles that have their own means: each row's mean, then the mean of k rows each by an AveragePool. That has k - 1 rows of
padding at the end, which it doesn't count, so it has exactly ceil(H / k) windows, and the last one is over the rows
that are left. (Runtimes disagreed about ceil_mode before operator set 19.) Means of all rows so far: the sums of all
rows up to each one, by a CumSum, of which each tile takes one. Means over a window of a map of fixed size, and running
ones where there is no CumSum: a product with a constant. Each row then gathers the gates of its tile.

Where the stream brings columns, a line of the map is a column; else it is a row.
"""

import numpy as np
from onnx import TensorProto, helper

from ..hdl.config import ConfigError, Mid
from ..hdl.tiling import Context, Order, Tiling
from .match.activations import GATE_OPERATORS
from .match.match import NetworkBlock
from .nodes import Nodes
from .read.graph import Graph
from .read.storage import is_float

__all__ = ["TiledBlock"]

NCHW_TO_NHWC, NHWC_TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)
# The first operator set in which the ends of Clip are inputs, and those that introduced operators.
CLIP_INPUT, RANGE, CUM_SUM, CONSTANT_OF_SHAPE = 11, 11, 11, 9
# Rows whose tiles are listed in a constant; those of higher maps are computed.
MOST_LISTED = 1 << 16
# Numbers in a constant with the part of each row in each tile's mean: a map of 1024 rows, with tiles of one.
MOST_PARTS = 1 << 20
# Types that runtimes have all the operators for. Tensors of other types are cast, as are those of a type that is too
# coarse for the weights, or for sums of many rows.
FLOATS = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}
HEIGHT, WIDTH = 2, 3
SIZES = {HEIGHT: "height", WIDTH: "width"}


class TiledBlock(Nodes):
    """The nodes and the constants of one block of `graph`, tiled. Their names begin with `prefix`."""

    def __init__(self, graph: Graph, block: NetworkBlock, tiling: Tiling, prefix: str) -> None:
        super().__init__(graph.opset, prefix)
        self.graph, self.block, self.tiling = graph, block, tiling
        # Axes of (N, C, H, W): from line to line, and within a line.
        self.along, self.within = (WIDTH, HEIGHT) if tiling.order is Order.COLUMNS else (HEIGHT, WIDTH)
        self.type = self._type()
        held = tiling.context is Context.TILE and self._holds_weights(FLOATS.get(self.type))
        self.inner_type = self.type if held else TensorProto.FLOAT

    def replace(self) -> None:
        """Put the tiled block's nodes in place of the node that makes the block's output.

        Raises ConfigError ("model") if the operator set lacks an operator.
        """
        block, x, end = self.block, self.block.x, self.graph.producer[self.block.y]
        cast = self.inner_type != self.type
        means = self._descriptors(self._node("Cast", [x], to=TensorProto.FLOAT) if cast else x)
        sums = self._cut("sums", self._layer(self._cut("mean", means), "1"))
        logits = self._cut("logits", self._layer(self._cut("hidden", self._mid(sums)), "2"))
        gates = self._gate_of_each(self._cut("gates", self._gate(logits, block.float_block.gate)), x)
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

    def _needs(self, operator, since):
        """Raise ConfigError ("model") unless the operator set is one that has `operator`."""
        if self.opset < since:
            raise ConfigError("model", f"operator set {self.opset}", f"must be {since} or later for context="
                              f"{self.tiling.context.value}, which needs the operator {operator}")

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

    # Descriptors.

    def _descriptors(self, x):
        """(N, C, tiles down, tiles across): what the gates of each tile are computed from."""
        tiling = self.tiling
        if tiling.context is Context.TILE:
            return self._means(x, {self.along: tiling.k, self.within: tiling.tile_width})
        lines, size = self._means(x, {self.along: 1, self.within: None}), self._fixed_size(self.along)
        # A window has one mean. Running ones have many, for which a CumSum is better where there is one.
        if size and (tiling.context is Context.WINDOW or
                     self.opset < CUM_SUM and size * len(tiling.strips(size)) <= MOST_PARTS):
            return self._weighted_means(lines, size)
        return self._mean_of_window(lines, x) if tiling.context is Context.WINDOW else self._running_means(lines, x)

    def _means(self, x, sizes):
        """Means over windows of `sizes` by axis, of which None is the whole axis: (N, C, H / size, W / size)."""
        last = self.block.channels_last
        for axis, size in sizes.items():
            if size is None:
                x = self._reduce("ReduceMean", x, "axis", axis - last)
        down, across = (sizes[axis] or 1 for axis in (HEIGHT, WIDTH))
        if last:
            # Of (N, H, W, C) a pooling takes W and C for a map's height and width.
            x = self._node("Transpose", [self._pool(x, across, 1)], perm=NHWC_TO_NCHW)
            across = 1
        return self._pool(x, down, across)

    def _pool(self, x, *sizes):
        if sizes == (1, 1):
            return x
        return self._node("AveragePool", [x], kernel_shape=sizes, strides=sizes,
                          pads=[0, 0, *(size - 1 for size in sizes)], count_include_pad=0)

    def _weighted_means(self, lines, size):
        """The mean of each tile as a product of all `size` lines with their parts in it, and the prior's part."""
        bounds, imaginary = np.array(self.tiling.averaged(size)), np.array(self.tiling.imaginary(size))
        counts = imaginary + bounds[:, 1] - bounds[:, 0]
        at = np.arange(size)
        parts = ((at >= bounds[:, :1]) & (at < bounds[:, 1:])) / counts[:, None]
        by_columns = self.along == WIDTH
        parts = self._numbers("parts_of_lines", parts.T if by_columns else parts)
        means = self._node("MatMul", [lines, parts] if by_columns else [parts, lines])
        prior = self.block.float_block.prior
        if prior is None or not (prior.any() and imaginary.any()):
            return means
        prior = np.expand_dims(np.outer(prior, imaginary / counts), 1 if by_columns else 2)
        return self._node("Add", [means, self._numbers("part_of_prior", prior)])

    def _running_means(self, lines, x):
        """Means of all lines up to the end of each tile, or up to its start, and of those of the prior."""
        tiling, causal = self.tiling, self.tiling.context is Context.CAUSAL
        self._needs("CumSum", CUM_SUM)
        sums = self._node("CumSum", [lines, self._constant("cumulated_axis", np.array(self.along))],
                          exclusive=int(causal))
        at = self._lines_taken(x)
        sums = self._node("Gather", [sums, at], axis=self.along)
        counts = self._node("Cast", [at], to=self.inner_type)
        counts = self._node("Add", [counts, self._numbers("counted", tiling.prior_rows + (not causal))])
        return self._with_prior(sums, self._upright(counts), self._numbers("prior_lines", tiling.prior_rows))

    def _lines_taken(self, x):
        """int64 (tiles): the line whose sum each tile takes, which for a causal one has the lines before it only."""
        tiling, causal = self.tiling, self.tiling.context is Context.CAUSAL
        size = self._fixed_size(self.along)
        if size is not None:
            return self._constant("lines_taken", np.array([stop - (not causal) for _, stop in tiling.averaged(size)]))
        size = self._size(x, self.along)
        at = self._node("Range", [self._constant("zero", 0), size, self._constant("k", tiling.k)])
        most = self._constant("last_counted", tiling.max_rows - (not causal))
        if causal:
            return self._lesser(at, most)
        ends = self._node("Add", [at, self._constant("lines_after_first", tiling.k - 1)])
        return self._lesser(self._lesser(ends, self._node("Sub", [size, self._constant("one", 1)])), most)

    def _lesser(self, a, b):
        """The lesser of two integers each: Min takes integers from operator set 12 on only."""
        return self._node("Where", [self._node("Less", [a, b]), a, b])

    def _mean_of_window(self, lines, x):
        """(N, C, 1, 1): the mean of the lines in the window, or the prior if the map has none of them."""
        self._needs("Range", RANGE)
        inside = self._upright(self._in_window(x))
        sums = self._node("Where", [inside, lines, self._numbers("nothing", 0)])
        sums = self._reduce("ReduceSum", sums, "axis_of_lines", self.along)
        counts = self._node("ReduceSum", [self._node("Cast", [inside], to=self.inner_type)], keepdims=0)
        if not self.tiling.prior_rows:
            return self._node("Div", [sums, counts])
        missing = self._node("Relu", [self._node("Sub", [self._numbers("one_line", 1), counts])])
        return self._with_prior(sums, self._node("Add", [counts, missing]), missing)

    def _in_window(self, x):
        """bool (lines): whether a line is in the window."""
        first, count = self.tiling.window
        at = self._range(x, self.along)
        before = self._node("Less", [at, self._constant("first", first)])
        return self._node("And", [self._node("Not", [before]),
                                  self._node("Less", [at, self._constant("stop", first + count)])])

    def _with_prior(self, sums, counts, prior_lines):
        """The mean of so many lines, `prior_lines` of which are the prior and are not in the sums yet."""
        prior = self.block.float_block.prior
        if prior is not None and prior.any():
            prior = self._node("Mul", [prior_lines, self._numbers("prior", prior[:, None, None])])
            sums = self._node("Add", [sums, prior])
        return self._node("Div", [sums, counts])

    def _upright(self, vector):
        """A vector over lines in the shape that broadcasts with (N, C, H, W)."""
        if self.along == WIDTH:
            return vector
        return self._node("Reshape", [vector, self._constant("upright", np.array([-1, 1]))])

    # Layers.

    def _layer(self, source, which):
        weight, bias = (getattr(self.block.float_block, name + which) for name in "wb")
        return self._node("Conv", [source, self._numbers("w" + which, weight[:, :, None, None]),
                                   self._numbers("b" + which, bias)], kernel_shape=[1, 1])

    def _mid(self, source):
        mid = self.block.float_block.mid
        if mid.gate is not None:
            return self._node("Mul", [source, self._gate(source, mid.gate)])
        if mid is Mid.RELU:
            return self._node("Relu", [source])
        ends = mid.low, mid.high
        return source if ends == (-np.inf, np.inf) else self._clip(mid.value, source, *ends)

    def _cut(self, stage, source):
        """`source` within the range of the integers that the network has there."""
        ends = self.block.ranges.stages.get(stage)
        return self._clip(stage, source, *ends) if ends else source

    def _clip(self, name, source, low, high):
        ends = {which: end for which, end in (("min", low), ("max", high)) if np.isfinite(end)}
        if self.opset < CLIP_INPUT:
            return self._node("Clip", [source], **ends)
        inputs = [self._numbers(f"{name}_{which}", ends[which]) if which in ends else "" for which in ("min", "max")]
        return self._node("Clip", [source, *inputs])

    def _gate(self, source, gate):
        if gate.table:
            return self._node(GATE_OPERATORS[gate.kind], [source])
        return self._node("HardSigmoid", [source], alpha=gate.slope, beta=gate.offset)

    # Gates of rows and columns.

    def _gate_of_each(self, gates, x):
        """The gates (N, C, tiles down, tiles across) for each row and column that is not in one tile with all others.
        """
        if self.tiling.context is Context.WINDOW:
            return gates
        # Tiles of one line have a gate for each line already.
        for axis, size in ((self.along, self.tiling.k), (self.within, self.tiling.tile_width or 1)):
            if size != 1:
                gates = self._node("Gather", [gates, self._tiles(x, axis, size)], axis=axis)
        return gates

    def _tiles(self, x, axis, size):
        """int64 (H or W): the tile of each row, or of each column."""
        fixed = self._fixed_size(axis)
        name, pixels = ("tile_of_row", "k") if axis == self.along else ("tile_of_column", "tile_width")
        if fixed is not None:
            return self._constant(name, np.arange(fixed) // size)
        if self.opset < CONSTANT_OF_SHAPE:
            raise ConfigError("model", f"operator set {self.opset}",
                              f"must be {CONSTANT_OF_SHAPE} or later where {SIZES[axis]}s are open")
        return self._node("Div", [self._range(x, axis), self._constant(pixels, size)])

    def _fixed_size(self, axis):
        """The size of an axis of (N, C, H, W), if each map has the same and it is one whose lines may be listed."""
        size = self.block.fixed_size[axis - HEIGHT]
        return size if size is not None and size <= MOST_LISTED else None

    def _size(self, x, axis, rank=0):
        """int64: the size of an axis of (N, C, H, W), as a number or a vector of one number."""
        at = np.array(axis - self.block.channels_last).reshape([1] * rank)
        return self._node("Gather", [self._node("Shape", [x]), self._constant(f"{SIZES[axis]}_axis", at)], axis=0)

    def _range(self, x, axis):
        """int64: 0, 1, 2 and so on for each row or column."""
        if self.opset >= RANGE:
            size = self._size(x, axis)
            return self._node("Range", [self._constant("zero", 0), size, self._constant("one", 1)])
        # The indices of H ones.
        ones = self._node("ConstantOfShape", [self._size(x, axis, rank=1)],
                          value=helper.make_tensor("one", TensorProto.INT64, [1], [1]))
        return self._node("Squeeze", [self._node("NonZero", [ones])], axes=[0])
