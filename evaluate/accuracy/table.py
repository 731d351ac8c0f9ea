# SPDX-License-Identifier: Apache-2.0
"""Figures of a metric for all forms of the network, as JSON and as a table."""

from collections.abc import Mapping, Sequence

import numpy as np

from ...gen.text_table import aligned, percent
from ...golden.block import DataFormat
from .metrics import Metric
from .networks import INTEGERS, KEPT, SE, TILES, Form

__all__ = ["SUMMARY", "output_table", "results", "table"]

SUMMARY = "of {images} images; differences with 95 % intervals"


def results(metric: Metric, forms: Sequence[Form], scores: Sequence[np.ndarray], seed: int) -> dict:
    """The figures of `forms`, JSON-serialisable; `scores` are those of each, float64 (images, numbers).

    Each of ``networks`` has its ``value``, and ``to_se`` and ``to_tiles``, its differences from SE and, unless it is
    that itself, from its tiles in float: ``difference``, ``low`` and ``high``, or None.
    """
    pairs = {}
    for at, form in enumerate(forms):
        if form.numbers != SE:
            pairs[at, SE] = forms.index(Form(SE))
        if form.numbers in (KEPT, INTEGERS):
            pairs[at, TILES] = forms.index(Form(TILES, form.block))
    values = [metric.figure(one) for one in scores]
    ends = metric.intervals(scores, [(at, other) for (at, _), other in pairs.items()], seed)
    differences = {key: {"difference": values[key[0]] - values[other], "low": low, "high": high}
                   for (key, other), (low, high) in zip(pairs.items(), ends, strict=True)}
    return {"metric": metric.name, "percent": metric.percent, "intervals": metric.method, "networks": [
        {"network": form.numbers, "block": form.block, "title": form.title, "value": value,
         "to_se": differences.get((at, SE)), "to_tiles": differences.get((at, TILES))}
        for at, (form, value) in enumerate(zip(forms, values, strict=True))]}


def table(found: dict) -> str:
    """What :func:`results` returns, for a person."""
    unit, factor, figures = (", points", 100, ".2f") if found["percent"] else ("", 1, ".4g")

    def difference(one):
        return "" if one is None else "{:+{form}} ({:+{form}} to {:+{form}})".format(
            *(factor * one[name] for name in ("difference", "low", "high")), form=figures)

    rows = [["", found["metric"] + (", %" if found["percent"] else ""), f"to SE{unit}", f"to float{unit}"]]
    rows += [[one["title"], f"{factor * one['value']:{figures}}", difference(one["to_se"]), difference(one["to_tiles"])]
             for one in found["networks"]]
    return "\n".join([*aligned(rows, left=(0, 2, 3)), f"intervals: {found['intervals']}"])


def output_table(outputs: Mapping[str, tuple[DataFormat, float]]) -> list[str]:
    """Lines on the outputs' format of each block, by name, and the share of the outputs that it clips; none for none.
    """
    if not outputs:
        return []
    rows = [("outputs", "type", "scale", "zero point", "clipped")]
    rows += [(name, str(y.data), f"{y.scale:.4g}", str(y.zero_point), percent(share))
             for name, (y, share) in outputs.items()]
    return [*aligned(rows, left=(0, 1)), "clipped: share of the outputs on the images that the formats are taken from"]
