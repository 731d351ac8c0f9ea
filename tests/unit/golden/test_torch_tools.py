# SPDX-License-Identifier: Apache-2.0
"""PyTorch's tools on the tiled block, alone and in networks: each result is run at sizes that the tool did not see."""

import copy
import importlib
import io
import pickle

import onnxruntime
import pytest
import torch
from torch import nn

from tests.helpers.libraries import library
from tests.helpers.nightly import seldom
from tests.helpers.torch_blocks import ClassicSELayer, mobilenet, resnet
from tiled_se.golden.convert import tile_se
from tiled_se.golden.module import TiledSE
from tiled_se.hdl.config import Context, Gate, GateKind, Mid, Order, Tiling

CHANNELS, SQUEEZE = 4, 3
EXAMPLE = (2, 29, 23)
# (N, H, W) of other maps: of full tiles, with ragged ones, of one tile, of one row and of one column; the windows below
# are beyond the low ones.
SIZES = ((1, 16, 15), (3, 30, 9), (2, 17, 31), (1, 2, 4), (3, 1, 7), (2, 40, 1), (1, 1, 1))
TILE, CUMULATIVE, CAUSAL, WINDOW = Context
HARD, STEEP = Gate(GateKind.HARDSIGMOID), Gate(GateKind.HARDSIGMOID, 0.2, 0.4)

# Tilings, and the block's functions, so that all are there.
CONTEXTS = {
    "strips": (Tiling(k=3), dict()),
    "strips of one row": (Tiling(k=1), dict(mid=Mid.RELU6, gate=HARD)),
    "one strip": (Tiling(k=2**30), dict(mid=Mid.SILU, residual=True)),
    "patches": (Tiling(k=3, tile_width=2), dict(mid=Mid.HARDSWISH, gate=STEEP)),
    "a row of patches": (Tiling(k=50, tile_width=4), dict(mid=Mid.IDENTITY, gate=HARD, residual=True)),
    "cumulative": (Tiling(k=3, context=CUMULATIVE), dict(mid=Mid.RELU6)),
    "cumulative, few rows": (Tiling(k=2, context=CUMULATIVE, prior_rows=3, max_rows=5), dict(gate=STEEP)),
    "causal": (Tiling(k=1, context=CAUSAL, prior_rows=1), dict(mid=Mid.SILU, gate=HARD, residual=True)),
    "causal, prior alone": (Tiling(k=100, context=CAUSAL, prior_rows=2), dict(mid=Mid.IDENTITY)),
    "upper window": (Tiling(k=1, context=WINDOW, window=(0, 7)), dict(mid=Mid.HARDSWISH)),
    "window": (Tiling(k=1, context=WINDOW, window=(4, 7)), dict(residual=True)),
    "strips of columns": (Tiling(k=3, order=Order.COLUMNS), dict(mid=Mid.SILU)),
    "patches of columns": (Tiling(k=3, tile_width=2, order=Order.COLUMNS), dict(residual=True)),
    "causal columns": (Tiling(k=2, context=CAUSAL, prior_rows=1, max_rows=5, order=Order.COLUMNS), dict(gate=HARD)),
    "window of columns": (Tiling(k=1, context=WINDOW, window=(4, 7), order=Order.COLUMNS), dict(mid=Mid.RELU6)),
}
every_context = pytest.mark.parametrize("context", CONTEXTS)
# Deprecated, but what most networks are exported and quantised with.
old_exporter = pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript:DeprecationWarning",
                                          "ignore:The feature will be removed:DeprecationWarning")
new_exporter = pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning")  # of its own calls in torch
old_script = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
graph_module = pytest.mark.filterwarnings("ignore:The TorchScript type system:UserWarning")  # of GraphModule's own code


def made(context):
    tiling, functions = CONTEXTS[context]
    module = TiledSE(CHANNELS, SQUEEZE, tiling, prior=[0.5, -2, 0, 3], **functions)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module.eval()


def maps(size, channels=CHANNELS):
    """Rows and columns differ in their means, so that each that counts makes a difference."""
    images, height, width = size
    return torch.randn(images, channels, height, width) + 2 * torch.randn(channels, height, width)


def assert_agree(tool, module, sizes=SIZES, channels=CHANNELS):
    with torch.no_grad():
        for size in sizes:
            x = maps(size, channels)
            y = tool(x)
            assert y.shape == (expected := module(x)).shape
            torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)


# Each makes a callable of a module and an example.

def scripted(module, x):
    """Saved and loaded, as for a program without Python."""
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(module), file)
    file.seek(0)
    return torch.jit.load(file)


def exported(module, x):
    open_size = torch.export.Dim.DYNAMIC
    return torch.export.export(module, (x,), dynamic_shapes=({0: open_size, 2: open_size, 3: open_size},)).module()


