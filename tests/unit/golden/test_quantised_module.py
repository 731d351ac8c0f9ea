# SPDX-License-Identifier: Apache-2.0
"""The quantised PyTorch block: its integers are the hardware's, its gradient is the float block's, and it trains."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers.quantised_blocks import by_commands, random_block
from tiled_se.golden import BlockFormats, DataFormat, IntegerModel, QuantisedTiledSE, TiledSE, calibrate_blocks
from tiled_se.hdl.config import Context, DataType, Mid, Order, Tiling

# Seeds of a part must have all contexts, which go by the seed.
CASES, PARTS = 300, 5


def real_outputs(y_q, module, dtype):
    return torch.as_tensor(module.y_format.dequantise(y_q)).to(dtype)


@pytest.mark.parametrize("part", range(PARTS))
def test_integers(part):
    """300 blocks of all formats and contexts: every integer is that of the model which `sim` compares the RTL with."""
    requantised, clamped, forms = 0, 0, set()
    for seed in range(part, CASES, PARTS):
        module, maps, x, y = random_block(seed, torch.float32 if seed % 2 else torch.float64)
        spec, x_q, expected = by_commands(module, maps, x, y)
        assert np.array_equal(module.codes(maps), expected), (seed, spec.config)
        result = module(maps)
        assert result.dtype == maps.dtype
        assert torch.equal(result, real_outputs(expected, module, maps.dtype)), seed
        own = module.quantised(*maps.shape[2:])
        assert own.config.shifts == spec.config.shifts
        assert own.config.operand_bits == spec.config.operand_bits
        assert own.error_bound_lsb == spec.quantised.error_bound_lsb
        requantised += own.config.requantised
        tiling = module.tiling
        forms.add((tiling.context, tiling.tile_width is not None and tiling.tile_width < own.config.width))
        steps = maps.double().numpy() / x.scale + x.zero_point
        clamped += (steps > x.data.high + 0.5).any() and (steps < x.data.low - 0.5).any()
    assert requantised > 10
    assert clamped > 30
    assert forms == {*((context, False) for context in Context), (Context.TILE, True)}


@pytest.mark.parametrize("part", range(5))
def test_integers_while_training(part):
    """After each change of the weights the outputs are those of the integers that the module then has."""
    kept = 0
    for seed in range(part, 50, 5):
        module, maps, x, _ = random_block(seed)
        module.train()
        before = module.quantised(*maps.shape[2:]).config
        for _ in range(3):
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter += 0.02 * torch.randn_like(parameter) * parameter.abs().max()
            result, own = module(maps), module.quantised(*maps.shape[2:])
            assert own.error_bound_lsb <= 1
            # The real weights are near those of the layers.
            assert np.abs(own.b1 - module.block().b1).max() <= own.hidden_scale
            kept += own.config == before
            frames = x.quantise(maps.numpy()).transpose(0, 2, 3, 1)
            by_columns = module.tiling.order is Order.COLUMNS
            y_q = IntegerModel(own.config, own.parameters).run(frames.swapaxes(1, 2) if by_columns else frames).y
            y_q = (y_q.transpose(1, 2) if by_columns else y_q).permute(0, 3, 1, 2)
            assert torch.equal(result, real_outputs(y_q, module, maps.dtype))
        # The least widths again.
        module.eval()
        spec, _, expected = by_commands(module, maps, x, None if module.formats.outputs is None else module.y_format)
        assert np.array_equal(module.codes(maps), expected), spec.config
    assert kept > 5


def test_widths_that_are_kept():
    """While they keep the bound, in training mode only; a bias that needs more room gets it."""
    module, x = fine_block()
    with torch.no_grad():
        module.fc1.weight *= 100
    wide = module.quantised(5, 3).config
    with torch.no_grad():
        module.fc1.weight /= 100
    kept = module.quantised(5, 3)
    assert kept.config == wide
    y = module(x)
    module.eval()
    least = module.quantised(5, 3)
    assert least.config.operand_bits < wide.operand_bits
    # Both are within an LSB of the float block.
    assert 0 < (module(x) - y).abs().max() <= 2 * module.y_format.scale
    module.train()
    with torch.no_grad():
        module.fc2.bias *= 40
    again = module.quantised(5, 3)
    assert least.config.requant_bits < again.requant_bits <= again.config.requant_bits


def float_gradients(module, maps, cotangent):
    """Those of a plain TiledSE at the real values of the integers; of x and y only where they are not clamped."""
    own, x, y = module.quantised(*maps.shape[2:]), module.x_format, module.y_format
    block = TiledSE(*reversed(own.w1.shape), module.tiling, mid=module.mid, gate=module.gate, residual=module.residual)
    block.double()
    block.prior = None if own.prior is None else torch.as_tensor(own.prior)
    with torch.no_grad():
        for layer, weight, bias in ((block.fc1, own.w1, own.b1), (block.fc2, own.w2, own.b2)):
            layer.weight.copy_(torch.as_tensor(weight)[:, :, None, None])
            layer.bias.copy_(torch.as_tensor(bias))
    inputs = torch.as_tensor(x.dequantise(x.quantise(maps.numpy()))).requires_grad_()
    outputs = block(inputs)
    steps = np.rint(maps.numpy() / x.scale) + x.zero_point
    inside = torch.as_tensor((steps >= x.data.low) & (steps <= x.data.high))
    # Further than an LSB from the ends: there y itself tells.
    exact = outputs.detach() / y.scale + y.zero_point
    passed = (exact >= y.data.low) & (exact <= y.data.high)
    near = torch.minimum((exact - y.data.low).abs(), (exact - y.data.high).abs()) < 1.5
    cotangent = cotangent * ~near
    (outputs * cotangent * passed).sum().backward()
    return cotangent, [inputs.grad * inside, *(parameter.grad for parameter in block.parameters())]


@pytest.mark.parametrize("part", range(5))
def test_gradient_is_the_float_blocks(part):
    """Of 100 random blocks, in float64; zero where x or y is clamped."""
    for seed in range(part, 100, 5):
        module, maps, _, _ = random_block(seed)
        cotangent, expected = float_gradients(module, maps, torch.randn(maps.shape, dtype=torch.float64))
        maps.requires_grad_()
        module(maps).backward(cotangent)
        for found, wanted in zip([maps.grad, *(one.grad for one in module.parameters())], expected, strict=True):
            scale = wanted.abs().max().item()
            torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-9 * scale + 1e-12)


CUMULATIVE = Tiling(k=2, context=Context.CUMULATIVE, prior_rows=1)
FORMS = {
    "cumulative": CUMULATIVE,
    "strips": Tiling(k=2),
    "patches of columns": Tiling(k=2, tile_width=2, order=Order.COLUMNS),
    "causal": Tiling(k=1, context=Context.CAUSAL, prior_rows=1),
    "window of columns": Tiling(k=1, context=Context.WINDOW, window=(1, 2), order=Order.COLUMNS),
}


def fine_block(residual=False, tiling=CUMULATIVE):
    """A smooth block of 14-bit data, finer outputs, and 8-bit weights; maps away from the ends."""
    module = QuantisedTiledSE(5, 3, tiling, mid=Mid.SILU, residual=residual,
                              formats=BlockFormats(DataType(14), outputs=DataType(16))).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter))
    module.x_format = DataFormat(2.0**-11, 3, DataType(14))
    module.y_format = DataFormat(2.0**-14 * (1 + residual), -5, DataType(16))
    return module, torch.rand(2, 5, 5, 3, dtype=torch.float64) - 0.2


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_secants(form, residual):
    """Differences of the outputs, over changes of many steps, are what the gradient says: without any float model."""
    module, x = fine_block(residual, FORMS[form])
    cotangent = torch.rand_like(x)
    x.requires_grad_()
    module(x).backward(cotangent)

    def loss():
        with torch.no_grad():
            return (module(x) * cotangent).sum().item()

    # An output is within an LSB of the float block's.
    error, size, weights = cotangent.sum().item() * module.y_format.scale, 0.4, (module.fc1.weight, module.fc2.weight)
    # Along the signs of the gradient, so that it is far from 0.
    ways = [(x, torch.rand_like(x) * x.grad.sign()),
            *((layer.bias, layer.bias.grad.sign()) for layer in (module.fc1, module.fc2)),
            # A row that grows or shrinks as a whole keeps its integers: only its step changes.
            *((weight, weight.detach() * (weight.grad * weight.detach()).sum(1, keepdim=True).sign())
              for weight in weights)]
    for values, way in ways:
        before, ends = values.detach().clone(), []
        for part in (-size, -size / 2, size / 2, size):
            values.data = before + part * way
            ends.append(loss())
        values.data = before
        # Exact for polynomials of the fourth degree. The magnitudes of the factors add up to 3 / size.
        slope = (8 * (ends[2] - ends[1]) - (ends[3] - ends[0])) / (6 * size)
        expected = (values.grad * way).sum().item()
        assert abs(slope - expected) < 3 * error / size + 2e-3 * abs(expected)
        assert abs(expected) > 3 * 3 * error / size


def test_clamped_numbers_get_no_gradient():
    module, x = fine_block()
    x[0, 0], x[1, 1] = 100.0, -100.0
    x[0, 2, 0, 0] = module.x_format.dequantise(module.x_format.data.high)
    x.requires_grad_()
    module(x).sum().backward()
    assert not x.grad[0, 0].any()
    assert not x.grad[1, 1].any()
    assert x.grad[0, 2].all()
    # An output that is clamped passes nothing on, to the weights neither.
    module.y_format = DataFormat(2.0**-13, module.y_format.data.high, DataType(16))
    module.zero_grad()
    x = torch.full_like(x, 1.0).requires_grad_()
    module(x).sum().backward()
    assert not x.grad.any()
    assert not any(parameter.grad.any() for parameter in module.parameters())


def test_gradients_that_are_not_needed():
    module, x = fine_block()
    module.fc1.weight.requires_grad_(False)
    module(x).sum().backward()
    assert module.fc1.weight.grad is None
    assert module.fc2.weight.grad.any()
    with torch.no_grad():
        assert module(x).grad_fn is None


@pytest.mark.parametrize("bits", [8, 4])
def test_training(bits):
    """Some epochs on a task that needs the gates: the loss falls, and every tensor of the block changes."""
    formats = BlockFormats(DataType(bits), bits)
    block = QuantisedTiledSE(6, 4, 2, formats=formats)
    model = nn.Sequential(nn.Conv2d(2, 6, 3), block, nn.Flatten(), nn.Linear(96, 2))
    x = torch.randn(64, 2, 6, 6)
    x[::2] *= 2
    labels = torch.arange(64) % 2
    calibrate_blocks(model, [x])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser, losses = torch.optim.Adam(model.parameters(), 0.01), []
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    after = model.state_dict()
    for name, value in before.items():
        # Formats stay.
        assert torch.equal(value, after[name]) == name.endswith(("scale", "zero_point")), name


def network_and_labels(block):
    """Images of one class have twice the size; none of the layers knows anything of that."""
    model = nn.Sequential(nn.Conv2d(2, 6, 3), block, nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(96, 2))
    images, labels = torch.randn(256, 2, 6, 6), torch.arange(256) % 2
    images[labels == 0] *= 2
    return model, images, labels, nn.functional.cross_entropy


def block_and_gates(block):
    """Nothing but the block, which is to find a gate for each channel."""
    images = torch.randn(256, 6, 4, 4)
    return block, images, images * torch.linspace(0, 1, 6)[:, None, None], nn.functional.mse_loss


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("task", [network_and_labels, block_and_gates])
def test_an_epoch(task, form, bits):
    """One epoch of small batches lowers the loss on all images, as evaluated before and after."""
    model, images, wanted, criterion = task(QuantisedTiledSE(6, 4, FORMS[form], formats=BlockFormats(
        DataType(bits), bits)))
    calibrate_blocks(model, images.split(64))

    def loss():
        model.eval()
        with torch.no_grad():
            return criterion(model(images), wanted).item()

    before, optimiser = loss(), torch.optim.Adam(model.parameters(), 0.01)
    model.train()
    for chosen in torch.randperm(len(images)).split(16):
        optimiser.zero_grad()
        criterion(model(images[chosen]), wanted[chosen]).backward()
        optimiser.step()
    assert loss() < 0.9 * before


def test_precisions():
    """Half precisions have the integers of their own x and weights; scales stay float64."""
    module, x = fine_block()
    scale = 0.0005
    module.x_format = DataFormat(scale, 3, DataType(14))
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        module.to(dtype)
        assert (module.x_scale.dtype, module.x_format.scale) == (torch.float64, scale)
        maps = x.to(dtype)
        _, _, expected = by_commands(module, maps, module.x_format, module.y_format)
        y = module(maps)
        assert y.dtype == dtype
        assert torch.equal(y, real_outputs(expected, module, dtype))
