# SPDX-License-Identifier: Apache-2.0
"""Small ONNX networks with one squeeze-and-excite block in the many ways that exporters and tools spell it."""

import dataclasses

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from tiled_se.gen.network.graph import Graph
from tiled_se.golden.block import FloatBlock
from tiled_se.hdl.config import Gate, GateKind, Mid

from .onnx_net import Net

__all__ = ["CHANNELS", "HEIGHT", "SPELLINGS", "SQUEEZE", "WIDTH", "Spelling", "block", "graph_of", "network", "se"]

CHANNELS, SQUEEZE, HEIGHT, WIDTH = 6, 3, 11, 5


def _two_means(net, x):
    return net.mean(net.mean(x, [3]), [2])


def _flat(net, x):
    return net.reshape(net.mean(net.reshape(x, 0, CHANNELS, -1), [-1]), 0, CHANNELS, 1, 1)


def _sum(net, x):
    return net.along("ReduceSum", x, [2, 3], 13, keepdims=1)


def _pad(net, x):
    if net.opset >= 11:
        return net("Pad", x, net.constant([0] * 8, np.int64))
    return net("Pad", x, pads=[0] * 8)


# Each gives (N, C, 1, 1); `size` is (height, width).
POOLS = {
    "global": lambda net, x, size: net("GlobalAveragePool", x),
    "mean": lambda net, x, size: net.mean(x, [2, 3]),
    "negative": lambda net, x, size: net.mean(x, [-1, -2]),
    "dropped": lambda net, x, size: net.reshape(net.mean(x, [2, 3], keepdims=0), 0, CHANNELS, 1, 1),
    "twice": lambda net, x, size: _two_means(net, x),
    "flat": lambda net, x, size: _flat(net, x),
    "divided": lambda net, x, size: net("Div", _sum(net, x), net.constant(size[0] * size[1])),
    "multiplied": lambda net, x, size: net("Mul", net.constant(1 / (size[0] * size[1])), _sum(net, x)),
    "whole": lambda net, x, size: net("AveragePool", x, kernel_shape=size),
    "padded": lambda net, x, size: net("AveragePool", _pad(net, x), kernel_shape=size),
    "cast": lambda net, x, size: net("Cast", net("GlobalAveragePool", net("Cast", x, to=TensorProto.FLOAT)),
                                     to=TensorProto.FLOAT),
}


def _vector(net, x, joint):
    """(N, C, 1, 1) as (N, C)."""
    if joint == "flatten":
        return net("Flatten", x)
    if joint == "squeeze":
        return net.along("Squeeze", x, [2, 3], 13)
    return net("Reshape", x, _sizes(net, x, 2)) if joint == "shape" else net.reshape(x, -1, CHANNELS)


def _sizes(net, x, rank):
    """The shape (N, C, 1, ...) as exporters compute it where the batch is open."""
    shape = net("Shape", x)
    parts = [net.along("Unsqueeze", net("Gather", shape, net.constant(axis, np.int64)), [0], 13) for axis in (0, 1)]
    return net("Concat", *parts, *[net.constant([1], np.int64)] * (rank - 2), axis=0)


def _map(net, x, joint, channels):
    """(N, C) as (N, C, 1, 1)."""
    if joint == "squeeze":
        return net.along("Unsqueeze", x, [2, 3], 13)
    return net("Reshape", x, _sizes(net, x, 4)) if joint == "shape" else net.reshape(x, -1, channels, 1, 1)


def _conv(net, x, w, b, layer):
    if layer == "normalised":
        # Of numbers that give w and b together with the normalisation.
        gain, mean, variance = (np.linspace(low, 2, len(b)) for low in (0.5, -1, 0.25))
        scale = gain / np.sqrt(variance + 1e-3)
        weight = net.constant((w / scale[:, None])[:, :, None, None])
        arrays = [net.constant(array) for array in (gain, b + mean * scale, mean, variance)]
        return net("BatchNormalization", net("Conv", x, weight), *arrays, epsilon=1e-3)
    weight = net.constant(w[:, :, None, None])
    if layer == "apart":
        return net("Add", net.constant(b[:, None, None]), net("Conv", x, weight, kernel_shape=[1, 1]))
    if layer == "bare":
        return net("Conv", x, weight)
    if layer == "integers":
        integers = net.constant(np.rint(w * 128)[:, :, None, None], np.int8)
        weight = net("DequantizeLinear", integers, net.constant(1 / 128))
    if layer == "halves":
        weight = net("Cast", net.constant(w[:, :, None, None], np.float16), to=TensorProto.FLOAT)
    if layer == "node":
        weight = net("Identity", net("Constant", value=numpy_helper.from_array(w.astype(net.kind)[:, :, None, None])))
    return net("Conv", x, weight, net.constant(b))


