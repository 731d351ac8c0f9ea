# SPDX-License-Identifier: Apache-2.0
"""Blocks found by their structure, swapped for tiled ones, and put back."""

import copy
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.helpers import torch_blocks as blocks
from tests.helpers.libraries import library
from tiled_se.golden import find_se, tile_se, untile_se
from tiled_se.golden.module import TiledSE
from tiled_se.hdl.config import ConfigError, Gate, GateKind, Mid

SIXTH, FIFTH = Gate(GateKind.HARDSIGMOID), Gate(GateKind.HARDSIGMOID, 0.2, 0.5)


def like(**parts):
    return lambda *sizes: blocks.Block(*sizes, **parts)


def library_block(module, name, squeeze, **functions):
    """A block of a library's class, whose constructor calls CR `squeeze`."""
    return lambda channels, size: getattr(library(module), name)(channels, **{squeeze: size}, **functions)


# How to make a block of C and CR, and what is to be found in it.
KNOWN = {
    "plain": (like(), Mid.RELU, Gate(), False),
    "torchvision": (library_block("torchvision.ops", "SqueezeExcitation", "squeeze_channels", activation=nn.SiLU,
                                  scale_activation=nn.Hardsigmoid), Mid.SILU, SIXTH, False),
    "timm SqueezeExcite": (library_block("timm.models._efficientnet_blocks", "SqueezeExcite", "rd_channels",
                                         act_layer=nn.Hardswish, gate_layer=nn.Hardsigmoid),
                           Mid.HARDSWISH, SIXTH, False),
    "timm SEModule": (library_block("timm.layers", "SEModule", "rd_channels", act_layer=nn.ReLU6),
                      Mid.RELU6, Gate(), False),
    "mmseg": (like(gate=lambda v: ((v + 3) / 6).clamp_(0, 1)), Mid.RELU, SIXTH, False),
    "classic": (blocks.ClassicSELayer, Mid.RELU, Gate(), False),
    "paddle relu6": (like(gate=lambda v: functional.relu6(1.2 * v + 3) / 6), Mid.RELU, FIFTH, False),
    "paddle clip": (like(gate=lambda v: torch.clip(0.2 * v + 0.5, 0, 1)), Mid.RELU, FIFTH, False),
    "paddle residual": (like(gate=lambda v: functional.relu6(1.2 * v + 3) / 6, scale=lambda x, g: (x * g).add_(x)),
                        Mid.RELU, FIFTH, True),
    "efficientnet": (like(mid=blocks.SwishFunction.apply, scale=lambda x, g: g * x), Mid.SILU, Gate(), False),
    "mobilenetv3": (blocks.MobileNetV3SE, Mid.HARDSWISH, SIXTH, False),
    "conv1d": (blocks.Conv1dSE, Mid.IDENTITY, Gate(), True),
    "sum": (like(pool=lambda x: x.sum((2, 3), keepdim=True) / (x.shape[2] * x.shape[3])), Mid.RELU, Gate(), False),
    "sums": (like(pool=lambda x: x.sum(-1, keepdim=True).sum(-2, keepdim=True) / (x.shape[2] * x.shape[3])),
             Mid.RELU, Gate(), False),
    "einsum": (like(pool=lambda x: (torch.einsum("nchw->nc", x) / x[0, 0].numel())[:, :, None, None]),
               Mid.RELU, Gate(), False),
}
# Blocks with batch normalisation, and which layers it is folded into.
NORMALISED = {
    "after layer 1": (lambda c, cr: blocks.Block(c, cr, between=nn.BatchNorm2d(cr)), Mid.RELU, "fc1"),
    "without weights": (lambda c, cr: blocks.Block(c, cr, between=nn.BatchNorm2d(cr, affine=False)), Mid.RELU, "fc1"),
    "twice": (lambda c, cr: blocks.Block(c, cr, between=nn.Sequential(nn.BatchNorm2d(cr), nn.BatchNorm2d(cr, eps=0.1))),
              Mid.RELU, "fc1"),
    "twice before layer 1": (lambda c, cr: blocks.Block(c, cr, pool=nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(c), nn.BatchNorm2d(c, eps=0.1))), Mid.RELU, "fc1"),
    "after layer 2": (lambda c, cr: blocks.Block(c, cr, gate=nn.Sequential(nn.BatchNorm2d(c), nn.Sigmoid())),
                      Mid.RELU, "fc2"),
    "before layer 1": (lambda c, cr: blocks.Block(
        c, cr, pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(c)), mid=functional.silu), Mid.SILU, "fc1"),
    "before layer 2": (lambda c, cr: blocks.Block(c, cr, mid=nn.Sequential(nn.ReLU6(), nn.BatchNorm2d(cr))),
                       Mid.RELU6, "fc2"),
    "everywhere": (lambda c, cr: blocks.Block(
        c, cr, pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(c)), between=nn.BatchNorm2d(cr),
        mid=nn.Sequential(nn.ReLU(), nn.BatchNorm2d(cr)), gate=nn.Sequential(nn.BatchNorm2d(c), nn.Sigmoid())),
        Mid.RELU, "fc1 fc2"),
    "linear layers": (lambda c, cr: blocks.NormalisedSELayer(c, cr), Mid.RELU, "fc1 fc2"),
    "timm SEModule": (library_block("timm.layers", "SEModule", "rd_channels", norm_layer=nn.BatchNorm2d, bias=False),
                      Mid.RELU, "fc1"),
    "timm SEModule with norm and activation": (lambda c, cr: library("timm.layers").SEModule(
        c, rd_channels=cr, norm_layer=library("timm.layers").BatchNormAct2d, act_layer=nn.Identity), Mid.RELU, "fc1"),
}
every_block = pytest.mark.parametrize("name", KNOWN)


