# SPDX-License-Identifier: Apache-2.0
"""State dicts of the original network, which a tiled one loads under the original's names."""

import copy

import pytest
import torch
from torch import nn

from tests.helpers.torch_blocks import (
    Block,
    ClassicSELayer,
    Conv1dSE,
    MobileNetV3SE,
    NormalisedSELayer,
    Residual,
    mobilenet,
    resnet,
)
from tiled_se.golden.convert import quantise_se, tile_se, untile_se
from tiled_se.golden.module import TiledSE

C, CR, WHOLE = 8, 4, 1000


class Swapped(nn.Module):
    """A square block whose layers have each other's names."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(C, C, 1), nn.Conv2d(C, C, 1)

    def forward(self, x):
        return x * self.fc1(self.fc2(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class Normalised(nn.Module):
    """A block with batch normalisation, whose layers have the tiled block's names."""

    def __init__(self):
        super().__init__()
        self.fc1, self.bn, self.fc2 = nn.Conv2d(C, CR, 1), nn.BatchNorm2d(CR), nn.Conv2d(CR, C, 1)

    def forward(self, x):
        return x * self.fc2(self.bn(self.fc1(x.mean((2, 3), keepdim=True))).relu()).sigmoid()


def alone(make, *arguments):
    return lambda: nn.Sequential(make(*arguments))


NETWORKS = {
    "convolutions": alone(Block, C, CR),
    "linear layers without biases": alone(ClassicSELayer, C, CR),
    "layers out of order": alone(MobileNetV3SE, C, CR),
    "one axis more": alone(Conv1dSE, C, CR),
    "batch normalisation": alone(NormalisedSELayer, C, CR),
    "batch normalisation, and the same names": lambda: nn.Sequential(Normalised()),
    "a wrapper": lambda: nn.Sequential(Residual(ClassicSELayer(C, CR))),
    "swapped names": lambda: nn.Sequential(Swapped()),
    "the model is the block": lambda: ClassicSELayer(C, CR),
    "mobilenet": mobilenet,
    "resnet": resnet,
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def trained(name):
    """A network whose parameters and statistics are not those of an initialisation."""
    network = NETWORKS[name]()
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(0.2 + torch.rand(tensor.shape) * tensor.mean().sign())
    return network.eval()


def assert_same(network, other, name):
    x = torch.randn(2, 3 if name in ("mobilenet", "resnet") else C, 21, 20)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(x), other.eval()(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("assign", [False, True])
@every_network
def test_originals(name, assign):
    """All names are known, the loaded network computes what the original does, and so does the original from it."""
    original, network = trained(name), tile_se(NETWORKS[name](), WHOLE, check=False)
    state = dict(original.state_dict())
    names = list(state)
    network.load_state_dict(state, assign=assign)
    assert list(state) == names
    assert_same(network, original, name)
    assert_same(untile_se(network), original, name)


# Without a version, swapped names are taken for the original's.
@pytest.mark.parametrize(("name", "plain"), [
    (name, plain) for name in NETWORKS for plain in (False, True) if not (plain and name == "swapped names")])
def test_tiled(name, plain):
    """The tiled network's own state dict; as a plain dictionary, too, in which torch notes no versions."""
    original = trained(name)
    tiled, network = (tile_se(each, WHOLE, check=False) for each in (copy.deepcopy(original), NETWORKS[name]()))
    network.load_state_dict(dict(tiled.state_dict()) if plain else tiled.state_dict())
    assert_same(network, original, name)
    quantise_se(network).load_state_dict(dict(tiled.state_dict()) if plain else tiled.state_dict())


def test_sharing():
    """The original's parameters are loaded in place, so that an optimiser keeps them."""
    network = tile_se(NETWORKS["linear layers without biases"](), WHOLE)
    before = list(network.parameters())
    network.load_state_dict(trained("linear layers without biases").state_dict())
    assert all(old is new for old, new in zip(before, network.parameters(), strict=True))


def test_bias_that_the_original_lacks():
    network = tile_se(NETWORKS["linear layers without biases"](), WHOLE)
    network[0].fc1.bias.fill_(3)
    network.load_state_dict(trained("linear layers without biases").state_dict())
    assert not network[0].fc1.bias.any()


def test_linear_weights():
    """A module that replaced nothing takes (CR, C) as (CR, C, 1, 1)."""
    module, first, second = TiledSE(C, CR), nn.Linear(C, CR), nn.Linear(CR, C)
    module.load_state_dict(nn.ModuleDict({"fc1": first, "fc2": second}).state_dict())
    assert torch.equal(module.fc1.weight[:, :, 0, 0], first.weight)
    assert torch.equal(module.fc2.weight[:, :, 0, 0], second.weight)


@pytest.mark.parametrize(("name", "change", "message"), [
    ("linear layers without biases", {"0.fc.0.bias": torch.zeros(CR)}, "Unexpected key.*0.fc.0.bias"),
    ("linear layers without biases", {"0.fc.2.weight": None}, "Missing key.*0.fc2.matrix"),
    ("linear layers without biases", {"0.fc.0.weight": torch.zeros(CR + 1, C)}, "fc.0.weight"),
    ("layers out of order", {"0.expand.bias": None}, "Missing key.*0.fc2.bias"),
    ("batch normalisation", {"0.fc.1.running_var": None}, "Missing key.*0.fc.1.running_var"),
    ("batch normalisation", {"0.fc.1.running_var": torch.ones(CR + 1)}, "size mismatch for fc.1.running_var"),
])
def test_refuses(name, change, message):
    state = {key: value for key, value in (dict(trained(name).state_dict()) | change).items() if value is not None}
    with pytest.raises(RuntimeError, match=message):
        tile_se(NETWORKS[name](), WHOLE).load_state_dict(state)