def onnx(*open_axes):
    def export(module, x):
        file = io.BytesIO()
        torch.onnx.export(module, (x,), file, dynamo=False, input_names=["x"],
                          dynamic_axes={"x": {axis: f"size{axis}" for axis in open_axes}})
        return run_onnx(file.getvalue())
    return export


def dynamo_onnx(*open_axes):
    def export(module, x):
        shapes = ({axis: torch.export.Dim.DYNAMIC for axis in open_axes},)
        program = torch.onnx.export(module, (x,), dynamo=True, input_names=["x"], dynamic_shapes=shapes, verbose=False)
        file = io.BytesIO()
        program.save(file)
        return run_onnx(file.getvalue())
    return export


def run_onnx(model):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return lambda x: torch.tensor(session.run(None, {"x": x.numpy()})[0])


def fx(module, x):
    return torch.fx.symbolic_trace(module)


def pickled_fx(module, x):
    return pickle.loads(pickle.dumps(torch.fx.symbolic_trace(module)))


def scripted_fx(module, x):
    return torch.jit.script(torch.fx.symbolic_trace(module))


def traced(module, x):
    return torch.jit.trace(module, x)


def copied(module, x):
    return copy.deepcopy(module)


def pickled(module, x):
    return pickle.loads(pickle.dumps(module))


def data_parallel(module, x):
    return nn.DataParallel(module)


TOOLS = {tool.__name__: tool for tool in (
    fx, pickled_fx, scripted, scripted_fx, traced, exported, copied, pickled, data_parallel)}
TOOLS |= {"onnx": onnx(0, 2, 3), "dynamo_onnx": dynamo_onnx(0, 2, 3)}
ALL = [(context, tool) for tool in TOOLS for context in CONTEXTS]
# Tools that take a second or two for a block, and a block of each formula for them.
SLOW = ("exported", "dynamo_onnx")
SLOWLY = ("strips", "patches", "cumulative, few rows", "causal columns", "window")


@old_exporter
@new_exporter
@old_script
@graph_module
@pytest.mark.parametrize(("context", "tool"), seldom(
    ALL, *(pair for pair in ALL if pair[1] not in SLOW or pair[0] in SLOWLY)))
def test_blocks(context, tool):
    module = made(context)
    assert_agree(TOOLS[tool](module, maps(EXAMPLE)), module)


@pytest.mark.parametrize("context", ["strips", "patches", "cumulative", "causal", "window", "patches of columns"])
def test_programs_of_one_tile(context):
    """An example of one tile makes a program for many, too."""
    module = made(context)
    assert_agree(exported(module, maps((2, 2, 3))), module)


OPEN = {"nothing": ((), [EXAMPLE]), "batch": ((0,), [(1, 29, 23), (5, 29, 23)]),
        "size": ((2, 3), [(2, 30, 9), (2, 2, 40)])}


@old_exporter
@new_exporter
@pytest.mark.parametrize("axes", OPEN)
@pytest.mark.parametrize(("export", "context"), [*((onnx, context) for context in CONTEXTS), (dynamo_onnx, "patches")])
def test_onnx_with_open(context, export, axes):
    """Files in which some axes are open, and those that are not are constants."""
    module, (axes, sizes) = made(context), OPEN[axes]
    assert_agree(export(*axes)(module, maps(EXAMPLE)), module, sizes)


@every_context
def test_compiles_once(context):
    """One graph for all heights, widths and batches; of one row or one column, torch makes another."""
    module, graphs = made(context), []
    torch._dynamo.reset()
    compiled = torch.compile(module, dynamic=True, fullgraph=True,
                             backend=lambda graph, _: graphs.append(graph) or graph.forward)
    assert_agree(compiled, module, ((2, 29, 23), (3, 30, 9), (2, 17, 31), (5, 2, 3), (7, 40, 2)))
    assert len(graphs) == 1


NETWORKS = {"mobilenet": mobilenet, "resnet": resnet}
NETWORK_CONTEXTS = ("strips", "patches of columns", "causal", "window")
network_contexts = pytest.mark.parametrize("context", NETWORK_CONTEXTS)


def tiled(network, context):
    if network == "block":
        return nn.Sequential(nn.Conv2d(3, CHANNELS, 1), made(context))
    return tile_se(NETWORKS[network](), CONTEXTS[context][0], check=False)


@old_exporter
@new_exporter
@old_script
@pytest.mark.parametrize(("network", "context", "tool"), [
    *((network, context, tool) for network in NETWORKS for context in NETWORK_CONTEXTS
      for tool in ("fx", "scripted", "onnx")),
    ("mobilenet", "causal", "exported"), ("resnet", "patches of columns", "exported"),
    ("resnet", "strips", "dynamo_onnx")])
def test_networks(network, context, tool):
    """Blocks whose parameters are shared with linear layers, without biases, and inside of other modules."""
    model = tiled(network, context).eval()
    assert_agree(TOOLS[tool](model, maps((2, 37, 31), 3)), model, ((1, 24, 23), (3, 38, 17), (2, 11, 39)), 3)


