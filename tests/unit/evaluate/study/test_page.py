# SPDX-License-Identifier: Apache-2.0
"""docs/study.md: its figures are those of the runs, and its sentences follow from them."""

import dataclasses
from zlib import crc32

import pytest

from tests.helpers.study_rows import NONE, SE, Effects, rows, running, study, tile
from tiled_se.evaluate.paper.paper import load_paper
from tiled_se.evaluate.study.answers import agreement, from_k_on, left
from tiled_se.evaluate.study.findings import TITLES
from tiled_se.evaluate.study.page import page, summary_text
from tiled_se.evaluate.study.view import View, signed

IMAGES = 500


def cells(text, first, after=""):
    """The cells of the first table row after the line `after` that begins with `first`."""
    line = next(line for line in text[text.index(after):].splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def finding(text, title):
    """What the page says below a question, in one line."""
    return " ".join(text.split(f"### {title}\n")[1].split("\n#")[0].split())


def of(effects, **options):
    return study(rows(effects, images=IMAGES, seed=4, **options))


def lossy(labels):
    """Points that a tiling loses: more with smaller tiles, and in two stages only."""
    if labels.stage is not None:
        return {"stage1": -1.6, "stage3": -9.0}.get(labels.stage, 0.0)
    return {"causal": -6.0, "window": -2.0}.get(labels.context, -8.0 / (labels.k or 99))


# In which everything is as the paper has it, and running means as one would like them.
AS_IN_PAPER = Effects(attention=2.0, deviation=0, swapped=lossy, quantised=lambda labels: 0.0,
                      trained=lambda labels: -3.0 if labels.name in ("1xW", "Hx1", "1x1", "7xW-upper") else 0.0,
                      fine_tuned=lambda labels: 0.0)
REVERSED = Effects(attention=-2.0, deviation=0, swapped=lambda labels: 3.0 if labels.stage is None else -2.0,
                   trained=lambda labels: 1.5 if labels.name != "7xW-middle" else -3.0,
                   fine_tuned=lambda labels: 0.0 if labels.context == "se" else -3.0 if labels.method else -4.0,
                   quantised=lambda labels: {"after": 6.0, "tuned": 6.0, "aware": 2.0}[labels.method])
NOTHING = Effects(attention=0.0, deviation=0)


@pytest.fixture(scope="module")
def known():
    return of(dataclasses.replace(AS_IN_PAPER, deviation=0.3))


@pytest.fixture(scope="module")
def text(known):
    return page(known)


def test_figures_of_table_1(known, text):
    view = View(known)
    strips = [run["top1"] for run in known["runs"] if run["training"] == "scratch" and run["k"] == 7
              and run["context"] == "tile" and run["tile_w"] is None and run["order"] == "rows"
              and (run["network"], run["condition"]) == ("regnet", "canvas")]
    assert len(strips) == 3
    row = cells(text, "7xW", "## Tilings, trained")
    assert row[:4] == ["7xW", "76.29", "-0.01", "0.42 (39.3 %)"]
    assert row[4] == f"{sum(strips) / 3:.2f} (3)"
    assert row[5] == f"no difference seen: {view.one('trained', name='7xW').points}"
    # 7 of 32 rows of 32 x 16, 7 of 16 of 16 x 32, 7 of 8 of 8 x 64, and the whole of 4 x 4 x 96: by hand.
    assert row[6] == "12,288 (40.7 %)"
    assert cells(text, "causal, K=1", "## Tilings, trained")[1:4] == ["-", "-", "-"]
    assert cells(text, "causal, K=1", "## Tilings, trained")[6] == "0 (0 %)"
    none = cells(text, "no attention", "## Tilings, trained")
    assert none[1:4] == ["75.07", "-1.23", "-"]
    attention = view.one("attention")
    assert none[5] == "lower: {} ({} to {})".format(*map(signed, (
        -attention.difference, -attention.interval[1], -attention.interval[0])))
    assert cells(text, "SE", "## Tilings, trained")[2] == ""


def test_every_answer_of_the_main_network_is_on_the_page(known, text):
    """No figure is left out for what it is."""
    for answer in View(known).all("trained") + View(known).all("swapped") + View(known).all("stage"):
        assert answer.said in text


def test_the_same_networks_with_other_images(known, text):
    """Beside the interval over retraining stands the one over images, where a sentence has the difference."""
    view = View(known)
    for title, answer in ((TITLES[0], view.one("attention")), (TITLES[1], view.one("trained", name="7xW")),
                          (TITLES[7], view.one("gap", name="causal, K=1"))):
        low, high = map(signed, answer.images)
        assert low != signed(answer.interval[0])
        assert f"other test images, the interval is {low} to {high}." in finding(text, title)
    assert "the interval is" not in finding(text, TITLES[4])
    low, high = answer.images
    assert answer.reversed().images == (-high, -low)
    smallest = [view.one("gap", name=name) for name in ("1xW", "Hx1", "1x1")]
    listed = "; ".join(f"{answer.a.name} {' to '.join(map(signed, answer.images))}" for answer in smallest)
    assert f"the intervals are: {listed}." in finding(text, TITLES[6])


def test_seeds_of_swapped_running_means(known, text):
    """Their networks differ by more than the interval over images says."""
    for answer in (View(known).one("swapped", name=name) for name in ("cumulative, K=1", "causal, K=1")):
        low, high = map(signed, answer.interval)
        seeds = ", ".join(map(signed, answer.by_seed))
        assert len(answer.by_seed) == 3
        assert f"swapped {signed(answer.difference)} ({low} to {high}; seeds {seeds}); trained " in finding(
            text, TITLES[7])


def test_setup(known, text):
    """It says how long networks were trained, on frames of which size, and the time does not depend on processes."""
    said = " ".join(text.split("## Setup")[1].split("\n## ")[0].split())
    assert "20,000 images to train with, for about 6 epochs, and 500 to test." in said
    assert "other training that is called longer, takes about 2 more." in said
    assert "- **canvas**, 64 x 64: as exposure" in said
    assert "- **exposure**, 28 x 28: each image" in said
    assert "All of it took 99 minutes of one process. 379 accuracies were measured." in said
    assert said.count("**") == 2 * 5


def test_sizes_are_in_order(text):
    section = text.split("## Tilings, swapped")[1].split("\n## ")[0]
    names = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")][1:]
    assert names[:7] == ["1xW", "3xW", "5xW", "7xW", "9xW", "all rows", "Hx1"]
    assert len(names) == 28


def test_figures_of_other_tables(known, text):
    view = View(known)
    seven = view.one("swapped", name="7xW")
    row = cells(text, "7xW", "## Tilings, swapped")
    assert row[1] == cells(text, "7xW", "## Tilings, trained")[4]
    assert row[2:] == [f"{view.top1(seven.a):.2f} (3)", seven.said, view.one("gap", name="7xW").said]
    assert cells(text, "stage2", "## Stage by stage")[1:3] == [
        "-0.06", view.one("stage", name="7xW", stage="stage2").said]
    assert cells(text, "all", "## Stage by stage")[1:3] == ["-0.70", seven.said]
    assert cells(text, "all, less the sum of the stages", "## Stage by stage")[1] == "-0.13"
    tuned = cells(text, "here, 7xW", "## Fine-tuned")
    assert [tuned[1], tuned[3]] == [seven.said, view.one("fine-tuned", name="7xW").said]
    assert cells(text, "paper, RegNetY-800MF, 7xW", "## Fine-tuned")[1:3] == ["-0.6", "-0.34"]
    integers = cells(text, "cumulative, K=1", "## Integers")
    longer = view.one("longer", name="cumulative, K=1")
    assert integers[1] == "8"
    assert integers[3:5] == [f"{view.top1(longer.a):.2f} (3)", longer.said]
    assert integers[5:] == [view.one(question, name="cumulative, K=1", bits=8, method=method).said for question, method
                            in (("bits", "after"), ("bits", "tuned"), ("bits", "aware"), ("aware", "aware"))]
    exposure = {"network": "regnet", "condition": "exposure"}
    assert cells(text, "RegNetY-like (exposure)", "## Other conditions and networks, trained")[3:5] == [
        view.one("attention", **exposure).said, view.one("trained", name="7xW", **exposure).said]
    assert cells(text, "RegNetY-like (plain)", "## Other conditions and networks, trained")[4:] == ["-"] * 3
    assert cells(text, "residual (canvas)", "## Other conditions and networks, swapped")[1] == view.one(
        "swapped", name="7xW", network="residual").said


def test_how_sure_it_is(known, text):
    view = View(known)
    said = " ".join(text.split("## How sure this is")[1].split())
    assert f"deviation of one training is {view.spread.deviation:.3f} points, pooled over 5 groups" in said
    assert "with 10 degrees of freedom; the t quantile is 2.228" in said
    intervals = [answer.interval for answer in view.answers if answer.interval]
    missed = [one for one in intervals if one[0] > 0 or one[1] < 0]
    assert f"The study makes {len(intervals)} comparisons with an interval" in said
    assert f"about {len(intervals) * 0.05:.0f} of the intervals would miss 0 by chance; {len(missed)} do" in said
    row = cells(text, "a tiling against SE, both trained")
    verdicts = [answer.verdict for answer in view.answers if answer.question == "trained"]
    counts = [str(verdicts.count(verdict)) for verdict in ("higher", "lower", "none seen")]
    assert row[1:] == ["37", *counts, "0", "1.9"]


SENTENCES = [
    (TITLES[0], ["SE helps: +2.", "This is as in the paper."],
     ["No difference between SE and no attention is seen: ", "The paper's difference is not seen here.",
      "whether it does what SE does can't be told here: networks without attention are not seen to differ "
      "from SE, either."],
     ["SE does harm: -", "This is the reverse of the paper's."]),
    (TITLES[1], ["No difference between networks trained with strips of 7 rows and with SE is seen: ",
                 "The paper sees none, either."],
     ["The paper sees none, either."],
     ["Networks trained with strips of 7 rows are better than those trained with SE: +1.",
      "The paper sees no such difference."]),
    (TITLES[2], ["Lower: 1xW -", "In the paper they are lower; of its tilings, 3 of 3 are so here.",
                 "Strips of rows: no loss is seen from K=3 on; strips of columns: no loss is seen from K=3 on; ",
                 "patches: no loss is seen from K=3 on; cumulative: no loss is seen with any K; causal: no loss is "],
     ["No difference seen: 1xW", "0 of 3 are so here", "Strips of rows: no loss is seen with any K;"],
     ["Higher: 1xW +", "0 of 3 are so here"]),
    (TITLES[3], ["The middle rows are better than the upper ones: +", "This is as in the paper."],
     ["No difference between the middle rows and the upper ones is seen: ", "is not seen here."],
     ["The upper rows are better than the middle ones: -", "This is the reverse of the paper's."]),
    (TITLES[4], ["Strips of 7 rows lose something: -1.", "This is as in the paper."],
     ["No loss with strips of 7 rows is seen: ", "The paper's difference is not seen here."],
     ["Strips of 7 rows are better than SE in the same networks: +", "This is the reverse of the paper's."]),
    (TITLES[5], ["Lower: 1xW -8.", "6 of 6 are so here", "causal: even K=7, the largest below the whole map, loses "],
     ["0 of 6 are so here", "causal: no loss is seen with any K."], ["Higher: 1xW +3", "0 of 6 are so here"]),
    (TITLES[6], ["Higher: 1xW +", "of its tilings, 3 of 3 are so here."], ["0 of 3 are so here"],
     ["Lower: 1xW -1.", "0 of 3 are so here"]),
    (TITLES[7], ["Causal, K=1: swapped -6.", "Training wins back: +6.",
                 "So training closes the gap, as far as can be seen."],
     ["No change by training is seen: ", "Trained, no difference from SE is seen."],
     ["Training makes it worse: -1.", "Trained, it is better than SE."]),
    (TITLES[8], ["The maps of stage4 have 7 rows or fewer",
                 "Of the others, stage3 loses the most, a later one, as in the paper."],
     ["No stage is seen to lose anything.", "added up, is seen: "],
     ["Of the others, stage1, stage2, stage3 lose the most; which of them more can't be told.",
      "All stages together lose less than each alone, added up: +", "The paper sees no such difference."]),
    (TITLES[9], ["What is left, to SE that was trained as much longer, no difference seen: 7xW",
                 "less the change before, higher: 7xW +1.",
                 "1 of 1 are so here"],
     ["less the change before, no difference seen: 7xW", "0 of 1 are so here"],
     ["trained as much longer, lower: 7xW -4.", "less the change before, lower: 7xW -"]),
    (TITLES[10], ["Quantised after training, to float, no difference seen: 7xW with 8 bits",
                  "Quantisation-aware, to float that was trained as long, no difference seen: 7xW with 8 bits"],
     ["Quantised after training, to float, no difference seen: 7xW with 8 bits"],
     ["Quantised after training, to float, higher: 7xW with 8 bits +",
      "Quantisation-aware, to float that was trained as long, higher: 7xW with 8 bits +5."]),
    (TITLES[11], ["No difference seen: 7xW with 8 bits"], ["No difference seen: 7xW with 8 bits"],
     ["Lower: 7xW with 8 bits -4."]),
    (TITLES[12], ["SE to no attention: higher in all 6.", "Causal, K=1, swapped, to SE: lower in all 6."],
     ["SE to no attention: no difference seen in all 6."],
     ["SE to no attention: lower in all 6.", "7xW, swapped, to SE: higher in all 6."]),
]


@pytest.mark.parametrize(("column", "effects"), [(1, AS_IN_PAPER), (2, NOTHING), (3, REVERSED)])
def test_sentences_follow_from_the_figures(column, effects):
    found = of(effects)
    text = page(found)
    for row in SENTENCES:
        said = finding(text, row[0])
        for sentence in row[column]:
            assert sentence in said
    view = View(found)
    verdicts = [answer.verdict for answer in view.all("trained")]
    assert (f"All 25 tilings that were trained, to SE: lower {verdicts.count('lower')}, higher "
            f"{verdicts.count('higher')}, no difference seen {verdicts.count('none seen')}, not known 0."
            ) in finding(text, TITLES[1])
    assert "What is missing" not in text
    attention = finding(text, TITLES[0])
    assert ("can't be told here" in attention) == (view.one("attention").verdict == "none seen")


def test_fine_tuned_beside_both_networks_with_se():
    """The one as it was, as in the paper, and the one that was trained as much longer."""
    found = of(Effects(deviation=0, fine_tuned=lambda labels: 2.0 if labels.context == "se" else 0.8))
    view = View(found)
    tuned = view.one("fine-tuned", name="7xW")
    before, after = (float(text.split(" (")[0].split(": ")[-1]) for text in cells(page(found), "here, 7xW")[2:4])
    se = view.find(context="se", training="scratch")
    assert before == pytest.approx(view.top1(tuned.a) - view.top1(se), abs=6e-3)
    assert (before, after) == (pytest.approx(0.8, abs=0.15), pytest.approx(-1.2, abs=0.15))


def test_a_stage_in_the_middle():
    """Of three stages with more than one strip the second is neither early nor late."""
    found = of(Effects(deviation=0, swapped=lambda labels: -4.0 * (labels.stage == "stage2")))
    assert "Of the others, stage2 loses the most, the one in the middle; in the paper it is a later one." in finding(
        page(found), TITLES[8])


def test_some_conditions_differ_from_others():
    """They are named then, each with its verdict."""
    found = of(Effects(deviation=0, swapped=lambda labels: -5.0 * (labels.condition == "exposure")))
    said = finding(page(found), TITLES[12])
    assert "7xW, swapped, to SE: lower in RegNetY-like (exposure); no difference seen in RegNetY-like (canvas)" in said


@pytest.mark.parametrize(("verdict", "claimed", "expected"), [
    ("not known", "higher", ""), ("higher", "higher", "This is as in the paper."),
    ("none seen", "none seen", "The paper sees none, either."),
    ("none seen", "lower", "The paper's difference is not seen here."),
    ("lower", "none seen", "The paper sees no such difference."),
    ("lower", "higher", "This is the reverse of the paper's.")])
def test_agreement_with_the_paper(verdict, claimed, expected):
    assert agreement(verdict, claimed) == expected


UNEVEN = "All 3 swapped networks lose something, but amounts so different that other networks might lose nothing. "


@pytest.mark.parametrize(("by_seed", "verdicts", "expected"), [
    ((-7.0, -2.0, -1.0), ("lower", "none seen", "none seen"), UNEVEN + "Trained, no difference from SE is seen."),
    ((-7.0, -2.0, -1.0), ("lower", "none seen", "lower"), UNEVEN + "Trained, it still loses something."),
    ((-7.0, -2.0, 0.5), ("lower", "none seen", "none seen"), "Trained, no difference from SE is seen."),
    ((-7.0, -2.0, -1.0), ("none seen", "none seen", "none seen"), "Trained, no difference from SE is seen."),
    ((-7.0, -2.0, -1.0), ("lower", "higher", "none seen"), "So training closes the gap, as far as can be seen."),
    ((-7.0, -2.0, -1.0), ("lower", "higher", "lower"), "Trained, it still loses something."),
    ((-7.0,), ("lower", "none seen", "none seen"), "Trained, no difference from SE is seen.")])
def test_what_training_leaves_of_a_loss(known, by_seed, verdicts, expected):
    """That all networks lose something is said where each one does, and where the change by training is uncertain."""
    answer = View(known).one("swapped", name="causal, K=1")
    before, gap, after = (dataclasses.replace(answer, by_seed=by_seed, verdict=verdict) for verdict in verdicts)
    assert left(before, after, gap) == expected


def test_from_which_size_on_no_loss_is_seen(known):
    """The largest that loses something counts, also where a smaller one does not."""
    patches = {answer.a.k: answer for answer in View(known).all("swapped", family="patches")}
    lost, kept = patches[1], View(known).one("trained", name="7xW")
    assert (lost.verdict, kept.verdict) == ("lower", "none seen")

    def with_k(answer, k):
        return View({**known, "comparisons": [{
            "question": "swapped", "a": answer.a._replace(k=k)._asdict(), "b": SE._asdict(), "by_seed": None,
            "seeds": [1, 1], "over": "images", "interval": answer.interval, "difference": answer.difference,
            "images": None, "verdict": answer.verdict}]}).answers[0]

    assert from_k_on([with_k(kept, 1), with_k(lost, 3), with_k(kept, 7), with_k(kept, 5)]) == (
        "no loss is seen from K=5 on")
    assert from_k_on([with_k(kept, 1), with_k(lost, 3)]) == "even K=3, the largest below the whole map, loses something"
    assert from_k_on([with_k(kept, 1), with_k(kept, None)]) == "no loss is seen with any K"
    assert from_k_on([]) == ""


class TestFewRuns:
    def test_one_seed_each(self):
        """No interval over retraining is made up; those over images are there."""
        found = of(AS_IN_PAPER, kept=lambda labels, seed: seed == 1)
        text, said = page(found), " ".join(page(found).split())
        assert "SE less no attention (too few seeds to tell it from chance): +2." in said
        assert "This is as in the paper. - All 25" not in said
        assert "All 25 tilings that were trained, to SE: lower 0, higher 0, no difference seen 0, not known 25." in said
        assert "no group has 3 seeds" in said
        assert "**Conditions.**" not in text
        assert "None has 3, so that it is not known how much trainings differ" in said
        assert cells(text, "7xW", "## Tilings, trained")[5].startswith("not known: ")
        assert "(" not in cells(text, "7xW", "## Tilings, trained")[5]
        assert cells(text, "1xW", "## Tilings, swapped")[3].startswith("lower: -8.")
        assert cells(text, "SE against no attention, both trained")[1:] == ["6", "0", "0", "0", "6", "0.0"]

    def test_a_quick_study_says_so(self, known):
        known = {**known, "setup": {**known["setup"], "quick": True}}
        assert "make study DOCS=docs QUICK=1" in page(known)
        assert "**This was a quick run. It shows that the command works. Its figures mean nothing.**" in page(known)

    def test_missing_parts_are_named(self):
        """Only the first two kinds of network are there: all that is left out is in a list."""
        found = of(AS_IN_PAPER, kept=lambda labels, seed: labels in (NONE, SE))
        text = page(found)
        missing = text.split("## What is missing")[1]
        for title in (*TITLES[1:], "Tilings, swapped (Figure 5)", "Stage by stage (Table 3)", "Fine-tuned (Table 2)",
                      "Integers", "Other conditions and networks, swapped"):
            assert f"- {title}" in missing
            assert f"# {title}" not in text
        assert TITLES[0] not in missing
        assert "study-accuracy.svg" not in text
        assert cells(text, "7xW", "## Tilings, trained")[4:] == ["-", "-", "-"]

    def test_nothing_at_all(self):
        empty = study([])
        text = page(empty)
        assert "## Tilings" not in text
        assert all(f"- {title}" in text for title in TITLES)
        assert summary_text(empty) == "no two runs that can be compared"

    @pytest.mark.parametrize("lost", [0, 1, 2, 3])
    def test_any_rows_may_be_missing(self, lost):
        """Whatever a study was interrupted at."""
        assert page(of(AS_IN_PAPER, kept=lambda labels, seed: crc32(
            repr((labels.name, labels.training, labels.stage, seed)).encode()) % 4 != lost)).startswith("<!-- SPDX")


class TestLimits:
    def test_they_are_computed(self, known, text):
        said = " ".join(text.split("## What these data cannot show")[1].split())
        assert "10 classes, 20,000 images to train with and 500 to test. They have 28 x 28 pixels, grey." in said
        assert ("In stage4 the maps have 7 rows or fewer, so that strips are SE there, and causal gates with K=7 "
                "depend on the prior alone.") in said
        assert "Strips of 7 rows buffer 40.7 % of what SE does in the RegNetY-like network, and 39.3 %" in said
        spread = View(known).spread
        assert (f"about {spread.least_seen(1, 1):.2f} points between two with 1, {spread.least_seen(1, 3):.2f} points "
                f"between 1 and 3, {spread.least_seen(3, 3):.2f} points between two with 3 seeds to be seen") in said
        assert "49 kinds of network were trained, with 1 to 3 seeds each" in said

    def test_choices_are_told(self, text):
        said = " ".join(text.split("## What these data cannot show")[1].split())
        assert "The canvas became the main condition because SE seemed to help there" in said
        assert "what other images would give: study.json, which `make study` writes, has an interval" in said

    def test_colours(self, known):
        dataset = {**known["dataset"], "shape": [3, 64, 48]}
        assert "They have 64 x 48 pixels, in 3 channels." in " ".join(page({**known, "dataset": dataset}).split())


def test_lines_are_no_longer_than_those_of_other_pages(text):
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith(("|", "![")))
    assert "\n\n\n" not in text
    assert text.endswith("\n")
    assert "-0.00" not in text


