# SPDX-License-Identifier: Apache-2.0
"""Finds squeeze-and-excite blocks in an ONNX graph by what they compute, in any spelling.

The matcher starts at each multiplication and reads back: a gate with the constant factors around the product, a layer,
an activation, a layer, and a mean over height and width of the tensor that the gate is multiplied with.
"""

import dataclasses

import numpy as np

from ...golden.block import FloatBlock
from ...hdl.config import ConfigError, Order, Tiling
from ..read.graph import Graph
from ..read.names import block_name
from ..read.shapes import fixed_dims, map_size
from .activations import match_activation, match_gate, unsupported_activation
from .affine import Chain
from .fake_quantisation import narrowed_inside, rounds_inside
from .left_out import LeftOut
from .numbers import Numbers, found_numbers
from .pooling import Mean, Pooling
from .products import Products
from .ranges import Ranges, found_ranges
from .unfuse import unfused

__all__ = ["NetworkBlock", "match", "waiting_elements"]

# Smaller numbers of type float32 have fewer bits.
SMALLEST = float(np.finfo(np.float32).tiny)


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkBlock:
    """A squeeze-and-excite block of an ONNX network, with a `name` that is unique in it.

    `x` and `y` are the names of its input and output tensor, `weight` that of the tensor that W1 is, or is computed
    from. Constant factors between the layers are folded into `float_block`. With `channels_last` x is (N, H, W, C)
    instead of (N, C, H, W). `quantised` tells whether the network rounds to integers between x and y. `height` and
    `width` are those of x, None if the size of the network's input leaves them open. `ranges` are what the block's
    numbers are cut to by the ranges of such integers. `element_type` is ONNX's number for the type of x and y, None if
    it is not known. `fixed_size` is the height and the width that x has whatever the network's input is, with None for
    one that may differ; `height` and `width` may be those for an input of a given size, or a batch of one. `numbers`
    are the formats of the network's own integers. `mean` is the mean in the graph; with `gates_last` its gates meet a
    map (N, H, W, C) there.
    """

    name: str
    x: str
    y: str
    float_block: FloatBlock
    channels_last: bool
    weight: str
    quantised: bool = False
    height: int | None = None
    width: int | None = None
    ranges: Ranges = dataclasses.field(default_factory=Ranges)
    element_type: int | None = None
    fixed_size: tuple[int | None, int | None] = (None, None)
    numbers: Numbers = Numbers()
    mean: Mean | None = None
    gates_last: bool = False

    @property
    def channels(self) -> int:
        """C."""
        return len(self.float_block.b2)

    @property
    def squeeze(self) -> int:
        """CR."""
        return len(self.float_block.b1)

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return 2 * self.channels * self.squeeze + self.channels + self.squeeze

    @property
    def shape(self) -> dict:
        """H, W, C and CR by name."""
        return {"H": self.height, "W": self.width, "C": self.channels, "CR": self.squeeze}

    def waiting(self, tiling: Tiling) -> dict:
        """Elements that wait for their gate: ``se_elements`` of the whole map, ``tse_elements`` as `tiling` says.

        None for a map of open size.
        """
        if self.height is None or self.width is None:
            return {"se_elements": None, "tse_elements": None}
        return waiting_elements(tiling, self.height, self.width, self.channels)


def waiting_elements(tiling: Tiling, height: int, width: int, channels: int) -> dict:
    """Of a map of this size: ``se_elements``, all of its elements, and ``tse_elements``, those that wait."""
    pixels = height * width
    waiting = tiling.waiting(height if tiling.order is Order.COLUMNS else width)
    return {"se_elements": pixels * channels, "tse_elements": min(waiting, pixels) * channels}


class _Unsupported(Exception):
    """The graph has the form of a block, but for what the text says."""


def match(graph: Graph) -> tuple[list[NetworkBlock], dict[str, str]]:
    """``(blocks, unsupported)``: the blocks of `graph` in its order, and why parts that are like a block are not
    supported, by name."""
    graph = unfused(graph)
    blocks, unsupported = _Matcher(graph).matches()
    fixed = fixed_dims(graph) if blocks else {}
    return [_of_size(block, *map_size(fixed.get(block.x), block.channels_last)) for block in blocks], unsupported


def _of_size(block, height, width):
    """`block` with what is fixed of its map's size, which other sizes that the file declares may contradict."""
    return dataclasses.replace(block, fixed_size=(height, width), height=height or block.height,
                               width=width or block.width)


