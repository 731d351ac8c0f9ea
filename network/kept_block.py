# SPDX-License-Identifier: Apache-2.0
"""One tiled block whose nodes stay, quantisers among them: only its mean becomes the means of tiles.

Layers that are 1x1 Convs take a map of tiles in place of one mean. Other nodes get each tile as an image of its own.
Before the product with the map each row gets the numbers of its tile.
"""

import dataclasses

import numpy as np

from ..hdl.config import ConfigError
from ..hdl.tiling import Context, Tiling
from .match.match import NetworkBlock
from .match.pooling import CHANNELS_LAST
from .match.shape_arithmetic import known_sizes
from .match.vectors import ELEMENTWISE, SAME_SHAPE
from .read.graph import Graph, attributes
from .read.validation import short
from .tiled_block import NCHW_TO_NHWC, NHWC_TO_NCHW, TiledBlock

__all__ = ["KeptBlock"]


class KeptBlock(TiledBlock):
    """The new nodes of one block of `graph`; ``vectors`` are the tensors that had one vector and have one a tile."""

    def __init__(self, graph: Graph, block: NetworkBlock, tiling: Tiling, prefix: str) -> None:
        self.mean, self.own = block.mean, block
        map_last = CHANNELS_LAST[self.mean.axes]
        super().__init__(graph, dataclasses.replace(block, x=self.mean.map, channels_last=map_last), tiling, prefix)
        self.vectors: set[str] = set()

    def replace(self) -> None:
        """Put means of tiles in place of the mean, unless one tile is the whole map: then nothing changes.

        Raises ConfigError ("keep_quantised") for a node that does not take several tiles, and as TiledBlock's does.
        """
        if self._is_whole_map():
            return
        inner, ends = self._walked()
        self.as_map = self.mean.kept == (0, 1, 2, 3) and not self.block.channels_last and not self.own.gates_last and \
            all(map(self._takes_map, inner))
        if not self.as_map:
            for node in inner:
                self._take_tiles(node)
        self._pooled()
        at = self.graph.nodes.index(self.graph.producer[self.mean.tensor])
        self.graph.nodes[at:at + 1] = self.nodes
        spread, placed = {}, len(self.nodes)
        for node in ends:
            for at, name in enumerate(node.input):
                if name in self.vectors:
                    spread[name] = node.input[at] = spread.get(name) or self._spread(name)
            at = self.graph.nodes.index(node)
            self.graph.nodes[at:at] = self.nodes[placed:]
            placed = len(self.nodes)
        self.graph.model.graph.initializer.extend(self.tensors)

    def _refusal(self, reason):
        return ConfigError("keep_quantised", 1, f"block {short(self.own.name)}: {reason}; SKIP={self.own.name} leaves "
                           "it as it is")

    def _is_whole_map(self):
        """Whether one tile is the map, whatever the network's input is."""
        tiling, height, width = self.tiling, *map(self._fixed_size, (self.along, self.within))
        return height is not None and tiling.averaged(height) == [(0, height)] and not any(tiling.imaginary(height)) \
            and (tiling.tile_width is None or width is not None and tiling.tile_width >= width)

    def _walked(self):
        """``(inner, ends)``: the nodes that compute vectors from the mean, and those that read one beside a map."""
        self.vectors, inner, ends = {self.mean.tensor}, [], []
        inside = self.graph.needed(self.own.y)
        for node in self.graph.nodes:
            reads = Graph.reads(node)
            if self.vectors.isdisjoint(reads):
                continue
            if inside.isdisjoint(node.output):
                raise self._refusal(f"node {short(node.name)} outside of it reads one of its vectors")
            others = [name for name in reads - self.vectors if self.graph.constant(name) is None]
            operator = self.graph.operator(node)
            if operator == "Expand" or others and operator != "Reshape":
                ends.append(node)
            else:
                inner.append(node)
                self.vectors.update(node.output)
        if not self.vectors.isdisjoint(self.graph.outputs):
            raise self._refusal("one of its vectors is an output of the network")
        return inner, ends

    def _takes_map(self, node):
        """Whether `node` computes the same for each pixel of a map (N, C, H, W) as for one of (N, C, 1, 1)."""
        operator, attrs = self.graph.operator(node), attributes(node)
        if operator == "Conv":
            return all(stride == 1 for stride in attrs.get("strides", ()))
        return operator.split(".")[-1] in ELEMENTWISE or operator in SAME_SHAPE

    def _take_tiles(self, node):
        """Make a Reshape take any number of images."""
        if self.graph.operator(node) != "Reshape" or node.input[1] in self.vectors:
            return
        sizes = known_sizes(self.graph, node.input[1], lambda name: [(1, (axis,)) for axis in range(4)])
        zeros_copy = not attributes(node).get("allowzero")
        if sizes and zeros_copy and sizes[0] in ((-1, ()), (0, ())):
            return
        # An image is one vector, so its other sizes are known.
        rest = [self.own.channels if axes in ((1,), (3,)) else None if axes else n for n, axes in (sizes or ())[1:]]
        if not zeros_copy or None in rest or all(n == 1 for n in rest):
            raise self._refusal(f"node {short(node.name)} is a Reshape that may take only one image")
        node.input[1] = self._constant("_".join(["shape", *(str(n) for n in rest)]).replace("-", "m"),
                                       np.array([0, *rest]))

    def _pooled(self):
        """Compute the means, as a map of tiles or as one image each."""
        x, tiling = self.block.x, self.tiling
        if cast := self.inner_type != self.type:
            x = self._node("Cast", [x], to=self.inner_type)
        width = self._fixed_size(self.within)
        if tiling.context is Context.TILE and tiling.tile_width is None and width and not self.block.channels_last:
            # One node in place of one, which runtimes for integers know.
            means = self._means(x, {self.along: tiling.k, self.within: width})
        else:
            means = self._descriptors(x)
        if cast:
            means = self._node("Cast", [means], to=self.type)
        if not self.as_map:
            self.tiles = means = self._node("Transpose", [means], perm=NCHW_TO_NHWC)
            channel = 3 if self.block.channels_last else 1
            letters = {0: -1, channel: self.own.channels}
            shape = np.array([letters.get(axis, 1) for axis in self.mean.kept])
            means = self._node("Reshape", [means, self._constant("one_tile", shape)])
        if self.nodes and self.nodes[-1].output[0] == means:
            self.nodes[-1].output[0] = self.mean.tensor
        else:
            self._node("Identity", [means], self.mean.tensor)

    def _spread(self, gates):
        """The numbers in vectors `gates` for each row and column that is not in one tile with all others."""
        if not self.as_map:
            gates = self._node("Reshape", [gates, self._shape_of_tiles()])
            gates = self._node("Transpose", [gates], perm=NHWC_TO_NCHW)
        gates = self._gate_of_each(gates, self.block.x)
        return self._node("Transpose", [gates], perm=NCHW_TO_NHWC) if self.own.gates_last else gates

    def _shape_of_tiles(self):
        """int64 (4): images, tiles down, tiles across, channels."""
        lines, pixels, width = *map(self._fixed_size, (self.along, self.within)), self.tiling.tile_width
        if lines is None or width and pixels is None:
            return self._node("Shape", [self.tiles])
        counts = {self.along: len(self.tiling.strips(lines)), self.within: -(-pixels // width) if width else 1}
        return self._constant("shape_of_tiles", np.array([-1, *(counts[axis] for axis in sorted(counts)),
                                                          self.own.channels]))