def made(make, channels=6, squeeze=4):
    """A block in evaluation mode with weights that reach every part of the activations."""
    torch.manual_seed(3)
    block = make(channels, squeeze).eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=2)
    for name, buffer in block.named_buffers():
        if buffer.is_floating_point():
            nn.init.uniform_(buffer, 0.1 if name.endswith("var") else -2, 2)
    return block


def lively(network):
    """The network in evaluation mode: its normalisations have statistics and weights of their own, no layer is dead."""
    torch.manual_seed(4)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
        elif isinstance(module, nn.Linear):  # random signs leave all of a narrow block's hidden channels at 0 at times
            nn.init.uniform_(module.weight, 0, 1)
    return network.eval()


def by_strips(block, x, k):
    """The original block applied to each strip of k rows by itself."""
    return torch.cat([block(x[:, :, top:top + k].clone()) for top in range(0, x.shape[2], k)], dim=2)


@every_block
@pytest.mark.parametrize("sizes", [(6, 4), (4, 6), (5, 5), (7, 1), (1, 3)], ids=str)
def test_recognised(name, sizes):
    """Also with more squeezed channels than channels, as many, one."""
    make, *expected = KNOWN[name]
    block, = find_se(nn.Sequential(nn.ReLU(), made(make, *sizes))).values()
    assert (block.channels, block.squeeze) == sizes
    assert [block.mid, block.gate, block.residual] == expected


@every_block
@pytest.mark.parametrize(("k", "height"), [(1, 4), (3, 8), (3, 10), (4, 3), (10, 10), (10**6, 9)])
def test_strips(name, k, height):
    """Every strip is what the original makes of it alone, the ragged last one too; k >= H is the original."""
    block = made(KNOWN[name][0]).double()
    x = torch.randn(2, 6, height, 5, dtype=torch.float64)
    expected = by_strips(block, x, k)
    tiled = tile_se(block, k)
    assert isinstance(tiled, TiledSE)
    torch.testing.assert_close(tiled(x), expected, rtol=1e-12, atol=1e-12)
    if k >= height:
        torch.testing.assert_close(expected, block(x), rtol=1e-6, atol=1e-6)
    float_block = tiled.block()  # what the quantiser takes
    again = TiledSE.from_block(float_block, k).double()
    torch.testing.assert_close(again(x), expected, rtol=1e-6, atol=1e-6)


class Normalised(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x, g):
        return self.norm(x * g)


