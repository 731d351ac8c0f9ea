# SPDX-License-Identifier: Apache-2.0
"""The study's intervals: against tables, by hand, and how often they hold what is true."""

import math

import numpy as np
import pytest
import scipy.stats

from tests.helpers.study_rows import NONE, SE, Effects, rows, running, tile
from tiled_se.evaluate.intervals import paired_shares
from tiled_se.evaluate.study.labels import Labels
from tiled_se.evaluate.study.statistics import comparisons, spread, t_quantile


def trained(labels, *top1, correct=None):
    """Rows of seeds 1, 2, ... of a network."""
    correct = correct or [None] * len(top1)
    return [{**labels._asdict(), "seed": seed, "top1": value, "buffer_elements": 1, "seconds": 1.0, "correct": found}
            for seed, (value, found) in enumerate(zip(top1, correct, strict=True), 1)]


def found_by(labels, *correct):
    """The same of the images that the networks find, bool arrays."""
    return trained(labels, *(100 * float(found.mean()) for found in correct), correct=list(correct))


def asked(found, question, **wanted):
    """The only answer to `question` whose a is as `wanted`."""
    answer, = (one for one in found if one["question"] == question
               and all(one["a"][name] == value for name, value in wanted.items()))
    return answer


@pytest.mark.parametrize(("freedom", "expected"), [
    (1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (120, 1.980), (10**6, 1.960)])
def test_t_quantiles_are_those_of_the_tables(freedom, expected):
    assert t_quantile(freedom) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize("freedom", [1, 1.1, 1.5, 2, 2.7, 9.9, 55.5, 5000])
def test_t_quantiles_of_any_freedom(freedom):
    assert t_quantile(freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom), rel=1e-7)


