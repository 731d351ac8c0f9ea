# SPDX-License-Identifier: Apache-2.0
"""What distinguishes a product of a map and its gates from a block, in a line that a network's author understands."""

import numpy as np
import onnx

from ..read.graph import Graph, attributes
from .activations import match_activation, match_gate
from .affine import Chain
from .clamp import Clamp
from .pooled_vectors import LAYERS, Attention, PooledVectors
from .pooling import Pooling
from .products import Products
from .quantisers import undone_quantiser

__all__ = ["Difference"]

# What a pool takes instead of the mean.
TAKEN = ("maximum", "minimum", "norm")
INTEGER = ("ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLinear",
           "QGemm")
COUNTS = ("no layer", "one layer", "two layers", "three layers", "four layers")
# Operators that change the order of a vector's numbers, or its type.
MOVING = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Expand", "Dropout", "Cast")
ORDERING = (*MOVING, "Gather", "Slice", "Split", "Concat", "Tile", "Pad", "CastLike", "If", "Loop")
AXES = {0: "batch", 2: "height", 3: "width"}
# Parts of a block, each with its verb.
PARTS = {"mean": "is", "hidden vector": "is", "gates": "are"}
# Constant factors after a product, nodes before a pool, and operators that a reason names.
MOST_FACTORS, MOST_BEFORE, MOST_NAMED = 4, 4, 12


