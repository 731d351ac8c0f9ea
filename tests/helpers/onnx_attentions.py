# SPDX-License-Identifier: Apache-2.0
"""Attention over channels that is not squeeze-and-excite with two layers and float operators; see onnx_misleading."""

import numpy as np
from onnx import TensorProto

from tests.helpers.onnx_lookalikes import (
    between,
    excite,
    gated,
    hidden,
    layer,
    of_mean_and_maximum,
    pool,
    pooled,
    square,
)
from tests.helpers.onnx_misleading import HEIGHT, ROUNDED, WIDTH, Misleading, quantised
from tests.helpers.onnx_networks import SQUEEZE, block
from tests.helpers.onnx_parts import CHANNELS

__all__ = ["ATTENTIONS"]


def effective(net):
    """Effective squeeze-and-excite: one layer."""
    return net("Mul", "x", net("HardSigmoid", square(net, net.mean("x", [2, 3]))))


def efficient(net):
    """A convolution along the channels (ECA)."""
    row = net.reshape(pool(net), 0, 1, CHANNELS)
    row = net("Conv", row, net.constant([[[0.5, 1, -0.75]]]), pads=[1, 1])
    return net("Mul", "x", net.reshape(net("Sigmoid", row), -1, CHANNELS, 1, 1))


def global_context(net):
    """A mean that a Softmax over the pixels weights."""
    scores = net.reshape(net("Conv", "x", net.constant(np.linspace(-1, 1, CHANNELS).reshape(1, -1, 1, 1))), 0, 1, -1, 1)
    pixels = net.reshape("x", 0, 1, CHANNELS, -1)
    context = net.reshape(net("MatMul", pixels, net("Softmax", scores, axis=2)), 0, CHANNELS, 1, 1)
    return net("Mul", "x", excite(net, context))


def branches(net):
    """Two maps made of x, stacked to (N, 2, C, H, W)."""
    return net("Concat", *(net.along("Unsqueeze", net("Relu", square(net, name)), [1], 13)
                           for name in ("x", net("Neg", "x"))), axis=1)


def summed(net, x):
    return net("ReduceSum", x, net.constant([1], np.int64), keepdims=0)


def selective_kernel(net):
    """The gates are a Softmax over two branches."""
    stacked = branches(net)
    held = block()
    hidden = net("Relu", layer(net, pool(net, summed(net, stacked))))
    logits = net("Conv", hidden, net.constant(np.concatenate([held.w2, -2 * held.w2])[:, :, None, None]))
    gates = net("Softmax", net.reshape(logits, -1, 2, CHANNELS, 1, 1), axis=1)
    return summed(net, net("Mul", stacked, gates))


def split(net):
    """The same as ResNeSt writes it, with a Transpose before the Softmax."""
    stacked = branches(net)
    held = block()
    hidden = net("Relu", layer(net, pool(net, summed(net, stacked))))
    logits = net("Conv", hidden, net.constant(np.concatenate([held.w2, -2 * held.w2])[:, :, None, None]))
    turned = net("Transpose", net.reshape(logits, 0, 1, 2, -1), perm=[0, 2, 1, 3])
    gates = net.reshape(net("Softmax", turned, axis=1), -1, 2, CHANNELS, 1, 1)
    return summed(net, net("Mul", stacked, gates))


def grouped(net):
    weights = [net.constant(np.linspace(-1, 1, 6 * 3).reshape(6, 3, 1, 1)) for _ in range(2)]
    x = net("Relu", net("Conv", pool(net), weights[0], group=2))
    return net("Mul", "x", net("Sigmoid", net("Conv", x, weights[1], group=2)))


def dynamic(net, x, which, operator):
    """Layer `which` on integers, whose scale is of the vector itself."""
    held = block()
    w, b = (held.w1, held.b1) if which == 1 else (held.w2, held.b2)
    integers = net.several("DynamicQuantizeLinear", 3, x)
    scale, zero = integers[:-1] + "1", integers[:-1] + "2"
    w = np.rint(w * 100)
    if operator == "ConvInteger":
        product = net(operator, integers, net.constant(w[:, :, None, None], np.int8), zero)
        b = b[:, None, None]
    else:
        product = net(operator, integers, net.constant(w.T, np.int8), zero)
    product = net("Mul", net("Cast", product, to=TensorProto.FLOAT), net("Mul", scale, net.constant(0.01)))
    return net("Add", product, net.constant(b))


