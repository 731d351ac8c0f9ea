# SPDX-License-Identifier: Apache-2.0
"""The networks of the study: small ones with squeeze-and-excite in every block, for images of some dozens of rows."""

import dataclasses
from collections.abc import Callable

import torch
from torch import nn

__all__ = ["NETWORKS", "Network", "SqueezeExcite", "make_network"]

# The first layer of a frame from so many rows on halves its rows and columns.
LARGE = 48
# Channels of a block for each squeezed one, as in the paper.
SQUEEZED = 4
# Channels of a group of the grouped convolutions.
GROUP_WIDTH = 8


class SqueezeExcite(nn.Module):
    """The original: `x` (N, C, H, W) times a gate for each channel, computed from the means of the whole map."""

    def __init__(self, channels: int, squeeze: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeeze, 1)
        self.fc2 = nn.Conv2d(squeeze, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the shape of `x`."""
        means = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(means))))


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)]


class Block(nn.Module):
    """A residual block: the layers of `body`, added to the input; their sum is cut at 0."""

    def __init__(self, body: list[nn.Module], inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(*_convolution(inputs, outputs, 1, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` (N, inputs, H, W) to (N, outputs, H / stride, W / stride), rounded up."""
        return torch.relu_(self.body(x) + self.shortcut(x))


def _regnet_block(inputs: int, outputs: int, stride: int) -> Block:
    """RegNetY's: 1x1, grouped 3x3, squeeze-and-excite, 1x1, all of the same width."""
    return Block([*_convolution(inputs, outputs, 1), nn.ReLU(inplace=True),
                  *_convolution(outputs, outputs, 3, stride, outputs // GROUP_WIDTH), nn.ReLU(inplace=True),
                  SqueezeExcite(outputs, outputs // SQUEEZED), *_convolution(outputs, outputs, 1)],
                 inputs, outputs, stride)


def _residual_block(inputs: int, outputs: int, stride: int) -> Block:
    """ResNet's basic one: two 3x3, then squeeze-and-excite, before the addition."""
    return Block([*_convolution(inputs, outputs, 3, stride), nn.ReLU(inplace=True), *_convolution(outputs, outputs, 3),
                  SqueezeExcite(outputs, outputs // SQUEEZED)], inputs, outputs, stride)


@dataclasses.dataclass(frozen=True)
class Network:
    """A kind of network: for each stage the width and the number of blocks. Each stage but the first has stride 2."""

    block: Callable[[int, int, int], Block]
    widths: tuple[int, ...]
    depths: tuple[int, ...]

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the modules that are the stages."""
        return tuple(f"stage{number}" for number in range(1, len(self.widths) + 1))


NETWORKS = {
    "regnet": Network(_regnet_block, (16, 32, 64, 96), (1, 1, 1, 1)),
    "residual": Network(_residual_block, (16, 32, 64), (1, 1, 1)),
}


def make_network(name: str, channels: int, rows: int, classes: int) -> nn.Module:
    """The network `name` of NETWORKS with squeeze-and-excite, for frames (N, `channels`, `rows`, any columns).

    Its initial weights come from torch's generator. It returns logits (N, `classes`).
    """
    kind = NETWORKS[name]
    width = kind.widths[0]
    network = nn.Sequential()
    stem = _convolution(channels, width, 3, 2 if rows >= LARGE else 1)
    network.add_module("stem", nn.Sequential(*stem, nn.ReLU(inplace=True)))
    for stage, outputs, depth in zip(kind.stages, kind.widths, kind.depths, strict=True):
        stride = 1 if stage == kind.stages[0] else 2
        blocks = [kind.block(width, outputs, stride), *(kind.block(outputs, outputs, 1) for _ in range(depth - 1))]
        network.add_module(stage, nn.Sequential(*blocks))
        width = outputs
    network.add_module("head", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)))
    return network.to(memory_format=torch.channels_last)