class _Matcher:
    def __init__(self, graph):
        self.graph, self.pooling = graph, Pooling(graph)
        self.vectors = self.pooling.vectors
        self.chain = Chain(self.vectors)
        self.products = Products(graph, self.chain, self.pooling)

    def matches(self):
        blocks, reasons, taken, names = [], {}, set(), set()
        for node in self.graph.nodes:
            for x, gate in self.products.readings(node, taken):
                try:
                    block = self._block(node, x, gate)
                except _Unsupported as error:
                    reasons[node.output[0]] = x, str(error)
                else:
                    if block is None:
                        continue
                    name = block_name(self.graph, block.weight, block.y, names)
                    blocks.append(dataclasses.replace(block, name=name))
                taken.add(node.output[0])
                break
        others = LeftOut(self.graph, self.chain, self.pooling, self.products)
        return blocks, others.reasons([(block.y, block.x) for block in blocks], reasons)

    def _block(self, node, x, multiple):
        """The block whose product of `x` and its gate, `multiple`, is the output of `node`; None if there is none."""
        gated = match_gate(self.chain, multiple)
        layers = gated and self._layers(gated[1])
        if layers is None:
            return None
        (gate, _, residual), (layer1, mid, layer2, operators) = gated, layers
        channels_last = self.pooling.channels_last(layer1.source, x)
        if channels_last is None or not self._fits(layer1, layer2, x, channels_last) or \
                not self._scales(multiple.base, len(layer2.bias), channels_last, x):
            return None
        if operators:
            raise _Unsupported(f"its activation between the layers ({', '.join(operators)}) is not supported")
        gates_last, y, ranges = channels_last, node.output[0], found_ranges(
            self.chain, multiple, residual, gate, mid, layer1, layer2)
        ends = None if residual else self.products.residual(y, x)
        layout = ends and self.pooling.channels_last(layer1.source, ends[0])
        if layout is not None:
            (x, y), channels_last, residual = ends, layout, True
        base = self.pooling.source(x)[0]
        coarse = narrowed_inside(self.graph, x, y, base)
        if coarse:
            raise _Unsupported(f"it is rounded to {coarse} inside, its map is not")
        for name, weight in (("w1", layer1.weight), ("w2", layer2.weight)):
            largest = np.abs(weight).max(initial=0.0)
            if 0 < largest < SMALLEST:
                raise _Unsupported(f"{name} is {largest:.1g} at most, which is too small for float32")
        try:
            block = FloatBlock(layer1.weight, layer1.bias, layer2.weight, layer2.bias, mid, gate, residual)
        except ConfigError as error:
            raise _Unsupported(f"{error.option} is {error.value}, {error.allowed}") from None
        return NetworkBlock("", x, y, block, channels_last, layer1.tensor,
                            rounds_inside(self.graph, x, y, base),
                            *map_size(self.graph.dims.get(x), channels_last), ranges,
                            self.graph.element_types.get(x) or self.graph.element_types.get(y),
                            numbers=found_numbers(self.graph, x, y, (layer1, layer2)),
                            mean=self.pooling.mean(layer1.source), gates_last=gates_last)

    def _layers(self, logits):
        """``(layer1, mid, layer2, operators)`` that compute `logits`, or None.

        `operators` spell an activation that is not supported; they are empty otherwise.
        """
        layer2 = self.chain.layer(logits.base)
        if layer2 is None:
            return None
        mid, clamp = match_activation(self.chain, layer2.source)
        layer1, operators = mid and self.chain.layer(clamp.base), ()
        if layer1 is None:
            layer1, operators = unsupported_activation(self.chain, layer2.source)
        else:
            layer1 = layer1.then(clamp.scale, clamp.offset)
        return layer1 and (layer1, mid, layer2.then(logits.scale, logits.offset), operators)

    def _scales(self, name, channels, channels_last, x):
        """Whether the product of map `x` with tensor `name` scales the channels of `x`, and leaves its shape."""
        layout = self.vectors.layouts.get(name)
        return layout is not None and layout.scales(channels, channels_last, self.pooling.map_sizes(x))

    def _fits(self, layer1, layer2, x, channels_last):
        """Whether the layers' shapes fit each other and x's channels, as far as x's shape is known."""
        squeeze, channels = layer1.weight.shape
        dims = self.graph.dims.get(x)
        if dims is not None and (len(dims) != 4 or dims[3 if channels_last else 1] not in (None, channels)):
            return False
        return layer2.weight.shape == (channels, squeeze)