def of_integers(net):
    gates = net("Sigmoid", dynamic(net, net("Relu", dynamic(net, pool(net), 1, "ConvInteger")), 2, "ConvInteger"))
    return net("Mul", "x", gates)


def of_integer_matrices(net):
    vector = net("Flatten", pool(net))
    gates = net("Sigmoid", dynamic(net, net("Relu", dynamic(net, vector, 1, "MatMulInteger")), 2, "MatMulInteger"))
    return net("Mul", "x", net.reshape(gates, -1, CHANNELS, 1, 1))


def integer_layer(net, x, which, numbers):
    held = block()
    w, b = (held.w1, held.b1) if which == 1 else (held.w2, held.b2)
    scale, zero = net.constant(1 / 64), net.constant(0, np.int8)
    return net("QLinearConv", x, *numbers, net.constant(np.rint(w * 64)[:, :, None, None], np.int8), scale, zero,
               *numbers, net.constant(np.rint(b * 512), np.int32))


def integer_operators(net):
    """Layers are integer operators; the pool, the gate and the product are between quantisers."""
    numbers = net.constant(1 / 8), net.constant(0, np.int8)
    integers = integer_layer(net, net("QuantizeLinear", pool(net), *numbers), 1, numbers)
    inner = net("QuantizeLinear", net("Relu", net("DequantizeLinear", integers, *numbers)), *numbers)
    logits = net("DequantizeLinear", integer_layer(net, inner, 2, numbers), *numbers)
    return net("Mul", "x", net("Sigmoid", logits))


def integer_product(net):
    """All of it in integer operators, also the product."""
    numbers = net.constant(1 / 8), net.constant(0, np.int8)
    gate = net.constant(1 / 255), net.constant(-128, np.int8)
    x = net("QuantizeLinear", "x", *numbers)
    means = net("com.microsoft.QLinearGlobalAveragePool", x, *numbers, *numbers, channels_last=0)
    inner = net("Relu", net("DequantizeLinear", integer_layer(net, means, 1, numbers), *numbers))
    logits = integer_layer(net, net("QuantizeLinear", inner, *numbers), 2, numbers)
    gates = net("com.microsoft.QLinearSigmoid", logits, *numbers, *gate)
    return net("DequantizeLinear", net("com.microsoft.QLinearMul", x, *numbers, gates, *gate, *numbers), *numbers)


def behind_quantisers(net):
    held = block()
    x = pool(net)
    for weight, end in ((held.w1, "Relu"), (held.w2, "Sigmoid")):
        x = net(end, net("Conv", x, quantised(net, net.constant(weight[:, :, None, None]), 1 / 64, 0, np.int8)))
    return net("Mul", "x", x)


def dynamic_vector(net, x):
    integers = net.several("DynamicQuantizeLinear", 3, net("Relu", x))
    return net("DequantizeLinear", integers, integers[:-1] + "1", integers[:-1] + "2")


def normalised(net, x):
    return net("Relu", net("LayerNormalization", x, net.constant(np.ones((SQUEEZE, 1, 1))), axis=1))


def window_of_sizes(net):
    """A mean over a window that is a part of the map."""
    return net("AveragePool", "x", kernel_shape=[HEIGHT, WIDTH - 1], strides=[1, WIDTH])


def branches_apart(net):
    """Each branch has its own product."""
    maps = [net(operator, square(net, "x")) for operator in ("Relu", "Tanh")]
    hidden = net("Relu", layer(net, pool(net, net("Add", *maps))))
    logits = [net.along("Unsqueeze", layer(net, hidden, 2), [0], 13) for _ in maps]
    gates = net("Softmax", net("Concat", logits[0], net("Neg", logits[1]), axis=0), axis=0)
    return net("Add", *(net("Mul", branch, net("Gather", gates, net.constant(index, np.int64), axis=0))
                        for index, branch in enumerate(maps)))


def weighted_sum(net):
    scores = net("Conv", "x", net.constant(np.linspace(-1, 1, CHANNELS).reshape(1, -1, 1, 1)))
    weights = net.reshape(net("Softmax", net.reshape(scores, 0, 1, -1), axis=2), 0, 1, HEIGHT, WIDTH)
    return net("Mul", "x", excite(net, net("ReduceSum", net("Mul", "x", weights), net.constant([2, 3], np.int64))))


