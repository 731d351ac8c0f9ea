# SPDX-License-Identifier: Apache-2.0
"""`tiled-se study`: it learns, an interrupted study continues, and a network that learns nothing is noticed."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers.nightly import nightly
from tiled_se.evaluate.study import plan
from tiled_se.evaluate.study.attention import SE, Attention
from tiled_se.evaluate.study.kept import load_network
from tiled_se.evaluate.study.labels import Labels
from tiled_se.evaluate.study.networks import make_network

from ..helpers import study_rows
from ..helpers.study_images import write_folders, write_idx

RUNS = [plan.Run("residual", "exposure", attention, 1) for attention in (SE, Attention("tile", 7))]
PLAN = plan.Plan(plan.QUICK, tuple(RUNS), (plan.Tuning(RUNS[0], Attention("tile", 3)),))
SECONDS = 240


@pytest.fixture
def short(monkeypatch):
    """Two networks and one that is fine-tuned, instead of the plan."""
    monkeypatch.setattr(plan, "make_plan", lambda quick: PLAN)


def without_seconds(study):
    """What a repeated study must have again."""
    setup = {name: value for name, value in study["setup"].items() if name != "seconds"}
    return study | {"setup": setup, "runs": [row | {"seconds": None} for row in study["runs"]]}


def read(folder):
    return json.loads((folder / "study.json").read_text())


def interrupted(arguments, until):
    """Start the command, and interrupt it when `until` holds; what it has printed."""
    process = subprocess.Popen([sys.executable, "-m", "tiled_se.cli", "study", *map(str, arguments)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + SECONDS
    while not until():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    return out


@nightly  # those below train the networks of a shorter plan
def test_quick_study(tiled_se, tmp_path):
    """It is interrupted, continues, and a third time trains nothing and writes the same, in fewer processes."""
    out, docs = tmp_path / "out", tmp_path / "docs"
    arguments = ["--data", write_idx(tmp_path / "images"), "--quick", "--out", out]
    printed = interrupted(arguments, lambda: len(list(out.glob("results/*.json"))) > 1)
    assert printed.rstrip().endswith("networks are finished; the same command continues")
    assert not (out / "study.json").exists()
    kept = len(list(out.glob("results/*.json")))

    example = tmp_path / "example"
    finished = tiled_se.passes("study", *arguments, "--docs", docs, "--example", example)
    total = len(plan.make_plan(True).runs)
    assert finished.out.startswith(f"{total} networks, {kept} of them finished before; ")
    content = (out / "study.json").read_bytes()
    _check(json.loads(content))
    assert (docs / "study.md").read_text().startswith("<!-- SPDX")
    _check_example(example)

    again = tiled_se.passes("study", *arguments, "--jobs", 1)
    assert again.out.startswith(f"{total} networks, {total} of them finished before; ")
    assert "[1/" not in again.out
    assert (out / "study.json").read_bytes() == content


def _check(study):
    """The rows of a quick study."""
    rows = study["runs"]
    assert not any("correct" in row for row in rows)
    scratch = [row for row in rows if row["training"] == "scratch"]
    assert len(scratch) == len(plan.make_plan(True).runs)
    # Four classes, which are easy.
    tops = sorted(row["top1"] for row in scratch)
    assert tops[0] > 40
    assert tops[len(tops) // 2] > 80
    # These are the rows that tests of the page and of its intervals have.
    labels = [(Labels.of(row), row["seed"]) for row in rows]
    assert labels == list(study_rows.plan(quick=True))
    assert {row["training"] for row in rows} == {"scratch", "swapped", "fine-tuned", "quantised"}
    assert {row["stage"] for row in rows} == {None, "stage1", "stage2", "stage3", "stage4"}
    assert study["comparisons"]
    assert study["setup"]["quick"]
    assert study["dataset"]["train_images"] == 640
    # With squeeze-and-excite, not of networks without.
    assert study["setup"]["parameters"] == {name: sum(parameter.numel() for parameter in make_network(
        name, 1, 12, 4).parameters()) for name in ("regnet", "residual")}


def _check_example(folder):
    """A network with blocks in integers, which finds the classes of the images."""
    (path,) = folder.glob("*.pt")
    network, form = load_network(path)
    assert path.name == f"quick-{plan.make_plan(True).example.name}.pt"
    assert form.bits == 8
    answers = []
    for number, label in enumerate(form.classes):
        frames = np.stack([np.asarray(Image.open(file)) for file in sorted((folder / "images" / label).glob("*.png"))])
        answers += (network(torch.from_numpy(frames).float()[:, None] / 255).argmax(1) == number).tolist()
    assert len(answers) == 20
    assert sum(answers) > 14


def test_repeated_study(short, tiled_se, tmp_path):
    """In another folder, from images in folders, and with another number of processes: the same accuracies."""
    images = write_folders(tmp_path / "images", 600)
    studies = []
    for jobs in (1, 2):
        tiled_se.passes("study", "--data", images, "--jobs", jobs, "--out", tmp_path / f"out{jobs}")
        studies.append(without_seconds(read(tmp_path / f"out{jobs}")))
    assert studies[0] == studies[1]


@nightly  # it trains the networks of the short plan, and one of them again
def test_network_that_has_gone(short, tiled_se, tmp_path):
    """It is trained again, and no other; what began with it stays, as it has the same weights again."""
    out = tmp_path / "out"
    arguments = ["--data", write_idx(tmp_path / "images"), "--out", out]
    tiled_se.passes("study", *arguments)
    before = without_seconds(read(out))
    (file,) = out.glob("networks/*exposure-se*")
    os.truncate(file, 100)
    finished = tiled_se.passes("study", *arguments)
    assert [line for line in finished.out.splitlines() if line.startswith("[")] == ["[2/2] residual-exposure-se-seed1"]
    assert without_seconds(read(out)) == before


def test_labels_without_sense(short, tiled_se, tmp_path):
    """Networks that can learn nothing from them end the command, and an earlier result does not stay."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "study.json").write_text("{}")
    images = write_idx(tmp_path / "images", shuffled=True)
    finished = tiled_se("study", "--data", images, "--out", out)
    assert finished.status == 1
    assert finished.err.startswith("tiled-se: failed: residual-exposure-")
    assert "it has learnt nothing: its top-1 is " in finished.err
    assert finished.err.endswith("must be clearly above 32.5% (and 1 more)\n")
    assert not (out / "study.json").exists()


def test_bad_options(tiled_se, tmp_path):
    """One line that names the option, and nothing is written."""
    tiled_se.refuses_as("DATA=nowhere (--data): is no folder; must be ", "study", "--data", "nowhere")
    (tmp_path / "file").write_text("")
    images = write_idx(tmp_path / "images", 128, 32)
    tiled_se.refuses("DOCS=file (--docs): is not a folder; must be one, or a name that is free",
                     "study", "--data", images, "--docs", "file")
    (images / "t10k-images-idx3-ubyte").write_bytes(b"")
    tiled_se.refuses_as(f"DATA={images}/t10k-images-idx3-ubyte (--data): begins with nothing; must be ",
                        "study", "--data", images)
    assert not (tmp_path / "build").exists()
