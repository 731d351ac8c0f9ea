# SPDX-License-Identifier: Apache-2.0
"""The study's plots, drawn as the benchmarks' are."""

from collections.abc import Mapping

import matplotlib.ticker
from matplotlib.lines import Line2D

from ..bench.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, svg
from .labels import Family
from .view import Answer, View

__all__ = ["ACCURACY", "BUFFER", "TEXTS", "drawable", "plots"]

ACCURACY, BUFFER = "study-accuracy.svg", "study-buffer.svg"
TEXTS = {ACCURACY: "Accuracy by K and context, trained and swapped, less that of SE; bars are 95 % intervals",
         BUFFER: "Accuracy of trained and of swapped networks against the buffer, less that of SE"}
# Colour and marker; SE is orange.
LOOKS = {Family.ROWS: (BLUE, "o"), Family.COLUMNS: ("#56B4E9", "v"), Family.PATCHES: ("#E69F00", "D"),
         Family.CUMULATIVE: (GREEN, "^"), Family.CAUSAL: (PURPLE, "<")}
# Points around 0 that have a linear axis, and the ticks beyond.
LINEAR = 1
# So that the bars of a size do not hide each other.
ASIDE = 0.1
TICKS = (-50, -20, -10, -5, -2, -1, -0.5, 0, 0.5, 1, 2, 5)
QUESTIONS = {"trained": "trained with it", "swapped": "swapped"}


def plots(study: Mapping) -> dict[str, bytes]:
    """SVG files by name, from the contents of study.json; without those that there are no runs for."""
    view = View(study)
    return {name: {ACCURACY: _by_size, BUFFER: _by_buffer}[name](view) for name in drawable(view)}


def drawable(view: View) -> list[str]:
    """The names of the plots that there are runs for."""
    if not _families(view):
        return []
    return [ACCURACY, BUFFER] if view.find(context="se", training="scratch") else [ACCURACY]


def _families(view: View) -> list[Family]:
    return [family for family in LOOKS if any(_tilings(view, question, family) for question in QUESTIONS)]


def _tilings(view: View, question: str, family: Family) -> list[Answer]:
    """Answers of those with a size of their own, by size."""
    return sorted((answer for answer in view.all(question, family=family) if answer.a.k is not None),
                  key=lambda answer: answer.a.k)


def _bars(answers: list[Answer]) -> list[list[float]]:
    """How far the intervals reach below and above; 0 where there is none."""
    ends = [answer.interval or (answer.difference,) * 2 for answer in answers]
    return [[max(0.0, answer.difference - low) for answer, (low, _) in zip(answers, ends, strict=True)],
            [max(0.0, high - answer.difference) for answer, (_, high) in zip(answers, ends, strict=True)]]


def _draw(axes, x: list[float], answers: list[Answer], family: Family, question: str, bars: bool) -> None:
    """A curve, filled for what was trained and hollow for what was swapped, with `bars` for the intervals."""
    colour, marker = LOOKS[family]
    face, line = ("white", "--") if question == "swapped" else (colour, "-")
    axes.errorbar(x, [answer.difference for answer in answers], _bars(answers) if bars else None, color=colour,
                  marker=marker, markersize=5, markerfacecolor=face, linestyle=line, linewidth=1.2,
                  elinewidth=0.9, capsize=2, label=family.value)


def _points_axis(axes) -> None:
    """Differences in points: linear around 0, logarithmic beyond."""
    axes.set_yscale("symlog", linthresh=LINEAR, linscale=1)
    low, high = axes.get_ylim()
    axes.set_ylim(min(1.2 * low, -LINEAR), max(high, LINEAR))
    axes.set_yticks([tick for tick in TICKS if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]])
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))
    axes.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())


def _reference(axes, view: View) -> None:
    """Lines of SE and of no attention."""
    axes.axhline(0, color=ORANGE, linewidth=1, label="SE")
    attention = view.one("attention")
    if attention:
        axes.axhline(-attention.difference, color=GREY, linewidth=1, linestyle=":", label="no attention, trained")


