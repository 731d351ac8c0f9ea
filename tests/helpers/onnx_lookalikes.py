# SPDX-License-Identifier: Apache-2.0
"""Networks that look like squeeze-and-excite and compute something else."""

import numpy as np
from onnx import TensorProto

from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import HEIGHT, SQUEEZE, block
from tests.helpers.onnx_parts import CHANNELS, GATES, MIDS

__all__ = ["LOOKALIKES", "excite", "gated", "lookalike"]

# As wide as there are channels, so that a gate along the wrong axis is no error of shapes.
WIDTH = CHANNELS
WHOLE = (HEIGHT, WIDTH)


def layer(net, x, which=1, **about):
    """Layer `which` of the block as a convolution."""
    held = block()
    w, b = (held.w1, held.b1) if which == 1 else (held.w2, held.b2)
    return net("Conv", x, net.constant(w[:, :, None, None]), net.constant(b), **about)


def square(net, x, channels=CHANNELS):
    """A layer with as many outputs as inputs."""
    weight = np.random.default_rng(3).integers(-9, 9, (channels, channels, 1, 1)) / 9
    return net("Conv", x, net.constant(weight), net.constant(np.ones(channels)))


def excite(net, means, mid="relu", gate="sigmoid"):
    """Gates (N, C, 1, 1) of means (N, C, 1, 1)."""
    return GATES[gate][1](net, layer(net, MIDS[mid][1](net, layer(net, means)), 2))


def pool(net, x="x"):
    return net("GlobalAveragePool", x)


def gated(make_gate):
    """The network that multiplies x with what `make_gate` makes of the logits."""
    return lambda net: net("Mul", "x", make_gate(net, layer(net, net("Relu", layer(net, pool(net))), 2)))


def pooled(make_means):
    """The network whose gates are of what `make_means` makes of x."""
    return lambda net: net("Mul", "x", excite(net, make_means(net)))


def hidden(make_hidden):
    """The network whose second layer reads what `make_hidden` makes."""
    return lambda net: net("Mul", "x", net("Sigmoid", layer(net, make_hidden(net), 2)))


def between(make_mid):
    """The network that has the node of `make_mid` between its layers."""
    return hidden(lambda net: make_mid(net, layer(net, pool(net))))


def shuffled(net, x):
    """The six channels of x in another order, by shapes alone."""
    return net.reshape(net("Transpose", net.reshape(x, 1, 2, 3, 1), perm=[0, 2, 1, 3]), 1, CHANNELS, 1, 1)


def of_mean_and_maximum(net):
    inner = [layer(net, net("Relu", layer(net, means)), 2) for means in (pool(net), net("GlobalMaxPool", "x"))]
    return net("Mul", "x", net("Sigmoid", net("Add", *inner)))


def rows_of_sums(net):
    rows = net("ReduceSum", net.mean("x", [3]), net.constant([2], np.int64))
    return net("Div", rows, net.constant(HEIGHT * WIDTH))


def normalised_by_batch(net, x):
    ones = net.constant(np.ones(SQUEEZE))
    return net("Relu", net.several("BatchNormalization", 3, x, ones, ones, ones, ones, training_mode=1))


def gelu(net, x):
    """As PyTorch writes it before operator set 20."""
    inner = net("Add", net("Erf", net("Div", x, net.constant(2 ** 0.5))), net.constant(1))
    return net("Mul", net("Mul", x, inner), net.constant(0.5))


def tanh_gelu(net, x):
    cubed = net("Mul", net("Pow", x, net.constant(3)), net.constant(0.044715))
    inner = net("Tanh", net("Mul", net("Add", x, cubed), net.constant(0.7978846)))
    return net("Mul", net("Mul", x, net.constant(0.5)), net("Add", inner, net.constant(1)))


def viewed_by_width(net):
    """Means of as many parts as the map has channels, which are none of its channels."""
    shape = net("Shape", "x")
    sizes = [net("Gather", shape, net.constant([axis], np.int64)) for axis in (0, 3)]
    shape = net("Concat", *sizes, net.constant([-1], np.int64), axis=0)
    return net.reshape(net.mean(net("Reshape", "x", shape), [2]), 1, CHANNELS, 1, 1)