OTHERS = {
    "CBAM": blocks.CBAMChannels,
    "ESE": blocks.ESE,
    "bottleneck": like(pool=nn.Identity()),
    "perceptron": lambda c, cr: nn.Sequential(nn.Linear(c, cr), nn.ReLU(), nn.Linear(cr, c)),
    "max pool": like(pool=nn.AdaptiveMaxPool2d(1)),
    "pool to 2x1": like(pool=nn.AdaptiveAvgPool2d((2, 1)), scale=lambda x, g: x * g[:, :, :1]),
    "mean over rows only": like(pool=lambda x: x.mean(2, keepdim=True)),
    "window": like(pool=nn.AvgPool2d((5, 3), ceil_mode=True), scale=lambda x, g: x * g[:, :, :1, :1]),
    "mean of squares": like(pool=lambda x: (x * x).mean((2, 3), keepdim=True)),
    "mean of relu": like(pool=lambda x: torch.relu(x).mean((2, 3), keepdim=True)),
    "mean of what is clipped": like(pool=lambda x: x.clamp(-10, 10).mean((2, 3), keepdim=True)),
    "clipped mean": like(pool=lambda x: x.mean((2, 3), keepdim=True).clamp(-50, 50)),
    "mean of the first rows": like(pool=lambda x: x[:, :, :2].mean((2, 3), keepdim=True)),
    "mean of one picture": like(pool=lambda x: x[:1].mean((2, 3), keepdim=True)),
    "sum over the map": like(pool=lambda x: x.sum((2, 3), keepdim=True)),
    "sum over a map of one size": like(pool=lambda x: x.sum((2, 3), keepdim=True) / 15),
    "sum over rows only": like(pool=lambda x: x.sum(2, keepdim=True) / x.shape[2]),
    "mean and sum": like(pool=lambda x: x.mean(2, keepdim=True).sum(3, keepdim=True)),
    "grouped": like(groups=2),
    "3x3": like(kernel=3),
    "batch norm of each batch": like(between=nn.BatchNorm2d(4, track_running_stats=False)),
    "batch norm of the map": like(pool=nn.Sequential(nn.BatchNorm2d(6), nn.AdaptiveAvgPool2d(1))),
    "batch norm after the product": like(scale=Normalised(6)),
    "batch norm beside the layers": like(between=blocks.Residual(nn.BatchNorm2d(4))),
    "instance norm": like(between=nn.InstanceNorm2d(4, track_running_stats=True)),
    "group norm": like(between=nn.GroupNorm(2, 4)),
    "layer norm": like(between=nn.LayerNorm((4, 1, 1), elementwise_affine=False)),
    "buffer": like(between=blocks.Buffered()),
    "gelu": like(mid=functional.gelu),
    "leaky": like(mid=functional.leaky_relu),
    "prelu": like(between=nn.PReLU()),
    "tanh": like(mid=torch.tanh),
    "scaled mid": like(mid=lambda h: 1.001 * torch.relu(h)),
    "hardtanh to 20": like(mid=lambda h: functional.hardtanh(h, 0, 20)),
    "no gate": like(gate=lambda v: v),
    "tanh gate": like(gate=torch.tanh),
    "softmax gate": like(gate=lambda v: torch.softmax(v, 1)),
    "doubled gate": like(gate=lambda v: 2 * torch.sigmoid(v)),
    "falling gate": like(gate=lambda v: functional.hardsigmoid(-v)),
    "gate to 0.9": like(gate=lambda v: torch.clip(v / 6 + 0.5, 0, 0.9)),
    "gate only": like(scale=lambda x, g: g),
    "sum": like(scale=torch.add),
    "scaled relu": like(scale=lambda x, g: torch.relu(x) * g),
    "shifted": like(scale=lambda x, g: x * g + 1),
    "clipped": like(scale=lambda x, g: (x * g).clamp(-10, 10)),
    "scaled residual": like(scale=lambda x, g: 2 * x + x * g),
    "other channels' gates": like(scale=lambda x, g: x * g.flip(1)),
    "flipped": like(scale=lambda x, g: x.flip(3) * g),
    "in place": like(scale=lambda x, g: x.mul_(g)),
    "overwritten input": like(scale=lambda x, g: (x * g, x.zero_())[0]),
    "random": like(scale=lambda x, g: x * g * torch.bernoulli(torch.full_like(x, 0.5))),
}


@pytest.mark.parametrize("name", OTHERS)
def test_others_stay(name):
    network = nn.Sequential(OTHERS[name](6, 4), blocks.Block(6, 3))
    before = network[0]
    assert list(find_se(network)) == ["1"]
    assert tile_se(network, 2)[0] is before


