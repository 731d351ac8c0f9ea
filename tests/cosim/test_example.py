# SPDX-License-Identifier: Apache-2.0
"""The trained network of examples/fashion, by the steps of its page: classified in integers, its blocks as RTL."""

import json
import pathlib
import re
import shlex
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from tiled_se.evaluate.study.kept import load_network
from tiled_se.golden import QuantisedTiledSE

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "fashion"
PAGE = (EXAMPLE / "README.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
COMMANDS = re.findall(r"^tiled-se (.*)$", PAGE, re.M)
NETWORK, = EXAMPLE.glob("*.pt")
BLOCKS = 4


@pytest.fixture
def here(tiled_se, tmp_path, monkeypatch):
    """A copy of the example, as the current folder."""
    shutil.copytree(EXAMPLE, tmp_path / "example")
    (tmp_path / "example" / "build").mkdir()
    monkeypatch.chdir(tmp_path / "example")


def frames(pattern):
    """Images float32 (N, 1, H, W), and the names of their classes."""
    paths = sorted((EXAMPLE / "images").glob(pattern))
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
    return torch.from_numpy(pixels).float()[:, None] / 255, [path.parent.name for path in paths]


def run(text):
    exec(compile(text, "example", "exec"), {})


def test_size():
    """The repository stays small."""
    assert sum(path.stat().st_size for path in EXAMPLE.rglob("*") if path.is_file()) < 1 << 20


def test_integers():
    """It has learnt something: of ten classes, most are found."""
    network, form = load_network(NETWORK)
    blocks = [module for module in network.modules() if isinstance(module, QuantisedTiledSE)]
    assert [(block.k, block.formats.data.bits) for block in blocks] == [(7, 8), (7, 8), (7, 8), (4, 8)]
    x, labels = frames("*/*.png")
    with torch.no_grad():
        found = [form.classes[number] for number in network(x).argmax(1)]
    assert len(found) == 50
    assert sum(one == label for one, label in zip(found, labels, strict=True)) >= 30


def test_blocks_as_rtl(here, tiled_se, capsys):
    """All blocks are bit-exact; with the outputs of one of them as RTL the network gives the same, bit for bit."""
    run(PYTHON[0])
    assert capsys.readouterr().out.startswith("[")
    finished = tiled_se.passes(*shlex.split(COMMANDS[0]))
    report = json.loads(pathlib.Path("build/rtl/report.json").read_text())
    assert report["bit_exact"]
    assert len(report["blocks"]) == BLOCKS
    assert "integers of the PyTorch modules: " in finished.out
    network, _ = load_network(NETWORK)
    x, _ = frames("*/0.png")
    with torch.no_grad():
        expected = network(x[:2])
        for block in report["blocks"]:
            _from_rtl(network, block["name"])
        assert torch.equal(network(x[:2]), expected)


def _from_rtl(network, name):
    """Replace a block's outputs by those of its RTL, of the same frames."""
    output = np.load(pathlib.Path("build/rtl", name, "output.npz"))
    y = (output["y_q"].astype(np.float64) - output["y_zero_point"]) * output["y_scale"]
    real = torch.from_numpy(y).permute(0, 3, 1, 2).float()
    network.get_submodule(name).register_forward_hook(lambda module, args, result: torch.zeros_like(result) + real)


@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript:DeprecationWarning",
                            "ignore:The feature will be removed:DeprecationWarning")  # PyTorch's exporters change
def test_evaluate(here, tiled_se):
    """Every block in integers, by another way: from the float weights, with formats that `evaluate` chooses."""
    run(PYTHON[1])
    tiled_se.passes(*shlex.split(COMMANDS[1]))
    result = json.loads(pathlib.Path("build/accuracy/evaluate.json").read_text())
    assert result["images"] == 50
    assert len(result["blocks"]) == BLOCKS
    assert [block["tiling"]["k"] for block in result["blocks"]] == [7] * BLOCKS
    metric, = result["metrics"]
    values = {form["network"]: form["value"] for form in metric["networks"]}
    assert list(values) == ["se", "tiles", "integers"]
    # Of ten classes; and what integers change in a classification of 50 images is little.
    assert min(values.values()) >= 0.6
    assert abs(values["integers"] - values["tiles"]) <= 0.04
