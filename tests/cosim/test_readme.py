# SPDX-License-Identifier: Apache-2.0
"""Every example of README.md and docs/ runs, and prints what the page says that it prints."""

import os
import pathlib
import re
import shlex

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import nn

from tests.helpers.blocks import expected, quantised, random_frame
from tests.helpers.nightly import nightly, seldom
from tests.helpers.onnx_images import model
from tests.helpers.torch_blocks import ClassicSELayer
from tiled_se.evaluate.networks import load_networks
from tiled_se.gen import SimOptions, generate
from tiled_se.gen.fields import flag, options_of
from tiled_se.golden import TiledSE, untile_se
from tiled_se.hdl import Context, Tiling

ROOT = pathlib.Path(__file__).parents[2]
PAGES = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
README = PAGES["README.md"]
FIRST = " K=7 W=56 C=64"  # test_first_table_is_real runs it
# Indented or fenced, each on a line by itself.
COMMANDS = sorted({match for page in PAGES.values() for match in re.findall(
    r"^(?: {4})?make (sim|verilog|synth)((?: [A-Z_]+=\S*)+)$", page, re.M)} - {("sim", FIRST)})
NETWORK_COMMANDS = sorted({match for page in PAGES.values() for match in re.findall(
    r"^tiled-se (\w+ model\.onnx.*?)(?: +#.*)?$", page, re.M)})


def block(page, language, number=0):
    """The text of a fenced block, counted from 0 among those of that language on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.M | re.S)[number]


def run(text, names):
    exec(compile(text, "example", "exec"), names)


def test_there_are_examples():
    assert len(COMMANDS) >= 7
    assert len(NETWORK_COMMANDS) >= 5


# test_synth.py has the same commands of another shape.
@pytest.mark.parametrize(("command", "variables"), seldom(COMMANDS, *(one for one in COMMANDS if one[0] != "synth")))
def test_example(tiled_se, command, variables):
    names = {about.variable: flag(name) for name, about in options_of(SimOptions).items()}
    given = dict(pair.split("=", 1) for pair in shlex.split(variables))
    if "HARDWARE" in given:
        # Another example makes it.
        test_example(tiled_se, *next(one for one in COMMANDS if f" OUT={os.path.dirname(given['HARDWARE'])}" in one[1]))
    elif "WEIGHTS" in given:
        run(block("block.md", "python"), {})
    tiled_se.passes(command, *(f"{names[variable]}={value}" for variable, value in given.items()))


@pytest.mark.parametrize("page", ["README.md", "networks.md"])
def test_pytorch(page):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), ClassicSELayer(8, 4))
    x = torch.randn(1, 3, 20, 6)
    before = model(x)
    names = {"model": model}
    done, undone = block(page, "python").split("untile_se(model)  ")
    run(done, names)
    assert isinstance(model[1], TiledSE)
    assert not torch.allclose(model(x), before)
    run("untile_se(model)  " + undone, names)
    assert torch.equal(model(x), before)


def test_pytorch_contexts():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), ClassicSELayer(8, 4))
    x = torch.randn(1, 3, 20, 6)
    mean = model[0](x).mean((0, 2, 3))
    run(block("networks.md", "python", 1), {"model": model, "batches": [x]})
    assert model[1].tiling == Tiling(k=1, context=Context.CAUSAL, prior_rows=1)
    torch.testing.assert_close(model[1].prior, mean)
    untile_se(model)
    names = {"model": model, "batches": [x]}
    run(block("contexts.md", "python"), names)
    assert (model[1].tiling, names["patches"].tile_columns(56)) == (names["causal"], 14)
    torch.testing.assert_close(model[1].prior, mean)


def test_pytorch_quantised(tiled_se):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), ClassicSELayer(8, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    x, labels = torch.randn(4, 3, 9, 6), torch.arange(4)
    names = {"model": model, "batches": [x], "examples": [(x, labels)], "maps": model[0](x)}
    run(block("networks.md", "python", 2), names)
    y_q = names["y_q"]
    assert model[1].formats.data.bits == model[1].quantised(7, 4).config.weight_bits == 4
    assert torch.equal(model[1](names["maps"]), torch.as_tensor(model[1].y_format.dequantise(y_q)).float())
    run(block("networks.md", "python", 3), names)
    tiled_se.passes(*re.search(r"^tiled-se (build exported .*)$", PAGES["networks.md"], re.M)[1].split())


def test_command_from_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    run(block("block.md", "python", 1), names)
    assert names["exact"] is True


def classify(path, photos):
    """Make the network one of as many classes as it has channels; `photos` gets a folder with an image for each."""
    network = onnx.load(path)
    network.graph.node[-1].output[:] = ["map"]
    network.graph.node.append(onnx.helper.make_node("GlobalAveragePool", ["map"], ["y"]))
    classes = network.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    network.graph.output[0].CopyFrom(
        onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, classes, 1, 1]))
    onnx.save(network, path)
    for number in range(classes):
        folder = pathlib.Path(photos, f"class {number}")
        folder.mkdir(parents=True)
        Image.new("RGB", (40, 30), (20 * number, 99, 200)).save(folder / "1.jpg")


@pytest.mark.parametrize("command", seldom(
    NETWORK_COMMANDS, *(one for one in NETWORK_COMMANDS if "--context" not in one)))
def test_network(tiled_se, command):
    pathlib.Path("images").mkdir()
    Image.new("RGB", (40, 30), "teal").save("images/1.png")
    model(pathlib.Path("model.onnx"))
    if command.startswith("evaluate "):
        classify("model.onnx", "photos")
    tiled_se.passes(*shlex.split(command.replace("640x640", "22x10")))


@nightly  # test_sweep.py has a sweep of all that one can do
def test_sweep(tiled_se):
    pathlib.Path("mine.toml").write_text(block("sweeps.md", "toml"))
    finished = tiled_se.passes("sweep", "--configs=mine.toml")
    assert "sweep       5 configurations: 5 ok, 0 mismatch, 0 failed" in finished.out.splitlines()
    assert pathlib.Path("build/sweep_mine/results.csv").exists()


def test_network_of_your_own(tmp_path):
    (tmp_path / "mine.json").write_text(block("measuring.md", "json"))
    (network,) = load_networks(str(tmp_path / "mine.json"))
    assert (network.name, len(network.blocks)) == ("mine", 1)


def test_job_by_hand():
    """On a smaller block than the page's, whose parameters are baked in."""
    config, parameters = quantised(k=2, width=4, channels=8, squeeze=2, lanes=8)
    x = random_frame(config, 5, np.random.default_rng(2))
    y = expected(config, parameters, x)
    run(block("cosim.md", "python").replace("56", "4").replace("64", "8"), {
        "verilog_text": generate(config, parameters).verilog, "x": x.astype(np.int8), "y": y.astype(np.int8)})


def test_first_table_is_real(tiled_se):
    """Everything that the first example shows, but for seconds."""
    shown = re.search(r"^ {4}block .*\n((?: {4}.*\n)+)", README, re.M)[0]
    finished = tiled_se("sim", "--k=7", "--width=56", "--channels=64")
    for line in shown.splitlines():
        if not line.startswith("    simulation"):
            assert line[4:] in finished.out.splitlines()
