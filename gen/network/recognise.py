# SPDX-License-Identifier: Apache-2.0
"""Squeeze-and-excite blocks in an ONNX graph, found by what they compute, whatever nodes it is spelt with.

From each multiplication back: a gate, a layer, an activation, a layer, a mean over height and width of what the gate is
multiplied with.
"""

import dataclasses
import math

from ...golden.block import FloatBlock
from ...hdl.config import ConfigError, Gate, GateKind, Mid
from .affine import MOST_STEPS, Chain, Layer, Ramp
from .graph import Graph, attributes
from .names import block_names
from .pooling import Pooling
from .unfuse import unfused

__all__ = ["Block", "Found", "find_blocks", "recognise"]

# Activations between the layers that the hardware hasn't, by operator.
OTHER_MIDS = ("LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "Tanh", "Softplus", "Softsign", "Mish", "Sigmoid",
              "ThresholdedRelu", "Erf")
MEANS = ("GlobalAveragePool", "AveragePool", "ReduceMean", "ReduceSum")
HARDSWISH = (1 / 6, 0.5, 0.0, 1.0)


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
        Whether the network rounds to integers inside of the block.
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
    """The blocks of a graph in its order, and what is like one but can't be built: name to reason."""

    blocks: tuple
    others: dict


class _Unlike(Exception):
    """Of the form of a block, but for what the text says."""


@dataclasses.dataclass(frozen=True)
class _Excite:
    """Gate and layers; the mid is that of tensor `hidden`, None if it isn't built; `plus_one` for 1 + gate."""

    hidden: str
    layer1: Layer
    layer2: Layer
    mid: Mid | None
    gate: Gate
    plus_one: bool


def find_blocks(model):
    """The blocks of `model`, an onnx.ModelProto: a list of :class:`Block`, in the graph's order."""
    return list(recognise(Graph(model)).blocks)


def recognise(graph):
    """The :class:`Found` of a :class:`~.graph.Graph`."""
    return _Recogniser(unfused(graph)).all()


