# SPDX-License-Identifier: Apache-2.0
"""The PyTorch module in every context, against a plain float64 loop over tiles and rows."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers.libraries import library
from tiled_se.golden.block import FloatBlock
from tiled_se.golden.module import TiledSE
from tiled_se.hdl.config import ConfigError, Context, Gate, GateKind, Mid, Order, Tiling

CHANNELS, SQUEEZE = 4, 3
PRIOR = np.array([0.5, -2.0, 0.0, 3.0])
SHAPES = [(1, 1), (1, 6), (5, 1), (7, 5), (8, 3), (14, 14), (20, 9)]
TILE, CUMULATIVE, CAUSAL, WINDOW = Context

# Each for a reason; K in rows of the stream.
TILINGS = {
    "strips of one row": Tiling(k=1),
    "strips": Tiling(k=3),
    "one strip": Tiling(k=10**9),
    "patches": Tiling(k=3, tile_width=2),
    "patches of one element": Tiling(k=1, tile_width=1),
    "a column of patches": Tiling(k=2, tile_width=50),
    "a row of patches": Tiling(k=50, tile_width=4),
    "cumulative": Tiling(k=1, context=CUMULATIVE),
    "cumulative, three rows at a time": Tiling(k=3, context=CUMULATIVE),
    "cumulative, one prior row": Tiling(k=1, context=CUMULATIVE, prior_rows=1),
    "cumulative, three prior rows": Tiling(k=3, context=CUMULATIVE, prior_rows=3),
    "cumulative, few rows": Tiling(k=2, context=CUMULATIVE, prior_rows=1, max_rows=5),
    "cumulative, one row counts": Tiling(k=3, context=CUMULATIVE, max_rows=1),
    "cumulative, all at once": Tiling(k=100, context=CUMULATIVE, prior_rows=1),
    "causal": Tiling(k=1, context=CAUSAL, prior_rows=1),
    "causal, three rows at a time": Tiling(k=3, context=CAUSAL, prior_rows=3),
    "causal, few rows": Tiling(k=2, context=CAUSAL, prior_rows=1, max_rows=5),
    "causal, prior alone": Tiling(k=100, context=CAUSAL, prior_rows=2),
    "upper window": Tiling(k=1, context=WINDOW, window=(0, 7)),
    "middle window": Tiling(k=1, context=WINDOW, window=(4, 7)),
    "window beyond most frames": Tiling(k=1, context=WINDOW, window=(14, 2)),
}
every_tiling = pytest.mark.parametrize("tiling", TILINGS.values(), ids=TILINGS)


def by_columns(tiling):
    return Tiling(**(vars(tiling) | {"order": Order.COLUMNS}))


def reference(x, module, tiling, prior):
    """y of one frame `x` (H, W, C) by the formulas; sums are added up element by element."""
    if tiling.order is Order.COLUMNS:
        turned = Tiling(**(vars(tiling) | {"order": Order.ROWS}))
        return reference(x.transpose(1, 0, 2), module, turned, prior).transpose(1, 0, 2)
    height, width, channels = x.shape
    w1, w2 = (layer.weight.detach().double().numpy()[:, :, 0, 0] for layer in (module.fc1, module.fc2))
    b1, b2 = (layer.bias.detach().double().numpy() for layer in (module.fc1, module.fc2))
    y = np.empty_like(x)
    for row in range(height):
        tile = row // tiling.k
        for column in range(width):
            left, right = 0, width
            imaginary, last = tiling.prior_rows, min((tile + 1) * tiling.k, height)
            if tiling.context is TILE:
                first, imaginary = tile * tiling.k, 0
                if tiling.tile_width:
                    left = column // tiling.tile_width * tiling.tile_width
                    right = min(left + tiling.tile_width, width)
            elif tiling.context is CUMULATIVE:
                first, last = 0, min(last, tiling.max_rows)
            elif tiling.context is CAUSAL:
                first, last = 0, min(tile * tiling.k, tiling.max_rows)
            else:
                first, last = tiling.window[0], min(sum(tiling.window), height)
                imaginary = 0 if first < height else 1
            seen = [x[r, c] for r in range(first, last) for c in range(left, right)]
            total = sum(seen, np.zeros(channels)) + imaginary * width * prior
            h = np.maximum(w1 @ (total / (imaginary * width + len(seen))) + b1, 0)
            y[row, column] = x[row, column] / (1 + np.exp(-(w2 @ h + b2)))
    return y


def made(tiling, prior=PRIOR, **more):
    torch.manual_seed(7)
    module = TiledSE(CHANNELS, SQUEEZE, tiling, prior=prior, **more)
    for layer in (module.fc1, module.fc2):
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    return module.eval()


def frames(height, width, count=2):
    """Rows differ in their means, so that each row that is counted or not makes a difference."""
    x = np.random.default_rng([height, width]).normal(0, 1, (count, CHANNELS, height, width))
    return torch.tensor(x + np.random.default_rng(1).normal(0, 2, (CHANNELS, height, width))).float()


def expected(module, x, prior=PRIOR):
    return np.stack([reference(frame, module, module.tiling, prior).transpose(2, 0, 1)
                     for frame in x.double().numpy().transpose(0, 2, 3, 1)])


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize(("height", "width"), SHAPES)
@every_tiling
def test_formulas(tiling, height, width, order):
    module = made(by_columns(tiling) if order is Order.COLUMNS else tiling)
    x = frames(height, width)
    y = module(x)
    assert y.shape == x.shape
    np.testing.assert_allclose(y.detach().numpy(), expected(module, x), rtol=2e-5, atol=2e-5)


@every_tiling
def test_precision_of_sums(tiling):
    """In float64 the module is exact to its last bits."""
    module, x = made(tiling).double(), frames(20, 9).double()
    np.testing.assert_allclose(module(x).detach().numpy(), expected(module, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("context", [TILE, CUMULATIVE])
def test_whole_maps(context):
    """Where one tile is the map, it is torchvision's original, whose state dict is loaded unchanged."""
    original = library("torchvision.ops").SqueezeExcitation(CHANNELS, SQUEEZE)
    module, x = TiledSE(CHANNELS, SQUEEZE, Tiling(k=11, context=context)), frames(11, 5)
    module.load_state_dict(original.state_dict())
    torch.testing.assert_close(module(x), original(x))


