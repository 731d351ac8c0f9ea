# SPDX-License-Identifier: Apache-2.0
"""Rows of a study that nobody has trained: of all runs of the full plan, with accuracies as the test wants them."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from tiled_se.evaluate.study.labels import Labels
from tiled_se.evaluate.study.statistics import comparisons

__all__ = ["Effects", "plan", "rows", "study"]

SEEDS = (1, 2, 3)
# Rows and channels of the maps of a block in each stage; each map is square.
MAPS = {"regnet": ((28, 16), (14, 32), (7, 64), (4, 96)), "residual": ((28, 16), (14, 32), (7, 64))}
CONDITIONS = ("exposure", "plain", "upside-down", "shifted", "canvas")
NONE = Labels("regnet", "exposure", "none", "none", None, None, "rows", None, 0, None, "scratch", None, None)
SE = NONE._replace(attention="se", context="se")


def tile(k, tile_w=None, order="rows"):
    """Labels of a trained network with tiles."""
    return SE._replace(attention="tse", context="tile", k=k, tile_w=tile_w, order=order)


def running(context, k):
    """Labels of a trained network with running means."""
    return SE._replace(attention="tse", context=context, k=k, prior_rows=1)


def window(window):
    """Labels of a trained network with one window."""
    return SE._replace(attention="tse", context="window", window=window)


REPEATED = (tile(7), running("cumulative", 1), running("causal", 1))
TILINGS = (*(tile(k) for k in (1, 3, 5, 7, 9)), *(tile(k, order="columns") for k in (1, 3, 5, 7, 9)),
           *(tile(k, k) for k in (1, 3, 5, 7, 9, 11, 13)), window("0:7"), window("middle"),
           *(running(context, k) for context in ("cumulative", "causal") for k in (1, 3, 7)))
WHOLE = (tile(None), running("cumulative", None), running("causal", None))
FINE_TUNED = (SE, tile(7), tile(3), tile(1), running("cumulative", 1), running("causal", 1))
STAGED = (tile(7), tile(1), running("cumulative", 1))


def plan() -> Iterator[tuple[Labels, tuple[int, ...]]]:
    """Labels and seeds of all runs of the full study; what a network is made of comes before it."""
    for labels in (NONE, SE, *REPEATED):
        yield labels, SEEDS
    for labels in TILINGS:
        if labels not in REPEATED:
            yield labels, SEEDS[:1]
    others = [{"network": "residual"}, *({"condition": condition} for condition in CONDITIONS[1:])]
    for changes in others:
        for labels in (NONE, SE, *(() if changes == {"condition": "plain"} else REPEATED)):
            yield labels._replace(**changes), SEEDS[:1]
    for changes in ({}, *others):
        seeds, place = SEEDS if not changes else SEEDS[:1], SE._replace(**changes)
        for labels in (*TILINGS, *WHOLE):
            yield labels._replace(**changes, training="swapped"), seeds
        for labels in STAGED:
            for stage in range(len(MAPS[place.network])):
                yield labels._replace(**changes, training="swapped", stage=f"stage{stage + 1}"), seeds
    for labels in FINE_TUNED:
        yield labels._replace(training="fine-tuned"), SEEDS
    for labels in REPEATED[:2]:
        for bits in (8, 4):
            for method in ("after", "tuned", "aware"):
                yield labels._replace(training="quantised", bits=bits, method=method), SEEDS


@dataclasses.dataclass(frozen=True)
class Effects:
    """What is true in a study: points to SE of the same place, which has 90.

    `attention` is SE less no attention; `trained`, `swapped`, `fine_tuned` and `quantised` are functions of labels.
    `deviation` is that of one training.
    """

    attention: float = 1.0
    trained: Callable = lambda labels: 0.0
    swapped: Callable = lambda labels: 0.0
    fine_tuned: Callable = lambda labels: 0.0
    quantised: Callable = lambda labels: 0.0
    deviation: float = 0.15

    def of(self, labels: Labels) -> float:
        if labels.training == "scratch":
            return {"none": -self.attention, "se": 0.0}.get(labels.context, 0.0) or (
                0.0 if labels.context in ("none", "se") else self.trained(labels))
        return {"swapped": self.swapped, "fine-tuned": self.fine_tuned,
                "quantised": self.quantised}[labels.training](labels)


def buffer_elements(labels: Labels) -> int:
    """The elements that wait, by docs/contexts.md, for maps of MAPS."""
    total = 0
    for number, (side, channels) in enumerate(MAPS[labels.network], 1):
        k = side if labels.k is None else min(labels.k, side)
        whole = labels.stage not in (None, f"stage{number}") or labels.context == "se"
        if whole:
            waiting = side * side
        elif labels.context in ("none", "causal"):
            waiting = 0
        elif labels.context == "window":
            waiting = side * side if side <= 7 else (7 if labels.window == "0:7" else (side - 7) // 2 + 7) * side
        else:
            waiting = k * side if labels.tile_w is None else (k - 1) * side + min(labels.tile_w, side)
        total += waiting * channels
    return total


def rows(effects: Effects = Effects(), images: int = 400, seed: int = 0, kept: Callable = lambda labels, seed: True,
         the_plan=plan) -> list[dict]:
    """Rows with "correct" of the runs of `the_plan` that are `kept`."""
    rng, scores, found = np.random.default_rng(seed), {}, []
    difficulty = {condition: rng.normal(size=images) for condition in CONDITIONS}
    for labels, seeds in the_plan():
        for number in seeds:
            if not kept(labels, number):
                continue
            base = (*labels.place, number)
            if labels.training == "scratch":
                own = difficulty[labels.condition] + rng.normal(size=images) / 3
                shift = rng.normal() * effects.deviation
                if labels.context == "se":
                    scores[base] = own, shift
            else:
                own, shift = scores.get(base, (difficulty[labels.condition], 0.0))
                own = own + rng.normal(size=images) / 20
            target = round(images * (90 + effects.of(labels) + shift) / 100)
            correct = np.zeros(images, bool)
            correct[np.argsort(own)[:target]] = True
            found.append({**labels._asdict(), "seed": number, "top1": 100 * float(correct.mean()),
                          "buffer_elements": buffer_elements(labels), "seconds": 100.0, "correct": correct})
    return found


def study(found: list[dict], quick: bool = False) -> dict:
    """The contents of study.json for `found`, as the command makes them."""
    return {"dataset": {"name": "Fashion-MNIST", "classes": 10, "train_images": 20_000,
                        "test_images": len(found[0]["correct"]) if found else 0, "shape": [1, 28, 28]},
            "setup": {"epochs": 12, "images": 20_000, "quick": quick, "precision": "bfloat16", "jobs": 2,
                      "parameters": {"regnet": 57_566, "residual": 80_582}, "seconds": 5931.0},
            "runs": [{name: value for name, value in row.items() if name != "correct"} for row in found],
            "comparisons": comparisons(found)}
