# SPDX-License-Identifier: Apache-2.0
"""Differences of top-1 accuracy between runs, with 95 % intervals over retraining or over test images."""

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..intervals import middle, paired_shares, resamples
from .labels import grouped
from .questions import Question, questions

__all__ = ["NOT_KNOWN", "Spread", "comparisons", "spread", "t_quantile"]

CONFIDENCE = 0.95
# The quantile with one degree of freedom is 12.7, all others are less.
MOST_DEVIATIONS = 13.0
HALVINGS = 60
# Of the integral of its density (Gauss and Legendre).
NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)
# Seeds that a group needs to say something of how much trainings differ.
ENOUGH_SEEDS = 3
# Digits of points: far fewer than float64 has, far more than one image of millions is worth.
DIGITS = 9
# Of the resamples of images.
SEED = 1
HIGHER, LOWER, NONE_SEEN, NOT_KNOWN = "higher", "lower", "none seen", "not known"


@functools.cache
def t_quantile(freedom: float) -> float:
    """How many standard errors on either side hold 95 % of Student's t with `freedom` degrees, 1 or more.

    With t = sqrt(freedom) * tan(angle) the density is cos(angle)^(freedom - 1) over its integral, which is known.
    """
    half = math.sqrt(math.pi) / 2 * math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2))
    low, high = 0.0, math.atan(MOST_DEVIATIONS / math.sqrt(freedom))
    for _ in range(HALVINGS):
        angle = (low + high) / 2
        held = angle / 2 * WEIGHTS @ np.cos(angle / 2 * (NODES + 1)) ** (freedom - 1) / half
        low, high = (angle, high) if held < CONFIDENCE else (low, angle)
    return math.sqrt(freedom) * math.tan(low)


@dataclasses.dataclass(frozen=True)
class Spread:
    """How much the top-1 of networks differs that were trained alike, with other seeds.

    Attributes
    ----------
    deviation : float
        The standard deviation of one training, in points, pooled over the groups.
    freedom : int
        Its degrees of freedom: seeds less one of each group, added up.
    groups : dict of Labels to float
        The standard deviation of each group with ENOUGH_SEEDS seeds or more.
    """

    deviation: float
    freedom: int
    groups: dict

    def least_seen(self, seeds: int, others: int) -> float:
        """The difference of the means of so many trainings each that is as large as half its interval."""
        return t_quantile(self.freedom) * self.deviation * math.sqrt(1 / seeds + 1 / others)


def spread(runs: Iterable[Mapping]) -> Spread | None:
    """The spread of the networks trained from scratch among the rows `runs`; None where no group has enough seeds."""
    groups = {labels: [run["top1"] for run in seeds.values()] for labels, seeds in grouped(runs).items()
              if labels.training == "scratch" and len(seeds) >= ENOUGH_SEEDS}
    freedom = sum(len(values) - 1 for values in groups.values())
    if not freedom:
        return None
    squares = sum((len(values) - 1) * np.var(values, ddof=1) for values in groups.values())
    return Spread(math.sqrt(squares / freedom), freedom,
                  {labels: float(np.std(values, ddof=1)) for labels, values in groups.items()})


def comparisons(rows: Sequence[Mapping]) -> list[dict]:
    """The answers to all :func:`.questions.questions` that can be asked of `rows`, in their order.

    Rows are those of study.json with "correct" besides: a bool array of the test images, in the same order within a
    condition, or None. Each answer is a dict of

    - "question", "network", "condition"; "a" and "b", the labels of the runs that are compared;
    - "difference": top-1 of a less that of b, in points. For some questions it is a difference of differences, see
      :class:`.questions.Question`;
    - "interval": [low, high], the 95 % interval of it, or None where the rows can't give one;
    - "over": "retraining" or "images", what the interval is over; "seeds": how many a and b have that were used;
    - "images": for those over retraining the 95 % interval over other test images with the same networks, else None;
    - "by_seed": the difference of each seed, for those over images, else None;
    - "verdict": "higher" or "lower" where the interval does not hold 0, "none seen" where it does, or "not known".
    """
    groups, found = grouped(rows), spread(rows)
    asked = [question for question in questions(groups) if question.over == "retraining" or _seeds(question, groups)]
    answers = [_over_retraining(question, groups, found) if question.over == "retraining" else
               _over_images(question, groups) for question in asked]
    _resampled([answer for answer in answers if "vector" in answer])
    return [_finished(question, answer) for question, answer in zip(asked, answers, strict=True)]


