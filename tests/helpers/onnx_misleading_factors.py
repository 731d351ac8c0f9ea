# SPDX-License-Identifier: Apache-2.0
"""Networks that are easily misread by their factors or their layout; see onnx_misleading."""

import numpy as np

from tests.helpers.onnx_lookalikes import between, excite, gated, layer, pool, pooled
from tests.helpers.onnx_misleading import HALVES, HEIGHT, WIDTH, Misleading
from tests.helpers.onnx_networks import block
from tests.helpers.onnx_parts import CHANNELS, MIDS

__all__ = ["FACTORS", "HALF_PRECISION", "LAYOUTS"]


def halves(first, second, *factors):
    """Weights of these sizes, each times a factor that is a node of its own."""
    def make(net):
        held = block()
        x = pool(net)
        for weight, size, factor, end in zip((held.w1, held.w2), (first, second), factors, ("Relu", "Sigmoid"),
                                             strict=True):
            x = net("Conv", x, net.constant(weight[:, :, None, None] * size))
            x = net(end, net("Mul", x, net.constant(factor)))
        return net("Mul", "x", x)

    return make


def tiny_variance(net):
    held = block()
    x = net("Conv", pool(net), net.constant(held.w1[:, :, None, None] * 100))
    x = net("BatchNormalization", x, *(net.constant([number] * 3) for number in (1, 0, 0, 1e-7)), epsilon=1e-12)
    return net("Mul", "x", net("Sigmoid", layer(net, net("Relu", x), 2)))


def large_inputs(size):
    return lambda rng, shape: [rng.uniform(0.5, 1, shape) * size for _ in range(3)]


HALF_PRECISION = {
    # Products of constants that have no number in the type of the tensors.
    "float16-overflow": Misleading(halves(300, 1, 300, 1), "block", kind=np.float16, tolerance=HALVES,
                                   inputs=large_inputs(1e-3)),
    "float16-overflow-of-the-second": Misleading(halves(1e-3, 300, 1, 300), "block", kind=np.float16, tolerance=HALVES,
                                                 inputs=large_inputs(0.02)),
    "float16-underflow": Misleading(halves(1e-4, 2e4, 1e-4, 1), "block", kind=np.float16, tolerance=HALVES,
                                    inputs=large_inputs(1e4)),
    "float16-underflow-of-the-second": Misleading(halves(300, 1e-5, 1, 3e-3), "block", kind=np.float16,
                                                  tolerance=HALVES, inputs=large_inputs(1e5 / 2)),
    "float16-tiny-variance": Misleading(tiny_variance, "block", kind=np.float16, tolerance=HALVES,
                                        inputs=large_inputs(2e-5)),
    "float32-overflow": Misleading(halves(1e20, 1, 1e20, 1), "unsupported", inputs=large_inputs(1e-38)),
    "float32-underflow": Misleading(halves(1e-25, 1, 1e-25, 1e20), "unsupported", inputs=large_inputs(1e30)),
}


def with_factor(factor, mid="relu"):
    """The network with that constant factor after its activation."""
    return between(lambda net, x: net("Mul", MIDS[mid][1](net, x), net.constant(factor)))


EACH = np.reshape([0.5, -1, 2], (3, 1, 1))

