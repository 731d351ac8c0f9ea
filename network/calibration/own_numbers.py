# SPDX-License-Identifier: Apache-2.0
"""Blocks of a quantised network with its own numbers, and how far their outputs are from its own integers."""

import contextlib
import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from ...gen.block_spec import assemble
from ...gen.data import Input, weights_of
from ...gen.fields import text_of
from ...gen.options import BlockOptions, TilingOptions
from ...golden.block import FloatBlock
from ...golden.reference import excite, squeeze_excite
from ...hdl.config import ConfigError, DataType
from ..match.match import NetworkBlock
from ..match.pooling import CHANNELS_LAST
from ..match.ranges import Rounding
from ..network import Network
from ..read.names import unique
from .clips import clipped
from .feature_maps import feature_maps
from .images import Images

__all__ = ["differences", "own_block", "own_maps", "own_options", "requantised"]

# The most bits of weights, and those of weights that the network has in float or with more.
WEIGHT_BITS = 8
# Relative error of a scale that a user writes as a decimal.
DECIMALS = 1e-6


def own_block(block: NetworkBlock) -> FloatBlock:
    """The float block, with the steps of those weights whose integers a block can have."""
    form, changes = block.float_block, {}
    for name, stored in zip(("w1", "w2"), block.numbers.layers, strict=True):
        if _kept(stored):
            steps = stored.steps[:, None]
            # Not as float32 rounds them: that alone is some of a step of 16-bit outputs in the worst case.
            changes |= {name: np.rint(getattr(form, name) / steps) * steps, f"{name}_step": stored.steps}
    return dataclasses.replace(form, **changes)


def _kept(stored):
    return stored is not None and stored.bits <= WEIGHT_BITS


def requantised(block: NetworkBlock) -> dict[str, str]:
    """Why the integers of "w1" and of "w2" are not those of a quantised network; empty if both layers keep them."""
    reasons, layers = {}, block.numbers.layers if block.numbers.known else ()
    for name, stored in zip(("w1", "w2"), layers, strict=False):
        if stored is None:
            reasons[name] = "the network does not have them as integers times a step for each output"
        elif not _kept(stored):
            low, high = stored.ends
            reasons[name] = f"{low} to {high} take {stored.bits} bits, and {WEIGHT_BITS} are the most"
    return reasons


