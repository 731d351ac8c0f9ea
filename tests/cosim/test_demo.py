# SPDX-License-Identifier: Apache-2.0
"""tiled_se.evaluate.demo: pages are repeatable and know where their text is, scores are right, and all of it runs."""

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

from tiled_se.cli.main import main  # noqa: E402  (behind the skip)
from tiled_se.evaluate.demo import command, pages, summary  # noqa: E402
from tiled_se.evaluate.demo.scoring import Counts, count, f_score, interval, matches, overlaps  # noqa: E402
from tiled_se.evaluate.options import DemoOptions  # noqa: E402


def box(left, top, right, bottom):
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def array(*boxes):
    return np.array(boxes, float).reshape(-1, 4, 2)


LINES = array(box(0, 0, 100, 10), box(0, 20, 100, 30), box(0, 40, 100, 50))


def test_pages_are_the_same_on_every_call_and_differ_by_seed_and_number():
    page, again = pages.render(3, 5), pages.render(3, 5)
    np.testing.assert_array_equal(page.image, again.image)
    np.testing.assert_array_equal(page.lines, again.lines)
    np.testing.assert_array_equal(page.ink, again.ink)
    for seed, number in ((3, 6), (4, 5)):
        assert (pages.render(seed, number).image != page.image).any()


def test_pages_are_as_the_network_takes_them_and_full_of_lines():
    rendered = [pages.render(1, number) for number in range(6)]
    for page in rendered:
        assert page.image.shape == (pages.HEIGHT, pages.WIDTH, 3)
        assert page.image.dtype == np.uint8
        assert len(page.lines) >= 5
        assert page.lines.min() >= 0
        assert (page.lines.max((0, 1)) <= [pages.WIDTH, pages.HEIGHT]).all()
    # Skewed either way.
    slopes = [float(np.mean(page.lines[:, 1, 1] - page.lines[:, 0, 1])) for page in rendered]
    assert min(slopes) < 0 < max(slopes)


def test_boxes_as_tight_as_the_ink_lie_in_the_others():
    import shapely

    page = pages.render(2, 1)
    lines, ink = (shapely.polygons(boxes) for boxes in (page.lines, page.ink))
    assert shapely.covers(shapely.buffer(lines, 1e-6), ink).all()
    assert (shapely.area(ink) < 0.9 * shapely.area(lines)).mean() > 0.5


@pytest.mark.parametrize("number", range(4))
def test_ink_lies_in_the_boxes_and_boxes_are_full_of_it(number, monkeypatch):
    # Without noise and uneven light, what is neither paper nor a dark panel is ink.
    plain = types.SimpleNamespace
    monkeypatch.setattr(pages, "_Style", lambda angle, **_: plain(
        paper=255, ink=0, angle=angle, noise=0.0, blur=0.0, shade=0.0))
    monkeypatch.setattr(pages, "DARK", 0.0)
    page = pages.render(2, number)
    ink = page.image[:, :, 0] < 128
    assert ink.sum() > 500
    rest = ink.copy()
    for left, top, right, bottom, inside in map(masked, page.lines):
        part = ink[top:bottom, left:right] & inside
        rest[top:bottom, left:right] &= ~inside
        # From end to end: ink in the first and the last tenth of the line's length, and at half its height.
        columns = np.flatnonzero(part.any(axis=0))
        assert columns[0] <= 0.1 * (right - left) + 3
        assert columns[-1] >= 0.9 * (right - left) - 4
    assert rest.sum() == 0


def masked(line):
    """Bounds of a line's box, and which of the pixels in them it covers, with one pixel around."""
    import shapely

    (left, top), (right, bottom) = np.floor(line.min(0)).astype(int) - 1, np.ceil(line.max(0)).astype(int) + 2
    left, top = max(left, 0), max(top, 0)
    y, x = np.mgrid[top:min(bottom, pages.HEIGHT), left:min(right, pages.WIDTH)]
    inside = shapely.contains_xy(shapely.polygons(line).buffer(1.5), x + 0.5, y + 0.5)
    return left, top, min(right, pages.WIDTH), min(bottom, pages.HEIGHT), inside


def test_the_scan_comes_out_of_the_package():
    image = pages.scan()
    assert image.shape == (pages.SHEET, pages.WIDTH, 3)
    assert image.std() > 20


def test_overlap_of_upright_turned_and_empty_boxes():
    found = overlaps(LINES[:1], array(box(50, 0, 150, 10), box(0, 5, 100, 10), box(200, 0, 210, 10), box(5, 5, 5, 5)))
    np.testing.assert_allclose(found, [[1 / 3, 0.5, 0, 0]])
    diamond = array([(0, -1), (1, 0), (0, 1), (-1, 0)])
    np.testing.assert_allclose(overlaps(diamond, array(box(-1, -1, 1, 1))), [[0.5]])
    # Corners in no order around the box.
    crossed = LINES[:1, [0, 2, 1, 3]]
    np.testing.assert_allclose(overlaps(crossed, LINES[:1]), [[1]])
    assert overlaps(array(), LINES).shape == (0, 3)


