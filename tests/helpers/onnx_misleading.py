# SPDX-License-Identifier: Apache-2.0
"""Networks that are easily misread: of each, what it is, and on which inputs a misreading shows.

tests/unit/network/test_misleading.py checks them. Layers, means and gates are those of the lookalikes.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import ml_dtypes
import numpy as np
from onnx import helper

from tests.helpers.onnx_lookalikes import between, excite, gated, pool, pooled
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import SQUEEZE, block
from tests.helpers.onnx_parts import CHANNELS, MIDS

__all__ = ["EXACT", "HALVES", "HEIGHT", "QUANTISERS", "ROUNDED", "STORED", "WIDTH", "Misleading", "batch_of",
           "quantised"]

# As wide as there are channels, and as high as the hidden vector is long: a constant along the wrong axis fits.
HEIGHT, WIDTH = SQUEEZE, CHANNELS
# Relative errors. Within a network that rounds to 8 bits, outputs differ by its roundings.
EXACT, ROUNDED, HALVES = 1e-4, 0.03, 5e-3


def default_inputs(rng: np.random.Generator, shape: tuple) -> list:
    """Maps whose images and channels differ by far, among others."""
    images = np.arange(1, shape[0] + 1).reshape(-1, *[1] * (len(shape) - 1))
    offsets = rng.normal(size=(*shape[:2], *[1] * (len(shape) - 2)))
    return [np.ones(shape) * images, rng.normal(size=shape), rng.normal(size=shape) * 3 - 1,
            rng.normal(size=shape) + 8 * offsets]


@dataclasses.dataclass(frozen=True)
class Misleading:
    """A network from `x` to `y`, which is the tensor that `make` makes of a :class:`Net`.

    ``expected`` is "block" (found, and tiles of the whole height compute what the network does), "left out" (not found,
    and a reason is given, as it computes something else) or "unsupported" (left out, too, though it may be a block: if
    the matcher learns to read it right, this becomes "block"). ``shape`` is the input's as it is declared, None for
    none at all; ``run`` is its shape in a run. Outputs may differ by ``tolerance``, relative to the largest.
    """

    make: Callable[[Net], str]
    expected: Literal["block", "left out", "unsupported"]
    shape: tuple | None = (1, CHANNELS, HEIGHT, WIDTH)
    run: tuple | None = None
    opset: int = 17
    kind: type = np.float32
    tolerance: float = EXACT
    inputs: Callable[[np.random.Generator, tuple], list] = default_inputs

    def model(self):
        """The ModelProto."""
        net = Net(self.opset, self.kind)
        net("Identity", self.make(net), output="y")
        return net.model({"x": self.shape}, {"y": None})

    def arrays(self) -> list[np.ndarray]:
        """The inputs that the network is run on."""
        return [array.astype(self.kind) for array in self.inputs(np.random.default_rng(1), self.run or self.shape)]


def quantised(net, x, scale, zero=0, kind=np.uint8, again=None, **about):
    """`x` on its way through integers; no zero point is written if it is None. `again` has other numbers for the way
    back: a scale and a zero point."""
    def numbers(scale, zero):
        return [net.constant(scale), *([] if zero is None else [net.constant(zero, kind)])]

    forth = numbers(scale, zero)
    integers = net("QuantizeLinear", x, *forth, **about)
    return net("DequantizeLinear", integers, *(numbers(*again) if again else forth), **about)


def small_inputs(rng, shape):
    """Maps whose hidden values are far from one."""
    return [rng.uniform(-0.5, 0.5, shape) + rng.uniform(-0.3, 0.3, (*shape[:2], 1, 1)) for _ in range(3)]


def wide_inputs(rng, shape):
    """Maps with hidden values far beyond 6."""
    return [rng.normal(size=shape) + 20 * rng.normal(size=(*shape[:2], 1, 1)) for _ in range(3)]


def all_inputs(rng, shape):
    """Maps within the ranges of the quantisers here, and beyond them."""
    return small_inputs(rng, shape) + default_inputs(rng, shape) + wide_inputs(rng, shape)


def linear_hidden(net, scale, zero, kind=np.uint8, **about):
    return between(lambda net, x: quantised(net, x, scale, zero, kind, **about))(net)


def of_gate(make):
    """`make` quantises the linear part of a hard sigmoid."""
    return gated(lambda net, x: make(net, net("Add", net("Div", x, net.constant(6)), net.constant(0.5))))


def of_logits(scale, zero, kind=np.int8):
    return gated(lambda net, x: net("Sigmoid", quantised(net, x, scale, zero, kind)))


def after_relu(net):
    x = net("Relu", "x")
    return net("Mul", x, excite(net, quantised(net, pool(net, x), 1 / 8)))


def batch_of(images):
    return {"shape": (images, CHANNELS, HEIGHT, WIDTH)}


QUANTISERS = {
    # What a quantiser's range does to a value is an activation.
    "relu6-in-uint8": Misleading(lambda net: linear_hidden(net, 6 / 255, 0), "block", tolerance=ROUNDED,
                                  inputs=wide_inputs),
    "relu6-in-int8": Misleading(lambda net: linear_hidden(net, 6 / 255, -128, np.int8), "block",
                                tolerance=ROUNDED, inputs=wide_inputs),
    "relu6-in-uint16": Misleading(lambda net: linear_hidden(net, 6 / 65535, 0, np.uint16), "block", opset=21,
                                   tolerance=1e-3, inputs=wide_inputs),
    "relu-without-zero-point": Misleading(lambda net: linear_hidden(net, 1 / 8, None), "block", tolerance=ROUNDED),
    "relu-before-no-zero-point": Misleading(
        between(lambda net, x: quantised(net, net("Relu", x), 1 / 8, None)), "block", tolerance=ROUNDED),
    "scale-of-one-element": Misleading(lambda net: linear_hidden(net, [6 / 255], [0]), "block", tolerance=ROUNDED,
                                       inputs=wide_inputs),
    # Any other end of a range is one of calibration: the block has it, too.
    **{f"range-of-{name}-is-calibrated": Misleading(make, "block", opset=21, tolerance=ROUNDED, inputs=all_inputs)
       for name, make in {
           "a-relu": between(lambda net, x: quantised(net, net("Relu", x), 2 / 255)),
           "a-relu-by-the-range": lambda net: linear_hidden(net, 2 / 65535, -32768, np.int16),
           "a-linear-layer": lambda net: linear_hidden(net, 2 / 127, 0, np.int8),
           "a-hard-sigmoid": of_gate(lambda net, x: quantised(net, net.clip(x, 0, 1), 0.95 / 255)),
           "a-sigmoid": gated(lambda net, x: quantised(net, net("Sigmoid", x), 0.95 / 255)),
           "a-mean": pooled(lambda net: quantised(net, pool(net), 1 / 127, 0, np.int8)),
           "logits": of_logits(4 / 127, 0)}.items()},
    "gate-clipped-by-a-quantiser": Misleading(
        of_gate(lambda net, x: quantised(net, x, 1 / 255)), "block", tolerance=ROUNDED),
    "gate-clipped-in-int8": Misleading(
        of_gate(lambda net, x: quantised(net, x, 1 / 255, -128, np.int8)), "block", tolerance=ROUNDED),
    "relu6-of-gate-by-a-quantiser": Misleading(gated(lambda net, x: net("Div", quantised(
        net, net("Add", x, net.constant(3)), 6 / 255), net.constant(6))), "block", tolerance=ROUNDED),
    "mean-cut-at-zero": Misleading(pooled(lambda net: quantised(net, pool(net), 1 / 8)), "left out"),
    "mean-after-relu-cut-at-zero": Misleading(after_relu, "block", tolerance=ROUNDED),
    "logits-cut-at-zero": Misleading(of_logits(1 / 8, 0, np.uint8), "left out"),
    "silu-without-its-negative-lobe": Misleading(
        between(lambda net, x: quantised(net, MIDS["silu"][1](net, x), 1 / 8)), "left out"),
    "hardswish-without-its-negative-lobe": Misleading(
        between(lambda net, x: quantised(net, MIDS["product"][1](net, x), 1 / 8, -128, np.int8)), "left out"),
    "scale-differs-on-the-way-back": Misleading(between(lambda net, x: quantised(
        net, net("Relu", x), 1 / 16, again=(1 / 8, 0))), "unsupported", tolerance=ROUNDED),
    "scale-differs-on-the-gate": Misleading(gated(lambda net, x: quantised(
        net, net("Sigmoid", x), 1 / 255, again=(1 / 128, 0))), "unsupported", tolerance=ROUNDED),
    "scale-differs-on-the-mean": Misleading(pooled(lambda net: quantised(
        net, pool(net), 1 / 4, 0, np.int8, again=(1, 0))), "unsupported", tolerance=ROUNDED),
    "zero-point-differs-on-the-way-back": Misleading(between(lambda net, x: quantised(
        net, x, 1 / 4, 0, np.int8, again=(1 / 4, 40))), "unsupported"),
    "scales-along-the-batch": Misleading(between(lambda net, x: net("DequantizeLinear", net(
        "QuantizeLinear", net("Relu", x), net.constant([1 / 8, 1 / 16, 1 / 32]), axis=0),
        net.constant([1 / 8, 1 / 16, 1 / 32]), axis=1)), "left out", **batch_of(SQUEEZE)),
    "scales-on-the-way-back-alone": Misleading(between(lambda net, x: net("DequantizeLinear", net(
        "QuantizeLinear", net("Relu", x), net.constant(1 / 8)), net.constant([1 / 8, 1 / 16, 1 / 32]), axis=1)),
        "unsupported", tolerance=ROUNDED),
    "map-cut-at-zero": Misleading(lambda net: net("Mul", "x", excite(net, pool(net, quantised(net, "x", 1 / 8)))),
                                  "left out"),
}


FLOAT8 = {"e4m3fn": ml_dtypes.float8_e4m3fn, "e4m3fnuz": ml_dtypes.float8_e4m3fnuz, "e5m2": ml_dtypes.float8_e5m2,
          "e5m2fnuz": ml_dtypes.float8_e5m2fnuz}


def weighted(*weights, shape=None):
    """The network with these weights, each made of a Net and an array; 6 to 6 to 6 in `shape` (6, 6)."""
    def make(net):
        held = block()
        arrays = [np.random.default_rng(seed).integers(-12, 13, shape) / 8 for seed in (1, 2)] if shape else \
            [held.w1, held.w2]
        means = pool(net)
        for array, weight, end in zip(arrays, weights * 2, ("Relu", "Sigmoid"), strict=False):
            means = net(end, net("Conv", means, weight(net, array[:, :, None, None])))
        return net("Mul", "x", means)

    return make


def dequantised(kind, scale, zero=None, **about):
    """A weight of integers, or of a float8 type, and a DequantizeLinear."""
    def weight(net, array):
        shape = [1] * array.ndim
        shape[about.get("axis", 1)] = -1
        scales, zeros = (np.reshape(part, shape) if np.ndim(part) else part for part in (scale, zero or 0))
        numbers = array / scales + zeros
        if kind not in FLOAT8.values():
            numbers = np.clip(np.rint(numbers), ml_dtypes.iinfo(kind).min, ml_dtypes.iinfo(kind).max)
        return net("DequantizeLinear", net.constant(numbers, kind), net.constant(scale),
                   *([] if zero is None else [net.constant(zero, kind)]), **about)

    return weight


def cast(*kinds, factor=1.0):
    """A weight times `factor` and stored in the first type, cast to the others in turn."""
    def weight(net, array):
        name = net.constant(array * factor, kinds[0])
        for kind in (*kinds[1:], np.float32):
            name = net("Cast", name, to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))
        return net("Mul", name, net.constant(1 / factor))

    return weight


def infinite(net, array):
    return cast(np.float32, np.float16, factor=1e6)(net, np.abs(array) + 0.1)


def blocked(net, array):
    """Each pair of inputs has a scale of its own."""
    scales = np.linspace(0.02, 0.1, array.size // 3).reshape(len(array), -1, 1, 1)
    numbers = np.rint(array / np.repeat(scales, 3, axis=1))
    return net("DequantizeLinear", net.constant(numbers, np.int8), net.constant(scales), axis=1, block_size=3)


def rounded(kind, scale, zero):
    """A float weight with the two nodes that round it."""
    return lambda net, array: quantised(net, net.constant(array), scale, zero, kind)


def beyond_float32(net):
    held, x = block(), net.mean("x", [2, 3], keepdims=0)
    for weight, factor, end in ((held.w1, 1e39, "Relu"), (held.w2, 1e-39, "Sigmoid")):
        x = net(end, net("MatMul", x, net.constant(weight.T * factor)))
    return net("Mul", "x", net.reshape(x, -1, CHANNELS, 1, 1))


SCALES = [0.01, 0.02, 0.03, 0.05, 0.08, 0.1]

STORED = {
    # Constants of every type, and what a node makes of them.
    **{f"float8-{name}": Misleading(weighted(dequantised(kind, 0.5)), "block", opset=19)
       for name, kind in FLOAT8.items()},
    **{f"cast-from-float8-{name}": Misleading(weighted(cast(kind)), "block", opset=19)
       for name, kind in FLOAT8.items()},
    **{f"cast-through-float8-{name}": Misleading(weighted(cast(np.float32, kind, factor=1e5)), "block", opset=19)
       for name, kind in FLOAT8.items()},
    "int4": Misleading(weighted(dequantised(ml_dtypes.int4, 0.25)), "block", opset=21),
    "uint4": Misleading(weighted(dequantised(ml_dtypes.uint4, 0.25, 8)), "block", opset=21),
    "int16": Misleading(weighted(dequantised(np.int16, 1e-4)), "block", opset=21),
    "uint16": Misleading(weighted(dequantised(np.uint16, 1e-4, 32768)), "block", opset=21),
    "int32": Misleading(weighted(dequantised(np.int32, 1e-4)), "block"),
    "uint8-along-outputs": Misleading(weighted(dequantised(np.uint8, SCALES, [128] * 6, axis=0), shape=(6, 6)),
                                      "block"),
    "uint8-along-inputs": Misleading(weighted(dequantised(np.uint8, SCALES, [128, 99, 120, 128, 130, 140], axis=1),
                                              shape=(6, 6)), "block"),
    "int8-by-default-axis": Misleading(weighted(dequantised(np.int8, SCALES), shape=(6, 6)), "block"),
    "int8-along-a-negative-axis": Misleading(weighted(dequantised(np.int8, SCALES, axis=-4), shape=(6, 6)), "block"),
    "int8-in-blocks": Misleading(weighted(blocked, shape=(6, 6)), "block", opset=21),
    "int8-rounded-in-the-graph": Misleading(weighted(rounded(np.int8, 1 / 16, 0)), "block"),
    "uint8-saturated-in-the-graph": Misleading(weighted(rounded(np.uint8, 1 / 255, 0)), "block"),
    "float8-rounded-in-the-graph": Misleading(weighted(rounded(ml_dtypes.float8_e4m3fn, 0.5, 0)), "block", opset=19),
    "bfloat16": Misleading(weighted(cast(ml_dtypes.bfloat16)), "block"),
    "float16-overflow-in-a-cast": Misleading(weighted(infinite), "left out",
                                             inputs=lambda rng, shape: [rng.uniform(1, 2, shape)]),
    "integers-by-a-cast": Misleading(weighted(cast(np.float32, np.int8, factor=4)), "block"),
    "int8-overflow-in-a-cast": Misleading(weighted(cast(np.float32, np.int8, factor=300)), "unsupported"),
    "uint8-overflow-in-a-cast": Misleading(weighted(cast(np.float32, np.uint8, factor=100)), "unsupported"),
    "bool": Misleading(weighted(cast(np.bool_)), "block"),
    "bool-by-a-cast": Misleading(weighted(cast(np.float32, np.bool_)), "block"),
    "float64-beyond-float32": Misleading(beyond_float32, "left out", kind=np.float64),
    "float16-underflow-in-a-cast": Misleading(weighted(cast(np.float32, np.float16, factor=1e-8)), "block"),
}