@network_contexts
@pytest.mark.parametrize("network", NETWORKS)
def test_features(network, context):
    """torchvision extracts a block's gates and its output."""
    extraction, model = library("torchvision.models.feature_extraction"), tiled(network, context).eval()
    name = next(name for name, module in model.named_modules() if isinstance(module, TiledSE))
    block, features = model.get_submodule(name), {}
    extractor = extraction.create_feature_extractor(model, {f"{name}.scale_activation": "gates", name: "y"})
    block.scale_activation.register_forward_hook(lambda _, x, y: features.update(gates=y))
    block.register_forward_hook(lambda _, x, y: features.update(y=y))
    for size in ((1, 24, 23), (2, 11, 39)):
        x = maps(size, 3)
        with torch.no_grad():
            model(x)
        expected = dict(features)
        torch.testing.assert_close(extractor(x), expected)


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated:DeprecationWarning")  # in use as ever
@pytest.mark.filterwarnings("ignore:Please use quant_min:UserWarning")  # in torch's own default
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")  # in what convert_fx makes
@pytest.mark.parametrize(("network", "context"), [
    *(("block", context) for context in CONTEXTS),
    *((network, context) for network in NETWORKS for context in NETWORK_CONTEXTS)])
def test_quantisation_aware_training(network, context):
    """Fake quantisation of the layers in the block, a training step, and integers in the layers in the end."""
    from torch.ao.quantization import disable_fake_quant, disable_observer, get_default_qat_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_qat_fx
    model, x = tiled(network, context), maps((2, 37, 31), 3)
    prepared = prepare_qat_fx(copy.deepcopy(model).train(), get_default_qat_qconfig_mapping("x86"), (x,))
    plain = copy.deepcopy(prepared).eval().apply(disable_fake_quant).apply(disable_observer)
    assert_agree(plain, model.eval(), ((1, 24, 23), (2, 11, 39)), 3)
    optimiser = torch.optim.SGD(prepared.parameters(), 0.02)
    losses = []
    for _ in range(4):
        optimiser.zero_grad()
        losses.append(loss := prepared(x).square().mean())
        loss.backward()
        assert all(parameter.grad.isfinite().all() for parameter in prepared.parameters())
        optimiser.step()
    assert losses[-1] < losses[0]
    prepared.eval()
    with torch.no_grad():
        y = prepared(x)
        converted = convert_fx(prepared)
        assert (converted(x) - y).square().mean() < 1e-2 * y.var()
        assert not [name for name, module in converted.named_modules() if isinstance(module, nn.Conv2d)]
        assert converted(maps((1, 50, 40), 3)).isfinite().all()


@every_context
def test_replicas(context, monkeypatch):
    """DataParallel's modules for several devices, which have copies of parameters and buffers as attributes."""
    module = nn.Sequential(made(context), tile_se(ClassicSELayer(CHANNELS, SQUEEZE), CONTEXTS[context][0], check=False))
    replication = importlib.import_module("torch.nn.parallel.replicate")
    monkeypatch.setattr(replication, "_broadcast_coalesced_reshape",
                        lambda tensors, devices, detach=False: [[t.detach().clone() for t in tensors] for _ in devices])
    monkeypatch.setattr(replication, "_get_device_index", lambda device, _: device)
    replicas = replication.replicate(module, [0, 1])
    with torch.no_grad():
        before = copy.deepcopy(module)
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.zero_()
    for replica in replicas:
        assert_agree(replica, before, SIZES[:2])


@every_context
def test_unbatched_maps(context):
    module = made(context)
    for size in SIZES:
        x = maps(size)
        torch.testing.assert_close(module(x[0]), module(x)[0])
        torch.testing.assert_close(module.scale(x[0]), module.scale(x)[0])


@old_script
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@every_context
def test_low_precision(context, dtype):
    """Traced and scripted modules, too, keep the precision, and sum in a higher one."""
    module = made(context).to(dtype)
    x = (torch.rand(1, CHANNELS, 300, 300) + 1).to(dtype)
    y = module(x)
    exact = copy.deepcopy(module).double()(x.double())
    assert y.dtype == dtype
    assert (y.double() - exact).abs().max() <= 40 * torch.finfo(dtype).eps * x.max()
    for tool in (torch.fx.symbolic_trace(module), torch.jit.script(module)):
        assert torch.equal(tool(x), y)


@every_context
def test_channels_last(context):
    """The result has the map's memory format, and its values."""
    module = made(context)
    for layout in (torch.channels_last, torch.contiguous_format):
        x = maps(EXAMPLE)
        y = module.to(memory_format=layout)(x.to(memory_format=layout))
        assert y.is_contiguous(memory_format=layout)
        torch.testing.assert_close(y, module(x))