@pytest.mark.parametrize(("found", "matched"), [
    (LINES, 3),
    (LINES[::-1], 3),
    (LINES[:2], 2),
    (array(), 0),
    # A line in two halves: neither overlaps more than half of it.
    (array(box(0, 0, 49, 10), box(51, 0, 100, 10), *LINES[1:]), 2),
    # A line found twice counts once.
    (array(*LINES, box(0, 0, 99, 10)), 3),
    # Two lines in one box.
    (array(box(0, 0, 100, 30), LINES[2]), 1),
])
def test_counts(found, matched):
    assert count(found, LINES) == Counts(matched, len(found), 3)


def test_matching_takes_the_most_pairs_not_the_best_first():
    lines = array(box(0, 0, 100, 10), box(0, 3, 100, 13))
    # The first box is nearest to the second line, which the second box needs: greedily only one pair would be left.
    found = array(box(0, 2, 100, 12), box(0, 6, 100, 16))
    rows, columns = matches(found, lines)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0), (1, 1)]


def test_scores():
    counts = Counts(6, 8, 12)
    assert (counts.precision, counts.recall, counts.f_score) == (0.75, 0.5, pytest.approx(0.6))
    assert counts.f_score - Counts(5, 8, 12).f_score == pytest.approx(counts.line)
    assert counts + Counts(1, 2, 3) == Counts(7, 10, 15)
    assert (Counts(0, 0, 0).f_score, Counts(0, 0, 5).f_score, Counts(0, 5, 0).f_score) == (1, 0, 0)
    np.testing.assert_allclose(f_score(np.array([1, 0]), np.array([2, 0]), np.array([2, 0])), [0.5, 1])


def test_interval_of_pages_that_are_all_alike_is_a_point():
    good, bad = [Counts(9, 10, 10)] * 20, [Counts(8, 10, 10)] * 20
    assert interval(good, bad, 1) == pytest.approx((0.1, 0.1))
    assert interval(bad, bad, 1) == (0, 0)


def test_interval_is_that_of_the_mean_difference():
    # Page by page the difference is 0 or 0.2 at even odds: over 100 pages its mean has the deviation 0.01.
    one = [Counts(8 + 2 * (page % 2), 10, 10) for page in range(100)]
    other = [Counts(8, 10, 10)] * 100
    low, high = interval(one, other, 1)
    assert low == pytest.approx(0.1 - 1.96 * 0.01, abs=0.002)
    assert high == pytest.approx(0.1 + 1.96 * 0.01, abs=0.002)
    assert interval(one, other, 1) == (low, high)
    assert interval(other, one, 1) == pytest.approx((-high, -low), abs=0.002)


def test_interval_is_paired():
    # Pages differ much, networks always by the same: what both share must not widen the interval.
    one = [Counts(page % 9 + 1, 10, 10) for page in range(45)]
    other = [Counts(page % 9, 10, 10) for page in range(45)]
    assert interval(one, other, 1) == pytest.approx((0.1, 0.1))


def test_margins_are_one_sided_to_the_original_and_two_sided_to_float():
    def counted(**matched):
        return {name: [Counts(value, 1000, 1000)] * 3 for name, value in matched.items()}

    found = summary.differences(counted(se=900, tse_float=950, tse_integer=930), seed=1)
    assert [found[name]["within"] for name in summary.COMPARISONS] == [True, True, False]
    found = summary.differences(counted(se=900, tse_float=875, tse_integer=882), seed=1)
    assert [found[name]["within"] for name in summary.COMPARISONS] == [False, True, True]
    assert found["tse_float_to_se"]["points"] == pytest.approx(-2.5)
    assert found["tse_float_to_se"]["low"] == pytest.approx(-2.5)


def found(pages, exact=True, error=0.6, **points):
    """What failures() reads of demo.json."""
    differences = {name: {"points": points.get(name, 0.0), "within": abs(points.get(name, 0.0)) <= margin}
                   for name, (_, _, margin) in summary.COMPARISONS.items()}
    return {"pages": pages, "differences": differences, "blocks": [{"name": "a", "float_error_lsb": error}],
            "rtl": {"bit_exact": exact, "failures": ["first difference in gates"]}}