def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("make", [blocks.mobilenet, blocks.resnet])
def test_networks(make):
    """k >= H computes what the network did; k = 3 doesn't; undone, everything is as before, bit by bit."""
    network, x = lively(make()).double(), torch.randn(2, 3, 21, 17, dtype=torch.float64)
    modules, expected, before = dict(network.named_modules()), network(x), state(network)
    random = torch.get_rng_state()
    names = list(find_se(network))
    assert len(names) == 2
    assert tile_se(network, 10**6) is network
    assert torch.equal(random, torch.get_rng_state())
    assert [name for name, module in network.named_modules() if isinstance(module, TiledSE)] == names
    torch.testing.assert_close(network(x), expected, rtol=1e-10, atol=1e-10)
    assert tile_se(network, 3) is network  # tiled already: they stay
    torch.testing.assert_close(network(x), expected, rtol=1e-10, atol=1e-10)
    tile_se(untile_se(network), 3)
    assert (network(x) - expected).abs().max() > 1e-7
    assert untile_se(network) is network
    assert list(network.named_modules()) == list(modules.items())
    assert state(network).keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in state(network).items())
    assert torch.equal(network(x), expected)


def test_finding_changes_nothing():
    """In training mode, dropout and all: neither statistics nor modes nor modules; hooks don't run."""
    assert list(find_se(blocks.MobileNetV3SE(6, 50).train())) == [""]
    network = blocks.mobilenet().train()
    calls, before = [], state(network)
    for module in network.modules():
        module.register_forward_hook(lambda *_: calls.append(1))
    modules = list(network.named_modules())
    assert list(find_se(network)) == ["1.block.6", "2.block.6"]
    assert not calls
    assert list(network.named_modules()) == modules
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in state(network).items())


def test_kept_properties():
    """Mode, precision and requires_grad are those of the block."""
    network = blocks.mobilenet().bfloat16()
    network[1].block[6].fc1.weight.requires_grad = False
    network[2].block[6].eval()
    tile_se(network)
    first, second = network[1].block[6], network[2].block[6]
    assert (first.training, second.training) == (True, False)
    assert [p.requires_grad for p in first.parameters()].count(False) == 1
    assert not first.fc1.weight.requires_grad
    assert {p.dtype for p in first.parameters()} == {torch.bfloat16}
    assert network(torch.randn(2, 3, 19, 18).bfloat16()).dtype == torch.bfloat16
    network.eval()
    assert not any(module.training for module in untile_se(network).modules())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
@every_block
def test_precision(name, dtype):
    """Whole-map tiles agree within the precision; the zeros that stand for an absent bias have it, too."""
    block, x = made(KNOWN[name][0]).to(dtype), torch.randn(2, 6, 7, 5).to(dtype)
    expected, tiled = block(x), tile_se(block, 7)
    assert {tensor.dtype for tensor in tiled.state_dict().values()} == {dtype}
    error = (tiled(x) - expected).abs().max() / expected.abs().max()
    assert error < 8 * torch.finfo(dtype).eps


def trained(network, optimiser, x):
    optimiser.zero_grad()
    network(x).square().sum().backward()
    optimiser.step()


@every_block
def test_weights_are_shared(name):
    """Optimisers made before and after train the one set of weights, which the undone network has."""
    network = nn.Sequential(nn.Identity(), made(KNOWN[name][0]))
    original, x = network[1], torch.randn(2, 6, 7, 5)
    parameters = list(network.parameters())
    before = torch.optim.SGD(network.parameters(), 1e-3)
    tile_se(network, 7)
    assert {id(p) for p in network.parameters()} == {id(p) for p in parameters}
    for optimiser in (before, torch.optim.SGD(network.parameters(), 1e-3)):
        last = [p.detach().clone() for p in parameters]
        trained(network, optimiser, x)
        assert not any(torch.equal(p, old) for p, old in zip(parameters, last, strict=True))
        torch.testing.assert_close(network(x), original(x), rtol=1e-4, atol=1e-5)
    expected = network(x)
    assert untile_se(network)[1] is original
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)
    trained(network, before, x)
    assert tile_se(network, 7)[1](x).isfinite().all()


