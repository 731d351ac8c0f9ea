# SPDX-License-Identifier: Apache-2.0
"""Metrics: numbers for each image, the figure that they make together, and intervals of a figure's difference."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from ...gen.files import read_bytes
from ...hdl.config import ConfigError
from ..intervals import RESAMPLES, middle, paired_shares, resamples
from .data import Data, Sample

__all__ = ["ALLOWED", "Metric", "OwnMetric", "TopClasses", "load_metrics"]

TOP = {"top1": 1, "top5": 5}
ALLOWED = f"must be {', '.join(TOP)}, or a .py file with a function metric(outputs, name, label)"


class Metric(Protocol):
    """A metric. ``classified``: it compares classes; ``percent``: its figures are shares of the images."""

    name: str
    method: str
    classified: bool
    percent: bool

    def score(self, outputs: Mapping[str, np.ndarray], sample: Sample) -> list[float]:
        """The numbers of one image, of which a network made these outputs by name."""

    def figure(self, scores: np.ndarray) -> float:
        """The figure of all images, whose numbers are float64 (images, numbers)."""

    def intervals(self, scores: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], seed: int) -> list:
        """``(low, high)``: 95 % intervals of the differences of the figures of `pairs` of networks, by index."""


class TopClasses:
    """The share of images whose class is among the so many that the network's first output puts first.

    Of equal outputs the class with the lower number comes first.
    """

    classified, percent = True, True
    method = "adjusted Wald intervals of Bonett and Price for paired shares"

    def __init__(self, name: str):
        self.name, self._count = name, TOP[name]

    def check(self, data: Data, output: str, shape: Sequence[int]) -> None:
        """Raise ConfigError where `data` can't be scored by this output of a network, which has this shape."""
        classes = max(shape, default=1)
        if math.prod(shape) != classes:
            raise ConfigError("metric", self.name, f"the network's first output, {output}, must have one number for "
                              f"each class, and is {' x '.join(map(str, shape))}")
        if classes <= self._count:
            raise ConfigError("metric", self.name, f"the network must have more than {self._count} outputs, and has "
                                                   f"{classes}")
        data.check_classes(classes)

    def score(self, outputs: Mapping[str, np.ndarray], sample: Sample) -> list[float]:
        """See :class:`Metric`. Raises ConfigError ("data") for outputs that are not numbers."""
        name, logits = next(iter(outputs.items()))
        logits, number = np.ravel(logits), sample.number
        if np.isnan(logits).any():
            raise ConfigError("data", sample.name, f"leads to an output that is not a number: {name}")
        before = np.count_nonzero(logits > logits[number]) + np.count_nonzero(logits[:number] == logits[number])
        return [float(before < self._count)]

    def figure(self, scores: np.ndarray) -> float:
        """See :class:`Metric`."""
        return float(scores.mean())

    def intervals(self, scores: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], seed: int) -> list:
        """See :class:`Metric`."""
        return [paired_shares(int((scores[one] > scores[other]).sum()), int((scores[one] < scores[other]).sum()),
                              len(scores[one])) for one, other in pairs]


class OwnMetric:
    """A metric of a Python file of the user's, which is executed.

    ``metric(outputs, name, label)`` gets the network's outputs of one image, arrays by name with a first axis of 1, the
    image's name and its label as text or None, and returns a number, or always as many in a sequence. The figure of all
    images is their mean, or what ``total(scores)`` returns, if the file has that: a number for float64 (images,
    numbers). Raises ConfigError ("metric") for a file that can't be run or lacks the function.
    """

    classified, percent = False, False
    method = (f"the middle 95 % of {RESAMPLES:,} resamples of the images, the same ones for both networks (paired "
              "bootstrap)")

    def __init__(self, path: str):
        self.path, self.name = path, os.path.splitext(os.path.basename(path))[0]
        code, names = read_bytes("metric", path, "a .py file"), {"__name__": "metric", "__file__": path}
        # Not imported: that would write a folder with bytecode beside the file.
        self._call("can't be run", lambda: exec(compile(code, path, "exec"), names))
        self._metric, self._total = names.get("metric"), names.get("total")
        if not callable(self._metric):
            raise ConfigError("metric", path, "has no function metric(outputs, name, label)")

    def score(self, outputs: Mapping[str, np.ndarray], sample: Sample) -> list[float]:
        """See :class:`Metric`. Raises ConfigError ("metric") if the file's function fails or gives no numbers."""
        result = self._call(f"metric() of {sample.name} failed", self._metric, dict(outputs), sample.name, sample.label)
        return self._numbers(f"metric() of {sample.name}", result).tolist()

    def figure(self, scores: np.ndarray) -> float:
        """See :class:`Metric`. Raises ConfigError ("metric") as :meth:`score`."""
        if self._total is None:
            if scores.shape[1] > 1:
                raise ConfigError("metric", self.path, "must have a function total(scores), as metric() returns "
                                                       f"{scores.shape[1]} numbers for an image")
            return float(scores.mean())
        numbers = self._numbers("total()", self._call("total() failed", self._total, scores))
        if len(numbers) != 1:
            raise ConfigError("metric", self.path, f"total() returned {len(numbers)} numbers; must return one")
        return float(numbers[0])

    def intervals(self, scores: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], seed: int) -> list:
        """See :class:`Metric`."""
        images, parts = len(scores[0]), []
        for drawn in resamples(images, seed):
            if self._total is None:
                parts.append(drawn @ np.hstack(scores) / images)
            else:
                parts.append([[self.figure(np.repeat(one, counts, axis=0)) for one in scores] for counts in drawn])
        figures = np.concatenate(parts)
        return [middle(figures[:, one] - figures[:, other]) for one, other in pairs]

    def _call(self, what: str, function: Callable, *arguments):
        """What the user's `function` returns; whatever it raises becomes a ConfigError that says `what`."""
        try:
            return function(*arguments)
        except (Exception, SystemExit) as error:
            text = (str(error).strip() or "without a message").splitlines()[0][:200]
            raise ConfigError("metric", self.path, f"{what}: {type(error).__name__}: {text}") from None

    def _numbers(self, what: str, result) -> np.ndarray:
        try:
            numbers = np.asarray(result, np.float64).reshape(-1)
        except (TypeError, ValueError):
            numbers = np.empty(0)
        if not numbers.size or not np.isfinite(numbers).all():
            raise ConfigError("metric", self.path, f"{what} returned {str(result)[:80]}; must return finite numbers")
        return numbers


def load_metrics(names: Sequence[str]) -> list[Metric]:
    """The metrics of METRIC; ConfigError ("metric") for a name that is none. Files of the user's are executed."""
    for name in names:
        if name not in TOP and not name.endswith(".py"):
            raise ConfigError("metric", name, ALLOWED)
    if not names:
        raise ConfigError("metric", "", ALLOWED)
    metrics: list[Metric] = [TopClasses(name) if name in TOP else OwnMetric(name) for name in names]
    if len({metric.name for metric in metrics}) < len(metrics):
        raise ConfigError("metric", ",".join(names), "has two metrics of one name")
    return metrics