def _dense(net, x, w, b, layer):
    if layer == "gemm":
        return net("Gemm", x, net.constant(w), net.constant(b), transB=1)
    if layer == "scaled":
        return net("Gemm", x, net.constant(w.T / 2), net.constant(b / 4), alpha=2.0, beta=4.0)
    weight = net.constant(w.T)
    if layer == "transposed":
        weight = net("Transpose", net.constant(w), perm=[1, 0])
    return net("Add", net("MatMul", x, weight), net.constant(b))


def _relu6(net, x):
    return net.clip(x, 0, 6)


def _plus3(net, x):
    return net("Add", x, net.constant(3))


def _hardswish(net, x):
    return net("Div", net("Mul", x, _relu6(net, _plus3(net, x))), net.constant(6))


MIDS = {
    "relu": (Mid.RELU, lambda net, x: net("Relu", x)),
    "clip": (Mid.RELU, lambda net, x: net.clip(x, low=0)),
    "max": (Mid.RELU, lambda net, x: net("Max", net.constant(0), x)),
    "doubled": (Mid.RELU, lambda net, x: net("Mul", net("Relu", net("Mul", x, net.constant(2))), net.constant(0.5))),
    "relu6": (Mid.RELU6, _relu6),
    "min": (Mid.RELU6, lambda net, x: net("Min", net("Relu", x), net.constant(6))),
    "silu": (Mid.SILU, lambda net, x: net("Mul", x, net("Sigmoid", x))),
    "quick": (Mid.SILU, lambda net, x: net("QuickGelu", x, alpha=1.0)),
    "swish": (Mid.SILU, lambda net, x: net("Swish", x)),
    "hardswish": (Mid.HARDSWISH, lambda net, x: net("HardSwish", x)),
    "product": (Mid.HARDSWISH, lambda net, x: net("Mul", net("HardSigmoid", x, alpha=1 / 6), x)),
    "divided": (Mid.HARDSWISH, _hardswish),
    "sixth": (Mid.HARDSWISH, lambda net, x: net("Mul", net("Mul", x, net.constant(1 / 6)),
                                                _relu6(net, _plus3(net, x)))),
    "identity": (Mid.IDENTITY, lambda net, x: x),
    "dropout": (Mid.RELU, lambda net, x: net("Dropout", net("Relu", x))),
}
SIXTH, FIFTH = Gate(GateKind.HARDSIGMOID, 1 / 6, 0.5), Gate(GateKind.HARDSIGMOID, 0.2, 0.5)
GATES = {
    "sigmoid": (Gate(), lambda net, x: net("Sigmoid", x)),
    "fifth": (FIFTH, lambda net, x: net("HardSigmoid", x)),
    "sixth": (SIXTH, lambda net, x: net("HardSigmoid", x, alpha=1 / 6, beta=0.5)),
    "relu6": (SIXTH, lambda net, x: net("Div", _relu6(net, _plus3(net, x)), net.constant(6))),
    "ramp": (SIXTH, lambda net, x: net.clip(net("Mul", net.constant(1 / 6), _plus3(net, x)), 0, 1)),
    "ends": (FIFTH, lambda net, x: net("Max", net("Min", net("Add", net("Mul", x, net.constant(0.2)),
                                                             net.constant(0.5)), net.constant(1)), net.constant(0))),
    "mirrored": (SIXTH, lambda net, x: net("Neg", net.clip(net("Div", net("Sub", net.constant(-3), x),
                                                               net.constant(6)), -1, 0))),
    "steep": (Gate(GateKind.HARDSIGMOID, 0.75, 0.25), lambda net, x: net("HardSigmoid", x, alpha=0.75, beta=0.25)),
}


def _plus_one(net, x, gates):
    return net("Mul", net("Add", gates, net.constant(1)), x)


ENDS = {
    "mul": (False, lambda net, x, gates: net("Mul", x, gates)),
    "swapped": (False, lambda net, x, gates: net("Mul", gates, x)),
    "expanded": (False, lambda net, x, gates: net("Mul", x, net("Expand", gates, net("Shape", x)))),
    "add": (True, lambda net, x, gates: net("Add", x, net("Mul", x, gates))),
    "added": (True, lambda net, x, gates: net("Add", net("Identity", net("Mul", gates, x)), x)),
    "one": (True, _plus_one),
}


@dataclasses.dataclass(frozen=True)
class Spelling:
    """How a block is written: keys of POOLS, MIDS, GATES, ENDS, a kind of layer, the joint between maps and vectors.

    ``last`` is for feature maps (N, H, W, C), "turned" for such a product of a map (N, C, H, W).
    """

    pool: str = "global"
    layer: str = "conv"
    mid: str = "relu"
    gate: str = "sigmoid"
    end: str = "mul"
    joint: str = "reshape"
    last: bool | str = False
    opset: int = 13

    @property
    def sized(self):
        """Whether the spelling is right for one size of the map only."""
        return self.pool in ("divided", "multiplied", "whole", "padded")


