# SPDX-License-Identifier: Apache-2.0
"""The formats of the integers that a quantised network has for a block's input, output and weights."""

import dataclasses

import numpy as np

from ...golden.block import DataFormat, bits_of
from ...hdl.config import ConfigError, DataType
from ..read.graph import Graph
from .affine import Layer
from .passing import MOST_STEPS
from .quantisers import data_format, quantised_integers, quantising, smallest_type, stored_numbers

__all__ = ["Numbers", "OtherWeights", "StoredWeights", "found_numbers"]

# Operators between the integers of a layer's weights and the layer.
MOVED = ("Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Cast")
# Relative error of float32 numbers, several times.
EXACT = 1e-5


@dataclasses.dataclass(frozen=True, eq=False)
class StoredWeights:
    """The weights of a layer, ``steps[i] * integers[i, j]``, with what is folded into the layer.

    ``integers`` is int64 (outputs, inputs), with the zero point subtracted; ``steps`` is float64 (outputs), positive.
    ``type`` is that of the integers as they are stored, ``symmetric`` whether their zero point is 0, and ``several``
    whether each output has a scale of its own.
    """

    integers: np.ndarray
    steps: np.ndarray
    type: DataType
    symmetric: bool
    several: bool

    @property
    def ends(self) -> tuple[int, int]:
        """The least and the largest integer."""
        return int(self.integers.min()), int(self.integers.max())

    @property
    def bits(self) -> int:
        """The fewest bits that hold the integers, in two's complement."""
        return bits_of(*self.ends)


@dataclasses.dataclass(frozen=True, eq=False)
class OtherWeights:
    """The integers of a layer's weights that have no step for each output, and which blocks therefore don't have.

    ``type`` and ``symmetric`` are those of :class:`StoredWeights`. ``steps`` is float64 (inputs), one for each input;
    None for integers whose scales are those of blocks of them.
    """

    type: DataType
    symmetric: bool
    steps: np.ndarray | None


@dataclasses.dataclass(frozen=True, eq=False)
class Numbers:
    """What is known of a block's integers; None for what the network has in float, or in a way that blocks don't have.

    ``x`` is the format of the map that the product reads, ``y`` that to which the block's output is quantised, in the
    tensor of integers ``y_codes``. ``layers`` are the weights of both layers, and ``others`` those whose integers have
    other scales.
    """

    x: DataFormat | None = None
    y: DataFormat | None = None
    y_codes: str | None = None
    layers: tuple[StoredWeights | None, StoredWeights | None] = (None, None)
    others: tuple[OtherWeights | None, OtherWeights | None] = (None, None)

    @property
    def known(self) -> bool:
        """Whether anything is known."""
        return any(one is not None for one in (self.x, self.y, *self.layers, *self.others))


def found_numbers(graph: Graph, x: str, y: str, layers: tuple[Layer, Layer]) -> Numbers:
    """The :class:`Numbers` of the block from tensor `x` to tensor `y` with these layers."""
    operator, node = graph.maker(x)
    x_format = data_format(graph, node, quantising(graph, node)[1]) if operator == "DequantizeLinear" else None
    stored = [_stored(graph, layer) for layer in layers]
    one, other = (tuple(weights if isinstance(weights, kind) else None for weights in stored)
                  for kind in (StoredWeights, OtherWeights))
    return Numbers(x_format, *_quantised(graph, y), one, other)


def _quantised(graph, y):
    """The format to which all readers of tensor `y` quantise it, and the integers that they read; else None twice."""
    readers = graph.readers.get(y, ())
    if not readers or y in graph.outputs or any(graph.operator(node) != "QuantizeLinear" for node in readers):
        return None, None
    found, codes = [], None
    for node in readers:
        codes, within = quantised_integers(graph, node)
        found.append(data_format(graph, node, within))
    return (found[0], codes) if found[0] is not None and found.count(found[0]) == len(found) else (None, None)


def _stored(graph, layer):
    """The :class:`StoredWeights` or :class:`OtherWeights` of `layer`, or None."""
    name = layer.tensor
    for _ in range(MOST_STEPS):
        operator, node = graph.maker(name)
        if operator not in MOVED:
            break
        name = node.input[0]
    numbers = stored_numbers(graph, node, zeros=True) if operator == "DequantizeLinear" else None
    array, raw = graph.constant(layer.tensor), None if numbers is None else graph.constant(node.input[0])
    if array is None or raw is None or array.ndim < 2 or raw.dtype.name.startswith("float"):
        return None
    raw = raw.astype(np.int64)
    try:
        kind = smallest_type(int(raw.min()), int(raw.max()), bool(raw.min() < 0))
    except ConfigError:
        return None
    (scale, zero), matrix = numbers[:2], array.reshape(array.shape[:2]).astype(np.float64)
    symmetric, weight = not np.any(zero), layer.weight
    if numbers[-1]:
        return OtherWeights(kind, symmetric, None)
    shaped = [real for real in (matrix, matrix.T) if real.shape == weight.shape]
    for real in shaped:
        if found := _integers(real, scale, weight):
            integers, steps = found
            signs = np.where(steps < 0, -1, 1)
            return StoredWeights((integers * signs[:, None]).astype(np.int64), abs(steps), kind, symmetric,
                                 scale.size > 1)
    for real in shaped:
        if found := _integers(real.T, scale, weight.T):
            return OtherWeights(kind, symmetric, abs(found[1]))
    return None


def _integers(real, scale, weight):
    """``(integers, steps)`` of `weight`, which is one step times integers in each row, or None.

    The network has these as `real` with one `scale`, or one for each row.
    """
    if scale.size not in (1, len(real)):
        return None
    integers = np.rint(real / np.broadcast_to(np.where(scale > 0, scale, 1).reshape(-1), len(real))[:, None])
    # Those of the layer, with what is folded into it, which may make a row zero.
    integers[~weight.any(axis=1)] = 0
    steps = (weight * integers).sum(axis=1) / np.maximum((integers * integers).sum(axis=1), 1)
    # A row of zeros has any step: that of another row takes no other shift.
    steps[steps == 0] = abs(steps).max() or 1
    error = abs(integers * steps[:, None] - weight).max(axis=1)
    return (integers, steps) if (error <= EXACT * abs(weight).max(axis=1)).all() else None
