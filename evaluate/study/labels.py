# SPDX-License-Identifier: Apache-2.0
"""What a run of the study is: its fields but the results, its place among the tilings, and its name in words."""

import enum
from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["CONDITIONS", "NETWORKS", "Family", "Labels", "find", "grouped"]

NETWORKS = {"regnet": "RegNetY-like", "residual": "residual"}
CONDITIONS = {"exposure": "exposure", "plain": "plain", "upside-down": "upside down", "shifted": "shifted",
              "canvas": "canvas"}


class Family(str, enum.Enum):
    """Tilings that differ in their size alone."""

    ROWS = "strips of rows"
    COLUMNS = "strips of columns"
    PATCHES = "patches"
    CUMULATIVE = "cumulative"
    CAUSAL = "causal"
    WINDOW = "window"


class Labels(NamedTuple):
    """The fields of a row that say what was run. Runs that differ in their seed alone have equal ones.

    ``training`` is "scratch", "swapped", "fine-tuned" or "quantised". ``method`` of the last is "after" (training),
    "tuned" (trained longer in float, then quantised) or "aware" (trained longer, quantisation-aware). A "fine-tuned"
    network was swapped before, but for the one with the ``method`` "tuned", which was trained with its tiling.
    """

    network: str
    condition: str
    attention: str
    context: str
    k: int | None
    tile_w: int | None
    order: str
    window: str | None
    prior_rows: int
    stage: str | None
    training: str
    bits: int | None
    method: str | None

    @classmethod
    def of(cls, run: Mapping) -> "Labels":
        """Those of `run`, a row, or the "a" or "b" of a comparison."""
        return cls(*(run[name] for name in cls._fields))

    @property
    def place(self) -> tuple[str, str]:
        """Network and condition."""
        return self.network, self.condition

    @property
    def tiling(self) -> tuple:
        """What a descriptor averages; the same for all networks without attention, and for all with the original."""
        if self.context in ("none", "se"):
            return (self.context,)
        return self.context, self.k, self.tile_w, self.order, self.window, self.prior_rows

    @property
    def family(self) -> Family | None:
        """None for networks without attention, and with the original."""
        if self.context == "tile":
            if self.tile_w is not None:
                return Family.PATCHES
            return Family.COLUMNS if self.order == "columns" else Family.ROWS
        return None if self.context in ("none", "se") else Family(self.context)

    @property
    def name(self) -> str:
        """The tiling, as the paper writes it where it has it."""
        if self.family is None:
            return {"none": "no attention", "se": "SE"}[self.context]
        if self.family is Family.WINDOW:
            first, _, count = self.window.partition(":")
            return {"middle": "7xW-middle", "0": f"{count}xW-upper"}.get(first, f"rows {self.window}")
        if self.family is Family.ROWS and self.k is None:
            return "all rows"
        k = "all" if self.k is None else self.k
        return {Family.ROWS: f"{k}xW", Family.COLUMNS: f"Hx{k}", Family.PATCHES: f"{k}x{self.tile_w}"}.get(
            self.family, f"{self.family.value}, K={k}")

    @property
    def where(self) -> str:
        """Network and condition, in words."""
        return f"{NETWORKS.get(self.network, self.network)} ({CONDITIONS.get(self.condition, self.condition)})"


def grouped(runs: Iterable[Mapping]) -> dict[Labels, dict[int, Mapping]]:
    """The rows `runs` by their labels and seeds, in their order."""
    groups = {}
    for run in runs:
        groups.setdefault(Labels.of(run), {})[run["seed"]] = run
    return groups


def find(groups: Iterable[Labels], like: Labels | None = None, **wanted) -> Labels | None:
    """The first of `groups` whose attributes are as `wanted`; None if there is none.

    Where it is given, it is of the same network and condition as `like`.
    """
    for labels in groups:
        if (like is None or labels.place == like.place) and all(
                getattr(labels, name) == value for name, value in wanted.items()):
            return labels
    return None
