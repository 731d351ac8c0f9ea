# SPDX-License-Identifier: Apache-2.0
"""What distinguishes the mean before a product of a map and its gates from that of a block."""

import onnx

from ..read.graph import Graph, attributes
from .pooled_vectors import Attention, PooledVectors
from .pooling import Pooling
from .wording import label, spelt, times, without_moving

__all__ = ["MeanDifference"]

# What a pool takes instead of the mean.
TAKEN = ("maximum", "minimum", "norm", "sum of squares", "logarithm of a sum", "product")
# Nodes before a pool.
MOST_BEFORE = 4


class MeanDifference:
    """Compares the mean of `found`, which is no block of `graph`, with that of a block. Methods return None if there is
    no difference, else the reason.

    ``after`` are the nodes from the mean to the first layer.
    """

    def __init__(self, graph: Graph, pooling: Pooling, vectors: PooledVectors, found: Attention,
                 after: tuple[onnx.NodeProto, ...]):
        self.graph, self.pooling, self.vectors, self.found, self.after = graph, pooling, vectors, found, after
        self.kinds = {kind for _, kind in found.pools}

    def pool(self) -> str | None:
        """What the pool takes."""
        part = next((node for node, kind in self.found.pools if kind == "part"), None)
        if part is not None and part.op_type == "AveragePool":
            return self._window(part)
        if part is not None:
            return f"its mean by {label(part)} is over axis {self.vectors.axes(part)[0] % 4} alone"
        if "weighted" in self.kinds:
            softmax = any(self.vectors.softmax_before(node) for node, kind in self.found.pools if kind == "weighted")
            return f"its mean is weighted by {'a Softmax' if softmax else 'another tensor'}"
        other = next((kind for kind in TAKEN if kind in self.kinds), None)
        end = ", too, not the mean alone" if len(self.kinds) > 1 else ", not the mean"
        return f"it takes the {other} of the map{end}" if other else None

    def rank(self) -> str | None:
        """The number of the map's axes."""
        dims = self.graph.dims.get(self.found.x)
        if dims is None:
            return "the number of axes of its map is not known"
        return None if len(dims) == 4 else f"its map has {len(dims)} axes; a block's has four"

    def map(self) -> str | None:
        """The map whose mean is taken."""
        averaged = {}
        for pool, _ in self.found.pools:
            name = self._averaged(pool)[0]
            averaged[self.pooling.source(name)[0]] = name
        base = self.pooling.source(self.found.x)[0]
        if base in averaged:
            same = self.pooling.cuts(averaged[base]) == self.pooling.cuts(self.found.x)
            return None if same else "a quantiser cuts its map at 0 for the mean alone, or for the product alone"
        return f"it averages {', '.join(sorted(averaged))} but scales {self.found.x}"

    def _averaged(self, pool):
        """``(map, nodes)``: the map that `pool` takes the mean of, and the nodes that flattened or padded it before."""
        name, nodes = pool.input[0], []
        for _ in range(MOST_BEFORE):
            operator, node = self.graph.maker(name)
            if operator not in ("Reshape", "Flatten", "Pad") and not str(operator).startswith("Reduce"):
                break
            name = node.input[0]
            nodes.append(node)
        return name, nodes

    def mean(self) -> str | None:
        """What is averaged, and the number that a sum is divided by."""
        first, (pool, kind) = self.found.layers[0], self.found.pools[0]
        means = next(name for name in first.input if name in self.vectors)
        if self.pooling.channels_last(means, self.found.x) is not None:
            return None
        following = without_moving(self.after)
        if kind == "sum" and not following:
            return "it takes the sum of the map, not the mean"
        if len(following) == 1 and following[0].op_type in ("Mul", "Div"):
            summed, counted = self.pooling.divided_sum(following[0])
            if summed is not None and counted is None:
                verb = "divided" if following[0].op_type == "Div" else "multiplied"
                return f"its sum over the map is {verb} by a number that is not known"
            if summed is not None:
                return "its sum over the map is not divided by the number of pixels"
        if following:
            return f"between its {kind} and its first layer is {spelt(self.graph, following)}"
        for node in self._averaged(pool)[1]:
            if node.op_type == "Pad":
                return f"it averages what {label(node)} makes of the map"
            if not node.op_type.startswith("Reduce"):
                return f"it is not known that {label(node)} before its mean keeps images and channels apart"
        if pool.op_type == "AveragePool":
            return self._window(pool)
        if len(pool.input) > 1 and pool.input[1] and self.graph.constant(pool.input[1]) is None:
            return f"the axes of its mean by {label(pool)} are not known"
        return f"its mean by {label(pool)} is not over height and width alone"

    def _window(self, pool):
        """The window of an AveragePool."""
        attrs = attributes(pool)
        known = None not in (self.graph.dims.get(pool.input[0]) or (None,))[-2:]
        end = " with padding" if any(attrs.get("pads", ())) or attrs.get("auto_pad", b"").startswith(b"SAME") else \
            ", not over the map" if known else " of a map of open size"
        return f"its mean is over a window of {times(attrs.get('kernel_shape', ()))}{end}"
