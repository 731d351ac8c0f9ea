# SPDX-License-Identifier: Apache-2.0
"""Squeeze-and-excite blocks as libraries spell them, blocks that only look like them, and small networks."""

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """A squeeze-and-excite block; with one or another part of it replaced another spelling, or no block at all."""

    def __init__(self, channels, squeeze, *, pool=None, mid=torch.relu, gate=torch.sigmoid, scale=torch.mul, groups=1,
                 between=None, kernel=1):
        super().__init__()
        self.pool = pool or nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeeze, kernel, padding=kernel // 2, groups=groups)
        self.fc2 = nn.Conv2d(squeeze, channels, 1, groups=groups)
        self.between = between or nn.Identity()
        self.mid, self.gate, self.scale = mid, gate, scale

    def forward(self, x):
        return self.scale(x, self.gate(self.fc2(self.mid(self.between(self.fc1(self.pool(x)))))))


class ClassicSELayer(nn.Module):
    """The SELayer that most repositories of SE-ResNet share"""

    def __init__(self, channels, squeeze, act=nn.ReLU):
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(nn.Linear(channels, squeeze, bias=False), act(inplace=True),
                                nn.Linear(squeeze, channels, bias=False), nn.Sigmoid())

    def forward(self, x):
        b, c, _, _ = x.size()
        y = self.avg_pool(x).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        return x * y.expand_as(x)


class NormalisedSELayer(nn.Module):
    """The classic layer with batch normalisation of the vectors"""

    def __init__(self, channels, squeeze):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(channels, squeeze, bias=False), nn.BatchNorm1d(squeeze), nn.ReLU(),
                                nn.Linear(squeeze, channels), nn.BatchNorm1d(channels), nn.Sigmoid())

    def forward(self, x):
        return x * self.fc(x.mean((2, 3)))[:, :, None, None]


class Residual(nn.Module):
    """The residual form around a block."""

    def __init__(self, block):
        super().__init__()
        self.se_block = block

    def forward(self, x):
        return x + self.se_block(x)


class SwishFunction(torch.autograd.Function):
    """The memory-efficient swish of EfficientNet-PyTorch"""

    @staticmethod
    def forward(ctx, i):
        ctx.save_for_backward(i)
        return i * torch.sigmoid(i)

    @staticmethod
    def backward(ctx, grad):
        (i,) = ctx.saved_tensors
        s = torch.sigmoid(i)
        return grad * (s * (1 + i * (1 - s)))


class MobileNetV3SE(nn.Module):
    """The spelling of the early MobileNetV3s: linear layers, h-swish and h-sigmoid out of relu6, layers out of order"""

    def __init__(self, channels, squeeze):
        super().__init__()
        self.expand = nn.Linear(squeeze, channels)
        self.reduce = nn.Linear(channels, squeeze)
        self.dropout = nn.Dropout(0.3)

    def forward(self, x):
        y = self.reduce(x.flatten(2).mean(-1))
        y = self.dropout(y * functional.relu6(y + 3, inplace=True) / 6)
        y = functional.relu6(self.expand(y) + 3.0, inplace=True) / 6.0
        return x.mul(y[:, :, None, None])


class Conv1dSE(nn.Module):
    """Means over one axis after the other, layers without biases on (N, C, 1), a linear `mid`, y = x (1 + gate)"""

    def __init__(self, channels, squeeze):
        super().__init__()
        self.first = nn.Conv1d(channels, squeeze, 1, bias=False)
        self.second = nn.Conv1d(squeeze, channels, 1, bias=False)

    def forward(self, x):
        y = self.second(self.first(x.mean(3).mean(2).unsqueeze(-1)))
        return x * (1 + 1 / (1 + torch.exp(-y.unsqueeze(-1))))


class Buffered(nn.Module):
    """A product with a state of its own, which happens to be 1"""

    def __init__(self):
        super().__init__()
        self.register_buffer("factor", torch.ones(()))

    def forward(self, x):
        return self.factor * x


class CBAMChannels(nn.Module):
    """One pair of layers on the average and on the maximum"""

    def __init__(self, channels, squeeze):
        super().__init__()
        self.mlp = nn.Sequential(nn.Conv2d(channels, squeeze, 1), nn.ReLU(), nn.Conv2d(squeeze, channels, 1))

    def forward(self, x):
        average, largest = self.mlp(x.mean((2, 3), keepdim=True)), self.mlp(x.amax((2, 3), keepdim=True))
        return x * torch.sigmoid(average + largest)


class ESE(nn.Module):
    """One layer"""

    def __init__(self, channels, squeeze):
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x * functional.hardsigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class Special(Block):
    """A block that computes something else for some weights, inputs or precisions: `weight` makes those of layer 1"""

    def __init__(self, channels, squeeze, *, weight=None, **parts):
        super().__init__(channels, squeeze, **parts)
        self.weight = weight

    def forward(self, x):
        if self.weight is None:
            return super().forward(x)
        y = self.mid(functional.conv2d(self.pool(x), self.weight(self.fc1), self.fc1.bias))
        return self.scale(x, self.gate(self.fc2(y)))


class FixedPrecision(Block):
    """A block whose output is always float32"""

    def forward(self, x):
        return super().forward(x).float()


class Casting(Block):
    """A block whose weights may have any type, as they are converted for each use"""

    def forward(self, x):
        y = functional.conv2d(self.pool(x), self.fc1.weight.to(x.dtype), self.fc1.bias.to(x.dtype))
        y = functional.conv2d(self.mid(y), self.fc2.weight.to(x.dtype), self.fc2.bias.to(x.dtype))
        return self.scale(x, self.gate(y))


# Networks.


class InvertedResidual(nn.Module):
    """As in MobileNetV3"""

    def __init__(self, channels, hidden, se):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.Hardswish(),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), nn.Hardswish(),
            se, nn.Conv2d(hidden, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        return x + self.block(x)


class SEBasicBlock(nn.Module):
    """As in SE-ResNet"""

    def __init__(self, channels, se):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.relu = nn.ReLU(inplace=True)
        self.se = se

    def forward(self, x):
        return self.relu(self.se(self.body(x)) + x)


def mobilenet():
    """Two blocks, ``1.block.6`` (hard sigmoid) and ``2.block.6``."""
    first, second = Block(16, 4, gate=functional.hardsigmoid), ClassicSELayer(24, 6, nn.SiLU)
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), InvertedResidual(8, 16, first), InvertedResidual(8, 24, second),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5), nn.Hardswish(), nn.Linear(5, 4))


def resnet():
    """Two blocks with linear layers, ``layer1.0.se`` and ``layer1.1.se.0``, the latter alone in an nn.Sequential."""
    network = nn.Sequential()
    network.add_module("conv1", nn.Conv2d(3, 8, 3))
    network.add_module("layer1", nn.Sequential(SEBasicBlock(8, ClassicSELayer(8, 2)),
                                               SEBasicBlock(8, nn.Sequential(ClassicSELayer(8, 3)))))
    return network
