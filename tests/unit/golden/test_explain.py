# SPDX-License-Identifier: Apache-2.0
"""What gates a map by its averages and is no block: each is named, with the reason."""

import functools

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, prune

from tests.helpers import torch_blocks as blocks
from tests.unit.golden.test_check import DIFFERENT, differing
from tests.unit.golden.test_convert import OTHERS, library, state
from tiled_se.golden import explain, find_se, reasons, tile_se

ANOTHER = "averages another map than it multiplies"
SUM = "has a sum over the map instead of the mean"
AXIS = "has means over one axis of the map instead of over both"
WINDOW = "has means over windows instead of over the whole map"
MAXIMUM = "has a maximum beside the mean"
ONE, CONV1D = "has one layer instead of two", "has a 1D convolution over the channels instead of two layers"
BRANCHES = "has gates for 2 branches instead of one"
READS = "reads numbers of its input in Python, so what it computes may depend on them"
LARGER = "is written out in the forward of a larger module"


def between(name):
    return f"has {name} between its layers, which is not supported"


def as_gate(name):
    return f"has {name} as gate instead of a sigmoid or hard sigmoid"


# For each of the blocks that are none; None where no map is averaged, or none is multiplied.
REASONS = {
    "CBAM": MAXIMUM,
    "ESE": ONE,
    "bottleneck": None,
    "perceptron": None,
    "max pool": "has a maximum instead of the mean",
    "pool to 2x1": WINDOW,
    "mean over rows only": AXIS,
    "window": WINDOW,
    "mean of squares": ANOTHER,
    "mean of relu": ANOTHER,
    "mean of what is clipped": ANOTHER,
    "clipped mean": "has Clamp between the mean and layer 1",
    "mean of the first rows": ANOTHER,
    "mean of one picture": ANOTHER,
    "sum over the map": SUM,
    "sum over a map of one size": SUM,
    "sum over rows only": AXIS,
    "mean and sum": SUM,
    "grouped": "has 2 groups in layer 1",
    "3x3": "has a kernel of 3x3 in layer 1",
    "batch norm of each batch": "has a normalisation without stored statistics",
    "batch norm of the map": ANOTHER,
    "batch norm after the product": LARGER,
    "batch norm beside the layers": between("a function of add, ReLU"),
    "instance norm": "has a normalisation without stored statistics",
    "group norm": "has group normalisation between its layers",
    "layer norm": "has layer normalisation between its layers",
    "buffer": between("a function of mul, ReLU"),
    "gelu": between("GELU"),
    "leaky": between("LeakyReLU"),
    "prelu": between("a function of PReLU, ReLU"),
    "tanh": between("Tanh"),
    "scaled mid": between("a function of ReLU, mul"),
    "hardtanh to 20": between("Hardtanh"),
    "no gate": as_gate("no function"),
    "tanh gate": as_gate("Tanh"),
    "softmax gate": as_gate("Softmax"),
    "doubled gate": as_gate("a function of Sigmoid, mul"),
    "falling gate": as_gate("a function of neg, Hardsigmoid"),
    "gate to 0.9": as_gate("a function of div, add, Clamp"),
    "gate only": None,
    "sum": None,
    "scaled relu": ANOTHER,
    "shifted": "computes add beside the block",
    "clipped": "computes Clamp beside the block",
    "scaled residual": "computes mul, add beside the block",
    "other channels' gates": as_gate("a function of Sigmoid, flip"),
    "flipped": ANOTHER,
    "in place": "changes its input in place",
    "overwritten input": "changes its input in place",
    "random": "computes full_like, bernoulli, mul beside the block",
}


def test_every_other_has_a_reason():
    assert REASONS.keys() == OTHERS.keys()


@pytest.mark.parametrize("name", REASONS)
def test_reason(name):
    """The block in between is taken, and not named."""
    network = nn.Sequential(nn.Conv2d(3, 6, 3), blocks.Block(6, 3), nn.Sequential(OTHERS[name](6, 4)))
    found, left_out = find_se(network, explain=True)
    assert list(found) == ["1"]
    assert found == find_se(network)
    # The perceptron is in an nn.Sequential of its own.
    assert left_out == ({"2.0": REASONS[name]} if REASONS[name] else {})


