# SPDX-License-Identifier: Apache-2.0
"""The folder of a PyTorch network's quantised blocks: what it holds, and what `build` refuses of it."""

import json
import os

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers import torch_blocks as blocks
from tests.helpers.quantised_blocks import random_block
from tiled_se.gen.block_spec import prepare
from tiled_se.golden import BlockFormats, IntegerModel, calibrate_blocks, quantise_se, tile_se
from tiled_se.hdl.config import ConfigError, DataType
from tiled_se.network import BuildOptions, export_blocks
from tiled_se.network.commands import block_runs
from tiled_se.network.commands.build import build
from tiled_se.network.commands.build_exported import _entries, _read


def made():
    network = nn.Sequential(nn.Conv2d(3, 6, 3), blocks.Residual(blocks.Block(6, 4)), nn.Conv2d(6, 5, 1),
                            blocks.ClassicSELayer(5, 2))
    tile_se(network, 2, quantised=BlockFormats(DataType(4), 4))
    calibrate_blocks(network, [torch.randn(3, 3, 9, 7)])
    return network.train()


@pytest.fixture
def exported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network, batches = made(), [torch.randn(1, 3, 8, 7), torch.randn(1, 3, 9, 7), torch.randn(4, 3, 8, 7)]
    export_blocks(network, batches, "net", frames=3)
    return network, batches


def tasks(model="net"):
    options = BuildOptions(model=model, out="rtl")
    return {entry["name"]: _read(options, entry, "rtl") for entry in _entries(options)}


def test_folder(exported):
    """The first maps of one size, the integers of both sides, and blocks.json; modes are restored."""
    network, batches = exported
    assert sorted(os.listdir("net")) == ["1", "3", "blocks.json"]
    assert sorted(os.listdir("net/3")) == ["codes.npz", "input.npz", "weights.npz"]
    assert network.training
    network.eval()
    x = network[:3](torch.cat([batches[0], batches[2][:2]])).detach()
    assert np.array_equal(np.load("net/3/input.npz")["x_q"].transpose(0, 3, 1, 2), network[3].x_format.quantise(x))
    assert np.array_equal(np.load("net/3/codes.npz")["y_q"].transpose(0, 3, 1, 2), network[3].codes(x))


def test_blocks_of_all_formats(tmp_path, monkeypatch):
    """What `build` prepares from the files of 40 random blocks computes the module's integers."""
    monkeypatch.chdir(tmp_path)
    for seed in range(40):
        module, maps, _, _ = random_block(seed)
        export_blocks(module, [maps], "net")
        (block,) = tasks().values()
        # As build copies them.
        for name in ("weights", "input"):
            os.makedirs("rtl/block", exist_ok=True)
            os.replace(f"net/block/{name}.npz", f"rtl/block/{name}.npz")
        spec = prepare(block.task)
        y_q = IntegerModel(spec.config, spec.quantised.parameters).run(spec.streamed(spec.x)).y.numpy()
        assert np.array_equal(spec.streamed(y_q), block.codes), seed


def test_free_options(exported):
    options = BuildOptions(model="net", out="rtl", lanes=4, stall=0.5, seed=7)
    block = _read(options, _entries(options)[0], "rtl")
    assert (block.task.lanes, block.task.stall, block.task.seed, block.task.k) == (3, 0.5, 7, 2)
    assert (block.task.dtype, block.task.weight_bits) == ("int4", 4)


def test_error_bound(tmp_path, monkeypatch):
    """A block that may err more has the same narrower widths in `build`."""
    monkeypatch.chdir(tmp_path)
    network = made()
    with torch.no_grad():
        for weight in (one.fc2.weight for one in (network[1], network[3])):
            weight *= 100
    widths = []
    for error in (1.0, 8.0):
        quantise_se(network, BlockFormats(error_lsb=error))
        calibrate_blocks(network, [torch.randn(3, 3, 9, 7)])
        widths.append([network.eval()[number].quantised(7, 5).config.operand_bits for number in (1, 3)])
    export_blocks(network, [torch.randn(1, 3, 9, 7)], "net")
    os.rename("net", "rtl")
    assert [prepare(block.task).config.operand_bits for block in tasks("rtl").values()] == widths[1]
    assert max(widths[1]) < min(widths[0])


@pytest.mark.parametrize(("name", "value", "text"), [
    ("k", 3, "3"), ("dtype", "int8", "int8"), ("loadable", True, "1"), ("calibration", "images", "images"),
    ("weight_bits", 8, "8"), ("frames", 1, "1")])
def test_options_that_the_folder_has(exported, name, value, text):
    with pytest.raises(ConfigError) as caught:
        build(BuildOptions(model="net", out="rtl", **{name: value}))
    assert str(caught.value) == f"{name}={text}: must not be given, as MODEL=net has it"
    assert not os.path.exists("rtl")


def change(path, edit):
    with open(path) as file:
        contents = json.load(file)
    edit(contents)
    with open(path, "w") as file:
        json.dump(contents, file)


WRITTEN = "is damaged, or was not written by export_blocks"