def sum_by_rows_of_columns(net):
    width = net("Gather", net("Shape", "x"), net.constant(3, np.int64))
    area = net("Cast", net("Mul", width, width), to=TensorProto.FLOAT)
    return net("Div", net("ReduceSum", "x", net.constant([2, 3], np.int64)), area)


def in_double(net, x):
    """A sixth of x, as a tensor of another type; a block has one type."""
    return net("Cast", net("Div", net("Cast", x, to=TensorProto.DOUBLE), net.constant(6, np.float64)),
               to=TensorProto.FLOAT)


def power(net, x, one=1, above=1):
    return net("Div", net.constant(above), net("Add", net("Exp", net("Neg", x)), net.constant(one)))


def cast_twice(net, x, kind):
    return net("Cast", net("Cast", x, to=kind), to=TensorProto.FLOAT)


def bias_along_width(net, logits):
    return net("Sigmoid", net("Add", logits, net.constant(np.arange(CHANNELS))))


LOOKALIKES = {
    # Means of something else.
    "maximum": pooled(lambda net: net("GlobalMaxPool", "x")),
    "of-another": lambda net: net("Mul", "x", excite(net, pool(net, net("Relu", "x")))),
    "for-another": lambda net: net("Mul", net("Relu", "x"), excite(net, pool(net))),
    "rows": pooled(lambda net: net.mean("x", [3])),
    "columns-and-channels": pooled(lambda net: net("Expand", net.mean("x", [1, 3]),
                                                   net.constant([1, CHANNELS, HEIGHT, 1], np.int64))),
    "none": lambda net: net("Mul", "x", excite(net, "x")),
    "same-size": pooled(lambda net: net("AveragePool", "x", kernel_shape=WHOLE, auto_pad="SAME_UPPER")),
    "tiles": pooled(lambda net: net("AveragePool", "x", kernel_shape=(HEIGHT, 1), strides=(1, 1))),
    "padded": pooled(lambda net: net("AveragePool", "x", kernel_shape=WHOLE, pads=[10, 0, 0, 0])),
    "sum": pooled(lambda net: net("ReduceSum", "x", net.constant([2, 3], np.int64))),
    "sum-by-another": pooled(lambda net: net("Div", net("ReduceSum", "x", net.constant([2, 3], np.int64)),
                                             net.constant(HEIGHT * WIDTH - 1))),
    "rows-of-sums": pooled(rows_of_sums),
    "viewed-by-width": pooled(viewed_by_width),
    "sum-by-rows-of-columns": pooled(sum_by_rows_of_columns),
    "half-mean": pooled(lambda net: net("Mul", pool(net), net.constant(0.5))),
    "larger": pooled(lambda net: net("AveragePool", net("Pad", "x", net.constant([0, 0, 1, 0, 0, 0, 0, 0], np.int64)),
                                     kernel_shape=(HEIGHT + 1, WIDTH))),
    "shuffled": pooled(lambda net: shuffled(net, pool(net))),
    "integers": pooled(lambda net: pool(net, cast_twice(net, "x", TensorProto.INT32))),
    "mean-in-integers": pooled(lambda net: cast_twice(net, pool(net), TensorProto.INT8)),
    "mean-and-maximum": of_mean_and_maximum,
    # Other layers.
    "one-layer": lambda net: net("Mul", "x", net("Sigmoid", square(net, pool(net)))),
    "three-layers": hidden(lambda net: net("Relu", square(net, net("Relu", layer(net, pool(net))), SQUEEZE))),
    "two-layers-beside": hidden(lambda net: net("Elu", net("Add", layer(net, pool(net)), layer(net, pool(net))))),
    "gelu-of-another": hidden(lambda net: gelu(net, layer(net, pool(net, net("Relu", "x"))))),
    "grouped": hidden(lambda net: net("Relu", net("Conv", pool(net), net.constant(
        np.ones((SQUEEZE, CHANNELS // 3, 1, 1))), group=3))),
    "padded-layer": hidden(lambda net: net("Relu", layer(net, pool(net), pads=[0, 0, 10, 5]))),
    "one-for-all": lambda net: net("Mul", "x", net("Sigmoid", net(
        "Conv", net("Relu", layer(net, pool(net))), net.constant(np.ones((1, SQUEEZE, 1, 1)))))),
    "batch": between(normalised_by_batch),
    "clipped-mid": between(lambda net, x: net.clip(x, 0, 5)),
    "raised-mid": between(lambda net, x: net.clip(x, -1)),
    "mirrored-mid": between(lambda net, x: net.clip(x, high=0)),
    "leaky-mid": between(lambda net, x: net("LeakyRelu", x)),
    "gelu-mid": between(gelu),
    "tanh-gelu-mid": between(tanh_gelu),
    "softmax-mid": between(lambda net, x: net("Softmax", x, axis=1)),
    "quick-gelu-mid": between(lambda net, x: net("QuickGelu", x)),
    "other-swish-mid": between(lambda net, x: net("Mul", x, net("Sigmoid", net("Mul", x, net.constant(2))))),
    "twice-silu-mid": between(lambda net, x: net("Mul", MIDS["silu"][1](net, x), net.constant(2))),
    "other-hardswish-mid": between(lambda net, x: net("Mul", x, net("HardSigmoid", x, alpha=0.2))),
    # Other gates.
    "softmax": gated(lambda net, x: net("Softmax", x, axis=1)),
    "tanh": gated(lambda net, x: net("Tanh", x)),
    "twice": gated(lambda net, x: net("Mul", net("Sigmoid", x), net.constant(2))),
    "half-more": gated(lambda net, x: net("Add", net("Sigmoid", x), net.constant(0.5))),
    "complement-and-half": gated(lambda net, x: net("Sub", net.constant(1.5), net("Sigmoid", x))),
    "low-end": gated(lambda net, x: net.clip(net("HardSigmoid", x), 0.1, 1)),
    "high-end": gated(lambda net, x: net("Div", net.clip(net("Add", x, net.constant(3)), 0, 5), net.constant(6))),
    "falling": gated(lambda net, x: net("Sub", net.constant(1), net("HardSigmoid", x))),
    "relu": gated(lambda net, x: net("Relu", x)),
    "unscaled": gated(GATES["unscaled"][1]),
    "fifth-after": lambda net: net("Div", gated(GATES["unscaled"][1])(net), net.constant(5)),
    "divided-into": lambda net: net("Div", net.constant(6), gated(GATES["unscaled"][1])(net)),
    "factors-of-channels": lambda net: net("Mul", gated(GATES["unscaled"][1])(net),
                                           net.constant(np.linspace(0.1, 0.2, CHANNELS).reshape(-1, 1, 1))),
    "factor-of-five-axes": lambda net: net.reshape(net("Mul", gated(GATES["unscaled"][1])(net), net.constant(
        np.full((1,) * 5, 1 / 6))), 1, CHANNELS, *WHOLE),
    "of-a-multiple": lambda net: net("Mul", net("Mul", "x", net.constant(2)), excite(net, pool(net))),
    "power-and-two": gated(lambda net, x: power(net, x, 2)),
    "two-by-power": gated(lambda net, x: power(net, x, above=2)),
    "factor-of-another-type": lambda net: in_double(net, gated(GATES["unscaled"][1])(net)),
    "clipped-power": gated(lambda net, x: power(net, net.clip(x, -1, 1))),
    "half-tanh": gated(lambda net, x: net("Mul", net("Tanh", x), net.constant(0.5))),
    "shuffled-gates": gated(lambda net, x: shuffled(net, net("Sigmoid", x))),
    "other-bias": gated(bias_along_width),
    "and-another": gated(lambda net, x: net("Add", net("Sigmoid", x), net("Sigmoid", pool(net)))),
    "along-width": lambda net: net("Mul", "x", net.reshape(excite(net, pool(net)), 1, 1, 1, CHANNELS)),
    "vector-along-width": lambda net: net("Mul", "x", net("Flatten", excite(net, pool(net)))),
    "added": lambda net: net("Add", "x", excite(net, pool(net))),
    "divided": lambda net: net("Div", "x", excite(net, pool(net))),
}


def lookalike(name):
    """The network of that key of LOOKALIKES, from `x` to `y`."""
    net = Net(opset=17)
    net("Identity", LOOKALIKES[name](net), output="y")
    shape = (1, CHANNELS, *WHOLE)
    return net.model({"x": shape}, {"y": shape})