@pytest.mark.parametrize("kind", ["double", "half", "training", "meta"])
def test_kinds_of_networks(kind):
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Dropout(0.5), OTHERS["gelu"](6, 4))
    network = network.to("meta") if kind == "meta" else getattr(network, {"training": "train"}.get(kind, kind))()
    random = torch.get_rng_state()
    assert find_se(network, explain=True) == ({}, {"3": between("GELU")})
    assert torch.equal(random, torch.get_rng_state())


def test_explaining_changes_nothing():
    """Neither statistics nor modes nor hooks; hooks don't run."""
    network, calls = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), OTHERS["gelu"](6, 4)).train(), []
    for module in network.modules():
        module.register_forward_hook(lambda *_: calls.append(1))
    before = state(network)
    assert list(find_se(network, explain=True)[1]) == ["2"]
    assert not calls
    assert all(module.training and len(module._forward_hooks) == 1 for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in state(network).items())


class WrittenOut(nn.Module):
    """A block in a larger module's forward, with another reason perhaps"""

    def __init__(self, mid=torch.relu):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.down, self.up, self.mid = nn.Linear(6, 4), nn.Linear(4, 6), mid

    def forward(self, x):
        y = self.norm(self.conv(x))
        g = torch.sigmoid(self.up(self.mid(self.down(y.mean((2, 3))))))
        return x + y * g[:, :, None, None]


class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.LazyConv2d(4, 1), nn.LazyConv2d(6, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class Picky(blocks.Block):
    def forward(self, x):
        y = super().forward(x)
        if x.shape[2] != 9:
            raise ValueError("maps must have\n9 rows")
        return y


class Container(nn.Module):
    """Parts that its forward can't run."""

    def __init__(self, **parts):
        super().__init__()
        self.parts = nn.ModuleDict(parts)

    def forward(self, x, lengths):
        return self.parts["part"](x)


class Clamped(nn.Module):
    def forward(self, weight):
        return weight.clamp(-1, 1)


def with_layer(change):
    def make():
        block = blocks.Block(6, 4)
        change(block.fc2)
        return block
    return make


class Separate(nn.Module):
    """The gates of one map scale another."""

    def __init__(self):
        super().__init__()
        self.conv, self.gates = nn.Conv2d(6, 6, 3, padding=1), nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 4, 1), nn.ReLU(), nn.Conv2d(4, 6, 1), nn.Sigmoid())

    def forward(self, x):
        return self.conv(x) * self.gates(x)


class Unused(blocks.Block):
    def __init__(self, channels, squeeze):
        super().__init__(channels, squeeze)
        self.register_buffer("spare", torch.ones(3))


def quantised():
    return torch.ao.quantization.quantize_dynamic(blocks.ClassicSELayer(6, 4), {nn.Linear})


def hooked(layer):
    layer.register_forward_hook(lambda *_: None)


class Doubled(blocks.Block):
    """The normalisation counts beside the factor."""

    def __init__(self, channels, squeeze):
        super().__init__(channels, squeeze)
        self.norm = nn.BatchNorm2d(channels)
        self.scale = lambda x, g: 2 * self.norm(x) * g


class Deciding(blocks.Block):
    """It gates some maps only."""

    def __init__(self, condition):
        super().__init__(6, 4)
        self.condition = condition

    def forward(self, x):
        return super().forward(x) if self.condition(x) else x


# None gates a random map. The first two do not gate a map of zeros either, on which a module is run; the others do.
CONDITIONS = {
    "large means": lambda x: x.mean() > 9,
    "large numbers": lambda x: x.abs().max().item() > 99,
    "small numbers": lambda x: x.abs().mean() < 0.01,
    "maps of zeros": lambda x: torch.equal(x, torch.zeros_like(x)),
}


def of_mean(change):
    return blocks.Block(6, 4, pool=lambda x: change(x.mean((2, 3), keepdim=True)))


# The other operand is neither the input nor a parameter. None is a view or a copy of one.
CHANGED_MEANS = {
    "plus zeros": ("add", lambda mean: mean + torch.zeros(1, 6, 1, 1)),
    "plus a view": ("add", lambda mean: mean + torch.arange(6.0).view(1, 6, 1, 1)),
    "plus a copy": ("add", lambda mean: mean + torch.arange(6.0).view(1, 6, 1, 1).clone()),
    "plus a slice": ("add", lambda mean: mean + torch.zeros(1, 8, 1, 1)[:, :6]),
    "times random numbers": ("mul", lambda mean: mean * torch.rand(1, 6, 1, 1)),
}


