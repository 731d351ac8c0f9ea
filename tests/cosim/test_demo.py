# SPDX-License-Identifier: Apache-2.0
"""tiled_se.evaluate.demo: its detector is the shipped one, and all of it runs."""

import importlib.util
import io
import json
import pathlib
import types

import numpy as np
import pytest

MISSING = [name for name in ("matplotlib", "onnx", "onnxruntime", "rapidocr", "scipy", "shapely", "skimage",
                         "yaml")
           if importlib.util.find_spec(name) is None]
if MISSING:
    pytest.skip(f"the demo needs {', '.join(MISSING)}: pip install 'tiled-se[demo]'", allow_module_level=True)

from tests.helpers.nightly import nightly  # noqa: E402
from tiled_se.cli.main import main  # noqa: E402  (behind the skip)
from tiled_se.evaluate.demo import command, forms, pages, summary, table  # noqa: E402
from tiled_se.evaluate.options import DemoOptions  # noqa: E402
from tiled_se.gen.fields import flag, options_of  # noqa: E402
from tiled_se.gen.options import BlockOptions  # noqa: E402


def test_the_detector_is_set_up_as_it_is_shipped():
    # The package's own class with the package's own settings, for the same network.
    import onnxruntime
    from omegaconf import OmegaConf
    from rapidocr.ch_ppocr_det import TextDetector
    from rapidocr.main import DEFAULT_CFG_PATH
    from rapidocr.utils.parse_parameters import ParseParams

    from tiled_se.evaluate.demo import detector

    class Settings(dict):
        __getattr__ = dict.__getitem__

    session = onnxruntime.InferenceSession(detector.load().SerializeToString())
    shipped = TextDetector(Settings(OmegaConf.to_container(ParseParams.load(DEFAULT_CFG_PATH).Det), session=session))
    for image in (pages.render(1, 0).image, pages.scan()):
        output = session.run(None, {session.get_inputs()[0].name: detector.prepared(image)})[0]
        ours, theirs = (sorted(boxes.astype(int).reshape(-1, 8).tolist())
                        for boxes in (detector.boxes(output, image.shape[:2]), shipped(image).boxes))
        assert len(ours) >= 5
        assert ours == theirs


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a demo of one page."""
    folder = tmp_path_factory.mktemp("demo")
    assert command.demo(DemoOptions(pages=1, out=str(folder)))
    return folder


@pytest.mark.xdist_group("finished")  # one process makes what they share
def test_a_page_from_end_to_end(finished):
    found = json.loads((finished / "demo.json").read_text())
    assert (found["pages"], len(found["blocks"]), found["k"]) == (1, 13, 7)
    drawn = [len(pages.render(1, number).lines) for number in range(1)]
    assert found["lines"] == sum(drawn)
    for name in forms.titles(7):
        scores = found["networks"][name]
        assert scores["f_score"] > 0.85
        assert scores["drawn"] == sum(drawn)
        pages_of_it = found["page_counts"][name]
        assert [page[2] for page in pages_of_it] == drawn
        assert [sum(column) for column in zip(*pages_of_it, strict=True)] == [
            scores["matched"], scores["found"], scores["drawn"]]
        tight, original = (found[against]["networks"][name] for against in ("against_ink", "against_se"))
        assert (tight["drawn"], tight["found"]) == (scores["drawn"], scores["found"])
        assert tight["matched"] < scores["matched"]
        assert (original["drawn"], original["found"]) == (found["networks"]["se"]["found"], scores["found"])
        assert original["f_score"] > (0.85 if name != "se" else 0.9999)
    for name, form in summary.forms_of(found).items():
        # Every block on every page and on the scan, each within the contract; one of them in RTL.
        for block in form["blocks"]:
            assert 0 < block["float_error_lsb"] <= block["error_bound_lsb"] <= 1
            # A page of 928 rows and the scan of 800, which are 29 and 25 times 32.
            assert block["elements"] == block["se_elements"] // 29 * (29 + 25)
        in_rtl = name in forms.RTL
        assert [block["computed_by"] for block in form["blocks"]] == ["rtl" if in_rtl else "golden"] + 12 * ["golden"]
        rows = {"tse": 7, "cumulative_k1": 1, "cumulative_k3": 3, "causal_k1": 0}[name]
        assert form["buffering"]["tse_elements"] == sum(
            min(rows, block["H"]) * block["W"] * block["C"] for block in form["blocks"])
        if in_rtl:
            rtl = form["rtl"]
            assert (rtl["bit_exact"], rtl["mismatches"], rtl["elements"]) == (True, 0, form["blocks"][0]["elements"])
            # What is printed as built is what the netlist has.
            assert form["blocks"][0]["tse_buffer_bits"] == rtl["sram"]["tile_buffer_bits"]
    assert found["scan"]["se_boxes"] >= 5


@pytest.mark.xdist_group("finished")
def test_figures_that_the_page_shows(finished):
    """Those that hold for any pages: of scores there is a whole run's in it."""
    found = json.loads((finished / "demo.json").read_text())
    page = " ".join((pathlib.Path(__file__).parents[2] / "docs" / "demo.md").read_text().split())
    for row in table.memory(found):
        assert " ".join(filter(None, row)) in page
    # A run's 42 pages and the scan, where this one had one.
    elements = found["rtl"]["elements"] // (29 + 25) * (42 * 29 + 25)
    for title in ("TSE K=7", "cumulative K=1", "causal K=1"):
        assert (f"{title}, block {found['rtl']['block']}: bit-exact, all {elements:,} elements on 43 maps") in page


