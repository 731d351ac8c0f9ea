# SPDX-License-Identifier: Apache-2.0
"""The demo's picture: the same page and scan with the boxes of each network."""

import io

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon

from .forms import NAMES, RTL, titles
from .scoring import matches

__all__ = ["draw"]

# Told apart by colour-blind readers: of Okabe and Ito's palette.
BLUE, ORANGE = "#0072B2", "#D55E00"
STYLE = {"font.family": "DejaVu Sans", "font.size": 9}
INCHES, DPI = 3.4, 130


def draw(page, scan, k):
    """A PNG file's bytes: a row each for the page and the scan in float and in integers, a column for each form.

    Parameters
    ----------
    page, scan : (image, boxes, lines)
        Image uint8 (H, W, 3), boxes (N, 4, 2) by network, lines (M, 4, 2); None where nobody knows them, and the
        original network's boxes stand for them.
    k : int
        Rows of the paper's tiles.
    """
    rows = [(numbers, *shown) for shown in (page, scan) for numbers in ("float", "integer")]
    heights = [INCHES * image.shape[0] / image.shape[1] for _, image, _, _ in rows]
    with matplotlib.rc_context(STYLE):
        figure = Figure((INCHES * (1 + len(NAMES)), sum(heights) + 1.5), dpi=DPI, layout="constrained")
        grid = figure.subplots(len(rows), 1 + len(NAMES), height_ratios=heights)
        for (original, *panels), (numbers, image, boxes, lines) in zip(grid, rows, strict=True):
            lines, scanned = (boxes["se"], True) if lines is None else (lines, False)
            original.set_axis_off()
            if numbers == "float":
                _panel(original, "SE", image, boxes["se"], lines, scanned)
            for panel, form in zip(panels, NAMES, strict=True):
                name = f"{form}_{numbers}"
                title = titles(k)[name] + (", one block in RTL" if form in RTL and numbers == "integer" else "")
                _panel(panel, title, image, boxes[name], lines, scanned)
        figure.legend(handles=[
            Line2D([], [], color=BLUE, label="found: matches a drawn line (scan: a box of SE's)"),
            Line2D([], [], color=ORANGE, label="found: matches none"),
            Line2D([], [], color=ORANGE, linestyle=":", label="not found")],
            loc="outside lower center", ncols=3, frameon=False)
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _panel(axes, title, image, boxes, lines, scan):
    """One image with its boxes."""
    found, drawn = (set(indices.tolist()) for indices in matches(boxes, lines))
    axes.set_title(title, fontsize=9, fontweight="bold")
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