class TestOverRetraining:
    # Variances 0.04 and 0.16: by hand 0.10 pooled, with 4 degrees of freedom.
    TWO = (*trained(SE, 90.0, 90.2, 90.4), *trained(NONE, 89.0, 89.4, 89.8))

    def test_pooled_deviation(self):
        found = spread(self.TWO)
        assert (found.freedom, list(found.groups)) == (4, [SE, NONE])
        assert found.deviation == pytest.approx(math.sqrt(0.10))
        assert list(found.groups.values()) == pytest.approx([0.2, 0.4])
        assert found.least_seen(3, 3) == pytest.approx(2.7764 * math.sqrt(0.10) * math.sqrt(2 / 3), abs=1e-4)

    def test_two_means_as_in_a_textbook(self):
        answer, = comparisons(self.TWO)
        assert (answer["question"], answer["over"], answer["seeds"]) == ("attention", "retraining", [3, 3])
        assert Labels.of(answer["a"]) == SE
        assert Labels.of(answer["b"]) == NONE
        assert answer["difference"] == pytest.approx(0.8)
        assert answer["interval"] == pytest.approx([0.8 - 0.71687, 0.8 + 0.71687], abs=1e-5)
        assert answer["interval"] == pytest.approx(list(
            scipy.stats.ttest_ind([90.0, 90.2, 90.4], [89.0, 89.4, 89.8]).confidence_interval()))
        assert (answer["verdict"], answer["by_seed"]) == ("higher", None)

    def test_one_seed_has_the_deviation_of_the_others(self):
        """Two seeds or one make no group, wherever they are."""
        found = comparisons([*self.TWO, *trained(tile(7), 89.9), *trained(tile(3), 89.0, 91.0)])
        answer = asked(found, "trained", k=7)
        half = t_quantile(4) * math.sqrt(0.10) * math.sqrt(1 / 3 + 1)
        assert answer["seeds"] == [1, 3]
        assert answer["interval"] == pytest.approx([-0.3 - half, -0.3 + half])
        assert answer["verdict"] == "none seen"

    def test_without_enough_seeds_nothing_is_known(self):
        answer, = comparisons([*trained(SE, 90.0, 90.1), *trained(NONE, 80.0, 80.1)])
        assert (answer["difference"], answer["interval"], answer["verdict"]) == (10, None, "not known")
        assert spread(trained(SE, 90.0, 90.1)) is None

    def test_a_swapped_network_has_a_deviation_of_its_own(self):
        causal = running("causal", 1)
        swapped = causal._replace(training="swapped")
        found = comparisons([*self.TWO, *trained(causal, 90.2, 90.0, 89.8), *trained(swapped, 86.0, 88.0, 90.0)])
        answer = asked(found, "gap")
        # Pooled over three groups: (0.04 + 0.16 + 0.04) / 3, with 6 degrees; the swapped have 4, with 2.
        one, other = 0.08 / 3, 4 / 3
        freedom = (one + other) ** 2 / (one**2 / 6 + other**2 / 2)
        half = scipy.stats.t.ppf(0.975, freedom) * math.sqrt(one + other)
        assert answer["interval"] == pytest.approx([2 - half, 2 + half])
        few = comparisons([*self.TWO, *trained(causal, 90.2), *trained(swapped, 86.0, 88.0)])
        assert asked(few, "gap")["verdict"] == "not known"

    def test_other_images_with_the_same_networks(self):
        """Trainings have an interval over images, too, by the means of their seeds; no verdict rests on it."""
        rng = np.random.default_rng(4)
        first, second = rng.random((3, 500)) < 0.9, rng.random((3, 500)) < 0.88
        answer, = comparisons([*found_by(SE, *first), *found_by(NONE, *second)])
        change = 100 * (first.mean(0) - second.mean(0))
        half = 1.96 * change.std() / math.sqrt(500)
        assert answer["over"] == "retraining"
        assert answer["images"] == pytest.approx([change.mean() - half, change.mean() + half], abs=0.06 * half)
        assert answer["images"] != answer["interval"]
        without = comparisons([*found_by(SE, *first), *trained(NONE, 88.0, 88.2, 88.1)])[0]
        assert without["images"] is None
        assert without["interval"] is not None

    def test_intervals_hold_the_true_difference_in_95_of_100_studies(self):
        rng, causal = np.random.default_rng(7), running("causal", 1)
        swapped, held = causal._replace(training="swapped"), {"attention": [], "trained": [], "gap": []}
        true = {NONE: 89.0, SE: 90.0, tile(7): 89.9, causal: 89.7, swapped: 87.0}
        for _ in range(2000):
            found = comparisons([row for labels, mean in true.items() for row in trained(
                labels, *rng.normal(mean, 0.6 if labels == swapped else 0.2, 1 if labels == tile(7) else 3))])
            for answer in found:
                if answer["over"] == "retraining":
                    low, high = answer["interval"]
                    difference = true[Labels.of(answer["a"])] - true[Labels.of(answer["b"])]
                    held[answer["question"]].append(low <= difference <= high)
        # Two tilings are trained.
        assert [len(one) for one in held.values()] == [2000, 4000, 2000]
        assert [np.mean(one) for one in held.values()] == pytest.approx([0.95] * 3, abs=0.02)