def _by_size(view: View) -> bytes:
    """Figure 5: a panel for each family, over K."""
    shown = _families(view)

    def draw(axes):
        figure = axes.figure
        axes.remove()
        panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for panel, family in zip(panels, shown, strict=True):
            _reference(panel, view)
            sizes = set()
            for question in QUESTIONS:
                if answers := _tilings(view, question, family):
                    sizes |= {answer.a.k for answer in answers}
                    aside = ASIDE if question == "swapped" else -ASIDE
                    _draw(panel, [answer.a.k + aside for answer in answers], answers, family, question, bars=True)
            panel.set(title=family.value, xlabel="K", xticks=sorted(sizes), xlim=(min(sizes) - 0.8, max(sizes) + 0.8))
            panel.title.set_fontsize(9)
            panel.grid(False, axis="x")
        _points_axis(panels[0])
        panels[0].set_ylabel("top-1 less that of SE (points)")
        handles, names = panels[0].get_legend_handles_labels()
        lines = dict(zip(names, handles, strict=True))
        key = {name: lines[name] for name in ("SE", "no attention, trained") if name in lines}
        key |= {text: _example(hollow) for text, hollow in (("trained with it", False), ("swapped", True))}
        figure.legend(key.values(), key.keys(), loc="outside upper center", ncols=len(key))

    return svg(draw, 9, 3.6)


def _example(hollow: bool):
    """A line of the legend."""
    return Line2D([], [], color="#222222", marker="o", markersize=5, linewidth=1.2,
                                   markerfacecolor="white" if hollow else "#222222", linestyle="--" if hollow else "-")


def _by_buffer(view: View) -> bytes:
    """A panel each for trained and for swapped networks, over the elements that wait."""
    se = view.find(context="se", training="scratch")
    shown = [question for question in QUESTIONS if any(_tilings(view, question, family) for family in LOOKS)]

    def draw(axes):
        figure = axes.figure
        axes.remove()
        panels = figure.subplots(1, len(shown), squeeze=False)[0]
        for panel, question in zip(panels, shown, strict=True):
            _reference(panel, view)
            found = {family: _tilings(view, question, family) for family in LOOKS}
            places = {answer.a: view.buffer(answer.a) for answers in found.values() for answer in answers}
            # A logarithmic axis has no 0: a place of its own at the left.
            least = min([place for place in places.values() if place] or [1]) / 2.5
            for family, answers in found.items():
                x = [places[answer.a] or least for answer in answers]
                if answers:
                    _draw(panel, x, answers, family, question, bars=False)
                    _sizes(panel, answers, x, LOOKS[family][0])
            panel.plot([view.buffer(se)], [0], "s", color=ORANGE)
            panel.set_xscale("log")
            _buffer_axis(panel, [place for place in places.values() if place] + [view.buffer(se)],
                         least if 0 in places.values() else None)
            _points_axis(panel)
            panel.set(title=QUESTIONS[question], xlabel="elements that wait, all blocks (thousand)")
            panel.title.set_fontsize(9)
        panels[0].set_ylabel("top-1 less that of SE (points)")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=(len(names) + 1) // 2)

    return svg(draw, 9, 4.4)


def _sizes(axes, answers: list[Answer], x: list[float], colour: str) -> None:
    """The K of the first and the last point of a curve."""
    for index, offset, side in ((0, (-6, -3), "right"), (-1, (5, 4), "left"))[:len(answers)]:
        axes.annotate(f"{answers[index].a.k}", (x[index], answers[index].difference), offset, color=colour,
                      textcoords="offset points", ha=side, fontsize=8)


def _buffer_axis(axes, places: list[int], zero: float | None) -> None:
    low, high = min(places), max(places)
    ticks = [scale * 10**power for power in range(2, 9) for scale in (1, 2, 5) if low <= scale * 10**power <= high]
    names = [f"{tick / 1000:g}" for tick in ticks]
    if zero is not None:
        ticks, names = [zero, *ticks], ["0", *names]
    axes.set_xticks(ticks, names)
    axes.set_xticks([], minor=True)
    axes.set_xlim((zero or low) / 1.4, high * 1.4)