@pytest.mark.parametrize("make", [blocks.Block, blocks.ClassicSELayer])
def test_undo_after_new_parameters(make):
    """Where `to` or `load_state_dict` have put other parameters in place, the original gets them."""
    network = tile_se(nn.Sequential(made(make)))
    network.load_state_dict({name: value.double() / 3 for name, value in network.state_dict().items()}, assign=True)
    x = torch.randn(1, 6, 7, 5, dtype=torch.float64)
    expected = network(x)
    torch.testing.assert_close(untile_se(network)(x), expected)


def test_copies():
    """A deep copy of a tiled network can be undone by itself."""
    network = tile_se(lively(blocks.resnet()), 2)
    twin = copy.deepcopy(network)
    nn.init.ones_(twin.layer1[0].se.fc1.matrix)
    x = torch.randn(1, 3, 12, 9)
    assert not torch.equal(twin(x), network(x))
    tile_se(untile_se(twin), 2)
    assert torch.equal(twin.layer1[0].se.fc1.weight, torch.ones(2, 8, 1, 1))
    assert untile_se(network).layer1[0].se is not untile_se(twin).layer1[0].se


# Batch normalisation inside a block is folded.


@pytest.mark.parametrize("sizes", [(6, 4), (4, 6), (5, 5)], ids=str)
@pytest.mark.parametrize("name", NORMALISED)
def test_folded(name, sizes):
    """Every strip is what the original makes of it alone; the layers that are not folded are shared; undone exactly."""
    make, mid, folded = NORMALISED[name]
    network = nn.Sequential(nn.Identity(), made(make, *sizes).double())
    original, before = network[1], state(network)
    parameters = set(network.parameters())
    assert find_se(network)["1"].mid is mid
    x = torch.randn(3, sizes[0], 7, 5, dtype=torch.float64)
    expected = network(x)
    for k in (2, 7):
        tile_se(network, k)
        assert not network[1].training
        torch.testing.assert_close(network(x), by_strips(original, x, k), rtol=1e-10, atol=1e-10)
        owners = {layer for layer in ("fc1", "fc2") if not set(getattr(network[1], layer).parameters()) <= parameters}
        assert owners == set(folded.split())
        assert untile_se(network)[1] is original
    assert torch.equal(network(x), expected)
    assert all(torch.equal(value, before[name]) for name, value in state(network).items())


def test_folded_in_training():
    """The statistics are those of evaluation mode and stay; the folded layer trains; then it can't be undone."""
    network = nn.Sequential(made(NORMALISED["after layer 1"][0])).train()
    network[0].fc1.weight.requires_grad = False
    original, before = network[0], state(network)
    tile_se(network, 7)
    assert not network[0].fc1.weight.requires_grad
    x = torch.randn(2, 6, 7, 5)
    torch.testing.assert_close(network(x), original.eval()(x), rtol=1e-4, atol=1e-4)
    untile_se(network)
    network[0].fc1.weight.requires_grad = True
    tile_se(network, 7).train()
    trained(network, torch.optim.SGD(network.parameters(), 1e-3), x)
    assert torch.equal(original.between.running_mean, before["0.between.running_mean"])
    message = "has other weights now in a layer that batch normalisation was folded into; this can't be undone"
    with pytest.raises(ConfigError, match=f"^model=0: {message}$"):
        untile_se(network)
    assert isinstance(network[0], TiledSE)


