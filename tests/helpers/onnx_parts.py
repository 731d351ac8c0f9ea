# SPDX-License-Identifier: Apache-2.0
"""The parts of squeeze-and-excite blocks in the many ways that exporters and tools spell them."""

import numpy as np
from onnx import TensorProto, helper

from tiled_se.hdl.config import Gate, GateKind, Mid

__all__ = ["CHANNELS", "ENDS", "FACTORS", "GATES", "MIDS", "POOLS"]

CHANNELS = 6


def _open(net, x, *parts):
    """`x` reshaped to sizes that are numbers or, as texts, computed from its own."""
    shape = net("Shape", x)
    sizes = [net.constant([part], np.int64) if isinstance(part, int) else
             net.along("Unsqueeze", net("Gather", shape, net.constant(int(part), np.int64)), [0], 13) for part in parts]
    return net("Reshape", x, net("Concat", *sizes, axis=0))


def _flattened(net, x):
    """As PyTorch's flatten(2) is exported."""
    ends = [net.constant([number], np.int64) for number in (0, 2, 0)]
    shape = net("Concat", net("Slice", net("Shape", x), *ends), net.constant([-1], np.int64), axis=0)
    return net.along("Unsqueeze", net.mean(net("Reshape", x, shape), [2], keepdims=0), [2, 3], 13)


def _mean_of_view(net, x):
    """(N, C, 1, 1) from (N, C, H * W)."""
    return net.reshape(net.mean(x, [-1]), 0, CHANNELS, 1, 1)


def _area(net, x):
    sizes = [net("Gather", net("Shape", x), net.constant(axis, np.int64)) for axis in (2, 3)]
    return net("Cast", net("Mul", *sizes), to=TensorProto.FLOAT)


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
    "twice": lambda net, x, size: net.mean(net.mean(x, [3]), [2]),
    "flat": lambda net, x, size: _mean_of_view(net, net.reshape(x, 0, CHANNELS, -1)),
    "flattened": lambda net, x, size: _flattened(net, x),
    "viewed": lambda net, x, size: _mean_of_view(net, _open(net, x, "0", "1", -1)),
    "computed": lambda net, x, size: net("Div", _sum(net, x), _area(net, x)),
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


def _power(net, x):
    return net("Add", net.constant(1), net("Exp", net("Neg", x)))


def _tanh(net, x):
    return net("Tanh", net("Mul", x, net.constant(0.5)))


GATES = {
    "sigmoid": (Gate(), lambda net, x: net("Sigmoid", x)),
    "power": (Gate(), lambda net, x: net("Div", net.constant(1), _power(net, x))),
    "reciprocal": (Gate(), lambda net, x: net("Reciprocal", _power(net, x))),
    "negated": (Gate(), lambda net, x: net("Sub", net.constant(1), net("Sigmoid", net("Neg", x)))),
    "tanh": (Gate(), lambda net, x: net("Mul", net("Add", _tanh(net, x), net.constant(1)), net.constant(0.5))),
    "fifth": (FIFTH, lambda net, x: net("HardSigmoid", x)),
    "sixth": (SIXTH, lambda net, x: net("HardSigmoid", x, alpha=1 / 6, beta=0.5)),
    "relu6": (SIXTH, lambda net, x: net("Div", _relu6(net, _plus3(net, x)), net.constant(6))),
    "times": (SIXTH, lambda net, x: net("Mul", _relu6(net, _plus3(net, x)), net.constant(1 / 6))),
    # For an end that divides by 6.
    "unscaled": (SIXTH, lambda net, x: _relu6(net, _plus3(net, x))),
    "ramp": (SIXTH, lambda net, x: net.clip(net("Mul", net.constant(1 / 6), _plus3(net, x)), 0, 1)),
    "ends": (FIFTH, lambda net, x: net("Max", net("Min", net("Add", net("Mul", x, net.constant(0.2)),
                                                             net.constant(0.5)), net.constant(1)), net.constant(0))),
    "mirrored": (SIXTH, lambda net, x: net("Neg", net.clip(net("Div", net("Sub", net.constant(-3), x),
                                                               net.constant(6)), -1, 0))),
    "steep": (Gate(GateKind.HARDSIGMOID, 0.75, 0.25), lambda net, x: net("HardSigmoid", x, alpha=0.75, beta=0.25)),
}


ENDS = {
    "mul": (False, lambda net, x, gates: net("Mul", x, gates)),
    "swapped": (False, lambda net, x, gates: net("Mul", gates, x)),
    "expanded": (False, lambda net, x, gates: net("Mul", x, net("Expand", gates, net("Shape", x)))),
    "add": (True, lambda net, x, gates: net("Add", x, net("Mul", x, gates))),
    "added": (True, lambda net, x, gates: net("Add", net("Identity", net("Mul", gates, x)), x)),
    "addcmul": (True, lambda net, x, gates: net("Add", x, net("Mul", net("Mul", x, gates), net.constant(1)))),
    "one": (True, lambda net, x, gates: net("Mul", net("Add", gates, net.constant(1)), x)),
}


def _half(net, x):
    return net("Mul", x, net.constant(0.5))


def _cast(net, x):
    """To the type that it has."""
    return net("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(net.kind)))


# Ends for a gate that is six times too large.
FACTORS = {
    "after": (False, lambda net, x, gates: net("Div", net("Mul", x, gates), net.constant(6))),
    "times": (False, lambda net, x, gates: net("Mul", net.constant(1 / 6), net("Mul", gates, x))),
    "before": (False, lambda net, x, gates: net("Mul", net("Div", x, net.constant(6)), gates)),
    "parted": (False, lambda net, x, gates: net("Div", _half(net, net("Mul", _half(net, x), _half(net, gates))),
                                                net.constant(0.75))),
    "channels": (False, lambda net, x, gates: net("Mul", net("Mul", x, gates),
                                                  net.constant(np.full((CHANNELS, 1, 1), 1 / 6)))),
    "cast": (False, lambda net, x, gates: net("Div", _cast(net, net("Mul", x, gates)), net.constant(6))),
    "added": (True, lambda net, x, gates: net("Add", x, net("Div", net("Mul", x, gates), net.constant(6)))),
    "cast-added": (True, lambda net, x, gates: net("Add", x, _cast(net, net("Div", net("Mul", x, gates),
                                                                            net.constant(6))))),
    "raised": (True, lambda net, x, gates: net("Mul", net("Mul", x, net("Add", net.constant(6), gates)),
                                               net.constant(1 / 6))),
}
