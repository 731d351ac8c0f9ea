# SPDX-License-Identifier: Apache-2.0
"""tiled_se.evaluate.demo without networks: pages are repeatable and know where their text is, scores are right."""

import dataclasses
import importlib.util
import json
import types

import numpy as np
import pytest

for _name in ("matplotlib", "scipy", "skimage"):
    pytest.importorskip(_name, reason="pip install 'tiled-se[demo]'")
shapely = pytest.importorskip("shapely", reason="pip install 'tiled-se[demo]'")

from tiled_se.evaluate.demo import command, forms, pages, summary, table  # noqa: E402  (behind the skip)
from tiled_se.evaluate.demo.integer import DetectorBlock  # noqa: E402
from tiled_se.evaluate.demo.scoring import Counts, count, f_score, interval, matches, overlaps  # noqa: E402
from tiled_se.evaluate.options import DemoOptions  # noqa: E402
from tiled_se.gen.files import json_bytes, write_all  # noqa: E402
from tiled_se.golden.block import FloatBlock  # noqa: E402
from tiled_se.hdl.config import Context, Tiling  # noqa: E402


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


def counted(**matched):
    """Counts of three pages by network: matched boxes, of 1,000 and 1,000; 900 where not given."""
    return {name: [Counts(matched.get(name, 900), 1000, 1000)] * 3 for name in forms.titles(7)}


def test_margins_are_one_sided_to_the_original_and_two_sided_to_float():
    def within(form, **matched):
        found = summary.differences(counted(**matched), seed=1)
        return [found[f"{form}_{name}"]["within"] for name in ("float_to_se", "integer_to_se",
                                                               f"integer_to_{form}_float")]

    for form in forms.NAMES:
        assert within(form, **{f"{form}_float": 950, f"{form}_integer": 930}) == [True, True, False]
        assert within(form, **{f"{form}_float": 875, f"{form}_integer": 882}) == [False, True, True]
    found = summary.differences(counted(causal_k1_float=875), seed=1)
    for other in ("se", "tse_float"):
        difference = found[f"causal_k1_float_to_{other}"]
        assert (difference["points"], difference["low"], difference["high"]) == pytest.approx((-2.5, -2.5, -2.5))
    # Contexts beside the paper's tiles: a figure, and no margin.
    assert found["causal_k1_float_to_tse_float"]["within"] is None
    assert found["cumulative_k3_integer_to_tse_integer"]["points"] == 0


def test_forms_are_the_papers_tiles_and_contexts_with_one_row_of_the_prior():
    found = {form.name: (form.title, form.tiling) for form in forms.forms(5)}
    assert found == {
        "tse": ("TSE K=5", Tiling(k=5)),
        "cumulative_k1": ("cumulative K=1", Tiling(k=1, context=Context.CUMULATIVE, prior_rows=1)),
        "cumulative_k3": ("cumulative K=3", Tiling(k=3, context=Context.CUMULATIVE, prior_rows=1)),
        "causal_k1": ("causal K=1", Tiling(k=1, context=Context.CAUSAL, prior_rows=1))}
    assert list(found) == list(forms.NAMES)
    assert set(forms.RTL) < set(found)
    assert forms.titles(5)["causal_k1_integer"] == "causal K=1, integers"


def test_what_a_block_keeps():
    """Of a map of 6 x 7: all of it for SE and tiles that are higher, rows of it, nothing."""
    rng = np.random.default_rng(4)
    block = types.SimpleNamespace(float_block=FloatBlock(
        w1=rng.normal(size=(2, 8)), b1=rng.normal(size=2), w2=rng.normal(size=(8, 2)), b2=rng.normal(size=8),
        prior=rng.uniform(-0.5, 0.5, 8)))
    maps = [rng.uniform(-1, 1, (1, 8, 6, 7)).astype(np.float32)]
    blocks = {form.name: DetectorBlock(block, form.options, maps) for form in forms.forms(7)}
    assert {name: integers.waiting() for name, integers in blocks.items()} == {
        "tse": 6 * 7 * 8, "cumulative_k1": 7 * 8, "cumulative_k3": 3 * 7 * 8, "causal_k1": 0}
    bits = [blocks[name].buffer_bits() for name in ("causal_k1", "cumulative_k1", "cumulative_k3", "tse")]
    assert bits == sorted(set(bits))
    assert len({integers.buffer_bits(tiled=False) for integers in blocks.values()}) == 1
    # Their outputs are their own contexts', within an LSB of float64, and differ.
    outputs = {name: integers(maps[0]) for name, integers in blocks.items()}
    for name, integers in blocks.items():
        assert 0 < integers.largest_error <= 1
        assert integers.elements == 336
        assert name == "tse" or (outputs[name] != outputs["tse"]).any()


