# SPDX-License-Identifier: Apache-2.0
"""The document's plots, as SVG that is the same from run to run."""

import io
import warnings

import matplotlib
from matplotlib.figure import Figure

from ...hdl.config import Context
from ...hdl.sizing import DEFAULT_LANES
from ..tasks import FORMS, RUNNING, K
from .plan import HEADLINE, HEADLINE_LANES
from .sums import network_memory

__all__ = ["macs", "networks", "occupancy", "svg"]

# Told apart by colour-blind readers, and in grey: of Okabe and Ito's palette.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
STYLE = {
    "svg.hashsalt": "tiled-se", "svg.fonttype": "none", "font.size": 9,
    # The second is for readers without the first: letters of the same widths.
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": GREY, "axes.labelcolor": "#222222",
    "axes.grid": True, "axes.axisbelow": True, "grid.color": "#dddddd", "grid.linewidth": 0.6,
    "xtick.color": "#222222", "ytick.color": "#222222", "xtick.major.size": 0, "ytick.major.size": 0,
    "legend.frameon": False,
}
MEGABIT, THOUSAND = 1e6, 1e3


def svg(draw, width, height):
    """What `draw` puts into axes, as bytes of an SVG file of `width` x `height` inches; None if it has nothing to."""
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # The file has text as text: that a letter of a name is not in the font here is no matter.
        warnings.filterwarnings("ignore", "Glyph ", UserWarning)
        figure = Figure((width, height), layout="constrained")
        if draw(figure.add_subplot()) is False:
            return None
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    declaration, body = file.getvalue().split("\n", 1)
    text = f"{declaration}\n<!-- SPDX-License-Identifier: Apache-2.0 -->\n{body}"
    return "".join(line.rstrip() + "\n" for line in text.splitlines()).encode()


def networks(plan, results):
    """Memory of each network's blocks, original and tiled; None where no network is complete."""
    rows = []
    for network in plan.networks:
        found = [network_memory(network, most, plan, results) for most in (DEFAULT_LANES, 1)]
        if None not in found:
            rows.append((network.name, *found))

    def draw(axes):
        if not rows:
            return False
        places = range(len(rows))
        whole, tiled, cumulative, causal = ([eight.bits[form] / MEGABIT for _, eight, _ in rows] for form in FORMS)
        narrow = [one.bits["tse"] / MEGABIT for *_, one in rows]
        axes.hlines(places, causal, whole, color="#cccccc", linewidth=2, zorder=1)
        axes.plot(whole, places, "s", color=ORANGE, label=f"SE, up to {DEFAULT_LANES} lanes")
        axes.plot(tiled, places, "o", color=BLUE, label=f"TSE, k = {K}")
        axes.plot(narrow, places, "o", color=BLUE, markerfacecolor="white", label=f"TSE, k = {K}, 1 lane")
        axes.plot(cumulative, places, "^", color=GREEN, label="cumulative")
        axes.plot(causal, places, "<", color=PURPLE, label="causal")
        for place, (_, eight, _) in enumerate(rows):
            axes.annotate(f"{100 * eight.reduction('tse'):.1f} % less", (whole[place], place), (8, 0),
                          textcoords="offset points", va="center", color=GREY)
        axes.set_yticks(places, [name.replace("_", " ") for name, *_ in rows])
        axes.set(xscale="log", xlim=(0.8 * min(causal), 3.5 * max(whole)), ylim=(len(rows) - 0.5, -0.5),
                 xlabel="memory of all SE blocks, without weights (Mbit); in percent, TSE against SE")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.grid(False, axis="y")
        axes.figure.legend(loc="outside upper center", ncols=3)

    return svg(draw, 7.5, 1.2 + 0.27 * len(rows))


def macs(plan, results):
    """Memory of the headline block over the bound, against its multipliers."""
    def draw(axes):
        ticks = set()
        # Those that were sized by MACS=auto and nothing else.
        chosen = {task.options.lanes: results.get(task) for task in reversed(plan.variants)}
        for lanes, colour, marker in zip(HEADLINE_LANES, (BLUE, ORANGE), "os", strict=True):
            points = [(task.options.macs, 100 * (results[task]["sram"]["over_bound"] - 1), results[task]["full_rate"])
                      for task in plan.macs[lanes] if task in results]
            if not points:
                return False
            x, y, _ = zip(*points, strict=True)
            ticks |= set(x)
            axes.plot(x, y, "-", color=colour, linewidth=1.2)
            for full, face, rate in ((True, colour, ""), (False, "white", ", below full rate")):
                shown = [(a, b) for a, b, c in points if c == full]
                if shown:
                    axes.plot(*zip(*shown, strict=True), marker, color=colour, markerfacecolor=face,
                              label=f"LANES={lanes}{rate}")
            if auto := chosen.get(lanes):
                axes.annotate("auto", (auto["config"]["macs"], 100 * (auto["sram"]["over_bound"] - 1)), (6, 10),
                              textcoords="offset points", color=colour,
                              arrowprops={"arrowstyle": "-", "color": colour, "shrinkB": 4})
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(ticks))
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set(xlabel="multipliers (MACS)", ylabel="memory over the bound 8·k·W·C (%)", ylim=(0, None))
        axes.grid(False, axis="x")
        axes.legend()

    return svg(draw, 7, 3.6)


def occupancy(plan, results):
    """The elements in the headline block over time, in each of FORMS."""
    def draw(axes):
        area = HEADLINE.width * HEADLINE.channels / THOUSAND
        names, end = ("SE", "TSE", *(context.value for context in RUNNING)), 0
        for task, name, colour in zip(plan.occupancy, names, (ORANGE, BLUE, GREEN, PURPLE), strict=True):
            if task not in results:
                return False
            curve = results[task]["simulated"]["occupancy"]
            x = [place * curve["step"] / THOUSAND for place in range(len(curve["elements"]))]
            y = [value / THOUSAND for value in curve["elements"]]
            rows = 0 if name == Context.CAUSAL.value else min(task.options.k, HEADLINE.height)
            axes.plot(x, y, color=colour, linewidth=1.5,
                      label=f"{name}: {rows} row{'' if rows == 1 else 's'} = {rows * area:,.1f}, peak {max(y):,.1f}")
            if rows:
                axes.axhline(rows * area, color=colour, linewidth=0.8, linestyle=(0, (4, 3)))
            end = max(end, x[-1])
        axes.set(xlabel="time, two frames back to back (thousand cycles)",
                 ylabel="elements in the block (thousand)", yscale="log", xlim=(0, end), ylim=(0.3, None))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(False, axis="x")
        axes.figure.legend(loc="outside upper center", ncols=2)

    return svg(draw, 7, 3.6)
