# SPDX-License-Identifier: Apache-2.0
"""A small ONNX network for images, and images for it."""

import numpy as np
from PIL import Image

from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, Spelling, se
from tiled_se.network.read.shapes import InputShape

__all__ = ["HEIGHT", "SHAPE", "WIDTH", "model", "network_and_images"]

HEIGHT, WIDTH = 22, 10
SHAPE = InputShape(3, HEIGHT, WIDTH)


def model(path, batch=1, others=False, opset=13):
    """A convolution with stride 2 from images of any size, then two blocks, the second one residual.

    With `others` the node "other" is a product with gates that no layer makes.
    """
    net = Net(opset)
    rng = np.random.default_rng(2)
    stem = net("Conv", "x", net.constant(rng.normal(size=(CHANNELS, 3, 3, 3))), strides=[2, 2], pads=[1, 1, 1, 1])
    first = se(net, stem, Spelling(gate="fifth", opset=opset))
    y = se(net, first, Spelling(end="add", mid="silu", opset=opset), seed=3)
    if others:
        y = net("Mul", y, net("Sigmoid", net("GlobalAveragePool", y)))
        net.nodes[-1].name = "other"
    net("Identity", y, output="y")
    path.write_bytes(net.model({"x": (batch, 3, "h", "w")}, {"y": (batch, CHANNELS, "a", "b")}).SerializeToString())
    return str(path)


def network_and_images(folder, others=False):
    """Paths of a model in `folder`, and of a folder with three images."""
    images = folder / "images"
    images.mkdir()
    for index in range(3):
        pixels = np.random.default_rng(index).integers(0, 255, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).save(images / f"{index}.png")
    return model(folder / "net.onnx", others=others), str(images)