@pytest.mark.xdist_group("finished")
def test_the_picture_has_all_panels(finished):
    from PIL import Image

    image = Image.open(io.BytesIO((finished / "demo.png").read_bytes()))
    assert image.width > 3 * pages.WIDTH
    colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (colours == [0x00, 0x72, 0xB2]).all(1).sum() > 1000


@pytest.mark.xdist_group("finished")
@pytest.mark.parametrize("form", forms.RTL)
def test_the_block_can_be_run_again(finished, capsys, form):
    found = summary.forms_of(json.loads((finished / "demo.json").read_text()))[form]["rtl"]
    flags = {about.variable: flag(name) for name, about in options_of(BlockOptions).items()}
    variables = [word.split("=", 1) for word in found["command"].removeprefix("make sim ").split()]
    status = main(["sim", "--out", str(finished / form), *(f"{flags[name]}={value}" for name, value in variables)])
    assert (status, "bit-exact   yes" in capsys.readouterr().out) == (0, True)
    report = json.loads((finished / form / "report.json").read_text())
    assert report["sram"]["tile_buffer_bits"] == found["sram"]["tile_buffer_bits"]


@nightly  # tests/unit/evaluate/test_demo.py has what a mismatch does to the result
def test_a_block_that_is_wrong_fails_the_demo(monkeypatch, tmp_path, capsys):
    from tiled_se.evaluate.demo import rtl

    def wrong(job, design, say):
        y = job.x.copy()
        return types.SimpleNamespace(y=y, mismatches=3, bit_exact=False, first_failure="first difference in gates")

    monkeypatch.setattr(rtl, "run", wrong)
    assert not command.demo(DemoOptions(pages=1, out=str(tmp_path)))
    printed = capsys.readouterr()
    assert "tiled-se: mismatch: first difference in gates\n" in printed.err
    assert "NOT bit-exact, 6 of" in printed.out
    found = json.loads((tmp_path / "demo.json").read_text())
    assert found["rtl"]["failures"] == ["first difference in gates"] * 2
    # The wrong outputs were used: they were no block's, and what follows is not what it was.
    for name in forms.RTL:
        assert summary.forms_of(found)[name]["blocks"][0]["float_error_lsb"] > 1