@pytest.mark.parametrize("layer", ["fc1", "fc2"])
def test_trained_beside_folded(layer):
    """Where only the shared layer has changed, the original comes back with its new weights."""
    network = nn.Sequential(made(NORMALISED["after layer 1"][0]))
    tile_se(network, 7)
    with torch.no_grad():
        getattr(network[0], layer).bias += 1
    if layer == "fc1":
        with pytest.raises(ConfigError, match="folded"):
            untile_se(network)
    else:
        x = torch.randn(2, 6, 7, 5)
        expected = network(x)
        torch.testing.assert_close(untile_se(network)(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_folded_in_another_precision(dtype):
    """What `to` does to the tiled network, it does to the original that comes back, normalisations and all."""
    network = tile_se(nn.Sequential(made(NORMALISED["everywhere"][0])), 7)
    original = untile_se(network.to(dtype))[0]
    assert {tensor.dtype for tensor in original.state_dict().values()} == {dtype, torch.int64}
    assert original(torch.randn(1, 6, 4, 4).to(dtype)).dtype == dtype
    copied = copy.deepcopy(tile_se(network, 7))
    assert untile_se(copied)[0] is not untile_se(network)[0]


def test_bias_without_a_place():
    network = tile_se(nn.Sequential(blocks.ClassicSELayer(6, 2)))
    network[0].fc2.bias.fill_(1)
    with pytest.raises(ConfigError, match="^model=0: has a bias now that its original has no place for$"):
        untile_se(network)
    assert isinstance(network[0], TiledSE)


def test_rows_of_each():
    """A mapping gives each block its own k; a block that is not in it stays."""
    network = blocks.mobilenet()
    second = network[2].block[6]
    tile_se(network, {"1.block.6": np.int64(5)})
    assert network[1].block[6].k == 5
    assert network[2].block[6] is second
    tile_se(untile_se(network), {"1.block.6": 2, "2.block.6": 9})
    assert [network[i].block[6].k for i in (1, 2)] == [2, 9]
    assert tile_se(blocks.Block(4, 2), {"": 3}).k == 3


@pytest.mark.parametrize("select", [["2.block.6"], "2.block.6", iter(["2.block.6"]),
                                    lambda name, module: isinstance(module, blocks.ClassicSELayer)])
def test_select(select):
    network = tile_se(blocks.mobilenet(), 5, select=select)
    assert [isinstance(network[i].block[6], TiledSE) for i in (1, 2)] == [False, True]


NAMES = "must name squeeze-and-excite blocks of the model: 1.block.6, 2.block.6"


@pytest.mark.parametrize(("arguments", "message"), [
    (dict(k={"1.block": 3}), f"k=1.block: {NAMES}"),
    (dict(select=["1.block.6", "nonsense"]), f"select=nonsense: {NAMES}"),
    (dict(k=0), "k=0: must be an integer of at least 1"),
    (dict(k=True), "k=True: must be an integer of at least 1"),
    (dict(k=2.0), "k=2.0: must be an integer of at least 1"),
    (dict(k={"1.block.6": 3, "2.block.6": -1}), "k=-1: must be an integer of at least 1"),
])
def test_refuses(arguments, message):
    network = blocks.mobilenet()
    modules = list(network.named_modules())
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        tile_se(network, **arguments)
    assert list(network.named_modules()) == modules


def test_network_without_blocks():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 1))
    assert find_se(network) == {}
    assert untile_se(tile_se(network)) is network
    with pytest.raises(ConfigError, match="^k=0: must be an integer of at least 1$"):
        tile_se(network, 0)


def test_shared_module():
    """One module at two places is swapped at both, for one tiled module, and put back at both."""
    block = made(blocks.Block)
    network = nn.Sequential(block, nn.Sequential(nn.ReLU(), block))
    x = torch.randn(1, 6, 7, 5)
    expected = network(x)
    assert list(find_se(network)) == ["0"]
    tile_se(network, 7)
    assert isinstance(network[0], TiledSE)
    assert network[1][1] is network[0]
    torch.testing.assert_close(network(x), expected)
    untile_se(network)
    assert network[0] is block
    assert network[1][1] is block


def test_wrappers():
    """The innermost module is the block, but for a wrapper that makes it the residual form."""
    residual = nn.Sequential(blocks.Residual(made(KNOWN["paddle relu6"][0])))
    x = torch.randn(1, 6, 7, 5)
    expected = residual(x)
    assert {name: block.residual for name, block in find_se(residual).items()} == {"0": True}
    torch.testing.assert_close(tile_se(residual, 7)(x), expected)
    plain = nn.Sequential(nn.Sequential(nn.Sequential(blocks.Block(6, 2))))
    assert list(find_se(plain)) == ["0.0.0"]
    shared = nn.Sequential(blocks.Block(6, 2))
    shared.append(blocks.Residual(shared[0]))
    assert list(find_se(shared)) == ["0"]
    tile_se(shared)
    assert shared[1].se_block is shared[0]
    # The model itself can't be replaced in place, and the part of it can.
    model = blocks.Residual(made(blocks.Block))
    assert tile_se(model) is model
    assert isinstance(model.se_block, TiledSE)


