# SPDX-License-Identifier: Apache-2.0
"""The quantised PyTorch block in what networks and training loops do with it."""

import copy
import importlib
import io
import re

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.helpers.quantised_blocks import random_block
from tiled_se.golden import BlockFormats, DataFormat, QuantisedTiledSE, calibrate_blocks
from tiled_se.hdl.config import ConfigError, Context, DataType, Order, Tiling

TILINGS = {"strips": Tiling(k=2), "patches of columns": Tiling(k=2, tile_width=3, order=Order.COLUMNS),
           "causal columns": Tiling(k=1, context=Context.CAUSAL, prior_rows=1, order=Order.COLUMNS)}
every_tiling = pytest.mark.parametrize("tiling", TILINGS.values(), ids=TILINGS)


def made(tiling, outputs=None):
    block = QuantisedTiledSE(4, 2, tiling, formats=BlockFormats(outputs=outputs))
    calibrate_blocks(block, [maps()])
    return block


def maps(images=2):
    return torch.randn(images, 4, 5, 6)


def gradients(block, x, around=lambda y: y):
    """The outputs, and the gradients of `x` and of all parameters."""
    block.zero_grad()
    x = x.detach().requires_grad_()
    y = around(block)(x)
    y.square().sum().backward()
    return [y.detach(), x.grad, *(parameter.grad for parameter in block.parameters())]


def assert_equal(found, expected):
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@every_tiling
def test_unbatched_maps(tiling):
    block, x = made(tiling), maps(1)
    found, expected = gradients(block, x[0]), gradients(block, x)
    assert_equal(found, [expected[0][0], expected[1][0], *expected[2:]])
    assert torch.equal(block.codes(x[0]), block.codes(x)[0])
    other = QuantisedTiledSE(4, 2, tiling)
    calibrate_blocks(other, [[x[0]]])
    assert other.x_format.scale == pytest.approx(x.abs().max().item() / 128, rel=0.1)


@every_tiling
def test_no_image(tiling):
    """Each parameter gets a gradient, which wrappers for several processes wait for."""
    block, x = made(tiling, DataType(6)), maps(0)
    y, *grads = gradients(block, x)
    assert y.shape == x.shape
    assert [grad.shape for grad in grads] == [x.shape, *(parameter.shape for parameter in block.parameters())]
    assert not any(grad.any() for grad in grads)
    assert (block.codes(x).shape, block.codes(x).dtype) == (x.shape, torch.int32)
    before = block.x_format
    calibrate_blocks(block, [x])
    assert block.x_format == before


@every_tiling
def test_maps_that_are_no_whole_memory(tiling):
    block, x = made(tiling), maps(3)
    for other in (x.permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0), torch.cat((x, x))[::2],
                  x[:1].expand(3, 4, 5, 6)):
        (y, *grads), (expected, *wanted) = gradients(block, other), gradients(block, other.contiguous())
        assert torch.equal(y, expected)
        # Sums of gradients are taken in the order of memory.
        torch.testing.assert_close(grads, wanted)


@every_tiling
def test_activation_in_place(tiling):
    """An output may be changed in place, as ReLU often does."""
    block, x = made(tiling), maps()
    assert_equal(gradients(block, x, lambda block: nn.Sequential(block, nn.ReLU(inplace=True))),
                 gradients(block, x, lambda block: nn.Sequential(block, nn.ReLU())))


def test_autocast():
    """It changes nothing, forward or backward."""
    for seed in range(20):
        block, x, _, _ = random_block(seed, torch.float32)
        expected = gradients(block, x)
        with torch.autocast("cpu", torch.bfloat16):
            assert_equal(gradients(block, x), expected)


