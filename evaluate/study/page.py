# SPDX-License-Identifier: Apache-2.0
"""docs/study.md, and the table at the end of the command."""

from collections.abc import Iterable, Iterator, Mapping

from ...gen.page import wrapped
from ...gen.text_table import aligned
from ..intervals import RESAMPLES
from ..paper.paper import load_paper
from . import tables
from .findings import TITLES, Finding, findings
from .labels import CONDITIONS, NETWORKS
from .limits import limits
from .plots import ACCURACY, BUFFER, TEXTS, drawable
from .statistics import ENOUGH_SEEDS, NOT_KNOWN, t_quantile
from .tables import CHOSEN
from .view import View

__all__ = ["DOCUMENT", "page", "summary_text"]

DOCUMENT = "study.md"
PAPER = "https://arxiv.org/abs/2107.02145"
# What the conditions do with an image.
FRAMES = {
    "plain": "the images as they are",
    "exposure": "each image has a random brightness: times 2 to the power of -3 to 1, plus a little, cut to black and "
                "white",
    "shifted": "as exposure, and moved by up to 6 rows and columns",
    "canvas": "as exposure, at a random place of a larger picture with a random texture",
    "upside-down": "as canvas, with the rows of the picture in reverse order",
}
# Title, table, plot and introduction of each section.
SECTIONS = {
    "Tilings, trained (Table 1)": (
        tables.tiles, BUFFER, "Networks trained with each tiling. The paper's are RegNetY-800MF on ImageNet. Buffers "
        "are the elements that wait in all blocks together. The paper counts one patch alone; here it is all that "
        "must wait if an image comes row by row. Numbers in the plot are K; its axis is logarithmic beyond one point."),
    "Tilings, swapped (Figure 5)": (
        tables.swapped, ACCURACY, "Networks trained with SE, in which the tiling takes its place without any training, "
        "beside networks trained with the tiling. The paper has a plot of this, without figures. \"All\" is the whole "
        "map: a control for strips, and causal gates are then the same for every image. Running means count one row "
        "of a prior: where they are swapped in and fine-tuned, that is the mean over training images; where networks "
        "are trained with them, it is 0. Intervals of the last column are wide where swapped networks of other seeds "
        "differ much. The axis of the plot is logarithmic beyond one point."),
    "Stage by stage (Table 3)": (
        tables.stages, None, "The swap in one stage at a time, to SE."),
    "Fine-tuned (Table 2)": (
        tables.fine_tuned, None, "The swapped networks, trained a little longer. They are compared with SE networks as "
        "they were, as in the paper, and with SE networks that were trained as much longer."),
    "Integers": (
        tables.bits, None, "Blocks in integers: data and weights have so many bits. All else is in float. Networks "
        "were trained with the tiling, and those that were trained longer saw the same frames in the same order."),
    "Other conditions and networks, trained": (tables.trained_elsewhere, None, None),
    "Other conditions and networks, swapped": (tables.swapped_elsewhere, None, None),
}


