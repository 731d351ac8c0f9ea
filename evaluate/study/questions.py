# SPDX-License-Identifier: Apache-2.0
"""Which runs of the study are compared with which: all that can be, so that none is chosen by its result."""

import dataclasses
from collections.abc import Iterable, Iterator

from .labels import Labels, find

__all__ = ["QUESTIONS", "Question", "questions"]

# In the order of the page: what is asked, and what an interval of the answer is over.
QUESTIONS = {
    "attention": "SE against no attention, both trained",
    "trained": "a tiling against SE, both trained",
    "location": "the middle rows alone against the upper rows alone, both trained",
    "swapped": "a tiling put into a network trained with SE, against that network",
    "gap": "a tiling trained against the same one swapped",
    "stage": "a tiling in one stage of a network trained with SE, against that network",
    "stages": "what a tiling in all stages changes, against the sum of what it changes in each alone",
    "fine-tuned": "a tiling swapped and fine-tuned against SE, trained as much longer",
    "recovered": "the change that is left after fine-tuning against the one before",
    "longer": "a tiling trained longer in float against before",
    "bits": "blocks in integers against the same network in float, trained as long",
    "aware": "quantisation-aware training against quantising after as much training in float",
}
RETRAINING = ("attention", "trained", "location", "gap")


@dataclasses.dataclass(frozen=True)
class Question:
    """How much the top-1 of `a` is above that of `b`.

    Attributes
    ----------
    name : str
        One of QUESTIONS.
    a, b : Labels
        What is compared.
    terms : dict of Labels to int
        The answer is the sum of top-1 with these weights: a less b, for "stages" a's change less the sum of the
        changes of single stages, for "recovered" a's change less b's.
    """

    name: str
    a: Labels
    b: Labels
    terms: dict

    @property
    def over(self) -> str:
        """What an interval of the answer is over: retraining, or images, where runs are paired seed by seed."""
        return "retraining" if self.name in RETRAINING else "images"


def questions(groups: Iterable[Labels]) -> list[Question]:
    """All that can be asked of runs with these labels, in the order of QUESTIONS, then of `groups`."""
    asked = [question for labels in groups for question in _questions(labels, groups)]
    return sorted(asked, key=lambda question: list(QUESTIONS).index(question.name))


def _questions(a: Labels, groups: Iterable[Labels]) -> Iterator[Question]:
    se = find(groups, a, context="se", training="scratch")
    if a.training == "scratch":
        yield from _trained(a, se, groups)
    elif a.training == "swapped" and se:
        yield from _against("swapped" if a.stage is None else "stage", a, se)
        yield from _together(a, se, groups)
    elif a.training == "fine-tuned" and a.method:
        yield from _against("longer", a, find(groups, a, tiling=a.tiling, training="scratch"))
    elif a.training == "fine-tuned" and a.context != "se":
        control = find(groups, a, context="se", training="fine-tuned")
        before = find(groups, a, tiling=a.tiling, training="swapped", stage=None)
        yield from _against("fine-tuned", a, control)
        if control and before and se:
            yield Question("recovered", a, before, {a: 1, control: -1, before: -1, se: 1})
    elif a.training == "quantised":
        float_one = {"training": "scratch"} if a.method == "after" else {"training": "fine-tuned", "method": "tuned"}
        yield from _against("bits", a, find(groups, a, tiling=a.tiling, **float_one))
        if a.method == "aware":
            yield from _against("aware", a, find(groups, a, tiling=a.tiling, training="quantised", bits=a.bits,
                                                 method="tuned"))


def _against(name: str, a: Labels, b: Labels | None) -> Iterator[Question]:
    if b is not None:
        yield Question(name, a, b, {a: 1, b: -1})


def _trained(a: Labels, se: Labels | None, groups: Iterable[Labels]) -> Iterator[Question]:
    """Those of a network that was trained from scratch."""
    if a.context == "none":
        return
    if a.context == "se":
        yield from _against("attention", a, find(groups, a, context="none", training="scratch"))
        return
    yield from _against("trained", a, se)
    yield from _against("gap", a, find(groups, a, tiling=a.tiling, training="swapped", stage=None))
    if a.name == "7xW-middle":
        yield from _against("location", a, find(groups, a, name="7xW-upper", training="scratch"))


def _together(a: Labels, se: Labels, groups: Iterable[Labels]) -> Iterator[Question]:
    """What a swap in all stages changes beside the stages alone."""
    alone = [labels for labels in groups if labels.place == a.place and labels.training == "swapped"
             and labels.stage is not None and labels.tiling == a.tiling]
    if a.stage is None and len(alone) > 1:
        yield Question("stages", a, se, {a: 1, se: len(alone) - 1} | dict.fromkeys(alone, -1))