class TestOverImages:
    SWAPPED = tile(7)._replace(training="swapped")

    def images(self, seeds, images=500, lost=0.05):
        """What networks with SE find, and what they find when swapped."""
        rng = np.random.default_rng(3)
        whole = [rng.random(images) < 0.9 for _ in range(seeds)]
        return whole, [one ^ (rng.random(images) < lost) for one in whole]

    def test_one_seed(self):
        (whole,), (changed,) = self.images(1)
        answer, = comparisons([*found_by(SE, whole), *found_by(self.SWAPPED, changed)])
        low, high = paired_shares(int((changed & ~whole).sum()), int((whole & ~changed).sum()), 500)
        assert answer["interval"] == pytest.approx([100 * low, 100 * high])
        assert (answer["question"], answer["over"], answer["verdict"]) == ("swapped", "images", "lower")
        assert answer["by_seed"] == [answer["difference"]]
        assert answer["images"] is None

    def test_several_seeds_are_resampled_together(self):
        """About as wide as the central limit has it for the mean over the seeds."""
        whole, changed = self.images(3)
        answer, = comparisons([*found_by(SE, *whole), *found_by(self.SWAPPED, *changed)])
        lost = np.mean(changed, axis=0) - np.mean(whole, axis=0)
        half = 1.96 * 100 * lost.std() / math.sqrt(500)
        centre = 100 * lost.mean()
        assert answer["difference"] == pytest.approx(centre)
        assert answer["interval"] == pytest.approx([centre - half, centre + half], abs=0.06 * half)
        assert answer["by_seed"] == pytest.approx([100 * (one.mean() - other.mean())
                                                   for one, other in zip(changed, whole, strict=True)])
        # Seeds have the same images: were they taken for others, it would be narrower or wider.
        same = comparisons([*found_by(SE, *whole[:1] * 3), *found_by(self.SWAPPED, *changed[:1] * 3)])
        alone = comparisons([*found_by(SE, *whole[:1]), *found_by(self.SWAPPED, *changed[:1])])
        widths = [one[0]["interval"][1] - one[0]["interval"][0] for one in (same, alone)]
        assert widths[0] == pytest.approx(widths[1], rel=0.03)

    def test_seeds_are_paired(self):
        """Seeds that one of the two lacks do not count."""
        whole, changed = self.images(3)
        answer, = comparisons([*found_by(SE, *whole), *found_by(self.SWAPPED, *changed)[1:]])
        assert answer["seeds"] == [2, 2]
        assert answer["difference"] == pytest.approx(np.mean(answer["by_seed"]))
        assert answer["by_seed"] == pytest.approx([100 * (changed[n].mean() - whole[n].mean()) for n in (1, 2)])
        assert comparisons([found_by(SE, *whole)[0], found_by(self.SWAPPED, *changed)[1]]) == []

    def test_an_end_that_is_0_is_no_difference(self):
        """Whatever sums of thirds do in float64: there the lower end is 4e-16."""
        whole, changed = np.zeros((3, 20), bool), np.zeros((3, 20), bool)
        changed[0, :8], changed[:, 8], whole[0, 9:12] = True, True, True
        answer, = comparisons([*found_by(SE, *whole), *found_by(self.SWAPPED, *changed)])
        assert (answer["interval"][0], answer["verdict"]) == (0, "none seen")
        assert answer["interval"][1] > 20

    def test_the_same_images_are_no_difference(self):
        whole, _ = self.images(3)
        answer, = comparisons([*found_by(SE, *whole), *found_by(self.SWAPPED, *whole)])
        assert (answer["difference"], answer["interval"], answer["verdict"]) == (0, [0, 0], "none seen")

    def test_without_the_images_there_is_no_interval(self):
        answer, = comparisons([*trained(SE, 90.0), *trained(self.SWAPPED, 89.0)])
        assert (answer["difference"], answer["interval"], answer["verdict"]) == (-1, None, "not known")

    def test_conditions_have_images_of_their_own(self):
        """Even if they are not as many."""
        found = []
        for condition, images in (("canvas", 500), ("exposure", 300)):
            whole, changed = self.images(3, images, lost=0.2)
            found += [*found_by(SE._replace(condition=condition), *whole),
                      *found_by(self.SWAPPED._replace(condition=condition), *changed)]
        wide, wider = comparisons(found)
        assert [wide["condition"], wider["condition"]] == ["canvas", "exposure"]
        assert 1.1 < (wider["interval"][1] - wider["interval"][0]) / (wide["interval"][1] - wide["interval"][0]) < 1.6

    def test_intervals_hold_the_true_difference_in_95_of_100_studies(self, monkeypatch):
        """Of the networks that there are, with other images; fewer resamples are enough for that."""
        monkeypatch.setattr("tiled_se.evaluate.intervals.RESAMPLES", 300)
        rng, held = np.random.default_rng(5), []
        for _ in range(250):
            whole = rng.random((3, 300)) < 0.8
            changed = np.where(rng.random((3, 300)) < 0.1, rng.random((3, 300)) < 0.5, whole)
            answer, = comparisons([*found_by(SE, *whole), *found_by(self.SWAPPED, *changed)])
            held.append(answer["interval"][0] <= -3 <= answer["interval"][1])
        assert 0.91 <= np.mean(held) <= 0.98