@pytest.mark.parametrize(("edit", "message"), [
    (lambda c: c.clear(), f"model=net/blocks.json: {WRITTEN}"),
    (lambda c: c["blocks"].clear(), f"model=net/blocks.json: {WRITTEN}"),
    (lambda c: c["blocks"][0].update(folder="../1"), f"model=net/blocks.json: {WRITTEN}"),
    (lambda c: c["blocks"][0].update(folder="3"), f"model=net/blocks.json: {WRITTEN}"),
    (lambda c: c["blocks"][0]["options"].update(out=[]), f"model=net/blocks.json: {WRITTEN}"),
    (lambda c: c["blocks"][0]["options"].update(nothing="1"), f"model=net/blocks.json: {WRITTEN}"),
    (lambda c: c["blocks"][0]["options"].update(out="/else", hardware="x"), f"model=net/blocks.json: {WRITTEN}"),
    (lambda c: c["blocks"][0]["options"].update(k="0"),
     "model=net/blocks.json: k is 0; must be an integer from 1 to 65536"),
])
def test_bad_list(exported, edit, message):
    change("net/blocks.json", edit)
    with pytest.raises(ConfigError) as caught:
        build(BuildOptions(model="net", out="rtl"))
    assert str(caught.value) == message
    assert not os.path.exists("rtl")


def test_bad_folders(exported):
    for options, message in [
            ({"out": "net"}, "out=net: must be another folder than MODEL"),
            ({"skip": ("x",)}, "skip=x: must be a block's name; there are 1, 3"),
            ({"skip": ("1", "3")}, "skip=1,3: leaves no block to build")]:
        with pytest.raises(ConfigError) as caught:
            build(BuildOptions(**{"model": "net", "out": "rtl"} | options))
        assert str(caught.value) == message
    np.savez("net/3/codes.npz", y_q=np.zeros((1, 2), np.int8))
    with pytest.raises(ConfigError, match=r"^model=net/3/codes.npz: must hold integers y_q of the shape \[3, 6,"):
        build(BuildOptions(model="net", out="rtl"))
    os.unlink("net/blocks.json")
    with pytest.raises(ConfigError, match=r"^model=net/blocks.json: there is no such file; must be an .onnx file, or"):
        build(BuildOptions(model="net", out="rtl"))
    assert not os.path.exists("rtl")


@pytest.mark.parametrize(("run", "message"), [
    (lambda network: export_blocks(nn.ReLU(), [], "net"),
     "model=ReLU: must have quantised blocks: tile_se(quantised=...)"),
    (lambda network: export_blocks(network, [], "net"), "batches=0: must be at least one"),
    (lambda network: export_blocks(network, [torch.zeros(1, 3, 5, 5)], "net", frames=0),
     "frames=0: must be from 1 to 1048576"),
    (lambda network: export_blocks(network, [torch.zeros(1, 3, 5, 5)], "/dev/null/net"),
     "folder=/dev/null/net: must be in a folder, which /dev/null is not"),
])
def test_bad_exports(tmp_path, monkeypatch, run, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        run(made())
    assert str(caught.value) == message
    assert not os.path.exists("net")


class Skipping(nn.Module):
    """A network with a block that it does not use."""

    def __init__(self, network):
        super().__init__()
        self.first, self.unused = network[3], network[1]

    def forward(self, x):
        """The first block only."""
        return self.first(x)


def test_a_block_that_is_not_reached(tmp_path):
    with pytest.raises(ConfigError, match="^batches=no map: must reach the block 'unused'$"):
        export_blocks(Skipping(made()), [torch.zeros(1, 5, 5, 5)], str(tmp_path / "net"))
    assert not os.path.exists(tmp_path / "net")


def test_integers_that_differ(exported, monkeypatch, capsys):
    """Outputs that are not the module's fail the build, though they are those of the golden model."""
    report = {"bit_exact": True, "config": {"lanes": 1, "macs": 1}, "float_error_lsb": {"max": 0.5},
              "outputs": {"clipped": None, "sqnr_db": 30.0}, "cycles": {"steady_throughput": 1.0}, "warnings": [],
              "sram": {"total_without_weights_bits": 1, "over_bound": None, "over_tse7": 0.1}}

    class Golden:
        """A campaign that finds the integers of the module, but for one."""

        def __init__(self, all_tasks):
            self.failures, self.results = {}, {}
            for name, task in all_tasks.items():
                y_q = np.load(f"net/{name}/codes.npz")["y_q"]
                y_q.flat[0] += name == "3"
                np.savez(os.path.join(task.out, "output.npz"), y_q=y_q)
                self.results[name] = {"failure": None, "report": report}

        def run(self, *_, **__):
            """Nothing."""

    monkeypatch.setattr(block_runs, "Campaign", Golden)
    assert not build(BuildOptions(model="net", out="rtl"))
    with open("rtl/report.json") as file:
        written = json.load(file)
    assert [block["failure"] for block in written["blocks"]] == [
        None, "1 outputs are not the integers of the PyTorch module"]
    total = 3 * 6 * 5 * (6 + 5)
    assert f"integers of the PyTorch modules: {total - 1} of {total} outputs are equal" in capsys.readouterr().out
    assert build(BuildOptions(model="net", out="rtl", skip=("3",)))
    assert not os.path.exists("rtl/3")
