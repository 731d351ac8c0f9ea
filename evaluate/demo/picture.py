# SPDX-License-Identifier: Apache-2.0
"""The demo's picture: the same page and scan with the boxes of each network, side by side."""

import io

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon

from .scoring import matches

__all__ = ["TITLES", "draw"]

TITLES = {"se": "SE", "tse_float": "TSE, float", "tse_integer": "TSE, integers, one block in RTL"}
# Told apart by colour-blind readers: of Okabe and Ito's palette.
BLUE, ORANGE = "#0072B2", "#D55E00"
STYLE = {"font.family": "DejaVu Sans", "font.size": 9}
INCHES, DPI = 4.2, 150


def draw(page, scan):
    """A PNG file's bytes.

    Parameters
    ----------
    page, scan : (image, boxes, lines)
        Image uint8 (H, W, 3), boxes (N, 4, 2) by network, lines (M, 4, 2); None where nobody knows them, and the
        original network's boxes stand for them.
    """
    rows = (page, scan)
    heights = [INCHES * image.shape[0] / image.shape[1] for image, _, _ in rows]
    with matplotlib.rc_context(STYLE):
        figure = Figure((INCHES * len(TITLES), sum(heights) + 0.9), dpi=DPI, layout="constrained")
        grid = figure.subplots(len(rows), len(TITLES), height_ratios=heights)
        for axes, (image, boxes, lines) in zip(grid, rows, strict=True):
            for panel, name in zip(axes, TITLES, strict=True):
                _panel(panel, image, boxes[name], boxes["se"] if lines is None else lines, lines is None)
        for panel, title in zip(grid[0], TITLES.values(), strict=True):
            panel.set_title(title, fontsize=12, fontweight="bold")
        figure.legend(handles=[
            Line2D([], [], color=BLUE, label="found: matches a drawn line (scan: a box of SE's)"),
            Line2D([], [], color=ORANGE, label="found: matches none"),
            Line2D([], [], color=ORANGE, linestyle=":", label="not found")],
            loc="outside lower center", ncols=3, frameon=False)
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _panel(axes, image, boxes, lines, scan):
    """One image with its boxes."""
    found, drawn = (set(indices.tolist()) for indices in matches(boxes, lines))
    axes.imshow(image, interpolation="antialiased")
    axes.set_axis_off()
    for number, box in enumerate(boxes):
        axes.add_patch(Polygon(box, fill=False, linewidth=1.1, edgecolor=BLUE if number in found else ORANGE))
    for number, line in enumerate(lines):
        if number not in drawn:
            axes.add_patch(Polygon(line, fill=False, linewidth=1.3, edgecolor=ORANGE, linestyle=":"))
    # Below the image, where it covers no text.
    of = f"{len(boxes)} boxes, {len(found)} of {len(lines)} {'of SE' if scan else 'lines'} matched"
    axes.text(0.5, -0.015, of, transform=axes.transAxes, ha="center", va="top", color="#444444")
