# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/study.md, as Markdown; each is "" where there are no rows for it."""

import math

from ...gen.text_table import markdown, percent
from ..paper.paper import STRIP, VANILLA, load_paper
from .labels import Family, Labels
from .questions import QUESTIONS
from .statistics import HIGHER, LOWER, NONE_SEEN, NOT_KNOWN
from .view import Answer, View, signed

__all__ = ["CHOSEN", "METHODS", "bits", "chance", "fine_tuned", "paper_stages", "paper_tiles", "spreads", "stages",
           "swapped", "swapped_elsewhere", "tiles", "trained_elsewhere"]

NOTHING = "-"
# The tilings that all conditions and networks have.
CHOSEN = (f"{STRIP}xW", "cumulative, K=1", "causal, K=1")
SWAPPED_ELSEWHERE = (f"{STRIP}xW", "3xW", "1xW", "cumulative, K=1", "causal, K=1")
METHODS = {"after": "quantised after training", "tuned": "trained longer in float, then quantised",
           "aware": "trained longer, quantisation-aware"}
# With what they are compared with.
WAYS = {method: f"{text}, to float{' trained longer' * (method != 'after')}" for method, text in METHODS.items()}


def paper_tiles() -> dict[str, tuple[float, str | None]]:
    """Table 1 of the paper: top-1 and Buffer in 10^6 elements, as printed, by the tiling's name."""
    return {{VANILLA: "no attention"}.get(row["tile"], row["tile"]): (float(row["accuracy"]), row["buffer"])
            for row in load_paper()["tiles"]["rows"]}


def paper_stages() -> dict:
    """The network of Table 3 of the paper that is nearest to the one here."""
    return next(row for row in load_paper()["stages"]["rows"] if row["network"].startswith("RegNetY"))


def _said(answer: Answer | None) -> str:
    return answer.said if answer else NOTHING


def _table(head: list[str], rows: list[list], left: tuple[int, ...] = (0,)) -> str:
    return markdown([head, *rows], left=left) if rows else ""


def _top1(view: View, labels: Labels | None) -> str:
    return f"{view.top1(labels):.2f} ({len(view.groups[labels])})" if labels else NOTHING


def tiles(view: View) -> str:
    """Table 1: networks that were trained with each tiling, the paper's beside ours."""
    paper = paper_tiles()
    ours = {labels.name: labels for labels in view.groups if labels.training == "scratch"
            and labels.place == tuple(view.main.values())}
    others = sorted((name for name in ours if name not in paper),
                    key=lambda name: (list(Family).index(ours[name].family), ours[name].k or 0))
    rows = [[name, *_paper_cells(paper, name), *_own_cells(view, ours.get(name), ours.get("SE"))]
            for name in ((*paper, *others) if ours else ())]
    return _table(["tiling", "paper, top-1", "to SE", "buffer, 10^6 elements", "here, top-1 (seeds)", "to SE",
                   "buffer, elements"], rows)


def _paper_cells(paper: dict, name: str) -> list[str]:
    """Top-1, its difference from SE, and the buffer, as the paper has them."""
    if name not in paper:
        return [NOTHING] * 3
    (top1, buffer), (base, whole) = paper[name], paper["SE"]
    return [f"{top1:.2f}", "" if name == "SE" else signed(top1 - base),
            f"{buffer} ({percent(float(buffer) / float(whole))})" if buffer else NOTHING]


def _own_cells(view: View, labels: Labels | None, se: Labels | None) -> list[str]:
    """The same of networks that were trained here."""
    if labels is None:
        return [NOTHING] * 3
    if labels.context == "none":
        attention = view.one("attention")
        answer = attention and attention.reversed()
    else:
        answer = view.one("trained", tiling=labels.tiling)
    buffer = f"{view.buffer(labels):,}" + (f" ({percent(view.buffer(labels) / view.buffer(se))})" if se else "")
    return [_top1(view, labels), "" if labels == se else _said(answer), buffer]


def swapped(view: View) -> str:
    """Figure 5: each tiling trained, and put into networks that were trained with SE."""
    rows = []
    for family in Family:
        for answer in sorted(view.all("swapped", family=family), key=lambda answer: answer.a.k or math.inf):
            trained = view.find(tiling=answer.a.tiling, training="scratch")
            rows.append([answer.a.name, _top1(view, trained), _top1(view, answer.a), answer.said,
                         _said(view.one("gap", tiling=answer.a.tiling))])
    return _table(["tiling", "trained, top-1 (seeds)", "swapped, top-1 (seeds)", "swapped to SE", "trained to swapped"],
                  rows)


