# SPDX-License-Identifier: Apache-2.0
"""Networks that are easily misread by their axes, their order or their operators; see onnx_misleading."""

import numpy as np
from onnx import TensorProto, helper

from tests.helpers.onnx_lookalikes import between, gated, hidden, layer, pool, pooled, shuffled, square
from tests.helpers.onnx_misleading import HEIGHT, WIDTH, Misleading, batch_of
from tests.helpers.onnx_networks import SQUEEZE, block
from tests.helpers.onnx_parts import CHANNELS

__all__ = ["AXES", "UNKNOWN"]

BATCH, SQUARE = np.array([-4.0, 0, 4]), np.random.default_rng(7).integers(-12, 13, (6, 6)) / 8
SIX = np.array([-4.0, -2, 0, 1, 3, 5])


def added(numbers, *shape):
    """A constant of that shape added to the hidden vector."""
    return between(lambda net, x: net("Relu", net("Add", x, net.constant(np.reshape(numbers, shape)))))


def flat(make):
    """`make` has the vectors (N, CR) between dense layers, and gives what the second layer reads."""
    def network(net):
        held = block()
        vector = net("Gemm", net("Flatten", pool(net)), net.constant(held.w1), net.constant(held.b1), transB=1)
        logits = net("Gemm", make(net, vector), net.constant(held.w2), net.constant(held.b2), transB=1)
        return net("Mul", "x", net("Sigmoid", net.reshape(logits, -1, CHANNELS, 1, 1)))

    return network


def dense(make):
    """`make` makes vectors (N, C) of such vectors, twice."""
    def network(net):
        vector = net("Flatten", pool(net))
        gates = net("Sigmoid", make(net, net("Relu", make(net, vector))))
        return net("Mul", "x", net.reshape(gates, -1, CHANNELS, 1, 1))

    return network


def across_the_batch(net, x):
    """A layer on what is the batch, as the vector's axes are (1, N, C)."""
    turned = net.along("Unsqueeze", net("Flatten", x), [0, 3], 13)
    return net.reshape(net("Conv", turned, net.constant(SQUARE[:, :, None, None])), -1, CHANNELS, 1, 1)


def normalised_along_the_batch(net, x):
    numbers = [net.constant(part) for part in ([1, 2, 3], [0, 1, -1], [0, 0.5, 0], [1, 1, 2])]
    turned = net.along("Unsqueeze", x, [0], 13)
    return net("Relu", net.along("Squeeze", net("BatchNormalization", turned, *numbers), [0], 13))


def left(net, x):
    """A matrix from the left of (N, C): it mixes images."""
    return net("MatMul", net.constant(SQUARE), x)


def left_of_columns(net, x):
    """A matrix from the left of (N, C, 1)."""
    column = net.along("Unsqueeze", x, [2], 13)
    return net.along("Squeeze", net("MatMul", net.constant(SQUARE), column), [2], 13)


def clipped(net, x):
    x = net("Max", x, net.constant(np.zeros((SQUEEZE, 1, 1))))
    return net("Min", x, net.constant(np.array([6, 6, 0.1]).reshape(-1, 1, 1)))


def multiplied_by_columns(net):
    """(N, C) times (C, 1, 1) is (C, N, C): as many outputs as channels."""
    held = block()
    means = net("Mul", net("Flatten", pool(net)), net.constant(np.linspace(0.5, 2, CHANNELS).reshape(-1, 1, 1)))
    hidden = net("Relu", net("MatMul", means, net.constant(held.w1.T)))
    gates = net("Sigmoid", net("MatMul", hidden, net.constant(held.w2.T)))
    return net("Mul", "x", net.reshape(gates, CHANNELS, CHANNELS, 1, 1))


