# SPDX-License-Identifier: Apache-2.0
"""Small ONNX networks with one squeeze-and-excite block in the many ways that exporters and tools spell it."""

import dataclasses

import numpy as np
from onnx import TensorProto, numpy_helper

from tests.helpers.onnx_net import Net
from tests.helpers.onnx_parts import CHANNELS, ENDS, FACTORS, GATES, MIDS, POOLS
from tiled_se.golden.block import FloatBlock

__all__ = ["CHANNELS", "HEIGHT", "SHAPE", "SPELLINGS", "SQUEEZE", "WIDTH", "Spelling", "block", "network",
           "se", "whole"]

SQUEEZE, HEIGHT, WIDTH = 3, 11, 5
SHAPE = (1, CHANNELS, HEIGHT, WIDTH)


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
    if layer == "doubled":
        halves = net.constant(w[:, :, None, None] / 2), net.constant((b - 1) / 2)
        return net("Add", net("Mul", net("Conv", x, *halves), net.constant(2)), net.constant(1))
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


@dataclasses.dataclass(frozen=True)
class Spelling:
    """How a block is written: keys of POOLS, MIDS, GATES, ENDS, a kind of layer, the joint between maps and vectors.

    With the gate "unscaled" the end is a key of FACTORS. ``last`` is for feature maps (N, H, W, C), "turned" for such a
    product of a map (N, C, H, W).
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
    def ending(self):
        """Whether the block is residual, and what writes its end."""
        return (FACTORS if self.gate == "unscaled" else ENDS)[self.end]

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
    return FloatBlock(*arrays, MIDS[spelling.mid][0], GATES[spelling.gate][0], spelling.ending[0])


def se(net, x, spelling, size=(HEIGHT, WIDTH), seed=1):
    """Put the block of :func:`block` after tensor `x`; the name of its output."""
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
    return spelling.ending[1](net, x, _map(net, gates, spelling.joint, CHANNELS) if dense else gates)


def _se_last(net, x, spelling, held):
    layer = "matmul" if spelling.layer == "conv" else spelling.layer
    inner = net("Transpose", x, perm=[0, 2, 3, 1]) if spelling.last == "turned" else x
    means = net("Flatten", net("GlobalAveragePool", x)) if spelling.last == "turned" else net.mean(x, [1, 2])
    hidden = MIDS[spelling.mid][1](net, _dense(net, means, held.w1, held.b1, layer))
    gates = GATES[spelling.gate][1](net, _dense(net, hidden, held.w2, held.b2, layer))
    if spelling.last != "turned":
        return spelling.ending[1](net, x, gates)
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


def whole(net, y=None, shape=SHAPE):
    """The model of `net` from `x` to `y`, maps of that shape; the tensor `y` becomes the output, if it is given."""
    if y is not None:
        net("Identity", y, output="y")
    return net.model({"x": shape}, {"y": shape})


SPELLINGS = {
    **{f"pool-{pool}": Spelling(pool=pool) for pool in POOLS},
    **{f"layer-{layer}": Spelling(layer=layer) for layer in ("normalised", "apart", "bare", "integers", "halves",
                                                             "node", "doubled", *DENSE)},
    **{f"joint-{joint}": Spelling(layer="gemm", joint=joint) for joint in ("flatten", "squeeze", "shape")},
    **{f"mid-{mid}": Spelling(mid=mid, opset={"hardswish": 14, "swish": 24}.get(mid, 13)) for mid in MIDS},
    **{f"gate-{gate}": Spelling(gate=gate) for gate in GATES if gate != "unscaled"},
    **{f"factor-{end}": Spelling(gate="unscaled", end=end) for end in FACTORS},
    "factor-last": Spelling(gate="unscaled", end="after", last=True),
    **{f"end-{end}": Spelling(end=end, gate="fifth") for end in ENDS},
    **{f"last-{end}": Spelling(end=end, last=True, mid="silu") for end in ("mul", "add", "one")},
    **{f"turned-{end}": Spelling(end=end, last="turned") for end in ("mul", "add")},
    **{f"opset-{opset}": Spelling(opset=opset, gate="relu6", mid="relu6", layer="gemm", pool="mean", joint="squeeze")
       for opset in (7, 9, 10, 11, 17, 18, 21, 23)},
}