def block(spelling=None, seed=1):
    """The FloatBlock that a network of this :class:`Spelling` holds; its numbers are exact in every type."""
    spelling = spelling or Spelling()
    rng = np.random.default_rng(seed)
    shapes = ((SQUEEZE, CHANNELS), SQUEEZE, (CHANNELS, SQUEEZE), CHANNELS)
    arrays = [rng.integers(-127, 128, shape) / 128 for shape in shapes]
    if spelling.layer == "bare":
        arrays[1], arrays[3] = np.zeros(SQUEEZE), np.zeros(CHANNELS)
    return FloatBlock(*arrays, MIDS[spelling.mid][0], GATES[spelling.gate][0], ENDS[spelling.end][0])


def se(net, x, spelling, size=(HEIGHT, WIDTH), seed=1):
    """Put the block of :func:`block` behind tensor `x`; the name of its output."""
    held = block(spelling, seed)
    if spelling.last:
        return _se_last(net, x, spelling, held)
    means = POOLS[spelling.pool](net, x, size)
    dense = spelling.layer in DENSE
    hidden = _dense(net, _vector(net, means, spelling.joint), held.w1, held.b1, spelling.layer) if dense else \
        _conv(net, means, held.w1, held.b1, spelling.layer)
    hidden = MIDS[spelling.mid][1](net, hidden)
    logits = (_dense if dense else _conv)(net, hidden, held.w2, held.b2, spelling.layer)
    gates = GATES[spelling.gate][1](net, logits)
    return ENDS[spelling.end][1](net, x, _map(net, gates, spelling.joint, CHANNELS) if dense else gates)


def _se_last(net, x, spelling, held):
    layer = "matmul" if spelling.layer == "conv" else spelling.layer
    inner = net("Transpose", x, perm=[0, 2, 3, 1]) if spelling.last == "turned" else x
    means = net("Flatten", net("GlobalAveragePool", x)) if spelling.last == "turned" else net.mean(x, [1, 2])
    hidden = MIDS[spelling.mid][1](net, _dense(net, means, held.w1, held.b1, layer))
    gates = GATES[spelling.gate][1](net, _dense(net, hidden, held.w2, held.b2, layer))
    if spelling.last != "turned":
        return ENDS[spelling.end][1](net, x, gates)
    scaled = net("Transpose", net("Mul", inner, net.reshape(gates, -1, 1, 1, CHANNELS)), perm=[0, 3, 1, 2])
    return net("Add", x, scaled) if spelling.end == "add" else scaled


DENSE = ("gemm", "scaled", "matmul", "transposed")


def network(spelling=None, height=HEIGHT, kind=np.float32, batch=1, seed=1):
    """A network that is nothing but the block: `x` in, `y` out; `height` may be a name, for any."""
    spelling = spelling or Spelling()
    net = Net(spelling.opset, kind)
    made = se(net, "x", spelling, (height, WIDTH), seed)
    net("Identity", made, output="y")
    shape = (batch, height, WIDTH, CHANNELS) if spelling.last is True else (batch, CHANNELS, height, WIDTH)
    return net.model({"x": shape}, {"y": shape})


def graph_of(model):
    """The Graph of `model` with the shapes that can be inferred."""
    return Graph(onnx.shape_inference.infer_shapes(model, data_prop=True))


SPELLINGS = {
    **{f"pool-{pool}": Spelling(pool=pool) for pool in POOLS},
    **{f"layer-{layer}": Spelling(layer=layer) for layer in ("normalised", "apart", "bare", "integers", "halves",
                                                             "node", *DENSE)},
    **{f"joint-{joint}": Spelling(layer="gemm", joint=joint) for joint in ("flatten", "squeeze", "shape")},
    **{f"mid-{mid}": Spelling(mid=mid, opset={"hardswish": 14, "swish": 24}.get(mid, 13)) for mid in MIDS},
    **{f"gate-{gate}": Spelling(gate=gate) for gate in GATES},
    **{f"end-{end}": Spelling(end=end, gate="fifth") for end in ENDS},
    **{f"last-{end}": Spelling(end=end, last=True, mid="silu") for end in ("mul", "add", "one")},
    **{f"turned-{end}": Spelling(end=end, last="turned") for end in ("mul", "add")},
    **{f"opset-{opset}": Spelling(opset=opset, gate="relu6", mid="relu6", layer="gemm", pool="mean", joint="squeeze")
       for opset in (7, 9, 10, 11, 17, 18, 21, 23)},
}