def results(seed, pages=42, exact=True, error=0.6, **matched):
    """Of demo.json what pools and prints it; each page has 100 lines, `matched` of which a network found, else 90."""
    counts = {name: [Counts(matched.get(name, 90), 100, 100)] * pages for name in forms.titles(7)}
    against = summary._scored(counts, seed) | {
        "page_counts": {name: [dataclasses.astuple(page) for page in found] for name, found in counts.items()}}
    block = {"name": "a", "se_elements": 1000, "tse_elements": 100, "se_buffer_bits": 8000, "tse_buffer_bits": 900,
             "operand_bits": 18, "elements": 2000, "float_error_lsb": error, "error_bound_lsb": 0.9}
    rtl = {"block": "a", "config": "", "frames": pages + 1, "elements": 2000, "mismatches": 0 if exact else 3,
           "bit_exact": exact, "failures": [] if exact else [f"seed {seed} differs in gates"],
           "sram": {}, "weights": "w", "input": "i", "command": "make sim"}
    parts = {name: {"tiling": {}, "buffering": summary._buffering([block]), "blocks": [block],
                    "rtl": rtl if name in forms.RTL else None} for name in forms.NAMES}
    agreement = {"matched": 7, "found": 8}
    return {"network": "detector", "k": 7, "seed": seed, "pages": pages, "lines": 100 * pages, "calibration_pages": 4,
            "page_size": [480, 384], "input_size": [928, 736], "method": "", **against,
            **dict.fromkeys(summary.AGAINST, against), **parts.pop("tse"), "contexts": parts,
            "scan": {"se_boxes": 7} | dict.fromkeys(list(forms.titles(7))[1:], agreement),
            "seconds": {"load": 1.0, "tse_float": 2.0, "causal_k1_float": 3.5}, "tools": {}}


def test_what_fails_the_demo():
    assert summary.failures(results(1)) == []
    assert summary.failures(results(1, exact=False)) == 3 * ["mismatch: seed 1 differs in gates"]
    assert summary.failures(results(1, pages=2, error=1.2))[1:2] == [
        "accuracy: block a of cumulative K=1, integers, is 1.200 LSB from float64, more than 1"]
    # On a few pages a single line is more than a margin.
    for number, failures in ((40, ["margin: cumulative K=3, float: MORE than 2 points under SE, -3.00"]), (39, [])):
        assert summary.failures(results(1, number, cumulative_k3_float=87, cumulative_k3_integer=88))[:1] == failures
    assert summary.failures(results(1, causal_k1_float=91, causal_k1_integer=93)) == [
        "margin: causal K=1, integers: NOT within 1 point of causal K=1, float, +2.00"]


def test_seeds_are_pooled():
    runs = [results(11, 30, causal_k1_integer=88), results(12, 10, exact=False, error=0.8, causal_k1_integer=96)]
    found = summary.pooled(runs)
    assert (found["seeds"], found["pages"], found["lines"]) == ([11, 12], 40, 4000)
    for part in found, *(found[name] for name in summary.AGAINST):
        assert part["networks"]["causal_k1_integer"]["matched"] == 30 * 88 + 10 * 96
        assert part["networks"]["se"]["f_score"] == pytest.approx(0.9)
        # A page of the first seed differs by -2, one of the second by 6: over 40 pages none on average.
        difference = part["differences"]["causal_k1_integer_to_se"]
        assert difference["points"] == pytest.approx(0)
        assert (difference["low"], difference["high"]) == pytest.approx((-1.07, 1.07), abs=0.15)
    causal = found["contexts"]["causal_k1"]
    assert causal["blocks"][0] == runs[0]["blocks"][0] | {"elements": 4000, "float_error_lsb": 0.8}
    assert (causal["rtl"]["frames"], causal["rtl"]["mismatches"], causal["rtl"]["bit_exact"]) == (42, 3, False)
    assert found["contexts"]["cumulative_k3"]["rtl"] is None
    assert summary.failures(found) == 3 * ["mismatch: seed 12 differs in gates"]


