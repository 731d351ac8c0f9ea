# SPDX-License-Identifier: Apache-2.0
"""Squeeze-and-excite blocks as the libraries define them, blocks that only look like them, and small networks."""

import torch
from torch import nn
from torch.nn import functional

# Blocks. Each class has the attributes, the order of operations and the spelling of its library.


class TorchvisionSE(nn.Module):
    """torchvision.ops.SqueezeExcitation"""

    def __init__(self, channels, squeeze, activation=nn.ReLU, scale_activation=nn.Sigmoid):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeeze, 1)
        self.fc2 = nn.Conv2d(squeeze, channels, 1)
        self.activation, self.scale_activation = activation(), scale_activation()

    def forward(self, x):
        scale = self.activation(self.fc1(self.avgpool(x)))
        return self.scale_activation(self.fc2(scale)) * x


class TimmSqueezeExcite(nn.Module):
    """timm's SqueezeExcite of EfficientNet and MobileNetV3"""

    def __init__(self, channels, squeeze, act_layer=nn.SiLU, gate=nn.Sigmoid):
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, squeeze, 1, bias=True)
        self.act1 = act_layer(inplace=True)
        self.conv_expand = nn.Conv2d(squeeze, channels, 1, bias=True)
        self.gate = gate()

    def forward(self, x):
        x_se = x.mean((2, 3), keepdim=True)
        x_se = self.act1(self.conv_reduce(x_se))
        return x * self.gate(self.conv_expand(x_se))


class TimmSEModule(nn.Module):
    """timm.layers.SEModule"""

    def __init__(self, channels, squeeze, norm=nn.Identity, act=nn.ReLU):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeeze, kernel_size=1, bias=True)
        self.bn = norm(squeeze)
        self.act = act(inplace=True)
        self.fc2 = nn.Conv2d(squeeze, channels, kernel_size=1, bias=True)
        self.gate = nn.Sigmoid()

    def forward(self, x):
        x_se = self.act(self.bn(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * self.gate(self.fc2(x_se))


class PyclsSE(nn.Module):
    """pycls.models.blocks.SE"""

    def __init__(self, channels, squeeze):
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d((1, 1))
        self.f_ex = nn.Sequential(nn.Conv2d(channels, squeeze, 1, bias=True), nn.ReLU(inplace=True),
                                  nn.Conv2d(squeeze, channels, 1, bias=True), nn.Sigmoid())

    def forward(self, x):
        return x * self.f_ex(self.avg_pool(x))


class ConvModule(nn.Module):
    """mmcv's convolution with its activation."""

    def __init__(self, inputs, outputs, activate):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)
        self.activate = activate

    def forward(self, x):
        return self.activate(self.conv(x))


class HSigmoid(nn.Module):
    """mmcv's: clamped in place."""

    def __init__(self, bias=3.0, divisor=6.0):
        super().__init__()
        self.bias, self.divisor = bias, divisor

    def forward(self, x):
        x = (x + self.bias) / self.divisor
        return x.clamp_(0.0, 1.0)


class MmsegSELayer(nn.Module):
    """mmseg's and mmdet's SELayer"""

    def __init__(self, channels, squeeze):
        super().__init__()
        self.global_avgpool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = ConvModule(channels, squeeze, nn.ReLU(inplace=True))
        self.conv2 = ConvModule(squeeze, channels, HSigmoid())

    def forward(self, x):
        return x * self.conv2(self.conv1(self.global_avgpool(x)))


class ClassicSELayer(nn.Module):
    """The SELayer that most repositories of SE-ResNet share"""

    def __init__(self, channels, squeeze):
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(nn.Linear(channels, squeeze, bias=False), nn.ReLU(inplace=True),
                                nn.Linear(squeeze, channels, bias=False), nn.Sigmoid())

    def forward(self, x):
        b, c, _, _ = x.size()
        y = self.avg_pool(x).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        return x * y.expand_as(x)


class PaddleSEModule(nn.Module):
    """PaddleOCR's, with Paddle's hardsigmoid of slope 0.2, as the ports to PyTorch write it"""

    def __init__(self, channels, squeeze, clip=False):
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = nn.Conv2d(channels, squeeze, 1)
        self.conv2 = nn.Conv2d(squeeze, channels, 1)
        self.clip = clip

    def gate(self, x):
        return torch.clip(0.2 * x + 0.5, 0, 1) if self.clip else functional.relu6(1.2 * x + 3) / 6

    def forward(self, inputs):
        outputs = self.conv2(functional.relu(self.conv1(self.avg_pool(inputs))))
        return inputs * self.gate(outputs)


class PaddleResidualSE(PaddleSEModule):
    """The residual form, in one module"""

    def forward(self, inputs):
        outputs = super().forward(inputs)
        outputs += inputs
        return outputs


class Residual(nn.Module):
    """The residual form around a block."""

    def __init__(self, block):
        super().__init__()
        self.se_block = block

    def forward(self, x):
        return x + self.se_block(x)


class SumSE(TimmSqueezeExcite):
    """The mean as a sum over both axes, or over one after the other, and a division"""

    def __init__(self, channels, squeeze, apart=False):
        super().__init__(channels, squeeze)
        self.apart = apart

    def forward(self, x):
        total = x.sum(-1, keepdim=True).sum(-2, keepdim=True) if self.apart else x.sum((2, 3), keepdim=True)
        x_se = self.act1(self.conv_reduce(total / (x.shape[2] * x.shape[3])))
        return x * self.gate(self.conv_expand(x_se))


class EinsumSE(ClassicSELayer):
    """The mean out of einsum"""

    def forward(self, x):
        y = self.fc(torch.einsum("nchw->nc", x) / x[0, 0].numel())
        return x * y[:, :, None, None]


class SwishFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, i):
        ctx.save_for_backward(i)
        return i * torch.sigmoid(i)

    @staticmethod
    def backward(ctx, grad):
        (i,) = ctx.saved_tensors
        s = torch.sigmoid(i)
        return grad * (s * (1 + i * (1 - s)))