AXES = {
    # A constant that varies along another axis, of a size that fits.
    "batch-added-to-means": Misleading(pooled(lambda net: net("Add", pool(net), net.constant(SIX.reshape(6, 1, 1, 1)))),
                                       "left out", **batch_of(CHANNELS)),
    "batch-times-means": Misleading(pooled(lambda net: net("Mul", pool(net), net.constant(SIX.reshape(6, 1, 1, 1)))),
                                    "left out", **batch_of(CHANNELS)),
    "batch-added-to-hidden": Misleading(added(BATCH, 3, 1, 1, 1), "left out", **batch_of(3)),
    "batch-added-after-the-second": Misleading(
        gated(lambda net, x: net("Sigmoid", net("Add", x, net.constant(SIX.reshape(6, 1, 1, 1))))), "left out",
        **batch_of(CHANNELS)),
    "batch-times-logits": Misleading(
        gated(lambda net, x: net("Sigmoid", net("Mul", x, net.constant(SIX.reshape(6, 1, 1, 1))))), "left out",
        **batch_of(CHANNELS)),
    "batch-times-gates": Misleading(
        gated(lambda net, x: net("Mul", net("Sigmoid", x), net.constant(SIX.reshape(6, 1, 1, 1)))), "left out",
        **batch_of(CHANNELS)),
    "rows-added-to-hidden": Misleading(added(BATCH, 3, 1), "left out"),
    "columns-added-to-logits": Misleading(
        gated(lambda net, x: net("Sigmoid", net("Add", x, net.constant(SIX)))), "left out"),
    "columns-added-to-means": Misleading(pooled(lambda net: net("Add", pool(net), net.constant(SIX))), "left out"),
    "rows-times-gates": Misleading(
        gated(lambda net, x: net("Mul", net("Sigmoid", x), net.constant(BATCH.reshape(3, 1)))), "left out"),
    "column-added-to-a-vector": Misleading(
        flat(lambda net, x: net("Relu", net("Add", x, net.constant(BATCH.reshape(3, 1))))), "left out", **batch_of(3)),
    "column-times-a-vector": Misleading(
        flat(lambda net, x: net("Relu", net("Mul", x, net.constant(BATCH.reshape(3, 1))))), "left out", **batch_of(3)),
    "column-as-bias-of-gemm": Misleading(
        dense(lambda net, x: net("Gemm", x, net.constant(SQUARE), net.constant(SIX.reshape(6, 1)))), "left out",
        **batch_of(CHANNELS)),
    "row-as-bias-of-gemm": Misleading(
        dense(lambda net, x: net("Gemm", x, net.constant(SQUARE), net.constant(SIX.reshape(1, 6)))), "block",
        **batch_of(CHANNELS)),
    "one-number-as-bias-of-gemm": Misleading(
        dense(lambda net, x: net("Gemm", x, net.constant(SQUARE), net.constant([[0.5]]))), "block"),
    "matrix-as-bias-of-gemm": Misleading(
        dense(lambda net, x: net("Gemm", x, net.constant(SQUARE), net.constant(SQUARE))), "left out",
        **batch_of(CHANNELS)),
    "normalised-along-the-batch": Misleading(flat(normalised_along_the_batch), "left out", **batch_of(3)),
    "layer-across-the-batch": Misleading(
        lambda net: net("Mul", "x", net("Sigmoid", square(net, net("Relu", across_the_batch(net, pool(net)))))),
        "left out", **batch_of(CHANNELS)),
    "matrix-from-the-left": Misleading(dense(left), "left out", **batch_of(CHANNELS)),
    "matrix-from-the-left-of-columns": Misleading(dense(left_of_columns), "block", **batch_of(CHANNELS)),
    "square-gemm": Misleading(dense(lambda net, x: net("Gemm", x, net.constant(SQUARE))), "block"),
    "square-gemm-transposed": Misleading(
        dense(lambda net, x: net("Gemm", x, net.constant(SQUARE), "", transB=1, alpha=0.5)), "block"),
    "gemm-of-a-transposed-vector": Misleading(
        dense(lambda net, x: net("Gemm", x, net.constant(SQUARE), transA=1)), "left out", **batch_of(CHANNELS)),
    "square-matmul-transposed": Misleading(
        dense(lambda net, x: net("MatMul", x, net("Transpose", net.constant(SQUARE)))), "block"),
    "slopes-of-prelu": Misleading(
        between(lambda net, x: net("PRelu", x, net.constant(np.reshape([0.2, 1, 0], (3, 1, 1))))), "left out"),
    "slopes-along-the-batch": Misleading(
        between(lambda net, x: net("PRelu", x, net.constant(np.reshape([0.2, 1, 0], (3, 1, 1, 1))))), "left out",
        **batch_of(3)),
    "ends-of-each-channel": Misleading(between(clipped), "left out"),
    "vector-times-columns": Misleading(multiplied_by_columns, "left out"),
}


