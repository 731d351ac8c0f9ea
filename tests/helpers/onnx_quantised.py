# SPDX-License-Identifier: Apache-2.0
"""Quantised networks: as ONNX Runtime quantises those of torchvision and timm, and as Brevitas exports them."""

import functools
import io
import logging
import os
import warnings

import ml_dtypes
import numpy as np
import onnx
import torch

from tests.helpers.libraries import library
from tests.helpers.onnx_net import QONNX, Net

__all__ = ["NETWORKS", "SIZE", "WAYS", "brevitas", "four_bits", "images", "quantised"]

# Height and width of the networks' input.
SIZE = 64
NETWORKS = ("mobilenet_v3_small", "regnety_002")
# Arguments of ONNX Runtime's quantiser.
WAYS = {
    "u8": {"activation_type": "QUInt8"},
    "s8-channel": {"activation_type": "QInt8", "per_channel": True},
    "s8-symmetric": {"activation_type": "QInt8", "extra_options": {"ActivationSymmetric": True}},
    "u16": {"activation_type": "QUInt16", "per_channel": True, "extra_options": {"UseQDQContribOps": True}},
}


def images(count, seed=0, size=SIZE):
    """float32 (count, 3, size, size): noise that is smooth over some pixels."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(count, 3, size // 8, size // 8)).repeat(8, axis=2).repeat(8, axis=3)
    return (coarse + 0.5 * rng.normal(size=(count, 3, size, size))).astype(np.float32)


@functools.cache
def _network(name):
    """A network with random weights whose activations have the statistics of a trained one.

    Mean and deviation of each channel are near those of its normalisation.
    """
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    made = library("torchvision").models.mobilenet_v3_small() if name == "mobilenet_v3_small" else \
        library("timm").create_model(name)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            # The mean of all batches.
            module.momentum = None
            module.weight.data = 0.5 + torch.rand(module.weight.shape, generator=generator)
            module.bias.data = torch.randn(module.bias.shape, generator=generator) / 4
        elif isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(module, torch.nn.Conv2d) and module.bias is not None:
            # The layers of a block.
            module.bias.data = torch.randn(module.bias.shape, generator=generator)
    with torch.no_grad():
        made.train()(torch.from_numpy(images(8)))
    return made.eval()


@functools.cache
def _exported(name):
    """The network in ONNX, as bytes."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(_network(name), torch.zeros(1, 3, SIZE, SIZE), content, dynamo=False, opset_version=17,
                          input_names=["x"], output_names=["y"])
    return content.getvalue()


