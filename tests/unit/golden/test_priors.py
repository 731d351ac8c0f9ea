# SPDX-License-Identifier: Apache-2.0
"""Networks tiled with any tiling, and the priors that calibration gives."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers import torch_blocks as blocks
from tiled_se.golden import mean_descriptors, tile_se, untile_se
from tiled_se.golden.module import TiledSE
from tiled_se.hdl.config import Config, ConfigError, Context, Order, Tiling

CAUSAL = Tiling(k=1, context=Context.CAUSAL, prior_rows=1)
CUMULATIVE = Tiling(k=3, context=Context.CUMULATIVE, prior_rows=2)
# In the network that `made` gives.
FIRST, SECOND = "1", "4"


def made():
    torch.manual_seed(6)
    return nn.Sequential(nn.Conv2d(3, 6, 3), blocks.Residual(blocks.Block(6, 4)), nn.Conv2d(6, 5, 1), nn.BatchNorm2d(5),
                         blocks.ClassicSELayer(5, 2), nn.Dropout(0.5))


def images(count, height=9, width=7):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(count)) + 1


def by_hand(network, x):
    """The inputs of both blocks, in float64 (N, C, H, W)."""
    with torch.no_grad():
        first = network[0](x)
        return {FIRST: first.double().numpy(), SECOND: network[3](network[2](network[1](first))).double().numpy()}


def test_mean_descriptors():
    """Every image counts once, whatever the batches and sizes are; only block inputs are seen."""
    network = made().eval()
    batches = [images(2), images(1, 4, 11), images(3)]
    inputs = [by_hand(network, batch) for batch in batches]
    means = mean_descriptors(network, iter(batches))
    assert list(means) == [FIRST, SECOND]
    for name, mean in means.items():
        expected = np.concatenate([x[name].mean((2, 3)) for x in inputs]).mean(0)
        assert mean.dtype == np.float64
        np.testing.assert_allclose(mean, expected, rtol=1e-5, atol=1e-6)


def test_network_stays_as_it_is():
    """Its modes, statistics and hooks; also after an error."""
    network = made().train()
    network[4].eval()
    modes = [module.training for module in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    mean_descriptors(network, [images(2)])
    with pytest.raises(RuntimeError):
        mean_descriptors(network, [images(2), images(2)[:, :2]])
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_pre_hooks for module in network.modules())


class Named(nn.Module):
    """Two arguments; the block gets its map by name."""

    def __init__(self):
        super().__init__()
        self.se, self.unused = blocks.Block(3, 2), blocks.Block(3, 2)

    def forward(self, picture, offset):
        assert not torch.is_grad_enabled()
        return self.se(x=self.se(picture) + offset)


@pytest.mark.parametrize("batch", [(images(2), 10), [images(2), 10], {"offset": 10, "picture": images(2)}], ids=type)
def test_arguments(batch):
    """A block that is used twice has the mean over its uses; one that is not used is left out."""
    network = Named()
    mean, = mean_descriptors(network, [batch]).values()
    first = images(2).mean((0, 2, 3))
    with torch.no_grad():
        second = network.se(images(2)).mean((0, 2, 3)) + 10
    np.testing.assert_allclose(mean, (first + second).numpy() / 2, rtol=1e-5)


def test_sums_of_low_precision():
    """Means between two numbers of float16, of maps whose sums are beyond its range."""
    block = blocks.Block(3, 2).half()
    x = torch.full((2, 3, 100, 100), 50.0)
    x[:, :, 1::2] += 2**-5
    mean, = mean_descriptors(block, [x.half()] * 3).values()
    assert mean.tolist() == [50 + 2**-6] * 3


@pytest.mark.parametrize(("batches", "message"), [
    ([], "batches=0: must be at least one"),
    ([torch.full((1, 3, 9, 7), torch.nan)], "batches=not finite: must give finite maps at the block '1'"),
])
def test_calibration_refuses(batches, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        mean_descriptors(made(), batches)


def test_calibrated():
    """The priors come into the tiled blocks, whose saved state keeps them; each block may have a tiling of its own."""
    network, x = made().eval(), images(1)
    priors = mean_descriptors(network, [images(4)])
    tile_se(network, {FIRST: CAUSAL, SECOND: CUMULATIVE}, priors=priors)
    assert (network[1].tiling, network[4].tiling) == (CAUSAL, CUMULATIVE)
    expected = network(x)
    for name, prior in priors.items():
        module = network.get_submodule(name)
        np.testing.assert_allclose(module.prior.numpy(), prior, rtol=1e-6)
        assert module.prior.dtype == torch.float32
        assert np.array_equal(module.block().prior, module.prior.double().numpy())
    # The first row of a causal block is scaled by the gates of the prior alone.
    tiled, alone = network[1], torch.tensor(priors[FIRST]).float().view(1, 6, 1, 1)
    gates = torch.sigmoid(tiled.fc2(torch.relu(tiled.fc1(alone))))
    torch.testing.assert_close(tiled.scale(torch.randn(1, 6, 9, 7))[:, :, :1], gates)
    state = network.state_dict()
    again = tile_se(made().eval(), {FIRST: CAUSAL, SECOND: CUMULATIVE})
    assert not torch.allclose(again(x), expected)
    again.load_state_dict(state)
    assert torch.equal(again(x), expected)
    assert list(untile_se(network).state_dict()) == list(made().state_dict())
    assert not torch.allclose(network(x), expected)


@pytest.mark.parametrize("tiling", [CAUSAL, CUMULATIVE, Tiling(k=2, tile_width=3), Tiling(k=2, order=Order.COLUMNS),
                                    Tiling(k=1, context=Context.WINDOW, window=(2, 3)),
                                    Config(k=2, width=9, channels=3, squeeze=1)], ids=str)
def test_any_tiling(tiling):
    """Blocks share the original's parameters and precision, and compute what a module of their weights does."""
    network, x = nn.Sequential(blocks.Block(6, 4)).double(), torch.randn(2, 6, 8, 5).double()
    parameters = set(network.parameters())
    tiled, = tile_se(network, tiling)
    assert tiled.tiling == tiling.tiling
    assert set(network.parameters()) == parameters
    assert {value.dtype for value in tiled.state_dict().values()} == {torch.float64}
    again = TiledSE.from_block(tiled.block(), tiling).double()
    torch.testing.assert_close(tiled(x), again(x), rtol=1e-6, atol=1e-6)


