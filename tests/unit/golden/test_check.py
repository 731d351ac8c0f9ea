# SPDX-License-Identifier: Apache-2.0
"""What was recognised is run beside its tiled form: blocks that differ, and errors planted in the recognition."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.helpers import torch_blocks as blocks
from tiled_se.golden import convert, find_se, fold, recognise, replace, tile_se, trace, untile_se
from tiled_se.golden.module import TiledSE
from tiled_se.hdl.config import ConfigError, Gate, GateKind, Mid


def made(make, channels=6, squeeze=4, std=2.0):
    torch.manual_seed(3)
    block = make(channels, squeeze).eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=std)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return block


def special(**parts):
    return lambda *sizes: blocks.Special(*sizes, **parts)


def clipped(layer):
    return layer.weight.clamp(-5, 5) if layer.weight.abs().max() > 30 else layer.weight


def masked(layer):
    return layer.weight if layer.weight.isfinite().all() else layer.weight.nan_to_num()


def limited(layer):
    if layer.weight.abs().max() > 30:
        raise ValueError("weights must be\nat most 30")
    return layer.weight


def average(x):
    return x.mean((2, 3), keepdim=True)


def halved(network):
    return network.half()


def multiplied(factor):
    def change(network):
        network[0].fc1.weight.data *= factor
        return network
    return change


# The blocks are recognised, as random weights and inputs of usual size show nothing. What is different about each, and
# the reason that is given.
AMOUNT = r"differs from its tiled form with k >= H by up to [0-9.e+-]+ times its input"
DIFFERENT = {
    "large weights are clipped": (special(weight=clipped), multiplied(100), AMOUNT),
    "weights that are no numbers are masked": (
        special(weight=masked), multiplied(float("nan")), AMOUNT.replace("[0-9.e+-]+", "nan")),
    "large inputs are clipped": (
        special(pool=lambda x: average(x.clamp(-30, 30) if x.abs().max() > 30 else x)), multiplied(0.01), AMOUNT),
    "small inputs are dropped": (special(pool=lambda x: average(x * (x.abs().max() > 0.1))), None, AMOUNT),
    "one picture alone": (special(pool=lambda x: average(x) + (len(x) == 1)), None, AMOUNT),
    "a height": (special(pool=lambda x: average(x) * (1 if x.shape[2] >= 4 else 2)), None, AMOUNT),
    "a large height": (special(pool=lambda x: average(x) * (1 if x.shape[2] < 30 else 2)), None, AMOUNT),
    "a large width": (special(pool=lambda x: average(x) * (1 if x.shape[3] < 30 else 2)), halved, AMOUNT),
    "a large map": (special(pool=lambda x: average(x) * (1 if x[0, 0].numel() < 1024 else 1.1)), None, AMOUNT),
    "half precision": (special(pool=lambda x: average(x) * (1.25 if x.dtype is torch.float16 else 1)), halved, AMOUNT),
    "another precision": (blocks.FixedPrecision, halved, "returns dtype float32, its tiled form float16"),
    "weights of a type without operators": (
        blocks.Casting, lambda network: network.to(torch.float8_e4m3fn), "its tiled form can't be run: Runtime.*"),
    "refuses its weights": (
        special(weight=limited), multiplied(100), "can't be run: ValueError: weights must be at most 30"),
}


def differing(name):
    make, change, reason = DIFFERENT[name]
    network = nn.Sequential(made(make), made(blocks.Block))
    return change(network) if change else network, reason


@pytest.mark.parametrize("name", DIFFERENT)
def test_different(name):
    """The block stays, with a warning; chosen by name, by a function or by a mapping, it is an error."""
    network, reason = differing(name)
    first = network[0]
    random = torch.get_rng_state()
    with pytest.warns(UserWarning, match=f"^0: {reason}; it is left as it is$"):
        tile_se(network, 5)
    assert torch.equal(random, torch.get_rng_state())
    assert network[0] is first
    assert isinstance(network[1], TiledSE)
    untile_se(network)
    with pytest.warns(UserWarning, match=f"^0: {reason}"):
        assert list(find_se(network)) == ["1"]
    assert list(find_se(network, check=False)) == ["0", "1"]
    for arguments in (dict(select=["1", "0"]), dict(select=lambda name, module: True), dict(k={"0": 5, "1": 5})):
        with pytest.raises(ConfigError, match=f"^model=0: {reason}$"):
            tile_se(network, **arguments)
        assert network[0] is first
        assert not isinstance(network[1], TiledSE)
    assert isinstance(tile_se(network, 5, check=False)[0], TiledSE)


@pytest.mark.parametrize("axis", [2, 3])
def test_different_on_large_maps_of_many_channels(axis):
    network = nn.Sequential(made(special(pool=lambda x: average(x) * (1 if x.shape[axis] < 30 else 2)), 300, 20, 0.1))
    with pytest.warns(UserWarning, match=f"^0: {AMOUNT}"):
        assert find_se(network) == {}


def test_different_and_not_chosen():
    network, _ = differing("large weights are clipped")
    assert isinstance(tile_se(network, 5, select=["1"])[1], TiledSE)


def test_uncopied():
    """A block whose buffers belong to a graph of gradients can't be copied."""
    network = nn.Sequential(made(batch_norm))
    network[0].between.running_mean = network[0].between.running_mean * nn.Parameter(torch.ones(4))
    with pytest.warns(UserWarning, match="^0: can't be copied: RuntimeError: Only Tensors created explicitly"):
        assert find_se(network) == {}


