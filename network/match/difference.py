# SPDX-License-Identifier: Apache-2.0
"""What distinguishes a product of a map and its gates from a block, in a line that a network's author understands."""

from ..read.graph import Graph, attributes
from .activations import match_activation, match_gate
from .affine import Chain
from .clamp import Clamp
from .mean_difference import MeanDifference
from .pooled_vectors import LAYERS, Attention, PooledVectors
from .pooling import Pooling
from .products import Products
from .quantisers import undone_quantiser
from .wording import MOVING, label, spelt, times, without_moving

__all__ = ["Difference"]

INTEGER = ("ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLinear",
           "QGemm")
COUNTS = ("no layer", "one layer", "two layers", "three layers", "four layers")
# Operators that change the order of a vector's numbers, or their type.
ORDERING = (*MOVING, "Gather", "Slice", "Split", "Concat", "Tile", "Pad", "CastLike", "If", "Loop")
AXES = {0: "batch", 2: "height", 3: "width"}
# Parts of a block, each with its verb.
PARTS = {"mean": "is", "hidden vector": "is", "gates": "are"}
# Constant factors after a product.
MOST_FACTORS = 4


class Difference:
    """Compares `found`, which is no block of `graph`, with a block, part by part."""

    def __init__(self, graph: Graph, chain: Chain, pooling: Pooling, products: Products, vectors: PooledVectors,
                 found: Attention):
        self.graph, self.chain, self.pooling, self.products = graph, chain, pooling, products
        self.vectors, self.found = vectors, found
        places = [index for index, node in enumerate(found.path) if node.op_type in LAYERS]
        first, last = (places[0], places[-1] + 1) if places else (len(found.path), len(found.path))
        # Nodes that make the mean, the hidden vector and the gates.
        self.segments = found.path[:first], found.path[first + 1:last - 1], found.path[last:]
        self.mean = MeanDifference(graph, pooling, vectors, found, self.segments[0])

    def reason(self) -> str:
        """The first difference that a part has."""
        for check in (self.mean.pool, self._integers, self._branches, self._count, self._form_of_layers, self._order,
                      self._quantised, self._constants, self._unread_mean, self._layers, self._gate, self._hidden,
                      self.mean.rank, self.mean.map, self.mean.mean, self._division, self._sizes, self._extent):
            text = check()
            if text:
                return text
        nodes = spelt(self.graph, self.found.path)
        return f"between its mean and its product are {nodes}, which is not known as a block"

    def _integers(self):
        nodes = [*(node for node, _ in self.found.pools), *self.found.path, self.found.product]
        operators = [node.op_type for node in nodes if node.op_type in INTEGER or node.op_type.startswith("QLinear")]
        names = ", ".join(dict.fromkeys(operators))
        return f"it has operators on integers ({names}): take the float model" if names else None

    def _branches(self):
        for node in self.segments[2]:
            if node.op_type != "Softmax":
                continue
            dims, axis = self.graph.dims.get(node.input[0]), attributes(node).get("axis", -1)
            number = dims[axis] if dims is not None and -len(dims) <= axis < len(dims) else None
            if number in (None, *self._channels()):
                return "its gate is a Softmax over the channels"
            return f"its gate is a Softmax over {number} branches"
        return None

    def _channels(self):
        """The numbers of channels that the map may have."""
        dims = self.graph.dims.get(self.found.x)
        return () if dims is None or len(dims) != 4 else (dims[1], dims[3])

    def _count(self):
        count = len(self.found.layers)
        if count == 2:
            return None
        text = COUNTS[count] if count < len(COUNTS) else f"{count} layers"
        return f"it has {text} between its mean and its gate; a block has two"

    def _form_of_layers(self):
        for node in self.found.layers:
            attrs, layer = attributes(node), f"its layer {label(node)}"
            if attrs.get("group", 1) != 1:
                return f"{layer} has {attrs['group']} groups"
            if attrs.get("transA", 0):
                return f"{layer} transposes its vector"
            weights = [name for name in node.input[:2] if name not in self.vectors]
            array = self.graph.constant(weights[0]) if weights else None
            if array is None:
                maker = self.graph.producer.get(weights[0]) if weights else None
                return f"the weights of {layer} are {f'computed by {label(maker)}' if maker else 'no constant'}"
            if any(size > 1 for size in array.shape[2:]):
                return f"{layer} has a kernel of {times(array.shape[2:])}"
            if any(attrs.get("pads", ())):
                return f"{layer} has padding"
        return None

    def _unread_mean(self):
        """The difference of the mean, if the vector before the first layer is not even one for each image."""
        if any(name in self.chain.vectors.layouts for name in self.found.layers[0].input):
            return None
        return self.mean.rank() or self.mean.map() or self.mean.mean()

    def _layers(self):
        """The first node up to the second layer after which the vector is not known."""
        for node in self.found.path[:len(self.found.path) - len(self.segments[2])]:
            if node.op_type in LAYERS:
                if self.chain.layer(node.output[0]) is None:
                    return f"its layer {label(node)} is not a layer on the channels alone"
            elif node.output[0] not in self.chain.vectors.layouts:
                part = "mean" if any(node is other for other in self.segments[0]) else "hidden vector"
                return f"its {part} is not known after {label(node)}"
        return None

    def _order(self):
        for part, nodes in zip(PARTS, self.segments, strict=True):
            for node in nodes:
                known = not self.chain.vectors.layouts.keys().isdisjoint(self.graph.reads(node))
                if node.op_type in ORDERING and known and self.chain.vectors.passed_on(node.output[0]) is None:
                    if node.op_type in ("Cast", "CastLike", "Dropout", "If", "Loop"):
                        return f"its {part} {PARTS[part]} changed by {label(node)}"
                    return f"the order of its {part} is not known after {label(node)}"
        return None

    def _quantised(self):
        """A quantiser that does more than round: it multiplies, or cuts off numbers where no activation may do so."""
        for part, nodes in zip(PARTS, self.segments, strict=True):
            for node in nodes:
                _, before = self.graph.maker(node.input[0])
                if node.op_type != "DequantizeLinear" or before is None or before.op_type != "QuantizeLinear":
                    continue
                quantiser = undone_quantiser(self.graph, node)
                if quantiser is None:
                    return f"its {part} {PARTS[part]} quantised and dequantised with different numbers, or with " \
                           f"numbers that are no constants, by {label(before)}"
                cut = self.chain.passing.cut(quantiser)
                if cut and (part == "mean" or cut == "other"):
                    return f"its {part} {PARTS[part]} cut at 0 by the range of {label(before)}"
        return None

    def _constants(self):
        """A constant operand that has more than one number along an axis other than the channels."""
        for node in self.found.path:
            if node.op_type in (*LAYERS, *MOVING):
                continue
            for name in node.input:
                dims = self.graph.dims.get(node.output[0])
                array = self.graph.constant(name) if name else None
                if array is None or dims is None or array.ndim > len(dims) or node.op_type == "BatchNormalization":
                    continue
                shape = (1,) * (len(dims) - array.ndim) + array.shape
                axes = [AXES.get(axis, f"axis {axis}") for axis, size in enumerate(shape) if size > 1 and axis != 1]
                if axes and len(dims) in (2, 4):
                    return f"its constant {name} varies along the {' and the '.join(axes)}, not the channels alone"
        return None

    def _readings(self):
        """The gates of the product, as scales, with the constant factors that follow it."""
        node = self.found.product
        for _ in range(MOST_FACTORS + 1):
            yield from (gate for x, gate in self.products.readings(node, ()) if x not in self.vectors)
            readers = self.graph.readers.get(node.output[0], [])
            if len(readers) != 1 or readers[0].op_type not in ("Mul", "Div"):
                return
            node = readers[0]

    def _gate(self):
        gates = [Clamp(self.found.gates)] if self.found.product.op_type == "Div" else list(self._readings())
        for _, logits, _ in filter(None, (match_gate(self.chain, gate) for gate in gates)):
            base = self.chain.origin(logits.base)
            if self.chain.layer(base) is not None:
                return None
            if self.chain.passing.quantiser(base):
                return f"its logits are cut at 0 by the range of {label(self.graph.producer[base])}"
        nodes = without_moving(self.segments[2])
        if not nodes:
            return "it has no gate: the results of its second layer multiply the map"
        return f"its gate ({spelt(self.graph, nodes)}) is neither a sigmoid nor a hard sigmoid from 0 to 1"

    def _hidden(self):
        for node in self.segments[1]:
            if node.op_type == "BatchNormalization" and attributes(node).get("training_mode"):
                return f"{label(node)} is in training mode"
        second = self.chain.layer(self.found.layers[1].output[0])
        mid, clamp = match_activation(self.chain, second.source)
        if mid is not None and self.chain.layer(clamp.base) is not None:
            return None
        nodes = spelt(self.graph, without_moving(self.segments[1]))
        return f"its activation between the layers ({nodes}) is not supported"

    def _division(self):
        if self.found.product.op_type != "Div":
            return None
        forth = self.found.product.input[0] == self.found.x
        return "it divides the map by its gates" if forth else "it divides its gates by the map"

    def _sizes(self):
        shapes = [self.chain.layer(node.output[0]).weight.shape for node in self.found.layers]
        channels = self._channels()
        if shapes[1] == shapes[0][::-1] and (None in channels or shapes[1][0] in channels):
            return None
        layers = " and ".join(f"from {inputs} to {outputs}" for outputs, inputs in shapes)
        return f"its layers go {layers}; a block's go from its channels and back to these"

    def _extent(self):
        dims = self.graph.dims.get(self.found.gates)
        return None if dims is None else f"its gates have the shape {times(dims)}, its map " \
                                         f"{times(self.graph.dims[self.found.x])}"
