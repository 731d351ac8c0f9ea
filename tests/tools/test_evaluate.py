# SPDX-License-Identifier: Apache-2.0
"""`tiled-se evaluate` on the demo's detector, with the demo's scoring as a metric of one's own: the demo's figures."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest

MISSING = [name for name in ("matplotlib", "onnxruntime", "rapidocr", "scipy", "shapely", "skimage", "yaml")
           if importlib.util.find_spec(name) is None]
if MISSING:
    pytest.skip(f"the demo needs {', '.join(MISSING)}: pip install 'tiled-se[demo]'", allow_module_level=True)

from tests.helpers.nightly import nightly  # noqa: E402
from tiled_se.evaluate.demo import detector, pages  # noqa: E402  (behind the skip)
from tiled_se.evaluate.demo.forms import forms  # noqa: E402
from tiled_se.evaluate.demo.networks import Networks  # noqa: E402
from tiled_se.evaluate.demo.scoring import Counts, count, interval  # noqa: E402

# With tiles of one row the detector finds other lines on these pages, and in integers others again.
SEED, PAGES, OTHERS = 1, (2, 21), (100,)
METRIC = f"""
import dataclasses
from tiled_se.evaluate.demo import detector, pages, scoring

def metric(outputs, name, label):
    page = pages.render({SEED}, int(label))
    (probabilities,) = outputs.values()
    boxes = detector.boxes(probabilities, page.image.shape[:2])
    return dataclasses.astuple(scoring.count(boxes, page.lines))

def total(scores):
    return scoring.f_score(*scores.sum(axis=0))
"""


def write(folder, numbers):
    """Pages as the detector takes them; the size of each."""
    pathlib.Path(folder).mkdir()
    for number in numbers:
        np.save(f"{folder}/{number}.npy", detector.prepared(pages.render(SEED, number).image)[0])
    return np.load(f"{folder}/{number}.npy").shape


@nightly  # tests/cosim/test_example.py evaluates a network in every run
def test_the_demos_detector_has_the_demos_scores(tiled_se):
    size = write("pages", PAGES)
    write("others", OTHERS)
    pathlib.Path("detector.onnx").write_bytes(detector.load().SerializeToString())
    pathlib.Path("lines.py").write_text(METRIC)
    pathlib.Path("labels.txt").write_text("".join(f"{number}.npy {number}\n" for number in PAGES))
    tiled_se.passes("evaluate", "detector.onnx", "--data=pages", "--labels=labels.txt", "--metric=lines.py", "--k=1",
                    "--calibration=others", f"--input-shape={'x'.join(map(str, size))}", f"--seed={SEED}", "--out=out")
    (found,) = json.loads(pathlib.Path("out/evaluate.json").read_text())["metrics"]
    found = {one["network"]: one for one in found["networks"]}
    # As the demo does it, without RTL.
    networks, rendered = Networks(threads=2), [pages.render(SEED, number) for number in PAGES]
    tiled = networks.tiled(forms(1)[0], [pages.render(SEED, number).image for number in OTHERS])
    ways = {"se": networks.original, "tiles": tiled.float, "integers": tiled.integer}
    counts = {form: [count(way(page.image), page.lines) for page in rendered] for form, way in ways.items()}
    for form, own in counts.items():
        assert found[form]["value"] == sum(own, Counts(0, 0, 0)).f_score
    for form, other, key in (("tiles", "se", "to_se"), ("integers", "se", "to_se"), ("integers", "tiles", "to_tiles")):
        assert (found[form][key]["low"], found[form][key]["high"]) == interval(counts[form], counts[other], SEED)
    assert counts["se"] != counts["tiles"] != counts["integers"]