@every_tiling
def test_gates_are_of_tiles(tiling):
    """`scale` has one gate for each tile and channel, `descriptors` what it is computed from."""
    x = frames(8, 5)
    shape = {TILE: (-(-8 // tiling.k), -(-5 // (tiling.tile_width or 5))), WINDOW: (1, 1)}.get(
        tiling.context, (-(-8 // tiling.k), 1))
    assert made(tiling).scale(x).shape == made(tiling).descriptors(x).shape == (2, CHANNELS, *shape)
    turned = made(by_columns(tiling)).scale(x.transpose(2, 3))
    torch.testing.assert_close(turned.transpose(2, 3), made(tiling).scale(x))


@every_tiling
def test_prior_is_zeros_without_one(tiling):
    x = frames(9, 4)
    module = made(tiling, prior=None)
    np.testing.assert_allclose(module(x).detach().numpy(), expected(module, x, np.zeros(CHANNELS)), rtol=2e-5,
                               atol=2e-5)


@every_tiling
def test_state_dict(tiling):
    """A prior that the tiling uses survives saving and loading; the original's state dict leaves it as it is."""
    module, x = made(tiling), frames(13, 5)
    state = module.state_dict()
    assert ("prior" in state) == bool(tiling.prior_rows)
    again = TiledSE(CHANNELS, SQUEEZE, tiling)
    again.load_state_dict(state)
    assert torch.equal(again(x), module(x))
    again.load_state_dict({name: value for name, value in state.items() if name != "prior"})
    assert torch.equal(again(x), module(x))
    # Within a larger network, too.
    pair = nn.ModuleList([TiledSE(CHANNELS, SQUEEZE, tiling), nn.Identity()])
    pair.load_state_dict(nn.ModuleList([module, nn.Identity()]).state_dict())
    assert torch.equal(pair[0](x), module(x))


def test_state_dict_of_another_tiling():
    """A tiling without imaginary rows ignores a prior; whatever else is missing or unknown is an error as ever."""
    causal, strips = made(TILINGS["causal"]), TiledSE(CHANNELS, SQUEEZE, 3)
    strips.load_state_dict(causal.state_dict())
    assert torch.equal(strips.fc1.weight, causal.fc1.weight)
    assert list(strips.state_dict()) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    for change in ({"fc1.priors": PRIOR}, {"fc2.bias": None}):
        state = {name: value for name, value in (causal.state_dict() | change).items() if value is not None}
        with pytest.raises(RuntimeError, match=next(iter(change))):
            causal.load_state_dict(state)
    with pytest.raises(RuntimeError, match="size mismatch for prior"):
        causal.load_state_dict(causal.state_dict() | {"prior": torch.zeros(CHANNELS + 1)})


@every_tiling
def test_block_and_back(tiling):
    module, x = made(tiling, mid=Mid.SILU, gate=Gate(GateKind.HARDSIGMOID), residual=True), frames(9, 5)
    block = module.block()
    assert isinstance(block, FloatBlock)
    assert (block.prior is None) == (not tiling.prior_rows)
    if block.prior is not None:
        assert block.prior.dtype == np.float64
        assert np.array_equal(block.prior, PRIOR)
    again = TiledSE.from_block(block, tiling)
    assert again.tiling == tiling
    assert torch.equal(again(x), module(x))


@every_tiling
def test_gradients(tiling):
    """Those of a difference quotient, in float64; the prior is a buffer, which is not trained."""
    module = made(tiling).double()
    assert [name for name, _ in module.named_parameters()] == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    x = frames(5, 3, count=1).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: module(x), (x, *module.parameters()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@every_tiling
def test_low_precision(tiling, dtype):
    """A tall map whose sums are beyond float16, and whose means are not: as exact as one rounding of them allows."""
    x = (torch.rand(1, CHANNELS, 3000, 8, generator=torch.Generator().manual_seed(1)) + 40).to(dtype)
    module = made(tiling, torch.tensor(PRIOR).to(dtype).double()).to(dtype)
    z = module.descriptors(x)
    assert z.dtype == module(x).dtype == dtype
    exact = copy.deepcopy(module).double().descriptors(x.double())
    assert (z.double() - exact).abs().max() <= torch.finfo(dtype).eps / 2 * exact.abs().max() + 1e-4
    assert module(x).isfinite().all()


def test_other_rows_have_no_influence():
    """Infinite numbers spoil the descriptors that count them, and no others."""
    x = frames(12, 3)
    x[:, :, 6] = torch.inf
    for name, spoiled in {"strips": range(6, 9), "cumulative": range(6, 12), "causal": range(7, 12),
                          "causal, few rows": (), "upper window": range(12), "window beyond most frames": ()}.items():
        finite = made(TILINGS[name]).descriptors(x).isfinite().all(1)[0, :, 0]
        tiles = finite.repeat_interleave(12 // len(finite)) if len(finite) < 12 else finite
        assert [row for row in range(12) if not tiles[row]] == list(spoiled), name


@pytest.mark.parametrize(("prior", "message"), [
    ([1, 2, 3], "prior=[3]: must have the shape [4]"),
    (np.zeros((4, 1)), "prior=[4, 1]: must have the shape [4]"),
    ([1, 2, 3, np.nan], "prior=not finite: must hold finite real numbers"),
    (["a", "b", "c", "d"], "prior=<U1: must hold finite real numbers"),
])
def test_refuses(prior, message):
    with pytest.raises(ConfigError) as caught:
        TiledSE(CHANNELS, SQUEEZE, TILINGS["causal"], prior=prior)
    assert str(caught.value) == message


def test_repr():
    assert "(\n  k=1, context=causal, prior_rows=2, mid=relu, gate=sigmoid, residual=False\n" in repr(
        TiledSE(4, 2, Tiling(k=1, context=CAUSAL, prior_rows=2)))
