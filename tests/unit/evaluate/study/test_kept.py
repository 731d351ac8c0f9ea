# SPDX-License-Identifier: Apache-2.0
"""Networks in files, and the example."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from tiled_se.evaluate.study.attention import NONE, SE, Attention
from tiled_se.evaluate.study.conditions import CONDITIONS
from tiled_se.evaluate.study.data import read_dataset
from tiled_se.evaluate.study.example import EACH, example_files
from tiled_se.evaluate.study.kept import Form, load_network, network_bytes
from tiled_se.golden import calibrate_blocks
from tiled_se.hdl.config import ConfigError

from ....helpers.study_images import write_idx

FRAME, CLASSES = (1, 20, 14), ("shoe", "bag", "coat")


def form(attention=SE, bits=None, network="regnet"):
    return Form(network, FRAME, CLASSES, attention, bits)


def written(tmp_path, network, own):
    path = tmp_path / "network.pt"
    path.write_bytes(network_bytes(network, own))
    return path


@pytest.mark.parametrize("own", [
    form(), form(NONE), form(Attention("tile", 3), None, "residual"), form(Attention("tile", 5, 2)),
    form(Attention("tile", 3, order="columns")), form(Attention("window", window="middle")),
    form(Attention("causal", 1, prior_rows=1)), form(Attention("cumulative", 3, prior_rows=1), 4),
    form(Attention("tile", 7), 8)], ids=str)
def test_round_trip(tmp_path, own):
    """A loaded network computes what the kept one does; priors and formats are kept with the weights."""
    network, _ = own.make()
    frames = torch.rand(4, *FRAME)
    for module in network.modules():
        if getattr(module, "prior", None) is not None:
            module.prior.uniform_(0, 0.02)
    if own.bits is not None:
        calibrate_blocks(network, [frames])
    loaded, found = load_network(written(tmp_path, network, own))
    assert found == own
    assert not loaded.training
    with torch.no_grad():
        assert torch.equal(loaded(frames), network.eval()(frames))


def test_attention_draws_nothing():
    """Networks of a seed have the same weights, whatever is in their blocks."""
    made = []
    for own in (form(), form(Attention("causal", 1, prior_rows=1)), form(Attention("tile", 3), 4)):
        torch.manual_seed(5)
        made.append(dict(own.make()[0].named_parameters()))
    assert all(torch.equal(made[0][name], other[name]) for other in made[1:] for name in made[0])


@pytest.mark.parametrize("content", [
    b"", b"PK", b"x" * 1000, lambda: {"weights": {}}, lambda: {"form": {}, "weights": {}}, lambda: [1],
    lambda: {"form": {"network": "vgg", "frame": FRAME, "classes": CLASSES, "attention": vars(SE), "bits": None},
             "weights": {}},
    lambda: {"form": {"network": "regnet", "frame": FRAME, "classes": CLASSES, "attention": vars(SE), "bits": None},
             "weights": {}}], ids=["empty", "begins as one", "noise", "no form", "no fields", "list", "other network",
                                   "no weights"])
def test_other_files(tmp_path, content):
    path = tmp_path / "network.pt"
    if callable(content):
        torch.save(content(), path)
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"^path=.*network.pt: must be a network that the study has kept$"):
        load_network(path)


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match="^path=.*gone.pt: there is no such file; must be a .pt file of the study$"):
        load_network(tmp_path / "gone.pt")


def test_example(tmp_path):
    """The network's file, and images of each class that are frames of the condition."""
    dataset = read_dataset(str(write_idx(tmp_path / "images")), 640, 200)
    (tmp_path / "own.pt").write_bytes(b"network")
    files = example_files(str(tmp_path), "own.pt", "canvas", dataset)
    assert files.pop("") == {"own.pt": b"network"}
    assert [folder.rpartition("images")[2][1:] for folder in files] == list(dataset.classes)
    height, width = CONDITIONS["canvas"].size(*dataset.shape[1:])
    seen = set()
    for contents in files.values():
        assert list(contents) == [f"{index}.png" for index in range(EACH)]
        for content in contents.values():
            image = Image.open(io.BytesIO(content))
            assert (image.mode, image.size) == ("L", (width, height))
            assert np.ptp(np.asarray(image)) > 20
            seen.add(content)
    assert len(seen) == EACH * len(dataset.classes)