def _finished(question: Question, answer: dict) -> dict:
    """`answer` in the order of its fields, with its verdict."""
    interval = answer["interval"] and [_exact(end) for end in answer["interval"]]
    verdict = (NOT_KNOWN if interval is None else HIGHER if interval[0] > 0 else LOWER if interval[1] < 0 else
               NONE_SEEN)
    return {"question": question.name, "network": question.a.network, "condition": question.a.condition,
            "a": question.a._asdict(), "b": question.b._asdict(), "difference": _exact(answer["difference"]),
            "interval": interval, "over": question.over, "images": answer["images"] and [
                _exact(end) for end in answer["images"]], "seeds": answer["seeds"],
            "by_seed": answer["by_seed"] and list(map(_exact, answer["by_seed"])), "verdict": verdict}


def _exact(points: float) -> float:
    """`points` without the errors of sums, so that what is 0 is 0."""
    return round(float(points), DIGITS) + 0.0


def _over_retraining(question: Question, groups: Mapping, found: Spread | None) -> dict:
    """a less b, networks of which each was trained by itself."""
    values = [[run["top1"] for run in groups[labels].values()] for labels in (question.a, question.b)]
    difference, counts = float(np.mean(values[0]) - np.mean(values[1])), [len(one) for one in values]
    # Independent estimates of the variance of the difference, each with its degrees of freedom.
    parts, pooled = [], 0.0
    for labels, one in zip((question.a, question.b), values, strict=True):
        if labels.training == "scratch":
            pooled += 1 / len(one)
        elif len(one) >= ENOUGH_SEEDS:
            # What is not trained as it is used may differ more from seed to seed.
            parts.append((np.var(one, ddof=1) / len(one), len(one) - 1))
        else:
            found = None
    interval = None
    if found is not None:
        interval = _t_interval(difference, [(found.deviation**2 * pooled, found.freedom), *parts])
    answer = {"difference": difference, "interval": interval, "images": None, "seeds": counts, "by_seed": None}
    known = [[_correct(run) for run in groups[labels].values()] for labels in (question.a, question.b)]
    if any(one is None for found in known for one in found):
        return answer
    return answer | {"vector": np.mean(known[0], axis=0) - np.mean(known[1], axis=0), "for": "images"}


def _t_interval(difference: float, parts: Sequence[tuple[float, int]]) -> list[float]:
    """By Satterthwaite's degrees of freedom, which are the exact ones where there is one part."""
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return [difference, difference]
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    half = t_quantile(freedom) * math.sqrt(variance)
    return [float(difference - half), float(difference + half)]


def _seeds(question: Question, groups: Mapping) -> list[int]:
    """The seeds that all of the question's runs have."""
    return sorted(set.intersection(*(set(groups[labels]) for labels in question.terms)))


def _over_images(question: Question, groups: Mapping) -> dict:
    """The sum of the terms, paired within each seed that all of them have."""
    seeds = _seeds(question, groups)
    by_seed = [float(sum(weight * groups[labels][seed]["top1"] for labels, weight in question.terms.items()))
               for seed in seeds]
    answer = {"difference": float(np.mean(by_seed)), "interval": None, "images": None, "seeds": [len(seeds)] * 2,
              "by_seed": by_seed}
    known = {labels: [_correct(groups[labels][seed]) for seed in seeds] for labels in question.terms}
    if any(one is None for found in known.values() for one in found):
        return answer
    if len(seeds) == 1 and sorted(question.terms.values()) == [-1, 1]:
        (one,), (other,) = known[question.a], known[question.b]
        answer["interval"] = [100 * end for end in paired_shares(int((one & ~other).sum()), int((other & ~one).sum()),
                                                                 len(one))]
        return answer
    return answer | {"vector": sum(weight * np.mean(known[labels], axis=0)
                                   for labels, weight in question.terms.items()), "for": "interval"}


def _correct(run: Mapping) -> np.ndarray | None:
    """Which test images `run` has right, a bool array; None where it is not known."""
    correct = run.get("correct")
    return None if correct is None else np.asarray(correct, bool)


def _resampled(answers: Sequence[dict]) -> None:
    """Give `answers` intervals of the mean of their "vector", one number for each image, in the field "for"."""
    by_images = {}
    for answer in answers:
        vector = answer.pop("vector")
        by_images.setdefault(len(vector), []).append((answer, vector))
    for images, pairs in by_images.items():
        table = np.stack([vector for _, vector in pairs], axis=1) * (100 / images)
        means = np.concatenate([drawn @ table for drawn in resamples(images, SEED)])
        for (answer, _), column in zip(pairs, means.T, strict=True):
            answer[answer.pop("for")] = list(middle(column))
