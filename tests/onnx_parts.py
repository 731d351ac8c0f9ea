# SPDX-License-Identifier: Apache-2.0
"""The parts of squeeze-and-excite blocks in the many ways that exporters and tools spell them."""

import numpy as np
from onnx import TensorProto

from tiled_se.hdl.config import Gate, GateKind, Mid

__all__ = ["CHANNELS", "ENDS", "GATES", "MIDS", "POOLS"]

CHANNELS = 6


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
