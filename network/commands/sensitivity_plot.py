# SPDX-License-Identifier: Apache-2.0
"""The plot of `tiled-se sensitivity`: a row of panels for each block, like the paper's Figure 4."""

import io
import warnings
from collections.abc import Sequence

import numpy as np

from ..calibration.agreement import Agreement
from ..match.match import NetworkBlock

__all__ = ["draw"]

MOST_POINTS = 600
PURPLE, GREEN, ORANGE, BLUE = "#7b4ea3", "#2e8b57", "#d9792b", "#4a7fc1"
STYLE = {"axes.labelsize": 8, "axes.titlesize": 9, "axes.titlelocation": "left", "xtick.labelsize": 7,
         "ytick.labelsize": 7, "legend.fontsize": 7, "legend.frameon": False,
         # Without a date and with fixed ids, the same figures give the same file.
         "svg.hashsalt": "tiled-se"}


def draw(blocks: Sequence[NetworkBlock], agreements: dict[str, list[Agreement]], figures: Sequence[dict]) -> bytes:
    """An SVG. For each block: means and gates of tiles over those of the whole map, and their agreement over k.

    `agreements` has those of each block's tiles by name, one for each k; `figures` what sensitivity.json has of each
    block, in order, of which the change of the outputs in the other contexts is drawn, too.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    handle = io.BytesIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # A block's name may have letters that the font lacks.
        warnings.filterwarnings("ignore", "Glyph ", UserWarning)
        figure, axes = plt.subplots(len(blocks), 3, figsize=(11, 2.6 * len(blocks)), squeeze=False,
                                    layout="constrained")
        for block, measured, (means, gates, over_k) in zip(blocks, figures, axes, strict=True):
            items = agreements[block.name]
            # The largest k that leaves more than one tile in a map, if there is one.
            several = [item for item in items if len(np.unique(item.means - item.whole_means)) > 1]
            shown = max(several or items, key=lambda item: item.k)
            _means(means, shown)
            means.set_title(f"{block.name}: {block.height} x {block.width} x {block.channels}", parse_math=False)
            _gates(gates, shown)
            _over_k(over_k, measured)
        figure.savefig(handle, format="svg", metadata={"Date": None}, dpi=120)
    plt.close(figure)
    return handle.getvalue()


def _sampled(*arrays):
    """The same random points of each array, at most MOST_POINTS."""
    points = np.random.default_rng(1).permutation(arrays[0].size)[:MOST_POINTS]
    return [array.reshape(-1)[points] for array in arrays]


def _means(axis, item):
    whole, tiles = _sampled(item.whole_means, item.means)
    axis.axline((float(whole[0]), float(whole[0])), slope=1, color="0.7", linewidth=0.8)
    axis.plot(whole, tiles, ".", color=PURPLE, markersize=2.5, alpha=0.5, rasterized=True)
    axis.set(xlabel="mean of the map", ylabel=f"mean of a tile, k={item.k}")


def _gates(axis, item):
    quantised = item.gates if item.quantised_gates is None else item.quantised_gates
    whole, tiles, integers = _sampled(item.whole_gates, item.gates, quantised)
    axis.axline((0, 0), slope=1, color="0.7", linewidth=0.8)
    axis.plot(whole, tiles, ".", color=GREEN, markersize=4, alpha=0.5, rasterized=True, label="float")
    if item.quantised_gates is not None:
        axis.plot(whole, integers, ".", color=ORANGE, markersize=1.5, rasterized=True, label="quantised")
    axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="gate of the map", ylabel=f"gate of a tile, k={item.k}")
    axis.legend(loc="upper left")


def _over_k(axis, measured):
    ks = [item["k"] for item in measured["ks"]]

    def line(name, figures, colour, label, style="-"):
        axis.plot(ks, [np.nan if item[name] is None else item[name] for item in figures], f"o{style}", color=colour,
                  markersize=3, linewidth=1, label=label)

    line("mean_correlation", measured["ks"], PURPLE, "correlation of means")
    line("gate_correlation", measured["ks"], GREEN, "correlation of gates")
    line("output_change", measured["ks"], "0.4", "change of outputs")
    for context, (colour, style) in zip(measured["contexts"], ((BLUE, ":"), (BLUE, "-"), (ORANGE, "-")), strict=True):
        label = f"change, {context['context']} PRIOR={context['prior_rows']}"
        line("output_change", context["ks"], colour, label, style)
    axis.set(ylim=(min(0, axis.get_ylim()[0]), 1.05), xticks=ks, xlabel="k, rows of a tile")
    axis.legend()