class Difference:
    """Compares `found`, which is no block of `graph`, with a block, part by part."""

    def __init__(self, graph: Graph, chain: Chain, pooling: Pooling, products: Products, vectors: PooledVectors,
                 found: Attention):
        self.graph, self.chain, self.pooling, self.products = graph, chain, pooling, products
        self.vectors, self.found = vectors, found
        self.kinds = {kind for _, kind in found.pools}
        places = [index for index, node in enumerate(found.path) if node.op_type in LAYERS]
        first, last = (places[0], places[-1] + 1) if places else (len(found.path), len(found.path))
        # Nodes that make the mean, the hidden vector and the gates.
        self.segments = found.path[:first], found.path[first + 1:last - 1], found.path[last:]

    def reason(self) -> str:
        """The first difference that a part has."""
        for check in (self._pool, self._integers, self._branches, self._count, self._form_of_layers, self._order,
                      self._quantised, self._constants, self._unread_mean, self._layers, self._gate, self._hidden,
                      self._rank, self._map, self._mean, self._division, self._sizes, self._extent):
            text = check()
            if text:
                return text
        return f"between its mean and its product are {self._spelt(self.found.path)}, which is not known as a block"

    def _pool(self):
        if "weighted" in self.kinds:
            softmax = any(self.vectors.softmax_before(node) for node, kind in self.found.pools if kind == "weighted")
            return f"its mean is weighted by {'a Softmax' if softmax else 'another tensor'}"
        other = next((kind for kind in TAKEN if kind in self.kinds), None)
        end = ", too, not the mean alone" if len(self.kinds) > 1 else ", not the mean"
        return f"it takes the {other} of the map{end}" if other else None

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
            attrs, label = attributes(node), f"its layer {_label(node)}"
            if attrs.get("group", 1) != 1:
                return f"{label} has {attrs['group']} groups"
            if attrs.get("transA", 0):
                return f"{label} transposes its vector"
            weights = [name for name in node.input[:2] if name not in self.vectors]
            array = self.graph.constant(weights[0]) if weights else None
            if array is None:
                maker = self.graph.producer.get(weights[0]) if weights else None
                return f"the weights of {label} are {f'computed by {_label(maker)}' if maker else 'no constant'}"
            if any(size > 1 for size in array.shape[2:]):
                return f"{label} has a kernel of {_times(array.shape[2:])}"
            if any(attrs.get("pads", ())):
                return f"{label} has padding"
        return None

    def _unread_mean(self):
        """The difference of the mean, if the vector before the first layer is not even one for each image."""
        if any(name in self.chain.vectors.layouts for name in self.found.layers[0].input):
            return None
        return self._rank() or self._map() or self._mean()

    def _layers(self):
        """The first node up to the second layer after which the vector is not known."""
        for node in self.found.path[:len(self.found.path) - len(self.segments[2])]:
            if node.op_type in LAYERS:
                if self.chain.layer(node.output[0]) is None:
                    return f"its layer {_label(node)} is not a layer on the channels alone"
            elif node.output[0] not in self.chain.vectors.layouts:
                part = "mean" if any(node is other for other in self.segments[0]) else "hidden vector"
                return f"its {part} is not known after {_label(node)}"
        return None

    def _order(self):
        for part, nodes in zip(PARTS, self.segments, strict=True):
            for node in nodes:
                known = not self.chain.vectors.layouts.keys().isdisjoint(self.graph.reads(node))
                if node.op_type in ORDERING and known and self.chain.vectors.passed_on(node.output[0]) is None:
                    if node.op_type in ("Cast", "CastLike", "Dropout", "If", "Loop"):
                        return f"its {part} {PARTS[part]} changed by {_label(node)}"
                    return f"the order of its {part} is not known after {_label(node)}"
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
                           f"numbers that are no constants, by {_label(before)}"
                cut = self.chain.passing.cut(quantiser)
                if cut and (part == "mean" or cut == "other"):
                    return f"its {part} {PARTS[part]} cut at 0 by the range of {_label(before)}"
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
                return f"its logits are cut at 0 by the range of {_label(self.graph.producer[base])}"
        nodes = _without_moving(self.segments[2])
        if not nodes:
            return "it has no gate: the results of its second layer multiply the map"
        return f"its gate ({self._spelt(nodes)}) is neither a sigmoid nor a hard sigmoid from 0 to 1"

    def _hidden(self):
        for node in self.segments[1]:
            if node.op_type == "BatchNormalization" and attributes(node).get("training_mode"):
                return f"{_label(node)} is in training mode"
        second = self.chain.layer(self.found.layers[1].output[0])
        mid, clamp = match_activation(self.chain, second.source)
        if mid is not None and self.chain.layer(clamp.base) is not None:
            return None
        return f"its activation between the layers ({self._spelt(_without_moving(self.segments[1]))}) is not supported"

    def _map(self):
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

    def _rank(self):
        dims = self.graph.dims.get(self.found.x)
        if dims is None:
            return "the number of axes of its map is not known"
        return None if len(dims) == 4 else f"its map has {len(dims)} axes; a block's has four"

    def _mean(self):
        first, (pool, kind) = self.found.layers[0], self.found.pools[0]
        means = next(name for name in first.input if name in self.vectors)
        if self.pooling.channels_last(means, self.found.x) is not None:
            return None
        following = _without_moving(self.segments[0])
        if kind == "sum":
            return "its sum over the map is not divided by the number of pixels" if following else \
                "it takes the sum of the map, not the mean"
        if following:
            return f"between its mean and its first layer is {self._spelt(following)}"
        for node in self._averaged(pool)[1]:
            if node.op_type == "Pad":
                return f"it averages what {_label(node)} makes of the map"
            if not node.op_type.startswith("Reduce"):
                return f"it is not known that {_label(node)} before its mean keeps images and channels apart"
        if pool.op_type == "AveragePool":
            known = None not in (self.graph.dims.get(pool.input[0]) or (None,))[-2:]
            return f"its mean is over a window of {_times(attributes(pool).get('kernel_shape', ()))}" + (
                ", not over the map" if known else " of a map of open size")
        return f"its mean by {_label(pool)} is not over height and width alone"

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
        return None if dims is None else f"its gates have the shape {_times(dims)}, its map " \
                                         f"{_times(self.graph.dims[self.found.x])}"

    def _spelt(self, nodes):
        names = [self._operator(node) for node in nodes]
        return ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")

    def _operator(self, node):
        """The operator's name; of a QuantizeLinear, with the range that it cuts to."""
        if node.op_type == "QuantizeLinear":
            scale, zero = (self.graph.constant(name) for name in (*node.input[1:3], "")[:2])
            if scale is not None and scale.size == 1 and (zero is None or zero.dtype.kind in "iu"):
                ends = np.iinfo(np.uint8 if zero is None else zero.dtype)
                start = 0 if zero is None else int(zero.flat[0])
                low, high = ((end - start) * float(scale.flat[0]) for end in (ends.min, ends.max))
                return f"QuantizeLinear to {low:.4g} .. {high:.4g}"
        return node.op_type


def _label(node: onnx.NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]}"


def _times(sizes):
    return "x".join("?" if size is None else str(size) for size in sizes)


def _without_moving(nodes):
    return [node for node in nodes if node.op_type not in (*MOVING, "DequantizeLinear")]