def sizes(net, *parts):
    """A shape that is computed: numbers as they are, and pairs of an axis of x and a divisor of its size."""
    shape = net("Shape", "x")
    parts = [net.constant([part], np.int64) if isinstance(part, int) else
             net("Div", net("Gather", shape, net.constant(part[:1], np.int64)), net.constant(part[1:], np.int64))
             for part in parts]
    return net("Concat", *parts, axis=0)


def turned(net, x, *between, channels):
    """`x` in another order: a Transpose between two shapes, the first of them computed."""
    inner = net("Transpose", net("Reshape", x, sizes(net, *between)), perm=[0, 2, 1])
    return net.reshape(inner, -1, channels, 1, 1)


def turned_means(net, x):
    return net("Transpose", x, perm=[1, 0]) if x.startswith("flatten") else x


def rolled(net, x):
    ends = [[1], [100], [1]], [[0], [1], [1]]
    return net("Concat", *(net("Slice", x, *(net.constant(end, np.int64) for end in part)) for part in ends), axis=1)


def chosen(net, x):
    return net("Gather", x, net.constant([1, 2, 0], np.int64), axis=1)


def branch(net, operator, name):
    return helper.make_graph([helper.make_node(operator, [name], [f"{operator}_inner"])], operator, [],
                             [helper.make_tensor_value_info(f"{operator}_inner", TensorProto.FLOAT, None)])


def conditional(net, x):
    positive = net("Greater", net("ReduceMean", "x", keepdims=0), net.constant(0))
    return net("If", positive, then_branch=branch(net, "Relu", x), else_branch=branch(net, "Tanh", x))