class EfficientNetSE(nn.Module):
    """The spelling of EfficientNet-PyTorch: its memory-efficient swish, the gate on the left"""

    def __init__(self, channels, squeeze):
        super().__init__()
        self._se_reduce = nn.Conv2d(channels, squeeze, 1)
        self._se_expand = nn.Conv2d(squeeze, channels, 1)

    def forward(self, x):
        x_squeezed = functional.adaptive_avg_pool2d(x, 1)
        x_squeezed = SwishFunction.apply(self._se_reduce(x_squeezed))
        return torch.sigmoid(self._se_expand(x_squeezed)) * x


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


# What is no block of ours.


class Lookalike(nn.Module):
    """A block with one or another part of it replaced."""

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


class ECA(nn.Module):
    """A convolution across channels"""

    def __init__(self, channels, squeeze):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.conv(x.mean((2, 3))[:, None])
        return x * torch.sigmoid(y).transpose(1, 2)[..., None]


class ESE(nn.Module):
    """One layer"""

    def __init__(self, channels, squeeze):
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x * functional.hardsigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class Bottleneck(nn.Module):
    """Two layers on the map itself"""

    def __init__(self, channels, squeeze):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeeze, 1), nn.Conv2d(squeeze, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(x))))


class Perceptron(nn.Sequential):
    """Two linear layers on vectors"""

    def __init__(self, channels, squeeze):
        super().__init__(nn.Linear(channels, squeeze), nn.ReLU(), nn.Linear(squeeze, channels))


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
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.se = se

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(self.se(out) + x)


def mobilenet():
    """Two blocks, ``1.block.6`` (hard sigmoid) and ``2.block.6``."""
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), InvertedResidual(8, 16, MmsegSELayer(16, 4)),
                         InvertedResidual(8, 24, TimmSqueezeExcite(24, 6)), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(8, 5), nn.Hardswish(), nn.Linear(5, 4))


def resnet():
    """Two blocks with linear layers, ``layer1.0.se`` and ``layer1.1.se.0``, the latter alone in an nn.Sequential."""
    network = nn.Sequential()
    network.add_module("conv1", nn.Conv2d(3, 8, 3))
    network.add_module("layer1", nn.Sequential(SEBasicBlock(8, ClassicSELayer(8, 2)),
                                               SEBasicBlock(8, nn.Sequential(ClassicSELayer(8, 3)))))
    return network
