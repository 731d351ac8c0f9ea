# SPDX-License-Identifier: Apache-2.0
"""Rows of a study that nobody has trained: of all runs of the full plan, with accuracies as the test wants them."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from tiled_se.evaluate.study.conditions import CONDITIONS
from tiled_se.evaluate.study.labels import Labels
from tiled_se.evaluate.study.plan import BITS, Tuning, make_plan
from tiled_se.evaluate.study.statistics import comparisons

__all__ = ["Effects", "plan", "rows", "study"]

# Rows and channels of the maps of a block in each stage; each map is square.
CHANNELS, SIDES = (16, 32, 64, 96), {True: (32, 16, 8, 4), False: (28, 14, 7, 4)}
STAGES = {"regnet": 4, "residual": 3}
ON_CANVAS = ("canvas", "upside-down")
NONE = Labels("regnet", "canvas", "none", "none", None, None, "rows", None, 0, None, "scratch", None, None)
SE = NONE._replace(attention="se", context="se")


def tile(k, tile_w=None, order="rows"):
    """Labels of a trained network with tiles."""
    return SE._replace(attention="tse", context="tile", k=k, tile_w=tile_w, order=order)


def running(context, k):
    """Labels of a trained network with running means."""
    return SE._replace(attention="tse", context=context, k=k, prior_rows=1)


def labels_of(run, attention, training, stage=None, bits=None, method=None):
    """Labels of a row that comes of a `run` of the real plan."""
    return Labels.of({"network": run.network, "condition": run.condition, **attention.fields, "stage": stage,
                      "training": training, "bits": bits, "method": method})


def plan(quick: bool = False) -> Iterator[tuple[Labels, int]]:
    """Labels and seed of each row of a study, in the order of the command: what begins with other networks is last."""
    real = make_plan(quick)
    for run in real.runs:
        yield labels_of(run, run.attention, "scratch"), run.seed
        for attention in run.swapped:
            yield labels_of(run, attention, "swapped"), run.seed
        for attention in run.staged:
            for stage in range(STAGES[run.network]):
                yield labels_of(run, attention, "swapped", f"stage{stage + 1}"), run.seed
    for task in real.later:
        run = task.start
        if isinstance(task, Tuning):
            yield labels_of(run, task.attention, "fine-tuned"), run.seed
        elif task.aware:
            yield labels_of(run, run.attention, "quantised", bits=task.aware, method="aware"), run.seed
        else:
            for method in ("after", "tuned"):
                if method == "tuned":
                    yield labels_of(run, run.attention, "fine-tuned", method=method), run.seed
                for bits in BITS:
                    yield labels_of(run, run.attention, "quantised", bits=bits, method=method), run.seed


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
    sides = SIDES[labels.condition in ON_CANVAS][:STAGES[labels.network]]
    for number, (side, channels) in enumerate(zip(sides, CHANNELS, strict=False), 1):
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
    for labels, number in the_plan():
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
            "setup": {"epochs": 6, "tuning_epochs": 2, "quick": quick, "precision": "bfloat16", "tests": "float32",
                      "frames": {name: condition.size(28, 28) for name, condition in CONDITIONS.items()},
                      "parameters": {"regnet": 57_566, "residual": 80_582}, "seconds": 5931.0},
            "runs": [{name: value for name, value in row.items() if name != "correct"} for row in found],
            "comparisons": comparisons(found)}