def mean_and_deviation(net):
    """Style-based recalibration: a layer for each channel."""
    mean = net.mean("x", [2, 3])
    centred = net("Sub", "x", mean)
    deviation = net("Sqrt", net.mean(net("Mul", centred, centred), [2, 3]))
    weight = net.constant(np.linspace(-1, 1, 12).reshape(CHANNELS, 1, 2, 1))
    both = net("Concat", mean, deviation, axis=2)
    return net("Mul", "x", net("Sigmoid", net("Conv", both, weight, group=CHANNELS)))


def resized_gates(net):
    gates = net("Sigmoid", square(net, pool(net)))
    return net("Mul", "x", net("Resize", gates, "", net.constant([1, 1, HEIGHT, WIDTH])))


def flattened_map(net):
    flat = net("Mul", net.reshape("x", 0, CHANNELS, -1), net.reshape(excite(net, pool(net)), 0, CHANNELS, 1))
    return net.reshape(flat, 0, CHANNELS, HEIGHT, WIDTH)


def kernel(net):
    weight = np.linspace(-1, 1, CHANNELS * SQUEEZE * 9).reshape(CHANNELS, SQUEEZE, 3, 3)
    hidden = net("Relu", layer(net, pool(net)))
    return net("Mul", "x", net("Sigmoid", net("Conv", hidden, net.constant(weight), pads=[1] * 4)))


ATTENTIONS = {
    "branches-apart": Misleading(branches_apart, "left out"),
    "weighted-sum": Misleading(weighted_sum, "left out"),
    "mean-and-deviation": Misleading(mean_and_deviation, "left out"),
    "no-layer": Misleading(lambda net: net("Mul", "x", net("Sigmoid", pool(net))), "left out"),
    "resized-gates": Misleading(resized_gates, "left out"),
    "flattened-map": Misleading(flattened_map, "unsupported"),
    "kernel": Misleading(kernel, "unsupported"),
    "effective": Misleading(effective, "left out"),
    "efficient": Misleading(efficient, "left out"),
    "global-context": Misleading(global_context, "left out"),
    "selective-kernel": Misleading(selective_kernel, "left out"),
    "split-attention": Misleading(split, "left out"),
    "mean-and-maximum": Misleading(of_mean_and_maximum, "left out"),
    "maximum": Misleading(pooled(lambda net: net("GlobalMaxPool", "x")), "left out"),
    "maximum-by-reduction": Misleading(
        pooled(lambda net: net("ReduceMax", "x", axes=[2, 3])), "left out"),
    "sum": Misleading(pooled(lambda net: net("ReduceSum", "x", net.constant([2, 3], np.int64))), "left out"),
    "part-of-the-map": Misleading(pooled(window_of_sizes), "left out"),
    "softmax-gate": Misleading(gated(lambda net, x: net("Softmax", x, axis=1)), "left out"),
    "tanh-gate": Misleading(gated(lambda net, x: net("Tanh", x)), "left out"),
    "no-gate": Misleading(gated(lambda net, x: x), "left out"),
    "relu-gate": Misleading(gated(lambda net, x: net("Relu", x)), "left out"),
    "twice-the-gate": Misleading(gated(lambda net, x: net("Mul", net("Sigmoid", x), net.constant(2))), "left out"),
    "three-layers": Misleading(
        hidden(lambda net: net("Relu", square(net, net("Relu", layer(net, pool(net))), SQUEEZE))), "left out"),
    "grouped": Misleading(grouped, "left out"),
    "normalised": Misleading(between(normalised), "left out"),
    "of-another": Misleading(lambda net: net("Mul", "x", excite(net, pool(net, net("Relu", "x")))), "left out"),
    "divided": Misleading(lambda net: net("Div", "x", excite(net, pool(net))), "left out"),
    "weights-behind-quantisers": Misleading(behind_quantisers, "block"),
    "dynamic-layers": Misleading(of_integers, "unsupported", tolerance=ROUNDED),
    "dynamic-matrices": Misleading(of_integer_matrices, "unsupported", tolerance=ROUNDED),
    "dynamic-vector": Misleading(between(dynamic_vector), "unsupported", tolerance=ROUNDED),
    "integer-layers": Misleading(integer_operators, "unsupported", tolerance=ROUNDED),
    "integer-product": Misleading(integer_product, "unsupported", tolerance=ROUNDED),
}
