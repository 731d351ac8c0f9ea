# SPDX-License-Identifier: Apache-2.0
"""Every example of the README runs, and prints what the README says it does."""

import pathlib
import re
import shlex

import pytest
import torch
from PIL import Image
from torch import nn

from tests.helpers.onnx_images import model
from tests.helpers.torch_blocks import ClassicSELayer
from tiled_se.gen.options import FIELDS, flag
from tiled_se.golden.module import TiledSE

README = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
# Indented or fenced, each a line by itself.
COMMANDS = re.findall(r"^(?: {4})?make (sim|verilog|synth)((?: [A-Z_]+=\S*)+)$", README, re.M)
TILED, SAVED = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)


def test_there_are_examples():
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize(("command", "variables"), COMMANDS)
def test_example(tiled_se, command, variables):
    pairs = [pair.split("=", 1) for pair in shlex.split(variables)]
    options = {flag(name): field.metadata["variable"] for name, field in FIELDS.items()}
    names = {variable: option for option, variable in options.items()}
    if "WEIGHTS" in dict(pairs):
        exec(compile(SAVED, "README.md", "exec"), {})
    finished = tiled_se(command, *(f"{names[variable]}={value}" for variable, value in pairs))
    assert (finished.status, finished.err) == (0, "")


def test_pytorch():
    """Tiled blocks in, and out again."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), ClassicSELayer(8, 4))
    x = torch.randn(1, 3, 20, 6)
    before = model(x)
    names = {"model": model}
    done, undone = TILED.split("untile_se(model)  ")
    exec(compile(done, "README.md", "exec"), names)
    assert isinstance(model[1], TiledSE)
    assert not torch.allclose(model(x), before)
    exec(compile("untile_se(model)  " + undone, "README.md", "exec"), names)
    assert torch.equal(model(x), before)


@pytest.mark.parametrize("command", re.findall(r"^tiled-se (\w+ model\.onnx.*?)(?: +#.*)?$", README, re.M))
def test_network(tiled_se, command):
    pathlib.Path("images").mkdir()
    Image.new("RGB", (40, 30), "teal").save("images/1.png")
    model(pathlib.Path("model.onnx"))
    finished = tiled_se(*shlex.split(command.replace("640x640", "22x10")))
    assert (finished.status, finished.err) == (0, "")


def test_sweep(tiled_se):
    (example,) = re.findall(r"^```toml\n(.*?)^```$", README, re.M | re.S)
    pathlib.Path("mine.toml").write_text(example)
    finished = tiled_se("sweep", "--configs=mine.toml")
    assert (finished.status, finished.err) == (0, "")
    assert "sweep       5 configurations: 5 ok, 0 mismatch, 0 failed" in finished.out.splitlines()
    assert pathlib.Path("build/sweep_mine/results.csv").exists()


def test_first_table_is_real(tiled_se):
    """Everything that the first example shows, but for seconds."""
    shown = re.search(r"^ {4}block .*\n((?: {4}.*\n)+)", README, re.M)[0]
    finished = tiled_se("sim", "--k=7", "--width=56", "--channels=64")
    for line in shown.splitlines():
        if not line.startswith("    simulation"):
            assert line[4:] in finished.out.splitlines()
