# SPDX-License-Identifier: Apache-2.0
"""The plot of `tiled-se sensitivity`: a row of panels for each block, like the paper's Figure 4."""

import io
import warnings

import numpy as np

__all__ = ["draw"]

MOST_POINTS = 600
PURPLE, GREEN, ORANGE = "#7b4ea3", "#2e8b57", "#d9792b"


def draw(blocks, found):
    """An SVG, bytes: for each block means and gates of tiles over those of the whole map, and both over k.

    Parameters
    ----------
    blocks : list of Sized
    found : dict of str to list of Agreement
        By block's name, a k each.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(len(blocks), 3, figsize=(11, 2.6 * len(blocks)), squeeze=False, layout="constrained")
    for sized, row in zip(blocks, axes, strict=True):
        items = found[sized.name]
        _scatter(row[0], items, "means", PURPLE, sized)
        _gates(row[1], items)
        _over_k(row[2], items)
    handle = io.BytesIO()
    # No date: the same figures give the same file.
    with matplotlib.rc_context({"svg.hashsalt": "tiled-se"}), warnings.catch_warnings():
        # Names of blocks may be of any letters.
        warnings.filterwarnings("ignore", "Glyph ", UserWarning)
        figure.savefig(handle, format="svg", metadata={"Date": None}, dpi=120)
    plt.close(figure)
    return handle.getvalue()


def _picked(*arrays):
    """The same points of each array, no more than are of use."""
    flat = [array.reshape(-1) for array in arrays]
    chosen = np.random.default_rng(1).permutation(flat[0].size)[:MOST_POINTS]
    return [array[chosen] for array in flat]


def _shown(items):
    """The k that points are shown for: the largest that leaves more than one tile a map, if there is one."""
    several = [item for item in items if len(np.unique(item.means - item.whole_means)) > 1]
    return max(several or items, key=lambda item: item.k)


def _scatter(axis, items, name, colour, sized):
    item = _shown(items)
    whole, tiles = _picked(item.whole_means, item.means)
    axis.axline((float(whole[0]), float(whole[0])), slope=1, color="0.7", linewidth=0.8)
    axis.plot(whole, tiles, ".", color=colour, markersize=2.5, alpha=0.5, rasterized=True)
    axis.set_title(f"{sized.name}: {sized.height} x {sized.width} x {sized.channels}", fontsize=9, loc="left",
                   parse_math=False)
    axis.set_xlabel("mean of the map", fontsize=8)
    axis.set_ylabel(f"mean of a tile, k={item.k}", fontsize=8)
    axis.tick_params(labelsize=7)


def _gates(axis, items):
    item = _shown(items)
    quantised = item.gates if item.quantised_gates is None else item.quantised_gates
    whole, tiles, integers = _picked(item.whole_gates, item.gates, quantised)
    axis.axline((0, 0), slope=1, color="0.7", linewidth=0.8)
    axis.plot(whole, tiles, ".", color=GREEN, markersize=4, alpha=0.5, rasterized=True, label="float")
    if item.quantised_gates is not None:
        axis.plot(whole, integers, ".", color=ORANGE, markersize=1.5, rasterized=True, label="quantised")
    axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axis.legend(fontsize=7, loc="upper left", frameon=False)
    axis.set_xlabel("gate of the map", fontsize=8)
    axis.set_ylabel(f"gate of a tile, k={item.k}", fontsize=8)
    axis.tick_params(labelsize=7)


def _over_k(axis, items):
    figures = [item.figures for item in items]
    ks = [item["k"] for item in figures]
    for name, colour, label in (("mean_correlation", PURPLE, "correlation of means"),
                                ("gate_correlation", GREEN, "correlation of gates"),
                                ("output_change", "0.4", "change of outputs")):
        axis.plot(ks, [np.nan if item[name] is None else item[name] for item in figures], "o-", color=colour,
                  markersize=3, linewidth=1, label=label)
    axis.set_ylim(min(0, axis.get_ylim()[0]), 1.05)
    axis.set_xticks(ks)
    axis.set_xlabel("k, rows of a tile", fontsize=8)
    axis.legend(fontsize=7, frameon=False)
    axis.tick_params(labelsize=7)