def stages(view: View) -> str:
    """Table 3: the change of a swap in one stage at a time."""
    answers = view.all("stage")
    names = list(dict.fromkeys(answer.a.name for answer in answers))
    rows, paper = [], [signed(-float(loss)) for loss in paper_stages()["stage_losses"]]
    for number, stage in enumerate(sorted({answer.a.stage for answer in answers})):
        rows.append([stage, paper[number] if number < len(paper) else NOTHING,
                     *(_said(view.one("stage", name=name, stage=stage)) for name in names)])
    if rows:
        whole = float(paper_stages()["all"]) - float(paper_stages()["SE"])
        losses = sum(map(float, paper))
        rows += [["all", signed(whole), *(_said(view.one("swapped", name=name)) for name in names)],
                 ["all, less the sum of the stages", signed(whole - losses),
                  *(_said(view.one("stages", name=name)) for name in names)]]
    return _table(["stage", f"paper, {paper_stages()['network']}, {STRIP}xW", *names], rows)


def fine_tuned(view: View) -> str:
    """Table 2: what a swap changes before and after fine-tuning."""
    paper = load_paper()["swapped"]["rows"]
    rows = [[f"paper, {row['network']}, {STRIP}xW", f"-{row['swapped_loss']}", f"-{row['fine_tuned_loss']}", "", ""]
            for row in paper]
    se, ours = view.find(context="se", training="scratch"), []
    for answer in view.all("fine-tuned"):
        ours.append([f"here, {answer.a.name}", _said(view.one("swapped", tiling=answer.a.tiling)),
                     signed(view.top1(answer.a) - view.top1(se)) if se else NOTHING, answer.said,
                     _said(view.one("recovered", tiling=answer.a.tiling))])
    return _table(["", "swapped to SE", "fine-tuned to SE as it was", "fine-tuned to SE, trained as long",
                   "this to swapped"], rows + ours if ours else [])


def bits(view: View) -> str:
    """What blocks in integers change, by the way in which they got there; to float that was trained as long."""
    rows = []
    for after in view.all("bits", method="after"):
        same = {"tiling": after.a.tiling, "bits": after.a.bits}
        longer = view.one("longer", tiling=after.a.tiling)
        rows.append([after.a.name, after.a.bits, _top1(view, after.b), _top1(view, longer and longer.a), _said(longer),
                     *(_said(view.one("bits", method=method, **same)) for method in METHODS),
                     _said(view.one("aware", **same))])
    return _table(["blocks", "bits", "float, top-1 (seeds)", "float, trained longer, top-1 (seeds)",
                   "trained longer to before", *WAYS.values(), "quantisation-aware to quantised, both trained longer"],
                  rows)


def trained_elsewhere(view: View) -> str:
    """Networks trained in each condition."""
    rows = []
    for place in view.places():
        at = {"network": place.network, "condition": place.condition}
        se = view.find(context="se", training="scratch", **at)
        if se:
            rows.append([place.where, _top1(view, view.find(context="none", training="scratch", **at)),
                         _top1(view, se), _said(view.one("attention", **at)),
                         *(_said(view.one("trained", name=name, **at)) for name in CHOSEN)])
    return _table(["network (condition)", "no attention, top-1 (seeds)", "SE, top-1 (seeds)", "SE to no attention",
                   *(f"{name}, to SE" for name in CHOSEN)], rows)


def swapped_elsewhere(view: View) -> str:
    """Networks trained with SE in each condition, swapped."""
    rows = []
    for place in view.places():
        at = {"network": place.network, "condition": place.condition}
        found = [view.one("swapped", name=name, **at) for name in SWAPPED_ELSEWHERE]
        if any(found):
            rows.append([place.where, *map(_said, found)])
    return _table(["network (condition)", *(f"{name}, to SE" for name in SWAPPED_ELSEWHERE)], rows)


def spreads(view: View) -> str:
    """The standard deviation of each group of trainings that differ in the seed alone."""
    rows = [[labels.name, labels.where, len(view.groups[labels]), f"{deviation:.3f}"]
            for labels, deviation in (view.spread.groups if view.spread else {}).items()]
    return _table(["trained with", "network (condition)", "seeds", "standard deviation, points"], rows, (0, 1))


def chance(view: View) -> str:
    """How many answers to each question have which verdict, and how many would differ by chance."""
    rows = []
    for question, text in QUESTIONS.items():
        verdicts = [answer.verdict for answer in view.answers if answer.question == question]
        if verdicts:
            known = len(verdicts) - verdicts.count(NOT_KNOWN)
            rows.append([text, len(verdicts), *map(verdicts.count, (HIGHER, LOWER, NONE_SEEN, NOT_KNOWN)),
                         f"{0.05 * known:.1f}"])
    return _table(["what is compared", "comparisons", "higher", "lower", "none seen", "not known",
                   "by chance alone"], rows)
