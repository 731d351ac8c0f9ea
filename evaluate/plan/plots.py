# SPDX-License-Identifier: Apache-2.0
"""The plot of `tiled-se plan`: the change of the blocks' gates for every budget."""

import numpy as np

from ..bench.plots import BLUE, GREEN, GREY, ORANGE, svg
from .knapsack import Frontier

__all__ = ["trade"]

# Points of a curve, as one of many thousands is no longer a plot.
MOST_POINTS = 500
KIB = 8 << 10
# A range of memories above which a logarithmic axis shows more.
WIDE = 10


def trade(found: Frontier, point: int, limit: int, untiled: int, strips: dict) -> bytes:
    """An SVG: the least change over the memory, with the `point` of the frontier that was chosen for `limit` bits.

    `strips` has ``(bits, change)`` of strips of the same height in all blocks by their rows, None where they are not
    built. `untiled` are the bits that the untiled blocks buffer.
    """
    def draw(axes):
        places = np.unique(np.linspace(0, len(found.sizes) - 1, MOST_POINTS).astype(int))
        axes.step(found.sizes[places] / KIB, found.costs[places], where="post", color=BLUE,
                  linewidth=1.2, label="least change")
        known = {k: figures for k, figures in strips.items() if figures is not None}
        if known:
            bits, changes = zip(*known.values(), strict=True)
            axes.plot(np.array(bits) / KIB, changes, "o", color=ORANGE, label="strips of K rows in all")
            for k, (bits, change) in known.items():
                axes.annotate(f"K={k}", (bits / KIB, change), (6, 4), textcoords="offset points", color=ORANGE)
        axes.plot(found.sizes[point] / KIB, found.costs[point], "s", color=GREEN, label="chosen")
        axes.axvline(limit / KIB, color=GREEN, linewidth=0.8, linestyle=":")
        axes.axvline(untiled / KIB, color=GREY, linewidth=0.8, linestyle="--", label="what untiled blocks buffer")
        axes.set(xscale="log" if found.sizes[-1] > WIDE * found.sizes[0] else "linear",
                 xlabel="memory of all blocks, without weights (KiB); dotted: the budget",
                 ylabel="change of the gates, rounding included: sum of the blocks'")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.figure.legend(loc="outside upper center", ncols=4)

    return svg(draw, 7.5, 4.2)