FACTORS = {
    # Factors and further operators around the activation and the gate.
    "negative-factor-after-relu": Misleading(with_factor(-2), "unsupported"),
    "negative-factor-before-relu": Misleading(
        between(lambda net, x: net("Relu", net("Mul", x, net.constant(-2)))), "block"),
    "factor-of-relu6": Misleading(with_factor(0.5, "relu6"), "unsupported"),
    "factor-of-silu": Misleading(with_factor(0.5, "silu"), "unsupported"),
    "factors-after-relu": Misleading(with_factor(EACH), "unsupported"),
    "factors-after-relu6": Misleading(with_factor(EACH, "relu6"), "unsupported"),
    "factors-before-relu": Misleading(
        between(lambda net, x: net("Relu", net("Mul", x, net.constant(EACH)))), "block"),
    "factor-of-zero": Misleading(with_factor(0), "unsupported"),
    "summand-after-relu": Misleading(
        between(lambda net, x: net("Add", net("Relu", x), net.constant(0.5))), "unsupported"),
    "summands-after-relu": Misleading(
        between(lambda net, x: net("Add", net("Relu", x), net.constant(EACH))), "unsupported"),
    "normalised-after-relu": Misleading(between(lambda net, x: net(
        "BatchNormalization", net("Relu", x), *(net.constant(part) for part in (
            [1, 2, 3], [0, 1, -1], [0, 0.5, 0], [1, 1, 2])))), "unsupported"),
    "sum-of-several": Misleading(between(lambda net, x: net("Relu", net("Sum", x, net.constant(EACH)))), "unsupported"),
    "divided-constant": Misleading(between(lambda net, x: net("Relu", net("Div", net.constant(1), x))), "left out"),
    "subtracted-from-a-constant": Misleading(
        between(lambda net, x: net("Relu", net("Sub", net.constant(EACH), x))), "block"),
    "clip-without-ends": Misleading(between(lambda net, x: net("Relu", net("Clip", x))), "block"),
    "clip-with-ends-exchanged": Misleading(between(lambda net, x: net.clip(x, 6, 0)), "unsupported"),
    "clip-twice": Misleading(between(lambda net, x: net.clip(net.clip(x, -1, 3), 0, 6)), "left out"),
    "clip-within-relu6": Misleading(between(lambda net, x: net.clip(net.clip(x, 0, 6), -1, 9)), "block"),
    "leaky-relu-without-leak": Misleading(between(lambda net, x: net("LeakyRelu", x, alpha=0.0)), "unsupported"),
    "gate-of-a-negative-slope": Misleading(gated(lambda net, x: net("HardSigmoid", x, alpha=-0.2)), "left out"),
    "gate-of-another-offset": Misleading(gated(lambda net, x: net("HardSigmoid", x, alpha=0.3, beta=0.1)), "block"),
    "gate-of-gates": Misleading(gated(lambda net, x: net("Sigmoid", net("Sigmoid", x))), "left out"),
    "gate-to-a-power": Misleading(
        gated(lambda net, x: net("Pow", net("Sigmoid", x), net.constant(2))), "left out"),
    "mean-twice": Misleading(pooled(lambda net: pool(net, pool(net))), "unsupported"),
    "mean-of-squares": Misleading(pooled(lambda net: pool(net, net("Mul", "x", "x"))), "left out"),
    "map-plus-one": Misleading(
        lambda net: net("Mul", net("Add", "x", net.constant(1)), excite(net, pool(net))), "left out"),
    "map-of-other-channels": Misleading(lambda net: net(
        "Mul", net("Gather", "x", net.constant([1, 0, 2, 3, 5, 4], np.int64), axis=1), excite(net, pool(net))),
        "left out"),
    "map-upside-down": Misleading(lambda net: net("Mul", net("Slice", "x", *(net.constant([end], np.int64) for end in (
        -1, -100, 2, -1))), excite(net, pool(net))), "unsupported"),
}


def dense(net, means):
    """Gates (..., C) of means (..., C) by matrices."""
    held = block()
    for weight, bias, end in ((held.w1, held.b1, "Relu"), (held.w2, held.b2, "Sigmoid")):
        means = net(end, net("Add", net("MatMul", means, net.constant(weight.T)), net.constant(bias)))
    return means


def last(images, keepdims=1):
    """The network on a map (N, H, W, C)."""
    return {"make": lambda net: net("Mul", "x", dense(net, net.mean("x", [1, 2], keepdims=keepdims))),
            "shape": (images, HEIGHT, WIDTH, CHANNELS)}


def other_means(net):
    """Means over rows and channels are those of the columns."""
    means = net.reshape(net.mean("x", [1, 3]), -1, CHANNELS)
    return net("Mul", "x", net.reshape(dense(net, means), -1, 1, 1, CHANNELS))


def turned_mean(net):
    """A map (N, H, W, C) that is pooled as (N, C, H, W)."""
    means = pool(net, net("Transpose", "x", perm=[0, 3, 1, 2]))
    return net("Mul", "x", net("Transpose", excite(net, means), perm=[0, 2, 3, 1]))


def turned_otherwise(net):
    """The same with a Transpose that exchanges channels and columns."""
    means = pool(net, net("Transpose", "x", perm=[0, 2, 3, 1]))
    return net("Mul", "x", net("Transpose", excite(net, means), perm=[0, 2, 3, 1]))


def along_the_batch(net):
    means = net("Add", net.mean("x", [1, 2]), net.constant(np.arange(6).reshape(6, 1, 1, 1)))
    return net("Mul", "x", dense(net, means))


LAYOUTS = {
    # Axes of maps (N, H, W, C), some of which are as long as others.
    "channels-last": Misleading(**last(2), expected="block"),
    "channels-last-but-other-means": Misleading(other_means, "left out", shape=(1, HEIGHT, WIDTH, CHANNELS)),
    "vectors-along-the-columns": Misleading(**last(CHANNELS, 0), expected="left out"),
    "vectors-along-the-columns-of-an-open-batch": Misleading(**last("N", 0), expected="left out",
                                                             run=(WIDTH, HEIGHT, WIDTH, CHANNELS)),
    "channels-last-and-the-batch": Misleading(along_the_batch, "left out", shape=(6, HEIGHT, WIDTH, CHANNELS)),
    "channels-last-turned": Misleading(turned_mean, "block", shape=(2, HEIGHT, WIDTH, CHANNELS)),
    "channels-last-turned-otherwise": Misleading(turned_otherwise, "left out", shape=(1, HEIGHT, WIDTH, CHANNELS)),
}
