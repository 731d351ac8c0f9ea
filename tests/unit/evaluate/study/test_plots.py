# SPDX-License-Identifier: Apache-2.0
"""The study's plots: what they show, and that they are files of the same bytes from run to run."""

import xml.etree.ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.helpers.study_rows import NONE, SE, Effects, rows, running, study, tile
from tiled_se.evaluate.study import plots
from tiled_se.evaluate.study.view import View


@pytest.fixture(scope="module")
def known():
    return study(rows(Effects(swapped=lambda labels: -20.0 / (labels.k or 99) if labels.tile_w else -0.4), images=400))


@pytest.fixture
def drawn(monkeypatch):
    """A function that returns the panels of each plot, as axes of matplotlib, by the plot's name."""
    def svg(draw, width, height):
        figure = Figure((width, height))
        draw(figure.add_subplot())
        return figure.axes

    monkeypatch.setattr(plots, "svg", svg)
    return plots.plots


def curves(panel):
    """x and y of the lines with markers, in the order in which they are drawn."""
    return [container.lines[0].get_data() for container in panel.containers]


def texts(content):
    root = xml.etree.ElementTree.fromstring(content)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_files(known):
    files = plots.plots(known)
    assert list(files) == ["study-accuracy.svg", "study-buffer.svg"] == list(plots.TEXTS)
    first, second = map(texts, files.values())
    families = {"strips of rows", "strips of columns", "patches", "cumulative", "causal"}
    assert families | {"trained with it", "swapped", "SE", "no attention, trained", "13"} <= set(first)
    assert families | {"trained with it", "swapped", "elements that wait, all blocks (thousand)"} <= set(second)
    assert plots.plots(known) == files


def test_by_size(known, drawn):
    """A panel has two curves: differences, by size, with their intervals; the whole map has no size."""
    panels, view = drawn(known)["study-accuracy.svg"], View(known)
    assert [panel.get_title() for panel in panels] == [
        "strips of rows", "strips of columns", "patches", "cumulative", "causal"]
    for question, container in zip(("trained", "swapped"), panels[2].containers, strict=True):
        answers = {answer.a.k: answer for answer in view.all(question, family="patches")}
        x, y = container.lines[0].get_data()
        assert [round(value) for value in x] == [1, 3, 5, 7, 9, 11, 13]
        assert list(y) == [answers[k].difference for k in (1, 3, 5, 7, 9, 11, 13)]
        ends = [segment[:, 1].tolist() for segment in container.lines[2][0].get_segments()]
        np.testing.assert_allclose(ends, [answers[k].interval for k in (1, 3, 5, 7, 9, 11, 13)])
    assert panels[0].get_lines()[0].get_ydata() == [0, 0]
    assert panels[0].get_lines()[1].get_ydata() == [-view.one("attention").difference] * 2
    # All of it is within the axis, which the panels share.
    low, high = panels[4].get_ylim()
    assert low < min(panels[2].containers[1].lines[0].get_ydata())
    assert high >= 1


def test_by_buffer(known, drawn):
    """Over the elements that wait; no elements have a place of their own, left of all others."""
    panels, view = drawn(known)["study-buffer.svg"], View(known)
    assert [panel.get_title() for panel in panels] == ["trained with it", "swapped"]
    for panel in panels:
        rows_, _, _, _, causal = curves(panel)
        assert rows_[0].tolist() == [view.buffer(tile(k)) for k in (1, 3, 5, 7, 9)]
        assert len(set(causal[0])) == 1
        assert panel.get_xlim()[0] < causal[0][0] < min(x.min() for x, _ in curves(panel)[:4])
        names = dict(zip(panel.get_xticks(), (label.get_text() for label in panel.get_xticklabels()), strict=True))
        assert names[causal[0][0]] == "0"
        assert names[5000] == "5"


def test_legends_fit(known, monkeypatch):
    """No name is cut off at the edge of a plot."""
    made = []

    def svg(draw, width, height):
        figure = Figure((width, height), layout="constrained")
        draw(figure.add_subplot())
        figure.draw_without_rendering()
        made.append((figure.legends[0].get_window_extent(), figure.bbox))

    monkeypatch.setattr(plots, "svg", svg)
    plots.plots(known)
    assert len(made) == 2
    assert all(whole.x0 <= legend.x0 and legend.x1 <= whole.x1 for legend, whole in made)


def test_without_intervals_there_are_no_bars(drawn):
    found = study(rows(Effects(), images=100, kept=lambda labels, seed: seed == 1 and labels.training == "scratch"))
    panels = drawn(found)["study-accuracy.svg"]
    (_, y), = curves(panels[0])
    ends = np.array([segment[:, 1] for segment in panels[0].containers[0].lines[2][0].get_segments()])
    np.testing.assert_array_equal(ends, np.stack([y, y], axis=1))


def test_what_has_no_runs_is_left_out(drawn):
    def kept(labels, seed):
        return labels in (NONE, SE, tile(7), running("cumulative", 1)) and seed == 1

    found = study(rows(Effects(), images=100, kept=kept))
    panels = drawn(found)
    assert [panel.get_title() for panel in panels["study-accuracy.svg"]] == ["strips of rows", "cumulative"]
    assert [panel.get_title() for panel in panels["study-buffer.svg"]] == ["trained with it"]
    assert "0" not in [label.get_text() for label in panels["study-buffer.svg"][0].get_xticklabels()]
    assert plots.plots(study(rows(Effects(), images=100, kept=lambda labels, seed: labels in (NONE, SE)))) == {}
    assert plots.plots(study([])) == {}
