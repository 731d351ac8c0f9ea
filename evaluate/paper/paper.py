# SPDX-License-Identifier: Apache-2.0
"""The paper's Buffer and MFLOPs columns: as printed, as the paper counts, and of the real network."""

import dataclasses
import importlib.resources
import json
import math
from fractions import Fraction

from ..metric import WHOLE, buffered, parse_tile, tiles
from .rules import RULES, Rule, mflops, patches

__all__ = ["Figure", "ModelRow", "STRIP", "TileRow", "load_paper", "model_rows", "tile_rows"]

# Rows of a strip in Tables 4 to 6.
STRIP = 7
# The unit of the printed figures.
MILLION = 10**6
# The row of a network without squeeze-and-excite.
VANILLA = "vanilla"


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure of a table, in three ways.

    Attributes
    ----------
    printed : str or None
        In millions; None where the paper prints none.
    by_rule, real : int or Fraction
        Single elements or MACs, exactly: by the paper's way of counting, and of the network as it is defined.
    rounded : bool
        Whether the paper has rounded. It cuts off after the printed digits, except in a single figure.
    """

    printed: str | None
    by_rule: int | Fraction
    real: int | Fraction
    rounded: bool = False

    @property
    def digits(self):
        """Digits after the point, as printed."""
        return len(self.printed.partition(".")[2]) if self.printed else 2

    def as_printed(self, value):
        """`value` in millions as the paper prints this figure."""
        scaled = Fraction(value) / MILLION * 10**self.digits + (Fraction(1, 2) if self.rounded else 0)
        return f"{math.floor(scaled) / 10**self.digits:.{self.digits}f}"

    @property
    def explained(self):
        """Whether the rule gives the printed digits, all of them; None where nothing is printed."""
        return None if self.printed is None else self.as_printed(self.by_rule) == self.printed

    @property
    def real_agrees(self):
        """Whether the real network's figure has the printed digits, too."""
        return None if self.printed is None else self.as_printed(self.real) == self.printed

    def as_json(self):
        """All of it; values are single elements or MACs."""
        return {"printed": self.printed, "by_rule": float(self.by_rule), "by_rule_as_printed":
                self.as_printed(self.by_rule), "real": float(self.real), "status": _status((self,))}


def _status(figures):
    """In words: what the rules explain, and whether the figures of the real network differ."""
    said = [figure for figure in figures if figure.printed is not None]
    if not said:
        return "not printed"
    if not all(figure.explained for figure in said):
        return "differs"
    return "; ".join(["explained", *["rounded"] * any(figure.rounded for figure in said),
                      *["real differs"] * (not all(figure.real_agrees for figure in said))])


@dataclasses.dataclass(frozen=True)
class TileRow:
    """A row of Table 1: a tile of one network; ``buffer`` is None without squeeze-and-excite."""

    table: int
    network: str
    tile: str
    accuracy: str
    buffer: Figure | None
    mflops: Figure

    @property
    def status(self):
        return _status([figure for figure in (self.buffer, self.mflops) if figure])

    def as_json(self):
        return {"table": self.table, "network": self.network, "tile": self.tile, "printed_accuracy": self.accuracy,
                "buffer": self.buffer.as_json() if self.buffer else None, "mflops": self.mflops.as_json(),
                "status": self.status}


@dataclasses.dataclass(frozen=True)
class ModelRow:
    """A row of Table 4, or a column of 5 or 6: Buffer of a model's two forms, SE and strips of ``STRIP`` rows.

    ``accuracies`` are the two printed ones, in the unit ``measure``; ``network`` is the name of the network.
    """

    table: int
    model: str
    network: str
    rule: Rule
    measure: str
    accuracies: tuple
    original: Figure
    tiled: Figure

    @property
    def status(self):
        """Which form it is that differs, if one does."""
        wrong = [name for name, figure in (("SE", self.original), (f"{STRIP}xW", self.tiled)) if not figure.explained]
        if len(wrong) == 2:
            return "both differ"
        return f"{wrong[0]} differs" if wrong else _status((self.original, self.tiled))

    @property
    def printed_reduction(self):
        """How much less the tiled form buffers by the printed figures, as a fraction."""
        return 1 - float(self.tiled.printed) / float(self.original.printed)

    @property
    def real_reduction(self):
        return 1 - self.tiled.real / self.original.real

    def as_json(self):
        return {"table": self.table, "model": self.model, "network": self.network, "rule": self.rule.text,
                "printed_accuracy": {"measure": self.measure, "se": self.accuracies[0], "tse": self.accuracies[1]},
                "se": self.original.as_json(), "tse": self.tiled.as_json(),
                "reduction": {"printed": self.printed_reduction, "real": self.real_reduction}, "status": self.status}


def load_paper():
    """The contents of paper.json."""
    return json.loads(importlib.resources.files(__package__).joinpath("paper.json").read_text())


def tile_rows(definitions, paper):
    """Table 1 as a tuple of :class:`TileRow`."""
    about = paper["tiles"]
    network = definitions[about["network"]]
    return tuple(_tile_row(about["table"], network, row) for row in about["rows"])


def _tile_row(table, network, row):
    if row["tile"] == VANILLA:
        macs = Figure(row["mflops"], network.macs_without_se, network.macs_without_se)
        return TileRow(table, network.name, VANILLA, row["accuracy"], None, macs)
    tile = parse_tile(row["tile"])
    counted = sum(block.count * math.prod(patches(block, tile)) * block.channels for block in network.blocks)
    return TileRow(table, network.name, row["tile"], row["accuracy"],
                   Figure(row["buffer"], counted, _buffered(network.blocks, tile)),
                   Figure(row["mflops"], mflops(network, tile), _macs(network, tile)))


def _buffered(blocks, tile):
    return sum(block.count * buffered(block, tile) for block in blocks)


def _macs(network, tile):
    """MACs of the real network with `tile`: its own layers, once for each whole tile, biases included."""
    return network.macs_without_se + sum(
        block.count * tiles(block, tile) * (2 * block.channels * block.squeeze + block.channels + block.squeeze)
        for block in network.blocks)


def model_rows(definitions, paper):
    """Tables 4, 5 and 6 as a tuple of :class:`ModelRow`."""
    return tuple(_model_row(definitions[row["network"]], row) for row in paper["models"])


def _model_row(network, row):
    rule, forms = RULES[row["rule"]], (row["SE"], row[f"{STRIP}xW"])
    counted = rule.blocks(network)
    strips = ((WHOLE, WHOLE), (rule.strip(STRIP), parse_tile(f"{STRIP}xW")))
    figures = [Figure(form["buffer"], _buffered(counted, theirs), _buffered(network.blocks, ours),
                      form.get("rounded", False))
               for form, (theirs, ours) in zip(forms, strips, strict=True)]
    return ModelRow(row["table"], row["model"], network.name, rule, row["measure"],
                    tuple(form["accuracy"] for form in forms), *figures)