def test_tiled_blocks_are_calibrated():
    """Mean descriptors of a tiled network are those of its blocks' maps, whatever the tiling is."""
    network = made().eval()
    before = mean_descriptors(network, [images(3)])
    tile_se(network, {SECOND: CAUSAL})
    after = mean_descriptors(network, [images(3)])
    assert list(after) == list(before)
    assert all(np.array_equal(after[name], before[name]) for name in after)
    # They may be handed on, though tiled blocks stay as they are.
    tile_se(network, CAUSAL, priors=after)
    assert network[1].prior.any()
    assert not network[4].prior.any()


def test_priors_without_rows():
    """They are ignored by tilings that take none; where only the number of rows is 0 there is a warning."""
    network = made()
    priors = mean_descriptors(network, [images(2)])
    tile_se(network, 3, priors=priors)
    untile_se(network)
    none = Tiling(k=1, context=Context.CUMULATIVE)
    with pytest.warns(UserWarning, match="^priors are not used, as prior_rows is 0 in the tiling of '4'$"):
        tile_se(network, {FIRST: CAUSAL, SECOND: none}, priors=priors)
    assert network[1].prior is not None
    assert network[4].prior is None


def test_meta_device():
    """A model without numbers can be tiled, but has no place for a prior."""
    with torch.device("meta"):
        network = nn.Sequential(blocks.Block(6, 4))
    priors = {"0": np.ones(6)}
    with pytest.raises(ConfigError, match="^model=0: is on the meta device, where a prior has no numbers$"):
        tile_se(network, CAUSAL, priors=priors)
    tile_se(network, 3, priors=priors)
    tile_se(untile_se(network), CAUSAL)
    assert network[0].prior.is_meta


NAMES = "must name squeeze-and-excite blocks of the model: 1, 4"


@pytest.mark.parametrize(("k", "priors", "message"), [
    (CAUSAL, {FIRST: np.zeros(5)}, "priors['1']=[5]: must have the shape [6]"),
    (3, {SECOND: [0, 0, 0, 0, np.inf]}, "priors['4']=not finite: must hold finite real numbers"),
    (CAUSAL, {"2": np.zeros(5)}, f"priors=2: {NAMES}"),
    ({"0": CAUSAL}, None, f"k=0: {NAMES}"),
    ({FIRST: CAUSAL, SECOND: 0}, None, "k=0: must be an integer of at least 1"),
    (1 << 40, None, "k=1099511627776: must be from 1 to 1073741824"),
])
def test_refuses(k, priors, message):
    network = made()
    modules = list(network.named_modules())
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        tile_se(network, k, priors=priors)
    assert list(network.named_modules()) == modules