def test_what_fails_the_demo():
    assert summary.failures(found(42)) == []
    assert summary.failures(found(42, exact=False)) == ["mismatch: first difference in gates"]
    assert summary.failures(found(2, error=1.2)) == ["accuracy: block a is 1.200 LSB from float64, more than 1"]
    assert summary.failures(found(40, tse_integer_to_se=-2.5)) == [
        "margin: TSE, integers: MORE than 2 points under SE, -2.50"]
    # On a few pages a single line is more than a margin.
    assert summary.failures(found(39, tse_integer_to_se=-2.5)) == []


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
    """The folder of a demo of two pages."""
    folder = tmp_path_factory.mktemp("demo")
    assert command.demo(DemoOptions(pages=2, out=str(folder)))
    return folder


@pytest.mark.xdist_group("finished")  # one process makes what they share
def test_two_pages_from_end_to_end(finished):
    found = json.loads((finished / "demo.json").read_text())
    assert (found["pages"], len(found["blocks"]), found["k"]) == (2, 13, 7)
    drawn = [len(pages.render(1, number).lines) for number in range(2)]
    assert found["lines"] == sum(drawn)
    for name in ("se", "tse_float", "tse_integer"):
        scores = found["networks"][name]
        assert scores["f_score"] > 0.85
        assert scores["drawn"] == sum(drawn)
        pages_of_it = found["page_counts"][name]
        assert [page[2] for page in pages_of_it] == drawn
        assert [sum(column) for column in zip(*pages_of_it, strict=True)] == [
            scores["matched"], scores["found"], scores["drawn"]]
        tight = found["against_ink"]["networks"][name]
        assert (tight["drawn"], tight["found"]) == (scores["drawn"], scores["found"])
        assert tight["matched"] < scores["matched"]
    # Every block on every page and on the scan, each within the contract; one of them in RTL.
    for block in found["blocks"]:
        assert 0 < block["float_error_lsb"] <= block["error_bound_lsb"] <= 1
        # Two pages of 928 rows and the scan of 800, which are 29 and 25 times 32.
        assert block["elements"] == block["se_elements"] // 29 * (2 * 29 + 25)
    assert [block["computed_by"] for block in found["blocks"]] == ["rtl"] + 12 * ["golden"]
    rtl = found["rtl"]
    assert (rtl["bit_exact"], rtl["mismatches"], rtl["elements"]) == (True, 0, found["blocks"][0]["elements"])
    # What is printed as built is what the netlist has.
    assert found["blocks"][0]["tse_buffer_bits"] == rtl["sram"]["tile_buffer_bits"]
    assert found["buffering"]["tse_elements"] == sum(
        min(7, block["H"]) * block["W"] * block["C"] for block in found["blocks"])
    assert found["scan"]["se_boxes"] >= 5


@pytest.mark.xdist_group("finished")
def test_figures_that_the_page_shows(finished):
    """Those that hold for any pages: of scores there is a whole run's in it."""
    found = json.loads((finished / "demo.json").read_text())
    page = (pathlib.Path(__file__).parents[2] / "docs" / "demo.md").read_text()
    buffering = found["buffering"]
    assert (f"{buffering['se_elements']:,} elements with SE, {buffering['tse_elements']:,} with TSE: "
            f"{buffering['elements_saved']:.1%} less") in page
    # A run's 42 pages and the scan, where this one had 2.
    elements = found["rtl"]["elements"] // (2 * 29 + 25) * (42 * 29 + 25)
    assert f"bit-exact, all {elements:,} elements of block {found['rtl']['block']} on 43 maps" in page


@pytest.mark.xdist_group("finished")
def test_the_picture_has_all_panels(finished):
    from PIL import Image

    image = Image.open(io.BytesIO((finished / "demo.png").read_bytes()))
    assert image.width > 3 * pages.WIDTH
    colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (colours == [0x00, 0x72, 0xB2]).all(1).sum() > 1000


@pytest.mark.xdist_group("finished")
def test_the_block_can_be_run_again(finished, capsys):
    found = json.loads((finished / "demo.json").read_text())["rtl"]
    status = main(["sim", "--k", "7", "--weights", found["weights"], "--input", found["input"], "--out",
                   str(finished / "again")])
    assert (status, "bit-exact   yes" in capsys.readouterr().out) == (0, True)
    report = json.loads((finished / "again" / "report.json").read_text())
    assert report["sram"]["tile_buffer_bits"] == found["sram"]["tile_buffer_bits"]


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
    assert found["blocks"][0]["float_error_lsb"] > 1


def test_packages_that_are_missing_are_named(monkeypatch, tmp_path):
    real = importlib.util.find_spec
    gone = ("rapidocr", "skimage")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in gone else real(name))
    message = r"^demo needs rapidocr and scikit-image: pip install 'tiled-se\[demo\]'$"
    with pytest.raises(command.UsageError, match=message):
        command.demo(DemoOptions(pages=1, out=str(tmp_path / "none")))
    assert not (tmp_path / "none").exists()
