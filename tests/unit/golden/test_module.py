# SPDX-License-Identifier: Apache-2.0
"""The PyTorch module against a loop over tiles."""

import pytest
import torch
from torch import nn

from tiled_se.golden.block import FloatBlock
from tiled_se.golden.module import TiledSE
from tiled_se.hdl.config import ConfigError, Gate, GateKind, Mid, Tiling

MIDS = {Mid.RELU: nn.ReLU(), Mid.RELU6: nn.ReLU6(), Mid.SILU: nn.SiLU(), Mid.HARDSWISH: nn.Hardswish(),
        Mid.IDENTITY: nn.Identity()}
HARD = Gate(GateKind.HARDSIGMOID)
SHAPES = [(1, 3, 1, 1), (2, 4, 7, 5), (1, 5, 8, 3), (3, 2, 13, 1), (1, 6, 14, 14), (2, 3, 20, 9)]


def random_module(*arguments, **more):
    torch.manual_seed(5)
    module = TiledSE(*arguments, **more)
    for layer in (module.fc1, module.fc2):
        nn.init.normal_(layer.weight, std=2)
        nn.init.normal_(layer.bias)
    return module.eval()


def by_tiles(module, x):
    """One tile after another, without a convolution or a pool."""
    y = torch.empty_like(x)
    width = module.tiling.tile_width or x.shape[3]
    for top in range(0, x.shape[2], module.k):
        for left in range(0, x.shape[3], width):
            tile = x[:, :, top:top + module.k, left:left + width]
            h = MIDS[module.mid](tile.mean(dim=(2, 3)) @ module.fc1.weight[:, :, 0, 0].T + module.fc1.bias)
            v = h @ module.fc2.weight[:, :, 0, 0].T + module.fc2.bias
            g = torch.sigmoid(v) if module.gate.kind is GateKind.SIGMOID else (
                module.gate.slope * v + module.gate.offset).clamp(0, 1)
            y[:, :, top:top + module.k, left:left + width] = tile * (g[:, :, None, None] + int(module.residual))
    return y


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("gate", [Gate(), HARD], ids=str)
@pytest.mark.parametrize("mid", Mid)
def test_functions(mid, gate, residual):
    module, x = random_module(6, 3, 4, mid=mid, gate=gate, residual=residual), torch.randn(2, 6, 9, 5)
    assert (module.mid, module.gate, module.residual) == (mid, gate, residual)
    torch.testing.assert_close(module(x), by_tiles(module, x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("k", "tile_width"), [*((k, None) for k in (1, 2, 3, 7, 20, 100)),
                                               (1, 1), (2, 3), (3, 2), (7, 7), (50, 4), (4, 50)])
def test_tiles(shape, k, tile_width):
    """Ragged at the right edge and at the bottom; slope and offset other than torch's."""
    gate = Gate(GateKind.HARDSIGMOID, 0.2, 0.4)
    module = random_module(shape[1], 2, Tiling(k=k, tile_width=tile_width), gate=gate)
    x = torch.randn(shape)
    torch.testing.assert_close(module(x), by_tiles(module, x), atol=1e-5, rtol=1e-5)


def test_state_dict():
    """Names and shapes are those of torchvision's SqueezeExcitation."""
    shapes = {name: tuple(value.shape) for name, value in TiledSE(8, 2).state_dict().items()}
    assert shapes == {"fc1.weight": (2, 8, 1, 1), "fc1.bias": (2,), "fc2.weight": (8, 2, 1, 1), "fc2.bias": (8,)}


def test_block_and_back():
    """The weights survive, as do the functions; the module computes the same."""
    tiling = Tiling(k=3, tile_width=2)
    module = random_module(5, 2, tiling, mid=Mid.SILU, gate=HARD, residual=True)
    block = module.block()
    assert isinstance(block, FloatBlock)
    assert block.w1.shape == (2, 5)
    again, x = TiledSE.from_block(block, tiling), torch.randn(1, 5, 7, 5)
    assert torch.equal(again(x), module(x))


def test_trains():
    module = random_module(4, 2, 3)
    module(torch.randn(1, 4, 7, 5)).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.parameters())


@pytest.mark.parametrize(("arguments", "message"), [
    (dict(k=0), "k=0: must be from 1 to 1073741824"),
    (dict(squeeze_channels=0), "squeeze=0: must be at least 1"),
])
def test_refuses(arguments, message):
    with pytest.raises(ConfigError) as caught:
        TiledSE(**dict(input_channels=4, squeeze_channels=2) | arguments)
    assert str(caught.value) == message


def test_repr():
    assert "k=3, mid=silu, gate=sigmoid, residual=False" in repr(TiledSE(4, 2, k=3, mid=Mid.SILU))
