# SPDX-License-Identifier: Apache-2.0
"""The contents of study.json, found by what they are, and differences as texts."""

import collections
import dataclasses
from collections.abc import Mapping

import numpy as np

from .labels import Labels, find, grouped
from .statistics import HIGHER, LOWER, NONE_SEEN, NOT_KNOWN, Spread, spread

__all__ = ["SEEN", "Answer", "View", "signed"]

SEEN = {HIGHER: "higher", LOWER: "lower", NONE_SEEN: "no difference seen", NOT_KNOWN: "not known"}
REVERSED = {HIGHER: LOWER, LOWER: HIGHER}


def signed(points: float) -> str:
    """`points` with their sign, but for 0."""
    text = f"{points:+.2f}"
    return text[1:] if float(text) == 0 else text


@dataclasses.dataclass(frozen=True)
class Answer:
    """A comparison of study.json. `a` and `b` are what was compared.

    ``images`` is the interval over other test images, where ``interval`` is over retraining.
    """

    question: str
    a: Labels
    b: Labels
    difference: float
    interval: tuple[float, float] | None
    over: str
    seeds: tuple[int, int]
    by_seed: tuple[float, ...] | None
    verdict: str
    images: tuple[float, float] | None = None

    @property
    def points(self) -> str:
        """As `short`, and the differences of several seeds: they may differ by far more than test images do."""
        if self.by_seed is None or len(self.by_seed) == 1:
            return self.short
        start = f"{self.short} (" if self.interval is None else f"{self.short.removesuffix(')')}; "
        return f"{start}seeds {', '.join(map(signed, self.by_seed))})"

    @property
    def short(self) -> str:
        """The difference with its interval, if it has one."""
        text = signed(self.difference)
        return text if self.interval is None else f"{text} ({' to '.join(map(signed, self.interval))})"

    @property
    def said(self) -> str:
        """The verdict, and the difference in points."""
        return f"{SEEN[self.verdict]}: {self.points}"

    def reversed(self) -> "Answer":
        """How much b is above a."""
        return dataclasses.replace(
            self, a=self.b, b=self.a, difference=-self.difference, seeds=self.seeds[::-1],
            interval=self.interval and (-self.interval[1], -self.interval[0]),
            images=self.images and (-self.images[1], -self.images[0]),
            by_seed=self.by_seed and tuple(-value for value in self.by_seed),
            verdict=REVERSED.get(self.verdict, self.verdict))


class View:
    """Runs and comparisons of `study`, the contents of study.json.

    Attributes
    ----------
    study : dict
        The contents.
    groups : dict of Labels to dict of int to dict
        The runs by labels and seeds.
    answers : list of Answer
        The comparisons.
    spread : Spread or None
        How much trainings differ; None where no network was trained with enough seeds.
    main : dict
        Network and condition that most trainings have, by these names: the main ones.
    """

    def __init__(self, study: Mapping):
        self.study, self.groups = study, grouped(study["runs"])
        self.answers = [Answer(one["question"], Labels.of(one["a"]), Labels.of(one["b"]), one["difference"],
                               one["interval"] and tuple(one["interval"]), one["over"], tuple(one["seeds"]),
                               one["by_seed"] and tuple(one["by_seed"]), one["verdict"],
                               one["images"] and tuple(one["images"]))
                        for one in study["comparisons"]]
        self.spread: Spread | None = spread(study["runs"])
        places = collections.Counter(labels.place for labels in self.groups if labels.training == "scratch")
        network, condition = max(places, key=places.__getitem__, default=("", ""))
        self.main = {"network": network, "condition": condition}

    def find(self, **wanted) -> Labels | None:
        """The labels of the first group with these attributes, in the main network and condition by default."""
        return find(self.groups, **self.main | wanted)

    def all(self, question: str, **wanted) -> list[Answer]:
        """The answers to `question` whose `a` has these attributes, in the main network and condition by default."""
        found = [answer for answer in self.answers if answer.question == question]
        return [answer for answer in found if find([answer.a], **self.main | wanted)]

    def one(self, question: str, **wanted) -> Answer | None:
        """The first of them, None if there is none."""
        return next(iter(self.all(question, **wanted)), None)

    def top1(self, labels: Labels) -> float:
        """The mean over its seeds, in percent."""
        return float(np.mean([run["top1"] for run in self.groups[labels].values()]))

    def buffer(self, labels: Labels) -> int:
        """The elements that wait in all blocks of the network."""
        return next(iter(self.groups[labels].values()))["buffer_elements"]

    def whole_stages(self, name: str) -> list[str]:
        """The stages whose maps are no larger than a tile of the tiling `name`, so that it is SE there."""
        se = self.find(context="se", training="scratch")
        return sorted(labels.stage for labels in self.groups if se and labels.place == se.place and labels.stage
                      and labels.name == name and self.buffer(labels) == self.buffer(se))

    def places(self) -> list[Labels]:
        """Of each network and condition, the first labels that there are."""
        found = {}
        for labels in self.groups:
            found.setdefault(labels.place, labels)
        return list(found.values())