def test_model_is_the_block():
    block = multiplied(100)([made(special(weight=clipped))])[0]
    with pytest.warns(UserWarning, match=f"^Special: {AMOUNT}"):
        assert tile_se(block) is block


def with_seed(seed, factor=1.0):
    def change(block):
        torch.manual_seed(seed)
        for parameter in block.parameters():
            nn.init.normal_(parameter, std=factor)
    return change


WEIGHTS = {
    "default": lambda block: None,
    "zeros": lambda block: [nn.init.zeros_(parameter) for parameter in block.parameters()],
    "no last layer": lambda block: [nn.init.zeros_(parameter) for parameter in list(block.parameters())[-2:]],
    "constant": lambda block: [nn.init.constant_(parameter, 0.3) for parameter in block.parameters()],
    "no numbers": lambda block: [nn.init.constant_(parameter, float("nan")) for parameter in block.parameters()],
    "infinite": lambda block: [nn.init.constant_(parameter, float("inf")) for parameter in block.parameters()],
    **{f"{factor:g}": with_seed(1, factor) for factor in (1e-30, 1e-6, 1e-2, 10, 1e3, 1e6, 1e30)},
    **{f"seed {seed}": with_seed(seed) for seed in range(4)},
}
SAME = {
    "block": blocks.Block,
    "linear layers": blocks.ClassicSELayer,
    "hard functions": blocks.MobileNetV3SE,
    "residual": blocks.Conv1dSE,
    "sums": lambda *sizes: blocks.Block(*sizes, pool=lambda x: x.sum((2, 3), keepdim=True) / x[0, 0].numel()),
    "batch norm": lambda *sizes: blocks.Block(*sizes, between=nn.BatchNorm2d(sizes[1])),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", SAME)
def test_no_false_alarm(name, weights, dtype):
    """A warning would be an error here."""
    torch.manual_seed(2)
    network = nn.Sequential(SAME[name](24, 6))
    WEIGHTS[weights](network[0])
    assert list(find_se(network.to(dtype))) == ["0"]


def test_meta_device():
    """Nothing can be compared there, and nothing can be folded."""
    with torch.device("meta"):
        network = nn.Sequential(blocks.Block(6, 4), blocks.Block(6, 4, between=nn.BatchNorm2d(4)))
    assert list(find_se(network)) == ["0", "1"]
    message = "^model=1: is on the meta device, where batch normalisation can't be folded$"
    with pytest.raises(ConfigError, match=message):
        tile_se(network)
    assert isinstance(tile_se(network, select=["0"])[0], TiledSE)


def test_checking_changes_nothing():
    """Neither a counter in the block nor its hooks show that a copy was run."""
    block, calls = made(special(pool=lambda x: average(x))), []
    block.register_buffer("calls", torch.zeros((), dtype=torch.int64))
    block.register_forward_pre_hook(lambda module, inputs: calls.append(1))
    block.mid = lambda h: (block.calls.add_(0), torch.relu(h))[1]
    tile_se(nn.Sequential(block))
    assert not calls


# Errors planted in the recognition. The recognition's own comparison is switched off, so that the check is alone.


def described(**changes):
    """The description has another value; a function of the right one computes it."""
    def plant(patch):
        def wrong(module):
            block = recognise.recognise(module)
            return block and dataclasses.replace(block, **{
                name: value(block) if callable(value) else value for name, value in changes.items()})
        patch.setattr(convert, "recognise", wrong)
    return plant


def instead(owner, name, make):
    """`owner`'s function `name` is what `make` makes of the right one."""
    return lambda patch: patch.setattr(owner, name, make(getattr(owner, name)))


def changed_parameters(change):
    """The tiled form's layers are changed after they were made; so is one that shares its weights."""
    def make(right):
        def wrong(*arguments):
            layer = right(*arguments)
            weight, bias = change(layer.weight.detach().clone(), layer.bias.detach().clone(), arguments)
            other = nn.Conv2d(*weight.shape[1::-1], 1)
            other.weight, other.bias = nn.Parameter(weight), nn.Parameter(bias)
            return other
        return wrong
    return instead(replace, "_shared", make)


def first_mid(values):
    return Mid.RELU


def gate(slope=1 / 6, offset=0.5):
    return Gate(GateKind.HARDSIGMOID, slope, offset)


def norm_changed(**changes):
    return described(norms=lambda block: tuple(
        tuple(dataclasses.replace(norm, **changes) for norm in norms) for norms in block.norms))


def batch_norm(*sizes):
    return blocks.Block(*sizes, between=nn.BatchNorm2d(sizes[1]))


def still(*sizes):
    """A unit of layer 1 that changes as little as eps expects."""
    block = batch_norm(*sizes)
    block.between.eps = 0.01
    return block


def both_sides(*sizes):
    """Normalisations of the same size before and after layer 1."""
    return blocks.Block(*sizes, pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(sizes[0])),
                        between=nn.BatchNorm2d(sizes[1]))


