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
from .quantisers import quantising, same_numbers, undone_quantiser
from .vectors import ELEMENTWISE
from .wording import MOVING, label, spelt, times, without_moving

__all__ = ["Difference"]

INTEGER = ("ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLinear",
           "QGemm")
COUNTS = ("no layer", "one layer", "two layers", "three layers", "four layers")
# Operators that change the order of a vector's numbers, or their type.
ORDERING = (*MOVING, "Gather", "Slice", "Split", "Concat", "Tile", "Pad", "CastLike", "If", "Loop")
# Names of axes by the number of axes and whether the channels are the last one.
AXES = {(4, False): ("the batch", "the channels", "the height", "the width"),
        (4, True): ("the batch", "the height", "the width", "the channels"), (2, True): ("the batch", "the channels")}
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
        for check in (self.mean.pool, self._integers, self._functions, self._branches, self._mixed, self._count,
                      self._form_of_layers, self._order, self._quantised, self._constants, self._unread_mean,
                      self._layers, self._gate, self._hidden, self.mean.rank, self.mean.map, self.mean.mean,
                      self._operation, self._sizes, self._extent):
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

    def _functions(self):
        """A function that could not be inlined."""
        names = {(function.domain, function.name) for function in self.graph.model.functions}
        node = next((node for node in self.found.path if (node.domain, node.op_type) in names), None)
        return node and f"{label(node)} is a function of another operator set"

    def _branches(self):
        for node in self.segments[2]:
            if node.op_type != "Softmax":
                continue
            axis = attributes(node).get("axis", 1 if self.graph.opset < 13 else -1)
            dims, layout = self.graph.dims.get(node.input[0]), self.chain.vectors.layouts.get(node.input[0])
            number = dims[axis] if dims is not None and -len(dims) <= axis < len(dims) else None
            if layout is not None and layout.with_vector_at(axis) is not None:
                return "its gate is a Softmax over the channels"
            if number in (None, *self._channels()):
                return "its gate is a Softmax"
            return f"its gate is a Softmax over {f'{number} branches' if number > 1 else 'one number'}"
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
            weights = node.input[1] if node.op_type in ("Conv", "Gemm") else next(
                (name for name in node.input[:2] if name not in self.vectors), node.input[0])
            array = self.graph.constant(weights)
            if array is None:
                return f"the weights of {layer} are {self._origin_of(weights)}"
            if node.op_type == "MatMul" and array.ndim > 2 and any(size > 1 for size in array.shape[:-2]):
                return f"{layer} has {times(array.shape[:-2])} matrices, not one for all images"
            if "Conv" in node.op_type and any(size > 1 for size in array.shape[2:]):
                return f"{layer} has a kernel of {times(array.shape[2:])}"
            if any(attrs.get("pads", ())):
                return f"{layer} has padding"
        return None

    def _origin_of(self, name):
        """What tensor `name`, which is no known constant, is."""
        maker = self.graph.producer.get(name)
        if maker is None:
            return "sparse" if name in self.vectors.fixed else "no constant"
        sparse = any(attribute.name == "sparse_value" for attribute in maker.attribute)
        return "sparse" if sparse else f"computed by {label(maker)}"

    def _mixed(self):
        """A layer that sums over the images of a batch."""
        for node in self.found.layers:
            at = 1 if node.op_type == "MatMul" and node.input[0] not in self.vectors else 0
            layout = self.chain.vectors.layouts.get(node.input[at])
            axis = {"Conv": 1, "Gemm": 1, "MatMul": -2 if at else -1}.get(node.op_type)
            if layout is not None and axis is not None and len(layout.axes) > 1 and layout.axes[axis] == "N":
                return f"its layer {label(node)} mixes the images of a batch"
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
                if node.op_type not in ("Conv", "Gemm", "MatMul"):
                    return f"its layer {label(node)} is not supported"
                if self.chain.layer(node.output[0]) is None:
                    return f"it is not known that its layer {label(node)} is one on the channels alone"
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
                before = quantising(self.graph, node)[0] if node.op_type == "DequantizeLinear" else None
                if before is None:
                    continue
                quantiser = undone_quantiser(self.graph, node)
                if quantiser is None:
                    if same_numbers(self.graph, before, node) is False:
                        return f"its {part} {PARTS[part]} quantised and dequantised with different numbers by " \
                               f"{label(before)}"
                    return f"it is not known that its {part} {PARTS[part]} only rounded by {label(before)}"
                cut = self.chain.passing.cut(quantiser)
                if cut and (part == "mean" or cut == "other"):
                    logits = part == "gates" and self.chain.layer(self.chain.origin(quantiser.source)) is not None
                    where = "above 0" if (quantiser.high == 0).all() else "at 0"
                    what = "its logits are" if logits else f"its {part} {PARTS[part]}"
                    return f"{what} cut {where} by the range of {label(before)}"
                if quantiser.several:
                    return f"its {part} {PARTS[part]} cut to several ranges by {label(before)}"
        return None

    def _constants(self):
        """A constant operand that has more than one number along an axis other than the channels."""
        layouts = self.chain.vectors.layouts
        for node in self.found.path:
            bias = node.op_type == "Gemm"
            if not bias and node.op_type not in ELEMENTWISE:
                continue
            layout = next((layouts[name] for name in (node.output if bias else node.input) if name in layouts), None)
            for name in node.input[2:] if bias else node.input:
                array = self.graph.constant(name) if name and layout is not None else None
                if array is None or layout.along(array) is not None:
                    continue
                axes = _other_axes(layout, array)
                if axes:
                    return f"its constant {name} has several numbers along {axes}, not along the channels alone"
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
        gates = [Clamp(self.found.gates)] if self.found.product.op_type != "Mul" else list(self._readings())
        for _, logits, _ in filter(None, (match_gate(self.chain, gate) for gate in gates)):
            base = self.chain.origin(logits.base)
            if self.chain.layer(base) is not None:
                return None
            if self.chain.passing.quantiser(base):
                return f"its logits are cut at 0 by the range of {label(self.graph.producer[base])}"
        nodes = without_moving(self.segments[2])
        if not nodes:
            return "it has no gate: the results of its second layer multiply the map"
        return f"its gate ({spelt(self.graph, nodes)}) is not known as a sigmoid, or a hard sigmoid from 0 to 1"

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

    def _operation(self):
        product = self.found.product
        if product.op_type == "Mul":
            return None
        if product.op_type != "Div":
            return f"its gates multiply the map by {label(product)}, which is not supported"
        forth = product.input[0] == self.found.x
        return "it divides the map by its gates" if forth else "it divides its gates by the map"

    def _sizes(self):
        shapes = [self.chain.layer(node.output[0]).weight.shape for node in self.found.layers]
        channels = self._channels()
        if shapes[1] == shapes[0][::-1] and (None in channels or shapes[1][0] in channels):
            return None
        layers = " and ".join(f"from {inputs} to {outputs}" for outputs, inputs in shapes)
        return f"its layers go {layers}; a block's go from its channels and back to these"

    def _extent(self):
        layout = self.chain.vectors.layouts.get(self.found.gates)
        if layout is not None and "N" in layout.axes and layout.axes.index("N") > layout.axes.index("V"):
            return "the images and the channels of its gates are exchanged"
        dims = self.graph.dims.get(self.found.gates)
        return None if dims is None else f"its gates have the shape {times(dims)}, its map " \
                                         f"{times(self.graph.dims[self.found.x])}"


def _other_axes(layout, array):
    """The axes, but for the channels, along which a constant has several numbers beside a tensor of that layout."""
    rank = max(len(layout.axes), array.ndim)
    letters, shape = layout.axes.rjust(rank, "1"), (1,) * (rank - array.ndim) + array.shape
    names = AXES.get((rank, letters[-1] == "V"), [f"axis {axis}" for axis in range(rank)])
    return " and ".join(name for name, letter, size in zip(names, letters, shape, strict=True)
                        if size > 1 and letter != "V")