def quantised(name, way, folder, operators=False):
    """The path of network `name`, quantised as WAYS[way] says, with `operators` as QLinearConv and so on."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        """Four images."""

        def __init__(self):
            self.inputs = iter([{"x": x[None]} for x in images(4, seed=1)])

        def get_next(self):
            """One more."""
            return next(self.inputs, None)

    path = os.path.join(folder, f"{name}-{way}{'-operators' * operators}.onnx")
    arguments = WAYS[way] | {"activation_type": QuantType[WAYS[way]["activation_type"]]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            quantize_static(onnx.ModelProto.FromString(_exported(name)), path, Reader(), weight_type=QuantType.QInt8,
                            quant_format=QuantFormat.QOperator if operators else QuantFormat.QDQ, **arguments)
        finally:
            logging.disable(logging.NOTSET)
    return path


def brevitas(path, bits=4, weight_bits=4, inside=8, opset=13, channels=6, squeeze=3, size=16,
             ends=(1, 2, 1), weight_zero=None, dead=(), mean_of_float=False):
    """Write a network as Brevitas exports it: a convolution, a block, a convolution, with a Quant at each activation of
    so many `bits`, of `inside` in the block, and at the weights, each with a scale for each channel. `ends` are the
    largest mean, hidden value and gate that the Quants in the block hold. With a `weight_zero` the weights are unsigned
    and have this zero point; their least integer, for 2 ** (weight_bits - 1) a -2 ** (weight_bits - 1), is in each row.
    `dead` are the rows of zeros of both layers; their scale is 2e-16, Brevitas' least. `mean_of_float` makes the mean
    that of the map before its Quant.
    """
    net, rng = Net(opset), np.random.default_rng(3)

    def quant(x, scale, width, signed, narrow=0, zero=0):
        return net(f"{QONNX}.Quant", x, net.constant(scale), net.constant(zero), net.constant(width), signed=signed,
                   narrow=narrow, rounding_mode="ROUND")

    def conv(x, outputs, inputs, width, kernel=1, zeros=()):
        weight = rng.normal(size=(outputs, inputs, kernel, kernel)) / np.sqrt(inputs * kernel * kernel)
        weight[[row for row in zeros if row < outputs]] = 0
        scale = np.maximum(abs(weight).max(axis=(1, 2, 3), keepdims=True) / (2 ** (width - 1) - 1), 2e-16)
        bias = net.constant(rng.normal(size=outputs) / 2)
        if weight_zero is None:
            weight = quant(net.constant(weight), scale, width, 1, narrow=1)
        else:
            scale = abs(weight).max(axis=(1, 2, 3), keepdims=True) / max(weight_zero, 2**width - 1 - weight_zero)
            weight.reshape(outputs, -1)[:, 0] = (-weight_zero * scale).reshape(-1)
            weight = quant(net.constant(weight), scale, width, 0, zero=weight_zero)
        return net("Conv", x, weight, bias, kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4)

    steps = [end / (2 ** inside - 1) for end in ends]
    x = quant("x", 4 / 127, 8, 1)
    real = net("Relu", conv(x, channels, 3, weight_bits, 3))
    x = quant(real, 3 / (2 ** bits - 1), bits, 0)
    mean = quant(net("GlobalAveragePool", real if mean_of_float else x), steps[0], inside, 0)
    hidden = quant(net("Relu", conv(mean, squeeze, channels, weight_bits, zeros=dead)), steps[1], inside, 0)
    gate = quant(net("Sigmoid", conv(hidden, channels, squeeze, weight_bits, zeros=dead)), steps[2], inside, 0)
    y = quant(net("Mul", x, gate), 2 / (2 ** bits - 1), bits, 0)
    net("Identity", conv(y, 4, channels, weight_bits), output="y")
    onnx.save(net.model({"x": (1, 3, size, size)}, {"y": (1, 4, size, size)}), path)
    return path


def four_bits(path, signed=False):
    """Write a network with a block whose input and output are in ONNX's 4-bit types, and its inner numbers in uint8.

    Its zero points are none of the ends, so that both ends of the 4 bits come up.
    """
    net, rng = Net(21), np.random.default_rng(4)
    kind, zero = (ml_dtypes.int4, -3) if signed else (ml_dtypes.uint4, 5)

    def quantised(x, scale, zero=0, kind=np.uint8):
        numbers = net.constant(scale), net.constant(zero, kind)
        return net("DequantizeLinear", net("QuantizeLinear", x, *numbers), *numbers)

    def conv(x, outputs, inputs):
        scale = net.constant(np.full(outputs, 1 / 60))
        weight = net("DequantizeLinear", net.constant(rng.integers(-60, 61, (outputs, inputs, 1, 1)), np.int8), scale,
                     net.constant(np.zeros(outputs), np.int8), axis=0)
        return net("Conv", x, weight, net.constant(rng.normal(size=outputs)), kernel_shape=[1, 1])

    x = quantised(conv("x", 6, 3), 0.3, zero, kind)
    hidden = quantised(net("Relu", conv(quantised(net("GlobalAveragePool", x), 0.02, 120), 3, 6)), 0.02)
    y = quantised(net("Mul", x, quantised(net("Sigmoid", conv(hidden, 6, 3)), 1 / 255)), 0.15, zero, kind)
    net("Identity", conv(y, 4, 6), output="y")
    onnx.save(net.model({"x": (1, 3, 16, 16)}, {"y": (1, 4, 16, 16)}), path)
    return path
