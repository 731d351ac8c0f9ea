# SPDX-License-Identifier: Apache-2.0
"""tiled_se.evaluate.demo without networks: pages are repeatable and know where their text is, scores are right."""

import importlib.util
import types

import numpy as np
import pytest

for _name in ("matplotlib", "scipy", "skimage"):
    pytest.importorskip(_name, reason="pip install 'tiled-se[demo]'")
shapely = pytest.importorskip("shapely", reason="pip install 'tiled-se[demo]'")

from tiled_se.evaluate.demo import command, pages, summary  # noqa: E402  (behind the skip)
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
    page = pages.render(2, 1)
    lines, ink = (shapely.polygons(boxes) for boxes in (page.lines, page.ink))
    assert shapely.covers(shapely.buffer(lines, 1e-6), ink).all()
    assert (shapely.area(ink) < 0.9 * shapely.area(lines)).mean() > 0.5


@pytest.mark.parametrize("number", range(4))
def test_ink_lies_in_the_boxes_and_boxes_are_full_of_it(number, monkeypatch):
    # Without noise and uneven light, what is neither paper nor a dark panel is ink.
    plain = types.SimpleNamespace
    monkeypatch.setattr(pages, "types", plain(SimpleNamespace=lambda angle, **_: plain(
        paper=255, ink=0, angle=angle, noise=0.0, blur=0.0, shade=0.0)))
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


def test_interval():
    """That of the mean difference; pages are paired: what both share does not widen it."""
    one, other = ([Counts(low + page % 9, 10, 10) for page in range(45)] for low in (1, 0))
    assert interval(one, other, 1) == pytest.approx((0.1, 0.1))
    assert interval(other, other, 1) == (0, 0)
    # Page by page the difference is 0 or 0.2 at even odds: over 100 pages its mean has the deviation 0.01.
    one, other = ([Counts(8 + step * (page % 2), 10, 10) for page in range(100)] for step in (2, 0))
    low, high = interval(one, other, 1)
    assert (low, high) == pytest.approx((0.1 - 1.96 * 0.01, 0.1 + 1.96 * 0.01), abs=0.002)
    assert interval(one, other, 1) == (low, high)
    assert interval(other, one, 1) == pytest.approx((-high, -low), abs=0.002)


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


def test_packages_that_are_missing_are_named(monkeypatch, tmp_path):
    real = importlib.util.find_spec
    gone = ("rapidocr", "skimage")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in gone else real(name))
    message = r"^demo needs rapidocr and scikit-image: pip install 'tiled-se\[demo\]'$"
    with pytest.raises(command.UsageError, match=message):
        command.demo(DemoOptions(pages=1, out=str(tmp_path / "none")))
    assert not (tmp_path / "none").exists()
