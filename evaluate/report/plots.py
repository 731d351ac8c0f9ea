# SPDX-License-Identifier: Apache-2.0
"""A report's plots, drawn as the benchmarks' are."""

import itertools
import math

from ..bench.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, svg
from .texts import MILLION, plain

__all__ = ["accuracies", "trade_off"]

# The rest of Okabe and Ito's palette, but for its yellow.
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "#56B4E9", "#E69F00", GREY)


def trade_off(summaries):
    """Buffering against added MACs: for each network a curve of its strips, from SE to a single row."""
    def draw(axes):
        for summary, colour in zip(summaries, itertools.cycle(COLOURS), strict=False):
            points = [summary["sum"]["se"], *reversed(summary["curve"])]
            x, y = ([point[name] / MILLION for point in points] for name in ("elements", "added_macs"))
            name = plain(summary["name"])
            axes.plot(x, y, "-", color=colour, linewidth=1.2, label=name)
            axes.plot(x[1:], y[1:], "o", color=colour)
            axes.plot(x[:1], y[:1], "s", color=colour)
            if len(summaries) == 1:
                for point, *place in zip(summary["curve"], reversed(x[1:]), reversed(y[1:]), strict=True):
                    axes.annotate(f"k = {point['rows']}", place, (6, 4), textcoords="offset points", color=colour)
        for text in axes.figure.legend(loc="outside upper center", ncols=3).get_texts():
            # A name may have dollar signs.
            text.set_parse_math(False)
        _logarithmic(axes.xaxis, axes.yaxis)
        axes.margins(0.12)
        axes.set(xlabel="elements that wait, all blocks (millions): squares SE, circles TSE with strips of k rows",
                 ylabel="MACs of all blocks (millions)")

    return svg(draw, 7.5, 4 + 0.18 * math.ceil(len(summaries) / 3))


def accuracies(rows):
    """The paper's Figure 2 for `rows` of its tables: its printed accuracies against the real networks' buffering."""
    def draw(axes):
        for form, name, colour, marker in ((0, "SE", ORANGE, "s"), (1, "TSE, strips of 7 rows", BLUE, "o")):
            for family, shown in itertools.groupby(rows, lambda row: row.model.partition("-")[0]):
                points = [(float((row.original, row.tiled)[form].real) / MILLION, float(row.accuracies[form]))
                          for row in shown]
                label = name if family == rows[0].model.partition("-")[0] else None
                axes.plot(*zip(*points, strict=True), f"{marker}-", color=colour, linewidth=1.2, label=label)
        for row in rows:
            axes.annotate(row.model, (float(row.original.real) / MILLION, float(row.accuracies[0])), (6, -3),
                          textcoords="offset points", color=GREY)
        _logarithmic(axes.xaxis)
        axes.margins(0.18, 0.05)
        axes.set(xlabel="elements that wait in the real network, all blocks (millions)",
                 ylabel=f"{rows[0].measure} as the paper prints it (%), not measured here")
        axes.legend(loc="upper left")

    return svg(draw, 7.5, 4.2)


def _logarithmic(*axes):
    for axis in axes:
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