FORMS = {
    "written out": (WrittenOut, LARGER),
    "written out with another activation": (lambda: WrittenOut(functional.elu), between("ELU")),
    "scripted": (lambda: torch.jit.script(blocks.ClassicSELayer(6, 4)),
                 "is compiled by torch.jit, so its layers can't be replaced"),
    "quantised": (quantised, "has layers of quantised integers"),
    "lazy": (Lazy, "has lazy parameters without a shape; run the model once before"),
    "not run": (lambda: Picky(6, 4), "can't be run: ValueError: maps must have 9 rows"),
    "three layers": (lambda: blocks.Block(6, 4, between=nn.Conv2d(4, 4, 1)), "has 3 layers instead of two"),
    "weight norm": (with_layer(parametrizations.weight_norm), "computes the weights of layer 2: _WeightNorm"),
    "spectral norm": (with_layer(parametrizations.spectral_norm), "computes the weights of layer 2: _SpectralNorm"),
    "clamped weights": (with_layer(lambda layer: parametrize.register_parametrization(layer, "weight", Clamped())),
                        "computes the weights of layer 2: Clamped"),
    "pruned weights": (with_layer(lambda layer: prune.l1_unstructured(layer, "weight", 0.5)),
                       "computes the weights of layer 2: L1Unstructured"),
    "inner hooks": (with_layer(hooked), "has hooks on its inner layers, which would be lost; remove them first"),
    "another map": (Separate, ANOTHER),
    "unused buffer": (lambda: Unused(6, 4), "has a parameter or buffer that it does not use: spare"),
    "GELU written out": (lambda: blocks.Block(6, 4, mid=lambda x: x / 2 * (1 + torch.erf(x / 2**0.5))),
                         between("GELU")),
    "Mish": (lambda: blocks.Block(6, 4, mid=nn.Mish()), between("Mish")),
    "a gate for all channels": (lambda: blocks.Block(6, 4, gate=lambda v: torch.sigmoid(v.mean(1, keepdim=True))),
                                as_gate("a function of mean, Sigmoid")),
    **{f"mean {name}": (functools.partial(of_mean, change), f"has {operator} between the mean and layer 1")
       for name, (operator, change) in CHANGED_MEANS.items()},
    "a factor of the product": (lambda: blocks.Block(6, 4, scale=lambda x, g: 2 * x * g),
                                "has a factor of 2 on the product"),
    "a negative factor of the product": (lambda: blocks.Block(6, 4, scale=lambda x, g: -x / 4 * g),
                                         "has a factor of -0.25 on the product"),
    "a factor of the averaged map": (lambda: blocks.Block(6, 4, pool=lambda x: (x + x).mean((2, 3), keepdim=True)),
                                     "has a factor of 2 on the mean"),
    "a normalised and doubled map": (lambda: Doubled(6, 4), ANOTHER),
    **{f"gates {name}": (functools.partial(Deciding, condition), READS) for name, condition in CONDITIONS.items()},
    "whether it is positive": (lambda: blocks.Block(6, 4, mid=lambda x: (x > 0).to(x.dtype)), between("gt")),
}


@pytest.mark.filterwarnings("ignore:Lazy modules", "ignore:`torch.jit.script`:DeprecationWarning",
                            "ignore:torch.ao.quantization", "ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("around", ["network", "container"])
@pytest.mark.parametrize("name", FORMS)
def test_forms(name, around):
    """Also in a part of a network that can't be run as a whole."""
    make, reason = FORMS[name]
    network = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), make(), blocks.Block(6, 2))
    prefix = ""
    if around == "container":
        network, prefix = Container(part=network), "parts.part."
    found, left_out = find_se(network, explain=True)
    assert list(found) == [f"{prefix}2"]
    assert left_out == {f"{prefix}1": reason}


@pytest.mark.parametrize("name", DIFFERENT)
def test_different(name):
    """Blocks that the check finds, without a warning."""
    network, reason = differing(name)
    found, left_out = find_se(network, explain=True)
    assert list(found) == ["1"]
    assert list(left_out) == ["0"]
    assert find_se(network, explain=True, check=False)[1] == {}