def plain(**parts):
    return lambda *sizes: blocks.Block(*sizes, **parts)


SILU = plain(mid=functional.silu)
HARD = plain(gate=functional.hardsigmoid)
TWICE = plain(pool=lambda x: 2 * average(x))
PLANTED = {
    "activation dropped": (SILU, described(mid=Mid.IDENTITY)),
    "relu for silu": (SILU, described(mid=Mid.RELU)),
    "silu for hard swish": (plain(mid=functional.hardswish), described(mid=Mid.SILU)),
    "relu for relu6": (plain(mid=functional.relu6), described(mid=Mid.RELU)),
    "relu6 for relu": (plain(), described(mid=Mid.RELU6)),
    "relu for gelu": (plain(mid=functional.gelu), instead(recognise, "activation_of", lambda right: first_mid)),
    "sigmoid for hard sigmoid": (HARD, described(gate=Gate())),
    "hard sigmoid for sigmoid": (plain(), described(gate=gate())),
    "slope twice as steep": (HARD, described(gate=gate(slope=1 / 3))),
    "slope half as steep": (HARD, described(gate=gate(slope=1 / 12))),
    "slope off by a thousandth": (HARD, described(gate=gate(slope=1.001 / 6))),
    "offset off by a thousandth": (HARD, described(gate=gate(offset=0.501))),
    "any gate is a sigmoid": (plain(gate=torch.tanh), instead(
        recognise, "_gate", lambda right: lambda table: (Gate(), False))),
    "residual taken for plain": (
        plain(scale=lambda x, g: x + x * g), described(residual=False)),
    "plain taken for residual": (plain(), described(residual=True)),
    "layers swapped": (plain(), described(layers=lambda block: block.layers[::-1])),
    "layer 1 twice": (plain(), described(layers=lambda block: block.layers[:1] * 2)),
    "bias 1 dropped": (plain(), described(layers=lambda block: ((block.layers[0][0], None), block.layers[1]))),
    "bias 2 dropped": (plain(), described(layers=lambda block: (block.layers[0], (block.layers[1][0], None)))),
    "biases exchanged": (plain(), described(layers=lambda block: (
        (block.layers[0][0], block.layers[1][1]), (block.layers[1][0], block.layers[0][1])))),
    "matrices exchanged": (plain(), described(layers=lambda block: (
        (block.layers[1][0], block.layers[0][1]), (block.layers[0][0], block.layers[1][1])))),
    "matrix transposed": (plain(), changed_parameters(lambda weight, bias, _: (weight.transpose(0, 1), bias))),
    "channels in reverse": (plain(), changed_parameters(lambda weight, bias, _: (weight.flip(1), bias))),
    "weights twice as large": (plain(), changed_parameters(lambda weight, bias, _: (2 * weight, bias))),
    "weights rounded to half precision": (
        plain(), changed_parameters(lambda weight, bias, _: (weight.half().float(), bias))),
    "bias negated": (plain(), changed_parameters(lambda weight, bias, _: (weight, -bias))),
    "a factor of the mean": (TWICE, instead(trace.Samples, "only", lambda right: (
        lambda self, stage: self.stages == {stage}))),
    "sum taken for the mean": (plain(pool=lambda x: x.sum((2, 3), keepdim=True)), instead(
        trace.Trace, "_sum", lambda right: lambda self, *_: trace._start(trace.Stage.MEAN))),
    "maximum taken for the mean": (plain(pool=lambda x: x.amax((2, 3), keepdim=True)), lambda patch: patch.setattr(
        trace, "AVERAGES", {*trace.AVERAGES, trace.aten.amax})),
    "mean over rows alone": (
        plain(pool=lambda x: x.mean(2, keepdim=True)), lambda patch: None),
    "mean of the other picture": (plain(pool=lambda x: average(x.flip(0))), lambda patch: patch.setattr(
        trace, "COPIES", {*trace.COPIES, trace.aten.flip})),
    "input overwritten": (plain(scale=lambda x, g: (x * g, x.zero_())[0]), lambda patch: None),
    "normalisation forgotten": (batch_norm, described(norms=((), (), (), ()))),
    "normalisation at the other layer": (batch_norm, described(norms=lambda block: block.norms[2:] + block.norms[:2])),
    "normalisation before its layer": (batch_norm, described(norms=lambda block: (
        block.norms[1], block.norms[0], *block.norms[2:]))),
    "normalisations exchanged": (both_sides, described(norms=lambda block: (
        block.norms[1], block.norms[0], *block.norms[2:]))),
    "eps forgotten": (still, norm_changed(eps=0.0)),
    "normalisation without weight": (batch_norm, norm_changed(weight=None)),
    "normalisation without bias": (batch_norm, norm_changed(bias=None)),
    "mean and variance exchanged": (batch_norm, described(norms=lambda block: tuple(
        tuple(dataclasses.replace(norm, mean=norm.variance, variance=norm.mean) for norm in norms)
        for norms in block.norms))),
    "normalisation without mean": (batch_norm, instead(fold.Norm, "factors", lambda right: lambda self, tensors: (
        right(self, tensors)[0], tensors[self.bias].detach().double()))),
    "variance taken for the deviation": (batch_norm, instead(fold.Norm, "factors", lambda right: lambda self, tensors: (
        right(self, tensors)[0] * (tensors[self.variance] + self.eps).rsqrt().double(), right(self, tensors)[1]))),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted(name, monkeypatch):
    """The check names the block that was recognised as another; the other block and the right recognition pass."""
    make, plant = PLANTED[name]
    network = nn.Sequential(made(make, 5, 5), nn.ReLU())
    first = network[0]
    monkeypatch.setattr(recognise, "_agrees", lambda *_: True)
    plant(monkeypatch)
    assert list(find_se(network, check=False)) == ["0"]
    with pytest.warns(UserWarning, match=r"^0: (differs from its tiled form|its tiled form can't|changes its input)"):
        tile_se(network, 5)
    assert network[0] is first
    with pytest.raises(ConfigError, match="^model=0: (differs|its tiled form|changes)"):
        tile_se(network, 5, select=["0"])
    monkeypatch.undo()
    found = list(find_se(network))  # without a warning
    assert found in ([], ["0"])
    assert isinstance(tile_se(network, 5)[0], TiledSE) == bool(found)


@pytest.mark.parametrize("name", ["layers swapped", "biases exchanged", "relu for silu", "weights twice as large"])
def test_planted_where_weights_are_constant(name, monkeypatch):
    """Layer 2 is zero at first, so the gates are all 0.5; after training the error would show."""
    make, plant = PLANTED[name]
    network = nn.Sequential(made(make, 5, 5))
    nn.init.zeros_(network[0].fc2.weight)
    nn.init.zeros_(network[0].fc2.bias)
    assert list(find_se(network)) == ["0"]
    plant(monkeypatch)
    with pytest.warns(UserWarning, match="^0: differs from its tiled form .*"):
        tile_se(network)


@pytest.mark.parametrize("name", ["slope off by a thousandth", "offset off by a thousandth"])
def test_planted_in_low_precision(name, monkeypatch):
    """An error smaller than this precision's rounding."""
    make, plant = PLANTED[name]
    network = nn.Sequential(made(make, 5, 5)).bfloat16()
    assert list(find_se(network)) == ["0"]
    plant(monkeypatch)
    with pytest.warns(UserWarning, match=f"^0: {AMOUNT}"):
        tile_se(network)


def test_wrong_modules_weights(monkeypatch):
    """The weights of a neighbour."""
    network = nn.Sequential(made(blocks.Block), made(blocks.Block))
    nn.init.normal_(network[1].fc1.weight)
    right = replace._shared
    monkeypatch.setattr(replace, "_shared", lambda module, names: right(network[1], names))
    with pytest.raises(ConfigError, match="^model=0: (differs|its tiled form can't be run)"):
        tile_se(network, 5, select=["0"])
    assert not isinstance(network[0], TiledSE)