def test_hooks_stay():
    """Hooks of the block see the tiled one too, their handles work throughout; later ones remain behind."""
    network, calls = nn.Sequential(made(blocks.Block)), []
    x = torch.randn(1, 6, 7, 5, requires_grad=True)
    handles = [network[0].register_forward_hook(lambda module, inputs, output: calls.append("forward")),
               network[0].register_forward_pre_hook(lambda module, inputs: calls.append("before")),
               network[0].register_full_backward_hook(lambda module, inputs, outputs: calls.append("backward"))]
    tile_se(network)
    network(x).sum().backward()
    assert calls == ["before", "forward", "backward"]
    for handle in handles:
        handle.remove()
    network[0].register_forward_hook(lambda module, inputs, output: calls.append("later"))
    untile_se(network)(x).sum().backward()
    assert calls[3:] == ["later"]


def test_backward_hook_of_the_tiled():
    """A full backward hook that only the tiled block got is one of the original's too: it sees the block's input."""
    network, x, shapes = tile_se(nn.Sequential(made(blocks.Block))), torch.randn(1, 6, 7, 5, requires_grad=True), []
    network[0].register_full_backward_hook(lambda module, inputs, outputs: shapes.append([i.shape for i in inputs]))
    network(x).sum().backward()
    untile_se(network)(x).sum().backward()
    assert shapes == [[x.shape], [x.shape]]


def test_inner_hooks_are_refused():
    network = blocks.resnet()
    handle = network.layer1[1].se[0].fc[0].register_forward_hook(lambda *_: None)
    message = r"^model=layer1\.1\.se\.0: has hooks on its inner layers, which would be lost; remove them first$"
    with pytest.raises(ConfigError, match=message):
        tile_se(network)
    assert not any(isinstance(module, TiledSE) for module in network.modules())
    handle.remove()
    tile_se(network)


def test_weights_that_can_hide_a_difference():
    """Zeros, infinities and NaN: what a block is does not depend on its weights."""
    for value in (0.0, float("inf"), float("nan")):
        block, other = blocks.Block(6, 4), like(mid=functional.gelu)(6, 4)
        for parameter in (*block.parameters(), *other.parameters()):
            nn.init.constant_(parameter, value)
        assert list(find_se(nn.Sequential(block, other))) == ["0"]


def test_large_layers_are_not_copied():
    """Two matrices of 64 GB in all, which no machine here could copy, make no block."""
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(1 << 17, 1 << 16), nn.ReLU(), nn.Linear(1 << 16, 1 << 17))
    assert find_se(model) == {}


# The libraries themselves, where they are installed.

REAL = [("timm", "efficientnet_b0", 16), ("timm", "mobilenetv3_large_100", 8), ("timm", "regnety_008", 14),
        ("timm", "seresnet50", 16), ("timm", "ecaresnet50t", 0), ("timm", "rexnet_100", 13),
        ("torchvision", "efficientnet_b0", 16), ("torchvision", "mobilenet_v3_large", 8),
        ("torchvision", "regnet_y_400mf", 16), ("torchvision", "resnet18", 0)]


@pytest.mark.parametrize(("name", "model", "count"), REAL)
def test_real_networks(name, model, count, figure):
    """As many blocks as modules of the libraries' classes; k >= H computes the same, k = 2 doesn't; undone exactly."""
    make = library("timm").create_model if name == "timm" else library("torchvision.models").get_model
    torch.manual_seed(5)
    network = lively(make(model)).double()
    classes = ("SqueezeExcite", "SEModule", "SqueezeExcitation")
    expected = [path for path, module in network.named_modules() if type(module).__name__ in classes]
    assert len(expected) == count
    assert list(find_se(network)) == expected
    x = torch.randn(1, 3, 96, 64, dtype=torch.float64)
    with torch.no_grad():
        y = network(x)
        error = ((tile_se(network, 10**6)(x) - y).abs().max() / y.abs().max()).item()
        assert error < 1e-12
        change = ((tile_se(untile_se(network), 2)(x) - y).abs().max() / y.abs().max()).item()
        assert bool(count) == (change > 1e-9)
        assert torch.equal(untile_se(network)(x), y)
    figure(f"{name} {model}: {count} blocks, k >= H within {error:.1e}, k = 2 changes {change:.1e}")
