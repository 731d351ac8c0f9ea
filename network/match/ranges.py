# SPDX-License-Identifier: Apache-2.0
"""What a block's numbers are cut to by the ranges of the integers that a network rounds them to."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from ...golden.block import DataFormat
from ...hdl.config import Gate, Mid
from ..read.graph import attributes
from .activations import GATE_OPERATORS
from .affine import Chain, Layer
from .clamp import Clamp
from .passing import MOST_STEPS

__all__ = ["STAGES", "Ranges", "Rounding", "found_ranges"]

# The stages of a block that a network may round and clip, in their order, and what they are to a person.
STAGES = {"mean": "the mean", "sums": "the sums of the first layer", "hidden": "the hidden vector",
          "logits": "the logits", "gates": "the gates"}
RELU6 = 6.0
# Activations that are one node.
ACTIVATIONS = ("Relu", "Clip", "HardSwish", "Swish", "com.microsoft.QuickGelu")


@dataclasses.dataclass(frozen=True)
class Rounding:
    """``factor * q - offset`` for what a quantiser of this `format` makes of numbers: those of a stage of a block.

    It divides in float32, as runtimes do: with 16 bits many numbers are so close to the middle of two integers.
    """

    format: DataFormat
    factor: float = 1.0
    offset: float = 0.0

    def integers(self, numbers: np.ndarray) -> np.ndarray:
        """int64: the integers of the stage's numbers."""
        steps = np.asarray((numbers + self.offset) / self.factor, np.float32) / np.float32(self.format.scale)
        data = self.format.data
        return np.clip(np.rint(steps).astype(np.int64) + self.format.zero_point, data.low, data.high)

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """float64: the numbers of the stage, rounded and clipped."""
        return self.format.dequantise(self.integers(numbers)) * self.factor - self.offset


@dataclasses.dataclass(frozen=True)
class Ranges:
    """``stages``: ``(low, high)`` of "mean", "sums" of layer 1, "hidden", "logits", "gates", if that stage is cut.

    ``tensors`` are the names of the tensors whose quantisers these are. ``roundings`` are what these quantisers do, in
    order, by stage.
    """

    stages: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    tensors: frozenset[str] = frozenset()
    roundings: Mapping[str, tuple[Rounding, ...]] = dataclasses.field(default_factory=dict)


def found_ranges(chain: Chain, multiple: Clamp, plus_one: bool, gate: Gate, mid: Mid, layer1: Layer,
                 layer2: Layer) -> Ranges:
    """The :class:`Ranges` of a block with these layers, the activation `mid` between them, and this gate.

    The block's product scales a map by `multiple`, which is the gates, or with `plus_one` the gates and one more. Not
    among the ranges are quantisers between the parts of a function or a layer. Nor are ends that make a function, 0 and
    the 6 of ReLU6: these must be in the block's own functions.
    """
    vectors, stages, tensors, roundings = chain.vectors, {}, [], {}

    def stage(name, tensor, factor=1.0, offset=0):
        """Add the stage `name`, which tensor `tensor` holds; returns the operator and node before its quantisers."""
        ends, step = [-math.inf, math.inf], 0.0
        for _ in range(MOST_STEPS):
            quantiser, (_, node) = vectors.passing.quantiser(tensor), vectors.graph.maker(tensor)
            if quantiser is not None and not quantiser.several:
                ends = [max(ends[0], float(quantiser.low) * factor), min(ends[1], float(quantiser.high) * factor)]
                step = max(step, float(quantiser.step))
                tensors.append(tensor)
                if quantiser.format is not None:
                    rounding = Rounding(quantiser.format, factor, float(offset))
                    roundings[name] = rounding, *roundings.get(name, ())
                tensor = quantiser.source
            elif (before := vectors.passed_on(tensor)) is not None:
                tensor = before
            elif name == "gates" and node is not None and (factored := chain.multiple(node)) and factored.scale > 0:
                # A gate's clip may come before its factor.
                tensor, factor = factored.base, factor * factored.scale
            else:
                break
        low, high = (end - offset for end in ends)
        low = -math.inf if low == 0 else low
        if name == "hidden" and mid is Mid.RELU and abs(high - RELU6) <= step / 2:
            high = math.inf
        if (low, high) != (-math.inf, math.inf):
            stages[name] = low, high
        return vectors.graph.maker(tensor)

    stage("mean", layer1.source)
    operator, node = stage("hidden", layer2.source)
    if operator in ACTIVATIONS:
        stage("sums", node.input[0])
    if multiple.scale > 0:
        operator, node = stage("gates", multiple.base, multiple.scale, int(plus_one))
        attrs = {} if node is None else attributes(node)
        own = attrs.get("alpha", 0.2), attrs.get("beta", 0.5)
        if operator in GATE_OPERATORS.values() or operator == "HardSigmoid" and not gate.table and \
                math.isclose(gate.slope, own[0], rel_tol=1e-6) and math.isclose(gate.offset, own[1], rel_tol=1e-6):
            stage("logits", node.input[0])
    return Ranges(stages, frozenset(tensors), roundings)