def page(study: Mapping) -> str:
    """The whole text of docs/study.md, from the contents of study.json."""
    view = View(study)
    missing: list[str] = []
    parts = [_introduction(view), *_setup(view), *_findings(view, missing), *_sections(view, missing),
             *_certainty(view), "## What these data cannot show",
             "\n".join(wrapped(f"- {text}", "  ") for text in limits(view)), *_missing(missing)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _introduction(view: View) -> str:
    quick = view.study["setup"]["quick"]
    text = f"""
<!-- SPDX-License-Identifier: Apache-2.0 -->
# Study: what tiles cost in accuracy

    make study DOCS=docs{' QUICK=1' if quick else ''}

trains small networks without attention, with squeeze-and-excite (SE) and with its tilings, compares what it finds with
what the [paper]({PAPER}) says, draws the plots of this page and writes it. All
figures and verdicts are computed. [contexts.md](contexts.md) explains the tilings: kxW are strips of k rows, Hxk strips
of k columns, kxk patches; cumulative and causal ones have running means. Accuracy is top-1 on test images, in percent.
Differences are in points, with 95 % intervals in brackets. For networks that were trained separately they are over
retraining. For one that is changed, or trained longer, they are over test images alone, and the differences of single
seeds stand beside them. "No difference seen" is said where the interval holds 0.
"""
    return text.strip() + ("\n\n**This was a quick run. It shows that the command works. Its figures mean nothing.**"
                           if quick else "")


def _setup(view: View) -> Iterator[str]:
    data, setup = view.study["dataset"], view.study["setup"]
    yield "## Setup"
    sizes = " and ".join(f"{_named(NETWORKS, name)} ({count:,} parameters)"
                         for name, count in setup["parameters"].items())
    yield wrapped(
        f"{data['name']}, {data['classes']} classes: {data['train_images']:,} images to train with, for "
        f"about {setup['epochs']} epochs, and {data['test_images']:,} to test. Fine-tuning, and other training that is "
        f"called longer, takes about {setup['tuning_epochs']} more. Networks: {sizes}, with SE in every block. Those "
        "of a seed begin with the same weights and see the same frames. "
        f"Numbers while training: {setup['precision']}, in tests {setup['tests']}. All "
        f"of it took {_time(setup['seconds'])} of one process. {len(view.study['runs']):,} accuracies were measured. "
        f"Unless a table says otherwise, figures are those of the {_named(NETWORKS, view.main['network'])} network in "
        f"the condition {_named(CONDITIONS, view.main['condition'])}. Conditions:")
    here = dict.fromkeys(labels.condition for labels in view.groups)
    yield "\n".join(wrapped(f"- **{_named(CONDITIONS, name)}**{_size(setup, name)}: {_named(FRAMES, name)}", "  ")
                    for name in here)


def _size(setup: Mapping, condition: str) -> str:
    rows, columns = setup["frames"][condition]
    return f", {rows} x {columns}"


def _named(names: Mapping[str, str], name: str) -> str:
    return names.get(name, name)


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def _findings(view: View, missing: list[str]) -> Iterator[str]:
    found = findings(view)
    missing += [title for title in TITLES if title not in {finding.title for finding in found}]
    if found:
        yield "## What the paper says, and what we see"
        yield wrapped(f"The paper: {load_paper()['source'].partition(', Tables')[0]}. Its figures have no intervals.")
    for finding in found:
        yield f"### {finding.title}"
        yield _finding(finding)


def _finding(finding: Finding) -> str:
    """Two items of a list; several sentences of ours are a list in the second."""
    paper = wrapped(f"- **Paper:** {finding.paper}", "  ")
    here = [f"{text[0].upper()}{text[1:]}" for text in finding.here]
    if len(here) == 1:
        return "\n".join([paper, wrapped(f"- **Here:** {here[0]}", "  ")])
    return "\n".join([paper, "- **Here:**", *(wrapped(f"  - {text}", "    ") for text in here)])


def _sections(view: View, missing: list[str]) -> Iterator[str]:
    drawn = drawable(view)
    for title, (table, plot, text) in SECTIONS.items():
        content = table(view)
        if not content:
            missing.append(title)
            continue
        yield f"## {title}"
        yield wrapped(text) if text else ""
        if plot in drawn:
            yield f"![{TEXTS[plot]}]({plot})"
        yield content


def _certainty(view: View) -> Iterator[str]:
    """How the intervals come about, and how many would miss 0 by chance."""
    yield "## How sure this is"
    found = view.spread
    if found is None:
        yield wrapped(
            f"**Over retraining.** Networks that were trained separately can't be told from chance here: no group has "
            f"{ENOUGH_SEEDS} seeds, so that it is not known how much trainings differ. These differences have no "
            f"interval, and the verdict \"{NOT_KNOWN}\".")
    else:
        yield wrapped(
            f"**Over retraining.** Networks that were trained separately differ by chance. The standard deviation of "
            f"one training is {found.deviation:.3f} points, pooled over {len(found.groups)} groups of trainings that "
            f"differ in the seed alone, with {found.freedom} degrees of freedom; the t quantile is "
            f"{t_quantile(found.freedom):.3f}. All trainings are taken to have it. Where a trained network is "
            f"compared with a swapped one, the latter's own standard deviation counts for it "
            f"(Satterthwaite), if it has {ENOUGH_SEEDS} seeds.")
        yield tables.spreads(view)
    yield wrapped(
        f"**Over images.** A network that is changed, or trained longer, is compared with itself, image by image "
        f"within each seed: the interval is the middle 95 % of {RESAMPLES:,} resamples of the test images, with all "
        "seeds together (bootstrap); with one seed, it is that of Bonett and Price.")
    answers = [answer for answer in view.answers if answer.interval]
    if answers:
        missed = sum(not answer.interval[0] <= 0 <= answer.interval[1] for answer in answers)
        yield wrapped(
            f"**Chance.** The study makes {len(answers)} comparisons with an interval, and all of them count here, "
            f"seen or not. If nothing differed at all, about {0.05 * len(answers):.0f} of the intervals would miss 0 "
            f"by chance; {missed} do. A single interval that just misses 0 is therefore weak evidence. The intervals "
            "are not independent: many share the same SE networks.")
    yield tables.chance(view)


def _missing(missing: Iterable[str]) -> Iterator[str]:
    if missing:
        yield "## What is missing"
        yield "This run had no rows for these parts, which are left out:"
        yield "\n".join(f"- {title}" for title in missing)


def summary_text(study: Mapping) -> str:
    """The main differences, as a table for a terminal."""
    view = View(study)
    lines = [("SE to no attention", view.one("attention"))]
    for question, text in (("trained", "trained"), ("swapped", "swapped"), ("fine-tuned", "fine-tuned")):
        lines += [(f"{name}, {text}, to SE", view.one(question, name=name)) for name in CHOSEN]
    for answer in view.all("bits"):
        lines.append((f"{answer.a.name}, {answer.a.bits} bits, {tables.METHODS[answer.a.method]}, to float", answer))
    rows = [[text, f"{view.top1(answer.a):.2f}", answer.short, answer.verdict] for text, answer in lines if answer]
    if not rows:
        return "no two runs that can be compared"
    return "\n".join(aligned([["", "top-1", "points", "seen"], *rows], left=(0, 2, 3)))
