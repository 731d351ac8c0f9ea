# SPDX-License-Identifier: Apache-2.0
"""What the study's data cannot show, computed where it can be."""

from collections.abc import Iterator

from ...gen.text_table import percent
from ..paper.paper import STRIP
from .answers import STRIPS
from .labels import NETWORKS
from .statistics import ENOUGH_SEEDS
from .tables import paper_tiles
from .view import View

__all__ = ["limits"]


def limits(view: View) -> Iterator[str]:
    """A sentence or two for each limit, without the number of a list."""
    data, setup = view.study["dataset"], view.study["setup"]
    yield (f"**Images.** One data set, {data['name']}: {data['classes']} classes, {data['train_images']:,} images to "
           f"train with and {data['test_images']:,} to test. {_size(data)}Photographs of many objects are another "
           "matter, and so are detection and segmentation.")
    sizes = ", ".join(f"{NETWORKS.get(name, name)} {count:,}" for name, count in setup["parameters"].items())
    yield (f"**Networks.** They are small ({sizes} parameters) and trained for about {setup['epochs']} epochs. The "
           "paper's networks have millions of parameters, and were trained for 100 epochs or more.")
    yield from _maps(view)
    yield from _seeds(view)
    yield ("**Other trainings.** Intervals over images say what other test images would give with the same networks. "
           "They do not say what other networks would give, or other runs of the same fine-tuning: the differences of "
           "single seeds are beside them, and may be far apart.")
    yield ("**Other images.** Intervals over retraining say what other trainings would give on the same test images, "
           "and the verdicts rest on them. They do not say what other images would give: study.json, which "
           "`make study` writes, has an interval of that, too (`images`).")
    yield ("**Choices.** Networks, lengths of training and conditions were chosen in trials on Fashion-MNIST, with few "
           "seeds and the same test images. The canvas became the main condition because SE seemed to help there. So "
           "the figure for SE may be somewhat too high. No tiling was chosen by its result.")
    if view.all("bits"):
        yield ("**Integers.** Ranges were calibrated by one method, that of the least error. Others may lose less with "
               "few bits, and quantisation-aware training would then win less. Blocks with SE were not made integers: "
               "what they lose is not known, nor is that of other tilings.")
    if view.spread is None or len(view.places()) == 1:
        return
    yield ("**Conditions.** Networks of other conditions were mostly trained with one seed. Their intervals have the "
           "standard deviation of trainings in the main condition, which is taken to be the same there.")


def _size(data: dict) -> str:
    if "shape" not in data:
        return ""
    channels, height, width = data["shape"]
    return f"They have {height} x {width} pixels, {'grey' if channels == 1 else f'in {channels} channels'}. "


def _maps(view: View) -> Iterator[str]:
    """How much of SE's buffer strips still have, which says how many maps are whole."""
    strips, se = view.find(name=STRIPS, training="scratch"), view.find(context="se", training="scratch")
    if not (strips and se):
        return
    share, paper = view.buffer(strips) / view.buffer(se), paper_tiles()
    there = float(paper[STRIPS][1]) / float(paper["SE"][1])
    stages = view.whole_stages(STRIPS)
    causal = (f", and causal gates with K={STRIP} depend on the prior alone" if
              view.find(name=f"causal, K={STRIP}", training="swapped") else "")
    whole = (f" In {', '.join(stages)} the maps have {STRIP} rows or fewer, so that strips are SE there{causal}."
             if stages else "")
    name = view.main["network"]
    yield (f"**Maps.** Strips of {STRIP} rows buffer {percent(share)} of what SE does in the "
           f"{NETWORKS.get(name, name)} network, and {percent(there)} in the paper's RegNetY-800MF. The larger the "
           f"share, the nearer they are to SE.{whole}")


def _seeds(view: View) -> Iterator[str]:
    counts = [len(seeds) for labels, seeds in view.groups.items() if labels.training == "scratch"]
    if not counts:
        return
    text = (f"**Seeds.** {len(counts)} kinds of network were trained, with {min(counts)} to {max(counts)} seeds each."
            if min(counts) < max(counts) else f"**Seeds.** {len(counts)} kinds of network were trained, with "
            f"{counts[0]} seed{'s' * (counts[0] > 1)} each.")
    if view.spread is None:
        yield (f"{text} None has {ENOUGH_SEEDS}, so that it is not known how much trainings differ, and no interval "
               "over retraining can be given.")
        return
    few, many = min(counts), max(counts)
    least = ", ".join(f"{view.spread.least_seen(*pair):.2f} points {between}" for pair, between in {
        (few, few): f"between two with {few}", (few, many): f"between {few} and {many}",
        (many, many): f"between two with {many}"}.items())
    yield f"{text} A difference must have about {least} seeds to be seen. A smaller one may be there all the same."