def test_autocast_around_a_network():
    """The block before gives bfloat16 and takes its gradient."""
    model, x = nn.Sequential(nn.Conv2d(3, 4, 1), made(Tiling(k=2)), nn.Conv2d(4, 2, 1)), torch.randn(2, 3, 5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        before, y = model[0](x), model[:2](x)
        model(x).float().sum().backward()
    assert before.dtype == y.dtype == torch.bfloat16
    assert torch.equal(y, model[1](before))
    assert all(parameter.grad.any() for parameter in model.parameters())


def test_accumulation_and_checkpoints():
    block, x = made(Tiling(k=2)), maps()
    expected = gradients(block, x)
    assert_equal(gradients(block, x, lambda block: lambda x: checkpoint(block, x, use_reentrant=False)), expected)
    for _ in range(2):
        block(x).square().sum().backward()
    for parameter, grad in zip(block.parameters(), expected[2:], strict=True):
        torch.testing.assert_close(parameter.grad, 3 * grad)


def test_inference_mode():
    """What is calibrated and made there serves for training."""
    block, x = QuantisedTiledSE(4, 2, 2), maps()
    with torch.inference_mode():
        calibrate_blocks(block, [x])
        y = block(x)
    assert_equal(gradients(block, x)[:1], [y])


def test_whole_modules():
    """A module that is saved as it is goes on with its widths."""
    block, x, file = made(Tiling(k=2)), maps(), io.BytesIO()
    y = block(x)
    torch.save(block, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(x), y)


@every_tiling
def test_replicas(tiling, monkeypatch):
    """DataParallel's modules for several devices, which have copies of parameters and buffers as attributes."""
    module, x = made(tiling, DataType(8)), maps()
    replication = importlib.import_module("torch.nn.parallel.replicate")
    monkeypatch.setattr(replication, "_broadcast_coalesced_reshape",
                        lambda tensors, devices, detach=False: [[t.detach().clone() for t in tensors] for _ in devices])
    monkeypatch.setattr(replication, "_get_device_index", lambda device, _: device)
    replicas, expected = replication.replicate(module, [0, 1]), copy.deepcopy(module)(x)
    module.x_format = DataFormat(1.0, 0)
    for replica in replicas:
        assert torch.equal(replica(x), expected)


class Network(nn.Module):
    """A block between layers."""

    def __init__(self):
        super().__init__()
        self.first, self.block, self.last = nn.Conv2d(3, 4, 1), made(Tiling(k=2)), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        """`x` (N, 3, H, W) to (N, 2, H, W)."""
        return self.last(self.block(self.first(x)).relu())


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not:UserWarning")  # torch looks at it
def test_compiled_networks():
    """What is around the block is compiled, for all sizes; the block is as it was."""
    network, graphs = Network(), []
    torch._dynamo.reset()
    compiled = torch.compile(network, dynamic=True, backend=lambda graph, _: graphs.append(graph) or graph.forward)
    for height in (5, 9, 12):
        x = torch.randn(2, 3, height, 7)
        assert_equal(gradients(network, x, lambda _: compiled), gradients(network, x))
    assert len(graphs) == 2


REFUSED = r"^model=QuantisedTiledSE: must not be traced, scripted or exported; a TiledSE can be$"


@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript:DeprecationWarning",
                            "ignore:The feature will be removed:DeprecationWarning",
                            "ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("tool", [
    lambda network, x: torch.fx.symbolic_trace(network),
    lambda network, x: torch.jit.script(network),
    lambda network, x: torch.jit.trace(network, x),
    lambda network, x: torch.export.export(network, (x,)),
    lambda network, x: torch.onnx.export(network, (x,), io.BytesIO(), dynamo=False),
], ids=["fx", "script", "trace", "export", "onnx"])
def test_refused_tools(tool):
    """They would make programs with the numbers of one size, or fail somewhere in the integer model."""
    with pytest.raises(ConfigError, match=REFUSED):
        tool(Network(), torch.randn(2, 3, 5, 7))


@pytest.mark.parametrize(("x", "message"), [
    (torch.zeros(2, 4, 0, 3), "x=[2, 4, 0, 3]: must have the shape [N, C, H, W] or [C, H, W] with C = 4"),
    (torch.zeros(4, 3, 3, 3).long(), "x=[4, 3, 3, 3]: must have the shape [N, C, H, W] or [C, H, W] with C = 4"),
    (torch.zeros(4, 5), "x=[4, 5]: must have the shape [N, C, H, W] or [C, H, W] with C = 4"),
    (torch.zeros(4, 3, 3).long(), "x=torch.int64: must hold real numbers of a floating-point type"),
])
def test_bad_maps(x, message):
    block = made(Tiling(k=2))
    for run in (block, block.codes):
        with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
            run(x)


def test_prior_outside_of_the_range():
    """A range that was chosen for the least error may clip the mean of a channel: the prior is limited as x is."""
    block = made(TILINGS["causal columns"])
    form = block.x_format
    low, high = form.dequantise([form.data.low, form.data.high])
    block.prior = torch.tensor([9 * low, 0.5 * low, 0.5 * high, 9 * high], dtype=torch.float32)
    x = maps()
    found = block(x), block.codes(x)
    assert block.block().prior.tolist() == pytest.approx([low, 0.5 * low, 0.5 * high, high], rel=1e-6)
    assert block.prior[3] > high  # the buffer itself stays, for other formats
    block.prior = torch.tensor([low, 0.5 * low, 0.5 * high, high], dtype=torch.float32)
    assert all(torch.equal(one, other) for one, other in zip(found, (block(x), block.codes(x)), strict=True))