def own_options(block: NetworkBlock, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options ``dtype``, ``y_dtype`` and ``weight_bits`` of `block`: as the network has them, else as `given`.

    Raises ConfigError for an option among those `given` that contradicts the network, and for a ``y_zero_point`` that
    is no integer of the outputs' type.
    """
    own, numbers = {}, block.numbers
    if numbers.x is not None:
        own["dtype"] = str(numbers.x.data)
    if numbers.y is not None:
        own |= {"y_dtype": str(numbers.y.data), "y_scale": numbers.y.scale, "y_zero_point": numbers.y.zero_point}
    for name, value in own.items():
        asked = given.get(name)
        same = asked == value or isinstance(asked, float) and math.isclose(asked, value, rel_tol=DECIMALS)
        if asked is not None and not same:
            raise ConfigError(name, text_of(asked), f"must be {text_of(value)}, as the network has it for block "
                              f"{block.name}")
    kept = [stored.bits for stored in numbers.layers if _kept(stored)]
    bits = given.get("weight_bits")
    if bits is not None and kept and bits < max(kept):
        raise ConfigError("weight_bits", bits, f"must be at least {max(kept)}, as the network has them for block "
                          f"{block.name}")
    types = {name: own.get(name, given.get(name)) for name in ("dtype", "y_dtype")}
    zero_point, name = given.get("y_zero_point"), "y_dtype" if types["y_dtype"] else "dtype"
    if zero_point is not None:
        outputs = DataType.parse(types[name] or "int8", name)
        if not outputs.low <= zero_point <= outputs.high:
            raise ConfigError("y_zero_point", zero_point, f"must be from {outputs.low} to {outputs.high}, as the "
                              f"outputs of block {block.name} are {outputs}")
    return {**types, "weight_bits": bits or (max(kept) if len(kept) == len(numbers.layers) else WEIGHT_BITS)}


def own_maps(network: Network, blocks: Sequence[NetworkBlock],
             images: Images) -> contextlib.AbstractContextManager[dict]:
    """A context as :func:`feature_maps`, of what reaches `blocks` in the network and, by ``(name,)``, of the integers
    that it makes of their outputs.

    By ``(name, "mean")`` it has the map that the network averages where that has other numbers than what reaches the
    block: it may be rounded for the product alone.
    """
    model, used = copy.deepcopy(network.model), {*network.graph.producer, *network.graph.initializers}
    outputs = []
    for block in blocks:
        # As float32, which holds them all: onnxruntime gives Python no tensors of 4 bits.
        name = unique(f"{block.numbers.y_codes}/Cast", used, "#")
        model.graph.node.append(helper.make_node("Cast", [block.numbers.y_codes], [name], to=TensorProto.FLOAT))
        outputs.append(dataclasses.replace(block, name=(block.name,), x=name))
        if _integers(network, block.mean.map) != _integers(network, block.x):
            outputs.append(dataclasses.replace(block, name=(block.name, "mean"), x=block.mean.map,
                                               channels_last=CHANNELS_LAST[block.mean.axes]))
    return feature_maps(network, model, [*blocks, *outputs], images)


def _integers(network, name):
    """The tensor of the integers that tensor `name` is dequantised from; else `name`."""
    operator, node = network.graph.maker(name)
    return node.input[0] if operator == "DequantizeLinear" else name


def differences(block: NetworkBlock, options: BlockOptions, maps: Mapping) -> dict:
    """How the outputs of `block` differ from the network's own integers on `maps`, from :func:`own_maps`.

    The block is quantised as `options` say, but with one tile of the whole map, as the network has it. Returns
    ``elements``, how many are ``equal``, their ``equal_share``, and the largest and the mean difference in steps of the
    output, ``max`` and ``mean``. ``clipped`` has the same for the float block with what the network clips inside of it,
    and as ``stages`` and ``moved`` what :func:`.clipped` has; ``rounded`` has it for the float block with what the
    network clips and rounds inside of it, the ``stages``, and of the mean that the network has. ``share_of_clips`` and
    ``share_of_roundings`` are the parts of the mean difference that these explain, and ``share_of_weights`` is that of
    weights that are :func:`requantised`; None if there is no difference. ``float`` has ``max`` and ``mean`` of the
    difference from the float block on the same integers, and the ``bound`` of any such difference, None if weights are
    :func:`requantised`.
    """
    numbers, x, averaged = block.numbers, maps[block.name], maps.get((block.name, "mean"))
    integers = numbers.x.quantise(x[:1]).astype(numbers.x.data.numpy)
    whole = {name: field.default for name, field in TilingOptions.__dataclass_fields__.items()} | {"k": block.height}
    form, held = own_block(block), numbers.y
    spec = assemble(dataclasses.replace(options, **whole, macs=1, weights=None, input=None), weights_of(form, held),
                    Input("", "x_q", integers, numbers.x))
    # Commands that use this file for its other functions need no torch.
    from ...golden.integer import IntegerModel

    model = IntegerModel(spec.config, spec.quantised.parameters)
    anew = requantised(block)
    own, float_error, plain, cut, rounded, other = (_Sum() for _ in range(6))
    # A block's weights, and what is imitated of the network.
    parts: list[tuple[_Sum, Any, dict[str, Any]]] = [
        (plain, form, {}), (cut, form, {"ranges": block.ranges.stages}),
        (rounded, form, {"roundings": block.ranges.roundings}), *([(other, spec.quantised, {})] if anew else [])]
    for at, (frame, expected) in enumerate(zip(x, maps[block.name,], strict=True)):
        x_q, expected = numbers.x.quantise(frame), expected.astype(np.int64)
        real, y = numbers.x.dequantise(x_q), model.run(x_q).y.numpy()
        own.add(y - expected)
        exact = squeeze_excite(real, form, spec.config) / held.scale + held.zero_point
        float_error.add(y - np.clip(exact, held.data.low, held.data.high))
        means = real.mean(axis=(0, 1))
        own_means = means if averaged is None else averaged[at].mean(axis=(0, 1), dtype=np.float64)
        for total, weights, imitated in parts:
            z = own_means if "roundings" in imitated else means
            _, gates = excite(z, weights.w1, weights.b1, weights.w2, weights.b2, form.mid, form.gate, **imitated)
            # In float32, as the network computes it.
            product = (real.astype(np.float32) * gates.astype(np.float32)).astype(np.float64) + form.residual * real
            total.add(Rounding(held).integers(product) - expected)
    shares = _shares(own.total, plain.total, cut.total, rounded.total, other.total if anew else plain.total)
    return {**own.counts, "float": {"bound": None if anew else spec.quantised.error_bound_lsb,
                                 **{name: float_error.counts[name] for name in ("max", "mean")}},
            "clipped": {**clipped(block, x, spec.config, held), **cut.counts},
            "rounded": {"stages": list(block.ranges.roundings), **rounded.counts},
            **{f"share_of_{name}": share for name, share in shares.items()}}


def _shares(own, plain, cut, rounded, anew):
    """The parts of the difference `own` by what explains them; None where it is 0.

    The others are the differences of the float block: as it is, with the clips, with clips and roundings, and with the
    weights of the quantiser.
    """
    if not own:
        return dict.fromkeys(("clips", "roundings", "weights"))
    left = max(0.0, 1 - rounded / own)
    weights = min(max(0.0, (anew - plain) / own), left)
    left -= weights
    clips = min(max(0.0, (plain - cut) / own), left)
    return {"clips": clips, "roundings": left - clips, "weights": weights}


class _Sum:
    """The sum of the magnitudes of differences, and what else is told of them."""

    def __init__(self):
        self.elements, self.equal, self.largest, self.total = 0, 0, 0.0, 0.0

    def add(self, difference):
        """Some more."""
        difference = abs(difference)
        self.elements += difference.size
        self.equal += int((difference == 0).sum())
        self.largest = max(self.largest, float(difference.max()))
        self.total += float(difference.sum())

    @property
    def counts(self):
        """JSON-serialisable."""
        return {"elements": self.elements, "equal": self.equal, "equal_share": self.equal / self.elements,
                "max": self.largest, "mean": self.total / self.elements}