def test_reports():
    one = results(11, causal_k1_float=89, causal_k1_integer=89)
    both = summary.pooled([results(11), results(12, exact=False)])
    for found, page in ((one, "seed 11"), (both, "seeds 11, 12")):
        text = table.table(found)
        assert page in text
        assert max(map(len, text.splitlines())) <= 110
    rows = table.table(one).splitlines()
    heading = rows.index("lines as high as their font")
    scores = [" ".join(row.split()) for row in rows[heading:heading + 11]]
    assert scores[-2:] == [
        "causal K=1, float 89.00 -1.00 (-1.00 to -1.00) -1.00 (-1.00 to -1.00)",
        "causal K=1, integers 89.00 -1.00 (-1.00 to -1.00) -1.00 (-1.00 to -1.00) +0.00 (+0.00 to +0.00)"]
    assert "12 of 12 kept" in table.table(one)
    assert "NOT bit-exact, 3 of 4,000 elements are wrong" in table.table(both)
    assert "| causal K=1, float | 89.00 | -1.00 (-1.00 to -1.00) | -1.00 (-1.00 to -1.00) |  |" in table.section(one)
    assert "| causal K=1 | 100 | 90.0% | 900 | 88.8% | 0.600 |" in table.section(one)


class TestSeveralSeeds:
    """One after the other, each in a folder, whose results are kept."""

    @pytest.fixture
    def runs(self, monkeypatch):
        """The seeds that were run: none is, what it would leave is written."""
        done = []

        def run(options, seed, folder):
            done.append(seed)
            found = results(seed, options.pages, exact=seed != 13) | {"key": command._key(options, seed)}
            write_all(folder, {"demo.json": json_bytes(found)})
            return found

        monkeypatch.setattr(command, "_run", run)
        return done

    def test_each_is_run_once(self, runs, tmp_path, capsys):
        options = DemoOptions(pages=2, seeds=(3, 5), out=str(tmp_path))
        assert command.demo(options)
        assert runs == [3, 5]
        assert json.loads((tmp_path / "demo.json").read_text())["seeds"] == [3, 5]
        assert command.demo(options)
        assert runs == [3, 5]
        assert f"seed 5: kept, {tmp_path}/seed_5/demo.json is up to date\n" in capsys.readouterr().out
        # Other pages, or a damaged file: it is run again.
        (tmp_path / "seed_5" / "demo.json").write_text("{")
        assert command.demo(options)
        assert command.demo(dataclasses.replace(options, pages=3))
        assert runs == [3, 5, 5, 3, 5]

    def test_faults_of_one_fail_all(self, runs, tmp_path, capsys):
        assert not command.demo(DemoOptions(pages=2, seeds=(3, 13), out=str(tmp_path)))
        assert "tiled-se: mismatch: seed 13 differs in gates\n" in capsys.readouterr().err

    def test_the_page_takes_the_results(self, runs, tmp_path):
        docs = tmp_path / "docs"
        docs.mkdir()
        (docs / "demo.md").write_text(f"Before.\n\n{table.SECTION.begin}\nold\n{table.SECTION.end}\n\nAfter.\n")
        assert command.demo(DemoOptions(pages=2, seeds=(3, 5), out=str(tmp_path / "out"), docs=str(docs)))
        page = (docs / "demo.md").read_text()
        assert page.startswith("Before.\n\n<!-- begin: results")
        assert page.endswith("<!-- end: results -->\n\nAfter.\n")
        assert "seeds 3, 5" in page
        assert "old" not in page

    def test_a_page_that_is_missing_is_refused_before_anything_runs(self, runs, tmp_path):
        with pytest.raises(command.ConfigError, match=r"must be a folder with demo\.md"):
            command.demo(DemoOptions(pages=2, seeds=(3, 5), out=str(tmp_path / "out"), docs=str(tmp_path)))
        assert runs == []


def test_packages_that_are_missing_are_named(monkeypatch, tmp_path):
    real = importlib.util.find_spec
    gone = ("rapidocr", "skimage")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in gone else real(name))
    message = r"^demo needs rapidocr and scikit-image: pip install 'tiled-se\[demo\]'$"
    with pytest.raises(command.UsageError, match=message):
        command.demo(DemoOptions(pages=1, out=str(tmp_path / "none")))
    assert not (tmp_path / "none").exists()