class _Recogniser:
    def __init__(self, graph):
        self.graph, self.chain, self.pooling = graph, Chain(graph), Pooling(graph)

    def all(self):
        blocks, others = [], {}
        for node in self.graph.nodes:
            if self.graph.default(node) != "Mul" or len(node.input) != 2:
                continue
            for at in (0, 1):
                try:
                    block = self._block(node, node.input[at], node.input[1 - at])
                except _Unlike as error:
                    others[node.name or node.output[0]] = str(error)
                    break
                if block is not None:
                    blocks.append(block)
                    break
        names = block_names(self.graph, [(block.weight, block.y) for block in blocks])
        return Found(tuple(dataclasses.replace(block, name=name) for block, name in zip(blocks, names, strict=True)),
                     others)

    def _block(self, node, x, gate):
        excite = self._excite(gate)
        if excite is None:
            return None
        channels_last = self.pooling.of(excite.layer1.source, x)
        if channels_last is None or not self._fits(excite, x, channels_last):
            return None
        if excite.mid is None:
            operator, _ = self.chain.node(excite.hidden)
            raise _Unlike(f"its activation between the layers ({operator}) is none that is built")
        y, residual = node.output[0], excite.plus_one
        if not residual:
            y, residual = self._residual(y, x)
        try:
            block = FloatBlock(excite.layer1.weight, excite.layer1.bias, excite.layer2.weight, excite.layer2.bias,
                               excite.mid, excite.gate, residual)
        except ConfigError as error:
            raise _Unlike(f"{error.option} is {error.value}, {error.allowed}") from None
        return Block("", x, y, block, channels_last, excite.layer1.tensor, self._rounds(gate))

    def _rounds(self, gate):
        """Whether anything between the mean and tensor `gate` is quantised."""
        waiting, seen = [gate], set()
        while waiting and len(seen) < MOST_STEPS:
            node = self.graph.producer.get(waiting.pop())
            if node is None or id(node) in seen or self.graph.default(node) in MEANS:
                continue
            if self.graph.default(node) == "QuantizeLinear":
                return True
            seen.add(id(node))
            waiting.extend(node.input)
        return False

    def _fits(self, excite, x, channels_last):
        """Whether the layers' shapes go with each other and with x's channels, as far as these are declared."""
        squeeze, channels = excite.layer1.weight.shape
        dims = self.graph.dims.get(x)
        if dims is not None and (len(dims) != 4 or dims[3 if channels_last else 1] not in (None, channels)):
            return False
        return excite.layer2.weight.shape == (channels, squeeze)

    def _residual(self, y, x):
        """``(y, residual)``: the block ends with the sum that adds x to its scaled `y`, if nobody else reads that."""
        end = y
        while end not in self.graph.outputs and len(readers := self.graph.readers.get(end, [])) == 1:
            (node,) = readers
            if self.graph.default(node) in ("Identity", "QuantizeLinear", "DequantizeLinear"):
                end = node.output[0]
                continue
            other = [name for name in node.input if name != end]
            if self.graph.default(node) == "Add" and len(other) == 1 and \
                    self.pooling.source(other[0]) == self.pooling.source(x):
                return node.output[0], True
            break
        return y, False

    def _excite(self, name):
        """The :class:`_Excite` whose gates tensor `name` holds, or None."""
        plus_one, name = self._without_one(name)
        gate, logits = self._gate(name)
        if gate is None:
            return None
        layer2 = self.chain.layer(logits)
        if layer2 is None:
            return None
        mid, ramp = self._mid(layer2.source)
        layer1 = self.chain.layer(ramp.base)
        if layer1 is None:
            return None
        return _Excite(layer2.source, layer1.then(ramp.scale, ramp.offset), layer2, mid, gate, plus_one)

    def _without_one(self, name):
        operator, node = self.chain.node(name)
        found = self.chain.operand(node) if operator == "Add" else None
        if found and found[1].size == 1 and found[1][0] == 1:
            inner = self.chain.skip(found[0])
            # x * relu6(l + 1) ... is no gate plus one.
            if self._gate(inner)[0] is not None:
                return True, inner
        return False, name

    def _gate(self, name):
        """``(gate, logits)`` of the gates in tensor `name`; (None, None) if they are none."""
        operator, node = self.chain.node(name)
        if operator == "Sigmoid":
            return Gate(), node.input[0]
        ramp = self.chain.ramp(name)
        if ramp.scale > 0 and ramp.near(ramp.scale, ramp.offset, 0.0, 1.0):
            try:
                return Gate(GateKind.HARDSIGMOID, ramp.scale, ramp.offset), ramp.base
            except ConfigError:
                pass
        return None, None

    def _mid(self, name):
        """``(mid, ramp)``: the activation and, unclipped, what it is of; the mid is None for one that is not built."""
        zero = self.chain.quantised(name)
        name = self.chain.skip(name)
        smooth = self._self_gated(name)
        if smooth is not None:
            return smooth
        ramp = self.chain.ramp(name)
        plain = Ramp(ramp.base, ramp.scale, ramp.offset)
        for mid, (low, high) in {Mid.IDENTITY: (-math.inf, math.inf), Mid.RELU: (0.0, math.inf),
                                 Mid.RELU6: (0.0, 6.0)}.items():
            if (ramp.low, ramp.high) == (low, high):
                operator, node = self.chain.node(ramp.base)
                if mid is Mid.IDENTITY and operator in OTHER_MIDS:
                    return None, Ramp(node.input[0])
                # Quantisers leave a ReLU to the saturation where the lowest integer is 0.0.
                return (Mid.RELU if mid is Mid.IDENTITY and zero and zero[0] == zero[1] else mid), plain
        return None, plain

    def _self_gated(self, name):
        """SiLU or hard swish, as one node or as a product with a gate of its own operand; None if it is neither."""
        operator, node = self.chain.node(name)
        if operator == "HardSwish":
            return Mid.HARDSWISH, Ramp(self.chain.skip(node.input[0]))
        if operator in ("Swish", "com.microsoft.QuickGelu") and attributes(node).get("alpha", 1.0) == 1:
            return Mid.SILU, Ramp(self.chain.skip(node.input[0]))
        outer = self.chain.ramp(name, stop=name) if operator == "Mul" and not self.chain.operand(node) else None
        factor = 1.0
        if outer is None:
            # A factor behind the product, as in x * relu6(x + 3) / 6.
            found = self.chain.operand(node) if operator in ("Mul", "Div") else None
            if not found or found[1].size != 1 or found[2] and operator == "Div" or not found[1][0]:
                return None
            factor = float(found[1][0]) if operator == "Mul" else 1 / float(found[1][0])
            operator, node = self.chain.node(found[0])
            if operator != "Mul" or self.chain.operand(node):
                return None
        return self._product(node, factor)

    def _product(self, node, factor):
        if len(node.input) != 2:
            return None
        for at in (0, 1):
            base, gate = self.chain.skip(node.input[at]), node.input[1 - at]
            operator, maker = self.chain.node(gate)
            if operator == "Sigmoid" and factor == 1 and self.chain.skip(maker.input[0]) == base:
                return Mid.SILU, Ramp(base)
            ramp = self.chain.ramp(gate, stop=base)
            if ramp.base == base and ramp.scaled(factor).near(*HARDSWISH):
                return Mid.HARDSWISH, Ramp(base)
            # The other factor may be a sixth of the operand.
            part = self.chain.ramp(base, stop=ramp.base)
            if part.base == ramp.base and part.near(part.scale, 0.0, -math.inf, math.inf) and \
                    ramp.scaled(factor * part.scale).near(*HARDSWISH):
                return Mid.HARDSWISH, Ramp(ramp.base)
        return None