def test_diagnosis_that_fails(monkeypatch):
    """The other modules still have their reasons."""
    def fail(finding, module):
        if isinstance(module, WrittenOut):
            raise StopIteration
        return reasons.reason(finding, module)

    monkeypatch.setattr(explain, "reason", fail)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), WrittenOut(), blocks.Block(6, 4), OTHERS["gelu"](6, 4))
    found, left_out = find_se(network, explain=True)
    assert list(found) == ["2"]
    assert left_out == {"1": "is like a block, but not known as one", "3": between("GELU")}


def test_shared_and_tiled():
    """A module at two places has its first name; a tiled block is none of these."""
    gelu = OTHERS["gelu"](6, 4)
    network = tile_se(nn.Sequential(blocks.Block(6, 4), gelu, nn.Sequential(gelu)))
    assert find_se(network, explain=True) == ({}, {"1": between("GELU")})
    assert find_se(gelu, explain=True) == ({}, {"": between("GELU")})


# Modules and networks of timm.

ATTENTION = {
    "squeeze_excite.EffectiveSEModule": ({}, "", ONE),
    "squeeze_excite.SqueezeExciteCl": ({}, "", "has maps (N, H, W, C) instead of (N, C, H, W)"),
    "eca.EcaModule": ({}, "", CONV1D),
    "eca.CecaModule": ({}, "", CONV1D),
    "global_context.GlobalContext": ({}, "", "has a weighted mean of the map instead of the mean"),
    "selective_kernel.SelectiveKernel": ({}, "", BRANCHES),
    "split_attn.SplitAttn": ({}, "", BRANCHES),
    "cbam.CbamModule": ({}, ".channel", MAXIMUM),
    "cbam.LightCbamModule": ({}, ".channel", MAXIMUM),
    "gather_excite.GatherExcite": (dict(extent=2, use_mlp=False), "", WINDOW),
    "coord_attn.CoordAttn": ({}, "", AXIS),
    "coord_attn.SimpleCoordAttn": ({}, "", AXIS),
}
VARIANTS = {"LayerNorm2d": "has layer normalisation between its layers",
            "GroupNorm1": "has group normalisation between its layers"}


@pytest.mark.parametrize("name", ATTENTION)
def test_timm_modules(name):
    options, inner, reason = ATTENTION[name]
    file, _, made = name.partition(".")
    module = getattr(library(f"timm.layers.{file}"), made)(64, **options)
    assert find_se(nn.Sequential(nn.ReLU(), module), explain=True) == ({}, {f"1{inner}": reason})


@pytest.mark.parametrize("norm", VARIANTS)
def test_timm_norms(norm):
    layers = library("timm.layers")
    module = layers.SEModule(64, norm_layer=getattr(layers, norm))
    assert find_se(nn.Sequential(module), explain=True) == ({}, {"0": VARIANTS[norm]})
    module = layers.SEModule(64, add_maxpool=True)
    assert find_se(nn.Sequential(module), explain=True) == ({}, {"0": MAXIMUM})


NETWORKS = {
    "ecaresnet50t": ("EcaModule", CONV1D), "skresnet18": ("SelectiveKernel", BRANCHES),
    "resnest14d": ("SplitAttn", BRANCHES), "ese_vovnet19b_dw": ("EffectiveSEModule", ONE),
    "resnet18": ("", ""), "densenet121": ("", ""), "convnextv2_atto": ("", ""), "vit_tiny_patch16_224": ("", ""),
    "swin_tiny_patch4_window7_224": ("", ""), "efficientnet_b0": ("", ""), "hrnet_w18_small": ("", ""),
}


@pytest.mark.parametrize("model", NETWORKS)
def test_timm_networks(model):
    """All modules of the class are named, and no other module of any network is."""
    kind, reason = NETWORKS[model]
    with torch.device("meta"):
        network = library("timm").create_model(model)
    expected = {name: reason for name, module in network.named_modules() if type(module).__name__ == kind}
    assert find_se(network, explain=True)[1] == expected
    assert bool(expected) == bool(kind)


def test_torchvision_networks():
    models, networks = library("torchvision.models"), []
    with torch.device("meta"):
        for model in ("resnet18", "mobilenet_v3_small", "swin_t", "googlenet"):
            networks.append(models.get_model(model, **(dict(init_weights=False) if model == "googlenet" else {})))
        head = models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)
    assert [find_se(network, explain=True)[1] for network in networks] == [{}] * 4
    assert find_se(head, explain=True)[1] == {"classifier": ONE}