def looped(net, x):
    body = helper.make_graph(
        [helper.make_node("Add", ["carried", "carried"], ["double"]), helper.make_node("Identity", ["go"], ["gone"])],
        "body", [helper.make_tensor_value_info("i", TensorProto.INT64, []),
                 helper.make_tensor_value_info("go", TensorProto.BOOL, []),
                 helper.make_tensor_value_info("carried", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("gone", TensorProto.BOOL, []),
         helper.make_tensor_value_info("double", TensorProto.FLOAT, None)])
    return net("Loop", net.constant(2, np.int64), net.constant(True, np.bool_), net("Relu", x), body=body)


def of_rank(axes):
    """The network on maps of that many axes, whose input declares no shape."""
    def make(net):
        held = block()
        weights = [net.constant(held.w1.reshape(SQUEEZE, CHANNELS, *[1] * (axes - 2))),
                   net.constant(held.w2.reshape(CHANNELS, SQUEEZE, *[1] * (axes - 2)))]
        return net("Mul", "x", net("Sigmoid", net("Conv", net("Relu", net("Conv", pool(net), weights[0])), weights[1])))

    return make


def padded_by_computed(net):
    rows = net("Sub", net("Gather", net("Shape", "x"), net.constant([2], np.int64)), net.constant([2], np.int64))
    zeros = net.constant([0] * 2, np.int64), net.constant([0] * 5, np.int64)
    pads = net("Concat", zeros[0], rows, zeros[1], axis=0)
    return net("GlobalAveragePool", net("Pad", "x", pads))


def of_layer(**about):
    return hidden(lambda net: net("Relu", layer(net, pool(net), **about)))


def in_training(net, x):
    return net("Dropout", net("Relu", x), net.constant(0.9), net.constant(True, np.bool_), seed=1)


def like_map(net, number, kind=np.int32):
    """`number` of that type, in the type of the map."""
    return net("CastLike", net.constant(number, kind), "x")


UNKNOWN = {
    # What is not known is not harmless.
    "hidden-turned": Misleading(
        between(lambda net, x: turned(net, net("Relu", x), (0, 1), -1, 1, channels=SQUEEZE)), "unsupported"),
    "hidden-turned-by-two": Misleading(lambda net: net("Mul", "x", net("Sigmoid", square(net, turned(
        net, net("Relu", square(net, pool(net))), (0, 1), 2, (1, 2), channels=CHANNELS)))), "left out"),
    "means-turned": Misleading(
        pooled(lambda net: turned(net, pool(net), (0, 1), (1, 2), 2, channels=CHANNELS)), "left out"),
    "gates-turned": Misleading(
        gated(lambda net, x: turned(net, net("Sigmoid", x), (0, 1), (1, 2), 2, channels=CHANNELS)), "left out"),
    "means-turned-by-constants": Misleading(pooled(lambda net: shuffled(net, pool(net))), "left out"),
    "open-batch-turned": Misleading(
        dense(lambda net, x: net("Gemm", turned_means(net, x), net.constant(SQUARE))), "left out",
        shape=("N", CHANNELS, HEIGHT, WIDTH), run=(CHANNELS, CHANNELS, HEIGHT, WIDTH)),
    "hidden-expanded": Misleading(
        between(lambda net, x: net("Expand", net("Relu", x), net.constant([3, 1, 1, 1], np.int64))), "left out"),
    "hidden-expanded-to-computed": Misleading(
        between(lambda net, x: net("Expand", net("Relu", x), sizes(net, (2, 1), 1, 1, 1))), "left out"),
    "dropout-in-training": Misleading(between(in_training), "left out"),
    "floor": Misleading(between(lambda net, x: net("Floor", net("Relu", x))), "left out"),
    "integers-and-back": Misleading(between(lambda net, x: net("Cast", net(
        "Cast", net("Relu", x), to=TensorProto.INT64), to=TensorProto.FLOAT)), "left out"),
    "boolean-and-back": Misleading(between(lambda net, x: net("Cast", net(
        "Cast", net("Relu", x), to=TensorProto.BOOL), to=TensorProto.FLOAT)), "left out"),
    "like-an-integer-and-back": Misleading(between(lambda net, x: net("CastLike", net(
        "CastLike", net("Relu", x), net.constant(1, np.int32)), x)), "left out"),
    "cast-like-the-map": Misleading(between(lambda net, x: net("CastLike", net("Relu", x), "x")), "block"),
    "constants-like-the-map": Misleading(gated(lambda net, x: net("Div", net("Clip", net("Add", x, like_map(
        net, 3, np.int64)), like_map(net, 0, np.float16), like_map(net, 6, np.float64)), like_map(net, 6))), "block"),
    "rolled": Misleading(between(lambda net, x: rolled(net, net("Relu", x))), "left out"),
    "gathered": Misleading(between(lambda net, x: chosen(net, net("Relu", x))), "left out"),
    "batch-in-the-channels": Misleading(
        lambda net: net("Mul", "x", net.reshape(net("Sigmoid", square(net, net("Relu", square(
            net, net.reshape(pool(net), 1, 12, 1, 1), 12)), 12)), 2, CHANNELS, 1, 1)), "left out", **batch_of(2)),
    "five-axes": Misleading(of_rank(5), "left out", shape=None, run=(1, CHANNELS, 2, HEIGHT, WIDTH)),
    "three-axes": Misleading(of_rank(3), "left out", shape=None, run=(1, CHANNELS, WIDTH)),
    "no-shape": Misleading(of_rank(4), "block", shape=None, run=(1, CHANNELS, HEIGHT, WIDTH)),
    "strided-layer": Misleading(of_layer(strides=[2, 2]), "block"),
    "dilated-layer": Misleading(of_layer(dilations=[2, 2]), "block"),
    "layer-of-the-same-size": Misleading(of_layer(auto_pad="SAME_UPPER"), "block"),
    "layer-with-padding": Misleading(of_layer(pads=[0, 0, HEIGHT - 1, WIDTH - 1]), "left out"),
    "pad-of-a-computed-amount": Misleading(pooled(padded_by_computed), "left out"),
    "conditional": Misleading(between(conditional), "left out"),
    "loop": Misleading(between(looped), "left out"),
    "operator-of-another-domain": Misleading(
        flat(lambda net, x: net("ai.onnx.ml.Scaler", net("Relu", x), offset=[0.0], scale=[3.0])), "left out"),
    "normalised-by-another-domain": Misleading(
        flat(lambda net, x: net("ai.onnx.ml.Normalizer", net("Relu", x), norm="L2")), "left out"),
}
