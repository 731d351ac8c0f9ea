# SPDX-License-Identifier: Apache-2.0
"""Squeeze-and-excite blocks in an ONNX graph, found by what they compute, whatever nodes it is spelt with.

From each multiplication back: a gate with the constant factors around the product, a layer, an activation, a layer, a
mean over height and width of what the gate is multiplied with.
"""

import dataclasses

import onnx

from ...golden.block import FloatBlock
from ...hdl.config import ConfigError, Gate, Mid
from ..read.graph import Graph
from ..read.names import block_names
from .affine import Chain, Layer
from .broadcast import scales_channels
from .fake_quantisation import rounds
from .gates import gated
from .mids import Mids
from .pooling import Pooling
from .products import Products
from .unfuse import unfused

__all__ = ["Block", "Found", "find_blocks", "recognise"]


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """A squeeze-and-excite block of a graph.

    Attributes
    ----------
    name : str
        Unique in the network.
    x, y : str
        The tensors that go in and come out.
    float_block : FloatBlock
        Weights and functions; the factors of whatever stands between the layers are folded in.
    channels_last : bool
        Whether x is (N, H, W, C) instead of (N, C, H, W).
    weight : str
        The tensor that has W1, or what W1 is made of.
    quantised : bool
        Whether the network rounds to integers between x and y.
    """

    name: str
    x: str
    y: str
    float_block: FloatBlock
    channels_last: bool
    weight: str
    quantised: bool = False

    @property
    def channels(self):
        """C."""
        return len(self.float_block.b2)

    @property
    def squeeze(self):
        """CR."""
        return len(self.float_block.b1)

    @property
    def parameters(self):
        """How many weights and biases the block has."""
        return 2 * self.channels * self.squeeze + self.channels + self.squeeze


@dataclasses.dataclass(frozen=True)
class Found:
    """The blocks of a graph in its order, and what is like one but isn't supported: name to reason."""

    blocks: tuple
    others: dict


class _Unlike(Exception):
    """Of the form of a block, but for what the text says."""


@dataclasses.dataclass(frozen=True)
class _Excite:
    """Gate and layers; the mid, or the operators that it is `unbuilt` of; `plus_one` for 1 + gate."""

    layer1: Layer
    layer2: Layer
    mid: Mid | None
    unbuilt: tuple
    gate: Gate
    plus_one: bool


def find_blocks(model):
    """The blocks of `model`, an onnx.ModelProto: a list of :class:`Block`, in the graph's order.

    Shapes are inferred in this process: a file that may be anything is for :func:`~.blocks.open_network`.
    """
    try:
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError):
        # It may be larger than the library takes: the declared shapes do mostly.
        pass
    return list(recognise(Graph(model)).blocks)


def recognise(graph):
    """The :class:`Found` of a :class:`~.graph.Graph`."""
    return _Recogniser(unfused(graph)).all()


class _Recogniser:
    def __init__(self, graph):
        self.graph, self.chain, self.pooling = graph, Chain(graph), Pooling(graph)
        self.mids, self.products = Mids(self.chain), Products(graph, self.chain, self.pooling)

    def all(self):
        blocks, others, products = [], {}, set()
        for node in self.graph.nodes:
            for x, gate in self.products.ending(node, products):
                try:
                    block = self._block(node, x, gate)
                except _Unlike as error:
                    others[node.name or node.output[0]] = str(error)
                    products.add(node.output[0])
                    break
                if block is not None:
                    blocks.append(block)
                    products.add(node.output[0])
                    break
        names = block_names(self.graph, [(block.weight, block.y) for block in blocks])
        return Found(tuple(dataclasses.replace(block, name=name) for block, name in zip(blocks, names, strict=True)),
                     others)

    def _block(self, node, x, gate):
        excite = self._excite(gate)
        if excite is None:
            return None
        channels_last = self.pooling.of(excite.layer1.source, x)
        if channels_last is None or not self._fits(excite, x, channels_last) or \
                not scales_channels(self.graph, gate.base, len(excite.layer2.bias), channels_last):
            return None
        if excite.unbuilt:
            raise _Unlike(f"its activation between the layers ({', '.join(excite.unbuilt)}) is not supported")
        y, residual = node.output[0], excite.plus_one
        found = None if residual else self.products.residual(y, x)
        layout = found and self.pooling.of(excite.layer1.source, found[0])
        if layout is not None:
            (x, y), channels_last, residual = found, layout, True
        try:
            block = FloatBlock(excite.layer1.weight, excite.layer1.bias, excite.layer2.weight, excite.layer2.bias,
                               excite.mid, excite.gate, residual)
        except ConfigError as error:
            raise _Unlike(f"{error.option} is {error.value}, {error.allowed}") from None
        return Block("", x, y, block, channels_last, excite.layer1.tensor,
                     rounds(self.graph, x, y, self.pooling.source(x)[0]))

    def _fits(self, excite, x, channels_last):
        """Whether the layers' shapes go with each other and with x's channels, as far as these are declared."""
        squeeze, channels = excite.layer1.weight.shape
        dims = self.graph.dims.get(x)
        if dims is not None and (len(dims) != 4 or dims[3 if channels_last else 1] not in (None, channels)):
            return False
        return excite.layer2.weight.shape == (channels, squeeze)

    def _excite(self, gate):
        """The :class:`_Excite` whose gates are the :class:`~.ramps.Ramp` `gate`, or None."""
        found = gated(self.chain, gate)
        layer2 = found and self.chain.layer(found.logits.base)
        if layer2 is None:
            return None
        mid, ramp = self.mids.of(layer2.source)
        layer1, operators = mid and self.chain.layer(ramp.base), ()
        if layer1 is None:
            layer1, operators = self.mids.unbuilt(layer2.source)
        if layer1 is None:
            return None
        return _Excite(layer1 if operators else layer1.then(ramp.scale, ramp.offset),
                       layer2.then(found.logits.scale, found.logits.offset), mid, operators, found.gate,
                       found.plus_one)