def test_the_page_is_the_same_from_run_to_run(known, text):
    assert page(known) == text


def test_summary(known):
    """A table for a terminal."""
    lines = summary_text(known).splitlines()
    assert max(map(len, lines)) <= 120
    view = View(known)
    for question, name, start in [("attention", "SE", "SE to no attention"), ("trained", "7xW", "7xW, trained, to SE"),
                                  ("swapped", "causal, K=1", "causal, K=1, swapped, to SE")]:
        answer = view.one(question, name=name)
        line = next(line for line in lines if line.startswith(start))
        assert line.split("  ")[-1].strip() == answer.verdict
        assert f"{view.top1(answer.a):.2f}  {answer.short}" in line
    assert sum("quantisation-aware" in line for line in lines) == 4


def test_points():
    """The differences of seeds are beside the interval, if there are several."""
    answer = dataclasses.replace(View(of(AS_IN_PAPER)).one("attention"), difference=1.0, interval=(0.5, 1.5),
                                 by_seed=(0.25, 1.75))
    assert answer.points == "+1.00 (+0.50 to +1.50; seeds +0.25, +1.75)"
    assert answer.short == dataclasses.replace(answer, by_seed=(1.0,)).points == "+1.00 (+0.50 to +1.50)"
    assert dataclasses.replace(answer, interval=None).points == "+1.00 (seeds +0.25, +1.75)"


def test_signs():
    assert [signed(value) for value in (1.234, -0.5, 0.0, -0.004, 0.004)] == ["+1.23", "-0.50", "0.00", "0.00", "0.00"]


def test_names():
    names = [labels.name for labels in (tile(None), tile(3, order="columns"), tile(3, 3), running("causal", None))]
    assert names == ["all rows", "Hx3", "3x3", "causal, K=all"]


def test_printed_figures_of_tables_2_and_3_fit_each_other():
    """But for one network, whose loss the paper does not print as the difference."""
    tables = load_paper()
    wrong = [row["network"] for row in tables["swapped"]["rows"] for part in ("swapped", "fine_tuned")
             if abs(float(row["SE"]) - float(row[part]) - float(row[f"{part}_loss"])) > 0.081]
    assert wrong == ["RegNetY-400MF"]
    for row in tables["stages"]["rows"]:
        for accuracy, loss in zip(row["stages"], row["stage_losses"], strict=True):
            assert float(row["SE"]) - float(accuracy) == pytest.approx(float(loss), abs=1e-9)