class TestQuestions:
    @pytest.fixture(scope="class")
    @staticmethod
    def found():
        return comparisons(rows(images=50))

    def test_all_that_there_are_of_the_full_plan(self, found):
        """By question: conditions and networks are six, and tilings 25."""
        counts = {}
        for answer in found:
            counts[answer["question"]] = counts.get(answer["question"], 0) + 1
        assert counts == {
            "attention": 6, "trained": 25 + 4 * 3, "location": 1, "swapped": 6 * 28, "gap": 25 + 4 * 3,
            "stage": 3 * 4, "stages": 3, "fine-tuned": 5, "recovered": 5, "longer": 2, "bits": 12, "aware": 4}
        assert list(counts) == ["attention", "trained", "location", "swapped", "gap", "stage", "stages", "fine-tuned",
                                "recovered", "longer", "bits", "aware"]

    def test_what_is_compared_with_what(self, found):
        pairs = {(answer["question"], Labels.of(answer["a"])): Labels.of(answer["b"]) for answer in found}
        seven, residual = tile(7), {"network": "residual"}
        for question, a, b in [
                ("attention", SE._replace(**residual), NONE._replace(**residual)),
                ("trained", seven._replace(condition="exposure"), SE._replace(condition="exposure")),
                ("swapped", tile(7, 7)._replace(training="swapped"), SE),
                ("gap", running("causal", 3), running("causal", 3)._replace(training="swapped")),
                ("stage", seven._replace(training="swapped", stage="stage2"), SE),
                ("fine-tuned", tile(3)._replace(training="fine-tuned"), SE._replace(training="fine-tuned")),
                ("recovered", tile(3)._replace(training="fine-tuned"), tile(3)._replace(training="swapped")),
                ("longer", seven._replace(training="fine-tuned", method="tuned"), seven),
                ("bits", seven._replace(training="quantised", bits=4, method="after"), seven),
                *(("bits", seven._replace(training="quantised", bits=4, method=method),
                   seven._replace(training="fine-tuned", method="tuned")) for method in ("tuned", "aware")),
                ("aware", seven._replace(training="quantised", bits=4, method="aware"),
                 seven._replace(training="quantised", bits=4, method="tuned"))]:
            assert pairs.pop((question, a)) == b
        assert all((a.network, a.condition) == (b.network, b.condition) for (_, a), b in pairs.items())

    def test_differences_of_differences(self):
        """Stages lose 0.5, 1, 0 and 2 points, all together 4; fine-tuning leaves 1 and brings SE 0.25."""
        lost = {"stage1": -0.5, "stage2": -1.0, "stage3": 0.0, "stage4": -2.0, None: -4.0}
        found = comparisons(rows(Effects(swapped=lambda labels: lost[labels.stage], deviation=0,
                                         fine_tuned=lambda labels: 0.25 if labels.context == "se" else -1), images=400))
        assert asked(found, "stages", k=7, condition="canvas", network="regnet")["difference"] == pytest.approx(-0.5)
        assert asked(found, "fine-tuned", k=7)["difference"] == pytest.approx(-1.25)
        assert asked(found, "recovered", k=7)["difference"] == pytest.approx(2.75)

    @pytest.mark.parametrize(("change", "verdict"), [(-4.0, "lower"), (0.0, "none seen"), (4.0, "higher")])
    def test_effects_are_seen_where_they_are(self, change, verdict):
        """In every question, from the same rows but for the change."""
        effects = Effects(attention=change, trained=lambda labels: change, swapped=lambda labels: change,
                          fine_tuned=lambda labels: 0.0 if labels.context == "se" else change,
                          quantised=lambda labels: change * {"after": 1, "tuned": 1, "aware": 2}[labels.method],
                          deviation=0.1)
        found = comparisons(rows(effects, images=1000, seed=11))
        where = {"k": 7, "context": "tile", "tile_w": None, "order": "rows", "network": "regnet",
                 "condition": "canvas"}
        verdicts = {question: asked(found, question, **where)["verdict"] for question in (
            "trained", "swapped", "fine-tuned")}
        verdicts["attention"] = asked(found, "attention", network="regnet", condition="canvas")["verdict"]
        verdicts["stage"] = asked(found, "stage", **where, stage="stage1")["verdict"]
        verdicts["aware"] = asked(found, "aware", **where, bits=4)["verdict"]
        assert verdicts == dict.fromkeys(verdicts, verdict)
